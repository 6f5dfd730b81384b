"""Input checks of the scikit-learn estimators: its rules, and the error types of ganaug."""

from typing import Any

import numpy as np
from sklearn.utils import assert_all_finite, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import validate_data
from torch import Tensor

from ganaug.data.schema import as_array
from ganaug.errors import DataError


def validated(estimator: Any, X: Any, y: Any = "no_validation", *, reset: bool = True) -> Any:
    """Return X, or (X, y) where y is given, after scikit-learn's checks for `estimator`.

    A DataFrame or tensor X stays what it is, so that columns keep their dtypes; anything else
    becomes an array, as y does. Text and missing cells are left to the codec. ValueErrors become
    DataErrors.
    """
    X = as_array(X) if isinstance(X, (list, tuple)) else X
    try:
        arrays = validate_data(
            estimator,
            X=X,
            y=y,
            reset=reset,
            dtype=None,
            ensure_all_finite="allow-nan",
            allow_nd=True,
            ensure_min_samples=2 if reset else 1,
        )
    except ValueError as error:
        raise DataError(str(error)) from error
    keep = hasattr(X, "iloc") or isinstance(X, Tensor)
    if isinstance(arrays, tuple):
        return (X if keep else arrays[0]), arrays[1]
    return X if keep else arrays


def class_labels(y: Any) -> np.ndarray[Any, Any]:
    """Return y as an array (n,) of labels; a column of them warns, anything else raises DataError."""
    try:
        labels = column_or_1d(y, warn=True)
        assert_all_finite(labels, input_name="y")
        check_classification_targets(labels)
    except ValueError as error:
        raise DataError(str(error)) from error
    return np.asarray(labels)
