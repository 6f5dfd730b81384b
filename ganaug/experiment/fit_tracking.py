"""A GAN training recorded in MLflow: settings, data, figures and samples by images seen, the model."""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any

from ganaug.errors import CheckpointError, TrainingDivergedError
from ganaug.experiment.mlflow_models import log_generator
from ganaug.experiment.mlflow_registry import Registration
from ganaug.experiment.mlflow_run import NOT_KEPT, RunWriter, data_input, reached
from ganaug.training.curves import draw_curves
from ganaug.training.observers import Beginning, observers
from ganaug.training.saved import GENERATOR

__all__ = ["FitTracker", "MLflowFit", "fit_tracker"]

RUN_FILE = "mlflow.json"
LONGEST_NAME, LONGEST_VALUE = 500, 6000  # of a data set, of a parameter


@dataclass(kw_only=True)
class FitTracker:
    """How trainings are recorded in MLflow; called with a training that begins, it opens the record of it."""

    experiment: str | None = None  # for a run below no active one, where the environment names none
    data_name: str = "X, y"
    log_models: bool = True
    registration: Registration | None = None  # what the generator is registered as
    system_metrics: bool | None = None  # None is as MLflow is told by its environment variable
    record: "MLflowFit | None" = None  # that of the last training

    def __call__(self, beginning: Beginning) -> "MLflowFit":
        """Return the record of a training that begins."""
        self.record = MLflowFit(beginning, self)
        return self.record

    @contextmanager
    def recording(self) -> Iterator["FitTracker"]:
        """Record the trainings within the context, and let nobody else do so."""
        with observers(mlflow=self):
            yield self


def fit_tracker(data: str, *, register: str | None = None) -> FitTracker:
    """Return how the command line records: in the experiment "ganaug", with figures of the machine.

    `register` is the NAME or NAME@ALIAS of the generator in the registry, which is asked now.
    """
    told = "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING" in os.environ
    return FitTracker(
        experiment="ganaug",
        data_name=data,
        registration=None if register is None else Registration.checked(register),
        system_metrics=None if told else True,
    )


class MLflowFit(RunWriter):
    """The record of one training; whatever MLflow does, the training goes on."""

    subject = "training"

    def __init__(self, beginning: Beginning, tracker: FitTracker):
        super().__init__()
        self.about, self.tracker, self.gan = beginning, tracker, beginning.gan
        self.model_uri = ""
        self.registered_as: str | None = None

    def __enter__(self) -> "MLflowFit":
        self.write(self._begin)
        return self

    def __call__(self, line: dict[str, Any]) -> None:
        """Log the figures of an interval, its health, and a grid of samples."""
        self.write(self._interval, line)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.write(self._end)
        kept = error is None or (isinstance(error, TrainingDivergedError) and error.images_kept is not None)
        if kept and self.tracker.log_models:
            self.attempt(NOT_KEPT.format("generator"), self._model)
        registration = self.tracker.registration
        if error is None and registration is not None and self.model_uri:
            self.attempt(f"The generator is not registered as {registration}", self._register)
        super().__exit__(kind, error, trace)

    def _begin(self) -> None:
        params = {k: str(v)[:LONGEST_VALUE] for k, v in self._settings().items()}
        former = _former_run(self.about, params)
        self.begin(
            "ganaug fit",
            self.tracker.experiment,
            run_id=former,
            system_metrics=self.tracker.system_metrics,
        )
        if former is None:
            self.mlflow.log_params(params)
            self.mlflow.set_tags(
                {
                    "ganaug.kind": "fit",
                    "ganaug.data_digest": self.about.data_digest,
                    **{f"{name}.version": version(name) for name in ("ganaug", "torch")},
                }
            )
            facts = {"class_sizes": json.dumps(self.about.class_sizes)}
            data = data_input(self.tracker.data_name[:LONGEST_NAME], self.about.data_digest, facts)
            self.mlflow.log_input(data, context="training")
        known = {m.step for m in self.mlflow.MlflowClient().get_metric_history(self.run_id, "distance")}
        for line in self.gan.history_:  # of a part that was recorded elsewhere, or not at all
            if line["images_seen"] not in known:
                self._figures(line)
        if self.about.out is not None:
            (self.about.out / RUN_FILE).write_text(json.dumps({"run_id": self.run_id}), encoding="utf-8")

    def _settings(self) -> dict[str, Any]:
        return {
            **self.gan.config_.to_dict(),
            "seed": self.gan.seed_,
            "device": self.gan.device,
            "kind": self.gan.schema_.kind,
            "n_samples": sum(self.about.class_sizes.values()),
            "n_classes": len(self.about.class_sizes),
            "class_sizes": json.dumps(self.about.class_sizes),
        }

    def _figures(self, line: dict[str, Any]) -> None:
        figures = {name: value for name, value in line.items() if isinstance(value, float)}
        self.mlflow.log_metrics(figures, step=line["images_seen"])
        self.mlflow.set_tag("ganaug.health", line["health"])

    def _interval(self, line: dict[str, Any]) -> None:
        self._figures(line)
        if self.gan.schema_.kind == "image":
            self.mlflow.log_image(
                self.gan.sample_grid(), key="samples", step=line["images_seen"], synchronous=True
            )

    def _end(self) -> None:
        if not self.gan.history_:
            return
        lines = [json.dumps(line) + "\n" for line in self.gan.history_]
        self.mlflow.log_text("".join(lines), "history.jsonl")
        with tempfile.TemporaryDirectory() as folder:
            draw_curves(self.gan.history_, Path(folder) / "curves.png")
            self.mlflow.log_artifact(str(Path(folder) / "curves.png"))

    def _model(self) -> None:
        """Log the generator; with a network of the caller's own it stays a file."""
        with tempfile.TemporaryDirectory() as folder:
            self.gan.save(folder)
            try:
                step = self.gan.history_[-1]["images_seen"]
                self.model_uri = log_generator(Path(folder) / GENERATOR, step=step)
            except CheckpointError:
                self.mlflow.log_artifact(str(Path(folder) / GENERATOR))
                raise

    def _register(self) -> None:
        if self.tracker.registration is not None:
            self.registered_as = self.tracker.registration.register(self.model_uri)


def _former_run(beginning: Beginning, params: dict[str, str]) -> str | None:
    """Return the run in which a resumed training was recorded, if it can go on there.

    It cannot where it is gone, or a parameter changed: MLflow keeps those as they were.
    """
    from mlflow.exceptions import MlflowException

    if not (beginning.resumed and beginning.out and (beginning.out / RUN_FILE).is_file()):
        return None
    with reached() as mlflow:
        try:
            run = mlflow.get_run(json.loads((beginning.out / RUN_FILE).read_text(encoding="utf-8"))["run_id"])
        except (ValueError, KeyError, TypeError, MlflowException):
            return None
    return run.info.run_id if run.info.lifecycle_stage == "active" and run.data.params == params else None
