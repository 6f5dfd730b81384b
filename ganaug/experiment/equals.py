"""Samples that are equal, told by their encodings."""

from typing import Any

import numpy as np

from ganaug.data.schema import Schema, take


def digests(schema: Schema, X: Any) -> np.ndarray[Any, Any]:
    """Return a number for each sample, the same for equal ones."""
    x = schema.encode_X(X).flatten(1).numpy()
    return np.array([hash(row.tobytes()) for row in x], dtype=np.int64)


def without(schema: Schema, X: Any, *others: Any) -> Any:
    """Return the samples that are equal to none of the others."""
    known = np.concatenate([digests(schema, other) for other in others])
    return take(X, np.flatnonzero(~np.isin(digests(schema, X), known)))
