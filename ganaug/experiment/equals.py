"""Samples that are equal, told by their encodings."""

from typing import Any

import numpy as np

from ganaug.data.schema import Schema

GRID = 1e-3
"""Encoded values of one cell of a grid are equal: two precisions of the same numbers differ by less."""

Keys = np.ndarray[Any, Any]


def keys(schema: Schema, X: Any) -> Keys:
    """Return two numbers (n, 2) for each sample, of which equal ones share one.

    They are of two grids, the second half a cell further on: what is on an edge of one is within the other.
    """
    x = schema.encode_X(X).flatten(1).numpy() / GRID
    cells = (np.floor(x + shift).astype(np.int32) for shift in (0.0, 0.5))
    return np.array([[hash(row.tobytes()) for row in grid] for grid in cells], dtype=np.int64).T


def among(one: Keys, *others: Keys) -> np.ndarray[Any, Any]:
    """Return which of the samples (n,) are equal to any of the others."""
    known = np.concatenate(others)
    return np.logical_or(*(np.isin(one[:, grid], known[:, grid]) for grid in (0, 1)))
