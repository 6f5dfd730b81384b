"""Rows in numbered .npy files, read as one array along the first axis."""

import math
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

Rows = np.ndarray[Any, Any]

PIECE_BYTES = 1 << 22


class Shards:
    """Rows of several .npy files of one dtype and row shape; only those asked for are read.

    Pickled, it is the list of its files: another process maps them on first use.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     files = [Path(folder) / name for name in ("0.npy", "1.npy")]
    ...     for file, rows in zip(files, ([[0, 1], [2, 3], [4, 5]], [[6, 7], [8, 9]])):
    ...         np.save(file, np.array(rows, np.uint8))
    ...     x = Shards(files)
    ...     x.shape, x[3].tolist(), x[2:4].tolist(), x[[4, 0]].tolist()
    ((5, 2), [6, 7], [[4, 5], [6, 7]], [[8, 9], [0, 1]])
    """

    def __init__(self, files: Sequence[Path]):
        self.files = tuple(files)
        maps = self._maps
        self.dtype: np.dtype[Any] = maps[0].dtype
        self.ends = np.cumsum([len(m) for m in maps])
        self.shape: tuple[int, ...] = (int(self.ends[-1]), *maps[0].shape[1:])
        if any((m.dtype, m.shape[1:]) != (self.dtype, self.shape[1:]) for m in maps):
            raise ValueError(f"shards must have one dtype and row shape; those of {files[0].parent} differ")

    @cached_property
    def _maps(self) -> list[Rows]:
        return [map_npy(file) for file in self.files]

    @property
    def nbytes(self) -> int:
        """Size of all rows in bytes."""
        return math.prod(self.shape) * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Rows:
        """Return a row, or the rows of a slice, of an array of indices, or of a mask."""
        if isinstance(key, slice):
            return self._take(np.arange(*key.indices(len(self))))
        rows = np.asarray(key)
        if rows.dtype == bool:
            if rows.shape != self.shape[:1]:
                raise IndexError(f"a mask must have shape {self.shape[:1]}; got {rows.shape}.")
            rows = np.flatnonzero(rows)
        rows = rows.astype(np.int64) if not rows.size else rows
        if rows.dtype.kind not in "iu":
            raise IndexError(f"rows must be integers, a slice or a mask; got {key!r}.")
        if rows.size and not (-len(self) <= rows.min() and rows.max() < len(self)):
            raise IndexError(f"rows must be within {len(self)}; got {key!r}.")
        taken = self._take(rows.reshape(-1) % max(1, len(self)))
        return taken.reshape(*rows.shape, *self.shape[1:])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Rows:
        if copy is False:
            raise ValueError("shards can only become one array by copying.")
        return self[:].astype(dtype or self.dtype, copy=False)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the maps behind."""
        return {k: v for k, v in self.__dict__.items() if k != "_maps"}

    def _take(self, rows: Rows) -> Rows:
        taken = np.empty((len(rows), *self.shape[1:]), self.dtype)
        shard = np.searchsorted(self.ends, rows, side="right")
        for i in np.unique(shard):
            chosen = shard == i
            taken[chosen] = self._maps[i][rows[chosen] - (self.ends[i] - len(self._maps[i]))]
        return taken


def map_npy(file: Path) -> Rows:
    """Return the array of a .npy file, memory-mapped, if the file is as large as its header says."""
    try:
        with open(file, "rb") as opened:
            version = np.lib.format.read_magic(opened)
            shape, _, dtype = np.lib.format.read_array_header_1_0(opened)
            size = opened.tell() + math.prod(shape) * dtype.itemsize
        whole = version == (1, 0) and size == file.stat().st_size and min(shape, default=0) >= 0
    except ValueError:
        whole = False
    if not whole:
        raise ValueError(f"{file} is cut, too long or no .npy file")
    return np.lib.format.open_memmap(file, mode="r")


def pieces(rows: Rows | Shards, start: int = 0, stop: int | None = None) -> Iterator[slice]:
    """Return slices of a few megabytes each that together cover all rows, or those from start to stop."""
    step = max(1, PIECE_BYTES // max(1, rows.dtype.itemsize * math.prod(rows.shape[1:])))
    stop = len(rows) if stop is None else stop
    return (slice(i, min(i + step, stop)) for i in range(start, stop, step))
