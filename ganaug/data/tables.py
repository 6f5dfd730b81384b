"""Table codec: rows of mixed columns to scalars in [-1, 1] and one-hots, and back."""

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from types import NoneType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganaug._checks import known_name, listed
from ganaug._random import numpy_stream
from ganaug.data.cells import N_COMMON, Cells, Floats
from ganaug.data.columns import UNKNOWN, Column
from ganaug.data.storage import plain, require_known
from ganaug.errors import DataError

MISSING = ("keep", "fill")
MAX_PLACES = N_COMMON + 3
"""Frequent categories, the last of 64, a missing cell, and where the scalar speaks."""


@dataclass(frozen=True, kw_only=True)
class TableCodec:
    """Each column becomes a choice among its frequent values, a scalar in [-1, 1], or both.

    Numbers go through their own piecewise linear distribution function, so that heavy tails become
    even; values that occur often, categories and missing cells have a place in a one-hot. Whatever is
    decoded has the dtypes, categories, decimals and ranges of the fit; a column of one value, also one
    that is missing throughout, takes no place in an encoded row and comes back as it was.

    Examples
    --------
    >>> X = np.array([[1.0, 5], [2.0, 5], [100.0, 5]])
    >>> codec = TableCodec.fit(X)
    >>> codec.encode(X)[:, 0].tolist()
    [-1.0, 0.0, 1.0]
    >>> codec.decode(codec.encode(X)).tolist()
    [[1.0, 5.0], [2.0, 5.0], [100.0, 5.0]]

    >>> import pandas as pd
    >>> X = pd.DataFrame({"size": [1.5, 2, 9, None], "colour": pd.Categorical(["red", "blue", "red", "red"])})
    >>> codec = TableCodec.fit(X)
    >>> codec.blocks
    (1, 2, 2)
    >>> codec.decode(codec.encode(X)).equals(X)
    True
    """

    columns: tuple[Any, ...] | None  # names, where X was a DataFrame
    index_dtype: str = "object"  # of the names
    index_names: tuple[Any, ...] = (None,)
    missing: str = "keep"  # or "fill"
    parts: tuple[Column, ...]

    @cached_property
    def blocks(self) -> tuple[int, ...]:
        """Widths of the consecutive blocks of an encoded row: 1 for a scalar, more for a one-hot."""
        return tuple(width for part in self.parts for width in part.blocks)

    @property
    def widths(self) -> tuple[int, ...]:
        """Widths of the columns in an encoded row, each of all its blocks; a constant one has none."""
        return tuple(sum(part.blocks) for part in self.parts if part.blocks)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of an encoded row: (sum of the blocks,)."""
        return (sum(self.blocks),)

    @property
    def dtypes(self) -> tuple[str, ...]:
        """Name of the dtype of each column."""
        return tuple(part.cells.storage.dtype for part in self.parts)

    @classmethod
    def fit(cls, X: Any, *, missing: str = "keep") -> "TableCodec":
        """Return the codec of an array (n, n_features) or DataFrame of mixed columns.

        Missing cells are learned and generated where `missing` is "keep"; with "fill" they are replaced
        by values drawn from the observed cells of their column, and none is generated.
        """
        known_name("missing", missing, MISSING)
        if not X.shape[1]:
            raise DataError("X must have at least one column; got none.")
        if not len(X):
            raise DataError("X must have at least one row; got none.")
        index = _index(X) if hasattr(X, "columns") else {"columns": None}
        parts = []
        for j, (name, column) in enumerate(_columns_of(X)):
            cells = Cells.fit(name, column)
            parts.append(Column.fit(cells, _filled(cells.numbers(name, column), missing, j)))
        codec = cls(**index, missing=missing, parts=tuple(parts))
        if not codec.blocks:
            raise DataError(
                f"X must have a column that varies; each of its {len(parts)} columns is constant, so there "
                "is nothing to learn. Add columns that differ from row to row."
            )
        return codec

    def encode(self, X: Any) -> Tensor:
        """Return (n, *shape), float64: scalars in [-1, 1], and exact one-hots.

        A category that fit did not see is put where rare ones are, or on all places alike.
        """
        packed = torch.from_numpy(self._packed(X))
        x = self.unpack(packed.where(_places(self.blocks, packed.device)[1], packed.clamp(min=0)))
        starts = np.cumsum([0, *self.blocks])
        for b in (packed == UNKNOWN).any(0).nonzero().flatten().tolist():
            if self.blocks[b] > 1:
                x[packed[:, b] == UNKNOWN, starts[b] : starts[b + 1]] = 1 / self.blocks[b]
        return x

    def decode(self, x: Tensor) -> Any:
        """Return rows in the caller's dtypes: an array, or a DataFrame where X was one.

        Of a one-hot the largest number counts; scalars are cut to [-1, 1].
        """
        rows = x.detach().cpu()
        blocks = [
            (block.double().clamp(-1, 1).flatten() if block.shape[1] == 1 else block.max(1).indices).numpy()
            for block in rows.split(list(self.blocks), dim=1)
        ]
        numbers = []
        for part in self.parts:
            own, blocks = blocks[: len(part.blocks)], blocks[len(part.blocks) :]
            numbers.append(part.numbers(own, len(rows)))
        return self.from_numbers(np.stack(numbers, axis=1))

    @property
    def numeric(self) -> bool:
        """Whether all columns have numpy's numeric dtypes, and one dtype holds each cell as it is."""
        cells = [part.cells for part in self.parts]
        stored = [c.storage for c in cells]
        if any(s.extension or s.objects or np.dtype(s.dtype).kind not in "uifb" for s in stored):
            return False
        common = np.result_type(*self.dtypes)
        exact = 2 ** (np.finfo(common).nmant + 1) if common.kind == "f" else np.inf
        return all(max(abs(c.low), abs(c.high)) <= exact for c in cells)

    def to_numbers(self, X: Any) -> Floats:
        """Return the cells as numbers (n, n_features); see `Cells`."""
        cells = [part.cells.numbers(*c) for part, c in zip(self.parts, _columns_of(X), strict=True)]
        return np.stack(cells, axis=1)

    def from_numbers(self, numbers: Floats) -> Any:
        """Return the rows that `to_numbers` describes: an array, or a DataFrame where X was one."""
        cells = [part.cells.cells(column) for part, column in zip(self.parts, numbers.T, strict=True)]
        return np.stack(cells, axis=1) if self.columns is None else self._frame(cells)

    def pack(self, X: Any) -> Tensor:
        """Return rows as (n, number of blocks), float32: scalars, and places in one-hots."""
        packed = torch.from_numpy(self._packed(X)).float()
        return packed.where(_places(self.blocks, packed.device)[1], packed.clamp(min=0))

    def unpack(self, packed: Tensor) -> Tensor:
        """Return packed rows as (n, *shape), equal to the encoded ones."""
        if len(self.blocks) == self.shape[0]:
            return packed
        starts, scalar = _places(self.blocks, packed.device)
        x = packed.new_zeros(len(packed), *self.shape)
        index = starts + packed.masked_fill(scalar, 0).long()
        return x.scatter_(1, index, torch.where(scalar, packed, 1))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "columns": self.columns,
            "index_dtype": self.index_dtype,
            "index_names": self.index_names,
            "missing": self.missing,
            "parts": [part.to_dict() for part in self.parts],
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "TableCodec":
        """Return the codec that `to_dict` described; an error of any kind if no `fit` gives such a one."""
        columns = values["columns"]
        require_known(values["index_dtype"])
        codec = cls(
            columns=None if columns is None else known_names(columns),
            index_dtype=values["index_dtype"],
            index_names=known_names(values["index_names"]),
            missing=known_name("missing", values["missing"], MISSING),
            parts=tuple(Column.from_dict(part) for part in values["parts"]),
        )
        if not codec.blocks or max(codec.blocks) > MAX_PLACES:
            raise DataError(
                f"rows must have blocks of up to {MAX_PLACES} places; got {listed(codec.blocks)}."
            )
        return codec

    def examples(self) -> Tensor:
        """Return encoded rows that hold each place of each one-hot, and ends and middle of scalars."""
        n = max(3, *self.blocks)
        scalar = torch.linspace(-1, 1, n)[:, None]
        return torch.cat(
            [scalar if w == 1 else torch.eye(w).repeat(-(-n // w), 1)[:n] for w in self.blocks], 1
        )

    def _packed(self, X: Any) -> Floats:
        """Return (n, number of blocks): scalars, and places in one-hots, `UNKNOWN` for unseen categories."""
        names = known_names(X.columns) if hasattr(X, "columns") else self.columns
        if self.columns is not None and names != self.columns:
            raise DataError(f"columns must be {listed(self.columns)} as in fit; got {listed(names or ())}.")
        if X.shape[1] != len(self.parts):
            raise DataError(f"X must have {len(self.parts)} columns as in fit; got {X.shape[1]}.")
        blocks = []
        for j, ((name, column), part) in enumerate(zip(_columns_of(X), self.parts, strict=True)):
            numbers = _filled(part.cells.numbers(name, column), self.missing, j)
            blocks += part.blocks_of(numbers)
        return np.stack(blocks, axis=1)

    def _frame(self, cells: list[Any]) -> Any:
        import pandas as pd

        names: Any = self.columns
        kept = [pd.Series(c, dtype=object) if c.dtype == object else c for c in cells]
        frame = pd.DataFrame(dict(enumerate(kept)))
        if len(self.index_names) > 1:
            frame.columns = pd.MultiIndex.from_tuples(names, names=self.index_names)
        else:
            frame.columns = pd.Index(names, dtype=self.index_dtype, name=self.index_names[0])
        return frame


def _columns_of(X: Any) -> Iterator[tuple[Hashable, Any]]:
    """Return name and cells of each column, of an array its number."""
    if hasattr(X, "columns"):
        return ((name, X.iloc[:, j]) for j, name in enumerate(X.columns))
    return ((j, X[:, j]) for j in range(X.shape[1]))


def _index(X: Any) -> dict[str, Any]:
    """Return what it takes to name the columns as those of the DataFrame."""
    import pandas as pd

    columns = known_names(X.columns.tolist())
    if len(set(columns)) < len(columns):
        twice = sorted({str(c) for c in columns if columns.count(c) > 1})
        raise DataError(f"column names must be unique; got {listed(twice)} more than once.")
    odd = odd_names([*columns, *X.columns.names])
    if odd:
        raise DataError(
            f"column names must be text or numbers; got {listed(odd)}. Rename them, with .astype(str)."
        )
    dtype = X.columns.dtype
    plain = not isinstance(X.columns, pd.MultiIndex) and not isinstance(dtype, pd.CategoricalDtype)
    return {
        "columns": columns,
        "index_dtype": str(dtype) if plain else "object",
        "index_names": known_names(X.columns.names),
    }


def known_names(names: Iterable[Any]) -> tuple[Any, ...]:
    """Return names of columns so that they equal those of a save: tuples for JSON's lists, and one NaN."""
    return tuple(map(_known_name, names))


def _known_name(name: Any) -> Any:
    if isinstance(name, (tuple, list)):
        return known_names(name)
    return np.nan if isinstance(name, float) and np.isnan(name) else plain(name)


def odd_names(names: Iterable[Any]) -> list[str]:
    """Return the types of those names that JSON cannot hold."""
    flat = [v for name in names for v in (name if isinstance(name, tuple) else [name])]
    return sorted({type(v).__name__ for v in flat if not isinstance(v, (str, bool, int, float, NoneType))})


def _filled(numbers: Floats, missing: str, j: int) -> Floats:
    """Return the cells of column j, missing ones drawn from those observed where `missing` is "fill"."""
    gap, observed = np.isnan(numbers), numbers[np.isfinite(numbers)]
    if missing == "keep" or not gap.any() or not len(observed):
        return numbers
    filled = numbers.copy()
    filled[gap] = numpy_stream(0, "fill", j).choice(observed, int(gap.sum()))
    return filled


@lru_cache(maxsize=64)
def _places(blocks: tuple[int, ...], device: torch.device) -> tuple[Tensor, Tensor]:
    """Return where each block starts in an encoded row, and whether it is a scalar."""
    widths = torch.tensor(blocks, device=device)
    return widths.cumsum(0) - widths, widths == 1
