"""TableCodec: whatever the columns of a table hold, they come back as they were."""

import datetime
import decimal
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from ganaug._checks import reading
from ganaug.data.storage import Storage
from ganaug.data.tables import TableCodec
from ganaug.errors import CheckpointError, ConfigError, DataError

RNG = np.random.default_rng(0)
N = 300
ARROW = pd.ArrowDtype(pa.string())
WORDS = np.array(["red", "green", "blue", "ünï, \n"])
DAYS = pd.Series(pd.Timestamp("1960-02-29") + pd.to_timedelta(RNG.integers(0, 40_000, N), unit="D"))


def holes(column: Any, hole: Any) -> pd.Series:
    """Return a column with a fifth of its cells missing."""
    column = pd.Series(column).copy()
    column[RNG.random(N) < 0.2] = hole
    return column


def words(dtype: Any) -> pd.Series:
    return pd.Series(RNG.choice(WORDS, N), dtype=dtype)


def objects(values: Any) -> pd.Series:
    return pd.Series(list(values), dtype=object)


NUMBERS = {
    "float64": RNG.normal(size=N),
    "float32": RNG.normal(size=N).astype("float32"),
    "float16": RNG.normal(size=N).astype("float16"),
    "int8": RNG.integers(-100, 100, N).astype("int8"),
    "int64": RNG.integers(-(2**62), 2**62, N) * 2,
    "uint64": RNG.integers(0, 2**50, N).astype("uint64"),
    "bool": RNG.random(N) < 0.3,
    "heavy tail": np.exp(RNG.normal(size=N) * 8),
    "few levels": RNG.integers(0, 5, N),
    "spike": np.where(RNG.random(N) < 0.9, 0, RNG.exponential(size=N)),
    "two spikes": np.where(RNG.random(N) < 0.5, RNG.integers(0, 2, N), RNG.normal(size=N)),
    "one odd value": np.where(np.arange(N) == 7, 3.5, 1.0),
}
MISSING = {
    "float NaN": holes(RNG.normal(size=N), np.nan),
    "constant or NaN": holes(np.full(N, 3.0), np.nan),
    "spike or NaN": holes(NUMBERS["spike"], np.nan),
    "Int64": holes(pd.array(RNG.integers(0, 1000, N), dtype="Int64"), pd.NA),
    "UInt8": holes(pd.array(RNG.integers(0, 256, N), dtype="UInt8"), pd.NA),
    "Float32": holes(pd.array(RNG.normal(size=N), dtype="Float32"), pd.NA),
    "boolean": holes(pd.array(RNG.random(N) < 0.3, dtype="boolean"), pd.NA),
    "str": holes(words("str"), np.nan),
    "string": holes(words("string"), pd.NA),
    "string[python]": holes(words("string[python]"), pd.NA),
    "text or None": holes(words(object), None),
    "text or NaN": holes(words(object), np.nan),
    "text or NA": holes(words(object), pd.NA),
    "objects: integers": holes(objects(range(N)), None),
    "objects: booleans": holes(objects([True, False, True] * (N // 3)), None),
    "objects: numpy's booleans": holes(objects(map(np.bool_, [True, False, True] * (N // 3))), None),
    "objects: numbers": holes(objects([1, 2.5, 7] * (N // 3)), np.nan),
    "category": holes(words("category"), np.nan),
    "ordered": holes(words(pd.CategoricalDtype(["never", *WORDS[::-1]], ordered=True)), np.nan),
    "string categories": holes(words("string").astype("category"), np.nan),
    "Arrow categories": holes(words(ARROW).astype("category"), np.nan),
    "Arrow text": holes(words(ARROW), pd.NA),
    "integer category": holes(pd.Categorical(RNG.integers(0, 5, N)), np.nan),
    "booleans of numpy as categories": holes(
        objects(map(np.bool_, [True, False] * (N // 2))).astype("category"), np.nan
    ),
    "datetime64": holes(DAYS, pd.NaT),
    "with a zone": holes(DAYS.dt.tz_localize("Europe/Berlin"), pd.NaT),
    "hours with a zone": holes(
        pd.Timestamp("2020-10-20", tz="Europe/Berlin") + pd.to_timedelta(np.arange(N), unit="h"), pd.NaT
    ),
    "nanoseconds": holes(pd.to_datetime(RNG.integers(0, 10**15, N)), pd.NaT),
    "timedelta64": holes(pd.to_timedelta(RNG.integers(-(10**6), 10**6, N), unit="s"), pd.NaT),
    "date": holes(objects(DAYS.dt.date), None),
    "objects: timestamps": objects(DAYS.dt.tz_localize("UTC")),
    "large_string[pyarrow]": holes(words("large_string[pyarrow]"), pd.NA),
    "int32[pyarrow]": holes(pd.array(RNG.integers(0, 1000, N), dtype="int32[pyarrow]"), pd.NA),
    "timestamp[pyarrow]": holes(DAYS.astype("timestamp[us][pyarrow]"), pd.NA),
}
SAME = {
    "constant": np.full(N, 0.123456789),
    "constant text": words("category").iloc[:1].repeat(N).reset_index(drop=True),
    "all NaN": np.full(N, np.nan),
    "all None": objects([None] * N),
    "all NA": pd.array([pd.NA] * N, dtype="Int64"),
    "all NaT": pd.to_datetime(objects([None] * N)),
}
COLUMNS = {**NUMBERS, **MISSING, **SAME}


def frame(*names: str) -> pd.DataFrame:
    """Return the named columns beside one that varies."""
    return pd.DataFrame({**{name: COLUMNS[name] for name in names}, "other": np.arange(N)})


def saved(codec: TableCodec) -> TableCodec:
    return TableCodec.from_dict(json.loads(json.dumps(codec.to_dict(), allow_nan=False)))


class TestRoundTrip:
    @pytest.mark.parametrize("name", COLUMNS)
    def test_a_column_comes_back_also_after_json(self, name: str) -> None:
        X = frame(name)
        codec = saved(TableCodec.fit(X))
        assert codec == TableCodec.fit(X)
        pd.testing.assert_frame_equal(codec.decode(codec.encode(X)), X, rtol=1e-12, atol=0)

    @pytest.mark.parametrize("name", COLUMNS)
    def test_whatever_is_generated_has_the_dtype_and_lies_within_what_was_seen(self, name: str) -> None:
        X = frame(name)
        codec = TableCodec.fit(X)
        for n in (0, 1, 500):
            made = codec.decode(torch.rand(n, *codec.shape) * 3 - 1.5)
            assert made.dtypes.equals(X.dtypes)
            cells, seen = made[name].dropna(), X[name].dropna()
            if X[name].dtype == "category" or isinstance(seen.get(0), str):
                assert set(cells) <= set(seen)
            elif len(cells):
                assert seen.min() <= cells.min() <= cells.max() <= seen.max()

    @pytest.mark.parametrize("name", COLUMNS)
    def test_packed_rows_unpack_to_the_encoded_ones(self, name: str) -> None:
        X = frame(name)
        codec = TableCodec.fit(X)
        packed = codec.pack(X)
        assert (packed.shape, packed.dtype) == ((N, len(codec.blocks)), torch.float32)
        assert torch.equal(codec.unpack(packed[[5, 0]]), codec.encode(X).float()[[5, 0]])

    def test_all_of_them_in_one_table(self) -> None:
        X = frame(*COLUMNS)
        codec = TableCodec.fit(X)
        x = codec.encode(X)
        assert x.shape == (N, *codec.shape) == (N, sum(codec.blocks))
        pd.testing.assert_frame_equal(codec.decode(x), X, rtol=1e-12, atol=0)
        assert torch.equal(codec.unpack(codec.pack(X)), x.float())

    def test_packed_rows_are_unpacked_where_they_are(self) -> None:
        X = frame(*COLUMNS)
        codec = TableCodec.fit(X)
        assert codec.unpack(codec.pack(X).to("meta")).device.type == "meta"

    def test_scalars_lie_in_their_range_and_one_hots_are_exact(self) -> None:
        X = frame(*COLUMNS)
        codec = TableCodec.fit(X)
        for width, block in zip(codec.blocks, codec.encode(X).split(codec.blocks, dim=1), strict=True):
            if width == 1:
                assert block.abs().max() <= 1
            else:
                assert ((block == 0) | (block == 1)).all()
                assert (block.sum(1) == 1).all()
                assert (block.sum(0) > 0).all()

    @pytest.mark.parametrize(
        "dtype", ["float64", "float32", "int64", "uint8", "bool", "datetime64[D]", "<U6"]
    )
    def test_arrays_come_back_in_their_dtype(self, dtype: str) -> None:
        X = RNG.integers(0, 2 if dtype == "bool" else 200, (N, 3)).astype(dtype)
        codec = saved(TableCodec.fit(X))
        back = codec.decode(codec.encode(X))
        assert back.dtype == X.dtype
        np.testing.assert_array_equal(back, X)

    def test_an_array_of_objects_holds_what_it_held(self) -> None:
        X = np.empty((N, 4), dtype=object)
        X[:, 0], X[:, 1], X[:, 2] = RNG.choice(WORDS, N), range(N), RNG.random(N) < 0.5
        X[::7, 0] = X[::5, 1] = None
        X[:, 3] = DAYS.dt.date
        codec = saved(TableCodec.fit(X))
        back = codec.decode(codec.encode(X))
        assert back.tolist() == X.tolist()
        assert [type(v) for v in back[1]] == [type(v) for v in X[1]]

    @pytest.mark.parametrize("seed", range(20))
    def test_random_tables(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        n = int(rng.integers(2, 40))
        X = frame(*rng.choice(list(COLUMNS), 5, replace=False)).iloc[rng.integers(0, N, n)]
        X = X.reset_index(drop=True)
        X["other"] = np.arange(n)
        codec = saved(TableCodec.fit(X))
        pd.testing.assert_frame_equal(codec.decode(codec.encode(X)), X, rtol=1e-12, atol=0)

    @pytest.mark.parametrize(
        "columns",
        [
            pd.Index(["b", 3, "a"], name="field"),
            pd.Index([7, 1, 3], dtype="int32"),
            pd.RangeIndex(3),
            pd.MultiIndex.from_tuples([("x", 1), ("x", 2), ("y", 1)], names=["letter", None]),
            pd.Index(["a", "b", "c"], dtype="string"),
        ],
    )
    def test_names_of_columns_come_back(self, columns: pd.Index) -> None:
        X = pd.DataFrame(RNG.normal(size=(20, 3)), columns=columns)
        codec = saved(TableCodec.fit(X))
        pd.testing.assert_index_equal(codec.decode(codec.encode(X)).columns, columns, exact="equiv")

    def test_a_column_without_a_name_is_found_again_after_json(self) -> None:
        X = pd.get_dummies(pd.Series(["u", "v", None] * 20), dummy_na=True)
        codec = TableCodec.from_dict(json.loads(json.dumps(TableCodec.fit(X).to_dict())))
        pd.testing.assert_frame_equal(codec.decode(codec.encode(X.copy())), X)


class TestNumbers:
    def test_a_plain_column_is_one_scalar(self) -> None:
        X = RNG.normal(size=(N, 3))
        assert TableCodec.fit(X).blocks == (1, 1, 1)

    def test_heavy_tails_become_even(self) -> None:
        X = np.exp(RNG.normal(size=(5000, 1)) * 5)
        x = TableCodec.fit(X).encode(X).numpy().ravel()
        shares, _ = np.histogram(x, bins=10, range=(-1, 1))
        assert shares.min() > 400
        assert shares.max() < 600

    @pytest.mark.parametrize("column", [RNG.normal(size=600), RNG.exponential(size=600) ** 6])
    def test_encoding_keeps_the_order(self, column: np.ndarray) -> None:
        x = TableCodec.fit(column[:, None]).encode(np.sort(column)[:, None]).numpy().ravel()
        assert (np.diff(x) > 0).all()

    def test_the_mass_of_a_spike_survives(self) -> None:
        X = np.where(RNG.random((2000, 1)) < 0.9, 0, RNG.exponential(size=(2000, 1)))
        codec = TableCodec.fit(X)
        assert codec.blocks == (1, 2)
        x = codec.encode(X)
        drawn = codec.decode(x[torch.randint(len(x), (5000,))])
        assert abs((drawn == 0).mean() - (X == 0).mean()) < 0.02
        assert (x[(X == 0).ravel(), 0] == 0).all()
        assert x[(X != 0).ravel(), 0].std() > 0.5  # the others have the whole range to themselves

    @pytest.mark.parametrize(
        ("column", "blocks"),
        [
            (np.repeat(np.arange(16), 5), (16,)),
            (np.repeat(np.arange(17), 5), (1,)),
            (np.repeat(np.arange(16), 5)[:-1], (1,)),
            (np.r_[np.zeros(10), np.arange(1, 101)], (1, 2)),
            (np.r_[np.zeros(9), np.arange(1, 101)], (1,)),
            (np.r_[np.zeros(10), np.arange(1, 300)], (1,)),
            (np.r_[np.zeros(90), 1], (2,)),
        ],
    )
    def test_what_counts_as_often(self, column: np.ndarray, blocks: tuple[int, ...]) -> None:
        assert TableCodec.fit(column[:, None].astype(float)).blocks == blocks

    def test_values_outside_the_fit_are_cut_and_new_levels_are_the_nearest_one(self) -> None:
        codec = TableCodec.fit(np.array([[0.0], [1.0], [2.0]]))
        assert codec.encode(np.array([[-9.0], [9.0]])).flatten().tolist() == [-1, 1]
        levels = TableCodec.fit(np.repeat([[0], [10], [20]], 9, axis=0))
        new = np.array([[-5], [4], [6], [99]])
        assert levels.decode(levels.encode(new)).ravel().tolist() == [0, 0, 10, 20]

    @pytest.mark.parametrize("decimals", [0, 1, 2, 6])
    @pytest.mark.parametrize("dtype", ["float64", "float32", "Float32", "float[pyarrow]", "Float64"])
    def test_decimals_are_those_of_the_fit(self, decimals: int, dtype: str) -> None:
        X = pd.DataFrame(np.round(RNG.normal(size=(N, 1)) * 3, decimals)).astype(dtype)
        codec = TableCodec.fit(X)
        np.testing.assert_array_equal(codec.decode(codec.encode(X)), X)
        made = codec.decode(torch.rand(500, *codec.shape) * 2 - 1)
        pd.testing.assert_frame_equal(made, made.astype(float).round(decimals).astype(dtype))

    @pytest.mark.parametrize(
        ("unit", "zone"), [("D", None), ("h", None), ("s", "Europe/Berlin"), ("ms", None), ("us", "UTC")]
    )
    def test_dates_are_multiples_of_the_unit_of_the_fit(self, unit: str, zone: str | None) -> None:
        days = pd.Timestamp("1950-01-01") + pd.to_timedelta(RNG.integers(0, 10**4, N), unit=unit)
        X = pd.DataFrame({"day": days.tz_localize(zone)})
        codec = TableCodec.fit(X)
        made = codec.decode(torch.rand(500, 1) * 2 - 1)["day"]
        utc = made if zone is None else made.dt.tz_convert("UTC").dt.tz_localize(None)
        assert made.dtype == X["day"].dtype
        assert (utc == utc.dt.floor(unit)).all()
        assert X["day"].min() <= made.min() <= made.max() <= X["day"].max()

    @pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "UTC", "+05:30"])
    def test_days_with_a_zone_are_whole_ones_by_its_clocks(self, zone: str) -> None:
        X = pd.DataFrame({"day": pd.date_range("2025-01-01", periods=365, tz=zone)})
        codec = saved(TableCodec.fit(X))
        pd.testing.assert_frame_equal(codec.decode(codec.encode(X)), X)
        made = codec.decode(torch.rand(500, 1) * 2 - 1)["day"]
        assert made.dtype == X["day"].dtype
        assert (made == made.dt.normalize()).all()
        naive = pd.DataFrame({"day": X["day"].dt.tz_localize(None)})
        assert torch.equal(codec.encode(naive), codec.encode(X))

    @pytest.mark.parametrize("unit", ["s", "us"])
    def test_dates_too_far_away_for_the_unit_of_the_fit_become_its_ends(self, unit: str) -> None:
        codec = TableCodec.fit(pd.DataFrame({"day": DAYS.astype("M8[ns]")}))
        far = np.array(["9999-12-31", "0001-01-01", DAYS[0]], dtype=f"M8[{unit}]")
        decoded = codec.decode(codec.encode(pd.DataFrame({"day": far})))["day"]
        assert decoded.tolist() == [DAYS.max(), DAYS.min(), DAYS[0]]

    def test_durations_too_long_for_the_unit_of_the_fit_become_its_ends(self) -> None:
        times = pd.to_timedelta(np.arange(9), unit="s")
        codec = TableCodec.fit(pd.DataFrame({"time": times.astype("m8[ns]")}))
        far = np.array([2**40, -(2**40), 3], dtype="m8[s]")
        assert codec.decode(codec.encode(pd.DataFrame({"time": far})))["time"].tolist() == [*times[[8, 0, 3]]]

    @pytest.mark.parametrize(
        ("columns", "numeric"),
        [
            ({"x": [0.5, 1], "n": [2**53, -(2**53)]}, True),
            ({"x": [0.5, 1], "n": [2**53 + 1, 0]}, False),
            ({"x": [0.5, 1], "n": [0, -(2**53) - 1]}, False),
            ({"m": [1, 2], "n": [2**62, 0]}, True),
            ({"m": np.array([1, 2], "uint64"), "n": [2**62, 0]}, False),
            ({"x": [0.5, 1], "word": ["a", "b"]}, False),
        ],
    )
    def test_a_numeric_table_fits_into_an_array_without_loss(self, columns: dict, numeric: bool) -> None:
        assert TableCodec.fit(pd.DataFrame(columns)).numeric == numeric

    def test_integers_of_the_full_range_keep_their_ends(self) -> None:
        ends = [-(2**63), 0, 2**63 - 1]
        codec = TableCodec.fit(np.array(ends)[:, None])
        assert codec.decode(torch.tensor([[-1.0], [1.0]])).ravel().tolist() == [ends[0], ends[-1]]

    def test_a_number_may_come_in_another_dtype_than_in_fit(self) -> None:
        X = pd.DataFrame({"n": np.arange(N), "flag": np.arange(N) % 2 == 0})
        codec = TableCodec.fit(X)
        for other in (X.astype(float), X.astype({"n": "Int64"}), X.astype(object), X.astype("float32")):
            assert torch.equal(codec.encode(other), codec.encode(X))


class TestCategories:
    def test_order_and_unused_categories_stay(self) -> None:
        dtype = pd.CategoricalDtype(["low", "mid", "high", "never"], ordered=True)
        X = pd.DataFrame({"level": pd.Series(["mid", "high", "low"] * 9, dtype=dtype)})
        codec = TableCodec.fit(X)
        assert codec.blocks == (3,)
        made = codec.decode(torch.randn(100, 3))["level"]
        assert made.dtype == dtype
        assert made.max() == "high"

    def test_a_fold_may_lack_a_category_or_have_a_new_one(self) -> None:
        X = pd.DataFrame({"c": ["a", "b", "c"] * 9})
        codec = TableCodec.fit(X)
        assert codec.encode(X.iloc[:1]).tolist() == [[1, 0, 0]]
        for new in ("new", None, 7):
            fold = pd.DataFrame({"c": pd.Series([new, "b"], dtype=object)}) if new != 7 else X.iloc[:2] * 7
            torch.testing.assert_close(codec.encode(fold)[0], torch.full((3,), 1 / 3).double())
            assert codec.unpack(codec.pack(fold)).sum(1).tolist() == [1, 1]
        for same in (X.astype("category"), X.astype("string"), X.astype(object)):
            assert torch.equal(codec.encode(same), codec.encode(X))

    def test_a_missing_cell_where_fit_saw_none_is_the_median(self) -> None:
        codec = TableCodec.fit(np.arange(9.0)[:, None])
        assert codec.encode(np.array([[np.nan]])).tolist() == [[0]]
        assert codec.decode(codec.encode(np.array([[np.nan]]))).tolist() == [[4]]

    def test_rare_categories_share_a_scalar_by_their_frequency(self) -> None:
        n = np.r_[np.full(63, 50), 1, 3, 6]
        X = pd.DataFrame({"c": np.repeat([f"c{i:02}" for i in range(66)], n)})
        codec = saved(TableCodec.fit(X))
        assert codec.blocks == (1, 64)
        rare = pd.DataFrame({"c": ["c63", "c64", "c65", "new"]})
        x = codec.encode(rare)
        assert x[:, 1].tolist() == [1] * 4
        np.testing.assert_allclose(x[:, 0], [-0.9, -0.5, 0.4, 0])
        x = torch.zeros(10_000, 65)
        x[:, 0], x[:, 1] = torch.linspace(-1, 1, 10_000), 1
        shares = codec.decode(x)["c"].value_counts(normalize=True)
        np.testing.assert_allclose(shares[["c63", "c64", "c65"]], [0.1, 0.3, 0.6], atol=1e-3)

    @pytest.mark.parametrize("dtype", ["category", "str", object])
    def test_a_hundred_thousand_categories_cost_65_numbers(self, dtype: Any) -> None:
        X = pd.DataFrame({"id": pd.Series([f"id {i}" for i in range(100_000)], dtype=dtype)})
        codec = TableCodec.fit(X)
        assert codec.blocks == (1, 64)
        rows = RNG.integers(0, 100_000, 1000)
        part = X.iloc[rows].reset_index(drop=True)
        pd.testing.assert_frame_equal(codec.decode(codec.unpack(codec.pack(part))), part)

    def test_64_categories_are_all_atoms(self) -> None:
        X = pd.DataFrame({"c": [f"{i}" for i in range(64)]})
        assert TableCodec.fit(X).blocks == (64,)


class TestMissing:
    @pytest.mark.parametrize("name", MISSING)
    def test_filled_cells_are_drawn_from_the_column_and_none_is_generated(self, name: str) -> None:
        X = frame(name)
        codec = saved(TableCodec.fit(X, missing="fill"))
        back = codec.decode(codec.encode(X))
        assert back.dtypes.equals(X.dtypes)
        seen = X[name].notna()
        assert not back[name].isna().any()
        assert not codec.decode(torch.rand(300, *codec.shape) * 2 - 1).isna().any().any()
        assert set(back[name][~seen]) <= set(back[name][seen])
        pd.testing.assert_frame_equal(back[seen], X[seen], rtol=1e-12, atol=0)
        assert torch.equal(codec.unpack(codec.pack(X)), codec.encode(X).float())

    def test_the_share_of_missing_cells_is_learned(self) -> None:
        X = frame("float NaN")
        codec = TableCodec.fit(X)
        assert codec.blocks == (1, 2, 1)
        assert codec.encode(X)[:, 2].numpy().mean() == X["float NaN"].isna().mean()

    def test_a_column_missing_throughout_stays_so(self) -> None:
        X = frame("all NaN")
        for missing in ("keep", "fill"):
            codec = TableCodec.fit(X, missing=missing)
            assert codec.blocks == (1,)
            assert codec.decode(torch.rand(5, 1))["all NaN"].isna().all()

    def test_an_unknown_treatment_is_named(self) -> None:
        with pytest.raises(ConfigError, match="missing must be one of 'keep', 'fill'; got 'drop'"):
            TableCodec.fit(frame("str"), missing="drop")


def test_a_column_of_one_value_takes_no_block() -> None:
    X = np.column_stack([np.full(20, 5.0), RNG.normal(size=20)])
    codec = TableCodec.fit(X)
    assert codec.blocks == (1,)
    assert (codec.decode(torch.rand(50, 1) * 2 - 1)[:, 0] == 5).all()


def test_a_numeric_array_needs_no_pandas() -> None:
    code = (
        "import sys, numpy as np; from ganaug.data.tables import TableCodec; X = np.eye(30);"
        "X[3, 3] = np.nan; c = TableCodec.fit(X); c.decode(c.encode(X)); assert 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def with_cells(*cells: Any) -> pd.DataFrame:
    return pd.DataFrame({"odd": pd.Series(cells, dtype=object), "n": range(len(cells))})


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (
            np.array([[1.0, -np.inf], [np.inf, 2], [1, np.inf]]),
            "column 0 must be finite; got 1 infinite .* of 3",
        ),
        (np.array([[1.0, 3], [7, 2], [1, np.inf]]), "column 1 must be finite; got 1 infinite values of 3"),
        (
            pd.DataFrame({"a": [1, np.inf, -np.inf]}),
            r"column 'a' must .* got 2 infinite .* as missing \(NaN\)",
        ),
        (with_cells(1.5, 1e301), "column 'odd' must be within 1e300 of zero; got 1 values above 1e300 of 2"),
        (with_cells(1.5, np.inf), "column 'odd' must be finite; got 1"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "unique; got 'a' more than once"),
        (np.zeros((3, 0)), "at least one column"),
        (pd.DataFrame(index=range(4)), "at least one column"),
        (np.zeros((0, 3)), "at least one row"),
        (np.full((9, 2), 3), "each of its 2 columns is constant, so there is nothing to learn"),
        (with_cells(True, "a"), r"'odd' must hold cells of one type; got 'bool', 'str'.*\.astype\(str\)"),
        (with_cells(1, "a", None), "'odd' must hold cells of one type; got 'int', 'str'"),
        (with_cells(1.5, "a"), "'odd' must hold cells of one type; got 'float', 'str'"),
        (with_cells(True, 2), "'odd' must hold cells of one type; got 'bool', 'int'"),
        (with_cells([1], [2]), "'odd' must hold numbers, .* got list"),
        (with_cells({}, None), "'odd' must hold numbers, .* got dict"),
        (with_cells(decimal.Decimal(1), None), r"'odd' must hold numbers, .* got decimal.*\.astype\(float\)"),
        (with_cells(b"a", b"b"), "'odd' must hold numbers, .* got bytes"),
        (with_cells(1j, 2j), "'odd' must hold numbers, .* got complex"),
        (with_cells(2**70, 1), "'odd' must hold integers that pandas can store"),
        (with_cells(datetime.datetime(9999, 1, 1), datetime.time(3)), "'odd' must hold cells of one type"),
        (np.zeros((3, 2), complex), "column 0 must hold numbers, .* got complex128"),
        (np.array([[b"a"], [b"b"]]), r"column 0 must hold numbers, .* got \|S1"),
        (
            np.array([[2**63], [1]], dtype=np.uint64),
            r"below 2\*\*63; got 9223372036854775808. Is it an ident",
        ),
        (pd.DataFrame({"p": pd.period_range("2020", periods=3)}), r"'p' must hold .* got dtype period"),
        (pd.DataFrame({"c": pd.cut([1, 2, 3], 2)}), "'c' must hold .* got categories such as Interval"),
        (pd.DataFrame({"s": pd.arrays.SparseArray([0.0, 1, 2])}), "'s' must hold .* got dtype Sparse"),
        (
            pd.DataFrame([[1], [2]], columns=[pd.Timestamp(0)]),
            "names must be text or numbers; got 'Timestamp'",
        ),
    ],
)
def test_wrong_tables_are_refused(X: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        TableCodec.fit(X)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X: X[["b", "a"]], "columns must be 'a', 'b' as in fit; got 'b', 'a'"),
        (lambda X: X[["a"]], "columns must be 'a', 'b' as in fit; got 'a'"),
        (lambda X: X.assign(c=1), "columns must be 'a', 'b' as in fit; got 'a', 'b', 'c'"),
        (lambda X: X.to_numpy()[:, :1], "X must have 2 columns as in fit; got 1"),
        (lambda X: X.assign(a="x"), "column 'a' must hold integers as in fit; got categories"),
        (lambda X: X.assign(b=1), "column 'b' must hold dates as in fit; got integers"),
        (lambda X: X.assign(a=np.inf), "column 'a' must be finite; got 9 infinite"),
    ],
)
def test_data_unlike_that_of_fit_is_refused(change: Callable[[Any], Any], message: str) -> None:
    X = pd.DataFrame({"a": range(9), "b": DAYS[:9]})
    with pytest.raises(DataError, match=message):
        TableCodec.fit(X).encode(change(X))


@pytest.mark.parametrize("field", ["dtype", "category_dtype"])
def test_a_dtype_of_a_gigabyte_is_no_dtype_of_a_column(field: str) -> None:
    described = {"dtype": "category", "extension": True, "categories": ["a"], field: "V1000000000"}
    with pytest.raises(DataError, match="dtypes must be those of numbers, dates and text; got 'V1000000000'"):
        Storage.from_dict(described)
    assert Storage.from_dict({**described, field: "string"}).extension


def test_column_names_of_a_gigabyte_each_are_refused() -> None:
    described = TableCodec.fit(pd.DataFrame({"a": [1.0, 2.0, 3.0]})).to_dict()
    assert TableCodec.from_dict(described).to_dict() == described
    with pytest.raises(DataError, match="dtypes must be those of numbers, dates and text"):
        TableCodec.from_dict({**described, "index_dtype": "V1000000000"})
    with (
        pytest.raises(CheckpointError, match=r"a\.safetensors .*SyntaxError"),
        reading("a.safetensors", "it"),
    ):
        TableCodec.from_dict({**described, "index_dtype": "(2,3"})
