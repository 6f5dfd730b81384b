"""Metrics on resampled test samples, all resamples at once."""

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

RESAMPLES = 500
CLASSWISE = ("balanced_accuracy",)
"""Metrics that are means over classes of what happens within one: resampled within classes."""


def resample_counts(y_true: Array, *, within_classes: bool, n_resamples: int = RESAMPLES) -> Array:
    """Return how often each test sample is in each resample (n_resamples, n_test), always the same draw.

    One sample less than there are is drawn, of each class or of all, which makes the variance of a mean over
    resamples an unbiased estimate (Rao and Wu, 1988), where as many as there are would make it too small.
    """
    stream = np.random.default_rng(0)
    counts = np.zeros((n_resamples, len(y_true)), dtype=np.float32)
    strata = [np.flatnonzero(y_true == k) for k in np.unique(y_true)] if within_classes else [slice(None)]
    for rows in strata:
        n = counts[0, rows].size
        counts[:, rows] = stream.multinomial(max(n - 1, 1), np.full(n, 1 / n), size=n_resamples)
    return counts


def sample_df(y_true: Array, *, within_classes: bool) -> float:
    """Return the degrees of freedom of the variance over resamples (Satterthwaite, equally hard classes)."""
    if not within_classes:
        return float(len(y_true) - 1)
    sizes = np.unique(y_true, return_counts=True)[1].astype(float)
    return float((1 / sizes).sum() ** 2 / (1 / (sizes**2 * np.maximum(sizes - 1, 1))).sum())


def resampled_scores(
    metric: str, counts: Array, y_true: Array, y_pred: Array, y_score: Array | None
) -> Array:
    """Return a metric of METRICS for each resample (n_resamples,)."""
    return RESAMPLED[metric](counts, y_true, y_pred, y_score)


def _accuracy(counts: Array, y_true: Array, y_pred: Array, y_score: Any) -> Array:
    right: Array = counts @ (y_true == y_pred).astype(np.float32) / counts.sum(axis=1)
    return right


def _balanced_accuracy(counts: Array, y_true: Array, y_pred: Array, y_score: Any) -> Array:
    means: Array = np.nanmean(resampled_recalls(counts, y_true, y_pred, np.unique(y_true)), axis=1)
    return means


def resampled_recalls(counts: Array, y_true: Array, y_pred: Array, labels: Any) -> Array:
    """Return the recall of each class for each resample (n_resamples, n_labels), NaN without samples."""
    there = (y_true[:, None] == np.asarray(labels)).astype(np.float32)
    found = there * (y_true == y_pred)[:, None]
    return _ratio(counts @ found, counts @ there)


def _macro_f1(counts: Array, y_true: Array, y_pred: Array, y_score: Any) -> Array:
    scores = []
    for k in np.unique(y_true):
        true, said = y_true == k, y_pred == k
        columns = np.stack([true & said, true, said], axis=1).astype(np.float32)
        hits, n_true, n_said = (counts @ columns).T
        scores.append(np.where(n_true > 0, _ratio(2 * hits, n_true + n_said), np.nan))
    means: Array = np.nanmean(scores, axis=0)
    return means


def _average_precision(counts: Array, y_true: Array, y_pred: Array, y_score: Array) -> Array:
    positives = np.intersect1d([1] if y_score.shape[1] == 2 else np.unique(y_true), y_true)
    if not len(positives):
        return np.zeros(len(counts))
    scores = np.array([_one_precision(counts, y_true == k, y_score[:, k]) for k in positives])
    return _ratio(np.nansum(scores, axis=0), (~np.isnan(scores)).sum(axis=0))


def _one_precision(counts: Array, positive: Array, score: Array) -> Array:
    order = np.argsort(-score, kind="stable")
    last = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)  # of each run of equal scores
    above = counts[:, order].cumsum(axis=1)[:, last]
    hits = (counts * positive)[:, order].cumsum(axis=1)[:, last]
    gained = np.diff(hits, axis=1, prepend=0)
    precision = np.divide(hits, above, out=np.zeros_like(hits), where=above > 0)
    return _ratio((precision * gained).sum(axis=1), hits[:, -1])


def _ratio(above: Array, below: Array) -> Array:
    ratio: Array = np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)
    return ratio


RESAMPLED: dict[str, Callable[[Array, Array, Array, Any], Array]] = {
    "balanced_accuracy": _balanced_accuracy,
    "accuracy": _accuracy,
    "macro_f1": _macro_f1,
    "average_precision": _average_precision,
}
"""Of (counts, true class indices, predicted ones, class scores); the names are those of METRICS."""
