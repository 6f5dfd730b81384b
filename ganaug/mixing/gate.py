"""The gate: which of the samples drawn for a class may be trained on."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ganaug.evaluation.features import RandomFeatures

__all__ = ["GATES", "Admitted", "Draw", "Guard", "Judge", "admit", "agreement", "novelty", "realism"]

DRAWS = 10

Judge = Callable[[Tensor], Tensor]
"""Returns class probabilities (n, n_classes) of encoded samples (n, *shape)."""

Guard = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Returns of samples (n, *shape) and their classes (n,) which are accepted, and how good each is, below 2."""

Draw = Callable[[Tensor, int], Tensor]
"""Returns a sample of each of the classes (n,) as a tensor (n, *shape); new ones for each number."""


class Admitted(NamedTuple):
    """What became of one class at the gate."""

    wanted: int
    drawn: int
    accepted: int  # of those drawn; where fewer than wanted, the rest was let in all the same


def agreement(judges: Sequence[Judge]) -> Guard:
    """Return the guard that accepts a sample when every judge gives its class the highest probability.

    Of the rejected, those are best that the judge that doubts most finds most probable.

    Parameters
    ----------
    judges : sequence of callable
        At least one.

    Returns
    -------
    callable

    References
    ----------
    Lampis et al., 2305.10118: filtering by a classifier's confidence.

    Examples
    --------
    >>> def sign(x):
    ...     return torch.cat([x < 0, x >= 0], dim=1).float()
    >>> agreement([sign])(torch.tensor([[-1.0], [3.0]]), torch.tensor([0, 0]))[0]
    tensor([ True, False])
    """

    def guard(x: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        chances = torch.stack([judge(x) for judge in judges])
        own = chances[:, torch.arange(len(c)), c]
        return (chances.argmax(2) == c).all(0), own.amin(0)

    return guard


def realism(x: Tensor, c: Tensor) -> Guard:
    """Return the guard that accepts samples as near to real ones as real ones of their class are.

    A sample is accepted unless it is farther from the nearest real sample of its class than nine tenths of
    these are from the nearest other one; of the rejected, the nearest are best.

    Parameters
    ----------
    x : Tensor of shape (n, *shape)
        Real samples, at least two of each class.
    c : Tensor of shape (n,)
        Their classes.

    Returns
    -------
    callable

    References
    ----------
    Kynkäänniemi et al., 1904.06991: precision by nearest neighbours.

    Examples
    --------
    >>> x = torch.rand(20, 3, generator=torch.Generator().manual_seed(0)) - 0.5
    >>> realism(x, torch.zeros(20, dtype=int))(torch.stack([x[0], x[0] + 9]), torch.tensor([0, 0]))[0]
    tensor([ True, False])
    """
    return _by_distance(x, c, 0.9, near=True)


def novelty(x: Tensor, c: Tensor) -> Guard:
    """Return the guard that rejects near copies of real samples.

    A sample is accepted unless it is nearer to a real sample of its class than all but a tenth of these are
    to the nearest other one; of the rejected, the farthest are best.

    Parameters
    ----------
    x : Tensor of shape (n, *shape)
        Real samples, at least two of each class.
    c : Tensor of shape (n,)
        Their classes.

    Returns
    -------
    callable

    Examples
    --------
    >>> x = torch.rand(20, 3, generator=torch.Generator().manual_seed(0)) - 0.5
    >>> novelty(x, torch.zeros(20, dtype=int))(torch.stack([x[0], x[0] + 9]), torch.tensor([0, 0]))[0]
    tensor([False,  True])
    """
    return _by_distance(x, c, 0.1, near=False)


GATES: dict[str, Callable[[Tensor, Tensor], Guard] | None] = {
    "agreement": None,  # needs judges, which its caller trains
    "realism": realism,
    "novelty": novelty,
}
"""Guards by name, made from real samples (n, *shape) and their classes (n,)."""


def admit(draw: Draw, guard: Guard, c: Tensor, *, n_classes: int) -> tuple[Tensor, tuple[Admitted, ...]]:
    """Return a sample of each wanted class that a guard accepts.

    Where too few are accepted, as many are drawn again, 10 times at most; then the best of the rejected fill
    up.

    Parameters
    ----------
    draw : callable
        Called with the classes of the samples to draw, and 0 to 9 as the number of the draw.
    guard : callable
        As `agreement` returns it.
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

    Examples
    --------
    >>> def sign(x):  # negative numbers are of class 0
    ...     return torch.cat([x < 0, x >= 0], dim=1).float()
    >>> def draw(c, number):
    ...     return torch.linspace(-1, 2, len(c))[:, None]
    >>> x, (low, high) = admit(draw, agreement([sign]), torch.tensor([0, 0, 1]), n_classes=2)
    >>> x.flatten().tolist(), low
    ([-1.0, -1.0, 2.0], Admitted(wanted=2, drawn=4, accepted=2))
    """
    wanted = torch.bincount(c, minlength=n_classes)
    drawn, accepted = torch.zeros_like(wanted), torch.zeros_like(wanted)
    short, lots, classes, ranks = c, torch.empty(0), c[:0], torch.empty(0)
    for number in range(DRAWS):
        x = draw(short, number)
        agreed, quality = guard(x, short)
        drawn += torch.bincount(short, minlength=n_classes)
        accepted += torch.bincount(short[agreed], minlength=n_classes)
        rank = torch.where(agreed, 2.0, quality)
        lots = torch.cat([lots, x]) if number else x
        classes, ranks = torch.cat([classes, short]), torch.cat([ranks, rank])
        best = _best(classes, ranks, wanted)
        lots, classes, ranks = lots[best], classes[best], ranks[best]
        short = c[(accepted < wanted)[c]]
        if not len(short):
            break
    counts = zip(wanted.tolist(), drawn.tolist(), accepted.tolist(), strict=True)
    return lots, tuple(Admitted(*each) for each in counts)


def _by_distance(x: Tensor, c: Tensor, share: float, *, near: bool) -> Guard:
    """Return the guard that accepts what is nearer, or farther, than so many real samples are apart."""
    distances = _Distances(x, c)
    limit = distances.quantile(share)

    def guard(x: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        distance = distances.to_real(x, c)
        if near:
            return distance <= limit[c], 1 / (1 + distance)
        return distance >= limit[c], distance / (1 + distance)

    return guard


class _Distances:
    """Distances to the nearest real sample of a class, by features of a random network."""

    def __init__(self, x: Tensor, c: Tensor) -> None:
        self._features = RandomFeatures(tuple(x.shape[1:]))
        embedded = self._features(x)
        self._real = {k: embedded[c == k] for k in c.unique().tolist()}
        self._n_classes = int(c.max()) + 1

    def to_real(self, x: Tensor, c: Tensor) -> Tensor:
        """Return the distance of each sample to the nearest real one of its class."""
        embedded, near = self._features(x), torch.empty(len(x))
        for k in c.unique().tolist():
            near[c == k] = _nearest(embedded[c == k], self._real[k])
        return near

    def quantile(self, share: float) -> Tensor:
        """Return for each class the distance within which so many real samples have another one."""
        found = torch.zeros(self._n_classes)
        for k, real in self._real.items():
            found[k] = _nearest(real, real, own=True).quantile(share)
        return found


def _nearest(x: Tensor, real: Tensor, *, own: bool = False) -> Tensor:
    """Return the distance of each of x (n, d) to the nearest of the real ones, not itself where `own`."""
    pieces = []
    for start in range(0, len(x), 1024):
        distances = torch.cdist(x[start : start + 1024], real)
        if own:
            rows = torch.arange(len(distances))
            distances[rows, start + rows] = torch.inf
        pieces.append(distances.amin(1))
    return torch.cat(pieces)


def _best(classes: Tensor, ranks: Tensor, wanted: Tensor) -> Tensor:
    """Return the rows with the highest ranks of each class, the first of equals first."""
    order = ranks.argsort(descending=True, stable=True)
    return torch.cat([order[classes[order] == k][:n] for k, n in enumerate(wanted.tolist())])
