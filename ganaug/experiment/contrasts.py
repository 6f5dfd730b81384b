"""Contrasts: differences between the scores of arms, paired by seed, in points."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ganaug.experiment.bootstrap import CLASSWISE, resample_counts, resampled_scores
from ganaug.experiment.cells import Cell
from ganaug.experiment.statistics import (
    Estimate,
    Gain,
    against_best_control,
    crossed_estimate,
    gain_over_all,
    paired_estimate,
)

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Contrasts:
    """Scores of arms in the same seeds, and what their differences are worth."""

    scores: Mapping[str, Array]  # (n_seeds,) points, by arm
    resolution: float  # points that one test sample makes
    overlap: float = 0.0  # of seeds that share samples
    resampled: Mapping[str, Array] | None = None  # (n_seeds, n_resamples) points, where seeds share the test

    @classmethod
    def of(
        cls, cells: Mapping[str, Sequence[Cell]], metric: str, *, overlap: float, given_test: bool
    ) -> "Contrasts":
        """Return the contrasts of arms with a cell for each seed, in the same order."""
        scores = {arm: 100 * np.array([c.score(metric) for c in found]) for arm, found in cells.items()}
        resolution = 100 / min(len(c.y_true) for found in cells.values() for c in found)
        if not given_test:
            return cls(scores, resolution, overlap)
        truth = next(iter(cells.values()))[0].y_true
        counts = resample_counts(truth, within_classes=metric in CLASSWISE)
        resampled = {
            arm: 100
            * np.stack([resampled_scores(metric, counts, c.y_true, c.y_pred, c.y_score) for c in found])
            for arm, found in cells.items()
        }
        return cls(scores, resolution, resampled=resampled)

    def estimate(self, weights: Iterable[tuple[str, float]]) -> Estimate:
        """Return the sum of arms by their weights, which add up to 0."""
        weights = list(weights)
        differences = sum(w * self.scores[arm] for arm, w in weights)
        if self.resampled is None:
            return paired_estimate(differences, overlap=self.overlap, resolution=self.resolution)
        resampled = sum(w * self.resampled[arm] for arm, w in weights)
        return crossed_estimate(differences, resampled, resolution=self.resolution)

    def over(self, arm: str, other: str) -> Estimate:
        """Return one arm less another."""
        return self.estimate([(arm, 1.0), (other, -1.0)])

    def over_best(self, arm: str, controls: Sequence[str]) -> Gain:
        """Return the gain of an arm over the best of the controls."""
        mean = float(against_best_control(self.scores[arm], self._of(controls))[0].mean())
        return gain_over_all(mean, [self.over(arm, control) for control in controls])

    def best(self, arm: str, controls: Sequence[str]) -> str:
        """Return the control that is chosen most often as the best, to set the arm against."""
        _, chosen = against_best_control(self.scores[arm], self._of(controls))
        return max(dict.fromkeys(chosen), key=chosen.count)

    def _of(self, controls: Sequence[str]) -> dict[str, Array]:
        return {control: self.scores[control] for control in controls}
