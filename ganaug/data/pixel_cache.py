"""Decoded pixels of image folders, kept between runs: one .npy file per folder, mapped when it is opened."""

import hashlib
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from errno import ENOSPC
from pathlib import Path

import numpy as np

from ganaug.shards import Rows, map_npy

OFF = "off"
KEPT_SECONDS = 30 * 24 * 3600
"""Pixels that nobody opened for so long are removed when others are written."""
UNFINISHED_SECONDS = 24 * 3600
SPARE_BYTES = 1 << 30
"""Room left on the disk."""
ENTRY = re.compile(r"[0-9a-f]{16}-[0-9a-f]{32}\.npy")
UNFINISHED = re.compile(r"\.[0-9a-f]{16}\.[a-z0-9_]{8}")
"""Names that are ganaug's own: other files may lie in a folder that GANAUG_CACHE names."""


def cache_folder() -> Path | None:
    """Return the folder that GANAUG_CACHE names in the environment, or the platform's; None if "off"."""
    named = os.environ.get("GANAUG_CACHE")
    if named:
        return None if named == OFF else Path(named)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "ganaug"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "ganaug" / "Cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ganaug"


class PixelCache:
    """The place of one folder's pixels; another `key` is another state of the same `source`."""

    def __init__(self, folder: Path, source: str, key: str):
        self.folder = folder
        self.source = hashlib.sha256(source.encode(errors="surrogateescape")).hexdigest()[:16]
        self.file = folder / f"{self.source}-{key}.npy"

    def open(self, n: int) -> Rows | None:
        """Return the pixels (n, ...), mapped; None where there are none, or they are damaged."""
        try:
            pixels = map_npy(self.file)
        except (OSError, ValueError):
            return None
        if pixels.dtype != np.uint8 or pixels.shape[:1] != (n,):
            return None
        with suppress(OSError):
            os.utime(self.file)  # the day of last use
        return pixels.view(np.ndarray)

    def write(self, shape: tuple[int, ...], rows: Iterable[Rows]) -> Rows:
        """Write rows as they come and return them mapped; OSError where they do not fit."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._remove_old()
        needed = int(np.prod(shape, dtype=np.int64)) + SPARE_BYTES
        if (free := _free_bytes(self.folder)) < needed:
            raise OSError(ENOSPC, f"{needed / 1e9:.1f} GB needed, {free / 1e9:.1f} GB free")
        handle, temporary = tempfile.mkstemp(dir=self.folder, prefix=f".{self.source}.")  # for its owner only
        try:
            with os.fdopen(handle, "wb") as file:
                about = {"descr": "|u1", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(file, about)
                for row in rows:
                    file.write(row.data)
            os.replace(temporary, self.file)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise
        self._remove_superseded()
        return map_npy(self.file).view(np.ndarray)

    def _remove_superseded(self) -> None:
        for other in self.folder.glob(f"{self.source}-*.npy"):
            if other != self.file and ENTRY.fullmatch(other.name):
                _remove(other)

    def _remove_old(self) -> None:
        """Remove what nobody used for long, and what processes that were killed left behind."""
        for file in self.folder.iterdir():
            for own, seconds in ((ENTRY, KEPT_SECONDS), (UNFINISHED, UNFINISHED_SECONDS)):
                with suppress(OSError):
                    if own.fullmatch(file.name) and file.lstat().st_mtime < time.time() - seconds:
                        _remove(file)


def _remove(file: Path) -> None:
    with suppress(OSError):  # gone already, or in use where the system minds
        file.unlink()


def _free_bytes(folder: Path) -> int:
    import shutil

    return shutil.disk_usage(folder).free
