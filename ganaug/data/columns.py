"""One column of a table for a generator: a choice among atoms, a scalar in [-1, 1], or both."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ganaug.data.cells import N_COMMON, UNSEEN, Cells, Floats
from ganaug.data.storage import Array, set_fields, with_tuples
from ganaug.errors import DataError

N_KNOTS = 257
MAX_LEVELS, MIN_PER_LEVEL = 16, 5
SPIKE_SHARE, SPIKE_COUNT = 0.05, 10
UNKNOWN = -1


@dataclass(frozen=True, kw_only=True)
class Column:
    """Values that occur often are atoms, each with a place in a one-hot; a scalar stands for the others.

    The scalar is the position in their distribution function: for numbers piecewise linear between
    quantiles, for rare categories the middle of the category's interval. Where there are atoms too, the
    first place of the one-hot says that the scalar speaks. A column of one value takes no block at all.
    """

    cells: Cells
    missing: bool = False  # whether the first atom is the missing cell
    atoms: tuple[float, ...] = ()  # increasing, as `Cells.numbers` has them
    knots: tuple[float, ...] = ()  # quantiles of the other numbers, at even steps of [-1, 1]
    counts: tuple[int, ...] = ()  # of the rare categories, which come after the atoms

    @classmethod
    def fit(cls, cells: Cells, numbers: Floats) -> "Column":
        """Return the column that holds these cells (n,)."""
        seen = numbers[~np.isnan(numbers)]
        values, counts = np.unique(seen, return_counts=True)
        missing = len(seen) < len(numbers)
        if cells.kind == "category":
            n_atoms = len(values) if len(values) <= N_COMMON + 1 else N_COMMON
            rare = tuple(counts[n_atoms:].tolist())
            return cls(cells=cells, missing=missing, atoms=tuple(values[:n_atoms].tolist()), counts=rare)
        often = counts >= max(SPIKE_COUNT, SPIKE_SHARE * len(seen))
        few = len(values) <= MAX_LEVELS and len(seen) >= MIN_PER_LEVEL * len(values)
        if few or (~often).sum() == 1:
            often[:] = True
        rest = np.repeat(values[~often], counts[~often])
        steps = np.linspace(0, 1, min(len(rest), N_KNOTS))
        knots = np.unique(np.quantile(rest, steps)).tolist() if len(rest) else []
        return cls(cells=cells, missing=missing, atoms=tuple(values[often].tolist()), knots=tuple(knots))

    @cached_property
    def blocks(self) -> tuple[int, ...]:
        """Widths of the blocks: 1 for the scalar, then the number of places of the one-hot."""
        places = len(self.atoms) + self.missing
        if not self._has_scalar:
            return (places,) if places > 1 else ()
        return (1, places + 1) if places else (1,)

    def blocks_of(self, numbers: Floats) -> list[Floats]:
        """Return a column (n,) per block: the scalar, and the place, `UNKNOWN` if fit saw no such cell."""
        gap, nowhere = np.isnan(numbers), np.isinf(numbers)
        atoms = np.array([*self.atoms, UNSEEN])
        nearest = np.searchsorted((atoms[1:] + atoms[:-1]) / 2, numbers)
        nearest = nearest.clip(max=max(0, len(self.atoms) - 1))
        place = np.where(gap, 0, nearest + self.missing)
        lost = nowhere | (gap & (not self.missing))
        if not self._has_scalar:
            return [np.where(lost, UNKNOWN, place).astype(np.float64)] if self.blocks else []
        speaks = ~gap & (atoms[nearest] != numbers) | lost
        known = speaks & ~gap & ~nowhere
        scalar = np.zeros(len(numbers))
        scalar[known] = np.interp(numbers[known], *self._line)
        return [scalar, np.where(speaks, 0, place + 1).astype(np.float64)][: len(self.blocks)]

    def numbers(self, blocks: list[Floats], n: int) -> Floats:
        """Return the cells (n,) as numbers of what `blocks_of` gives."""
        gap = [np.nan] if self.missing else []
        atoms = np.array([*gap, *self.atoms])
        if not self._has_scalar:
            return atoms[blocks[0].astype(np.int64)] if blocks else np.repeat(atoms[:1], n)
        knots, at = self._line
        low, high = (knots[0] + 0.5, knots[-1] - 0.5) if self.counts else (knots[0], knots[-1])
        numbers = np.interp(blocks[0], at, knots).clip(low, high)
        numbers = np.rint(numbers) if self.counts else numbers
        if len(blocks) == 1:
            return numbers
        place = blocks[1].astype(np.int64)
        return np.where(place > 0, atoms[place - 1], numbers)

    @property
    def _has_scalar(self) -> bool:
        return bool(self.knots or self.counts)

    @cached_property
    def _line(self) -> tuple[Array, Array]:
        """Return numbers, increasing, and their positions in [-1, 1]; rare categories lie between two."""
        if not self.counts:
            return np.array(self.knots), np.linspace(-1, 1, len(self.knots))
        share = np.cumsum([0, *self.counts]) / sum(self.counts)
        return len(self.atoms) - 0.5 + np.arange(len(share)), 2 * share - 1

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {**set_fields(self), "cells": self.cells.to_dict()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Column":
        """Return the column that `to_dict` described."""
        column = cls(**{**with_tuples(values), "cells": Cells.from_dict(values["cells"])})
        if not np.isfinite([*column.atoms, *column.knots, *column.counts]).all():
            raise DataError("the atoms and knots of a column must be finite numbers.")
        return column
