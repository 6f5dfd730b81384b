"""Recall of each class, and its gain from one arm to another."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ganaug.experiment.bootstrap import resample_counts, resampled_recalls
from ganaug.experiment.statistics import Gain, crossed_estimate, holm, paired_estimate, right_tail

Array = np.ndarray[Any, Any]

LEAST_SEEDS = 3
LEAST_SAMPLES = 5
"""Of a class in a given test set; with 2, false flags come in up to 16 of 100 simulated comparisons."""


def recalls(y_true: Array, y_pred: Array, n_classes: int) -> Array:
    """Return the recall of each class (n_classes,), NaN where the test part has none of it."""
    there = np.bincount(y_true, minlength=n_classes)
    found = np.bincount(y_true[y_true == y_pred], minlength=n_classes)
    shares: Array = np.divide(found, there, out=np.full(n_classes, np.nan), where=there > 0)
    return shares


def recall_gains(
    parts: Sequence[tuple[Array, Array, Array]], n_classes: int, *, given_test: bool, overlap: float
) -> list[Gain]:
    """Return the gain in recall of each class, in points.

    The interval is NaN below 3 seeds that test the class, and below 5 samples of it in a given test set. A
    part is the true classes of a seed's test part and what two arms say of it, treatment first.
    """
    deltas = 100 * np.array([recalls(t, a, n_classes) - recalls(t, b, n_classes) for t, a, b in parts])
    drawn = _resampled(parts, n_classes) if given_test else None
    gains = []
    for k in range(n_classes):
        tested = ~np.isnan(deltas[:, k])
        n_test = max(int((t == k).sum()) for t, *_ in parts)
        if tested.sum() < LEAST_SEEDS or (given_test and n_test < LEAST_SAMPLES):
            mean = float(deltas[tested, k].mean()) if tested.any() else float("nan")
            gains.append(Gain(mean, float("nan"), float("nan"), float("nan")))
            continue
        step = 100 / n_test
        estimate = (
            paired_estimate(deltas[tested, k], overlap=overlap, resolution=step)
            if drawn is None
            else crossed_estimate(deltas[:, k], drawn[:, :, k], resolution=step, test_df=n_test - 1)
        )
        gains.append(estimate.gain())
    return gains


def harm_p_values(gains: Sequence[Gain], n_controls: int) -> list[float]:
    """Return the p value that a class loses recall, for each class, adjusted for all classes (Holm).

    The control of the gains may be the best of several by the same scores. Each p value counts as often as
    there are controls (Bonferroni), without which false flags come up to twice as often as they may.
    """
    return holm([n_controls * (1 - right_tail(g)) for g in gains])


def _resampled(parts: Sequence[tuple[Array, Array, Array]], n_classes: int) -> Array:
    """Return gains in recall (n_seeds, n_resamples, n_classes) on the same resampled test samples."""
    counts = resample_counts(parts[0][0], within_classes=True)
    labels = range(n_classes)
    return 100 * np.stack(
        [
            resampled_recalls(counts, t, a, labels) - resampled_recalls(counts, t, b, labels)
            for t, a, b in parts
        ]
    )
