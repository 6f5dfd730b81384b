"""What a file format must know of the samples it holds."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Rows = Iterator[tuple[Any, Array]]
"""Pieces of samples (an array, or a DataFrame), and their class indices (n,)."""


@dataclass(frozen=True, kw_only=True)
class Shard:
    """Some consecutive samples: the piece of work of one job, and what a restart skips."""

    number: int
    start: int  # samples before it
    n: int
    firsts: dict[int, int]  # of each class in it, the samples of that class before it


@dataclass(frozen=True, kw_only=True)
class Contents:
    """Samples as a whole, without their values."""

    kind: str  # "image" or "table"
    names: tuple[str, ...]  # of the classes
    labels: Array  # (n_classes,), numbers, booleans or numpy's text
    counts: tuple[int, ...]  # samples of each class
    shape: tuple[int, ...]  # of all samples as one array
    dtype: np.dtype[Any]
    columns: tuple[str, ...]  # names of a table's columns as distinct texts
    target: str  # name of its label column
    frame: Any  # of a table, a DataFrame of one row that has the dtype of each column, labels included
    card: str  # the whole description as JSON, for formats that have a place for it


def distinct_texts(names: list[Any]) -> list[str]:
    """Return the names as texts, those that were there already with underscores behind them."""
    texts: list[str] = []
    for name in names:
        text = str(name)
        while text in texts:
            text += "_"
        texts.append(text)
    return texts
