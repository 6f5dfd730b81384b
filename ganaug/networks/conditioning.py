"""How the class enters: its embedding in G, the last layer of D, and what D answers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganaug._checks import number
from ganaug.errors import ConfigError


class Answer(NamedTuple):
    """What a D with more than one logit, or with a cost, returns."""

    logits: Tensor
    """(n, k)"""
    weight: Tensor
    """(k,) weight of each logit's loss."""
    cost: Tensor
    """(n,) a cost that both players minimise."""


class Conditioning(Protocol):
    """One way to tell both players the class."""

    def embedding(self, n_classes: int, dim: int) -> nn.Module:
        """Return the module that turns classes c (n,) into (n, dim) for G."""
        ...

    def head(self, n_features: int, n_classes: int) -> nn.Module:
        """Return the last layer of D: features (n, n_features), c (n,) -> (n,) or an `Answer`."""
        ...


class ProjectionHead(nn.Module):
    """Logit of features h and class c: w.h + embed(c).h."""

    def __init__(self, n_features: int, n_classes: int):
        super().__init__()
        self.linear = nn.Linear(n_features, 1)
        self.embed = nn.Embedding(n_classes, n_features)
        nn.init.normal_(self.embed.weight, std=n_features**-0.5)

    def forward(self, h: Tensor, c: Tensor) -> Tensor:
        logits: Tensor = self.linear(h).squeeze(1) + (self.embed(c) * h).sum(1)
        return logits


class ConcatHead(nn.Module):
    """Logit of the features and the class embedding side by side, after one hidden layer."""

    def __init__(self, n_features: int, n_classes: int):
        super().__init__()
        self.embed = nn.Embedding(n_classes, n_features)
        self.hidden = nn.Linear(2 * n_features, n_features)
        self.linear = nn.Linear(n_features, 1)

    def forward(self, h: Tensor, c: Tensor) -> Tensor:
        joint = F.leaky_relu(self.hidden(torch.cat([h, self.embed(c)], dim=1)), 0.2)
        logits: Tensor = self.linear(joint).squeeze(1)
        return logits


class AuxiliaryHead(nn.Module):
    """One logit that does not see the class, and the cost of guessing the class wrongly."""

    def __init__(self, n_features: int, n_classes: int, *, weight: float):
        super().__init__()
        self.weight = weight
        self.linear = nn.Linear(n_features, 1)
        self.classify = nn.Linear(n_features, n_classes)

    def forward(self, h: Tensor, c: Tensor) -> Answer:
        cost = self.weight * F.cross_entropy(self.classify(h).float(), c, reduction="none")
        return Answer(logits=self.linear(h), weight=torch.ones(1, device=h.device), cost=cost)


@dataclass(frozen=True, kw_only=True)
class Ramp:
    """A weight that rises from 0 at `start` images to 1 at `end`."""

    start: int
    end: int

    def __call__(self, images_seen: int) -> float:
        return min(max((images_seen - self.start) / (self.end - self.start), 0.0), 1.0)


class TransitionalEmbedding(nn.Module):
    """Class embedding that is scaled up from zero while G trains."""

    def __init__(self, n_classes: int, dim: int, *, ramp: Callable[[int], float]):
        super().__init__()
        self.embed = nn.Embedding(n_classes, dim)
        self.ramp, self.scale = ramp, 1.0

    def at(self, images_seen: int) -> None:
        """Set the scale for this point of the training."""
        self.scale = self.ramp(images_seen)

    def forward(self, c: Tensor) -> Tensor:
        scaled: Tensor = self.scale * self.embed(c)
        return scaled


class TransitionalHead(nn.Module):
    """A logit that does not see the class and one that does; the weight of the second rises."""

    def __init__(self, n_features: int, n_classes: int, *, ramp: Callable[[int], float]):
        super().__init__()
        self.unconditional = nn.Linear(n_features, 1)
        self.projection = ProjectionHead(n_features, n_classes)
        self.ramp, self.scale = ramp, 1.0

    def at(self, images_seen: int) -> None:
        """Set the weight of the conditional logit for this point of the training."""
        self.scale = self.ramp(images_seen)

    def forward(self, h: Tensor, c: Tensor) -> Answer:
        logits = torch.stack([self.unconditional(h).squeeze(1), self.projection(h, c)], dim=1)
        weight = torch.tensor([1.0, self.scale], device=h.device)
        return Answer(logits=logits, weight=weight, cost=torch.zeros(len(h), device=h.device))


class NoisyEmbedding(nn.Module):
    """Class embedding with noise while training, the more of it the rarer the class."""

    scale: Tensor

    def __init__(self, n_classes: int, dim: int, *, sigma: float):
        super().__init__()
        self.embed = nn.Embedding(n_classes, dim)
        self.sigma = sigma
        self.register_buffer("scale", torch.ones(n_classes))

    def set_class_counts(self, counts: Tensor, *, alpha: float = 0.99) -> None:
        """Set the scale of each class from its number of samples (n_classes,); the rarest gets 1."""
        inverse = (1 - alpha) / (1 - alpha ** counts.clamp(min=1).double())
        self.scale.copy_(inverse / inverse.max())

    def forward(self, c: Tensor) -> Tensor:
        embedded: Tensor = self.embed(c)
        if not self.training:
            return embedded
        return embedded + self.sigma * self.scale[c, None] * torch.randn_like(embedded)


@dataclass(frozen=True, kw_only=True)
class Projection:
    """Inner product of the class embedding and the features (Miyato and Koyama, 1802.05637)."""

    def embedding(self, n_classes: int, dim: int) -> nn.Module:
        return nn.Embedding(n_classes, dim)

    def head(self, n_features: int, n_classes: int) -> nn.Module:
        return ProjectionHead(n_features, n_classes)


@dataclass(frozen=True, kw_only=True)
class Concat:
    """Class embedding beside the features (Mirza and Osindero, 1411.1784)."""

    def embedding(self, n_classes: int, dim: int) -> nn.Module:
        return nn.Embedding(n_classes, dim)

    def head(self, n_features: int, n_classes: int) -> nn.Module:
        return ConcatHead(n_features, n_classes)


@dataclass(frozen=True, kw_only=True)
class Auxiliary:
    """D also names the class, and both players want it right (AC-GAN, Odena et al., 1610.09585)."""

    weight: float = 1.0  # of the cross-entropy beside the adversarial loss

    def __post_init__(self) -> None:
        number("weight", self.weight, low=0, open_low=True)

    def embedding(self, n_classes: int, dim: int) -> nn.Module:
        return nn.Embedding(n_classes, dim)

    def head(self, n_features: int, n_classes: int) -> nn.Module:
        return AuxiliaryHead(n_features, n_classes, weight=self.weight)


@dataclass(frozen=True, kw_only=True)
class Transitional:
    """First one distribution, then its classes (Shahbazi et al., 2201.06578)."""

    start: int = 20_000  # images seen when the class begins to count
    end: int = 40_000  # images seen when it counts in full

    def __post_init__(self) -> None:
        number("start", self.start, low=0, integer=True)
        number("end", self.end, low=0, integer=True)
        if self.end <= self.start:
            raise ConfigError(f"end must be above start ({self.start}); got {self.end}.")

    def embedding(self, n_classes: int, dim: int) -> nn.Module:
        return TransitionalEmbedding(n_classes, dim, ramp=Ramp(start=self.start, end=self.end))

    def head(self, n_features: int, n_classes: int) -> nn.Module:
        return TransitionalHead(n_features, n_classes, ramp=Ramp(start=self.start, end=self.end))


@dataclass(frozen=True, kw_only=True)
class Noisy:
    """Projection, with noisy embeddings against class collapse (after NoisyTwins, 2304.05866)."""

    sigma: float = 0.25  # of the rarest class; embeddings start with a deviation of one

    def __post_init__(self) -> None:
        number("sigma", self.sigma, low=0)

    def embedding(self, n_classes: int, dim: int) -> nn.Module:
        return NoisyEmbedding(n_classes, dim, sigma=self.sigma)

    def head(self, n_features: int, n_classes: int) -> nn.Module:
        return ProjectionHead(n_features, n_classes)


PROJECTION = Projection()

CONDITIONING: dict[str, Conditioning] = {
    "projection": PROJECTION,
    "concat": Concat(),
    "auxiliary": Auxiliary(),
    "transitional": Transitional(),
    "noisy": Noisy(),
}
"""Every way by name."""
