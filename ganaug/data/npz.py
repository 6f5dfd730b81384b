"""Arrays of an .npz file, whose claims are checked before memory is given to them."""

import math
import tokenize
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from ganaug.data.memory import require_memory
from ganaug.errors import DataError

__all__ = ["array_names", "read_arrays"]

BROKEN = (
    ValueError,
    OSError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    SyntaxError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What broken archives and headers of arrays raise."""


def array_names(path: Path) -> list[str]:
    """Return the names of the arrays of a file; DataError if it is no .npz."""
    try:
        with zipfile.ZipFile(path) as file:  # np.load also opens a bare .npy
            return [name.removesuffix(".npy") for name in file.namelist()]
    except BROKEN as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def read_arrays(path: Path, names: Collection[str]) -> dict[str, np.ndarray[Any, Any]]:
    """Return arrays by name, those that the file has; DataError names the file if one cannot be read."""
    try:
        with zipfile.ZipFile(path) as file:
            there = [name for name in file.namelist() if name.removesuffix(".npy") in names]
            require_memory(path, sum(_claimed_bytes(file, name) for name in there))
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in (n.removesuffix(".npy") for n in there)}
    except DataError:
        raise
    except BROKEN as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def _claimed_bytes(file: zipfile.ZipFile, name: str) -> int:
    """Return the size of an array by its header, if that is what is in the file."""
    with file.open(name) as member:
        version = np.lib.format.read_magic(member)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(version)
        if read is None:
            raise ValueError(f"array {name!r} has format {version} of .npy files")
        shape, _, dtype = read(member)
        if dtype.hasobject:
            raise ValueError(
                f"array {name!r} holds Python objects, which are never loaded (allow_pickle=False)"
            )
        claimed, there = math.prod(shape) * dtype.itemsize, file.getinfo(name).file_size - member.tell()
    if claimed != there or min(shape, default=0) < 0:
        raise ValueError(f"array {name!r} claims to be {shape}, {claimed} bytes; there are {there}")
    return claimed
