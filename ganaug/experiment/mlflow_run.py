"""A run of MLflow: begun below the active one, if need be on a new store, and ended as it went."""

import logging
import os
import socket
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stdout, suppress
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from filelock import FileLock

from ganaug.errors import GanaugWarning

__all__ = ["NOT_KEPT", "RunWriter", "data_input", "reached", "start_run"]

NOT_KEPT = "The {} is not kept as a model in MLflow"


class RunWriter:
    """Writes a run as long as MLflow can be written to; a failure is told once, and ends the record alone."""

    subject: str  # what is recorded, and goes on without MLflow

    def __init__(self) -> None:
        self.lost, self.run_id = False, ""
        self.mlflow: Any = None

    def begin(self, name: str, experiment: str | None, **settings: Any) -> Any:
        """Start the run, as `start_run` does, and return it."""
        self.mlflow, run = start_run(name, experiment, **settings)
        self.run_id = run.info.run_id
        return run

    def write(self, write: Callable[..., None], *args: Any) -> None:
        """Call `write(*args)`, unless one failed before."""
        if self.lost:
            return
        try:
            if self.run_id:
                check_server(self.mlflow.get_tracking_uri())
            with redirect_stdout(sys.stderr):  # where MLflow says what is on a server; stdout is for results
                write(*args)
        except Exception as error:  # of a database, its driver, a server or a disk
            self.lost = True
            text = " ".join(str(error).split())
            warnings.warn(
                f"MLflow cannot be written to; the {self.subject} goes on without it: {text[:300]} "
                "Check MLFLOW_TRACKING_URI.",
                GanaugWarning,
                stacklevel=3,
            )

    def attempt(self, failure: str, log: Callable[[], None]) -> None:
        """Call `log`, whose error is told with what it means, and ends nothing, not even the record."""
        if self.lost:
            return
        try:
            check_server(self.mlflow.get_tracking_uri())
            log()
        except Exception as error:  # of the caller's own classifier, any may come
            text = " ".join(str(error).split())
            warnings.warn(f"{failure}: {type(error).__name__}: {text[:300]}", GanaugWarning, stacklevel=4)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.lost and self.run_id:  # the active run must not stay
            end_lost_run(final_status(kind))
        elif self.run_id:
            self.write(self.mlflow.end_run, final_status(kind))


def start_run(
    name: str, experiment: str | None, *, run_id: str | None = None, system_metrics: bool | None = None
) -> tuple[Any, Any]:
    """Return mlflow and a new active run, or the one of `run_id`, below the one that is active already."""
    with reached() as mlflow:
        named = {"MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID", "MLFLOW_RUN_ID"} & set(os.environ)
        below = mlflow.active_run() is not None
        if not (experiment is None or below or named or run_id):
            mlflow.set_experiment(experiment)
        return mlflow, mlflow.start_run(
            run_id=run_id, run_name=name, nested=below, log_system_metrics=system_metrics
        )


@contextmanager
def reached() -> Iterator[Any]:
    """Give mlflow when its store answers, or may be made; quietly, and one process at a time."""
    import mlflow

    for logger in (
        "alembic",
        "mlflow.store.db.utils",
        "mlflow.tracking.fluent",
        "mlflow.system_metrics.system_metrics_monitor",
    ):
        logging.getLogger(logger).setLevel(logging.WARNING)  # the birth of a new store, line by line
    with _one_at_a_time(mlflow.get_tracking_uri()):
        yield mlflow


def _one_at_a_time(uri: str) -> AbstractContextManager[Any]:
    """Return a lock on a new SQLite store, whose birth fails where two processes see to it at once.

    A server is asked for a connection instead, since MLflow tries again for minutes before it gives up.
    """
    parsed = urlsplit(uri)
    if parsed.scheme == "sqlite" and parsed.path.strip("/"):
        path = Path(parsed.path[1:])
        if path.parent.is_dir():
            return FileLock(f"{path}.lock")
    check_server(uri)
    return nullcontext()


def check_server(uri: str) -> None:
    """Raise OSError where there is no server, which MLflow would ask again for minutes."""
    parsed = urlsplit(uri)
    if parsed.scheme in ("http", "https") and parsed.hostname:
        port = parsed.port or (443 if parsed.scheme == "https" else 80)
        try:
            socket.create_connection((parsed.hostname, port), timeout=10).close()
        except OSError as error:
            raise OSError(
                f"MLflow's server at {uri} does not answer ({error}). Start it, or name another store in "
                "MLFLOW_TRACKING_URI."
            ) from error


def end_lost_run(status: str) -> None:
    """End the active run, asking a server once that may be gone."""
    import mlflow

    name = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
    before = os.environ.get(name)
    os.environ[name] = "0"
    try:
        with suppress(Exception):
            mlflow.end_run(status)
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before


def data_input(name: str, digest: str, facts: dict[str, Any]) -> Any:
    """Return what MLflow shows of the data as an input: its name, digest, facts, and where the call was."""
    from mlflow.data.code_dataset_source import CodeDatasetSource
    from mlflow.data.meta_dataset import MetaDataset

    source = CodeDatasetSource(tags={k: str(v) for k, v in facts.items()})
    return MetaDataset(source, name=name, digest=digest)


def final_status(kind: type[BaseException] | None) -> str:
    """Return the status of a run that ended with an exception of this kind, or without one."""
    if kind is None:
        return "FINISHED"
    return "KILLED" if issubclass(kind, KeyboardInterrupt) else "FAILED"
