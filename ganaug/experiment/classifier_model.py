"""A trained classifier as a model of MLflow, which runs this file to open one.

The classifier may be any object of the caller's, so that it is pickled: open models of people you trust.
"""

from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext


class ClassifierModel(PythonModel):
    """Labels samples in the form of the training data: images (n, ...) or rows of a table.

    ``unwrap_python_model().classifier.model`` is the torch module or estimator itself.
    """

    def load_context(self, context: PythonModelContext) -> None:
        """Open the classifier."""
        self.classifier = cloudpickle.loads(Path(context.artifacts["classifier"]).read_bytes())

    def predict(self, context: PythonModelContext, model_input: np.ndarray, params: Any = None) -> Any:
        """Return the caller's labels (n,)."""
        return self.classifier.predict(model_input)


set_model(ClassifierModel())
