"""What every seed of a comparison shares."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ganaug.config import GANConfig
from ganaug.experiment.arms import Arm
from ganaug.mixing.fill import Fill, fill_counts


@dataclass(frozen=True)
class Plan:
    """The settings of a comparison; travels to worker processes."""

    classifier: Any
    arms: dict[str, Arm]
    metric: str
    fill: Fill
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


def fill_of(y: np.ndarray[Any, Any], fill: Fill) -> dict[Any, int]:
    """Return the samples that the arms of a seed add per class, for its training labels."""
    if fill == "auto":
        counts = np.unique(y, return_counts=True)[1]
        fill = 2.0 if counts.max() <= 1.5 * counts.min() else "balance"
    return fill_counts(y, fill)
