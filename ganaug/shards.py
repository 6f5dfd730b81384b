"""Rows in numbered .npy files, read as one array along the first axis."""

import math
import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

Rows = np.ndarray[Any, Any]

PIECE_BYTES = 1 << 22
RESIDENT_BYTES = 1 << 25
OPEN_FILES = 128  # kept open; others, as of a bank of a thousand shards, are opened for each reading


class _Head(NamedTuple):
    """What a .npy file says about its content."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    offset: int
    by_row: bool

    @classmethod
    def of(cls, rows: np.memmap[Any, Any]) -> "_Head":
        return cls(rows.dtype, rows.shape, rows.offset, rows.flags.c_contiguous)


class Shards:
    """Rows of several .npy files of one dtype and row shape; only those asked for are read.

    They are read from the files, not mapped: pages that were mapped count as the process's own memory, and
    rows in random order soon map every file. Pickled, it is the list of its files: another process opens them
    on first use.

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
        self.files = tuple(Path(os.path.abspath(file)) for file in files)
        self._stamps = [_stamp(os.stat(file)) for file in files]
        heads = [_Head.of(map_npy(file)) for file in files]  # a map holds its file open
        self.dtype: np.dtype[Any] = heads[0].dtype
        lengths = np.array([head.shape[0] for head in heads])
        self.ends = np.cumsum(lengths)
        self.shape: tuple[int, ...] = (int(self.ends[-1]), *heads[0].shape[1:])
        if any((head.dtype, head.shape[1:]) != (self.dtype, self.shape[1:]) for head in heads):
            raise ValueError(f"shards must have one dtype and row shape; those of {files[0].parent} differ")
        if not all(head.by_row for head in heads):
            raise ValueError(f"shards must be written row by row; those of {files[0].parent} are not")
        self._row_bytes = self.dtype.itemsize * math.prod(self.shape[1:])
        origins = np.array([head.offset for head in heads])
        self._origins = origins - (self.ends - lengths) * self._row_bytes  # of row 0, if all were there

    @cached_property
    def _descriptors(self) -> list[int]:
        return [os.open(file, os.O_RDONLY) for file in self.files[:OPEN_FILES]]

    def __del__(self) -> None:
        for descriptor in self.__dict__.pop("_descriptors", ()):
            os.close(descriptor)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """Size of all rows in bytes."""
        return math.prod(self.shape) * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Rows:
        """Return a row, or the rows of a slice, of an array of indices, or of a mask."""
        if isinstance(key, slice):
            start, stop, step = key.indices(len(self))
            if step == 1 and start < stop:
                parts = np.array([start, *self.ends[(start < self.ends) & (self.ends < stop)]])
                return self._take(parts, np.diff(parts, append=stop))
            key = np.arange(start, stop, step)
        rows = np.asarray(key)
        if rows.dtype == bool:
            if rows.shape != self.shape[:1]:
                raise IndexError(f"a mask must have shape {self.shape[:1]}; got {rows.shape}.")
            rows = np.flatnonzero(rows)
        if rows.dtype.kind not in "iu" and rows.size:
            raise IndexError(f"rows must be integers, a slice or a mask; got {key!r}.")
        if rows.size and not (-len(self) <= rows.min() and rows.max() < len(self)):
            raise IndexError(f"rows must be within {len(self)}; got {key!r}.")
        flat = rows.reshape(-1).astype(np.int64) % max(1, len(self))
        taken = self._take(flat, np.ones_like(flat))
        return taken.reshape((*rows.shape, *self.shape[1:]))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Rows:
        if copy is False:
            raise ValueError("shards can only become one array by copying.")
        return self[:].astype(dtype or self.dtype, copy=False)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the open files behind."""
        return {k: v for k, v in self.__dict__.items() if k != "_descriptors"}

    def _take(self, rows: Rows, counts: Rows) -> Rows:
        """Return as many rows as `counts` says, from each of `rows` on, none of which is in the next file."""
        taken = np.empty((int(counts.sum()), *self.shape[1:]), self.dtype)
        content = taken.reshape(-1).view(np.uint8).data
        file = np.searchsorted(self.ends, rows, side="right")
        offsets, sizes = self._origins[file] + rows * self._row_bytes, counts * self._row_bytes
        done = 0
        for i, offset, size in zip(file.tolist(), offsets.tolist(), sizes.tolist(), strict=True):
            if i < OPEN_FILES:
                self._read(i, self._descriptors[i], content[done : done + size], offset)
            else:
                with open(self.files[i], "rb", buffering=0) as opened:
                    if _stamp(os.fstat(opened.fileno())) != self._stamps[i]:
                        raise OSError(f"{self.files[i]} was changed after it was opened. Generate it again.")
                    self._read(i, opened.fileno(), content[done : done + size], offset)
            done += size
        return taken

    def _read(self, i: int, descriptor: int, content: memoryview, offset: int) -> None:
        """Fill `content` from a file."""
        done = 0
        while done < len(content):
            read = os.preadv(descriptor, [content[done:]], offset + done)
            if not read:
                raise OSError(f"{self.files[i]} was cut after it was opened. Generate it again.")
            done += read


class Chosen:
    """Some rows of shards, in an order of their own; read when they are asked for.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(Path(folder) / "x.npy", np.arange(10).reshape(5, 2))
    ...     x = Chosen(Shards([Path(folder) / "x.npy"]), np.array([4, 0, 2]))
    ...     x.shape, x[1:].tolist()
    ((3, 2), [[0, 1], [4, 5]])
    """

    def __init__(self, shards: Shards, rows: Rows):
        self.shards, self.rows = shards, np.asarray(rows)
        self.dtype, self.ndim, self.shape = shards.dtype, shards.ndim, (len(self.rows), *shards.shape[1:])

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: Any) -> Rows:
        """Return a row, or the rows of a slice, of an array of indices, or of a mask."""
        return self.shards[self.rows[key]]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Rows:
        return np.asarray(self[:], dtype=dtype)


def _stamp(about: os.stat_result) -> tuple[int, int]:
    """Return what tells a file from one that was written in its place."""
    return about.st_size, about.st_mtime_ns


def map_npy(file: Path) -> np.memmap[Any, Any]:
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


def resident(rows: Rows | Shards) -> Rows | Shards:
    """Return rows as they are best read in random order: few ones from memory, many from their files."""
    if not isinstance(rows, (np.memmap, Shards)):
        return rows
    if rows.nbytes <= RESIDENT_BYTES:
        return np.array(rows)
    return Shards([Path(str(rows.filename))]) if isinstance(rows, np.memmap) else rows


def of_files(rows: Any) -> Any:
    """Return the shards of an array that is mapped from a whole .npy file and does not fit easily in memory.

    Whatever else comes is returned as it is. Pages of a map that were once read count as the process's own.
    """
    mapped = rows
    while isinstance(mapped, np.ndarray) and not isinstance(mapped, np.memmap):
        mapped = mapped.base
    if not isinstance(mapped, np.memmap) or mapped.mode not in ("r", "r+") or rows.nbytes <= RESIDENT_BYTES:
        return rows
    try:
        shards = Shards([Path(str(mapped.filename))])
        whole = map_npy(shards.files[0])
    except (OSError, ValueError):  # no .npy file
        return rows
    described = [(r.shape, r.dtype, r.strides) for r in (whole, rows)]
    same = described[0] == described[1] and whole.offset == mapped.offset
    return shards if same and whole.flags.c_contiguous else rows


def pieces(rows: Rows | Shards | Chosen, start: int = 0, stop: int | None = None) -> Iterator[slice]:
    """Return slices of a few megabytes each that together cover all rows, or those from start to stop."""
    step = max(1, PIECE_BYTES // max(1, rows.dtype.itemsize * math.prod(rows.shape[1:])))
    stop = len(rows) if stop is None else stop
    return (slice(i, min(i + step, stop)) for i in range(start, stop, step))
