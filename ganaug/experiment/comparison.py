"""Comparison: the scores of all arms and seeds, and the verdict they allow."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.metrics import recall_score

from ganaug.errors import ConfigError
from ganaug.experiment.metrics import METRICS, RANKINGS
from ganaug.experiment.statistics import (
    Gain,
    Verdict,
    against_best_control,
    corrected_gain,
    gain_over_best_control,
)

if TYPE_CHECKING:
    import pandas as pd

    from ganaug.experiment.specimens import Specimens

__all__ = ["Cell", "Comparison", "FailedCell"]

LEAST_SEEDS = 3


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
    tried: tuple[tuple[float, float], ...] = ()  # dose and held-out score of each candidate, if there are

    def score(self, metric: str) -> float:
        """Return a metric of METRICS."""
        return METRICS[metric](self.y_true, self.y_pred, self.y_score)

    @property
    def metrics(self) -> dict[str, float]:
        """All metrics, less those of scores where there are none."""
        names = [name for name in METRICS if self.y_score is not None or name not in RANKINGS]
        return {name: self.score(name) for name in names}

    def recalls(self, n_classes: int) -> np.ndarray[Any, Any]:
        """Return the recall of each class (n_classes,), NaN where the test part has none of it."""
        labels = range(n_classes)
        found: np.ndarray[Any, Any] = recall_score(
            self.y_true, self.y_pred, labels=labels, average=None, zero_division=np.nan
        )
        return found


@dataclass(frozen=True)
class FailedCell:
    """One arm in one seed that ended with an error."""

    arm: str
    seed: int
    error: str


@dataclass(frozen=True)
class Comparison:
    """What `compare` found.

    Gains are paired differences in points (hundredths of the metric) with 95 % intervals. A
    treatment is set against the best control; which one that is, is decided for each seed by the
    other seeds, and the interval allows for the choice: "helps" means better than every control. The
    verdict is that of `primary`, named before any score was seen.

    Examples
    --------
    >>> from ganaug import compare
    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(return_X_y=True)
    >>> result = compare(X.reshape(-1, 8, 8), y, arms=["nothing", "gan"], classifier="logistic",
    ...                  labelled_per_class=5, seeds=3, train_images=64, random_state=0)
    >>> result.verdict in ("helps", "no evidence", "hurts")
    True
    """

    cells: tuple[Cell, ...]
    roles: dict[str, str]  # "control" or "treatment" by arm, in order
    primary: str
    metric: str
    overlap: float
    class_names: tuple[str, ...]
    settings: dict[str, Any]
    wall_seconds: float
    sample_grid: bytes | None = None  # PNG of the first seed's generator
    failed: tuple[FailedCell, ...] = ()
    specimens: "Specimens | None" = None  # of the first seed's generator

    def report(self, path: str | Path) -> Path:
        """Write the comparison as one HTML file, which needs no other file and no network.

        Parameters
        ----------
        path : str or Path
            A file, written over if it is there. It shows real samples: keep it like the data.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        OutputExistsError
            If the path is a folder.

        Examples
        --------
        >>> import tempfile
        >>> from sklearn.datasets import load_wine
        >>> from ganaug import compare
        >>> X, y = load_wine(return_X_y=True)
        >>> result = compare(X, y, arms=["nothing", "gan"], classifier="forest", seeds=3, train_images=256)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     result.report(f"{folder}/report.html").name
        'report.html'
        """
        from ganaug.experiment.report import write_report

        return write_report(self, path)

    def without_failures(self) -> "Comparison":
        """Return what can be compared: arms with at least 3 seeds in common, and these seeds.

        Controls that failed most often are left out until there are 3; `failed` says which they are.

        Returns
        -------
        Comparison

        Raises
        ------
        ConfigError
            If there is no control left, or the primary treatment failed too often.
        """
        roles, wanted = dict(self.roles), {c.seed for c in self.cells}
        while True:
            common = [s for s in wanted if set(roles) <= {c.arm for c in self.cells if c.seed == s}]
            lost = {arm: sum(f.arm == arm for f in self.failed) for arm in roles}
            worst = max(lost, key=lambda arm: (lost[arm], arm != self.primary))
            if len(common) >= LEAST_SEEDS or not lost[worst]:
                break
            del roles[worst]
            if self.primary not in roles or "control" not in roles.values():
                error = next(f for f in self.failed if f.arm == worst)
                raise ConfigError(
                    f"arm {worst!r} must run in at least {LEAST_SEEDS} seeds; it failed in {lost[worst]}, "
                    f"in seed {error.seed} with {error.error}."
                )
        cells = tuple(c for c in self.cells if c.arm in roles and c.seed in common)
        return replace(self, roles=roles, cells=cells)

    def scores(self, arm: str, metric: str | None = None) -> np.ndarray[Any, Any]:
        """Return the scores of one arm, by seed."""
        cells = sorted((c for c in self.cells if c.arm == arm), key=lambda c: c.seed)
        return np.array([c.score(metric or self.metric) for c in cells])

    @cached_property
    def _controls(self) -> dict[str, np.ndarray[Any, Any]]:
        return {arm: self.scores(arm) for arm, role in self.roles.items() if role == "control"}

    def gain_over(self, arm: str, control: str) -> Gain:
        """Return the gain of one arm over one other, in points."""
        differences = 100 * (self.scores(arm) - self.scores(control))
        return corrected_gain(differences, overlap=self.overlap, resolution=self._resolution)

    def gain_over_best(self, arm: str) -> Gain:
        """Return the gain of one treatment over the best control, in points."""
        controls = {name: 100 * scores for name, scores in self._controls.items()}
        return gain_over_best_control(
            100 * self.scores(arm), controls, overlap=self.overlap, resolution=self._resolution
        )

    @cached_property
    def _resolution(self) -> float:
        """One test sample, in points."""
        return 100 / min(len(c.y_true) for c in self.cells)

    @property
    def best_control(self) -> str:
        """The control most often chosen as the best."""
        _, chosen = against_best_control(self.scores(self.primary), self._controls)
        return max(dict.fromkeys(chosen), key=chosen.count)

    @cached_property
    def gain(self) -> Gain:
        """Gain of the primary treatment over the best control."""
        return self.gain_over_best(self.primary)

    @property
    def verdict(self) -> Verdict:
        """One of "helps", "no evidence", "hurts"."""
        return self.gain.verdict

    @property
    def sentence(self) -> str:
        """The verdict in words, with the figures behind it."""
        words = {
            "helps": "helps",
            "no evidence": "no evidence of gain",
            "hurts": "hurts",
        }[self.verdict]
        n_seeds = len({c.seed for c in self.cells})
        return (
            f"{words}: {self.primary} against the best control ({self.best_control}) "
            f"{self.gain.mean:+.2f} points of {self.metric.replace('_', ' ')}, 95 % interval "
            f"{self.gain.low:+.2f} to {self.gain.high:+.2f}, {n_seeds} paired seeds."
        )

    @cached_property
    def table(self) -> "pd.DataFrame":
        """One row per arm: scores in percent, gains in points over doing nothing and the best control."""
        import pandas as pd

        reference = "nothing" if "nothing" in self.roles else next(iter(self._controls))
        rows = []
        for arm, role in self.roles.items():
            scores = 100 * self.scores(arm)
            cells = [c for c in self.cells if c.arm == arm]
            row: dict[str, Any] = {
                "arm": arm,
                "role": role,
                self.metric: scores.mean(),
                "sd": scores.std(ddof=1),
                f"over {reference}": _text(self.gain_over(arm, reference)) if arm != reference else "",
                "over best control": _text(self.gain_over_best(arm)) if role == "treatment" else "",
                "fit_seconds": np.mean([c.fit_seconds for c in cells]),
                "gan_seconds": np.mean([c.gan_seconds for c in cells]),
            }
            rows.append(row)
        return pd.DataFrame(rows).set_index("arm")

    @cached_property
    def per_class(self) -> "pd.DataFrame":
        """Mean recall in percent, a row per class and a column per arm; NaN for a class never tested."""
        import pandas as pd

        n_classes = len(self.class_names)
        recalls = {
            arm: pd.DataFrame([c.recalls(n_classes) for c in self.cells if c.arm == arm]).mean().to_numpy()
            for arm in self.roles
        }
        return pd.DataFrame(recalls, index=pd.Index(self.class_names, name="class")) * 100

    def to_dict(self) -> dict[str, Any]:
        """Return verdict, settings, tables and every score as plain values for JSON."""
        cells = [
            {
                "arm": c.arm,
                "seed": c.seed,
                **c.metrics,
                "n_train": c.n_train,
                "n_extra": c.n_extra,
                "n_test": len(c.y_true),
                "fit_seconds": round(c.fit_seconds, 2),
                "gan_seconds": round(c.gan_seconds, 2),
                "tried": c.tried,
            }
            for c in self.cells
        ]
        return {
            "verdict": self.verdict,
            "sentence": self.sentence,
            "metric": self.metric,
            "primary": self.primary,
            "best_control": self.best_control,
            "gain": {
                "mean": self.gain.mean,
                "low": self.gain.low,
                "high": self.gain.high,
                "p_value": self.gain.p_value,
                "overlap": self.overlap,
            },
            "settings": self.settings,
            "wall_seconds": round(self.wall_seconds, 1),
            "table": self.table.reset_index().to_dict(orient="records"),
            "per_class": [
                {k: None if v != v else v for k, v in row.items()}  # NaN is no JSON
                for row in self.per_class.reset_index().to_dict(orient="records")
            ],
            "cells": cells,
            "failed": [vars(f) for f in self.failed],
        }


def _text(gain: Gain) -> str:
    return f"{gain.mean:+.2f} [{gain.low:+.2f}, {gain.high:+.2f}]"
