"""Input checks of the scikit-learn estimators: its rules, and the error types of ganaug."""

from typing import Any

import numpy as np
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils.validation import validate_data
from torch import Tensor

from ganaug.data.schema import as_array, checked_labels, label_array
from ganaug.errors import DataError


def validated(estimator: Any, X: Any, y: Any = "no_validation", *, reset: bool = True) -> Any:
    """Return X, or (X, y) where y is given, after scikit-learn's checks for `estimator`.

    A DataFrame or tensor X stays what it is, so that columns keep their dtypes; anything else becomes an
    array, as y does. The cells of a DataFrame, text and missing cells are left to the codec. ValueErrors
    become DataErrors, as do TypeErrors.
    """
    labels = None if isinstance(y, str) and y == "no_validation" else class_labels(y)
    X = as_array(X) if isinstance(X, (list, tuple)) else X
    frame, min_rows = hasattr(X, "iloc") and hasattr(X, "columns"), 2 if reset else 1
    if frame and len(X) < min_rows:
        raise DataError(f"X must have at least {min_rows} rows; got {len(X)}.")
    try:
        if frame:  # as one array its columns would need a common dtype
            array = validate_data(estimator, X=X, reset=reset, skip_check_array=True)
        else:
            array = validate_data(
                estimator,
                X=X,
                reset=reset,
                dtype=None,
                ensure_all_finite="allow-nan",
                allow_nd=True,
                ensure_min_samples=min_rows,
            )
    except (TypeError, ValueError) as error:
        raise DataError(str(error)) from error
    X = X if isinstance(X, Tensor) else array
    if labels is None:
        return X
    same_length(X, labels)
    return X, labels


def same_length(X: Any, y: Any) -> None:
    """Raise DataError unless there are as many labels as samples."""
    try:
        check_consistent_length(X, y)
    except (TypeError, ValueError) as error:
        raise DataError(str(error)) from error


def class_labels(y: Any) -> np.ndarray[Any, Any]:
    """Return y as an array (n,) of labels; a column of them warns, anything else raises DataError."""
    if y is None:
        raise DataError("ganaug learns per class and requires y to be passed, but the target y is None.")
    labels = label_array(y)
    if labels.ndim == 2 and labels.shape[1] != 1:
        raise DataError(
            f"y should be a 1d array, a label per sample; got shape {labels.shape}. Multilabel and "
            "multioutput targets are not supported."
        )
    try:
        labels = np.asarray(column_or_1d(labels, warn=True))
    except ValueError as error:
        raise DataError(str(error)) from error
    checked_labels(labels)
    if labels.dtype == object and not isinstance(labels[0], str):
        raise DataError(
            f"Unknown label type: {type(labels[0]).__name__} as Python objects, which scikit-learn takes for "
            "no labels. Convert y to a dtype of its own, e.g. with np.array(list(y))."
        )
    return labels
