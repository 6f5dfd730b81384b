"""Pilot: what is run before a comparison, for the spread of two controls and the time of everything else."""

import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from ganaug.config import GANConfig
from ganaug.experiment.arm import Arm
from ganaug.experiment.cells import Cell, FailedCell
from ganaug.experiment.jobs import one_thread, run_cell
from ganaug.experiment.setup import Setup
from ganaug.experiment.workload import fits_of
from ganaug.generator import ConditionalGAN

PILOT_SEEDS = 3
PILOT_SECONDS = 60.0
"""After so long no further pilot seed begins, nor after as long again a further arm."""
TIMED_SEEDS = 2
GAN_MINUTES = 0.1
"""How long the generator is trained to learn its speed."""


def dearest(arm: Arm) -> Arm:
    """Return an arm, or the candidate of one that chooses which takes longest."""
    return max(arm.among, key=lambda a: (fits_of(a), a.extra is not None, max(a.doses)), default=arm)


def pilot_cells(setup: Setup, arms: Mapping[str, Arm]) -> tuple[list[Cell], dict[str, float]]:
    """Return the cells of first seeds where no arm fails, and by arm the seconds of a fit, of the last."""
    cells: list[Cell] = []
    seconds: dict[str, float] = {}
    begun = time.perf_counter()
    for s in range(min(PILOT_SEEDS, setup.seeds)):
        found = {name: _timed_cell(setup, s, name, arm) for name, arm in arms.items()}
        whole = [cell for cell, _ in found.values() if isinstance(cell, Cell)]
        if len(whole) == len(found):
            cells += whole
            seconds |= {name: taken for name, (_, taken) in found.items()}
        if time.perf_counter() - begun > PILOT_SECONDS:
            break
    return cells, seconds


def fit_times(setup: Setup, arms: Mapping[str, Arm]) -> dict[str, float]:
    """Return by arm the seconds of a fit, of those that begin in time; a first run may also load things."""
    seconds: dict[str, float] = {}
    begun = time.perf_counter()
    for s in range(min(TIMED_SEEDS, setup.seeds)):
        for name, arm in arms.items():
            if time.perf_counter() - begun > PILOT_SECONDS:
                return seconds
            cell, taken = _timed_cell(setup, s, name, arm)
            if isinstance(cell, Cell):
                seconds[name] = taken
    return seconds


def _timed_cell(setup: Setup, seed: int, name: str, arm: Arm) -> tuple[Cell | FailedCell, float]:
    """Return a cell, and its seconds for each classifier."""
    plan, part = replace(setup.plan, arms={name: arm}), setup.part(seed)
    begun = time.perf_counter()
    cell = run_cell(plan, part, name, None)
    return cell, (time.perf_counter() - begun) / fits_of(arm)


def gan_seconds(setup: Setup) -> float:
    """Return how long a generator's training takes in a comparison, on one thread."""
    part, plan = setup.part(0), setup.plan
    with one_thread():
        return training_seconds(plan.config, part.X, part.y, device=plan.device, seed=plan.random_state)


def training_seconds(config: GANConfig, X: Any, y: Any, *, device: str, seed: int) -> float:
    """Return how long a training takes, by the speed of its first seconds, with all loaded."""
    steps: list[tuple[float, int]] = []
    minutes = min(GAN_MINUTES, config.max_minutes or GAN_MINUTES)
    short = replace(config, max_minutes=minutes)
    loading = replace(config, train_images=min(config.train_images, config.batch_size))
    new = partial(ConditionalGAN, device=device, random_state=seed)
    new(config=loading).fit(X, y)
    begun = time.perf_counter()
    new(config=short).fit(X, y, on_step=lambda seen: steps.append((time.perf_counter(), seen)))
    taken, trained = time.perf_counter() - begun, steps[-1][0] - steps[0][0]
    images = config.train_images
    if len(steps) < 2 or steps[-1][1] >= images:
        return taken
    whole = float(trained * (images - steps[0][1]) / (steps[-1][1] - steps[0][1]))
    most = float("inf") if config.max_minutes is None else 60 * config.max_minutes
    return taken - trained + min(whole, most)
