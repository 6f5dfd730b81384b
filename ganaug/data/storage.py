"""How the cells of a column are written: read from the dtypes of numpy, pandas and Python, and back."""

from collections.abc import Hashable
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

import numpy as np

from ganaug._checks import listed
from ganaug.errors import DataError

Array = np.ndarray[Any, Any]

KINDS = {
    "float": "numbers",
    "integer": "integers",
    "datetime": "dates",
    "duration": "durations",
    "category": "categories",
}
"""Kinds of cells, and how messages call them."""

OF_DTYPE = {"f": "float", "i": "integer", "u": "integer", "M": "datetime", "m": "duration", "b": "category"}
"""Kinds by numpy's letter for a dtype."""

OF_OBJECTS = {
    "string": "category",
    "boolean": "category",
    "integer": "integer",
    "floating": "float",
    "mixed-integer-float": "float",
    "datetime": "datetime",
    "datetime64": "datetime",
    "date": "datetime",
    "timedelta": "duration",
    "timedelta64": "duration",
    "empty": "category",
}
"""Kinds by pandas' word for the Python objects of a column."""

ARROW_TEXT = "pyarrow text"
"""Name of pandas' dtype for text in Arrow, whose own name means another one."""

HIGHEST = 1e300
MAX_ITEM_BYTES = 1 << 18
"""Of a cell or label of numpy's own text, which gives the longest one's room to each."""


@dataclass(frozen=True, kw_only=True)
class Storage:
    """The dtype of a column, and what it takes to write cells in it again."""

    dtype: str  # its name
    extension: bool = False  # whether it is one of pandas' own
    objects: str | None = None  # "object", "date": cells of that dtype came as Python objects
    missing: str | None = None  # type of the first missing one of them
    categories: tuple[Any, ...] | None = None  # of a categorical dtype, in their order
    category_dtype: str | None = None
    ordered: bool = False
    wall_clock: bool = False  # whether dates are those of the zone's clocks, rather than of UTC

    def write(self, values: Array, missing: Array) -> Any:
        """Return values (n,) in this dtype, those marked as missing cells: an array, or pandas' kind of it.

        Values are as `Read` has them, and categories themselves.
        """
        if self.objects is not None:
            return self._write_objects(values, missing)
        if not self.extension:
            values = values.astype(self.dtype)
            if missing.any():
                values[missing] = np.nan if values.dtype.kind == "f" else np.array("NaT", values.dtype)
            return values
        import pandas as pd

        if self.categories is not None:
            index = pd.Index(self.categories, dtype=_dtype_named(self.category_dtype or "object"))
            dtype: Any = pd.CategoricalDtype(index, ordered=self.ordered)
            return pd.Series(pd.Categorical(pd.Series(values).mask(missing), dtype=dtype))
        dtype = _dtype_named(self.dtype)
        if getattr(dtype, "tz", None) is not None:
            naive: Any = pd.Series(values)
            zone = dtype.tz if self.wall_clock else "UTC"
            written = naive.dt.tz_localize(zone, nonexistent="shift_forward", ambiguous=True).astype(dtype)
        else:
            written = pd.Series(pd.array(values, dtype=dtype))
        return written.mask(missing) if missing.any() else written

    def _write_objects(self, values: Array, missing: Array) -> Array:
        import pandas as pd

        if values.dtype != object:
            none = np.zeros(len(values), dtype=bool)
            plain: Any = pd.Series(replace(self, objects=None).write(values, none))
            values = (plain.dt.date if self.objects == "date" else plain.astype(object)).to_numpy(object)
        gaps = {"float": float("nan"), "NAType": pd.NA, "NaTType": pd.NaT}
        values = values.copy()
        values[missing] = gaps.get(self.missing or "")
        return values

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return set_fields(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Storage":
        """Return the storage that `to_dict` described."""
        found = cls(**with_tuples(values))
        if not found.extension:
            known_dtype(found.dtype)
        require_known(found.dtype, found.category_dtype or "object")
        return found


def require_known(*names: str) -> None:
    """Raise DataError unless dtypes that a file names, numpy's or pandas', are ones that data can have."""
    for name in names:
        with suppress(TypeError):  # what numpy does not know is pandas' own
            known_dtype(name)
        if "dateutil" in name:  # whose zones may be any file
            raise DataError(f"zones must be those of zoneinfo; got dtype {name[:60]!r}.")


def known_dtype(name: str) -> np.dtype[Any]:
    """Return the dtype of numpy that a file names, if it is one that data can have."""
    dtype = np.dtype(name)
    if not isinstance(name, str) or dtype.kind not in "biufmMUO" or dtype.itemsize > MAX_ITEM_BYTES:
        raise DataError(f"dtypes must be those of numbers, dates and text; got {str(name)[:60]!r}.")
    return dtype


def set_fields(described: Any) -> dict[str, Any]:
    """Return the fields of a dataclass that differ from their defaults."""
    fields = type(described).__dataclass_fields__.values()
    return {f.name: v for f in fields if (v := getattr(described, f.name)) != f.default}


def with_tuples(values: dict[str, Any]) -> dict[str, Any]:
    """Return fields as a dataclass has them, tuples for JSON's lists."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}


@dataclass(frozen=True, kw_only=True)
class Read:
    """The cells of a column in plain numpy."""

    kind: str  # one of KINDS
    values: Array  # floats, int64, datetime64 of UTC, timedelta64; or places in `categories`
    missing: Array  # bool; the value of a missing cell means nothing
    storage: Storage
    categories: tuple[Any, ...] = ()
    wall: Array | None = None  # dates by the clocks of their zone, where they have one


def plain(value: Any) -> Any:
    """Return a scalar of numpy as Python's, anything else as it is."""
    return value.item() if isinstance(value, np.generic) else value


def read(name: Hashable, column: Any) -> Read:
    """Return the cells of an array or Series (n,); cells that nothing can be learned from raise DataError."""
    if not isinstance(column.dtype, np.dtype):
        found = _extension(name, column)
    elif column.dtype.kind in "OT":
        found = _objects(name, np.asarray(column, dtype=object))
    else:
        found = _plain(name, np.asarray(column))
    if found.kind == "float":
        sizes = np.abs(found.values[~found.missing], dtype=np.float64)
        infinite, bad = int(np.isinf(sizes).sum()), int((sizes > HIGHEST).sum())
        if bad:
            wanted, got = (
                ("finite", f"{infinite} infinite values")
                if infinite
                else ("within 1e300 of zero", f"{bad} values above 1e300")
            )
            raise DataError(
                f"column {name!r} must be {wanted}; got {got} of {len(column)}. "
                "Write them as missing (NaN), or drop these rows."
            )
    return found


def _plain(name: Hashable, values: Array) -> Read:
    """Read an array of one of numpy's own dtypes."""
    kind, storage = values.dtype.kind, Storage(dtype=str(values.dtype))
    none = np.zeros(len(values), dtype=bool)
    if kind in "bU":
        found, places = np.unique(values, return_inverse=True)
        categories = tuple(found.tolist())
        return Read(kind="category", values=places, missing=none, storage=storage, categories=categories)
    if kind not in OF_DTYPE:
        raise _unsupported(name, str(values.dtype))
    missing = np.isnan(values) if kind == "f" else np.isnat(values) if kind in "mM" else none
    if kind in "iu":
        if kind == "u" and len(values) and values.max() >= 2**63:
            raise DataError(
                f"column {name!r} must hold integers below 2**63; got {values.max()}. Is it an identifier? "
                "Drop it, or convert it with .astype(str)."
            )
        values = values.astype(np.int64)
    return Read(kind=OF_DTYPE[kind], values=values, missing=missing, storage=storage)


def _extension(name: Hashable, column: Any) -> Read:
    """Read a Series of one of pandas' own dtypes."""
    import pandas as pd

    dtype, missing = column.dtype, column.isna().to_numpy()
    kind = getattr(dtype, "kind", "O")
    if isinstance(dtype, pd.CategoricalDtype):
        return _categorical(name, column, missing)
    storage = Storage(dtype=_name_of(dtype), extension=True)
    if isinstance(dtype, pd.StringDtype) or kind == "U":
        return _text(column, missing, storage)
    if isinstance(dtype, pd.SparseDtype) or kind not in "biufmM":
        raise _unsupported(name, f"dtype {dtype}")
    if kind in "mM":
        zoned = getattr(dtype, "tz", None) is not None
        values = (column.dt.tz_convert("UTC").dt.tz_localize(None) if zoned else column).to_numpy()
        wall = column.dt.tz_localize(None).to_numpy() if zoned else None
        if values.dtype == object:  # Arrow's days
            raise _unsupported(name, f"dtype {dtype}")
    else:
        floats = (f"f{dtype.itemsize}", np.nan)  # of that width, in which 0.1 has one decimal
        number, gap = {"b": (bool, False), "f": floats}.get(kind, (f"{kind}8", 0))
        values, wall = column.to_numpy(number, na_value=gap), None
    return replace(_plain(name, values), missing=missing, storage=storage, wall=wall)


def _categorical(name: Hashable, column: Any, missing: Array) -> Read:
    index = column.cat.categories
    categories = tuple(map(plain, index))
    if not {type(v) for v in categories} <= {str, bool, int, float}:
        raise _unsupported(name, f"categories such as {categories[0]!r}")
    storage = Storage(
        dtype="category",
        extension=True,
        categories=categories,
        category_dtype=_name_of(index.dtype),
        ordered=bool(column.cat.ordered),
    )
    values = column.cat.codes.to_numpy().astype(np.int64)
    return Read(kind="category", values=values, missing=missing, storage=storage, categories=categories)


def _objects(name: Hashable, cells: Array) -> Read:
    """Read Python objects, which must be of one type."""
    import pandas as pd

    word = pd.api.types.infer_dtype(cells, skipna=True)
    missing = pd.isna(cells)
    if word in ("mixed", "mixed-integer"):
        types = sorted({type(v).__name__ for v in cells[~missing]})
        if len(types) > 1:
            raise DataError(
                f"column {name!r} must hold cells of one type; got {listed(types)}. Convert them to one, "
                "e.g. with .astype(str)."
            )
        word = types[0]
    if word not in OF_OBJECTS:
        raise _unsupported(name, word)
    written: dict[str, Any] = {"objects": "date" if word == "date" else "object"}
    if missing.any():
        written["missing"] = type(cells[missing][0]).__name__
    if OF_OBJECTS[word] == "category":
        return _text(cells, missing, Storage(dtype="object", **written))
    try:
        if OF_OBJECTS[word] == "datetime":
            column: Any = pd.Series(pd.to_datetime(cells))
        elif OF_OBJECTS[word] == "duration":
            column = pd.Series(pd.to_timedelta(cells))
        else:
            number = np.float64 if OF_OBJECTS[word] == "float" else np.int64
            column = pd.Series(np.where(missing, 0, cells).astype(number))
    except (ValueError, TypeError, OverflowError) as error:
        raise DataError(
            f"column {name!r} must hold {KINDS[OF_OBJECTS[word]]} that pandas can store: {error}. "
            "Convert them first."
        ) from error
    found = read(name, column)
    return replace(found, missing=missing, storage=replace(found.storage, **written))


def _text(cells: Any, missing: Array, storage: Storage) -> Read:
    """Read text, or booleans as objects, as sorted categories."""
    import pandas as pd

    places, found = pd.factorize(cells, sort=True)
    categories = tuple(map(plain, found))
    values = np.asarray(places, dtype=np.int64)
    return Read(kind="category", values=values, missing=missing, storage=storage, categories=categories)


def _name_of(dtype: Any) -> str:
    import pandas as pd

    if isinstance(dtype, pd.ArrowDtype) and str(dtype) == "string[pyarrow]":
        return ARROW_TEXT  # pandas has another dtype of that name
    if isinstance(dtype, pd.StringDtype) and dtype.na_value is pd.NA:
        return f"string[{dtype.storage}]"
    return str(dtype)


def _dtype_named(name: str) -> Any:
    import pandas as pd

    if name != ARROW_TEXT:
        return pd.api.types.pandas_dtype(name)
    return pd.ArrowDtype(import_module("pyarrow").string())


def _unsupported(name: Hashable, got: str) -> DataError:
    return DataError(
        f"column {name!r} must hold numbers, booleans, text, categories, dates or durations; got {got}. "
        "Convert it, e.g. with .astype(float) or .astype(str), or drop it."
    )
