"""Cells of a comparison: one arm in one seed, each a job that can run in any process."""

import io
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import joblib
import numpy as np
import torch

from ganaug._random import derive
from ganaug.errors import ConfigError, DataError, TrainingDivergedError
from ganaug.experiment.bench import Bench, Plan
from ganaug.experiment.cells import Cell, FailedCell
from ganaug.experiment.fitted import FittedClassifier
from ganaug.experiment.held_out import Outcome
from ganaug.experiment.starts import same_start
from ganaug.generator import ConditionalGAN

_TURN = threading.RLock()


@dataclass(frozen=True)
class Part:
    """The split of one seed."""

    seed: int
    X: Any
    y: np.ndarray[Any, Any]
    X_test: Any
    y_test: np.ndarray[Any, Any]
    groups: np.ndarray[Any, Any] | None = None
    reserve: tuple[Any, np.ndarray[Any, Any]] | None = None  # of neither part
    unlabelled: Any = None  # samples without labels


@dataclass(frozen=True)
class Trained:
    """The generator of one seed, or why there is none."""

    seed: int
    gan: ConditionalGAN | None
    seconds: float = 0.0
    error: str = ""


def train_generator(plan: Plan, part: Part) -> Trained:
    """Train the generator of a seed on its training part; an error is part of what is returned."""
    with one_thread():
        try:
            bench = bench_of(plan, part, None)
            return Trained(part.seed, bench.fitted_gan(), bench.gan_seconds)
        except TrainingDivergedError as error:
            return Trained(part.seed, None, error=f"the generator: {error}")
        except Exception as error:
            return Trained(part.seed, None, error=f"the generator: {_told(error, part.seed)}")


def run_cell(plan: Plan, part: Part, arm: str, trained: Trained | None) -> Cell | FailedCell:
    """Return what one arm does in one seed; an error of the classifier or the arm is part of that."""
    if trained is not None and trained.gan is None:
        return FailedCell(arm=arm, seed=part.seed, error=trained.error)
    with one_thread():
        try:
            bench = bench_of(plan, part, trained)
            c_test = bench.schema.encode_y(part.y_test).numpy()
            outcome = _sound(bench.outcome(arm, plan.arms[arm], part.X_test), len(c_test))
        except Exception as error:
            return FailedCell(arm=arm, seed=part.seed, error=_told(error, part.seed))
        return Cell(arm=arm, seed=part.seed, y_true=c_test, n_train=len(bench.c), **vars(outcome))


def _sound(outcome: Outcome, n_test: int) -> Outcome:
    """Return what a classifier said after checking that it is numbers, one of each for each test sample."""
    scores = outcome.y_score
    if len(outcome.y_pred) != n_test or (scores is not None and len(scores) != n_test):
        raise ValueError(f"the classifier said {len(outcome.y_pred)} classes of {n_test} test samples.")
    if scores is not None and not np.isfinite(scores).all():
        raise ValueError("the classifier gave scores that are not numbers; its training may have diverged.")
    return outcome


def _told(error: Exception, seed: int) -> str:
    """Return an error as text; a wrong setting or sample in the first seed is raised, to be heard at once."""
    if seed == 0 and isinstance(error, (ConfigError, DataError)):
        raise error
    line = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({line.name}, line {line.lineno})"


def refitted(plan: Plan, part: Part, cell: Cell, trained: Trained | None) -> FittedClassifier:
    """Return the classifier of a cell, trained again as it was."""
    arm = plan.arms[cell.arm]
    if cell.doses:
        arm = arm.with_doses(cell.doses)
    elif arm.among:
        arm = arm.among[int(np.argmax([t.score for t in cell.tried] or [0.0]))]
    with one_thread():
        return bench_of(plan, part, trained).fitted(cell.arm, arm)


def bench_of(plan: Plan, part: Part, trained: Trained | None) -> Bench:
    """Return the bench of a seed's training part, with the generator that is trained already."""
    seed = derive(plan.random_state, "seed", part.seed)
    bench = Bench(
        plan, part.X, part.y, seed, groups=part.groups, reserve=part.reserve, unlabelled=part.unlabelled
    )
    if trained is not None:
        bench.gan, bench.gan_seconds = trained.gan, trained.seconds
    return bench


def check_start(cells: Sequence[Cell]) -> None:
    """Raise where the last cell's classifier started from other weights than those of its seed before."""
    for cell in cells[:-1]:
        if cell.seed == cells[-1].seed:
            same_start(cell.start, cells[-1].start)


def grid_png(gan: ConditionalGAN) -> bytes:
    """Return a picture of the samples of a generator."""
    png = io.BytesIO()
    gan.sample_grid().save(png, format="PNG")
    return png.getvalue()


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread of torch, so that results do not depend on how many jobs run.

    Threads of a process take turns, for they share torch's global generator; an estimator that asks joblib
    for jobs of its own gets none, for these could wait for the turn of the job that waits for them.
    """
    with _TURN, joblib.parallel_config("sequential"):
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
