"""Files of an export: each appears whole, has a sha256, and lies inside its folder."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import BinaryIO


@contextmanager
def whole_file(path: Path, *, staging: Path) -> Iterator[BinaryIO]:
    """Open a file in the folder `staging` that moves to `path` once it is written and on the disk."""
    handle, temporary = tempfile.mkstemp(dir=staging, prefix=f".{path.name}.")
    try:
        with open(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Give a folder under a temporary name that takes its own name when everything was written."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        yield unfinished
        unfinished.chmod(0o755)
        if folder.is_dir():
            folder.rmdir()
        os.replace(unfinished, folder)
    except BaseException:
        shutil.rmtree(unfinished)
        raise


def write_whole(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with whole_file(path, staging=path.parent) as file:
        file.write(text.encode())


def sha256_of_file(file: Path) -> str:
    """Return the sha256 of a file's content."""
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def inside(folder: Path, name: str) -> Path:
    """Return the file of a relative name; ValueError if it would be, or leads, outside of the folder."""
    parts = {*PurePosixPath(name).parts, *PureWindowsPath(name).parts}
    relative = bool(name) and not PurePosixPath(name).is_absolute() and not PureWindowsPath(name).anchor
    if not relative or "\0" in name or ".." in parts:
        raise ValueError(f"the name {name!r} leads outside of {folder}")
    file = folder / name
    if not Path(os.path.realpath(file)).is_relative_to(os.path.realpath(folder)):
        raise ValueError(f"{file} is a link that leads outside of {folder}, or lies behind one")
    return file
