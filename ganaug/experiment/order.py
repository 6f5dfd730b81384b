"""The order of training: which samples a classifier sees at which step."""

from collections.abc import Iterator
from itertools import count
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor

from ganaug._random import numpy_stream

if TYPE_CHECKING:
    from ganaug.experiment.classifiers import Recipe

Samples = Literal["all", "added", "real"]
Rows = np.ndarray[Any, Any]

PHASES: dict[str, tuple[tuple[Samples, float], ...]] = {
    "mixed": (("all", 1.0),),
    "pretrain": (("added", 0.5), ("real", 0.5)),
    "real last": (("all", 0.8), ("real", 0.2)),
}
"""Which samples are trained on, for which share of the steps."""


def batches(recipe: "Recipe", *, steps: int, batch_size: int, seed: int) -> Iterator[Tensor]:
    """Yield the rows (batch_size,) of each step: below n a real sample, from there on an added one."""
    done, share_done = 0, 0.0
    for samples, share in PHASES[recipe.phases]:
        share_done += share
        epochs, rows = order(recipe, samples, seed=seed), np.empty(0, dtype=np.int64)
        for _ in range(done, round(share_done * steps)):
            while len(rows) < batch_size:
                rows = np.concatenate([rows, next(epochs)])
            yield torch.from_numpy(rows[:batch_size])
            rows = rows[batch_size:]
        done = round(share_done * steps)


def order(recipe: "Recipe", samples: Samples = "all", *, seed: int) -> Iterator[Rows]:
    """Yield the rows of one epoch after the other, without end.

    Each epoch is one shuffle of the real samples and of `recipe.pace` others; of these, unused ones are
    skipped, and more are put in between, so that every arm of a seed sees the real samples in the same order.
    Where added samples stand in for others, these are the real ones and `recipe.copied` copies of them.
    """
    n = len(recipe.c)
    stands_in = recipe.swap is not None
    used = recipe.used.numpy() & (not stands_in) & (samples != "real")
    real = np.full(n, samples != "added" or not used.any())
    seen = np.zeros(n + max(recipe.pace, len(used)), dtype=bool)
    seen[: n + len(used)] = np.concatenate([real, used])
    seen[n : n + len(recipe.copied)] |= stands_in
    late = np.flatnonzero(seen[n + recipe.pace :]) + n + recipe.pace
    for epoch in count():
        shuffled = numpy_stream(seed, "order", epoch).permutation(n + recipe.pace)
        rows = shuffled[seen[shuffled]]
        if len(late):
            rows = _spread(rows, late, numpy_stream(seed, "late", epoch))
        if recipe.swap is not None:
            chance = {"all": recipe.swap, "added": 1.0 * (recipe.swap > 0)}.get(samples, 0 * recipe.swap)
            rows = mixed_rows(recipe, swap_mask(chance, seed=seed, epoch=epoch))[rows]
        yield rows


def mixed_rows(recipe: "Recipe", swapped: Rows) -> Rows:
    """Return the row of each place, a real sample's or a copy's, or of what stands in where it is swapped."""
    n = len(recipe.c)
    own = np.concatenate([np.arange(n), recipe.copied])
    return np.where(swapped, n + stand_ins(recipe.c[own]), own)


def _spread(rows: Rows, late: Rows, rng: np.random.Generator) -> Rows:
    """Return the rows in their order with the late ones anywhere in between."""
    places = np.sort(rng.choice(len(rows) + len(late), size=len(late), replace=False))
    return np.insert(rows, places - np.arange(len(late)), rng.permutation(late))


def swap_mask(chance: Rows, *, seed: int, epoch: int = 0) -> Rows:
    """Return which samples of an epoch an added one stands in for, each with its chance (n,)."""
    return numpy_stream(seed, "swap", epoch).random(len(chance)) < chance


def stand_ins(c: Tensor) -> Rows:
    """Return for each sample of classes c (n,) the added one of its class that may stand in for it.

    There are as many added ones of each class, sorted by class.
    """
    return np.argsort(np.argsort(c.numpy(), kind="stable"))
