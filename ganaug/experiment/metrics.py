"""Metrics: scores in [0, 1] of one arm in one seed."""

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, recall_score

__all__ = ["METRICS", "RANKINGS", "calibration_error"]

Metric = Callable[[Any, Any, Any], float]


def _balanced_accuracy(y_true: Any, y_pred: Any, y_score: Any) -> float:
    """Return the mean recall of the classes in `y_true`; a prediction of another class is only wrong."""
    return float(recall_score(y_true, y_pred, labels=np.unique(y_true), average="macro", zero_division=0))


def _accuracy(y_true: Any, y_pred: Any, y_score: Any) -> float:
    return float(accuracy_score(y_true, y_pred))


def _macro_f1(y_true: Any, y_pred: Any, y_score: Any) -> float:
    return float(f1_score(y_true, y_pred, labels=np.unique(y_true), average="macro", zero_division=0))


def _average_precision(y_true: Any, y_pred: Any, y_score: Any) -> float:
    """Return that of the second of two classes, or the mean over those of more classes in `y_true`."""
    positives = np.intersect1d([1] if y_score.shape[1] == 2 else np.unique(y_true), y_true)
    found = [average_precision_score(y_true == k, y_score[:, k]) for k in positives]
    return float(np.mean(found)) if found else 0.0


METRICS: dict[str, Metric] = {
    "balanced_accuracy": _balanced_accuracy,
    "accuracy": _accuracy,
    "macro_f1": _macro_f1,
    "average_precision": _average_precision,
}
"""Of (true class indices, predicted ones, class scores (n_test, n_classes)); larger is better."""

RANKINGS = ("average_precision",)
"""Metrics of the class scores alone, which no decision threshold changes."""

BINS = 15


def calibration_error(y_true: Any, y_score: Any) -> float:
    """Return the expected calibration error of the likeliest class, in 15 bins of equal width.

    The mean over test samples of how far confidence and accuracy of a bin are apart (Guo and others,
    2017); in [0, 1], smaller is better. NaN where the scores are no probabilities.
    """
    if y_score is None or y_score.min() < 0 or not np.allclose(y_score.sum(axis=1), 1, atol=1e-3):
        return float("nan")
    confidence, right = y_score.max(axis=1).astype(float), y_score.argmax(axis=1) == y_true
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    return float(np.abs(np.bincount(bins, weights=right - confidence)).sum() / len(confidence))
