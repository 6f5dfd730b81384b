"""One .npz of x, y and classes, not compressed."""

import math
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, BinaryIO

import numpy as np

from ganaug.errors import DataError
from ganaug.formats.contents import Array, Contents, Rows, Shard
from ganaug.formats.npy import header, write_array
from ganaug.shards import PIECE_BYTES

BAD = (ValueError, OSError, EOFError, NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error)
HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def write(file: BinaryIO, folder: Path, shard: Shard, rows: Rows, contents: Contents) -> None:
    """Write the samples of a shard as bare numbers, to be joined."""
    for x, _ in rows:
        file.write(np.ascontiguousarray(x, contents.dtype.newbyteorder("<")).reshape(-1).view(np.uint8).data)


def join(file: BinaryIO, parts: list[Path], classes: Iterator[Array], contents: Contents) -> None:
    """Write x out of the parts, the labels y, the names of the classes and the description."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        with _member(archive, "x") as x:
            x.write(header(contents.shape, contents.dtype.newbyteorder("<")))
            for part in parts:
                with open(part, "rb") as opened:
                    shutil.copyfileobj(opened, x)
        with _member(archive, "y") as y:
            labels = (contents.labels[c] for c in classes)
            write_array(y, contents.shape[:1], contents.labels.dtype, labels)
        texts = {"classes": contents.names, "card": contents.card}
        for name, text in texts.items():
            with _member(archive, name) as member:
                np.lib.format.write_array(member, np.array(text, dtype=np.str_), allow_pickle=False)


def read(files: list[Path], contents: Contents) -> Rows:
    """Yield samples and class indices of the file that `join` wrote, piece by piece."""
    (path,) = files
    try:
        with zipfile.ZipFile(path) as archive, archive.open("x.npy") as x, archive.open("y.npy") as y:
            (shape, dtype), (y_shape, y_dtype) = _header(x), _header(y)
            if (shape, dtype) != (contents.shape, contents.dtype) or y_shape != shape[:1]:
                raise ValueError(f"x of {shape} {dtype} and y of {y_shape} differ from the manifest")
            step = max(1, PIECE_BYTES // max(1, dtype.itemsize * math.prod(shape[1:])))
            for start in range(0, shape[0], step):
                n = min(step, shape[0] - start)
                samples, labels = _rows(x, (n, *shape[1:]), dtype), _rows(y, (n,), y_dtype)
                c = np.searchsorted(contents.labels, labels).clip(max=len(contents.labels) - 1)
                if (contents.labels[c] != labels).any():
                    raise ValueError("y holds labels that the manifest does not name")
                yield samples, c
    except (KeyError, *BAD) as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def _header(member: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[np.generic]]:
    version = np.lib.format.read_magic(member)
    if version not in HEADERS:
        raise ValueError(f"its arrays have the unknown version {version}")
    shape, _, dtype = HEADERS[version](member)
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which are never loaded (allow_pickle=False)")
    return shape, dtype


def _rows(member: IO[bytes], shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> Array:
    content = member.read(math.prod(shape) * dtype.itemsize)
    return np.frombuffer(content, dtype).reshape(shape)


def _member(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    info = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
    return archive.open(info, "w", force_zip64=True)
