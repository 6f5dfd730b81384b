"""A GAN training recorded in MLflow: its figures by images seen, sample grids, curves, the generator."""

import warnings
from pathlib import Path
from types import TracebackType
from typing import Any

from ganaug.config import GANConfig
from ganaug.errors import CheckpointError, GanaugWarning
from ganaug.experiment.mlflow_models import log_generator
from ganaug.experiment.mlflow_run import final_status, start_run
from ganaug.training.saved import GENERATOR

__all__ = ["MLflowFit"]


class MLflowFit:
    """A context that records one `ConditionalGAN.fit`; give it as `on_log`.

    Parameters
    ----------
    config : GANConfig
        What is trained; logged as parameters.
    out : str or Path
        Folder of the run, whose pictures, figures and generator become artifacts at the end.
    experiment : str or None, default=None
        Experiment for a run that is below no active one, where the environment names none.

    Examples
    --------
    >>> record = MLflowFit(GANConfig(train_images=1_000), "runs/pets", experiment="pets")
    >>> record.experiment
    'pets'

    Then ``with record: ConditionalGAN(config=record.config).fit(X, y, out=record.out, on_log=record)``.
    """

    def __init__(self, config: GANConfig, out: str | Path, *, experiment: str | None = None):
        self.config, self.out, self.experiment = config, Path(out), experiment
        self.began, self.images_seen = False, 0

    def __enter__(self) -> "MLflowFit":
        self.mlflow, _ = start_run("ganaug fit", self.experiment)
        self.mlflow.log_params({k: str(v)[:6000] for k, v in self.config.to_dict().items()})
        self.mlflow.set_tags({"ganaug.kind": "fit"})
        return self

    def __call__(self, line: dict[str, Any]) -> None:
        """Log the figures of an interval, and its health."""
        self.began, self.images_seen = True, line["images_seen"]
        figures = {name: value for name, value in line.items() if isinstance(value, float)}
        self.mlflow.log_metrics(figures, step=self.images_seen)
        self.mlflow.set_tag("ganaug.health", line["health"])

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for name in ("curves.png", "history.jsonl"):
            if self.began and (self.out / name).is_file():
                self.mlflow.log_artifact(str(self.out / name))
        if self.began and (self.out / "samples").is_dir():
            self.mlflow.log_artifacts(str(self.out / "samples"), "samples")
        if self.began and (self.out / GENERATOR).is_file():
            self._model()
        self.mlflow.end_run(final_status(kind))

    def _model(self) -> None:
        """Log the generator; with a network of the caller's own it stays a file, which `load` can open."""
        try:
            log_generator(self.out / GENERATOR, step=self.images_seen)
        except CheckpointError as error:
            self.mlflow.log_artifact(str(self.out / GENERATOR))
            warnings.warn(
                f"The generator is no model in MLflow, but a file: {error}", GanaugWarning, stacklevel=3
            )
