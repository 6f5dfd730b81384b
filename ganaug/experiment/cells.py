"""Cells: what the classifier said of the test samples under one arm in one seed."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ganaug.experiment.held_out import Tried
from ganaug.experiment.metrics import METRICS, RANKINGS, calibration_error
from ganaug.experiment.recalls import recalls
from ganaug.mixing.gate import Admitted

__all__ = ["Cell", "FailedCell"]


@dataclass(frozen=True)
class Cell:
    """One arm in one seed."""

    arm: str
    seed: int
    y_true: np.ndarray[Any, Any]  # (n_test,) class indices
    y_pred: np.ndarray[Any, Any]
    y_score: np.ndarray[Any, Any] | None  # (n_test, n_classes) float32, where the classifier has scores
    n_train: int
    n_extra: int
    fit_seconds: float  # the classifier
    gan_seconds: float  # the generator, where the arm uses one; shared by the arms of a seed
    start: str = ""  # fingerprint of the first weights of a torch classifier
    tried: tuple[Tried, ...] = ()  # the candidates of an arm that chooses, if samples could be held out
    admitted: tuple[Admitted, ...] = ()  # of each class, where the arm has a gate
    doses: tuple[float, ...] = ()  # of each class, where the arm chose them so

    def is_sound(self, n_classes: int) -> bool:
        """Whether the parts fit together, which those of a file may not."""
        n, score = len(self.y_true), self.y_score
        classes = [self.y_true, self.y_pred]
        return (
            all(c.shape == (n,) and c.dtype.kind in "iu" and n > 0 for c in classes)
            and all(0 <= c.min() <= c.max() < n_classes for c in classes)
            and (score is None or (score.shape == (n, n_classes) and score.dtype.kind == "f"))
            and all(type(v) is int and v >= 0 for v in (self.n_train, self.n_extra))
            and all(isinstance(v, float) for v in (self.fit_seconds, self.gan_seconds))
            and isinstance(self.start, str)
        )

    @property
    def chosen(self) -> Tried | None:
        """The candidate that was taken: the first of those with the best score; None where `doses` tell."""
        if self.doses:
            return None
        return max(self.tried, key=lambda t: t.score, default=None)

    def score(self, metric: str) -> float:
        """Return a metric of METRICS."""
        return METRICS[metric](self.y_true, self.y_pred, self.y_score)

    @property
    def metrics(self) -> dict[str, float]:
        """All metrics, less those of scores where there are none."""
        names = [name for name in METRICS if self.y_score is not None or name not in RANKINGS]
        return {name: self.score(name) for name in names}

    @property
    def calibration_error(self) -> float:
        """Expected calibration error in [0, 1]; NaN where the classifier gives no probabilities."""
        return calibration_error(self.y_true, self.y_score)

    def recalls(self, n_classes: int) -> np.ndarray[Any, Any]:
        """Return the recall of each class (n_classes,), NaN where the test part has none of it."""
        return recalls(self.y_true, self.y_pred, n_classes)


@dataclass(frozen=True)
class FailedCell:
    """One arm in one seed that ended with an error."""

    arm: str
    seed: int
    error: str
