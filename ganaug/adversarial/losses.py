"""Adversarial losses: logits in, one value per sample out; the step takes the mean."""

from typing import Protocol

import torch.nn.functional as F
from torch import Tensor

__all__ = ["LOSSES", "AdversarialLoss", "Hinge", "NonSaturating"]


class AdversarialLoss(Protocol):
    """Two functions of the logits (n,), one per player; real before fake."""

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """Return what D minimises, per sample (n,)."""
        ...

    def generator(self, fake_logits: Tensor) -> Tensor:
        """Return what G minimises, per sample (n,)."""
        ...


class Hinge:
    """Hinge loss: D stops pushing once a logit is past the margin (Lim and Ye, 1705.02894).

    Examples
    --------
    >>> import torch
    >>> Hinge().discriminator(torch.tensor([2.0]), torch.tensor([0.0]))
    tensor([1.])
    """

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return F.relu(1 - real_logits) + F.relu(1 + fake_logits)

    def generator(self, fake_logits: Tensor) -> Tensor:
        return -fake_logits


class NonSaturating:
    """Cross-entropy with G's heuristic form, -log D(G(z)) (Goodfellow et al., 1406.2661).

    Examples
    --------
    >>> import torch
    >>> NonSaturating().generator(torch.zeros(1))  # log 2
    tensor([0.6931])
    """

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return F.softplus(-real_logits) + F.softplus(fake_logits)

    def generator(self, fake_logits: Tensor) -> Tensor:
        return F.softplus(-fake_logits)


LOSSES: dict[str, AdversarialLoss] = {"hinge": Hinge(), "non-saturating": NonSaturating()}
