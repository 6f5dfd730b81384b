"""Samples kept away from a generator, and the record of which ones, so that an audit finds them again."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ganaug._checks import BROKEN, number, read_json
from ganaug._random import numpy_stream
from ganaug.data.schema import label_array
from ganaug.errors import CheckpointError, DataError

__all__ = ["Holdout"]

RECORD = "holdout.json"
LEAST_LEFT = 2

Rows = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Holdout:
    """A share of each class that a generator does not see, drawn by a seed.

    Examples
    --------
    >>> train, held = Holdout(share=0.25, seed=0).split(["a"] * 8 + ["b"] * 2)
    >>> len(train), len(held)
    (8, 2)
    """

    share: float
    seed: int

    def __post_init__(self) -> None:
        number("holdout", self.share, low=0, high=0.9, open_low=True)
        number("seed", self.seed, low=0, integer=True)

    def split(self, y: Any) -> tuple[Rows, Rows]:
        """Return the rows to train on and those held out, sorted; of each class two stay at the least."""
        labels = label_array(y)
        held = np.zeros(len(labels), dtype=bool)
        for k, label in enumerate(np.unique(labels)):
            rows = np.flatnonzero(labels == label)
            n = min(int(self.share * len(rows)), len(rows) - LEAST_LEFT)
            held[numpy_stream(self.seed, "holdout", k).permutation(rows)[: max(0, n)]] = True
        if not held.any():
            raise DataError(
                f"holdout={self.share:g} leaves no sample of any class aside; got {len(labels)} samples. "
                "Give a larger share or more samples."
            )
        return np.flatnonzero(~held), np.flatnonzero(held)

    def write(self, run: Path) -> None:
        """Record it in the folder of the run."""
        (run / RECORD).write_text(json.dumps(asdict(self)) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, run: Path) -> "Holdout | None":
        """Return what was recorded in the folder of a run, or None."""
        file = run / RECORD
        if not file.exists():
            return None
        try:
            values = read_json(file)
            return cls(share=values["share"], seed=values["seed"])
        except BROKEN as error:
            raise CheckpointError(
                f"{file} must tell the share and seed of the samples held out: {str(error)[:300]}. It was "
                "written by ganaug fit --holdout; restore it, or name the held-out samples with --holdout."
            ) from error
