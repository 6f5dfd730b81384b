"""Metrics: scores in [0, 1] of one arm in one seed."""

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, recall_score

__all__ = ["METRICS", "RANKINGS"]

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
