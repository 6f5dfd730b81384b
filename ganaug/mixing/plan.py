"""MixingPlan: where the sample at each index comes from, epoch by epoch."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ganaug._random import numpy_stream
from ganaug.bank import SampleBank
from ganaug.errors import DataError

Indices = np.ndarray[Any, Any]


class MixingPlan:
    """Real samples in their order, then the added ones by class; some real ones swapped for synthetic ones.

    Parameters
    ----------
    targets : list
        Labels of the real samples.
    added : dict of {label: int}
        Samples to add.
    rows : dict of {label: ndarray of int}
        Rows of the bank for each class of which synthetic samples are used, those of `added` first.
    swap : float
        Probability of a swap.
    real_only_from : int or None
        First epoch without synthetic samples.
    seed : int
        Seed of the swaps.
    """

    def __init__(
        self,
        targets: list[Any],
        added: Mapping[Any, int],
        rows: Mapping[Any, Indices],
        *,
        swap: float,
        real_only_from: int | None,
        seed: int,
    ):
        self.n_real, self.n = len(targets), len(targets) + sum(added.values())
        self.added, self.rows, self.swap, self.seed = added, rows, swap, seed
        self.real_only_from = real_only_from
        labels, codes = np.unique(np.array(targets), return_inverse=True)
        order = np.argsort(codes, kind="stable").astype(np.int32)
        own = np.split(order, np.cumsum(np.bincount(codes))[:-1])
        self._own = dict(zip(labels.tolist(), own, strict=True))  # indices of each class's real samples
        for label, found in rows.items():
            if not len(found):
                raise DataError(f"the bank has no sample of class {label!r}, which is to be mixed in.")

    def real_only(self, epoch: int) -> bool:
        """Return whether the real samples are alone in this epoch."""
        return self.real_only_from is not None and epoch >= self.real_only_from

    def places(self, epoch: int) -> Indices:
        """Return for each index, (n,), a row of the bank (0 or more), or ``~i`` for the real sample i.

        Each epoch goes on in the bank where the last one stopped, so that a large bank is used in full. Where
        real samples are alone, the places of added ones are taken by real ones of the same class.
        """
        places = ~np.arange(self.n, dtype=np.int32)
        real_only, start = self.real_only(epoch), self.n_real
        if self.swap:
            swapped = numpy_stream(self.seed, "swap", epoch).random(self.n_real) < self.swap
        for label, rows in self.rows.items():
            own, n = self._own[label], self.added.get(label, 0)
            part = slice(start, start := start + n)
            if real_only:
                places[part] = ~_next(own, epoch * n, n)
                continue
            first = epoch * (n + math.ceil(self.swap * len(own)))
            places[part] = _next(rows, first, n)
            if self.swap:
                replaced = own[swapped[own]]
                places[replaced] = _next(rows, first + n, len(replaced))
        return places


def rows_by_class(bank: SampleBank) -> list[Indices]:
    """Return the rows of each class of the bank."""
    sizes = np.bincount(bank.class_indices, minlength=len(bank.schema.labels))
    order = np.argsort(bank.class_indices, kind="stable").astype(np.int32)
    return np.split(order, np.cumsum(sizes)[:-1])


def _next(rows: Indices, first: int, n: int) -> Indices:
    """Return n of the rows from number `first` on, over and over."""
    return rows[np.arange(first, first + n) % len(rows)]
