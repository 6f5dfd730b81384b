"""What a training part is, and where the samples come from that arms add to it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
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
N_CANDIDATES, SURE = 4, 0.9
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
    snapshot: Literal["last", "best", "all"] | None = None  # of the generator; None is its own
    unlabelled: Tensor | None = None  # (n_unlabelled, *shape) samples like x, of classes nobody has told
    teacher: Callable[[], Callable[[Any], Tensor]] | None = None
    """Trains the classifier of the arm on copies; returns class probabilities (n, n_classes) of samples."""


Extra = Callable[[TrainingPart], Any]
"""Returns the samples to add, of the classes `part.extra_c`: a tensor (n_extra, *shape) in [-1, 1], or
rows (n_extra, ...) in the form of `part.X`."""


def copies(part: TrainingPart) -> Tensor:
    """Return real samples of the wanted classes, drawn with replacement."""
    return part.x[torch.from_numpy(copied_rows(part.c, part.extra_c, seed=part.seed))]


def copied_rows(c: Tensor, wanted: Tensor, *, seed: int) -> Rows:
    """Return which of the real samples of classes c (n,) are copied for the wanted classes."""
    return drawn_rows(c, wanted, numpy_stream(seed, "copies"))


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
    if part.snapshot == "all":
        halves = part.extra_c[::2], part.extra_c[1::2]
        drawn = [
            synthetic(replace(part, extra_c=halves[0], snapshot="best")),
            synthetic(replace(part, extra_c=halves[1], snapshot="last", seed=derive(part.seed, "last"))),
        ]
        x = torch.empty(len(part.extra_c), *drawn[0].shape[1:], dtype=drawn[0].dtype)
        x[::2], x[1::2] = drawn  # in turns, so that the first of each class are of both too
        return x
    labels = part.schema.labels.tolist()
    found, counts = part.extra_c.unique(return_counts=True)  # sorted, as extra_c is
    wanted = {labels[k]: n for k, n in zip(found.tolist(), counts.tolist(), strict=True)}
    stream = derive(part.seed, "synthetic")
    X, _ = part.fitted_gan().generate(wanted, random_state=stream, snapshot=part.snapshot)
    return part.schema.encode_X(X)


def near_boundary(part: TrainingPart) -> Tensor:
    """Return samples from the generator that the arm's classifier finds hard.

    Of four times as many, these are the ones whose class is the most probable one, by the least margin over
    the next; where there are fewer of these, others whose margin is the least negative.
    """
    return _hardest(part, synthetic)


def hard_copies(part: TrainingPart) -> Tensor:
    """Return real samples of the wanted classes, drawn as `near_boundary` draws generated ones."""
    return _hardest(part, copies)


def _hardest(part: TrainingPart, make: Extra) -> Tensor:
    """Return a quarter of the samples that are made of each class, those nearest to its boundary."""
    if part.teacher is None:
        raise ConfigError(
            f"extra={make.__name__} near the boundary needs a classifier, which the bench of a comparison "
            "gives it."
        )
    candidates = part.extra_c.repeat_interleave(N_CANDIDATES)
    x: Tensor = make(replace(part, extra_c=candidates))
    chance = part.teacher()(x)
    rows = torch.arange(len(x))
    own = chance[rows, candidates].clone()
    chance[rows, candidates] = -1
    margin = own - chance.amax(1)
    hardness = torch.where(margin > 0, 2 - margin, margin)
    chosen = []
    for k, n in enumerate(torch.bincount(part.extra_c).tolist()):
        of_class = (candidates == k).nonzero().flatten()
        chosen.append(of_class[hardness[of_class].argsort(descending=True, stable=True)[:n]])
    return x[torch.cat(chosen)]


def pseudo_labelled(part: TrainingPart) -> Tensor:
    """Return unlabelled samples that the arm's classifier takes for the wanted classes.

    Of each class, those it is sure of: the most probable nine tenths, each once while there are enough. A
    class of which it finds none gets copies.

    Lee, ICML workshop (2013): pseudo-labels.
    """
    if part.unlabelled is None or part.teacher is None:
        raise ConfigError(
            "extra=pseudo_labelled needs unlabelled samples; there are none, those left aside that are equal "
            "to a training or test sample. Give others to compare(unlabelled=...), or leave the arm out."
        )
    chance, c = part.teacher()(part.unlabelled).max(1)
    made, rng = copies(part), numpy_stream(part.seed, "pseudo-labels")
    for k in part.extra_c.unique().tolist():
        found = (c == k).nonzero().flatten()
        sure = found[chance[found].argsort(descending=True)[: max(1, round(SURE * len(found)))]].numpy()
        wanted = part.extra_c == k
        n = int(wanted.sum())
        if len(sure):
            made[wanted] = part.unlabelled[rng.choice(sure, n, replace=n > len(sure))]
    return made


TAUGHT = (near_boundary, hard_copies, pseudo_labelled)
"""Those that ask for the classifier of the arm."""


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
    return take(X, drawn_rows(c, part.extra_c, numpy_stream(part.seed, "reserve"), again=False))


def drawn_rows(c: Tensor, wanted: Tensor, rng: np.random.Generator, *, again: bool = True) -> Rows:
    """Return rows of samples of classes c (n,), drawn for each of the wanted classes."""
    there, asked = c.numpy(), wanted.numpy()
    rows = np.empty(len(asked), dtype=np.int64)
    for k in np.unique(asked):
        found = np.flatnonzero(there == k)
        rows[asked == k] = rng.choice(found, size=int((asked == k).sum()), replace=again)
    return rows
