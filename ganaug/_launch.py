"""Was this process started as one of several? What torchrun and srun say in the environment."""

import os
from typing import NamedTuple

OF_FIRST = "(as rank 0 found)"
"""Note on an error that the first rank met and that the others raise with it."""


class World(NamedTuple):
    """The processes that were started together, and which of them this one is."""

    size: int
    rank: int
    n_local: int  # of them on this machine
    n_nodes: int
    starter: str


ALONE = World(1, 0, 1, 1, "")

STARTERS = {
    "torchrun": ("WORLD_SIZE", "RANK", "GROUP_WORLD_SIZE"),
    "srun": ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "SLURM_STEP_NUM_NODES"),
}
"""Of SLURM only a step counts, which srun starts: a batch script is one process, whatever it was granted."""

_joined = 0


def world() -> World:
    """Return who was started together with this process."""
    for starter, names in STARTERS.items():
        values = [os.environ.get(name, "") for name in names]
        if all(value.isdigit() for value in values) and int(values[0]) > 1:
            size, rank, n_nodes = map(int, values)
            return World(size, rank, size // n_nodes, n_nodes, starter)
    return ALONE


def join(rank: int) -> None:
    """Note that this process is one of a training."""
    global _joined
    _joined = rank


def joined_rank() -> int:
    """Return which process of a training this is; 0 where it trains alone, or not at all."""
    return _joined
