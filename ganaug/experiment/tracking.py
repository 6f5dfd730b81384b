"""Where a comparison is recorded: nowhere, or in MLflow as a parent run with a child per arm and seed."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Protocol

from ganaug._checks import known_name
from ganaug.errors import ConfigError
from ganaug.experiment.mlflow_record import MLflowRecord

if TYPE_CHECKING:
    from ganaug.experiment.cells import Cell
    from ganaug.experiment.comparison import Comparison
    from ganaug.experiment.winner import Winner
    from ganaug.generator import ConditionalGAN

__all__ = ["MLflowTracker", "NullTracker", "Record", "Tracker"]


class Record(Protocol):
    """One comparison that is being recorded."""

    def cells(self, cells: "Sequence[Cell]") -> None:
        """Record cells that are finished, or were before."""
        ...

    def result(self, result: "Comparison") -> None:
        """Record the verdict."""
        ...

    def models(self, gan: "ConditionalGAN | None", winner: "Callable[[], Winner]") -> None:
        """Record the first seed's generator, and the recommended classifier, which a call trains again."""
        ...


class Tracker(Protocol):
    """Opens a record for a comparison."""

    def comparison(
        self, settings: dict[str, Any], *, primary: str, metric: str, names: Sequence[str]
    ) -> AbstractContextManager[Record]:
        """Return a context in which a comparison is recorded."""
        ...


class NullTracker:
    """Records nothing."""

    def comparison(
        self, settings: dict[str, Any], *, primary: str, metric: str, names: Sequence[str]
    ) -> AbstractContextManager[Record]:
        """Return a context that records nothing."""
        return nullcontext(self)

    def cells(self, cells: "Sequence[Cell]") -> None:
        """Do nothing."""

    def result(self, result: "Comparison") -> None:
        """Do nothing."""

    def models(self, gan: "ConditionalGAN | None", winner: "Callable[[], Winner]") -> None:
        """Do nothing, and train nothing."""


class MLflowTracker:
    """Logs to MLflow, below the active run if there is one.

    The tracking URI and experiment are MLflow's own: set by the caller or the environment, else a
    local SQLite store. Only the calling process writes.

    Parameters
    ----------
    experiment : str or None, default=None
        Experiment for a comparison that is below no active run, where the environment names none; None is
        MLflow's current one.
    """

    def __init__(self, experiment: str | None = None):
        self.experiment = experiment
        self.record: MLflowRecord | None = None

    @property
    def recorded(self) -> bool:
        """Whether the last comparison is in MLflow as a whole."""
        return self.record is not None and not self.record.lost

    def comparison(
        self, settings: dict[str, Any], *, primary: str, metric: str, names: Sequence[str]
    ) -> AbstractContextManager[Record]:
        """Return a context that opens the run of the comparison, and ends it."""
        self.record = MLflowRecord(
            settings, primary=primary, metric=metric, names=names, experiment=self.experiment
        )
        return self.record


TRACKERS: dict[str, type[MLflowTracker]] = {"mlflow": MLflowTracker}


def resolve_tracker(tracking: str | Tracker | None) -> Tracker:
    """Return the tracker that a name in TRACKERS stands for, the caller's own, or none."""
    if tracking is None:
        return NullTracker()
    if isinstance(tracking, str):
        return TRACKERS[known_name("tracking", tracking, TRACKERS)]()
    if not hasattr(tracking, "comparison"):
        raise ConfigError(
            f"tracking must be 'mlflow', None, or an object with a method `comparison`; got "
            f"{type(tracking).__name__}."
        )
    return tracking
