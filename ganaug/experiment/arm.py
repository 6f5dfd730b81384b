"""Arm: one way to train the classifier of a comparison."""

from dataclasses import dataclass, replace
from typing import Any, Literal

from ganaug._checks import known_name, number
from ganaug.errors import ConfigError
from ganaug.experiment.batch_mixes import MIXES
from ganaug.experiment.classic import COMPOSES
from ganaug.experiment.order import PHASES
from ganaug.experiment.samples import Extra, copies, pseudo_labelled, synthetic

__all__ = ["Arm", "described"]

Gate = Literal["agreement", "realism", "novelty"]
Snapshot = Literal["last", "best", "all"]
Dose = float | tuple[float, ...]

LATER = {"weight": 1.0, "complement": None, "complement_weight": 1.0, "by_class": False}
"""Settings that kept comparisons of earlier versions do not name, and what they were."""


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One way to train the classifier; all arms share split, steps, initial weights and order.

    Parameters
    ----------
    role : {"control", "treatment", "oracle"}
        A treatment has to beat the best control. An oracle is shown beside both: it adds the samples of a
        reserve, of which no other arm knows.
    extra : callable or None
        Makes the samples to add from a `TrainingPart`; `copies`, `synthetic`, or the user's own.
    classic : bool, "randaugment" or "elastic"
        Whether samples go through classic augmentation (images only): each anew at every step
        (torch), or the added ones once (scikit-learn). True is the one of the comparison.
    class_weights : bool
        Whether the loss weighs classes by the inverse of their size.
    tune_threshold : bool
        Whether the decision is tuned to the metric of the comparison, on out-of-fold predictions of
        the training part, whose encoding is that of the whole part: the threshold between two classes, or
        the power of the classes' shares by which the probabilities of more are divided. Not with `extra`:
        copies of a held-out sample would give it away.
    mix : {"mixup", "cutmix"} or None, default=None
        Whether the samples of a batch are mixed in pairs, and their labels with them (torch only).
    labels : {"hard", "smooth", "teacher"}, default="hard"
        Labels of the added samples: their classes; these with a tenth spread over all classes; or the class
        probabilities of a teacher, which is the classifier of this arm trained with copies of real samples
        in place of the added ones. An estimator gets a row for each class, weighted by its probability.
    place : {"fill", "swap", "even"}, default="fill"
        Added samples come on top of the real ones, or each stands in for a real one of its class, with
        probability `dose`: anew in every epoch (torch), or once (scikit-learn). "even" does so after copies
        of real samples have filled up the classes, so that each class has the same share of added ones.
    weight : float, default=1.0
        What an added sample counts in the loss beside a real one; above 0, at most 1.
    phases : {"mixed", "pretrain", "real last"}, default="mixed"
        All samples at every step, or the added ones in the first half of the steps and the real ones in
        the second, or the real ones alone in the last fifth (torch only).
    dose : float or tuple of float, default=1.0
        Share of the samples of `extra` that is used, of each class the first ones; above 0, at most 1. A
        tuple has an entry for each class, of which some may be 0.
    gate : {"agreement", "realism", "novelty"} or None, default=None
        Which samples are added: all, or those that 3 classifiers agree on. These are the classifier of this
        arm trained with nothing added, each on two of three folds of the real samples, with classes counted
        as equally likely; each has to give a sample its class. So of a copy, the one that has not seen it
        decides. Or those no farther from the nearest real sample of their class than nine tenths of these are
        from each other ("realism"), or no nearer than a tenth are ("novelty"), by features of a random
        network. Where too few are accepted, the best of the others fill up (see
        `ganaug.mixing.gate.admit`); where a class is too small to be in each fold, all are let in. They are
        judged before classic augmentation.
    snapshot : {"last", "best", "all"} or None, default=None
        Of an arm that draws from the generator: from its last average, or for each class from the snapshot
        with the smallest kernel distance, or from these and the last average in equal parts; None is as
        the config says.
    complement : {"generator", "mixes", "none"} or None, default=None
        Whether the classifier learns from unlabelled samples (or, where there are none, from its own
        without their labels) that each of these is of one class, and others of none: those of a generator
        that plays against it, or mixes of them, or no others (torch only; see `ganaug.mixing.complement`).
    complement_weight : float, default=1.0
        What that counts in the loss, as a multiple of the default; above 0, at most 1.
    among : tuple of Arm, default=()
        Candidates, of which each seed takes the one with the best metric on samples held out of its
        training part (3 stratified folds; all but the encoding of samples is fitted anew in each); of
        equally good ones, and where a class has fewer than 3 samples, the first. Stands alone with
        `role` and `by_class`. See `tuned` and `chosen`.
    by_class : bool, default=False
        Whether each class takes the dose of the candidate that does best on it (F1), rather than all the same
        one. Candidates may then differ in their doses only.
    data : {"any", "image", "small image", "table", "numeric table"}
        What the arm can work on; small images have up to 32 x 32 pixels.
    generative : bool or None, default=None
        Whether `extra` draws from the seed's generator, which is then trained once, before the arms; one
        that asks for it without saying so here trains its own. None is whether `extra` is `synthetic`.

    Raises
    ------
    ConfigError
        If a setting is unknown or out of range, or two of them cannot be combined.

    References
    ----------
    Zhang et al., ICLR (2018): mixup. Yun et al., ICCV (2019): CutMix. Hinton et al., arXiv:1503.02531
    (2015): labels of a teacher. Szegedy et al., CVPR (2016): smooth labels.

    Examples
    --------
    >>> from ganaug.experiment.arms import copies, tuned
    >>> Arm(role="control", extra=copies).classic
    False
    >>> [candidate.dose for candidate in tuned(Arm(role="treatment", extra=synthetic)).among]
    [1.0, 0.25, 0.5, 1.0]
    """

    role: Literal["control", "treatment", "oracle"]
    extra: Extra | None = None
    classic: bool | Literal["randaugment", "elastic"] = False
    class_weights: bool = False
    tune_threshold: bool = False
    mix: Literal["mixup", "cutmix"] | None = None
    labels: Literal["hard", "smooth", "teacher"] = "hard"
    place: Literal["fill", "swap", "even"] = "fill"
    weight: float = 1.0
    phases: Literal["mixed", "pretrain", "real last"] = "mixed"
    dose: Dose = 1.0
    gate: Gate | None = None
    snapshot: Snapshot | None = None
    complement: Literal["generator", "mixes", "none"] | None = None
    complement_weight: float = 1.0
    among: tuple["Arm", ...] = ()
    by_class: bool = False
    data: Literal["any", "image", "small image", "table", "numeric table"] = "any"
    generative: bool | None = None

    def __post_init__(self) -> None:
        if self.tune_threshold and self.extra is not None:
            raise ConfigError(
                "an arm with tune_threshold must have no extra: the threshold is tuned on held-out samples "
                "of the training part, which added ones may be copies of. Make two arms of it."
            )
        if not self.doses:
            raise ConfigError("dose must be a share, or one for each class; got none.")
        for dose in self.doses:
            number("dose", dose, low=0, high=1, open_low=not isinstance(self.dose, tuple))
        if self.phases == "pretrain" and not min(self.doses):
            raise ConfigError(
                "an arm with phases='pretrain' must add samples of each class, or it forgets one; got "
                f"dose={self.dose}. Take phases='mixed'."
            )
        number("weight", self.weight, low=0, high=1, open_low=True)
        number("complement_weight", self.complement_weight, low=0, high=1, open_low=True)
        if self.complement_weight != 1 and self.complement is None:
            raise ConfigError(
                f"an arm with a complement_weight must have a complement; got {self.complement_weight:g} and "
                "None. Add e.g. complement='generator'."
            )
        if self.dose != 1 and self.extra is None:
            raise ConfigError(
                f"an arm with a dose must have extra, of which it is a share; got dose={self.dose}."
            )
        if self.weight != 1 and self.mix is not None:
            raise ConfigError(
                "an arm with a mix must leave weight at 1: a mixed sample may be half an added one; got "
                f"{self.weight:g}."
            )
        if not all(isinstance(arm, Arm) for arm in self.among):
            raise ConfigError(f"among must hold arms; got {[type(a).__name__ for a in self.among]}.")
        if not isinstance(self.classic, bool):
            known_name("classic", self.classic, COMPOSES)
        if self.mix is not None:
            known_name("mix", self.mix, MIXES)
        known_name("labels", self.labels, ["hard", "smooth", "teacher"])
        known_name("place", self.place, ["fill", "swap", "even"])
        known_name("phases", self.phases, PHASES)
        if self.complement is not None:
            known_name("complement", self.complement, ["generator", "mixes", "none"])
        if self.complement == "generator" and self.role == "control":
            raise ConfigError(
                "a control must do without a generator; got complement='generator'. Set 'mixes', or make it "
                "a treatment."
            )
        said = self.labels, self.place, self.phases, self.gate, self.weight
        if self.extra is None and said != ("hard", "fill", "mixed", None, 1):
            raise ConfigError(
                "an arm with labels, place, phases, weight or a gate of added samples must have extra; got "
                "None. Add e.g. extra=copies."
            )
        if self.gate is not None:
            known_name("gate", self.gate, ["agreement", "realism", "novelty"])
        if self.gate is not None and self.role == "oracle":
            raise ConfigError(
                "an oracle must have no gate: it shows what the real samples of the reserve are worth; got "
                f"gate={self.gate!r}. Leave it out."
            )
        if self.snapshot is not None:
            known_name("snapshot", self.snapshot, ["last", "best", "all"])
        if self.snapshot is not None and not self.asks_generator:
            raise ConfigError(
                "an arm with a snapshot must draw from the generator; this one does not. Set "
                "extra=synthetic, or generative=True where an extra of your own does."
            )
        if self.among and replace(self, among=(), by_class=False) != Arm(role=self.role):
            raise ConfigError(
                "an arm with `among` must have no settings of its own but its role: its candidates have "
                "them. Move them to each of the candidates."
            )
        filling = {replace(a, dose=1.0) for a in self.among if a.extra is not None}
        bare = {a for a in self.among if a.extra is None}
        one_recipe = len(filling) == 1 and bare <= {a.with_nothing_added for a in filling}
        plain = all(
            not isinstance(a.dose, tuple) and a.phases != "pretrain" and a.place != "even" for a in self.among
        )
        if self.by_class and not (one_recipe and plain):
            raise ConfigError(
                "an arm with by_class must have candidates that add samples, and differ in their doses only, "
                "one number each, without phases='pretrain' or place='even'; got others. Take e.g. "
                "tuned(arm, by_class=True)."
            )

    @property
    def doses(self) -> tuple[float, ...]:
        """The dose of all classes, or that of each."""
        return self.dose if isinstance(self.dose, tuple) else (self.dose,)

    def with_doses(self, doses: tuple[float, ...]) -> "Arm":
        """Return the arm that one with candidates by class comes to at these doses of each class."""
        return replace(next(a for a in self.among if a.extra is not None), dose=doses)

    @property
    def with_nothing_added(self) -> "Arm":
        """The same arm without extra samples and what is said of these."""
        bare = replace(self, labels="hard", place="fill", phases="mixed", dose=1.0, gate=None, snapshot=None)
        return replace(bare, extra=None, generative=None, weight=1.0)

    @property
    def with_copies(self) -> "Arm":
        """The same arm with copies of real samples, hard labels and no gate, on top of the real ones."""
        return replace(self.with_nothing_added, extra=copies)

    @property
    def asks_unlabelled(self) -> bool:
        """Whether the arm makes nothing of its samples without unlabelled ones."""
        if self.among:
            return any(arm.asks_unlabelled for arm in self.among)
        return self.extra is pseudo_labelled

    @property
    def uses_unlabelled(self) -> bool:
        """Whether the arm, or a candidate, learns from unlabelled samples."""
        return self.asks_unlabelled or any(arm.complement is not None for arm in (self, *self.among))

    @property
    def asks_generator(self) -> bool:
        """Whether the seed's generator is trained before the arm."""
        if self.among:
            return any(arm.asks_generator for arm in self.among)
        return self.extra is synthetic if self.generative is None else self.generative

    @property
    def asks_best(self) -> bool:
        """Whether the arm, or a candidate, draws from the best snapshots."""
        return self.snapshot in ("best", "all") or any(arm.asks_best for arm in self.among)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that tell the arm from others."""
        values = {k: v for k, v in vars(self).items() if k not in ("extra", "among")}
        values = {k: v for k, v in values.items() if k not in LATER or v != LATER[k]}
        return {**values, "extra": described(self.extra), "among": [arm.to_dict() for arm in self.among]}


def described(thing: Any) -> str:
    """Return what to call a function or an object in a record."""
    return thing if isinstance(thing, str) else getattr(thing, "__qualname__", repr(thing))
