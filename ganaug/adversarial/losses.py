"""Adversarial losses: logits in, one value per logit out; the step takes the mean."""

from typing import Protocol

import torch.nn.functional as F
from torch import Tensor

__all__ = [
    "LOSSES",
    "AdversarialLoss",
    "Hinge",
    "LeastSquares",
    "Minimax",
    "NonSaturating",
    "Relativistic",
    "Wasserstein",
]


class AdversarialLoss(Protocol):
    """Two functions of the logits of paired samples, one per player; real before fake, any shape.

    Where a logit of 0 is not the boundary between real and fake, an attribute `boundary` says what is;
    None means that logits only count in comparison.
    """

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """Return what D minimises, element by element."""
        ...

    def generator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """Return what G minimises, element by element; most losses look at `fake_logits` alone."""
        ...


class Minimax:
    """Cross-entropy played as a zero-sum game: G minimises log(1 - D(G(z))) (Goodfellow et al., 1406.2661).

    G's gradient vanishes while D wins; `NonSaturating` is the remedy of the same paper.

    Examples
    --------
    >>> import torch
    >>> Minimax().generator(torch.zeros(1), torch.zeros(1))  # log 1/2
    tensor([-0.6931])
    """

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return F.softplus(-real_logits) + F.softplus(fake_logits)

    def generator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return -F.softplus(fake_logits)


class NonSaturating:
    """Cross-entropy with G's heuristic form, -log D(G(z)) (Goodfellow et al., 1406.2661).

    StyleGAN calls it the logistic loss.

    Examples
    --------
    >>> import torch
    >>> NonSaturating().generator(torch.zeros(1), torch.zeros(1))  # log 2
    tensor([0.6931])
    """

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return F.softplus(-real_logits) + F.softplus(fake_logits)

    def generator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return F.softplus(-fake_logits)


class LeastSquares:
    """Squared distance to 1 for real and 0 for fake; G aims at 1 (Mao et al., 1611.04076).

    Examples
    --------
    >>> import torch
    >>> LeastSquares().discriminator(torch.tensor([1.0]), torch.tensor([2.0]))
    tensor([2.])
    """

    boundary = 0.5

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return ((real_logits - 1) ** 2 + fake_logits**2) / 2

    def generator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return (fake_logits - 1) ** 2 / 2


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

    def generator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return -fake_logits


class Wasserstein:
    """Difference of the logits (Arjovsky et al., 1701.07875).

    It is a distance only while D is Lipschitz: pair it with a gradient penalty or spectral norm.

    Examples
    --------
    >>> import torch
    >>> Wasserstein().discriminator(torch.tensor([2.0]), torch.tensor([0.5]))
    tensor([-1.5000])
    """

    boundary = None

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return fake_logits - real_logits

    def generator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return -fake_logits


class Relativistic:
    """Logistic loss of how much more real a sample is than its partner (R3GAN: Huang et al., 2501.05441).

    Both players see only the difference of a pair, so a mode that G drops costs it wherever a real
    sample of that mode is paired with a fake one.

    Examples
    --------
    >>> import torch
    >>> Relativistic().generator(torch.tensor([7.0]), torch.tensor([7.0]))  # log 2
    tensor([0.6931])
    """

    boundary = None

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return F.softplus(fake_logits - real_logits)

    def generator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return F.softplus(real_logits - fake_logits)


_LOGISTIC = NonSaturating()

LOSSES: dict[str, AdversarialLoss] = {
    "minimax": Minimax(),
    "non-saturating": _LOGISTIC,
    "logistic": _LOGISTIC,
    "least-squares": LeastSquares(),
    "hinge": Hinge(),
    "wasserstein": Wasserstein(),
    "relativistic": Relativistic(),
}
