"""Nothing added, but the decision tuned to a metric, on out-of-fold predictions of the training part."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ganaug._random import derive
from ganaug.data.schema import take
from ganaug.experiment.classifiers import Recipe
from ganaug.experiment.metrics import Metric
from ganaug.experiment.splits import inner_folds

INNER_FOLDS = 5
MAX_THRESHOLDS, TAIL_THRESHOLDS = 200, 20
POWERS = (0.0, 0.25, 0.5, 0.75, 1.0)

Scores = np.ndarray[Any, Any]
Fit = Callable[[Recipe, Any], tuple[np.ndarray[Any, Any], Any]]
"""Trains a new classifier on a recipe; returns class indices and class scores of the given samples."""


def tuned_factors(
    recipe: Recipe, fit: Fit, metric: Metric, *, seed: int, groups: np.ndarray[Any, Any] | None = None
) -> Scores:
    """Return factors (n_classes,) of the class probabilities, tuned on samples held out of the recipe.

    The folds are stratified, keep groups (n,) together, and are at most 5 and as many as the smallest
    class has samples or groups. Where that is one, or groups leave a fold without a class to train on,
    nothing is tuned.
    """
    c = recipe.c.numpy()
    held_out, y_score = [], []
    folds = inner_folds(c, INNER_FOLDS, groups=groups, seed=derive(seed, "threshold"))
    if not folds or any(len(np.unique(c[rows])) < len(np.unique(c)) for rows, _ in folds):
        return np.ones(int(c.max()) + 1)
    for rows, rest in folds:
        inner = replace(recipe, X=take(recipe.X, rows), x=recipe.x[rows], c=recipe.c[rows])
        held_out.append(rest)
        y_score.append(fit(inner, take(recipe.X, rest))[1])
    return best_factors(c[np.concatenate(held_out)], np.concatenate(y_score), metric)


def best_factors(c: np.ndarray[Any, Any], y_score: Scores, metric: Metric) -> Scores:
    """Return the factors with the best metric; of equally good ones, those that change least.

    Of two classes, they stand for a threshold between the probabilities seen; of more, for a division by
    a power of the classes' shares: 0 (no change), 1/4, 1/2, 3/4 or 1 (equal shares).
    """
    n_classes = y_score.shape[1]
    if n_classes == 2:
        thresholds = _between(y_score[:, 1].astype(np.float64))
        candidates = np.stack([thresholds, 1 - thresholds], axis=1)
    else:
        shares = np.bincount(c, minlength=n_classes) / len(c)
        candidates = np.stack([shares**-power for power in POWERS])
    found = [metric(c, (y_score * factors).argmax(1), y_score) for factors in candidates]
    return np.asarray(candidates[int(np.argmax(found))])


def _between(probabilities: Scores) -> Scores:
    """Return thresholds between the values that occur, the nearest to a half first.

    Of many, 200 are taken at equal shares of the values, and 20 more, ever closer, towards either end:
    the best F1 of a class of one in a thousand is there.
    """
    values = np.unique(probabilities)
    middles = (values[1:] + values[:-1]) / 2
    if len(middles) > MAX_THRESHOLDS:
        tail = np.geomspace(1 / len(middles), 1 / MAX_THRESHOLDS, TAIL_THRESHOLDS)
        shares = np.concatenate([np.linspace(0, 1, MAX_THRESHOLDS), tail, 1 - tail])
        middles = np.quantile(middles, np.unique(shares))
    thresholds = np.concatenate([[0.5], middles])
    return np.asarray(thresholds[np.argsort(np.abs(thresholds - 0.5), kind="stable")])
