"""Recall of each class, and its gain from one arm to another."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.metrics import recall_score

from ganaug.experiment.bootstrap import resample_counts, resampled_recalls
from ganaug.experiment.statistics import Gain, crossed_estimate, paired_estimate

Array = np.ndarray[Any, Any]

LEAST_SEEDS = 3


def recalls(y_true: Array, y_pred: Array, n_classes: int) -> Array:
    """Return the recall of each class (n_classes,), NaN where the test part has none of it."""
    found: Array = recall_score(y_true, y_pred, labels=range(n_classes), average=None, zero_division=np.nan)
    return found


def recall_gains(
    parts: Sequence[tuple[Array, Array, Array]], n_classes: int, *, given_test: bool, overlap: float
) -> list[Gain]:
    """Return the gain in recall of each class, in points; NaN for its interval below 3 seeds that test it.

    A part is the true classes of a seed's test part and what two arms say of it, treatment first.
    """
    deltas = 100 * np.array([recalls(t, a, n_classes) - recalls(t, b, n_classes) for t, a, b in parts])
    drawn = _resampled(parts, n_classes) if given_test else None
    gains = []
    for k in range(n_classes):
        tested = ~np.isnan(deltas[:, k])
        if tested.sum() < LEAST_SEEDS:
            mean = float(deltas[tested, k].mean()) if tested.any() else float("nan")
            gains.append(Gain(mean, float("nan"), float("nan"), float("nan")))
            continue
        step = 100 / max(int((t == k).sum()) for t, *_ in parts)
        estimate = (
            paired_estimate(deltas[tested, k], overlap=overlap, resolution=step)
            if drawn is None
            else crossed_estimate(deltas[:, k], drawn[:, :, k], resolution=step)
        )
        gains.append(estimate.gain())
    return gains


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
