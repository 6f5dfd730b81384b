"""TableCodec: each column through its own quantiles, and back in its own dtype."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from ganaug.data.tables import TableCodec
from ganaug.errors import DataError

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("n", [2, 100, 1000])
@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "uint8", "bool"])
def test_rows_come_back_in_their_dtype(n: int, dtype: str) -> None:
    X = (RNG.normal(size=(n, 3)) * 20 + 100).clip(0, 255)
    X = X > 100 if dtype == "bool" else X.astype(dtype)
    codec = TableCodec.fit(X)
    x = codec.encode(X)
    assert x.shape == X.shape
    assert x.abs().max() <= 1
    back = codec.decode(x)
    assert back.dtype == X.dtype
    np.testing.assert_allclose(back, X, rtol=1e-6 if dtype == "float32" else 1e-12)


def test_frame_columns_keep_name_order_and_dtype() -> None:
    X = pd.DataFrame({"z": [1, 2, 3, 9], "a": [0.5, 1.5, 2.5, 2.5], "flag": [True, False, True, True]})
    X["half"] = X["a"].astype(np.float32)
    X[7] = X["z"].astype(np.int8)
    codec = TableCodec.fit(X)
    pd.testing.assert_frame_equal(codec.decode(codec.encode(X)), X, check_exact=False, rtol=1e-12)


def test_pandas_nullable_numbers_are_numbers() -> None:
    X = pd.DataFrame({"a": pd.array([1, 2, 5], dtype="Int64"), "b": pd.array([True, False, True])})
    codec = TableCodec.fit(X)
    assert codec.decode(codec.encode(X)).to_numpy().tolist() == [[1, True], [2, False], [5, True]]
    X.loc[1, "a"] = pd.NA
    with pytest.raises(DataError, match="X must be finite; got 1 NaN"):
        TableCodec.fit(X)


def test_a_constant_column_comes_back_constant_whatever_is_generated() -> None:
    X = np.column_stack([np.full(20, 5.0), RNG.normal(size=20)])
    codec = TableCodec.fit(X)
    assert (codec.encode(X)[:, 0] == 0).all()
    assert (codec.decode(torch.rand(50, 2) * 2 - 1)[:, 0] == 5).all()


def test_heavy_tails_become_even() -> None:
    X = np.exp(RNG.normal(size=(5000, 1)) * 5)
    x = TableCodec.fit(X).encode(X).numpy().ravel()
    shares, _ = np.histogram(x, bins=10, range=(-1, 1))
    assert shares.min() > 400
    assert shares.max() < 600


@pytest.mark.parametrize(
    "column", [RNG.normal(size=600), RNG.integers(0, 5, 600), RNG.exponential(size=600) ** 6]
)
def test_encoding_keeps_the_order(column: np.ndarray) -> None:
    X = np.sort(column)[:, None]
    x = TableCodec.fit(X).encode(X).numpy().ravel()
    assert (np.diff(x) >= 0).all()
    assert (np.diff(x)[np.diff(X.ravel()) > 0] > 0).all()


def test_whatever_is_generated_lies_in_the_range_of_the_fit_and_integers_are_whole() -> None:
    X = RNG.integers(-3, 12, (300, 2))
    back = TableCodec.fit(X).decode(torch.linspace(-3, 3, 200).reshape(-1, 2))
    assert back.dtype == X.dtype
    assert set(np.unique(back)) <= set(range(-3, 12))
    assert (back.min(), back.max()) == (-3, 11)


def test_values_outside_the_fit_are_cut() -> None:
    codec = TableCodec.fit(np.array([[0.0], [1.0], [2.0]]))
    assert codec.encode(np.array([[-9.0], [9.0]])).flatten().tolist() == [-1, 1]


def test_a_codec_survives_json() -> None:
    X = pd.DataFrame({"a": [1.5, 2.5, 9.0], 3: [1, 2, 2]})
    codec = TableCodec.fit(X)
    assert TableCodec.from_dict(json.loads(json.dumps(codec.to_dict()))) == codec


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.array([[1.0, np.nan], [np.inf, 2.0]]), r"X must be finite; got 2 NaN.*\(0, 1\)"),
        (np.array([["a", "b"]]), "columns must be numeric or boolean; 0, 1 are not"),
        (pd.DataFrame({"size": [1, 2], "colour": ["red", "blue"]}), "'colour' are not .*OrdinalEncoder"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "unique; got 'a' more than once"),
        (np.zeros((3, 0)), "at least one column"),
    ],
)
def test_wrong_tables_are_refused(X, message: str) -> None:
    with pytest.raises(DataError, match=message):
        TableCodec.fit(X)


def test_another_number_of_columns_than_in_fit_is_refused() -> None:
    with pytest.raises(DataError, match="3 columns as in fit; got 2"):
        TableCodec.fit(np.eye(3)).encode(np.zeros((1, 2)))


def test_a_table_without_columns_is_refused():
    with pytest.raises(DataError, match="at least one column"):
        TableCodec.fit(pd.DataFrame(index=range(4)))
