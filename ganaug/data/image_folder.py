"""An image folder, root/class/*.png: found, checked and decoded into one array, once."""

import hashlib
import os
import stat
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from ganaug._checks import listed, number
from ganaug.data.images import MAX_SIDE, MIN_SIDE
from ganaug.data.pixel_cache import PixelCache, cache_folder
from ganaug.errors import DataError, GanaugWarning
from ganaug.shards import Rows

__all__ = ["read_image_folder"]

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")
UNREAD_SUFFIXES = (".avif", ".bmp", ".gif", ".heic", ".jp2", ".tif", ".tiff", ".webp")
MAX_IMAGE_PIXELS = 4096 * 4096
FORMAT = 1
"""Counted up when the same files should give other pixels."""
BATCH = 64
CLOCK_SECONDS = 0.1
"""A file system's clock is at least as fine as this: a later change of a file shows in its times."""

OnImage = Callable[[int, int], None]


@dataclass(frozen=True)
class Found:
    """The images of a folder, without their pixels."""

    root: Path
    files: list[Path]
    labels: list[str]
    state: str  # fingerprint of names, sizes and times
    changed: float  # when the last of them changed, in seconds
    flat: bool = False  # whether they may lie beside each other


def read_image_folder(
    root: Path, *, image_size: int | None = None, on_image: OnImage | None = None, flat: bool = False
) -> tuple[Rows, Rows]:
    """Return the images of a folder (n, height, width[, 3]) as uint8, and the name of each one's class.

    The pixels are memory-mapped from a cache where the same files were read before. As with torchvision's
    ImageFolder, transparency is dropped and a turn that a camera only notes (EXIF) is not made.

    Parameters
    ----------
    root : Path
        Holds a folder per class, with ``.png`` and ``.jpg`` files. Hidden files and other kinds are left out.
    image_size : int or None, default=None
        Side in pixels, 8 to 128: the shorter side is scaled to it (Lanczos), and the middle is cut out. None
        takes images of one size as they are.
    on_image : callable or None
        Called with (images decoded, images in all).
    flat : bool, default=False
        Whether images may lie in `root` itself, all of one class ``""``, where it has no folders.

    Returns
    -------
    images : ndarray of shape (n, height, width) or (n, height, width, 3)
        Grey where all of them are.
    labels : ndarray of shape (n,)

    Raises
    ------
    DataError
        If a file cannot be read, is too large, or lies outside of `root`, or sizes differ; it is named.

    Warns
    -----
    GanaugWarning
        If images of kinds that are not read are left out, or the pixels cannot be kept.
    """
    if image_size is not None:
        number("image_size", image_size, low=MIN_SIDE, high=MAX_SIDE, integer=True)
    begun = time.time()
    found = find_images(root, flat=flat)
    labels, n, folder = np.array(found.labels), len(found.files), cache_folder()
    key = hashlib.sha256(f"{FORMAT} {version('pillow')} {image_size} {found.state}".encode()).hexdigest()[:32]
    cache = None if folder is None else PixelCache(folder, f"{os.path.abspath(root)} {image_size}", key)
    pixels = cache.open(n) if cache else None
    if pixels is not None:
        return pixels, labels
    at_rest = found.changed < begun - CLOCK_SECONDS
    try:
        return _read(found, image_size, False, cache if at_rest else None, on_image), labels
    except _Colour:
        return _read(found, image_size, True, cache if at_rest else None, on_image), labels


def _read(
    found: Found, image_size: int | None, colour: bool, cache: PixelCache | None, on_image: OnImage | None
) -> Rows:
    """Return the pixels, decoded into the cache, or into memory where there is none."""
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # too many pixels are an error here
        if cache is not None:
            try:
                with _decoded(found, image_size, colour, on_image) as (shape, rows):
                    return cache.write(shape, rows)
            except OSError as error:
                warnings.warn(
                    f"The pixels of {found.root} cannot be kept in {cache.folder} and are decoded each time: "
                    f"{error}. Name another folder in GANAUG_CACHE, or say GANAUG_CACHE=off.",
                    GanaugWarning,
                    stacklevel=4,
                )
        with _decoded(found, image_size, colour, on_image) as (shape, rows):
            pixels = np.empty(shape, np.uint8)
            for i, row in enumerate(rows):
                pixels[i] = row
            return pixels


def find_images(root: Path, *, flat: bool = False) -> Found:
    """Return the images of a folder, sorted by class and name, after looking at names and sizes only."""
    inside = root.resolve()
    entries = _entries(root)
    folders = [e for e in entries if e.is_dir()]
    places = [(e.name, Path(e.path)) for e in folders]
    if not folders:
        loose = [e.name for e in entries if _suffix(e) in IMAGE_SUFFIXES]
        where = f"its {len(loose)} images lie beside each other" if loose else "it has none"
        if not flat or not loose:
            raise DataError(f"{root} must hold one folder per class (root/class/*.png); {where}.")
        places = [("", root)]
    files: list[Path] = []
    labels: list[str] = []
    unread: list[str] = []
    state, changed = hashlib.sha256(), 0.0
    for folder in folders:
        _require_inside(folder, inside)
    for name, place in places:
        entries = _entries(place)
        images = [e for e in entries if _suffix(e) in IMAGE_SUFFIXES]
        unread += [e.path for e in entries if _suffix(e) in UNREAD_SUFFIXES]
        if not images:
            nested = [e.name for e in entries if e.is_dir()]
            where = f"it holds folders ({listed(nested, 3)}), which are not looked into" if nested else ""
            raise DataError(f"{place} must hold .png or .jpg images; {where or 'it has none'}.")
        for entry in images:
            _require_inside(entry, inside)
            about = _file(entry)
            times = f"{about.st_size} {about.st_mtime_ns} {about.st_ctime_ns}"
            state.update(os.fsencode(f"{name}/{entry.name}") + f"\0{times}\0".encode())
            changed = max(changed, about.st_mtime, about.st_ctime)
            files.append(Path(entry.path))
            labels.append(name)
    if unread:
        warnings.warn(
            f"{len(unread)} images of {root} are left out, as they are neither .png nor .jpg: "
            f"{listed(unread, 3)}.",
            GanaugWarning,
            stacklevel=3,
        )
    return Found(root, files, labels, state.hexdigest(), changed, flat)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted((e for e in entries if not e.name.startswith(".")), key=lambda e: e.name)
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror}.") from error


def _suffix(entry: os.DirEntry[str]) -> str:
    return os.path.splitext(entry.name)[1].lower()


def _file(entry: os.DirEntry[str]) -> os.stat_result:
    try:
        about = entry.stat()
    except OSError as error:
        raise DataError(f"{entry.path} cannot be read: {error.strerror}. Repair or remove it.") from error
    if not stat.S_ISREG(about.st_mode):
        raise DataError(f"{entry.path} must be an image; got no file. Rename or remove it.")
    return about


def _require_inside(entry: os.DirEntry[str], root: Path) -> None:
    if entry.is_symlink() and not (target := Path(os.path.realpath(entry.path))).is_relative_to(root):
        raise DataError(
            f"{entry.path} is a link to {target}, which is not in the folder. Copy what it points to, or "
            "remove it."
        )


class _Colour(Exception):
    """A colour image came among grey ones."""


@contextmanager
def _decoded(
    found: Found, image_size: int | None, colour: bool, on_image: OnImage | None
) -> Iterator[tuple[tuple[int, ...], Iterator[Rows]]]:
    """Yield the shape of all pixels, and the rows, which end with an error if files changed meanwhile."""
    n = len(found.files)

    def rows(pool: ThreadPoolExecutor) -> Iterator[Rows]:
        shape = None
        for start in range(0, n, BATCH):
            batch = found.files[start : start + BATCH]
            for file, row in zip(
                batch, pool.map(partial(_pixels, image_size=image_size), batch), strict=True
            ):
                if row.ndim == 3 and not colour:
                    raise _Colour
                row = np.repeat(row[..., None], 3, axis=2) if row.ndim < 3 and colour else row
                shape = shape or row.shape
                if row.shape != shape:
                    raise DataError(
                        f"images must have one size; {found.files[0]} is {_size(shape)} and {file} is "
                        f"{_size(row.shape)} (width x height). Give all of them one with image_size=64 "
                        "(--image-size 64)."
                    )
                yield row
            if on_image is not None:
                on_image(min(start + BATCH, n), n)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", GanaugWarning)
            if find_images(found.root, flat=found.flat).state != found.state:
                raise DataError(f"{found.root} changed while it was read. Try again when it is at rest.")

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        all_rows = rows(pool)
        first = next(all_rows)
        yield (n, *first.shape), chain([first], all_rows)


def _pixels(file: Path, image_size: int | None) -> Rows:
    """Return the pixels of one file, (height, width) or (height, width, 3)."""
    from PIL import Image, ImageOps

    try:
        with Image.open(file) as image:
            if image.width * image.height > MAX_IMAGE_PIXELS:
                raise DataError(f"{file} has {image.width} x {image.height} pixels: too many.")
            if image.mode[0] in "IF":
                raise DataError(f"{file} has more than 8 bits a channel. Give such images as .npz.")
            if image_size is None and max(image.size) > MAX_SIDE:
                raise DataError(
                    f"images must have sides of at most {MAX_SIDE} pixels; {file} is {image.width} x "
                    f"{image.height}. Make them smaller with image_size=64 (--image-size 64)."
                )
            if image_size is not None:
                image.draft(None, (2 * image_size, 2 * image_size))  # a JPEG is decoded at a fraction
            plain: Any = image.convert("L" if image.mode in ("1", "L") else "RGB")
            if image_size is not None:
                plain = ImageOps.fit(plain, (image_size, image_size), Image.Resampling.LANCZOS)
            return np.ascontiguousarray(plain)
    except DataError:
        raise
    except Exception as e:  # whatever a broken file makes of the decoder
        raise DataError(
            f"{file} cannot be read as an image: {str(e) or type(e).__name__}. Repair or remove it."
        ) from e


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} x {shape[0]}"
