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


ALONE = World(1, 0, 1, 1)

STARTERS = (
    ("WORLD_SIZE", "RANK", "LOCAL_WORLD_SIZE", "GROUP_WORLD_SIZE"),  # torchrun
    ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "SLURM_NTASKS_PER_NODE", "SLURM_STEP_NUM_NODES"),
)
"""Of SLURM only a step counts, which srun starts: a batch script is one process, whatever it was granted."""


def world() -> World:
    """Return who was started together with this process."""
    for size, rank, n_local, n_nodes in STARTERS:
        names = (size, rank, n_nodes)
        if all(os.environ.get(name, "").isdigit() for name in names) and int(os.environ[size]) > 1:
            n, number, nodes = (int(os.environ[name]) for name in names)
            here = os.environ.get(n_local, "")
            return World(n, number, int(here) if here.isdigit() else n // nodes, nodes)
    return ALONE
