"""What every seed of a comparison shares."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ganaug.config import GANConfig
from ganaug.errors import ConfigError
from ganaug.experiment.arms import Arm
from ganaug.mixing.fill import Fill, fill_counts

ROOM = 1000
"""Samples a class to which small classes are lifted at most where there are unlabelled ones."""


@dataclass(frozen=True)
class Plan:
    """The settings of a comparison; travels to worker processes."""

    classifier: Any
    arms: dict[str, Arm]
    metric: str
    fill: Fill  # never "auto"
    steps: int
    batch_size: int
    config: GANConfig
    device: str
    classic: Any
    names: Sequence[str]
    random_state: int

    @property
    def gan_config(self) -> GANConfig:
        """The config of the generators, which keep their best snapshots where an arm draws from these."""
        keep = self.config.snapshot == "last" and any(arm.asks_best for arm in self.arms.values())
        return replace(self.config, snapshot="both") if keep else self.config

    def within(self, y: np.ndarray[Any, Any]) -> "Plan":
        """Return the plan for the labels of an inner part: nothing is added where the fill is refused."""
        try:
            fill_counts(y, self.fill)
        except ConfigError:
            return replace(self, fill={})
        return self


def resolve_fill(y: np.ndarray[Any, Any], fill: Fill, *, seeds: int = 1, n_unlabelled: int = 0) -> Fill:
    """Return the fill that "auto" stands for by the labels of all training parts; others stay.

    Where there are unlabelled samples, small classes leave room for their share of these.
    """
    if fill != "auto":
        return fill
    counts = np.unique(y, return_counts=True)[1]
    room = seeds * min(ROOM, n_unlabelled / len(counts))
    if room > 2 * counts.max():
        return float(room / counts.max())
    return 2.0 if counts.max() <= 1.5 * counts.min() else "balance"
