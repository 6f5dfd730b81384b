"""A classifier as an arm left it: trained, and with a tuned decision where the arm has one."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ganaug.data.schema import Schema
from ganaug.experiment.classifiers import class_predictions

__all__ = ["FittedClassifier"]


@dataclass(frozen=True)
class FittedClassifier:
    """Tells the labels of samples in the caller's own form."""

    model: Any  # a torch module on encoded samples, or an estimator on rows
    schema: Schema
    factors: np.ndarray[Any, Any] | None = None  # (n_classes,)
    dtypes: Any = None  # of the columns of a DataFrame, which do not survive JSON or MLflow

    def predict(self, X: Any) -> np.ndarray[Any, Any]:
        """Return the caller's labels (n,)."""
        X = X if self.dtypes is None else X.astype(self.dtypes)
        c, y_score = class_predictions(self.model, X, self.schema)
        if self.factors is not None and y_score is not None:
            c = (y_score * self.factors).argmax(1)
        return np.asarray(self.schema.labels[c])
