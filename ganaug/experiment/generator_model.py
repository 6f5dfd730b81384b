"""A fitted generator as a model of MLflow, which runs this file to open one: models from code, no pickle."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext

from ganaug.experiment.mlflow_models import labelled
from ganaug.generator import load


class GeneratorModel(PythonModel):
    """Draws samples of classes; ``unwrap_python_model().gan`` is the `ConditionalGAN` itself.

    The input is a table with the columns ``class`` (the text of a label), ``n`` (how many) and, if wanted,
    ``seed``: the same seed gives the same samples. Samples come in the order of its rows, exactly ``n`` of
    each: images as an array (n, ...) in the form and dtype of the training data; rows of a table as a
    DataFrame with their labels in one more column, the last.
    """

    def load_context(self, context: PythonModelContext) -> None:
        """Open the generator."""
        self.gan = load(Path(context.artifacts["generator"]).parent)

    def predict(self, context: PythonModelContext, model_input: pd.DataFrame, params: Any = None) -> Any:
        """Return the samples that each row of the input asks for."""
        labels = {str(label): label for label in self.gan.classes_.tolist()}
        made = [
            self.gan.generate({labels.get(str(row["class"]), row["class"]): int(row["n"])}, random_state=seed)
            for (_, row), seed in zip(model_input.iterrows(), _seeds(model_input), strict=True)
        ]
        if self.gan.schema_.kind == "image":
            return np.concatenate([np.asarray(X) for X, _ in made])
        return pd.concat([labelled(X, y, self.gan.schema_.y_name) for X, y in made], ignore_index=True)


def _seeds(wanted: pd.DataFrame) -> list[int | None]:
    if "seed" not in wanted:
        return [None] * len(wanted)
    return [None if pd.isna(seed) else int(seed) for seed in wanted["seed"]]


set_model(GeneratorModel())
