"""Forecast: what a comparison would do, how long it would take, and how small a gain it would see."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from inspect import signature
from typing import Any

import joblib
import numpy as np

from ganaug.experiment.arms import Arm
from ganaug.experiment.bench import INNER_FOLDS
from ganaug.experiment.cells import Cell, FailedCell
from ganaug.experiment.contrasts import Contrasts
from ganaug.experiment.jobs import one_thread, run_cell
from ganaug.experiment.judges import N_JUDGES
from ganaug.experiment.paired import compare
from ganaug.experiment.power import Power, power
from ganaug.experiment.setup import Setup, set_up
from ganaug.experiment.thresholds import INNER_FOLDS as THRESHOLD_FOLDS
from ganaug.generator import ConditionalGAN

__all__ = ["Forecast", "forecast"]

PILOT_SEEDS = 3
PILOT_SECONDS = 60.0
"""No further pilot seed begins after so long."""
GAN_MINUTES = 0.1
"""How long the generator is trained to learn its speed."""


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
    fit_seconds: float  # one training of the classifier
    gan_seconds: float  # one training of the generator; 0 where no arm asks for one
    pilot: tuple[str, ...]  # controls that were run
    power: Power | None  # None where no two controls differ, or one seed was tried

    @property
    def seeds(self) -> int:
        """Paired repetitions."""
        seeds: int = self.settings["seeds"]
        return seeds

    @property
    def cells(self) -> int:
        """Arms times seeds."""
        return len(self.arms) * self.seeds

    @property
    def generators(self) -> int:
        """Generators trained in all."""
        return self.seeds * _generators_of(list(self.arms.values()))

    @property
    def fits(self) -> int:
        """Classifiers trained in all."""
        return self.seeds * sum(map(fits_of, self.arms.values()))

    @property
    def computing_seconds(self) -> float:
        """Seconds on one processor."""
        return self.fits * self.fit_seconds + self.generators * self.gan_seconds

    @property
    def wall_seconds(self) -> float:
        """Seconds from start to end, if jobs do not slow each other down."""
        waves, left = divmod(self.seeds, self.jobs)
        per_seed = self.computing_seconds / self.seeds
        shared = [self.jobs] * waves + ([left] if left else [])
        generators = len(shared) * self.gan_seconds if self.generators else 0.0
        rest = per_seed - (self.gan_seconds if self.generators else 0.0)
        return generators + sum(max(n * rest / self.jobs, self._longest_cell) for n in shared)

    @property
    def _longest_cell(self) -> float:
        return max(
            fits_of(arm) * self.fit_seconds + _inner_generators(arm) * self.gan_seconds
            for arm in self.arms.values()
        )

    def __str__(self) -> str:
        """Return the plan, its cost and its power as text."""
        width = max(map(len, self.arms))
        lines = [
            f"{self.cells} cells: {len(self.arms)} arms in {self.seeds} paired seeds; "
            f"{self.settings['splits']}; {self.settings['n_train']} training and {self.settings['n_test']} "
            f"test samples each. Classifier: {self.settings['classifier']}.",
            "",
        ]
        for name, arm in self.arms.items():
            n, inner = fits_of(arm), _inner_generators(arm)
            work = f"{n} classifier" + "s" * (n > 1) + (f", {inner} generators of its own" if inner else "")
            about = f", twin: {self.twins[name]}" if name in self.twins else ""
            verdict = ", the verdict is about this one" if name == self.primary else ""
            lines.append(f"  {name:{width}}  {arm.role}, {work} a seed{about}{verdict}")
        one = f"{self.fits} classifiers of about {_time(self.fit_seconds)}"
        if self.generators:
            one += f", {self.generators} generators of about {_time(self.gan_seconds)}"
        tried = " and ".join(self.pilot)
        lines += [
            "",
            f"Cost: about {_time(self.wall_seconds)} with {self.jobs} job{'s' * (self.jobs > 1)} at a time "
            f"({one}; tried with {tried}, and a short training of the generator).",
        ]
        if self.power is None:
            lines.append("Power: not known; it takes two controls that differ, in two seeds.")
        else:
            lines.append(f"Power, by the difference of {tried}: {self.power}")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values for JSON."""
        own = ("seeds", "cells", "fits", "generators", "computing_seconds", "wall_seconds")
        return {
            "arms": {name: arm.to_dict() for name, arm in self.arms.items()},
            **{k: getattr(self, k) for k in ("twins", "primary", "settings", "jobs", "pilot")},
            **{k: getattr(self, k) for k in ("fit_seconds", "gan_seconds", *own)},
            "power": None if self.power is None else {**vars(self.power), "sentence": str(self.power)},
        }


def forecast(X: Any, y: Any = None, **settings: Any) -> Forecast:
    """Say what `compare` would do with the same arguments, without a generator's sample being looked at.

    Two controls, one of them the twin of the primary treatment, are run in up to three seeds (fewer where
    that takes longer than a minute), and a generator is trained for some seconds. Their times make the
    cost, and the spread of their differences stands for that of the gain.

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
    arms = setup.plan.arms
    controls = [name for name, arm in arms.items() if arm.role == "control"]
    twin = setup.twins[setup.primary]
    pilot = [twin, *(name for name in controls if name != twin and not arms[name].among)][:2]
    cells = _pilot_cells(setup, pilot)
    fits = [c.fit_seconds / fits_of(arms[c.arm]) for c in cells]
    return Forecast(
        arms=arms,
        twins=setup.twins,
        primary=setup.primary,
        settings=setup.settings,
        jobs=joblib.effective_n_jobs(given.arguments["n_jobs"]),
        fit_seconds=float(np.mean(fits)) if fits else float("nan"),
        gan_seconds=_gan_seconds(setup) if any(arm.asks_generator for arm in arms.values()) else 0.0,
        pilot=tuple(pilot),
        power=_power(setup, pilot, cells),
    )


def fits_of(arm: Arm) -> int:
    """Return how many classifiers an arm trains in a seed, at most."""
    if arm.among:
        judged = {candidate.with_nothing_added for candidate in arm.among if candidate.gate}
        inner = sum(map(_ungated_fits, arm.among)) + N_JUDGES * len(judged)
        return INNER_FOLDS * inner + max(map(fits_of, arm.among))
    return _ungated_fits(arm) + N_JUDGES * (arm.gate is not None)


def _ungated_fits(arm: Arm) -> int:
    return 1 + (arm.labels == "teacher") + THRESHOLD_FOLDS * arm.tune_threshold


def _inner_generators(arm: Arm) -> int:
    return INNER_FOLDS if arm.among and arm.asks_generator else 0


def _generators_of(arms: Sequence[Arm]) -> int:
    return any(arm.asks_generator for arm in arms) + sum(map(_inner_generators, arms))


def _pilot_cells(setup: Setup, arms: Sequence[str]) -> list[Cell]:
    """Return the cells of the arms in the first seeds; those of a seed that fails are left out."""
    cells: list[Cell] = []
    begun = time.perf_counter()
    for s in range(min(PILOT_SEEDS, setup.seeds)):
        part = setup.part(s)
        found = [run_cell(setup.plan, part, arm, None) for arm in arms]
        cells += [c for c in found if not isinstance(c, FailedCell)] if _whole(found) else []
        if time.perf_counter() - begun > PILOT_SECONDS:
            break
    return cells


def _whole(found: Sequence[Cell | FailedCell]) -> bool:
    return not any(isinstance(cell, FailedCell) for cell in found)


def _gan_seconds(setup: Setup) -> float:
    """Return how long a generator's training takes, by the speed of its first seconds."""
    part, config = setup.part(0), setup.plan.config
    steps: list[tuple[float, int]] = []
    minutes = min(GAN_MINUTES, config.max_minutes or GAN_MINUTES)
    short = replace(config, max_minutes=minutes)
    gan = ConditionalGAN(config=short, device=setup.plan.device, random_state=setup.plan.random_state)
    begun = time.perf_counter()
    with one_thread():
        gan.fit(part.X, part.y, on_step=lambda seen: steps.append((time.perf_counter(), seen)))
    taken, trained = time.perf_counter() - begun, steps[-1][0] - steps[0][0]
    images = config.train_images
    if len(steps) < 2 or steps[-1][1] >= images:
        return taken
    whole = float(trained * (images - steps[0][1]) / (steps[-1][1] - steps[0][1]))
    most = float("inf") if config.max_minutes is None else 60 * config.max_minutes
    return taken - trained + min(whole, most)


def _power(setup: Setup, arms: Sequence[str], cells: Sequence[Cell]) -> Power | None:
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
    return power(contrast.over(*arms), planned=setup.seeds)


def _time(seconds: float) -> str:
    if seconds != seconds:
        return "unknown time"
    if seconds < 90:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
