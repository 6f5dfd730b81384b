"""Arms: what a comparison does to the training data, as small objects in a table."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ganaug._random import derive, numpy_stream
from ganaug.data.schema import Schema
from ganaug.generator import ConditionalGAN

__all__ = ["ARMS", "Arm", "TrainingPart", "copies", "synthetic"]


@dataclass(frozen=True)
class TrainingPart:
    """The training part of one seed: all that an arm may look at, in copies of its own."""

    x: Tensor  # (n, *shape) real samples in [-1, 1]
    c: Tensor  # (n,) their class indices
    extra_c: Tensor  # (n_extra,) class of each sample to be added, the same in every arm
    schema: Schema
    seed: int
    fitted_gan: Callable[[], ConditionalGAN]  # trained on this part alone when first asked for


Extra = Callable[[TrainingPart], Tensor]
"""Returns the samples (n_extra, *shape) in [-1, 1] to add, of the classes `part.extra_c`."""


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
        Whether samples go through classic augmentation: each anew at every step (torch), or the
        added ones once (scikit-learn).
    class_weights : bool
        Whether the loss weighs classes by the inverse of their size.

    Examples
    --------
    >>> Arm(role="control", extra=copies).classic
    False
    """

    role: Literal["control", "treatment"]
    extra: Extra | None = None
    classic: bool = False
    class_weights: bool = False


def copies(part: TrainingPart) -> Tensor:
    """Return real samples of the wanted classes, drawn with replacement."""
    rng = numpy_stream(part.seed, "copies")
    labels, wanted = part.c.numpy(), part.extra_c.numpy()
    rows = np.empty(len(wanted), dtype=np.int64)
    for k in np.unique(wanted):
        rows[wanted == k] = rng.choice(np.flatnonzero(labels == k), size=int((wanted == k).sum()))
    return part.x[torch.from_numpy(rows)]


def synthetic(part: TrainingPart) -> Tensor:
    """Return samples of the wanted classes from the generator of this seed."""
    labels = part.schema.labels.tolist()
    found, counts = part.extra_c.unique(return_counts=True)  # sorted, as extra_c is
    wanted = {labels[k]: n for k, n in zip(found.tolist(), counts.tolist(), strict=True)}
    X, _ = part.fitted_gan().generate(wanted, random_state=derive(part.seed, "synthetic"))
    return part.schema.encode_X(X)


ARMS: dict[str, Arm] = {
    "nothing": Arm(role="control"),
    "class weights": Arm(role="control", class_weights=True),
    "oversampling": Arm(role="control", extra=copies),
    "classic": Arm(role="control", extra=copies, classic=True),
    "gan": Arm(role="treatment", extra=synthetic),
    "gan + classic": Arm(role="treatment", extra=synthetic, classic=True),
}
