"""Comparison: the scores of all arms and seeds, and the verdict they allow."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ganaug.errors import ConfigError
from ganaug.experiment.bootstrap import CLASSWISE, resample_counts, resampled_scores
from ganaug.experiment.cells import Cell, FailedCell
from ganaug.experiment.power import Power, power
from ganaug.experiment.recalls import LEAST_SEEDS, recall_gains
from ganaug.experiment.statistics import (
    Estimate,
    Gain,
    Verdict,
    against_best_control,
    crossed_estimate,
    gain_over_all,
    holm,
    paired_estimate,
)

if TYPE_CHECKING:
    import pandas as pd

    from ganaug.experiment.specimens import Specimens

__all__ = ["Comparison"]


@dataclass(frozen=True)
class Comparison:
    """What `compare` found.

    Gains are paired differences in points (hundredths of the metric) with 95 % intervals. A
    treatment is set against the best control; which one that is, is decided for each seed by the
    other seeds, and the interval allows for the choice: "helps" means better than every control. The
    verdict is that of `primary`, named before any score was seen; `treatments` has those of all, at p values
    adjusted for their number.

    Where all seeds share a given test set, the interval is about new seeds and new test samples
    (two variances, one from the seeds, one from resampled test samples). Seeds that draw their training
    samples from one pool speak for that pool.

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
    given_test: bool = False  # every seed is tested on the same samples
    rope: float = 0.5  # points; a smaller difference is of no practical interest
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
        return np.array([c.score(metric or self.metric) for c in self._cells(arm)])

    def _cells(self, arm: str) -> list[Cell]:
        return sorted((c for c in self.cells if c.arm == arm), key=lambda c: c.seed)

    @cached_property
    def _controls(self) -> dict[str, np.ndarray[Any, Any]]:
        return {arm: self.scores(arm) for arm, role in self.roles.items() if role == "control"}

    def gain_over(self, arm: str, control: str) -> Gain:
        """Return the gain of one arm over one other, in points."""
        return self._estimate(arm, control).gain()

    def gain_over_best(self, arm: str) -> Gain:
        """Return the gain of one treatment over the best control, in points."""
        controls = {name: 100 * scores for name, scores in self._controls.items()}
        mean = float(against_best_control(100 * self.scores(arm), controls)[0].mean())
        return gain_over_all(mean, [self._estimate(arm, control) for control in self._controls])

    def _estimate(self, arm: str, control: str) -> Estimate:
        differences = 100 * self.scores(arm) - 100 * self.scores(control)
        if not self.given_test:
            return paired_estimate(differences, overlap=self.overlap, resolution=self._resolution)
        resampled = 100 * (self._resampled[arm] - self._resampled[control])
        return crossed_estimate(differences, resampled, resolution=self._resolution)

    @cached_property
    def _counts(self) -> np.ndarray[Any, Any]:
        return resample_counts(self.cells[0].y_true, within_classes=self.metric in CLASSWISE)

    @cached_property
    def _resampled(self) -> dict[str, np.ndarray[Any, Any]]:
        """Scores (n_seeds, n_resamples) of each arm on the same resampled test samples."""
        return {
            arm: np.stack(
                [
                    resampled_scores(self.metric, self._counts, c.y_true, c.y_pred, c.y_score)
                    for c in self._cells(arm)
                ]
            )
            for arm in self.roles
        }

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
    def equivalent(self) -> bool:
        """Whether the interval lies within the region of practical equivalence."""
        return -self.rope < self.gain.low and self.gain.high < self.rope

    @property
    def sentence(self) -> str:
        """The verdict in words, with the figures behind it."""
        words: str = self.verdict
        if words == "no evidence":
            none = f"no difference larger than {self.rope:g} points"
            words = none if self.equivalent else "no evidence of gain"
        elif self.equivalent:
            words += f", by less than {self.rope:g} points"
        n_seeds = len({c.seed for c in self.cells})
        over = " on one test set, whose samples are resampled" if self.given_test else ""
        return (
            f"{words}: {self.primary} against the best control ({self.best_control}) "
            f"{self.gain.mean:+.2f} points of {self.metric.replace('_', ' ')}, 95 % interval "
            f"{self.gain.low:+.2f} to {self.gain.high:+.2f}, {n_seeds} paired seeds{over}."
        )

    @cached_property
    def treatments(self) -> "pd.DataFrame":
        """One row per treatment: the gain over the best control, its p value, Holm's, and the verdict.

        The verdict of the primary treatment is by its own p value, those of the others by Holm's over all
        treatments.
        """
        import pandas as pd

        names = [arm for arm, role in self.roles.items() if role == "treatment"]
        gains = [self.gain_over_best(arm) for arm in names]
        adjusted = holm([g.p_value for g in gains])
        rows = [
            {
                "arm": arm,
                "gain": g.mean,
                "low": g.low,
                "high": g.high,
                "p_value": g.p_value,
                "p_holm": p,
                "verdict": g.verdict if arm == self.primary or p < 0.05 else "no evidence",
            }
            for arm, g, p in zip(names, gains, adjusted, strict=True)
        ]
        return pd.DataFrame(rows).set_index("arm")

    @cached_property
    def power(self) -> Power:
        """What more seeds would show of the primary treatment against the best control alone."""
        return power(self._estimate(self.primary, self.best_control))

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
                "calibration_error": 100 * float(np.mean([c.calibration_error for c in cells])),
                f"over {reference}": _text(self.gain_over(arm, reference)) if arm != reference else "",
                "over best control": _text(self.gain_over_best(arm)) if role == "treatment" else "",
                "fit_seconds": np.mean([c.fit_seconds for c in cells]),
                "gan_seconds": np.mean([c.gan_seconds for c in cells]),
            }
            rows.append(row)
        return pd.DataFrame(rows).set_index("arm").dropna(axis="columns", how="all")

    @cached_property
    def per_class(self) -> "pd.DataFrame":
        """Mean recall in percent, a row per class and a column per arm; NaN for a class never tested.

        Then the difference of the primary treatment to the best control in points, its 95 % interval,
        Holm's p value over the classes, and whether the class is surely harmed (p below 0.05). A class
        that fewer than 3 seeds test has no interval.
        """
        import pandas as pd

        n_classes = len(self.class_names)
        found = {
            arm: pd.DataFrame([c.recalls(n_classes) for c in self.cells if c.arm == arm]).mean().to_numpy()
            for arm in self.roles
        }
        means = pd.DataFrame(found, index=pd.Index(self.class_names, name="class")) * 100
        arms = (self._cells(arm) for arm in (self.primary, self.best_control))
        parts = [(a.y_true, a.y_pred, b.y_pred) for a, b in zip(*arms, strict=True)]
        gains = recall_gains(parts, n_classes, given_test=self.given_test, overlap=self.overlap)
        adjusted = holm([g.p_value for g in gains])
        return means.assign(
            difference=[g.mean for g in gains],
            low=[g.low for g in gains],
            high=[g.high for g in gains],
            p_holm=adjusted,
            harmed=[g.mean < 0 and p < 0.05 for g, p in zip(gains, adjusted, strict=True)],
        )

    @property
    def harmed(self) -> tuple[str, ...]:
        """Classes whose recall surely suffers under the primary treatment."""
        return tuple(self.per_class.index[self.per_class["harmed"]])

    def to_dict(self) -> dict[str, Any]:
        """Return verdict, settings, tables and every score as plain values for JSON."""
        cells = [
            {
                "arm": c.arm,
                "seed": c.seed,
                **c.metrics,
                "calibration_error": _plain(c.calibration_error),
                "n_train": c.n_train,
                "n_extra": c.n_extra,
                "n_test": len(c.y_true),
                "fit_seconds": round(c.fit_seconds, 2),
                "gan_seconds": round(c.gan_seconds, 2),
                "tried": c.tried,
                "admitted": c.admitted,
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
            "rope": self.rope,
            "equivalent": self.equivalent,
            "treatments": _records(self.treatments),
            "harmed": list(self.harmed),
            "power": {**vars(self.power), "sentence": str(self.power)},
            "settings": self.settings,
            "wall_seconds": round(self.wall_seconds, 1),
            "table": _records(self.table),
            "per_class": _records(self.per_class),
            "cells": cells,
            "failed": [vars(f) for f in self.failed],
        }


def _text(gain: Gain) -> str:
    return f"{gain.mean:+.2f} [{gain.low:+.2f}, {gain.high:+.2f}]"


def _records(frame: "pd.DataFrame") -> list[dict[str, Any]]:
    """Return the rows of a table, None for NaN, which is no JSON."""
    rows = frame.reset_index().to_dict(orient="records")
    return [{str(k): _plain(v) for k, v in row.items()} for row in rows]


def _plain(value: Any) -> Any:
    return None if value != value else value
