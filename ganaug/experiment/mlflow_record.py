"""One comparison in MLflow: a parent run with the verdict, a child per arm and seed, and two models."""

import json
import os
import tempfile
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from ganaug.errors import GanaugWarning
from ganaug.experiment.mlflow_models import log_classifier, log_generator
from ganaug.experiment.mlflow_run import NOT_KEPT, RunWriter, data_input
from ganaug.experiment.report_sections import pictures
from ganaug.experiment.svg import standalone
from ganaug.training.saved import GENERATOR

if TYPE_CHECKING:
    from ganaug.experiment.cells import Cell
    from ganaug.experiment.comparison import Comparison
    from ganaug.experiment.tracking import Record
    from ganaug.experiment.winner import Winner
    from ganaug.generator import ConditionalGAN

__all__ = ["MLflowRecord"]

LONGEST_NAME = 200
SHARED_TAGS = ("mlflow.user", "mlflow.source.name", "mlflow.source.type")


class MLflowRecord(RunWriter):
    """Writes to MLflow as long as it can be written to; where it cannot, the result goes to a file."""

    subject = "comparison"

    def __init__(
        self,
        settings: dict[str, Any],
        *,
        primary: str,
        metric: str,
        names: Sequence[str],
        experiment: str | None,
    ):
        super().__init__()
        self.experiment = experiment
        self.settings, self.primary, self.metric, self.names = settings, primary, metric, names
        self.after = int(settings["seeds"])  # a step without metrics, which are those of no single model

    def __enter__(self) -> "Record":
        self.write(self._begin)
        return self

    def cells(self, cells: "Sequence[Cell]") -> None:
        """Write a child run per cell."""
        for cell in cells:
            self.write(self._cell, cell)

    def result(self, result: "Comparison") -> None:
        """Write the verdict, and a file beside it where MLflow was lost."""
        self.write(self._result, result)
        if self.lost:
            path = _kept(json.dumps(result.to_dict()), f"ganaug-comparison-{self.settings['data_digest']}-")
            warnings.warn(f"The comparison is kept in {path}.", GanaugWarning, stacklevel=2)

    def models(self, gan: "ConditionalGAN | None", winner: "Callable[[], Winner]") -> None:
        """Log the generator and the classifier; one that cannot be kept ends nothing but its model."""
        if gan is not None:
            self.attempt(NOT_KEPT.format("generator"), lambda: self._generator(gan))
        self.attempt(NOT_KEPT.format("classifier"), lambda: self._classifier(winner()))

    def _generator(self, gan: "ConditionalGAN") -> None:
        with tempfile.TemporaryDirectory() as folder:
            gan.save(folder)
            log_generator(Path(folder) / GENERATOR, step=self.after)

    def _classifier(self, winner: "Winner") -> None:
        log_classifier(winner, step=self.after)
        self.mlflow.set_tags({"ganaug.classifier_arm": winner.arm, "ganaug.classifier_seed": winner.seed})

    def _begin(self) -> None:
        run = self.begin(f"compare: {self.primary[:LONGEST_NAME]}", self.experiment)
        self.client, self.experiment_id = self.mlflow.MlflowClient(), run.info.experiment_id
        params = {**_flat(self.settings), "primary": self.primary, "metric": self.metric}
        self.mlflow.log_params({k: str(v)[:6000] for k, v in params.items()})
        self.mlflow.set_tags(
            {"ganaug.kind": "comparison", "ganaug.data_digest": self.settings["data_digest"]}
        )
        self.caller = {k: v for k, v in run.data.tags.items() if k in SHARED_TAGS}
        facts = {k: self.settings[k] for k in ("n_train", "n_test", "splits")}
        self.data = data_input("X, y", self.settings["data_digest"], facts)
        self.mlflow.log_input(self.data, context="comparison")

    def _cell(self, cell: "Cell") -> None:
        from mlflow.entities import DatasetInput, InputTag, Metric, Param

        tags = {
            "ganaug.kind": "cell",
            "ganaug.arm": cell.arm,
            "ganaug.seed": f"{cell.seed}",
            "ganaug.primary": "yes" if cell.arm == self.primary else "no",
            "ganaug.pair_id": f"{self.run_id}/{cell.seed}",
            "ganaug.data_digest": self.settings["data_digest"],
        }
        run = self.client.create_run(
            self.experiment_id,
            run_name=f"{cell.arm[:LONGEST_NAME]}/seed={cell.seed}",
            tags={**self.caller, **tags, "mlflow.parentRunId": self.run_id},
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
        metrics = [Metric(k, v, now, 0) for k, v in values.items()]
        for start in range(0, len(metrics), 1000):
            self.client.log_batch(run.info.run_id, metrics=metrics[start : start + 1000])
        self.client.log_batch(run.info.run_id, params=[Param(k, str(v)) for k, v in params.items()])
        context = InputTag("mlflow.data.context", "cell")
        self.client.log_inputs(
            run.info.run_id, datasets=[DatasetInput(self.data._to_mlflow_entity(), [context])]
        )
        self.client.set_terminated(run.info.run_id)

    def _result(self, result: "Comparison") -> None:
        gain = result.gain
        arms = dict(zip(result.roles, _keys(list(result.roles)), strict=True))
        of_primary = [cell.metrics for cell in result.cells if cell.arm == result.primary]
        self.mlflow.log_metrics(
            {
                **{name: fmean(scores[name] for scores in of_primary) for name in of_primary[0]},
                "gain/points": gain.mean,
                "gain/low": gain.low,
                "gain/high": gain.high,
                "gain/p_value": gain.p_value,
                "wall_seconds": result.wall_seconds,
                **{f"mean/{key}": float(result.scores(arm).mean()) for arm, key in arms.items()},
            }
        )
        for cell in result.cells:
            self.mlflow.log_metric(f"seeds/{arms[cell.arm]}", cell.score(self.metric), step=cell.seed)
        self.mlflow.set_tags(
            {
                "mlflow.runName": f"{result.verdict}: {result.primary}",
                "ganaug.verdict": result.verdict,
                "ganaug.best_control": result.best_control,
                "mlflow.note.content": _note(result),
            }
        )
        for frame, file in ((result.table, "arms"), (result.per_class, "per_class")):
            self.mlflow.log_table(frame.reset_index().astype(object), f"tables/{file}.json")
        self.mlflow.log_dict(result.to_dict(), "comparison.json")
        for name, picture in pictures(result).items():
            self.mlflow.log_text(standalone(picture), f"figures/{name}.svg")
        with tempfile.TemporaryDirectory() as folder:
            self.mlflow.log_artifact(str(result.report(Path(folder) / "report.html")))
        if result.sample_grid is not None:
            import io

            from PIL import Image

            self.mlflow.log_image(Image.open(io.BytesIO(result.sample_grid)), "samples.png")


def _kept(text: str, prefix: str) -> Path:
    """Write text to a new file in the current folder, or where that cannot be written to, a temporary one."""
    for folder in (Path.cwd(), Path(tempfile.gettempdir())):
        with suppress(OSError):
            handle, name = tempfile.mkstemp(".json", prefix, folder)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            return Path(name)
    raise OSError("the comparison could be written neither to the current folder nor to a temporary one.")


def _note(result: "Comparison") -> str:
    """Return the verdict and the table of arms in Markdown, which the page of the run shows."""
    frame = result.table.drop(
        columns=["calibration_error", "fit_seconds", "gan_seconds"], errors="ignore"
    ).reset_index()
    rows = [[f"{v:.2f}" if isinstance(v, float) else str(v) for v in row] for row in frame.values.tolist()]
    cells = [[str(name).replace("_", " ") for name in frame], ["---"] * len(frame.columns), *rows]
    table = "\n".join(
        "| " + " | ".join(text.replace("|", "/").replace(" ", "\u00a0") for text in row) + " |"
        for row in cells
    )
    lost = f"\n\n{len(result.failed)} cells failed, see comparison.json." if result.failed else ""
    return f"**{result.sentence}**\n\n{table}{lost}\n\nPoints of 100; gains with 95 % intervals."


def _flat(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat


def _keys(names: Sequence[str]) -> list[str]:
    """Return a key per name, told apart by number where names differ in forbidden letters only."""
    keys = [_key(name) for name in names]
    told = [f"{key}_{i}" if keys.count(key) > 1 else key for i, key in enumerate(keys)]
    return told if len(set(told)) == len(told) else [f"{i}_{key}" for i, key in enumerate(keys)]


def _key(name: str) -> str:
    """Return a name in the letters, and of the length, that MLflow allows for a metric."""
    return "".join(ch if ch.isalnum() or ch in "_-. " else "_" for ch in name[:LONGEST_NAME])
