"""Workload: how many classifiers and generators the arms of a comparison train in a seed."""

from collections.abc import Sequence

from ganaug.experiment.arm import Arm
from ganaug.experiment.bench import INNER_FOLDS
from ganaug.experiment.judges import N_JUDGES
from ganaug.experiment.samples import TAUGHT
from ganaug.experiment.thresholds import INNER_FOLDS as THRESHOLD_FOLDS


def fits_of(arm: Arm) -> int:
    """Return how many classifiers an arm trains in a seed, at most."""
    if arm.among:
        judged = {candidate.with_nothing_added for candidate in arm.among if candidate.gate == "agreement"}
        inner = sum(map(_ungated_fits, arm.among)) + N_JUDGES * len(judged)
        return INNER_FOLDS * inner + max(map(fits_of, arm.among))
    return _ungated_fits(arm) + N_JUDGES * (arm.gate == "agreement")


def _ungated_fits(arm: Arm) -> int:
    taught = arm.labels == "teacher" or arm.extra in TAUGHT
    return 1 + taught + THRESHOLD_FOLDS * arm.tune_threshold


def inner_generators(arm: Arm) -> int:
    """Return how many generators an arm trains of its own in a seed."""
    return INNER_FOLDS if arm.among and arm.asks_generator else 0


def generators_of(arms: Sequence[Arm]) -> int:
    """Return how many generators are trained in a seed, the shared one among them."""
    return any(arm.asks_generator for arm in arms) + sum(map(inner_generators, arms))
