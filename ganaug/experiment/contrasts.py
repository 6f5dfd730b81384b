"""Contrasts: differences between the scores of arms, paired by seed, in points."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ganaug.experiment.bootstrap import CLASSWISE, resample_counts, resampled_scores, sample_df
from ganaug.experiment.cells import Cell
from ganaug.experiment.statistics import (
    MANY,
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
    outputs: Mapping[str, str] = field(default_factory=dict)  # fingerprint of what an arm says in all seeds
    resampled: Mapping[str, Array] | None = None  # (n_seeds, n_resamples) points, where seeds share the test
    test_df: float = MANY  # degrees of freedom that a shared test set gives the metric

    @classmethod
    def of(
        cls, cells: Mapping[str, Sequence[Cell]], metric: str, *, overlap: float, given_test: bool
    ) -> "Contrasts":
        """Return the contrasts of arms with a cell for each seed, in the same order."""
        scores = {arm: 100 * np.array([c.score(metric) for c in found]) for arm, found in cells.items()}
        resolution = 100 / min(len(c.y_true) for found in cells.values() for c in found)
        outputs = {arm: _fingerprint(found) for arm, found in cells.items()}
        if not given_test:
            return cls(scores, resolution, overlap, outputs)
        truth = next(iter(cells.values()))[0].y_true
        counts = resample_counts(truth, within_classes=metric in CLASSWISE)
        resampled = {
            arm: 100
            * np.stack([resampled_scores(metric, counts, c.y_true, c.y_pred, c.y_score) for c in found])
            for arm, found in cells.items()
        }
        test_df = sample_df(truth, within_classes=metric in CLASSWISE)
        return cls(scores, resolution, outputs=outputs, resampled=resampled, test_df=test_df)

    def estimate(self, weights: Iterable[tuple[str, float]]) -> Estimate:
        """Return the sum of arms by their weights, which add up to 0."""
        weights = list(weights)
        said = {self.outputs.get(arm, arm) for arm, w in weights if w}
        resolution = self.resolution if len(said) > 1 else 0.0
        differences = sum(w * self.scores[arm] for arm, w in weights)
        if self.resampled is None:
            return paired_estimate(differences, overlap=self.overlap, resolution=resolution)
        resampled = sum(w * self.resampled[arm] for arm, w in weights)
        return crossed_estimate(differences, resampled, resolution=resolution, test_df=self.test_df)

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


def _fingerprint(cells: Sequence[Cell]) -> str:
    """Return what is the same for arms that give each test sample the same scores.

    Class weights do, that have nothing to weigh. Without scores, equal classes do not tell that, nor do
    choices that happened to be the same.
    """
    content = hashlib.sha256()
    for cell in cells:
        said = cell.arm.encode() if cell.y_score is None or cell.tried else cell.y_score.tobytes()
        content.update(said + cell.y_pred.tobytes())
    return content.hexdigest()
