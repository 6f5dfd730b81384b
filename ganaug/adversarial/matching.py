"""What G's batch should share with the real batch of the same classes, beside fooling D."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from ganaug._checks import described, known_name, number
from ganaug.errors import ConfigError

__all__ = ["MATCHING", "Correlations", "Matching", "Moments", "resolve_matching"]


class Matching(Protocol):
    """A distance between two batches of the same classes, which G minimises."""

    def distance(self, x: Tensor, x_fake: Tensor, c: Tensor) -> Tensor:
        """Return a number for real and fake samples (n, ...) of classes c (n,)."""
        ...


@dataclass(frozen=True, kw_only=True)
class Moments:
    """Mean squared difference of mean and standard deviation, number by number (as in 2204.00401).

    Examples
    --------
    >>> x = torch.tensor([[0.0], [2.0]]); c = torch.tensor([0, 0])
    >>> Moments().distance(x, x + 3, c)
    tensor(9.)
    """

    weight: float = 1.0

    def __post_init__(self) -> None:
        number("weight", self.weight, low=0)

    def distance(self, x: Tensor, x_fake: Tensor, c: Tensor) -> Tensor:
        """Return weight * (mean difference^2 + deviation difference^2), the mean over numbers."""
        (real, spread), (fake, fake_spread) = _moments(x.flatten(1)), _moments(x_fake.flatten(1))
        return self.weight * ((real - fake) ** 2 + (spread - fake_spread) ** 2).mean()


@dataclass(frozen=True, kw_only=True)
class Correlations:
    """Mean squared difference of the correlation matrices, that of each number with each class included.

    Examples
    --------
    >>> x = torch.tensor([[0.0, 0.0], [1.0, 1.0], [0.0, 0.0], [1.0, 1.0]]); c = torch.zeros(4, dtype=int)
    >>> float(Correlations().distance(x, torch.stack([x[:, 0], 1 - x[:, 1]], 1), c)) > 0.5
    True
    """

    weight: float = 1.0

    def __post_init__(self) -> None:
        number("weight", self.weight, low=0)

    def distance(self, x: Tensor, x_fake: Tensor, c: Tensor) -> Tensor:
        """Return weight * (correlation difference)^2, the mean over pairs."""
        classes = (c[:, None] == c.unique()).to(x.dtype)
        real, fake = (_correlations(torch.cat([v.flatten(1), classes], dim=1)) for v in (x, x_fake))
        return self.weight * ((real - fake) ** 2).mean()


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    mean = x.mean(0)
    return mean, torch.linalg.vector_norm(x - mean, dim=0) / len(x) ** 0.5


def _correlations(x: Tensor) -> Tensor:
    """Return correlations (d, d); a number that never varies has none with any."""
    centred = x - x.mean(0)
    scaled = centred / torch.linalg.vector_norm(centred, dim=0).clamp(min=1e-3 * len(x) ** 0.5)
    correlations: Tensor = scaled.T @ scaled
    return correlations


MATCHING: dict[str, Matching] = {"moments": Moments(), "correlations": Correlations()}


def resolve_matching(matching: str | Mapping[str, Any] | Matching) -> Matching:
    """Return what a name in MATCHING or a description stands for, or the caller's own object."""
    if isinstance(matching, str):
        return MATCHING[known_name("matching", matching, MATCHING)]
    if isinstance(matching, Mapping):
        found: Matching = described("matching", matching, MATCHING)
        return found
    if not hasattr(matching, "distance"):
        raise ConfigError(
            f"matching must be a name in MATCHING or an object with the method `distance`; got {matching!r}."
        )
    return matching
