"""ImageCodec: whatever comes in comes back, in its own layout, dtype and range."""

import json

import numpy as np
import pytest
import torch

from ganaug.data.images import ImageCodec
from ganaug.errors import DataError

RNG = np.random.default_rng(0)


def values(kind: str, shape: tuple[int, ...]) -> np.ndarray:
    bytes_ = RNG.integers(0, 256, shape)
    bytes_.flat[:2] = 0, 255
    uniform = RNG.uniform(-1, 1, shape)
    return {
        "bytes": bytes_.astype(np.uint8),
        "dark bytes": (bytes_ // 4).astype(np.uint8),
        "digits": (bytes_ % 17).astype(np.int64),
        "float digits": (bytes_ % 17).astype(np.float64),
        "int16": (bytes_ * 100 - 9_000).astype(np.int16),
        "uint16": (bytes_ * 257).astype(np.uint16),
        "bool": bytes_ > 127,
        "k/255 float32": (bytes_ / 255).astype(np.float32),
        "k/255 float64": bytes_ / 255,
        "signed k/255": (bytes_ / 127.5 - 1).astype(np.float32),
        "0..255 float": bytes_.astype(np.float32),
        "unit float32": np.abs(uniform).astype(np.float32),
        "signed float32": uniform.astype(np.float32),
        "float16": uniform.astype(np.float16),
        "wide float32": (uniform * 40).astype(np.float32),
        "constant": np.full(shape, 7, np.uint8),
        "constant float": np.full(shape, 0.5, np.float32),
    }[kind]


EXACT = [
    "bytes",
    "dark bytes",
    "digits",
    "float digits",
    "int16",
    "uint16",
    "bool",
    "k/255 float32",
    "k/255 float64",
    "signed k/255",
    "0..255 float",
    "unit float32",
    "signed float32",
    "float16",
    "wide float32",
    "constant",
    "constant float",
]
LAYOUTS = [
    ((4, 9, 12), "nhw", (1, 9, 12)),
    ((4, 8, 10, 3), "nhwc", (3, 8, 10)),
    ((4, 3, 8, 10), "nchw", (3, 8, 10)),
]


@pytest.mark.parametrize("kind", EXACT)
@pytest.mark.parametrize(("shape", "layout", "encoded"), LAYOUTS)
def test_images_come_back_exactly(kind, shape, layout, encoded) -> None:
    X = values(kind, shape)
    codec = ImageCodec.fit(X)
    x = codec.encode(X)
    assert codec.layout == layout
    assert x.shape == (4, *encoded)
    assert x.min() >= -1
    assert x.max() <= 1
    back = codec.decode(x)
    assert back.dtype == X.dtype
    np.testing.assert_array_equal(back, X)


def test_float64_images_come_back_to_the_last_digits() -> None:
    X = RNG.uniform(-1, 1, (4, 8, 8)) * 1000
    codec = ImageCodec.fit(X)
    np.testing.assert_allclose(codec.decode(codec.encode(X)), X, rtol=0, atol=2e-12)


@pytest.mark.parametrize("side", range(8, 65))
def test_every_side_from_8_to_64_is_taken_in_both_layouts(side: int) -> None:
    for shape in ((2, side, 72 - side, 1), (2, 3, 72 - side, side)):
        X = RNG.integers(0, 256, shape).astype(np.uint8)
        codec = ImageCodec.fit(X)
        np.testing.assert_array_equal(codec.decode(codec.encode(X)), X)


@pytest.mark.parametrize(
    ("kind", "low", "high"),
    [
        ("bytes", 0, 255),
        ("digits", 0, 16),
        ("bool", 0, 1),
        ("unit float32", 0, 1),
        ("signed float32", -1, 1),
        ("0..255 float", 0, 255),
    ],
)
def test_black_and_white_of_the_usual_ranges_are_the_ends(kind: str, low: float, high: float) -> None:
    codec = ImageCodec.fit(values(kind, (50, 8, 8)))
    assert (codec.low, codec.high) == (low, high)
    ends = codec.decode(torch.tensor([-1.0, 1.0]).repeat(32).reshape(1, 1, 8, 8))
    assert (ends.min(), ends.max()) == (low, high)


def test_generated_values_fall_on_the_grid_of_the_real_ones_and_outside_is_cut() -> None:
    codec = ImageCodec.fit(values("k/255 float32", (20, 8, 8)))
    X = codec.decode(torch.linspace(-1.5, 1.5, 64).reshape(1, 1, 8, 8))
    grid = (np.arange(256) / 255).astype(np.float32)
    assert np.isin(X, grid).all()
    assert (X.min(), X.max()) == (0, 1)


def test_brighter_stays_brighter() -> None:
    X = np.sort(RNG.uniform(-5, 5, 64)).reshape(1, 8, 8)
    assert (ImageCodec.fit(X).encode(X).flatten().diff() > 0).all()


def test_colour_channels_keep_their_place() -> None:
    X = np.zeros((2, 8, 8, 3), np.uint8)
    X[..., 1] = 255
    x = ImageCodec.fit(X).encode(X)
    assert (x[:, 1] == 1).all()
    assert (x[:, [0, 2]] == -1).all()


def test_a_codec_survives_json() -> None:
    codec = ImageCodec.fit(values("k/255 float64", (4, 8, 9, 3)))
    assert ImageCodec.from_dict(json.loads(json.dumps(codec.to_dict()))) == codec


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.zeros((2, 7, 8), np.uint8), "sides of 8 to 64 pixels; got 7 x 8"),
        (np.zeros((2, 65, 8, 3), np.uint8), "got 65 x 8"),
        (np.zeros((2, 8, 8, 4), np.uint8), "with 1 or 3 channels"),
        (np.zeros((2, 8, 8), complex), "images must be numbers; got dtype complex128"),
        (np.full((2, 8, 8), np.nan), "got 128 NaN or infinite values of 128"),
        (np.array(["a"] * 128).reshape(2, 8, 8), "images must be numbers"),
    ],
)
def test_wrong_images_are_refused(X: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        ImageCodec.fit(X)


def test_images_of_another_size_than_in_fit_are_refused() -> None:
    codec = ImageCodec.fit(values("bytes", (4, 8, 9)))
    with pytest.raises(DataError, match=r"\(1, 8, 9\) as in fit; got \(1, 9, 8\)"):
        codec.encode(np.zeros((2, 9, 8)))
