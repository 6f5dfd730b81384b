"""The cells of a column as numbers, whatever their dtype, and back."""

from collections.abc import Hashable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from ganaug.data.storage import KINDS, Array, Read, Storage, read, set_fields, with_tuples
from ganaug.errors import DataError

Floats = np.ndarray[Any, np.dtype[np.float64]]

UNSEEN = np.inf
N_COMMON = 63
MAX_DECIMALS = 6
NANOSECONDS = {
    "D": 86_400 * 10**9,
    "h": 3_600 * 10**9,
    "m": 60 * 10**9,
    "s": 10**9,
    "ms": 10**6,
    "us": 10**3,
    "ns": 1,
}
NUMERIC = ("float", "integer")


@dataclass(frozen=True, kw_only=True)
class Cells:
    """What the cells of a column are, so that generated ones are of the same kind and dtype.

    As a number, a missing cell is NaN and a float is itself; an integer, date or duration counts the
    steps from the lowest one; a category is its place in `categories`, or `UNSEEN`.
    """

    kind: str  # one of KINDS
    storage: Storage
    unit: str = ""  # numpy's dtype of integers, dates and durations
    low: int = 0  # the lowest of them
    high: int = 0
    step: int = 1
    decimals: int | None = None  # to which all floats are rounded, where they are
    categories: tuple[Any, ...] = ()  # that fit saw; of more than 64, the 63 most frequent ones first

    @classmethod
    def fit(cls, name: Hashable, column: Any) -> "Cells":
        """Return what the cells of an array or Series (n,) are."""
        found = read(name, column)
        seen, storage = found.values[~found.missing], found.storage
        if found.wall is not None and _whole_days(found.wall[~found.missing]):
            seen, storage = found.wall[~found.missing], replace(storage, wall_clock=True)
        about: dict[str, Any] = {"kind": found.kind, "storage": storage}
        if found.kind == "category":
            return cls(**about, categories=_by_frequency(seen, found.categories))
        if found.kind == "float":
            return cls(**about, decimals=_decimals(seen))
        ticks, unit = seen.view(np.int64), seen.dtype.str
        if not len(ticks):
            return cls(**about, unit=unit)
        step = 1 if found.kind == "integer" else _coarsest(ticks, np.datetime_data(seen.dtype)[0])
        return cls(**about, unit=unit, low=int(ticks.min()), high=int(ticks.max()), step=step)

    def numbers(self, name: Hashable, column: Any) -> Floats:
        """Return the cells of an array or Series as numbers (n,)."""
        found = read(name, column)
        if found.missing.all():
            return np.full(len(found.missing), np.nan)
        if self.kind == "category":
            distinct, places = _distinct(found)
            of_place = np.array([self._place_of.get(v, UNSEEN) for v in distinct])
            return np.where(found.missing, np.nan, of_place[places])
        values, kind = found.values, found.kind
        if self.storage.wall_clock and found.wall is not None:
            values = found.wall
        if kind == "category" and all(isinstance(v, bool) for v in found.categories):
            values, kind = np.array(found.categories, dtype=np.int64)[values], "integer"
        if kind != self.kind and not (kind in NUMERIC and self.kind in NUMERIC):
            raise DataError(
                f"column {name!r} must hold {KINDS[self.kind]} as in fit; got {KINDS[kind]} "
                f"(dtype {column.dtype}). Convert it as the data of fit was."
            )
        if self.kind == "float":
            numbers = values.astype(np.float64)
        elif values.dtype.kind == "f":
            numbers = (values.astype(np.float64) - self.low) / self.step
        else:
            ticks = self._in_own_unit(values).view(np.int64).clip(self.low, self.high)
            above = ticks.view(np.uint64) - np.uint64(self.low % 2**64)  # no two int64 are too far apart
            numbers = above.astype(np.float64) / self.step
        return np.where(found.missing, np.nan, numbers)

    def _in_own_unit(self, values: Array) -> Array:
        """Return integers, dates or durations in the unit of fit; those outside of it become an end."""
        if values.dtype == self.unit:
            return values
        ends = np.array([self.low, self.high]).view(self.unit)
        day = f"{values.dtype.kind}8[D]"
        days, (first, last) = values.astype(day), ends.astype(day)
        return np.select([days < first, days > last], ends, values.astype(self.unit))

    def cells(self, numbers: Floats) -> Any:
        """Return numbers (n,) as cells in the dtype of fit: an array, or pandas' kind of it."""
        missing = np.isnan(numbers)
        numbers = np.where(missing, 0, numbers)
        if self.kind == "category":
            places = numbers.astype(np.int64)
            plain = self.storage.objects is not None or not self.storage.extension
            if plain or len(places) < len(self._values):
                return self.storage.write(self._values[places], missing)
            levels = self.storage.write(self._values, np.zeros(len(self._values), dtype=bool))
            chosen = levels.take(places).reset_index(drop=True)
            return chosen.mask(missing) if missing.any() else chosen
        if self.kind == "float":
            rounded = numbers if self.decimals is None else np.round(numbers, self.decimals)
            return self.storage.write(rounded, missing)
        highest = self.high - self.low
        last = np.rint(numbers) >= highest // self.step  # which may be no float
        above = np.rint(np.where(last, 0, numbers)).astype(np.uint64) * np.uint64(self.step)
        above[last] = highest
        return self.storage.write((above + np.uint64(self.low % 2**64)).view(self.unit), missing)

    @cached_property
    def _place_of(self) -> dict[Any, int]:
        return {value: place for place, value in enumerate(self.categories)}

    @cached_property
    def _values(self) -> Array:
        """Return the categories as an array of objects, with one even where fit saw none."""
        values = np.empty(max(1, len(self.categories)), dtype=object)
        values[: len(self.categories)] = self.categories
        return values

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {**set_fields(self), "storage": self.storage.to_dict()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Cells":
        """Return the cells that `to_dict` described."""
        return cls(**{**with_tuples(values), "storage": Storage.from_dict(values["storage"])})


def _by_frequency(places: Array, categories: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the categories that occur in their order, the most frequent ones first where they are many."""
    counts = np.bincount(places, minlength=len(categories))
    seen = np.flatnonzero(counts)
    if len(seen) > N_COMMON + 1:
        by_count = seen[np.argsort(-counts[seen], kind="stable")]
        seen = np.concatenate([by_count[:N_COMMON], np.sort(by_count[N_COMMON:])])
    return tuple(categories[i] for i in seen.tolist())


def _distinct(found: Read) -> tuple[list[Any], Array]:
    """Return the distinct values of cells, and the place of each cell among them."""
    if found.kind == "category":
        return list(found.categories), found.values
    values, places = np.unique(found.values, return_inverse=True)
    return values.tolist(), places


def _decimals(values: Array) -> int | None:
    """Return the number of decimals to which all values are rounded; None if there are too many."""
    wide = values.astype(np.float64)  # rounded in their own dtype, not all floats of 4 bytes stay
    with np.errstate(over="ignore", invalid="ignore"):
        rounded = (np.round(wide, d).astype(values.dtype) for d in range(MAX_DECIMALS + 1))
        return next((d for d, r in enumerate(rounded) if np.array_equal(r, values)), None)


def _whole_days(dates: Array) -> bool:
    return bool((dates == dates.astype("M8[D]")).all())


def _coarsest(ticks: Array, unit: str) -> int:
    """Return how many ticks the coarsest unit of time has of which all are multiples."""
    own = NANOSECONDS.get(unit, 10**18)  # months, years
    steps = (n // own for n in NANOSECONDS.values() if n > own)
    return next((step for step in steps if not (ticks % step).any()), 1)
