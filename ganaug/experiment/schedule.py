"""Every cell of a comparison through joblib, in waves of seeds: first their generators, then arms x seeds."""

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import joblib

from ganaug.errors import GanaugWarning
from ganaug.experiment.cell_folder import CellFolder
from ganaug.experiment.cells import Cell, FailedCell
from ganaug.experiment.jobs import Part, Trained, run_cell, train_generator
from ganaug.experiment.plan import Plan
from ganaug.experiment.recalls import LEAST_SEEDS

LOSSES = {
    "joblib": ("TerminatedWorkerError",),  # loky
    "distributed": ("KilledWorker",),  # Dask, after attempts of its own
    "ray": ("WorkerCrashedError", "RayActorError", "OutOfMemoryError", "NodeDiedError"),
}
"""Errors by which the backends of joblib say that a process is gone, by package."""
MAX_LOSSES = 2
KILLED = "the process that computed it was killed each time; is memory short?"


def run_cells(
    plan: Plan,
    part_of: Callable[[int], Part],
    seeds: int,
    *,
    done: set[tuple[str, int]],
    folder: CellFolder | None = None,
    n_jobs: int | None = None,
    max_minutes: float | None = None,
    on_generator: Callable[[Trained], None] = lambda _: None,
) -> Iterator[Cell | FailedCell]:
    """Yield each cell that is not done, as it is finished; written to the folder before.

    A wave has as many seeds as there are jobs at a time, in their order; 3 at most under a time limit. After
    3 seeds, none begins that would end after the limit if it took as long as the longest one before.
    """
    generative = {name for name, arm in plan.arms.items() if arm.asks_generator}
    begun, longest = time.monotonic(), 0.0
    wave = joblib.effective_n_jobs(n_jobs)
    if max_minutes is not None:
        wave = min(wave, LEAST_SEEDS)
    for first in range(0, seeds, wave):
        spent = time.monotonic() - begun
        if max_minutes is not None and first >= LEAST_SEEDS and spent + longest > 60 * max_minutes:
            return
        parts = [part_of(s) for s in range(first, min(seeds, first + wave))]
        todo = [(part, arm) for part in parts for arm in plan.arms if (arm, part.seed) not in done]
        needed = {part.seed: part for part, arm in todo if arm in generative}
        trained = {s: found for s in needed if folder and (found := folder.generator(s))}
        jobs = [joblib.delayed(train_generator)(plan, p) for s, p in needed.items() if s not in trained]
        for found in _finished(jobs, n_jobs, lost=_no_generator):
            trained[found.seed] = found
            if folder is not None:
                folder.write_generator(found)
        for s in trained:
            on_generator(trained[s])
        jobs = [
            joblib.delayed(run_cell)(plan, part, arm, trained.get(part.seed) if arm in generative else None)
            for part, arm in todo
        ]
        for cell in _finished(jobs, n_jobs, lost=_no_cell):
            if folder is not None and isinstance(cell, Cell):
                folder.write(cell)
            yield cell
        longest = max(longest, time.monotonic() - begun - spent)


def _no_generator(job: Any) -> Trained:
    _, (_, part), _ = job
    return Trained(part.seed, None, error=f"the generator: {KILLED}")


def _no_cell(job: Any) -> FailedCell:
    _, (_, part, arm, _), _ = job
    return FailedCell(arm=arm, seed=part.seed, error=KILLED)


def _finished(jobs: Sequence[Any], n_jobs: int | None, *, lost: Callable[[Any], Any]) -> Iterator[Any]:
    """Yield the results of jobs in the order in which they end, where the backend of joblib can tell.

    Where a worker is killed, what it and its pool had in hand runs again. After two losses each job that is
    left runs alone, and one that is lost even so has the result `lost(job)`.
    """
    left = dict(enumerate(jobs))
    for _ in range(MAX_LOSSES):
        try:
            for number, found in _results(left, n_jobs):
                del left[number]
                yield found
            return
        except Exception as error:
            if not _is_loss(error):
                raise
    warnings.warn(
        f"workers were killed {MAX_LOSSES} times (is memory short?): {len(left)} cells run one at a time.",
        GanaugWarning,
        stacklevel=2,
    )
    for number, job in left.items():
        try:
            ((_, found),) = _results({number: job}, 2)  # of 1, joblib would run it here
        except Exception as error:
            if not _is_loss(error):
                raise
            found = lost(job)
        yield found


def _is_loss(error: Exception) -> bool:
    kinds = type(error).__mro__
    return any(kind.__name__ in LOSSES.get(kind.__module__.partition(".")[0], ()) for kind in kinds)


def _results(jobs: dict[int, Any], n_jobs: int | None) -> Iterator[tuple[int, Any]]:
    backend, _ = joblib.parallel.get_active_backend()
    early = getattr(backend, "supports_return_generator", False)
    parallel = joblib.Parallel(n_jobs=n_jobs, return_as="generator_unordered" if early else "list")
    yield from parallel([joblib.delayed(_numbered)(number, *job) for number, job in jobs.items()])


def _numbered(number: int, call: Callable[..., Any], args: Any, named: Any) -> tuple[int, Any]:
    return number, call(*args, **named)
