"""Samples that are equal, told by their encodings."""

from typing import Any

import numpy as np

from ganaug.data.schema import Schema

Digests = np.ndarray[Any, Any]


def digests(schema: Schema, X: Any) -> Digests:
    """Return a number for each sample, the same for equal ones."""
    x = schema.encode_X(X).flatten(1).numpy() + 0.0  # no -0.0
    return np.array([hash(row.tobytes()) for row in x], dtype=np.int64)


def among(schema: Schema, X: Any, others: Any) -> np.ndarray[Any, Any]:
    """Return which samples are equal to any of the others, both in the coarser of their precisions."""
    one, two = _rounded(X, others), _rounded(others, X)
    return np.isin(digests(schema, one), digests(schema, two))


def _rounded(X: Any, other: Any) -> Any:
    """Return samples in the floats of others where these are coarser; of frames, column by column."""
    if hasattr(X, "iloc") and hasattr(other, "iloc"):
        shared = [name for name in X.columns if name in other.columns]
        coarser = {k: other[k].dtype for k in shared if _finer(X[k].dtype, other[k].dtype)}
        return X.astype(coarser)
    dtype, wanted = getattr(X, "dtype", None), getattr(other, "dtype", None)
    return np.asarray(X).astype(wanted) if _finer(dtype, wanted) else X


def _finer(dtype: Any, other: Any) -> bool:
    """Return whether a type of floats holds more digits than another one."""
    floats = all(isinstance(k, np.dtype) and k.kind == "f" for k in (dtype, other))
    return floats and dtype.itemsize > other.itemsize
