"""Arms: what a comparison does to the training data, as small objects in a table."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ganaug._checks import number
from ganaug._random import derive, numpy_stream, torch_stream
from ganaug.data.schema import Schema
from ganaug.data.tables import TableCodec
from ganaug.errors import ConfigError
from ganaug.experiment.smote import borderline_smote, smote
from ganaug.generator import ConditionalGAN

__all__ = ["ARMS", "DEFAULT_ARMS", "Arm", "TrainingPart", "copies", "noisy_copies", "synthetic", "tuned"]

NOISE = 0.1
DOSES = (0.25, 0.5, 1.0)


@dataclass(frozen=True)
class TrainingPart:
    """The training part of one seed: all that an arm may look at, in copies of its own."""

    X: Any  # (n, ...) real samples as the caller has them
    x: Tensor  # (n, *shape) the same, encoded: in [-1, 1]
    c: Tensor  # (n,) their class indices
    extra_c: Tensor  # (n_extra,) class of each sample to be added, sorted, the same in every arm
    schema: Schema
    seed: int
    fitted_gan: Callable[[], ConditionalGAN]  # trained on this part alone when first asked for


Extra = Callable[[TrainingPart], Any]
"""Returns the samples to add, of the classes `part.extra_c`: a tensor (n_extra, *shape) in [-1, 1], or
rows (n_extra, ...) in the form of `part.X`."""


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One way to train the classifier; all arms share split, steps, initial weights and order.

    Parameters
    ----------
    role : {"control", "treatment"}
        A treatment has to beat the best control.
    extra : callable or None
        Makes the samples to add from a `TrainingPart`; `copies`, `synthetic`, or the user's own.
    classic : bool
        Whether samples go through classic augmentation (images only): each anew at every step
        (torch), or the added ones once (scikit-learn).
    class_weights : bool
        Whether the loss weighs classes by the inverse of their size.
    tune_threshold : bool
        Whether the decision is tuned to the metric of the comparison, on out-of-fold predictions of
        the training part. Not with `extra`: copies of a held-out sample would give it away.
    dose : float, default=1.0
        Share of the samples of `extra` that is used, of each class the first ones; above 0, at most 1.
    among : tuple of Arm, default=()
        Candidates, of which each seed takes the one with the best metric on samples held out of its
        training part (3 stratified folds; all but the encoding of samples is fitted anew in each); of
        equally good ones, and where a class has fewer than 3 samples, the first. Stands alone with
        `role`. See `tuned`.
    data : {"any", "image", "table", "numeric table"}
        What the arm can work on.
    generative : bool or None, default=None
        Whether `extra` draws from the seed's generator, which is then trained once, before the arms; one
        that asks for it without saying so here trains its own. None is whether `extra` is `synthetic`.

    Examples
    --------
    >>> Arm(role="control", extra=copies).classic
    False
    >>> [candidate.dose for candidate in tuned(Arm(role="treatment", extra=synthetic)).among]
    [1.0, 0.25, 0.5, 1.0]
    """

    role: Literal["control", "treatment"]
    extra: Extra | None = None
    classic: bool = False
    class_weights: bool = False
    tune_threshold: bool = False
    dose: float = 1.0
    among: tuple["Arm", ...] = ()
    data: Literal["any", "image", "table", "numeric table"] = "any"
    generative: bool | None = None

    def __post_init__(self) -> None:
        if self.tune_threshold and self.extra is not None:
            raise ConfigError(
                "an arm with tune_threshold must have no extra: the threshold is tuned on held-out samples "
                "of the training part, which added ones may be copies of. Make two arms of it."
            )
        number("dose", self.dose, low=0, high=1, open_low=True)
        if self.dose != 1 and self.extra is None:
            raise ConfigError(
                f"an arm with a dose must have extra, of which it is a share; got dose={self.dose}."
            )
        if not all(isinstance(arm, Arm) for arm in self.among):
            raise ConfigError(f"among must hold arms; got {[type(a).__name__ for a in self.among]}.")
        if self.among and replace(self, among=()) != Arm(role=self.role):
            raise ConfigError(
                "an arm with `among` must have no settings of its own but its role: its candidates have "
                "them. Move them to each of the candidates."
            )

    @property
    def asks_generator(self) -> bool:
        """Whether the seed's generator is trained before the arm."""
        if self.among:
            return any(arm.asks_generator for arm in self.among)
        return self.extra is synthetic if self.generative is None else self.generative

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that tell the arm from others."""
        values = {k: v for k, v in vars(self).items() if k not in ("extra", "among")}
        return {**values, "extra": described(self.extra), "among": [arm.to_dict() for arm in self.among]}


def described(thing: Any) -> str:
    """Return what to call a function or an object in a record."""
    return thing if isinstance(thing, str) else getattr(thing, "__qualname__", repr(thing))


def copies(part: TrainingPart) -> Tensor:
    """Return real samples of the wanted classes, drawn with replacement."""
    rng = numpy_stream(part.seed, "copies")
    labels, wanted = part.c.numpy(), part.extra_c.numpy()
    rows = np.empty(len(wanted), dtype=np.int64)
    for k in np.unique(wanted):
        rows[wanted == k] = rng.choice(np.flatnonzero(labels == k), size=int((wanted == k).sum()))
    return part.x[torch.from_numpy(rows)]


def noisy_copies(part: TrainingPart) -> Tensor:
    """Return the samples of `copies` with Gaussian noise of a tenth of each value's standard deviation.

    Of a table, this is in the encoding of `part.x`, and categories are left as they are.
    """
    rows = copies(part)
    scale = NOISE * part.x.std(0)
    if isinstance(part.schema.codec, TableCodec):
        blocks = torch.tensor(part.schema.codec.blocks)
        scale = scale * (blocks == 1).repeat_interleave(blocks)
    noise = torch.randn(rows.shape, generator=torch_stream(part.seed, "noise"), dtype=rows.dtype)
    return (rows + scale * noise).clamp(-1, 1)


def synthetic(part: TrainingPart) -> Tensor:
    """Return samples of the wanted classes from the generator of this seed."""
    labels = part.schema.labels.tolist()
    found, counts = part.extra_c.unique(return_counts=True)  # sorted, as extra_c is
    wanted = {labels[k]: n for k, n in zip(found.tolist(), counts.tolist(), strict=True)}
    X, _ = part.fitted_gan().generate(wanted, random_state=derive(part.seed, "synthetic"))
    return part.schema.encode_X(X)


def tuned(arm: Arm) -> Arm:
    """Return an arm that chooses, seed by seed, how many of another's samples to add; none is a choice.

    It trains the classifier 13 times as often, and a generator three more times. Within the training part the
    fill is counted anew, so that a quarter of it is a quarter of what that part lacks.

    Parameters
    ----------
    arm : Arm
        With `extra`.

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
    >>> tuned(Arm(role="control", extra=copies)).among[0].extra is None
    True
    """
    if arm.extra is None:
        raise ConfigError("arm must have extra for its dose to be tuned; got one that adds no samples.")
    nothing = replace(arm, extra=None, dose=1.0)
    return Arm(role=arm.role, among=(nothing, *(replace(arm, dose=d) for d in DOSES)))


ARMS: dict[str, Arm] = {
    "nothing": Arm(role="control"),
    "class weights": Arm(role="control", class_weights=True),
    "threshold": Arm(role="control", tune_threshold=True),
    "oversampling": Arm(role="control", extra=copies),
    "noisy copies": Arm(role="control", extra=noisy_copies),
    "smote": Arm(role="control", extra=smote, data="table"),
    "borderline smote": Arm(role="control", extra=borderline_smote, data="numeric table"),
    "classic": Arm(role="control", extra=copies, classic=True, data="image"),
    "tuned oversampling": tuned(Arm(role="control", extra=copies)),
    "gan": Arm(role="treatment", extra=synthetic),
    "gan + classic": Arm(role="treatment", extra=synthetic, classic=True, data="image"),
    "tuned gan": tuned(Arm(role="treatment", extra=synthetic)),
}

DEFAULT_ARMS: dict[str, tuple[str, ...]] = {
    "image": ("nothing", "class weights", "oversampling", "classic", "gan", "gan + classic"),
    "table": (
        "nothing",
        "class weights",
        "threshold",
        "oversampling",
        "noisy copies",
        "smote",
        "borderline smote",
        "gan",
    ),
}
"""Names by kind of data; those that cannot apply to a table or a classifier are left out."""
