"""A run of MLflow: begun below the active one, if need be on a new store, and ended as it went."""

import logging
import os
import socket
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from filelock import FileLock

__all__ = ["check_server", "end_lost_run", "final_status", "start_run"]


def start_run(name: str, experiment: str | None) -> tuple[Any, Any]:
    """Return mlflow and a new active run, below the one that is active already if there is one."""
    import mlflow

    for logger in ("alembic", "mlflow.store.db.utils", "mlflow.tracking.fluent"):
        logging.getLogger(logger).setLevel(logging.WARNING)  # the birth of a new store, line by line
    named = {"MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID", "MLFLOW_RUN_ID"} & set(os.environ)
    with _one_at_a_time(mlflow.get_tracking_uri()):
        if experiment is not None and mlflow.active_run() is None and not named:
            mlflow.set_experiment(experiment)
        return mlflow, mlflow.start_run(run_name=name, nested=mlflow.active_run() is not None)


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
        socket.create_connection((parsed.hostname, port), timeout=10).close()


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


def final_status(kind: type[BaseException] | None) -> str:
    """Return the status of a run that ended with an exception of this kind, or without one."""
    if kind is None:
        return "FINISHED"
    return "KILLED" if issubclass(kind, KeyboardInterrupt) else "FAILED"
