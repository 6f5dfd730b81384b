"""Judges of a gate: classifiers that learned from real samples alone, each from all but one fold of them."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganaug._random import derive
from ganaug.data.schema import take
from ganaug.experiment.classifiers import Recipe, Teacher
from ganaug.experiment.splits import inner_folds
from ganaug.mixing.gate import Judge

N_JUDGES = 3


def out_of_fold_judges(
    recipe: Recipe,
    fit: Callable[[Recipe], Teacher],
    *,
    seed: int,
    groups: np.ndarray[Any, Any] | None = None,
) -> tuple[Judge, ...]:
    """Return a judge for each of 3 stratified folds of the recipe's real samples, trained on the others.

    A real sample was seen by all judges but one, so that where all have to agree, this one decides on its
    copies. Classes count as equally likely, or a rare one would be rejected for being rare. Groups (n,) stay
    together. A smallest class of 2 samples or groups gives 2 judges; one of 1, none.
    """
    c = recipe.c.numpy()
    folds = inner_folds(c, N_JUDGES, groups=groups, seed=derive(seed, "judges"))
    if any(len(np.unique(c[rows])) < recipe.n_classes for rows, _ in folds):
        return ()
    parts = [replace(recipe, X=take(recipe.X, rows), x=recipe.x[rows], c=recipe.c[rows]) for rows, _ in folds]
    return tuple(_of_equal_classes(fit(part), part) for part in parts)


def _of_equal_classes(teacher: Teacher, recipe: Recipe) -> Judge:
    """Return the probabilities by a teacher as if it had seen as many samples of each class."""
    if recipe.class_weights:
        return teacher
    counts = torch.bincount(recipe.c)

    def judge(x: Tensor) -> Tensor:
        odds = teacher(x) / counts
        return odds / odds.sum(1, keepdim=True)

    return judge
