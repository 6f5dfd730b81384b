"""Adaptive augmentation: as much of it as D's overfitting calls for (Karras et al., 2006.06676)."""

from torch import Tensor

__all__ = ["adapt_probability"]


def adapt_probability(
    p: Tensor, sign_mean: Tensor, *, target: float, batch_size: int, ramp_images: int
) -> Tensor:
    """Move the chance of augmentation one step towards the sign that D should give real samples.

    Parameters
    ----------
    p : Tensor of shape ()
        Chance so far, in [0, 1].
    sign_mean : Tensor of shape ()
        Mean of sign(D(x)) over real samples: near 0 while D cannot tell them from fakes, 1 once
        it knows them by heart.
    target : float
        Mean sign to hold; above it `p` rises, below it `p` falls. The paper's value is 0.6.
    batch_size : int
        Real samples shown since the last step.
    ramp_images : int
        Real samples after which `p` can have gone from 0 to 1. The paper's value is 500 000.

    Returns
    -------
    Tensor of shape ()
        Chance from here on, in [0, 1].

    References
    ----------
    Karras et al., 2006.06676, section 3.1.

    Examples
    --------
    >>> import torch
    >>> p, overfitted = torch.tensor(0.25), torch.tensor(0.9)
    >>> adapt_probability(p, overfitted, target=0.6, batch_size=50, ramp_images=1000)
    tensor(0.3000)
    """
    return (p + (sign_mean - target).sign() * (batch_size / ramp_images)).clamp(0, 1)
