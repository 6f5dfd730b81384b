"""Where a comparison is recorded: nowhere, or in MLflow as a parent run with a child per arm and seed."""

import json
import logging
import os
import socket
import tempfile
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from filelock import FileLock

from ganaug._checks import known_name
from ganaug.errors import ConfigError, GanaugWarning

if TYPE_CHECKING:
    from ganaug.experiment.cells import Cell
    from ganaug.experiment.comparison import Comparison

__all__ = ["MLflowTracker", "NullTracker", "Record", "Tracker"]


class Record(Protocol):
    """One comparison that is being recorded."""

    def cells(self, cells: "Sequence[Cell]") -> None:
        """Record cells that are finished, or were before."""
        ...

    def result(self, result: "Comparison") -> None:
        """Record the verdict."""
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

    def comparison(
        self, settings: dict[str, Any], *, primary: str, metric: str, names: Sequence[str]
    ) -> AbstractContextManager[Record]:
        """Return a context that opens the run of the comparison, and ends it."""
        return _MLflowRecord(
            settings, primary=primary, metric=metric, names=names, experiment=self.experiment
        )


class _MLflowRecord:
    """Writes to MLflow as long as it can be written to; where it cannot, the result goes to a file."""

    def __init__(
        self,
        settings: dict[str, Any],
        *,
        primary: str,
        metric: str,
        names: Sequence[str],
        experiment: str | None,
    ):
        self.experiment = experiment
        self.settings, self.primary, self.metric, self.names = settings, primary, metric, names
        self.lost, self.run_id = False, ""

    def __enter__(self) -> "Record":
        self._write(self._begin)
        return self

    def cells(self, cells: "Sequence[Cell]") -> None:
        for cell in cells:
            self._write(self._cell, cell)

    def result(self, result: "Comparison") -> None:
        self._write(self._result, result)
        if self.lost:
            path = Path(f"ganaug-comparison-{self.settings['data_digest']}-{os.getpid()}.json").resolve()
            path.write_text(json.dumps(result.to_dict()), encoding="utf-8")
            warnings.warn(f"The comparison is kept in {path}.", GanaugWarning, stacklevel=2)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.lost and self.run_id:  # the active run must not stay
            with suppress(Exception):
                self.mlflow.end_run(final_status(kind))
        elif self.run_id:
            self._write(self.mlflow.end_run, final_status(kind))

    def _write(self, write: Callable[..., None], *args: Any) -> None:
        """Write, unless that failed before; a failure is told once, and ends nothing but the record."""
        if self.lost:
            return
        from mlflow.exceptions import MlflowException

        try:
            write(*args)
        except (MlflowException, OSError) as error:
            self.lost = True
            text = " ".join(str(error).split())
            warnings.warn(
                f"MLflow cannot be written to; the comparison goes on without it: {text[:300]} "
                "Check MLFLOW_TRACKING_URI.",
                GanaugWarning,
                stacklevel=3,
            )

    def _begin(self) -> None:
        self.mlflow, run = start_run("ganaug compare", self.experiment)
        self.client = self.mlflow.MlflowClient()
        self.run_id, self.experiment_id = run.info.run_id, run.info.experiment_id
        params = {**_flat(self.settings), "primary": self.primary, "metric": self.metric}
        self.mlflow.log_params({k: str(v)[:6000] for k, v in params.items()})
        self.mlflow.set_tags(
            {"ganaug.kind": "comparison", "ganaug.data_digest": self.settings["data_digest"]}
        )
        self.mlflow.log_input(_dataset(self.settings), context="comparison")

    def _cell(self, cell: "Cell") -> None:
        from mlflow.entities import Metric, Param, RunTag

        run = self.client.create_run(
            self.experiment_id,
            run_name=f"{cell.arm}/seed={cell.seed}",
            tags={"mlflow.parentRunId": self.run_id},
        )
        recalls = zip(_keys(self.names), cell.recalls(len(self.names)), strict=True)
        values = {
            **cell.metrics,
            **{f"recall/class_{key}": float(r) for key, r in recalls if r == r},
            "fit_seconds": cell.fit_seconds,
            "gan_seconds": cell.gan_seconds,
        }
        now = run.info.start_time
        params = {
            "arm": cell.arm,
            "seed": cell.seed,
            "n_train": cell.n_train,
            "n_extra": cell.n_extra,
            **{k: self.settings[k] for k in ("classifier", "steps", "batch_size", "fill")},
        }
        tags = {
            "ganaug.arm": cell.arm,
            "ganaug.seed": cell.seed,
            "ganaug.pair_id": f"{self.run_id}/{cell.seed}",
            "ganaug.data_digest": self.settings["data_digest"],
        }
        metrics = [Metric(k, v, now, 0) for k, v in values.items()]
        for start in range(0, len(metrics), 1000):
            self.client.log_batch(run.info.run_id, metrics=metrics[start : start + 1000])
        self.client.log_batch(
            run.info.run_id,
            params=[Param(k, str(v)) for k, v in params.items()],
            tags=[RunTag(k, str(v)) for k, v in tags.items()],
        )
        self.client.set_terminated(run.info.run_id)

    def _result(self, result: "Comparison") -> None:
        gain = result.gain
        self.mlflow.log_metrics(
            {
                "gain/points": gain.mean,
                "gain/low": gain.low,
                "gain/high": gain.high,
                "gain/p_value": gain.p_value,
                "wall_seconds": result.wall_seconds,
                **{f"mean/{_key(arm)}": float(result.scores(arm).mean()) for arm in result.roles},
            }
        )
        self.mlflow.set_tags(
            {"ganaug.verdict": result.verdict, "mlflow.note.content": f"**{result.sentence}**"}
        )
        for frame, file in ((result.table, "arms"), (result.per_class, "per_class")):
            self.mlflow.log_table(frame.reset_index().astype(object), f"tables/{file}.json")
        self.mlflow.log_dict(result.to_dict(), "comparison.json")
        with tempfile.TemporaryDirectory() as folder:
            self.mlflow.log_artifact(str(result.report(Path(folder) / "report.html")))
        if result.sample_grid is not None:
            import io

            from PIL import Image

            self.mlflow.log_image(Image.open(io.BytesIO(result.sample_grid)), "samples.png")


def _dataset(settings: dict[str, Any]) -> Any:
    """Return what MLflow shows of the data: its digest and size, and where the comparison was called."""
    from mlflow.data.code_dataset_source import CodeDatasetSource
    from mlflow.data.meta_dataset import MetaDataset

    source = CodeDatasetSource(tags={k: str(settings[k]) for k in ("n_train", "n_test", "splits")})
    return MetaDataset(source, name="X, y", digest=settings["data_digest"])


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
    if parsed.scheme in ("http", "https") and parsed.hostname:
        port = parsed.port or (443 if parsed.scheme == "https" else 80)
        socket.create_connection((parsed.hostname, port), timeout=10).close()
    return nullcontext()


def final_status(kind: type[BaseException] | None) -> str:
    """Return the status of a run that ended with an exception of this kind, or without one."""
    if kind is None:
        return "FINISHED"
    return "KILLED" if issubclass(kind, KeyboardInterrupt) else "FAILED"


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


def _flat(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat


def _keys(names: Sequence[str]) -> list[str]:
    """Return a key per name, told apart by number where names differ in forbidden letters only."""
    keys = [_key(name) for name in names]
    return [f"{key}_{i}" if keys.count(key) > 1 else key for i, key in enumerate(keys)]


def _key(name: str) -> str:
    """Return a name in the letters that MLflow allows for a metric."""
    return "".join(ch if ch.isalnum() or ch in "_-. " else "_" for ch in name)
