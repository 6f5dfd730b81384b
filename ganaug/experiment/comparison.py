"""Comparison: the scores of all arms and seeds, and the verdict they allow."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ganaug.errors import ConfigError
from ganaug.experiment.cells import Cell, FailedCell
from ganaug.experiment.contrasts import Contrasts
from ganaug.experiment.power import Power, power
from ganaug.experiment.recalls import LEAST_SEEDS
from ganaug.experiment.result_dict import as_dict
from ganaug.experiment.result_sentences import twin_sentence, verdict_sentence, worth_sentence
from ganaug.experiment.result_tables import arm_table, class_table, treatment_table
from ganaug.experiment.statistics import Gain, Verdict
from ganaug.experiment.worth import Worth, worth

if TYPE_CHECKING:
    import pandas as pd

    from ganaug.experiment.specimens import Specimens

__all__ = ["Comparison"]


@dataclass(frozen=True, repr=False)
class Comparison:
    """What `compare` found.

    Gains are paired differences in points (hundredths of the metric) with 95 % intervals. A
    treatment is set against the best control; which one that is, is decided for each seed by the
    other seeds, and the interval allows for the choice: "helps" means better than every control. The
    verdict is that of `primary`, named before any score was seen; `treatments` has those of all, at p values
    adjusted for their number.

    A treatment's twin is the control that differs from it in the added samples only: `twin_gain` is what of
    the gain is the generator's own. A treatment may be above its twin and no better than another control, or
    above nothing and no better than its twin: then it is the rest of the recipe that helped. Where oracles
    ran, `worth` is the number of real samples that would have done as much.

    Where all seeds share a given test set, the interval is about new seeds and new test samples
    (two variances, one from the seeds, one from resampled test samples). Seeds that draw their training
    samples from one pool speak for that pool, and seeds that all train on the same samples for these alone
    (`one_training_set`).

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
    roles: dict[str, str]  # "control", "treatment" or "oracle" by arm, in order
    primary: str
    metric: str
    overlap: float
    class_names: tuple[str, ...]
    settings: dict[str, Any]
    wall_seconds: float
    sample_grid: bytes | None = None  # PNG of the first seed's generator
    failed: tuple[FailedCell, ...] = ()
    lost_controls: tuple[str, ...] = ()  # that failed too often to be beaten: nothing "helps" then
    given_test: bool = False  # every seed is tested on the same samples
    one_training_set: bool = False  # every seed trains on the same samples
    twins: dict[str, str] = field(default_factory=dict)  # by treatment; one that failed is in no role
    learning_curve: tuple[str, ...] = ()  # arm that adds nothing and oracles, if there are
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
        lost_controls = tuple(k for k, role in self.roles.items() if role == "control" and k not in roles)
        return replace(self, roles=roles, cells=cells, lost_controls=lost_controls)

    def __repr__(self) -> str:
        """Return the verdict in words."""
        return f"<Comparison: {self.sentence}>"

    def cells_of(self, arm: str) -> list[Cell]:
        """Return the cells of one arm, by seed."""
        return sorted((c for c in self.cells if c.arm == arm), key=lambda c: c.seed)

    def scores(self, arm: str, metric: str | None = None) -> np.ndarray[Any, Any]:
        """Return the scores of one arm, by seed."""
        return np.array([c.score(metric or self.metric) for c in self.cells_of(arm)])

    @cached_property
    def _contrasts(self) -> Contrasts:
        cells = {arm: self.cells_of(arm) for arm in self.roles}
        return Contrasts.of(cells, self.metric, overlap=self.overlap, given_test=self.given_test)

    @property
    def _controls(self) -> list[str]:
        return [arm for arm, role in self.roles.items() if role == "control"]

    @property
    def reference(self) -> str:
        """The arm that all others are shown against: "nothing", or else the first control."""
        return "nothing" if "nothing" in self._controls else self._controls[0]

    @property
    def best_control(self) -> str:
        """The control most often chosen as the best."""
        return self._contrasts.best(self.primary, self._controls)

    def gain_over(self, arm: str, control: str) -> Gain:
        """Return the gain of one arm over one other, in points."""
        return self._contrasts.over(arm, control).gain()

    def gain_over_best(self, arm: str) -> Gain:
        """Return the gain of one treatment over the best control, in points."""
        return self._contrasts.over_best(arm, self._controls)

    def gain_over_twin(self, arm: str) -> Gain | None:
        """Return the gain of one treatment over its twin, in points; None where the twin failed."""
        twin = self.twins.get(arm)
        return self.gain_over(arm, twin) if twin in self.roles else None

    @cached_property
    def gain(self) -> Gain:
        """Gain of the primary treatment over the best control."""
        return self.gain_over_best(self.primary)

    @property
    def verdict(self) -> Verdict:
        """One of "helps", "no evidence", "hurts"."""
        return self.verdict_of(self.gain)

    def verdict_of(self, gain: Gain) -> Verdict:
        """Return the verdict on a gain over the best control; none "helps" where a control was lost."""
        return "no evidence" if self.lost_controls and gain.verdict == "helps" else gain.verdict

    @property
    def equivalent(self) -> bool:
        """Whether the interval lies within the region of practical equivalence."""
        return -self.rope < self.gain.low and self.gain.high < self.rope

    @property
    def sentence(self) -> str:
        """The verdict in words, with the figures behind it."""
        return verdict_sentence(self)

    @cached_property
    def twin_gain(self) -> Gain | None:
        """Gain of the primary treatment over its twin; None where the twin failed."""
        return self.gain_over_twin(self.primary)

    @property
    def twin_sentence(self) -> str:
        """What of the gain is the generator's own, in words."""
        return twin_sentence(self)

    @cached_property
    def real_samples_added(self) -> dict[str, float]:
        """Real samples that the arms of the learning curve add, on average; empty without an oracle."""
        there = [arm for arm in self.learning_curve if arm in self.roles]
        if len(there) < 2 or there[0] != self.learning_curve[0]:
            return {}
        return {arm: float(np.mean([c.n_extra for c in self.cells_of(arm)])) for arm in there}

    def worth_of(self, arm: str) -> Worth | None:
        """Return how many more real samples would do as well as an arm; None where that is not known."""
        return worth(self._contrasts, arm, self.real_samples_added)

    @cached_property
    def worth(self) -> Worth | None:
        """What the primary treatment is worth in real samples; `worth_sentence` says why it may be None."""
        return self.worth_of(self.primary)

    @property
    def worth_sentence(self) -> str:
        """What the primary treatment is worth in real samples, in words."""
        return worth_sentence(self)

    @cached_property
    def power(self) -> Power:
        """What more seeds would show of the primary treatment against the best control alone."""
        return power(self._contrasts.over(self.primary, self.best_control))

    @cached_property
    def table(self) -> "pd.DataFrame":
        """One row per arm: scores in percent, gains in points over doing nothing and the best control."""
        return arm_table(self)

    @cached_property
    def treatments(self) -> "pd.DataFrame":
        """One row per treatment: its gain over the best control, with the verdict, and over its twin.

        Two questions, at 5 % each: the verdict of the primary treatment is by its own p value, those of the
        others by Holm's over all treatments. The intervals over twins are each for itself. Where oracles
        ran, "worth" is in real samples.
        """
        return treatment_table(self)

    @cached_property
    def per_class(self) -> "pd.DataFrame":
        """Mean recall in percent, a row per class and a column per arm; NaN for a class never tested.

        Then the difference of the primary treatment to the best control in points, its 95 % interval,
        the p value of a loss, adjusted for all classes (Holm) and for the choice of the control
        (Bonferroni), and whether the class is surely harmed (p below 0.05). The interval is adjusted for
        neither. A class that fewer than 3 seeds test, or fewer than 5 samples of a given test set, has none.
        """
        return class_table(self)

    @property
    def harmed(self) -> tuple[str, ...]:
        """Classes whose recall surely suffers under the primary treatment."""
        return tuple(self.per_class.index[self.per_class["harmed"]])

    def to_dict(self) -> dict[str, Any]:
        """Return verdict, settings, tables and every score as plain values for JSON."""
        return as_dict(self)
