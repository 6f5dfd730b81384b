"""Batches read by threads while the steps before them are computed."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")

N_AHEAD = 4
N_READERS = 2


class Ahead(Generic[T]):
    """Calls of `load(n)` answered early, where each call asks for `step` more than the one before.

    Whatever is asked for, the answer is that of `load`; only who follows the order does not wait. An error
    of `load` is raised when its answer is asked for.
    """

    def __init__(self, load: Callable[[int], T], step: int):
        self._load, self._step = load, step
        self._readers = ThreadPoolExecutor(N_READERS, thread_name_prefix="ganaug-read")
        self._begun: dict[int, Future[T]] = {}

    def __call__(self, n: int) -> T:
        """Return load(n), and have the next ones read."""
        wanted = range(n, n + (N_AHEAD + 1) * self._step, self._step)
        self._begun = {m: self._begun.get(m) or self._readers.submit(self._load, m) for m in wanted}
        return self._begun[n].result()

    def close(self) -> None:
        """Let the readers go, once what they have begun is read."""
        self._readers.shutdown(cancel_futures=True)
