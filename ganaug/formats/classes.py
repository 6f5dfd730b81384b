"""Names of classes in files that hold class indices."""

import json
from pathlib import Path

import numpy as np

from ganaug.errors import DataError
from ganaug.formats.contents import Array


def names_of(card: str | None) -> list[str] | None:
    """Return the names of the classes that a description has."""
    try:
        return [str(name) for name in json.loads(card or "")["schema"]["names"]]
    except (ValueError, TypeError, KeyError):
        return None


def named(path: Path, labels: Array, names: list[str] | None) -> Array:
    """Return the names of class indices where there are names, else the labels as they are."""
    if names is None or labels.dtype.kind not in "iu":
        return labels
    if not 0 <= labels.min() <= labels.max() < len(names):
        raise DataError(f"{path} has names for {len(names)} classes; its labels go to {labels.max()}.")
    return np.array(names)[labels]
