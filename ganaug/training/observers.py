"""Who is told of each training of this process besides its caller: MLflow, where that was asked for."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OnLine = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, kw_only=True)
class Beginning:
    """A training whose data and settings were found good, and that is about to begin."""

    gan: Any  # the ConditionalGAN; its `history_` grows by a line each interval
    data_digest: str
    class_sizes: dict[str, int]  # samples by the text of a label
    out: Path | None
    resumed: bool


Observer = Callable[[Beginning], AbstractContextManager[OnLine]]

OBSERVERS: dict[str, Observer] = {}
"""By name; each gives a context for a training, which is called with each line of its history."""


@contextmanager
def observed(beginning: Beginning) -> Iterator[OnLine]:
    """Tell all observers that a training begins, and how it ends; yields what tells them a line."""
    with ExitStack() as stack:
        told = [stack.enter_context(observer(beginning)) for observer in OBSERVERS.values()]

        def tell(line: dict[str, Any]) -> None:
            for tell_one in told:
                tell_one(line)

        yield tell


@contextmanager
def observers(**chosen: Observer) -> Iterator[None]:
    """Within the context these are the observers, instead of those there were."""
    before = dict(OBSERVERS)
    OBSERVERS.clear()
    OBSERVERS.update(chosen)
    try:
        yield
    finally:
        OBSERVERS.clear()
        OBSERVERS.update(before)
