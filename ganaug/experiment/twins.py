"""Twins: the control that differs from a treatment in the added samples only."""

from collections.abc import Mapping
from typing import Any

from ganaug.errors import ConfigError
from ganaug.experiment.arms import Arm, copies


def twin_of(name: str, arms: Mapping[str, Arm]) -> str:
    """Return the control among the arms that differs from a treatment in the added samples only.

    Without it, the gain of classic augmentation or of a teacher's labels would be taken for the
    generator's. Of several, it is the first with copies of real samples at the same dose; else one with
    copies, with other samples, and with none, in this order. Candidates with the same settings but for
    dose and samples count once, for copies have no snapshots to choose from.

    Parameters
    ----------
    name : str
        The treatment.
    arms : dict of {name: Arm}
        All arms of a comparison.

    Returns
    -------
    str
        The name of the control.

    Raises
    ------
    ConfigError
        If there is none.

    Examples
    --------
    >>> from ganaug.experiment.arms import ARMS
    >>> twin_of("gan + classic", ARMS), twin_of("pretrain on gan", ARMS)
    ('classic', 'pretrain on copies')
    """
    treatment = arms[name]
    twins = [k for k, arm in arms.items() if arm.role == "control" and _levers(arm) == _levers(treatment)]
    if not twins:
        raise ConfigError(
            f"arms must hold a control that differs from {name!r} in the added samples only (same "
            "classic, class_weights, tune_threshold, mix, labels, place, phases, gate and candidates); got "
            f"{list(arms)}. Add such a control, with extra=copies."
        )

    def likeness(twin: str) -> tuple[bool, bool, bool]:
        extras = [a.extra for a in arms[twin].among or (arms[twin],) if a.extra is not None]
        return copies in extras, bool(extras), _doses(arms[twin]) == _doses(treatment)

    return max(twins, key=likeness)


def _levers(arm: Arm) -> tuple[Any, ...]:
    own = arm.classic, arm.class_weights, arm.tune_threshold, arm.mix
    added = arm.labels, arm.place, arm.phases, arm.gate
    return *own, *added, frozenset(map(_levers, arm.among))


def _doses(arm: Arm) -> set[float]:
    return {a.dose for a in arm.among or (arm,)}
