"""Any data of the kinds that are taken: it comes back, or an error says what is wrong with it."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch.utils.data import TensorDataset

import ganaug
from ganaug.data.images import ImageCodec
from ganaug.data.schema import Schema
from ganaug.data.tables import TableCodec
from ganaug.errors import ConfigError, DataError
from ganaug.mixing.fill import fill_counts

TINY = ganaug.GANConfig(network="mlp", width=4, z_dim=4, train_images=32, batch_size=16, precision="float32")
SLOW = settings(
    max_examples=5, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None
)
FAST = settings(SLOW, max_examples=40)

INTEGERS = (
    hnp.integer_dtypes(endianness="=") | hnp.unsigned_integer_dtypes(endianness="=") | hnp.boolean_dtypes()
)
FLOATS = hnp.floating_dtypes(endianness="=", sizes=(16, 32, 64))
SIDES = st.integers(8, 12)


@st.composite
def pictures(draw: st.DrawFn, dtypes: Any) -> np.ndarray:
    n, height, width = draw(st.integers(1, 4)), draw(SIDES), draw(SIDES)
    shape = draw(
        st.sampled_from(
            [
                (n, height, width),
                *((n, height, width, c) for c in (1, 3)),
                *((n, c, height, width) for c in (1, 3)),
            ]
        )
    )
    dtype = draw(dtypes)
    values: dict[str, Any] = {"allow_nan": False, "allow_infinity": False} if dtype.kind == "f" else {}
    if dtype.kind == "f":
        values |= {"min_value": -(2.0**15), "max_value": 2.0**15}
    return draw(hnp.arrays(dtype, shape, elements=hnp.from_dtype(dtype, **values)))


@FAST
@given(pictures(INTEGERS))
def test_images_of_integers_come_back_exactly_where_their_range_is_that_of_pixels(X: np.ndarray) -> None:
    if max(-int(X.min()), int(X.max())) > 2**62:
        with pytest.raises(DataError, match=r"within 2\*\*62 of zero"):
            ImageCodec.fit(X)
        return
    codec = ImageCodec.fit(X)
    again = codec.decode(codec.encode(X))
    assert again.dtype == X.dtype
    assert again.shape == X.shape
    if codec.levels is not None:
        assert np.array_equal(again, X)
    else:
        span = float(X.max()) - float(X.min())
        assert np.all(np.abs(again.astype(np.float64) - X.astype(np.float64)) <= 1 + span * 1e-15)


def test_integers_that_no_float_holds_are_refused_as_images() -> None:
    X = np.full((2, 8, 8), 2**63 - 1)
    X[0] = 0
    with pytest.raises(DataError, match=r"within 2\*\*62 of zero; got 0 to 9.22e\+18"):
        ImageCodec.fit(X)
    assert ImageCodec.fit(X // 2).levels is None


@FAST
@given(pictures(FLOATS))
def test_images_of_floats_come_back_within_the_error_that_is_told(X: np.ndarray) -> None:
    codec = ImageCodec.fit(X)
    x = codec.encode(X)
    assert float(x.abs().max()) <= 1
    again = codec.decode(x)
    assert again.dtype == X.dtype
    allowed = (codec.high - codec.low) * 1e-15 + np.spacing(np.abs(X)).astype(np.float64) / 2
    assert np.all(np.abs(again.astype(np.float64) - X.astype(np.float64)) <= allowed)


CELLS = {
    "int64": st.integers(-(2**62), 2**62),
    "int8": st.integers(-128, 127),
    "float64": st.floats(-1e9, 1e9) | st.just(float("nan")),
    "bool": st.booleans(),
    "str": st.text(st.characters(codec="utf-8"), max_size=6) | st.none(),
}


@FAST
@given(st.data())
def test_rows_come_back_with_their_dtypes_ranges_and_categories(data: st.DataObject) -> None:
    n = data.draw(st.integers(2, 30))
    kinds = data.draw(st.lists(st.sampled_from(list(CELLS)), min_size=1, max_size=4))
    X = pd.DataFrame(
        {
            f"{i}": pd.array(
                data.draw(st.lists(CELLS[kind], min_size=n, max_size=n)),
                dtype="object" if kind == "str" else kind,
            )
            for i, kind in enumerate(kinds)
        }
    )
    try:
        codec = TableCodec.fit(X)
    except DataError as error:
        told = str(error)
        assert "varies" in told
        assert all(X[c].nunique(dropna=False) == 1 for c in X)
        return
    again = codec.decode(codec.encode(X))
    assert again.shape == X.shape
    assert (again.dtypes == X.dtypes).all()
    restored = TableCodec.from_dict(codec.to_dict()).decode(codec.encode(X))
    for name, kind in zip(X, kinds, strict=True):
        pd.testing.assert_series_equal(again[name], restored[name])
        assert (again[name].isna() == X[name].isna()).all()
        if kind in ("bool", "str"):
            assert again[name].fillna("").tolist() == X[name].fillna("").tolist()
        else:
            seen = X[name].dropna().astype(float)
            assert again[name].dropna().between(seen.min(), seen.max()).all()


WORDS = st.text(min_size=0, max_size=8) | st.sampled_from(
    ["<script>", "a/b", "../..", "\u202eabc", "🦊", "a\nb", "x" * 5000, "NaN", "None", " ", "\x00", "=1+1"]
)
LABELS = {
    "integers": st.integers(-(2**63), 2**63 - 1),
    "text": WORDS,
    "booleans": st.booleans(),
    "whole floats": st.integers(-(2**40), 2**40).map(float),
}


@FAST
@given(st.data(), st.sampled_from(list(LABELS)), st.booleans())
def test_labels_of_every_kind_keep_their_values_and_dtype(
    data: st.DataObject, kind: str, objects: bool
) -> None:
    classes = data.draw(st.lists(LABELS[kind], min_size=2, max_size=6, unique=True))
    y = np.array(classes * 2, dtype=object if objects else None)
    X = np.random.default_rng(0).normal(size=(len(y), 2))
    schema = Schema.fit(X, y)
    again = schema.decode_y(schema.encode_y(y))
    assert again.dtype == y.dtype
    assert again.tolist() == y.tolist()
    assert [schema.labels.tolist()[schema.class_index(v)] for v in y.tolist()] == y.tolist()
    restored = Schema.from_dict(schema.to_dict())
    assert restored.labels.tolist() == schema.labels.tolist()
    assert restored.labels.dtype == schema.labels.dtype


@SLOW
@given(
    classes=st.lists(WORDS, min_size=2, max_size=4, unique=True),
    shape=st.sampled_from([(8, 8), (9, 14), (8, 8, 3), (1, 11, 8), (64,), (1,), (5,)]),
    dtype=st.sampled_from(["uint8", "float32", "float64", "int16", "bool"]),
    constant=st.booleans(),
    per_class=st.integers(2, 5),
)
def test_whatever_is_fitted_gives_the_counts_shape_dtype_and_range_that_are_asked_for(
    classes: list[str], shape: tuple[int, ...], dtype: str, constant: bool, per_class: int
) -> None:
    y = np.repeat(np.array(classes, dtype=object), per_class)
    rng = np.random.default_rng(len(classes))
    X = (np.zeros((len(y), *shape)) if constant else rng.integers(0, 2, (len(y), *shape))).astype(dtype)
    try:
        gan = ganaug.ConditionalGAN(config=TINY, random_state=0).fit(X, y)
    except (DataError, ConfigError) as error:
        told = str(error)
        assert len(shape) == 1
        assert "varies" in told
        return
    counts = {label: i for i, label in enumerate(classes)}
    X_new, y_new = gan.generate(counts, random_state=0)
    assert {label: int((y_new == label).sum()) for label in classes} == counts
    assert X_new.dtype == X.dtype
    assert X_new.shape == (len(y_new), *shape)
    assert not len(X_new) or (X_new.min() >= min(X.min(), 0) and X_new.max() <= max(X.max(), 1))


@pytest.mark.parametrize("side", [8, 128])
def test_the_smallest_and_the_largest_images_two_samples_a_class(side: int) -> None:
    X = np.random.default_rng(0).integers(0, 256, (4, side, side), dtype=np.uint8)
    gan = ganaug.ConditionalGAN(config=TINY, random_state=0).fit(X, [0, 0, 1, 1])
    assert gan.generate(2)[0].shape == (4, side, side)
    for wrong in (side - 1, side + 1):
        if not 8 <= wrong <= 128:
            with pytest.raises(DataError, match=f"8 to 128 pixels; got {wrong} x {wrong}"):
                ganaug.ConditionalGAN(config=TINY).fit(np.zeros((4, wrong, wrong)), [0, 0, 1, 1])


def test_three_hundred_classes() -> None:
    y = np.arange(600) % 300
    X = np.random.default_rng(0).normal(size=(600, 2))
    X_new, y_new = ganaug.ConditionalGAN(config=TINY, random_state=0).fit(X, y).generate(1)
    assert sorted(y_new.tolist()) == list(range(300))
    assert X_new.shape == (300, 2)


@SLOW
@given(
    counts=st.lists(st.integers(2, 12), min_size=2, max_size=4),
    dtype=st.sampled_from(["float32", "float64", "int32"]),
    strategy=st.sampled_from(["auto", "all", "not majority", "minority"]),
    labels=st.sampled_from(["int", "str", "negative"]),
)
def test_an_oversampler_keeps_the_originals_first_and_repeats_itself(
    counts: list[int], dtype: str, strategy: str, labels: str
) -> None:
    of = {"int": list, "str": lambda r: [f"c {i}" for i in r], "negative": lambda r: [-i for i in r]}[labels]
    y = np.repeat(np.array(of(range(len(counts)))), counts)
    X = np.random.default_rng(0).normal(scale=50, size=(len(y), 3)).astype(dtype)
    made = [
        ganaug.GANOverSampler(sampling_strategy=strategy, config=TINY, random_state=3).fit_resample(X, y)
        for _ in range(2)
    ]
    X_more, y_more = made[0]
    assert np.array_equal(X_more[: len(X)], X)
    assert np.array_equal(y_more[: len(y)], y)
    assert (X_more.dtype, y_more.dtype) == (X.dtype, y.dtype)
    assert np.array_equal(X_more, made[1][0])
    sizes = dict(zip(*np.unique(y_more, return_counts=True), strict=True))
    assert sizes[y[0]] >= counts[0]
    if strategy in ("auto", "all", "not majority"):
        assert set(sizes.values()) == {max(counts)}


@SLOW
@given(p=st.floats(0, 1), seed=st.integers(0, 2**31 - 1), n=st.integers(2, 20))
def test_a_swap_changes_no_number_of_rows_and_nothing_after_fitting(p: float, seed: int, n: int) -> None:
    y = np.arange(2 * n) % 2
    X = np.random.default_rng(seed).normal(size=(2 * n, 3))
    swap = ganaug.SyntheticSwap(p=p, config=TINY, random_state=seed)
    X_mixed = swap.fit_transform(X, y)
    assert X_mixed.shape == X.shape
    changed = (X_mixed != X).any(axis=1)
    assert p > 0 or not changed.any()
    assert p < 1 or changed.all()
    assert np.array_equal(swap.transform(X), X)


@SLOW
@given(
    counts=st.lists(st.integers(2, 9), min_size=2, max_size=4), fill=st.sampled_from(["balance", 1.5, 2.0, 3])
)
def test_a_data_set_says_of_each_item_what_the_item_is(counts: list[int], fill: Any) -> None:
    y = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    X = torch.rand(len(y), 8, 8)
    gan = ganaug.ConditionalGAN(config=TINY, random_state=0).fit(X, y)
    train = ganaug.AugmentedDataset(TensorDataset(X, y), gan, fill=fill)
    wanted = fill_counts(y.numpy(), fill)
    assert len(train) == len(y) + sum(wanted.values()) == len(train.targets)
    origins = [train.origin(i) for i in range(len(train))]
    assert origins == ["real"] * len(y) + ["synthetic"] * sum(wanted.values())
    for i in range(len(train)):
        x, label = train[i]
        assert int(label) == int(train.targets[i])
        assert x.shape == (8, 8)
        if origins[i] == "real":
            assert torch.equal(x, X[i])
    made = np.array(train.targets)[len(y) :]
    assert {int(k): int((made == k).sum()) for k in np.unique(made)} == {
        int(k): n for k, n in wanted.items() if n
    }


@FAST
@given(st.data(), st.sampled_from(list(LABELS)))
def test_what_is_saved_with_strange_names_is_opened_with_them(data: st.DataObject, kind: str) -> None:
    classes = data.draw(st.lists(LABELS[kind], min_size=2, max_size=3, unique=True))
    y = np.array(classes * 2, dtype=object)
    schema = Schema.fit(np.random.default_rng(0).integers(0, 255, (len(y), 8, 8), dtype=np.uint8), y)
    samples = np.zeros((len(classes), 8, 8), dtype=np.uint8)
    bank = ganaug.SampleBank(samples, np.arange(len(classes)), schema)
    with tempfile.TemporaryDirectory() as above:
        opened = bank.save(Path(above) / "deep" / "bank")
        assert list(opened.counts) == schema.labels.tolist()
        bank.export(Path(above) / "deep" / "files")
        images = list((Path(above) / "deep" / "files").glob("*/*.png"))
        assert len(images) == len(classes)  # one folder each
        assert sorted(p.name for p in Path(above).iterdir()) == ["deep"]  # and none outside
        assert sorted(p.name for p in (Path(above) / "deep").iterdir()) == ["bank", "files"]
