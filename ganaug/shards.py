"""Rows in numbered .npy files: written piece by piece, read as one array along the first axis."""

import hashlib
import io
import math
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

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
    ...     with ShardWriter(Path(folder), "x-{}.npy", (5, 2), np.uint8, shard_rows=3) as writer:
    ...         writer.write(np.arange(10).reshape(5, 2))
    ...     x = Shards([Path(folder) / name for name in writer.sha256])
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


class ShardWriter:
    """Write rows of a known shape (n, ...) to files of at most `shard_rows`, summing their sha256.

    `name` is the file's name, with a place for its number. Leaving the context closes the files.
    """

    def __init__(self, folder: Path, name: str, shape: tuple[int, ...], dtype: Any, *, shard_rows: int):
        self.folder, self.name, self.shard_rows = folder, name, shard_rows
        self.dtype, self.row_shape = np.dtype(dtype), shape[1:]
        if self.dtype.hasobject:
            raise ValueError(f"rows must be numbers to be saved; got dtype {self.dtype}.")
        self.sha256: dict[str, str] = {}
        self._file: BinaryIO | None = None
        self._to_come, self._room = shape[0], 0

    def __enter__(self) -> "ShardWriter":
        self._next_file()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._close_file()
        missing = self._to_come + self._room
        if kind is None and missing:
            raise ValueError(f"{missing} of the rows that were announced did not come.")

    def write(self, rows: Rows) -> None:
        """Append rows (n, ...)."""
        rows = np.ascontiguousarray(rows, dtype=self.dtype)
        if rows.shape[1:] != self.row_shape:
            raise ValueError(f"rows must have shape {self.row_shape}; got {rows.shape[1:]}.")
        while len(rows):
            if not self._room:
                self._close_file()
                self._next_file()
            part, rows = rows[: self._room], rows[self._room :]
            self._append(part.reshape(-1).view(np.uint8).data)
            self._room -= len(part)

    def _next_file(self) -> None:
        self._room = min(self.shard_rows, self._to_come)
        if self.sha256 and not self._room:
            raise ValueError("more rows came than were announced.")
        self._to_come -= self._room
        self._file = open(self.folder / self.name.format(len(self.sha256)), "wb")  # noqa: SIM115
        self._sum = hashlib.sha256()
        header = io.BytesIO()
        shape = (self._room, *self.row_shape)
        about = {"descr": np.lib.format.dtype_to_descr(self.dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(header, about)
        self._append(header.getbuffer())

    def _append(self, content: memoryview) -> None:
        assert self._file is not None  # open between __enter__ and __exit__
        self._file.write(content)
        self._sum.update(content)

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self.sha256[Path(self._file.name).name] = self._sum.hexdigest()
            self._file = None


def map_npy(file: Path) -> Rows:
    """Return the array of a .npy file, memory-mapped, if the file is as large as its header says."""
    if not file.is_file():
        raise ValueError(f"{file} is no file")
    try:
        with open(file, "rb") as opened:
            version = np.lib.format.read_magic(opened)
            shape, _, dtype = np.lib.format.read_array_header_1_0(opened)
            size = opened.tell() + math.prod(shape) * dtype.itemsize
        whole = version == (1, 0) and size == file.stat().st_size and min(shape, default=0) >= 0
    except Exception:  # numpy's reader of headers raises what its tokenizer and parser do
        whole = False
    if not whole:
        raise ValueError(f"{file} is cut, too long or no .npy file")
    return np.lib.format.open_memmap(file, mode="r")


def pieces(rows: Rows | Shards) -> Iterator[slice]:
    """Return slices that together cover all rows and are a few megabytes each."""
    step = max(1, PIECE_BYTES // max(1, rows.dtype.itemsize * math.prod(rows.shape[1:])))
    return (slice(start, start + step) for start in range(0, len(rows), step))
