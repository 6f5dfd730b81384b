"""What a training part is, and where the samples come from that arms add to it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ganaug._random import derive, numpy_stream, torch_stream
from ganaug.data.schema import Schema, take
from ganaug.data.tables import TableCodec
from ganaug.errors import ConfigError
from ganaug.generator import ConditionalGAN

NOISE = 0.1
Rows = np.ndarray[Any, Any]


@dataclass(frozen=True)
class TrainingPart:
    """The training part of one seed: all that an arm may look at, in copies of its own."""

    X: Any  # (n, ...) real samples as the caller has them
    x: Tensor  # (n, *shape) the same, encoded: in [-1, 1]
    c: Tensor  # (n,) their class indices
    extra_c: Tensor  # (n_extra,) class of each sample to be added, sorted, the same in arms of one place
    schema: Schema
    seed: int
    fitted_gan: Callable[[], ConditionalGAN]  # trained on this part alone when first asked for
    reserve: tuple[Any, Tensor] | None = (
        None  # samples like X and their classes, neither trained nor tested on
    )
    snapshot: Literal["last", "best"] | None = None  # of the generator; None is its own


Extra = Callable[[TrainingPart], Any]
"""Returns the samples to add, of the classes `part.extra_c`: a tensor (n_extra, *shape) in [-1, 1], or
rows (n_extra, ...) in the form of `part.X`."""


def copies(part: TrainingPart) -> Tensor:
    """Return real samples of the wanted classes, drawn with replacement."""
    rng = numpy_stream(part.seed, "copies")
    return part.x[torch.from_numpy(_drawn(part.c, part.extra_c, rng))]


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
    stream = derive(part.seed, "synthetic")
    X, _ = part.fitted_gan().generate(wanted, random_state=stream, snapshot=part.snapshot)
    return part.schema.encode_X(X)


def real_samples(part: TrainingPart) -> Any:
    """Return real samples of the wanted classes from the reserve, each at most once."""
    if part.reserve is None:
        raise ConfigError(
            "extra=real_samples needs real samples set aside, which are neither trained nor tested on; "
            "there are none. Leave the arm out of `arms`, or set some aside."
        )
    X, c = part.reserve
    there, wanted = (torch.bincount(k, minlength=len(part.schema.labels)) for k in (c, part.extra_c))
    if (wanted > there).any():
        k = int((wanted - there).argmax())
        raise ConfigError(
            f"extra=real_samples needs {wanted[k]} real samples of class {part.schema.names[k]!r} set aside; "
            f"there are {there[k]}. Give the arm role='oracle', which asks for what there is."
        )
    return take(X, _drawn(c, part.extra_c, numpy_stream(part.seed, "reserve"), replace=False))


def _drawn(c: Tensor, wanted: Tensor, rng: np.random.Generator, *, replace: bool = True) -> Rows:
    """Return rows of samples of classes c (n,), drawn for each of the wanted classes."""
    there, asked = c.numpy(), wanted.numpy()
    rows = np.empty(len(asked), dtype=np.int64)
    for k in np.unique(asked):
        found = np.flatnonzero(there == k)
        rows[asked == k] = rng.choice(found, size=int((asked == k).sum()), replace=replace)
    return rows
