"""What a row weighs in the training of a classifier: real ones as the caller says, added ones beside them."""

from typing import Any

import numpy as np

from ganaug.data.schema import as_array, take
from ganaug.errors import DataError

Array = np.ndarray[Any, Any]


def real_weights(sample_weight: Any, n: int) -> Array:
    """Return the caller's weights as an array (n,) of finite numbers, none below 0 and some above."""
    try:
        weight = np.asarray(sample_weight, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"sample_weight must hold numbers: {error}.") from error
    if weight.shape != (n,):
        raise DataError(
            f"sample_weight must have one number for each of the {n} samples; got shape {weight.shape}."
        )
    if not (np.isfinite(weight).all() and (weight >= 0).all() and weight.any()):
        raise DataError("sample_weight must hold finite numbers of at least 0, not all of them zero.")
    return weight


def added_weights(weight: Array, y: Array, y_added: Array) -> Array:
    """Return for each added row the mean weight of the real rows of its class."""
    labels, place = np.unique(y, return_inverse=True)
    mean = np.bincount(place, weights=weight) / np.bincount(place)
    found: Array = mean[np.searchsorted(labels, y_added)]
    return found


def begins_with(X_all: Any, X: Any) -> bool:
    """Return whether the first rows of a data set are those of another, with the same missing cells."""
    n = X.shape[0]
    if X_all.shape[0] < n:
        return False
    first = take(X_all, np.arange(n))
    if hasattr(X, "toarray"):
        return bool((first != X).nnz == 0)
    import pandas as pd

    frames = (v if hasattr(v, "iloc") else pd.DataFrame(as_array(v).reshape(n, -1)) for v in (first, X))
    one, two = (frame.reset_index(drop=True) for frame in frames)
    return bool(one.equals(two))
