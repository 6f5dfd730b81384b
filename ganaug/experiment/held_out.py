"""What a classifier said of samples held out of its training, and which arm said it best."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from sklearn.metrics import f1_score

from ganaug.experiment.metrics import Metric
from ganaug.mixing.gate import Admitted


class Tried(NamedTuple):
    """One candidate of an arm that chooses, and its score on held-out samples."""

    dose: float  # 0 where nothing is added
    score: float
    gate: str | None = None
    snapshot: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What the classifier said of the test samples after one arm's training."""

    y_pred: np.ndarray[Any, Any]
    y_score: np.ndarray[Any, Any] | None
    n_extra: int
    fit_seconds: float
    gan_seconds: float
    start: str  # fingerprint of the first weights of a torch module
    tried: tuple[Tried, ...] = ()
    admitted: tuple[Admitted, ...] = ()  # of each class, where the arm has a gate
    doses: tuple[float, ...] = ()  # of each class, where the arm chose them so


@dataclass(frozen=True)
class HeldOut:
    """What candidates did on held-out samples: the true classes by fold, outcomes by candidate and fold."""

    truth: list[np.ndarray[Any, Any]]
    outcomes: list[list[Outcome]]

    def scores(self, metric: Metric) -> list[float]:
        """Return the metric of each candidate over all folds together; nothing where there are none."""
        if not self.truth:
            return []
        truth, scores = np.concatenate(self.truth), []
        for found in self.outcomes:
            y_score = [o.y_score for o in found if o.y_score is not None]
            y_pred = np.concatenate([o.y_pred for o in found])
            scores.append(metric(truth, y_pred, np.concatenate(y_score) if y_score else None))
        return scores

    def best(self, metric: Metric) -> int:
        """Return the candidate with the best metric; the first of equals, or where there are no folds."""
        return int(np.argmax(self.scores(metric) or [0.0]))

    def best_by_class(self, n_classes: int) -> list[int]:
        """Return for each class the candidate with the best F1 of it; the first of equals."""
        truth = np.concatenate(self.truth)
        labels = np.arange(n_classes)
        by_class = [
            f1_score(
                truth,
                np.concatenate([o.y_pred for o in found]),
                labels=labels,
                average=None,
                zero_division=0,
            )
            for found in self.outcomes
        ]
        return [int(best) for best in np.argmax(by_class, axis=0)]

    @property
    def fit_seconds(self) -> float:
        """Seconds of all classifiers."""
        return sum(o.fit_seconds for found in self.outcomes for o in found)

    @property
    def gan_seconds(self) -> float:
        """Seconds of the generators, one per fold, that candidates share."""
        return sum((max(o.gan_seconds for o in fold) for fold in zip(*self.outcomes, strict=True)), 0.0)
