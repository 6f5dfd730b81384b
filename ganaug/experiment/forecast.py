"""Forecast: what a comparison would do, how long it would take, and how small a gain it would see."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from inspect import signature
from typing import Any

import joblib
import numpy as np

from ganaug.experiment.arms import Arm
from ganaug.experiment.cells import Cell
from ganaug.experiment.contrasts import Contrasts
from ganaug.experiment.paired import compare
from ganaug.experiment.pilot import dearest, fit_times, gan_seconds, pilot_cells
from ganaug.experiment.power import Power, power
from ganaug.experiment.recalls import LEAST_SEEDS
from ganaug.experiment.setup import Setup, set_up
from ganaug.experiment.workload import fits_of, generators_of, inner_generators

__all__ = ["Forecast", "forecast"]


@dataclass(frozen=True)
class Forecast:
    """What `compare` would do with the same arguments.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> X, y = load_wine(return_X_y=True)
    >>> plan = forecast(X, y, arms=["nothing", "oversampling", "gan"], classifier="forest", seeds=3,
    ...                 train_images=256)
    >>> plan.cells, plan.generators, plan.pilot
    (9, 3, ('oversampling', 'nothing'))
    """

    arms: dict[str, Arm]
    twins: dict[str, str]  # control by treatment
    primary: str
    settings: dict[str, Any]
    jobs: int  # at a time
    max_minutes: float | None
    fit_seconds: dict[str, float]  # one training of the classifier with what goes with it, by arm
    gan_seconds: float  # one training of the generator; 0 where no arm asks for one
    pilot: tuple[str, ...]  # controls whose difference was looked at
    timed: tuple[str, ...]  # arms that were run; the others are charged like their twins, or the mean
    power: Power | None = None  # None where no two controls differ, or one seed was tried

    @property
    def seeds(self) -> int:
        """Paired repetitions, those that begin in time."""
        return sum(n for n, _ in self._waves)

    @property
    def cells(self) -> int:
        """Arms times seeds."""
        return len(self.arms) * self.seeds

    @property
    def generators(self) -> int:
        """Generators trained in all."""
        return self.seeds * generators_of(list(self.arms.values()))

    @property
    def fits(self) -> int:
        """Classifiers trained in all."""
        return self.seeds * sum(map(fits_of, self.arms.values()))

    @property
    def computing_seconds(self) -> float:
        """Seconds on one processor."""
        classifiers = self.seeds * sum(map(self._cell_seconds, self.arms))
        return classifiers + self.generators * self.gan_seconds

    @property
    def wall_seconds(self) -> float:
        """Seconds from start to end, if jobs do not slow each other down."""
        return sum(seconds for _, seconds in self._waves)

    @property
    def _waves(self) -> list[tuple[int, float]]:
        """Seeds and seconds of each wave, in the order and to the end that `run_cells` has."""
        cells = [
            self._cell_seconds(name) + inner_generators(arm) * self.gan_seconds
            for name, arm in self.arms.items()
        ]
        shared = self.gan_seconds if generators_of(list(self.arms.values())) else 0.0
        limit = float("inf") if self.max_minutes is None else 60 * self.max_minutes
        waves: list[tuple[int, float]] = []
        spent = longest = 0.0
        for first in range(0, self.settings["seeds"], self.jobs):
            if first >= LEAST_SEEDS and spent + longest > limit:
                break
            n = min(self.jobs, self.settings["seeds"] - first)
            seconds = shared + max(n * sum(cells) / self.jobs, *cells)
            waves.append((n, seconds))
            spent, longest = spent + seconds, max(longest, seconds)
        return waves

    def _cell_seconds(self, name: str) -> float:
        """Return how long the classifiers of an arm take in a seed."""
        return fits_of(self.arms[name]) * self.fit_seconds[name]

    def __str__(self) -> str:
        """Return the plan, its cost and its power as text."""
        width = max(map(len, self.arms))
        planned = self.settings["seeds"]
        cut = f" (of {planned}; no more begin in {self.max_minutes:g} min)" if self.seeds < planned else ""
        lines = [
            f"{self.cells} cells: {len(self.arms)} arms in {self.seeds} paired seeds{cut}; "
            f"{self.settings['splits']}; {self.settings['n_train']} training and {self.settings['n_test']} "
            f"test samples each. Classifier: {self.settings['classifier']}.",
            "",
        ]
        for name, arm in self.arms.items():
            n, inner = fits_of(arm), inner_generators(arm)
            work = f"{n} classifier" + "s" * (n > 1) + (f", {inner} generators of its own" if inner else "")
            about = f", twin: {self.twins[name]}" if name in self.twins else ""
            verdict = ", the verdict is about this one" if name == self.primary else ""
            seconds = f"{_time(self._cell_seconds(name))} a seed"
            lines.append(f"  {name:{width}}  {arm.role}, {work} a seed{about}{verdict}; {seconds}")
        one = f"{self.fits} classifiers"
        if self.generators:
            one += f", {self.generators} generators of about {_time(self.gan_seconds)}, by a short training"
        lines += [
            "",
            f"Cost: about {_time(self.wall_seconds)} with {self.jobs} job{'s' * (self.jobs > 1)} at a time "
            f"({one}). {self._timed_sentence}",
        ]
        if self.power is None:
            lines.append("Power: not known; it takes two controls that differ, in two seeds.")
        else:
            lines.append(f"Power, if the gain varies no more than {' less '.join(self.pilot)}: {self.power}")
        return "\n".join(lines)

    @property
    def _timed_sentence(self) -> str:
        """Which arms were run for their time, and what the others are charged."""
        others = [name for name in self.arms if name not in self.timed]
        like = [name for name in others if self.twins.get(name) in self.timed]
        rest = [name for name in others if name not in like]
        return (
            f"Timed: {', '.join(self.timed) or 'none'}"
            + (f"; charged like their twins: {', '.join(like)}" if like else "")
            + (f"; not timed, charged the mean: {', '.join(rest)}" if rest else "")
            + "."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values for JSON."""
        own = ("seeds", "cells", "fits", "generators", "computing_seconds", "wall_seconds")
        return {
            "arms": {name: arm.to_dict() for name, arm in self.arms.items()},
            **{k: getattr(self, k) for k in ("twins", "primary", "settings", "jobs", "pilot", "timed")},
            **{k: getattr(self, k) for k in ("max_minutes", "fit_seconds", "gan_seconds", *own)},
            "power": None if self.power is None else {**vars(self.power), "sentence": str(self.power)},
        }


def forecast(X: Any, y: Any = None, **settings: Any) -> Forecast:
    """Say what `compare` would do with the same arguments, without a generator's sample being looked at.

    Two controls, one of them the twin of the primary treatment, are run in up to three seeds (fewer where
    that takes longer than a minute): the spread of their difference stands for that of the gain. The other
    controls and the oracles are then run for their time alone, as far as one more minute goes; of an arm
    that chooses, the dearest candidate. Treatments are charged like their twins, and what was not reached
    is charged the mean. A generator is trained for some seconds.

    Parameters
    ----------
    X, y, **settings
        As in `compare`.

    Returns
    -------
    Forecast
        ``print`` it.

    Raises
    ------
    GanaugError
        As `compare` does before it trains anything.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> X, y = load_wine(return_X_y=True)
    >>> plan = forecast(X, y, classifier="logistic", seeds=5, train_images=256)
    >>> str(plan)[:68]
    '40 cells: 8 arms in 5 paired seeds; 5 stratified random splits of X;'
    """
    given = signature(compare).bind(X, y, **settings)
    given.apply_defaults()
    setup = set_up(**{k: v for k, v in given.arguments.items() if k in signature(set_up).parameters})
    arms, twin = setup.plan.arms, setup.twins[setup.primary]
    tried = [name for name, arm in arms.items() if arm.role != "treatment" and not arm.asks_generator]
    controls = [name for name in tried if arms[name].role == "control"]
    pilot = [twin, *(name for name in controls if name != twin and not arms[name].among)][:2]
    cells, seconds = pilot_cells(setup, {name: arms[name] for name in pilot})
    stand_ins = {name: dearest(arms[name]) for name in tried if name not in pilot}
    seconds |= fit_times(setup, stand_ins)
    mean = float(np.mean(list(seconds.values()))) if seconds else float("nan")
    plan = Forecast(
        arms=arms,
        twins=setup.twins,
        primary=setup.primary,
        settings=setup.settings,
        jobs=joblib.effective_n_jobs(given.arguments["n_jobs"]),
        max_minutes=given.arguments["max_minutes"],
        fit_seconds={name: seconds.get(name, seconds.get(setup.twins.get(name, ""), mean)) for name in arms},
        gan_seconds=gan_seconds(setup) if any(arm.asks_generator for arm in arms.values()) else 0.0,
        pilot=tuple(pilot),
        timed=tuple(name for name in arms if name in seconds),
    )
    return replace(plan, power=_power(setup, pilot, cells, planned=plan.seeds))


def _power(setup: Setup, arms: Sequence[str], cells: Sequence[Cell], *, planned: int) -> Power | None:
    """Return the power of the comparison, if the gain varies like the difference of two controls."""
    pairs = [[c for c in cells if c.seed == s] for s in sorted({c.seed for c in cells})]
    if len(arms) < 2 or len(pairs) < 2:
        return None
    contrast = Contrasts.of(
        {arm: [pair[i] for pair in pairs] for i, arm in enumerate(arms)},
        setup.plan.metric,
        overlap=setup.splits.overlap,
        given_test=setup.given_test is not None,
    )
    if len(set(contrast.outputs.values())) == 1:
        return None
    return power(contrast.over(*arms), planned=planned)


def _time(seconds: float) -> str:
    if seconds != seconds:
        return "unknown time"
    if seconds < 90:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
