"""How G may mutate in the evolutionary game, and what a child is worth (E-GAN, 1803.00657)."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["MUTATIONS", "fitness"]


def minimax(fake_logits: Tensor) -> Tensor:
    """Return log(1 - D(G(z))): gradients live where D is fooled already."""
    return -F.softplus(fake_logits)


def heuristic(fake_logits: Tensor) -> Tensor:
    """Return -log D(G(z)): gradients live where D is not fooled."""
    return F.softplus(-fake_logits)


def least_squares(fake_logits: Tensor) -> Tensor:
    """Return (D(G(z)) - 1)^2, of the probability: bounded gradients on both sides."""
    return (fake_logits.sigmoid() - 1).square()


MUTATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "minimax": minimax,
    "heuristic": heuristic,
    "least-squares": least_squares,
}


def fitness(
    fake_logits: Tensor,
    gradient_norm: Tensor,
    *,
    diversity_weight: float,
    weight: Tensor | float = 1.0,
) -> Tensor:
    """Return quality plus weighted diversity of a child, a number that survival maximises.

    Parameters
    ----------
    fake_logits : Tensor of shape (n,) or (n, k)
        D's logits of the child's samples; quality is the mean of their probabilities.
    gradient_norm : Tensor of shape ()
        Norm of the gradient of D's cross-entropy in its weights, with the child's samples as fakes:
        where a child's samples are spread out, D has nothing new to learn and the norm is small.
    diversity_weight : float
        What minus the log of that norm counts (gamma of the paper).
    weight : Tensor of shape (k,) or float, default=1.0
        What each column of the logits counts in the quality.

    Returns
    -------
    Tensor of shape ()

    References
    ----------
    Wang et al., Evolutionary Generative Adversarial Networks, 1803.00657, equations 7 to 9.

    Examples
    --------
    >>> fitness(torch.zeros(4), torch.tensor(1.0), diversity_weight=0.1)
    tensor(0.5000)
    """
    weights = torch.as_tensor(weight, device=fake_logits.device).expand_as(fake_logits)
    quality = (fake_logits.sigmoid() * weights).sum() / weights.sum()
    return quality - diversity_weight * torch.log(gradient_norm)
