"""Choices: arms that take one of several candidates in each seed, by samples held out of training."""

from dataclasses import replace
from itertools import product

from ganaug.errors import ConfigError
from ganaug.experiment.arm import Arm, Gate, Snapshot

__all__ = ["chosen", "tuned"]

DOSES = (0.25, 0.5, 1.0)


def tuned(arm: Arm, *, by_class: bool = False) -> Arm:
    """Return an arm that chooses, seed by seed, how many of another's samples to add; none is a choice.

    It trains the classifier 13 times as often, and a generator three more times. Within the training part the
    fill is counted anew, so that a quarter of it is a quarter of what that part lacks; where it cannot be
    met, nothing is added there.

    Parameters
    ----------
    arm : Arm
        With `extra`.
    by_class : bool, default=False
        Whether each class gets a dose of its own, that of the candidate which does best on it.

    Returns
    -------
    Arm
        Its candidates add nothing, and a quarter, half or all of the samples.

    Raises
    ------
    ConfigError
        If the arm adds no samples.

    Examples
    --------
    >>> from ganaug.experiment.arms import copies
    >>> tuned(Arm(role="control", extra=copies)).among[0].extra is None
    True
    """
    if arm.extra is None:
        raise ConfigError("arm must have extra for its dose to be tuned; got one that adds no samples.")
    among = arm.with_nothing_added, *(replace(arm, dose=d) for d in DOSES)
    return Arm(role=arm.role, among=among, by_class=by_class)


def chosen(arm: Arm) -> Arm:
    """Return an arm that chooses, seed by seed, how many of another's samples to add, and which.

    Besides the dose, as in `tuned`, it chooses whether they pass a gate, and those of the generator whether
    they come from its last average or its best snapshots. That makes 13 candidates (7 without a generator),
    which share three more generators, and three judges in each inner part; the classifier is trained up to
    52 times (34). The more candidates, the more of the best score on few held-out samples is luck, so that
    the one taken need not be the best; what it gains is measured on test samples all the same.

    Parameters
    ----------
    arm : Arm
        With `extra`.

    Returns
    -------
    Arm
        Its candidates add nothing, and a quarter, half or all of the samples, without and with a gate.

    Raises
    ------
    ConfigError
        If the arm adds no samples.

    Examples
    --------
    >>> from ganaug.experiment.arms import copies
    >>> [(a.dose, a.gate) for a in chosen(Arm(role="control", extra=copies)).among[1:3]]
    [(0.25, None), (0.25, 'agreement')]
    """
    if arm.extra is None:
        raise ConfigError("arm must have extra to choose from; got one that adds no samples.")
    gates: tuple[Gate | None, ...] = (None, "agreement")
    snapshots: tuple[Snapshot | None, ...] = ("last", "best") if arm.asks_generator else (None,)
    candidates = (
        replace(arm, dose=dose, gate=gate, snapshot=snapshot)
        for dose, gate, snapshot in product(DOSES, gates, snapshots)
    )
    return Arm(role=arm.role, among=(arm.with_nothing_added, *candidates))
