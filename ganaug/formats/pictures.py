"""Pictures as PNG in memory, and back; those that would fill the memory are refused before they do."""

import io
import warnings
from typing import Any

import numpy as np

from ganaug.errors import DataError

MAX_PICTURE_PIXELS = 4096 * 4096
MAX_RATIO, FREE_BYTES = 200, 256_000_000
"""Decoded pictures may have so many times the bytes of their files, beyond those that are free."""

Array = np.ndarray[Any, Any]


def encoded(picture: Array) -> bytes:
    """Return the PNG of 8-bit pixels (height, width[, 3])."""
    from PIL import Image

    png = io.BytesIO()
    Image.fromarray(picture).save(png, "PNG", compress_level=1)
    return png.getvalue()


class Decoder:
    """Decode PNG and JPEG files of one size, out of an archive of so many bytes."""

    def __init__(self, archive: object, archive_bytes: int):
        self.archive = archive
        self.shape: tuple[int, ...] | None = None
        self.room = max(FREE_BYTES, MAX_RATIO * archive_bytes)

    def __call__(self, name: str, content: bytes) -> Array:
        """Return pixels (height, width, 3), or (height, width) of a grey picture."""
        from PIL import Image, UnidentifiedImageError

        where = f"{name} in {self.archive}"
        try:
            with warnings.catch_warnings(), Image.open(io.BytesIO(content), formats=("PNG", "JPEG")) as image:
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                if image.mode[0] in "IF":
                    raise DataError(f"{where} has more than 8 bits a channel. Give such images as .npz.")
                mode = "L" if image.mode in ("1", "L") else "RGB"
                shape = (image.height, image.width) if mode == "L" else (image.height, image.width, 3)
                self._admit(where, shape)
                return np.asarray(image.convert(mode))
        except (
            OSError,
            UnidentifiedImageError,
            SyntaxError,
            Image.DecompressionBombWarning,
            Image.DecompressionBombError,
        ) as error:
            raise DataError(f"{where} cannot be read as an image: {error}. Repair or remove it.") from error

    def _admit(self, where: str, shape: tuple[int, ...]) -> None:
        """Raise for a picture of another size than the first, or one too many for the memory."""
        if shape[0] * shape[1] > MAX_PICTURE_PIXELS:
            raise DataError(f"{where} has {shape[1]} x {shape[0]} pixels: too many.")
        self.shape = self.shape or shape
        if shape != self.shape:
            raise DataError(
                f"images must have one size and number of channels; {where} is {shape}, those before it are "
                f"{self.shape} (height, width[, channels]). Bring them to one."
            )
        self.room -= int(np.prod(shape))
        if self.room < 0:
            raise DataError(
                f"{self.archive} holds images of more than {MAX_RATIO} times its own size, as made-up files "
                "do that fill the memory; it is not read. Give such images as .npz."
            )
