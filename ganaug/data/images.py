"""Image codec: arrays of any common layout and dtype to tensors in [-1, 1], and back exactly."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganaug._checks import finite
from ganaug.errors import DataError

MIN_SIDE, MAX_SIDE = 8, 64


@dataclass(frozen=True, kw_only=True)
class ImageCodec:
    """How images were stored, so that generated ones are stored the same way.

    Values on a grid (integers; floats k/255) come back exactly; other float32 values come back
    exactly too, float64 ones to 1e-15 of the range.

    Examples
    --------
    >>> X = np.arange(2 * 8 * 9 * 3, dtype=np.uint8).reshape(2, 8, 9, 3)
    >>> codec = ImageCodec.fit(X)
    >>> codec.shape, codec.layout
    ((3, 8, 9), 'nhwc')
    >>> bool((codec.decode(codec.encode(X)) == X).all())
    True
    """

    layout: str  # "nhw", "nchw" or "nhwc"
    shape: tuple[int, ...]  # (channels, height, width) of an encoded image
    dtype: str  # numpy name of the caller's dtype
    low: float  # value that becomes -1
    high: float  # value that becomes 1
    levels: int | None  # steps between low and high where values are on a grid

    @classmethod
    def fit(cls, X: np.ndarray[Any, Any]) -> "ImageCodec":
        """Return the codec for images X of shape (n, h, w), (n, c, h, w) or (n, h, w, c)."""
        if X.dtype.kind not in "uifb":
            raise DataError(f"images must be numbers; got dtype {X.dtype}. Convert with X.astype.")
        layout = _layout(X.shape)
        n_channels = 1 if layout == "nhw" else X.shape[3 if layout == "nhwc" else 1]
        height, width = X.shape[2:4] if layout == "nchw" else X.shape[1:3]
        if not all(MIN_SIDE <= side <= MAX_SIDE for side in (height, width)):
            raise DataError(
                f"images must have sides of {MIN_SIDE} to {MAX_SIDE} pixels; got {height} x {width}. "
                "Resize them first, e.g. with PIL.Image.resize."
            )
        finite("images", X)
        low, high = _range(X)
        codec = cls(
            layout=layout,
            shape=(int(n_channels), int(height), int(width)),
            dtype=X.dtype.name,
            low=low,
            high=high,
            levels=None,
        )
        for levels in _candidate_levels(X, low, high):
            gridded = cls(**{**asdict(codec), "levels": levels})
            if np.array_equal(gridded.decode(gridded.encode(X)), X):
                return gridded
        return codec

    def encode(self, X: np.ndarray[Any, Any]) -> Tensor:
        """Return (n, channels, height, width): float32 for values on a grid, else float64."""
        to_nchw: dict[str, Callable[[], np.ndarray[Any, Any]]] = {
            "nhw": lambda: X[:, None],
            "nhwc": lambda: np.moveaxis(X, -1, 1),
            "nchw": lambda: X,
        }
        nchw = to_nchw[self.layout]()
        if nchw.shape[1:] != self.shape:
            raise DataError(
                f"images must have (channels, height, width) {self.shape} as in fit; got {nchw.shape[1:]}."
            )
        unit = (nchw.astype(np.float64) - self.low) / (self.high - self.low)
        kind = np.float64 if self.levels is None else np.float32
        return torch.from_numpy((unit * 2 - 1).astype(kind))

    def decode(self, x: Tensor) -> np.ndarray[Any, Any]:
        """Return images in the caller's layout, dtype and range; values outside [-1, 1] are cut."""
        unit = (x.detach().cpu().double().clamp(-1, 1).numpy() + 1) / 2
        if self.levels is not None:
            unit = np.rint(unit * self.levels) / self.levels
        values = (self.low + unit * (self.high - self.low)).astype(np.float64)
        if np.dtype(self.dtype).kind != "f":
            values = np.rint(values)
        X = values.astype(self.dtype)
        if self.layout == "nhw":
            return X[:, 0]
        return np.ascontiguousarray(np.moveaxis(X, 1, -1)) if self.layout == "nhwc" else X

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "ImageCodec":
        """Return the codec that `to_dict` described."""
        return cls(**{**values, "shape": tuple(values["shape"])})


def _layout(shape: tuple[int, ...]) -> str:
    if len(shape) == 3:
        return "nhw"
    if shape[3] in (1, 3):
        return "nhwc"
    if shape[1] in (1, 3):
        return "nchw"
    raise DataError(
        "images must have shape (n, height, width), (n, height, width, channels) or "
        f"(n, channels, height, width) with 1 or 3 channels; got {shape}."
    )


def _range(X: np.ndarray[Any, Any]) -> tuple[float, float]:
    """Return the conventional range that holds the values, else their own minimum and maximum."""
    low, high = float(X.min()), float(X.max())
    if X.dtype.kind == "f":
        if low >= 0 and high <= 1 and high > low:
            return 0.0, 1.0
        if low >= -1 and high <= 1 and high > low:
            return -1.0, 1.0
    if low >= 0 and 127 < high <= 255:
        return 0.0, 255.0
    return (low, high) if high > low else (low, low + 1.0)


def _candidate_levels(X: np.ndarray[Any, Any], low: float, high: float) -> list[int]:
    span = high - low
    if span == int(span) and span <= 65535 and (X.dtype.kind != "f" or not np.any(X % 1)):
        return [int(span)]
    return [255] if X.dtype.kind == "f" and span in (1.0, 2.0) else []
