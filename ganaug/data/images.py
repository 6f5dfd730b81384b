"""Image codec: arrays of any common layout and dtype to tensors in [-1, 1], and back exactly."""

import math
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganaug._checks import finite
from ganaug.data.storage import known_dtype
from ganaug.errors import DataError

MIN_SIDE, MAX_SIDE = 8, 128
MAX_BYTE, MAX_LEVELS = 255, 65535
PIECE_VALUES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class ImageCodec:
    """How images were stored, so that generated ones are stored the same way.

    Values on a grid (integers; floats k/255) come back exactly, others to 1e-15 of the range and the
    rounding of their dtype.

    Examples
    --------
    >>> X = np.arange(2 * 8 * 9 * 3, dtype=np.uint8).reshape(2, 8, 9, 3)
    >>> codec = ImageCodec.fit(X)
    >>> codec.shape, codec.layout
    ((3, 8, 9), 'nhwc')
    >>> bool((codec.decode(codec.encode(X)) == X).all())
    True
    >>> codec.pack(X).dtype, bool((codec.unpack(codec.pack(X)) == codec.encode(X)).all())
    (torch.uint8, True)
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
        low, high = _range(X)
        if X.dtype.kind != "f" and max(-low, high) > 2**62:
            raise DataError(
                f"images of integers must hold numbers within 2**62 of zero; got {low:.3g} to {high:.3g}. "
                "Divide them, or convert with X.astype(float)."
            )
        codec = cls(
            layout=layout,
            shape=(int(n_channels), int(height), int(width)),
            dtype=X.dtype.name,
            low=low,
            high=high,
            levels=None,
        )
        levels = _candidate_levels(X, low, high)
        if levels is None:
            return codec
        gridded = replace(codec, levels=levels)
        if X.dtype.kind != "f" or all(gridded._keeps(X[rows]) for rows in _pieces(X)):
            return gridded
        return codec

    def encode(self, X: np.ndarray[Any, Any]) -> Tensor:
        """Return (n, channels, height, width): float32 for values on a grid, else float64."""
        nchw = np.moveaxis(self._nhwc(X), -1, 1)
        x = np.empty_like(nchw, dtype=np.float64 if self.levels is None else np.float32)
        for rows in _pieces(nchw):
            x[rows] = self._unit(nchw[rows]) * 2 - 1
        return torch.from_numpy(x)

    def decode(self, x: Tensor) -> np.ndarray[Any, Any]:
        """Return images in the caller's layout, dtype and range; values outside [-1, 1] are cut."""
        X = self._values((x.detach().cpu().double().clamp(-1, 1).numpy() + 1) / 2)
        if self.layout == "nhw":
            return X[:, 0]
        return np.ascontiguousarray(np.moveaxis(X, 1, -1)) if self.layout == "nhwc" else X

    def pack(self, X: np.ndarray[Any, Any]) -> Tensor:
        """Return the images of the fit as (n, channels, height, width), channels last in memory.

        The type is uint8, the number of the level, where there are at most 256 of them; else float32,
        as encoded. Bytes that are stored so already are shared with `X`, not copied.
        """
        nhwc = self._nhwc(X)
        small = self.levels is not None and self.levels <= MAX_BYTE
        stored_so = small and X.dtype == np.uint8 and (self.low, self.high) == (0, self.levels)
        if stored_so and nhwc.flags.c_contiguous:
            return _shared(nhwc).permute(0, 3, 1, 2)
        packed = np.empty(nhwc.shape, np.uint8 if small else np.float32)
        for rows in _pieces(nhwc):
            if stored_so:
                packed[rows] = nhwc[rows]
            elif small:
                packed[rows] = np.rint(self._unit(nhwc[rows]).clip(0, 1) * self.levels)
            else:
                packed[rows] = self._unit(nhwc[rows]) * 2 - 1
        return torch.from_numpy(packed).permute(0, 3, 1, 2)

    def unpack(self, packed: Tensor) -> Tensor:
        """Return packed images (n, channels, height, width) as float32: bit for bit those encoded."""
        if packed.dtype != torch.uint8:
            return packed
        nhwc = packed.permute(0, 2, 3, 1)
        values = _level_values(self, packed.device).index_select(0, nhwc.reshape(-1).int())
        return values.view(nhwc.shape).permute(0, 3, 1, 2)

    def _nhwc(self, X: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        nhwc = X[..., None] if self.layout == "nhw" else X
        if self.layout == "nchw":
            nhwc = np.moveaxis(X, 1, -1)
        channels, height, width = self.shape
        if nhwc.shape[1:] != (height, width, channels):
            got = tuple(nhwc.shape[i] for i in (-1, *range(1, nhwc.ndim - 1)))
            raise DataError(f"images must have (channels, height, width) {self.shape} as in fit; got {got}.")
        return nhwc

    def _unit(self, values: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Return the caller's values on the scale from 0 to 1."""
        return (values.astype(np.float64) - self.low) / (self.high - self.low)

    def _values(self, unit: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Return the caller's values, in the caller's dtype, of numbers from 0 to 1."""
        if self.levels is not None:
            unit = np.rint(unit * self.levels) / self.levels
        values = (self.low + unit * (self.high - self.low)).astype(np.float64)
        if np.dtype(self.dtype).kind != "f":
            values = np.rint(values)
        return values.astype(self.dtype)

    def _keeps(self, X: np.ndarray[Any, Any]) -> bool:
        return np.array_equal(self.decode(self.encode(X)), X)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "ImageCodec":
        """Return the codec that `to_dict` described; an error if no `fit` gives such a one."""
        codec = cls(**{**values, "shape": tuple(values["shape"])})
        channels, height, width = codec.shape
        sound = (
            codec.layout in ("nhw", "nchw", "nhwc")
            and type(channels) is int
            and channels in (1, 3)
            and all(type(s) is int and MIN_SIDE <= s <= MAX_SIDE for s in (height, width))
            and known_dtype(codec.dtype).kind in "uifb"
            and -math.inf < codec.low < codec.high < math.inf
            and (codec.levels is None or (type(codec.levels) is int and 1 <= codec.levels <= MAX_LEVELS))
        )
        if not sound:
            raise DataError(f"there are no images such as {str(values)[:200]}.")
        return codec

    def examples(self) -> Tensor:
        """Return encoded images that together show whether all can be decoded."""
        return torch.zeros(1, *self.shape)


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


def _pieces(X: np.ndarray[Any, Any]) -> Iterator[slice]:
    """Return slices of rows whose float64 copies stay small."""
    step = max(1, PIECE_VALUES // max(1, math.prod(X.shape[1:])))
    return (slice(start, start + step) for start in range(0, len(X), step))


def _range(X: np.ndarray[Any, Any]) -> tuple[float, float]:
    """Return the conventional range that holds the values, else their own minimum and maximum."""
    extremes = np.array([(X[rows].min(), X[rows].max()) for rows in _pieces(X)], dtype=np.float64)
    low, high = float(extremes[:, 0].min()), float(extremes[:, 1].max())
    if not math.isfinite(low) or not math.isfinite(high):
        for rows in [slice(None)] if isinstance(X, np.ndarray) else _pieces(X):
            finite(f"images from row {rows.start} on" if rows.start else "images", X[rows])
    if X.dtype.kind == "f":
        if low >= 0 and high <= 1 and high > low:
            return 0.0, 1.0
        if low >= -1 and high <= 1 and high > low:
            return -1.0, 1.0
    if low >= 0 and 127 < high <= 255:
        return 0.0, 255.0
    return (low, high) if high > low else (low, low + 1.0)


def _candidate_levels(X: np.ndarray[Any, Any], low: float, high: float) -> int | None:
    """Return into how many steps the range may be cut so that all values fall on one."""
    span = high - low
    small = span == int(span) and span <= MAX_LEVELS and max(abs(low), abs(high)) < 2**52
    if small and (X.dtype.kind != "f" or not any(np.any(X[rows] % 1) for rows in _pieces(X))):
        return int(span)
    return MAX_BYTE if X.dtype.kind == "f" and span in (1.0, 2.0) else None


@lru_cache(maxsize=64)
def _level_values(codec: ImageCodec, device: torch.device) -> Tensor:
    """Return the encoded value of each level, float32."""
    assert codec.levels is not None  # only those are packed as bytes
    stored = codec._values(np.arange(codec.levels + 1) / codec.levels)
    return torch.from_numpy((codec._unit(stored) * 2 - 1).astype(np.float32)).to(device)


def _shared(array: np.ndarray[Any, Any]) -> Tensor:
    """Return a tensor on the memory of the array, which may be read-only."""
    if array.flags.writeable:
        return torch.from_numpy(array)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable", UserWarning)
        return torch.from_numpy(array)
