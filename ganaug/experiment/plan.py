"""What every seed of a comparison shares."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ganaug.config import GANConfig
from ganaug.experiment.arms import Arm
from ganaug.mixing.fill import Fill


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
