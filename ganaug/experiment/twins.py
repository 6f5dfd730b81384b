"""Arms of one recipe: the twin of a treatment, and those that differ in the number of real samples only."""

from collections.abc import Mapping
from typing import Any

from ganaug.errors import ConfigError
from ganaug.experiment.arms import Arm, copies
from ganaug.experiment.samples import hard_copies, near_boundary


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
            f"arms must hold a control that differs from {name!r} in the added samples only (same classic, "
            "class_weights, tune_threshold, mix, complement and its weight, labels, place, phases, weight, "
            f"gate and candidates); got {list(arms)}. Add such a control, with extra=copies."
        )

    def likeness(twin: str) -> tuple[bool, ...]:
        arm, samples = arms[twin], _samples(arms[twin])
        return (
            samples == _samples(treatment),
            copies in samples,
            samples != {None},
            _doses(arm) == _doses(treatment),
        )

    return max(twins, key=likeness)


def learning_curve(arms: Mapping[str, Arm]) -> tuple[str, ...]:
    """Return the control that adds and changes nothing, and the oracles that add real samples and no more.

    Examples
    --------
    >>> from ganaug.experiment.arms import ARMS
    >>> learning_curve(ARMS)
    ('nothing', 'quarter of reserve', 'half of reserve', 'reserve')
    """
    plain = {name: arm for name, arm in arms.items() if _levers(arm) == _levers(Arm(role=arm.role))}
    bases = [name for name, arm in plain.items() if arm.role == "control" and arm.extra is None]
    oracles = [name for name, arm in plain.items() if arm.role == "oracle" and arm.extra is not None]
    return (bases[0], *oracles) if bases and oracles else ()


def _samples(arm: Arm) -> set[Any]:
    """Return what makes the samples of an arm, with copies in place of a generator."""
    instead: dict[Any, Any] = {near_boundary: hard_copies}
    return {instead.get(a.extra, copies) if a.asks_generator else a.extra for a in arm.among or (arm,)}


def _fakes(arm: Arm) -> str | None:
    """Return what an arm plays against its classifier, with mixes in place of a generator."""
    return "mixes" if arm.complement == "generator" else arm.complement


def _levers(arm: Arm) -> tuple[Any, ...]:
    own = arm.classic, arm.class_weights, arm.tune_threshold, arm.mix, _fakes(arm), arm.complement_weight
    added = arm.labels, arm.place, arm.phases, arm.gate, arm.weight, arm.by_class
    return *own, *added, frozenset(map(_levers, arm.among))


def _doses(arm: Arm) -> set[float | tuple[float, ...]]:
    return {a.dose for a in arm.among or (arm,)}
