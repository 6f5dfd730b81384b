"""The layout of a bank: shards as .npy files, and one of class indices."""

import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np

from ganaug.errors import DataError
from ganaug.formats.contents import Array, Contents, Rows, Shard


def write(file: BinaryIO, folder: Path, shard: Shard, rows: Rows, contents: Contents) -> None:
    """Write the samples of a shard as one array."""
    write_array(file, (shard.n, *contents.shape[1:]), contents.dtype, (x for x, _ in rows))


def join(file: BinaryIO, parts: list[Path], classes: Iterator[Array], contents: Contents) -> None:
    """Write the class index of each sample."""
    write_array(file, contents.shape[:1], np.dtype(np.int64), classes)


def write_array(file: IO[bytes], shape: tuple[int, ...], dtype: np.dtype[Any], rows: Iterable[Array]) -> None:
    """Write an array of a shape (n, ...) whose rows come in pieces, in the byte order of small machines."""
    if dtype.hasobject:
        raise DataError(f"samples must be numbers to be saved as arrays; got dtype {dtype}.")
    stored = dtype.newbyteorder("<")
    file.write(header(shape, stored))
    missing = shape[0]
    for piece in rows:
        if piece.shape[1:] != shape[1:]:
            raise ValueError(f"rows must have shape {shape[1:]}; got {piece.shape[1:]}.")
        missing -= len(piece)
        file.write(np.ascontiguousarray(piece, stored).reshape(-1).view(np.uint8).data)
    if missing:
        raise ValueError(f"{shape[0]} rows were announced; {shape[0] - missing} came.")


def header(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bytes:
    """Return what a .npy file begins with."""
    content = io.BytesIO()
    about = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(content, about)
    return content.getvalue()
