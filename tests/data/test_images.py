"""ImageCodec: whatever comes in comes back, in its own layout, dtype and range."""

import json
import tracemalloc

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


@pytest.mark.parametrize("kind", EXACT)
@pytest.mark.parametrize(("shape", "layout", "encoded"), LAYOUTS)
def test_packed_images_unpack_to_the_encoded_ones_bit_for_bit(
    kind, shape, layout, encoded, monkeypatch
) -> None:
    monkeypatch.setattr("ganaug.data.images.PIECE_VALUES", 700)  # pieces of two images
    X = values(kind, shape)
    codec = ImageCodec.fit(X)
    packed = codec.pack(X)
    small = codec.levels is not None and codec.levels <= 255
    assert packed.dtype == (torch.uint8 if small else torch.float32)
    assert packed.shape == (4, *encoded)
    assert packed.is_contiguous(memory_format=torch.channels_last)
    x = codec.unpack(packed[[3, 0, 1, 2]])
    assert x.dtype == torch.float32
    assert torch.equal(x, codec.encode(X).float()[[3, 0, 1, 2]])


def test_most_images_are_packed_as_bytes() -> None:
    small = {
        k for k in EXACT if ImageCodec.fit(values(k, (4, 8, 8))).pack(values(k, (4, 8, 8))).itemsize == 1
    }
    wide = {"int16", "uint16", "unit float32", "signed float32", "float16", "wide float32"}
    assert small == set(EXACT) - wide


def test_bytes_stored_as_they_are_packed_are_not_copied() -> None:
    for kind, shape in (("bytes", (4, 9, 12)), ("bytes", (4, 8, 10, 3))):
        X = values(kind, shape)
        X.flags.writeable = False
        codec = ImageCodec.fit(X)
        assert codec.pack(X).data_ptr() == X.ctypes.data
    chw = values("bytes", (4, 3, 8, 10))
    assert ImageCodec.fit(chw).pack(chw).data_ptr() != chw.ctypes.data


@pytest.mark.parametrize(
    ("kind", "pack_bytes"), [("bytes", 0), ("int16", 4), ("k/255 float32", 1), ("unit float32", 4)]
)
def test_fit_and_pack_copy_no_more_than_they_return(kind: str, pack_bytes: int, monkeypatch) -> None:
    monkeypatch.setattr("ganaug.data.images.PIECE_VALUES", 10_000)
    of_pieces = 80 * 10_000
    X = values(kind, (4_000, 8, 8, 3))
    tracemalloc.start()
    codec = ImageCodec.fit(X)
    at_fit = tracemalloc.get_traced_memory()[1]
    packed = codec.pack(X)
    at_pack = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert packed.shape == (4_000, 3, 8, 8)
    assert at_fit < (of_pieces if X.dtype.kind == "f" else 20_000)
    assert at_pack < pack_bytes * X.size + of_pieces < 8 * X.size


def test_float64_images_come_back_to_the_last_digits() -> None:
    X = RNG.uniform(-1, 1, (4, 8, 8)) * 1000
    codec = ImageCodec.fit(X)
    np.testing.assert_allclose(codec.decode(codec.encode(X)), X, rtol=0, atol=2e-12)


@pytest.mark.parametrize("side", range(8, 129))
def test_every_side_from_8_to_128_is_taken_in_both_layouts(side: int) -> None:
    for shape in ((2, side, 136 - side, 1), (2, 3, 136 - side, side)):
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
        (np.zeros((2, 7, 8), np.uint8), "sides of 8 to 128 pixels; got 7 x 8"),
        (np.zeros((2, 129, 8, 3), np.uint8), "got 129 x 8"),
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


def test_integers_too_large_for_floats_are_not_said_to_be_exact() -> None:
    X = values("bytes", (4, 8, 8)).astype(np.int64) + 2**60
    assert ImageCodec.fit(X).levels is None


def test_packed_bytes_beyond_the_levels_are_refused() -> None:
    codec = ImageCodec.fit(values("digits", (4, 8, 8)))
    with pytest.raises(IndexError):
        codec.unpack(torch.full((1, 1, 8, 8), 17, dtype=torch.uint8))
