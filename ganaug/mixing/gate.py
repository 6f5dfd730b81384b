"""The gate: which of the samples drawn for a class may be trained on."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Admitted", "Draw", "Judge", "admit"]

DRAWS = 10

Judge = Callable[[Tensor], Tensor]
"""Returns class probabilities (n, n_classes) of encoded samples (n, *shape)."""

Draw = Callable[[Tensor, int], Tensor]
"""Returns a sample of each of the classes (n,) as a tensor (n, *shape); new ones for each number."""


class Admitted(NamedTuple):
    """What became of one class at the gate."""

    wanted: int
    drawn: int
    accepted: int  # of those drawn; where fewer than wanted, the rest was let in all the same


def admit(
    draw: Draw, judges: Sequence[Judge], c: Tensor, *, n_classes: int
) -> tuple[Tensor, tuple[Admitted, ...]]:
    """Return a sample of each wanted class that all judges take for one of its class.

    A sample is accepted when every judge gives its class the highest probability. Where too few are, as many
    are drawn again, 10 times at most; then the most probable of the rejected fill up, by the judge that
    doubts most.

    Parameters
    ----------
    draw : callable
        Called with the classes of the samples to draw, and 0 to 9 as the number of the draw.
    judges : sequence of callable
        At least one.
    c : Tensor of shape (n,)
        Wanted classes, sorted, at least one.
    n_classes : int
        How many classes there are.

    Returns
    -------
    x : Tensor of shape (n, *shape)
        Samples of the classes c; in each class the accepted ones come first, in the order they were drawn.
    admitted : tuple of Admitted
        Counts of each class, zeros where none are wanted.

    References
    ----------
    Lampis et al., 2305.10118: filtering by a classifier's confidence.

    Examples
    --------
    >>> def sign(x):  # negative numbers are of class 0
    ...     return torch.cat([x < 0, x >= 0], dim=1).float()
    >>> def draw(c, number):
    ...     return torch.linspace(-1, 2, len(c))[:, None]
    >>> x, (low, high) = admit(draw, [sign], torch.tensor([0, 0, 1]), n_classes=2)
    >>> x.flatten().tolist(), low
    ([-1.0, -1.0, 2.0], Admitted(wanted=2, drawn=4, accepted=2))
    """
    wanted = torch.bincount(c, minlength=n_classes)
    drawn, accepted = torch.zeros_like(wanted), torch.zeros_like(wanted)
    short, lots, classes, ranks = c, torch.empty(0), c[:0], torch.empty(0)
    for number in range(DRAWS):
        x = draw(short, number)
        agreed, chance = _agreement(judges, x, short)
        drawn += torch.bincount(short, minlength=n_classes)
        accepted += torch.bincount(short[agreed], minlength=n_classes)
        rank = torch.where(agreed, 2.0, chance)
        lots = torch.cat([lots, x]) if number else x
        classes, ranks = torch.cat([classes, short]), torch.cat([ranks, rank])
        best = _best(classes, ranks, wanted)
        lots, classes, ranks = lots[best], classes[best], ranks[best]
        short = c[(accepted < wanted)[c]]
        if not len(short):
            break
    counts = zip(wanted.tolist(), drawn.tolist(), accepted.tolist(), strict=True)
    return lots, tuple(Admitted(*each) for each in counts)


def _agreement(judges: Sequence[Judge], x: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """Return whether all judges give samples their classes c (n,), and the least probability of these."""
    chances = torch.stack([judge(x) for judge in judges])
    own = chances[:, torch.arange(len(c)), c]
    return (chances.argmax(2) == c).all(0), own.amin(0)


def _best(classes: Tensor, ranks: Tensor, wanted: Tensor) -> Tensor:
    """Return the rows with the highest ranks of each class, the first of equals first."""
    order = ranks.argsort(descending=True, stable=True)
    return torch.cat([order[classes[order] == k][:n] for k, n in enumerate(wanted.tolist())])
