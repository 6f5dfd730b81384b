"""What is exported comes back: labels, dtypes and values, from every format."""

import csv
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ganaug import ConfigError, SampleBank
from ganaug.data.schema import Schema
from ganaug.errors import GanaugWarning
from ganaug.formats import FORMATS
from ganaug.formats.cells import FORMULA, neutral, restored

EASY = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
IMAGE_FORMATS = [name for name, kinds in FORMATS.items() if "image" in kinds]
TABLE_FORMATS = [name for name, kinds in FORMATS.items() if "table" in kinds]
MIXED_FORMATS = [name for name in TABLE_FORMATS if name != "npz"]
CHARACTERS = st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\t\r\n=+-@'")
TEXTS = st.text(CHARACTERS, min_size=1, max_size=8)
FLOATS = st.floats(allow_nan=True, allow_infinity=False, width=32)


def there_and_back(bank: SampleBank, format: str) -> SampleBank:
    with TemporaryDirectory() as folder:
        return SampleBank.from_files(bank.export(Path(folder) / "out", format=format))


def assert_same(bank: SampleBank, again: SampleBank) -> None:
    assert again.samples.dtype == bank.samples.dtype
    np.testing.assert_array_equal(again.samples[:], bank.samples[:])
    np.testing.assert_array_equal(again.class_indices, bank.class_indices)
    assert json.dumps(again.schema.to_dict()) == json.dumps(bank.schema.to_dict())
    assert again.schema.labels.dtype == bank.schema.labels.dtype


@st.composite
def image_banks(draw: st.DrawFn) -> SampleBank:
    """Return images of any layout, dtype and range of up to 256 levels, with labels of any type."""
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    n, height, width = draw(st.integers(4, 9)), draw(st.integers(8, 11)), draw(st.integers(8, 11))
    shape = draw(st.sampled_from([(n, height, width), (n, height, width, 3), (n, 3, height, width)]))
    high = draw(st.sampled_from([16, 200, 255]))
    images = rng.integers(0, high + 1, shape)
    images.flat[:2] = 0, high
    kinds = ["uint8", "int64", "float32", "float64", "unit"] + (["bool"] if high == 16 else [])
    kind = draw(st.sampled_from(kinds))
    X = images / high if kind == "unit" else (images > 8 if kind == "bool" else images.astype(kind))
    X = (images / 255).astype(np.float32) if kind == "unit" else X
    labels = draw(
        st.lists(st.integers(-(2**40), 2**40), min_size=2, max_size=3, unique=True)
        | st.lists(TEXTS, min_size=2, max_size=3, unique=True)
        | st.just([False, True])
    )
    c = np.resize(np.arange(len(labels)), n) if n >= 2 * len(labels) else np.resize([0, 1], n)
    y = np.array(labels)[c]
    schema = Schema.fit(X, y)
    order = rng.permutation(n)
    return SampleBank(X[order], schema.encode_y(y[order]).numpy(), schema)


@pytest.mark.parametrize("format", IMAGE_FORMATS)
@EASY
@given(bank=image_banks())
def test_images_come_back_with_layout_dtype_range_and_labels(format: str, bank: SampleBank) -> None:
    assert_same(bank, there_and_back(bank, format))


COLUMNS = {
    "floats": st.floats(-1e9, 1e9) | st.none(),
    "counts": st.integers(-(2**53), 2**53),
    "codes": st.integers(2**60, 2**60 + 50),
    "flags": st.booleans(),
    "texts": TEXTS | st.none(),
    "days": st.dates(),
    "moments": st.datetimes(pd.Timestamp("1900-01-01"), pd.Timestamp("2100-01-01")),
    "waits": st.timedeltas(pd.Timedelta(days=-99), pd.Timedelta(days=99)),
}


@st.composite
def table_banks(draw: st.DrawFn) -> SampleBank:
    """Return rows of columns of all kinds, some cells missing, with names and labels like formulas."""
    n = draw(st.integers(6, 12))
    kinds = draw(st.lists(st.sampled_from(sorted(COLUMNS)), min_size=1, max_size=4))
    frame = pd.DataFrame({0: np.arange(n, dtype=float)})
    for j, kind in enumerate(kinds, 1):
        cells = draw(st.lists(COLUMNS[kind], min_size=n, max_size=n))
        frame[j] = pd.Series(cells, dtype=object) if kind in ("texts", "days") else pd.Series(cells)
    if "texts" in kinds and draw(st.booleans()):
        frame["category"] = frame[1 + kinds.index("texts")].astype("category")
    if "moments" in kinds and draw(st.booleans()):
        frame["zoned"] = frame[1 + kinds.index("moments")].dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo")
    names = draw(st.lists(TEXTS, min_size=frame.shape[1], max_size=frame.shape[1], unique=True))
    frame.columns = names
    labels = draw(st.lists(TEXTS, min_size=2, max_size=2, unique=True) | st.just([7, -3]))
    y = pd.Series(np.array(labels)[np.arange(n) % 2], name=draw(TEXTS | st.none()))
    schema = Schema.fit(frame, y)
    codec = schema.codec
    X = frame.to_numpy(np.result_type(*codec.dtypes)) if codec.numeric else codec.to_numbers(frame)
    return SampleBank(X, schema.encode_y(y).numpy(), schema)


@pytest.mark.parametrize("format", MIXED_FORMATS)
@EASY
@given(bank=table_banks())
def test_tables_come_back_with_dtypes_missing_cells_and_labels(format: str, bank: SampleBank) -> None:
    assert_same(bank, there_and_back(bank, format))


@EASY
@given(
    rows=st.lists(st.tuples(FLOATS, FLOATS), min_size=4, max_size=9),
    dtype=st.sampled_from(["float32", "float64"]),
    format=st.sampled_from(TABLE_FORMATS),
)
def test_numbers_come_back_bit_by_bit(rows, dtype, format) -> None:
    X = np.clip(np.array(rows, dtype), -1e30, 1e30)
    X[:2, 0] = 0, 1
    schema = Schema.fit(X, np.arange(len(X)) % 2)
    assert_same(bank := SampleBank(X, np.arange(len(X)) % 2, schema), there_and_back(bank, format))


@EASY
@given(TEXTS | st.text(st.sampled_from("=+-@'\t\r\n1.e a"), max_size=6))
@example("'")
@example("''")
@example("'-5")
@example("-5")
@example("")
def test_no_text_is_a_formula_and_each_comes_back(text: str) -> None:
    written = neutral(text)
    assert restored(written) == text
    assert len(written) < 2 or not written.startswith(FORMULA) or float(written) is not None


def test_numbers_of_a_csv_are_numbers_and_texts_are_harmless(tmp_path: Path) -> None:
    X = pd.DataFrame({"=x": [-1.5, 2, -3, 4], "note": ['=HYPERLINK("http://x")', "+1", "@a", "'q"]})
    y = pd.Series(["-", "+", "-", "=now()"] * 1, name="+y")
    schema = Schema.fit(pd.concat([X, X]), pd.concat([y, y]))
    bank = SampleBank(schema.codec.to_numbers(X), schema.encode_y(y).numpy(), schema)
    bank.export(tmp_path / "out")
    with open(tmp_path / "out" / "samples.csv", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["'=x", "note", "'+y"]
    assert [row[0] for row in rows] == ["-1.5", "2.0", "-3.0", "4.0"]
    assert [row[1] for row in rows] == ['\'=HYPERLINK("http://x")', "+1", "'@a", "''q"]
    assert [row[2] for row in rows] == ["-", "+", "-", "'=now()"]
    assert_same(bank, SampleBank.from_files(tmp_path / "out"))


def test_more_than_256_levels_are_kept_by_npz_and_rounded_with_a_warning_by_pictures(
    tmp_path,
) -> None:
    X = np.random.default_rng(0).normal(size=(6, 8, 8)).astype(np.float32)
    bank = SampleBank(X, np.arange(6) % 2, Schema.fit(X, np.arange(6) % 2))
    assert_same(bank, there_and_back(bank, "npz"))
    with pytest.warns(GanaugWarning, match="more than 256 levels.* npz"):
        bank.export(tmp_path / "out")
    again = SampleBank.from_files(tmp_path / "out").samples
    assert again.dtype == X.dtype
    assert 0 < np.abs(again - X).max() <= (X.max() - X.min()) / 255 / 2 * 1.001


def test_a_format_that_does_not_fit_the_data_is_refused_with_those_that_do(tmp_path: Path) -> None:
    rows = np.arange(8.0).reshape(4, 2)
    table = SampleBank(rows, np.arange(4) % 2, Schema.fit(rows, np.arange(4) % 2))
    with pytest.raises(
        ConfigError, match="one of 'csv', 'npz', 'parquet', 'bank' for a table; got 'webdataset'"
    ):
        table.export(tmp_path / "out", format="webdataset")
    with pytest.raises(ConfigError, match="Did you mean 'parquet'"):
        table.export(tmp_path / "out", format="parket")
    mixed = pd.DataFrame({"x": [1.5, 2, 3, 4], "t": list("abab")})
    schema = Schema.fit(mixed, np.arange(4) % 2)
    bank = SampleBank(schema.codec.to_numbers(mixed), np.arange(4) % 2, schema)
    with pytest.raises(ConfigError, match=r"npz holds numbers .* 'csv', 'parquet' or 'bank'"):
        bank.export(tmp_path / "out", format="npz")
    assert list(tmp_path.iterdir()) == []
