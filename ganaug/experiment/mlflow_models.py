"""The generator and the classifier of a run as models of MLflow, which `mlflow.pyfunc.load_model` opens."""

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ganaug.data.schema import take
from ganaug.generator import load

if TYPE_CHECKING:
    from ganaug.experiment.winner import Winner

__all__ = ["labelled", "log_classifier", "log_generator"]


@contextmanager
def _without_hints() -> Iterator[None]:
    """Silence what MLflow has to say to people who write models by hand."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


@_without_hints()
def log_generator(file: Path, *, step: int) -> str:
    """Log a file that `save_generator` wrote as the model "generator" of the active run; return its URI.

    MLflow takes the metrics that the run has at `step` for the model's own.

    Raises
    ------
    CheckpointError
        If it cannot be opened without the caller's own network or conditioning.
    """
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema

    gan = load(file.parent, device="cpu")
    columns = [
        ColSpec(DataType.string, "class"),
        ColSpec(DataType.long, "n"),
        ColSpec(DataType.long, "seed", required=False),
    ]
    X_new, y_new = gan.generate({gan.classes_.tolist()[0]: 1})
    made = np.asarray(X_new) if gan.schema_.kind == "image" else labelled(X_new, y_new, gan.schema_.y_name)
    info = mlflow.pyfunc.log_model(
        name="generator",
        python_model=str(Path(__file__).with_name("generator_model.py")),
        artifacts={"generator": str(file)},
        signature=ModelSignature(inputs=Schema(columns), outputs=_schema(made)),
        pip_requirements=_requirements(),
        step=step,
        metadata={"ganaug.classes": [str(label) for label in gan.classes_.tolist()]},
    )
    return str(info.model_uri)


def labelled(X: Any, y: Any, y_name: Any) -> Any:
    """Return rows as a DataFrame with their labels in one more column: "class", or the name they have.

    Where a column has that name already, the one of the labels gets an underscore.
    """
    import pandas as pd

    frame = pd.DataFrame(np.asarray(X) if not hasattr(X, "iloc") else X)
    frame.columns = pd.Index([str(name) for name in frame.columns])
    name = "class" if y_name is None else str(y_name)
    while name in frame.columns:
        name += "_"
    frame[name] = np.asarray(y)
    return frame


@_without_hints()
def log_classifier(winner: "Winner", *, step: int) -> None:
    """Log a trained classifier as the model "classifier" of the active run; `step` as in `log_generator`."""
    import cloudpickle
    import mlflow
    from mlflow.models import ModelSignature

    inputs, outputs = _schema(winner.X), _schema(winner.classifier.predict(take(winner.X, np.arange(2))))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "classifier.pkl"
        file.write_bytes(cloudpickle.dumps(winner.classifier))
        mlflow.pyfunc.log_model(
            name="classifier",
            python_model=str(Path(__file__).with_name("classifier_model.py")),
            artifacts={"classifier": str(file)},
            signature=ModelSignature(inputs=inputs, outputs=outputs) if inputs else None,
            pip_requirements=_requirements(),
            step=step,
            metadata={"ganaug.arm": winner.arm, "ganaug.seed": winner.seed},
        )


def _schema(values: Any) -> Any:
    """Return what MLflow checks samples against; None where it has no words for them.

    Of a DataFrame these are the names of its columns: MLflow would lose a category, or an integer that is
    missing.
    """
    from mlflow.exceptions import MlflowException
    from mlflow.models import infer_signature
    from mlflow.types import ColSpec, Schema
    from mlflow.types.schema import AnyType

    if hasattr(values, "columns"):
        known = all(isinstance(name, str) for name in values.columns)
        return Schema([ColSpec(AnyType(), name) for name in values.columns]) if known else None
    try:
        return infer_signature(values).inputs
    except MlflowException:
        return None


def _requirements() -> list[str]:
    """Return what the models need, so that MLflow need not find out."""
    return [
        f"{name}=={version(name)}" for name in ("ganaug", "mlflow", "torch", "scikit-learn", "cloudpickle")
    ]
