"""One update of one player; each returns its numbers and moves nobody else."""

from collections.abc import Callable

import torch
from torch import Tensor

from ganaug.adversarial.losses import AdversarialLoss
from ganaug.training.state import GANState

Augment = Callable[[Tensor], Tensor]


def discriminator_step(
    state: GANState, x: Tensor, c: Tensor, z: Tensor, *, loss: AdversarialLoss, augment: Augment
) -> dict[str, Tensor]:
    """Update D once on real samples `x` against fakes of the same classes `c`."""
    with torch.no_grad():
        x_fake = state.G(z, c)
    state.D.train().requires_grad_(True)
    logits = state.D(augment(torch.cat([x, x_fake])), torch.cat([c, c]))
    real_logits, fake_logits = logits.chunk(2)
    value = loss.discriminator(real_logits, fake_logits).mean()
    _descend(state.opt_D, value)
    return {
        "loss/D": value.detach(),
        "logits/real": real_logits.detach().mean(),
        "logits/fake": fake_logits.detach().mean(),
    }


def generator_step(
    state: GANState, c: Tensor, z: Tensor, *, loss: AdversarialLoss, augment: Augment
) -> dict[str, Tensor]:
    """Update G once on noise `z` and classes `c`, with D frozen."""
    state.D.eval().requires_grad_(False)
    value = loss.generator(state.D(augment(state.G(z, c)), c)).mean()
    _descend(state.opt_G, value)
    return {"loss/G": value.detach()}


def _descend(optimiser: torch.optim.Optimizer, value: Tensor) -> None:
    optimiser.zero_grad(set_to_none=True)
    value.backward()
    optimiser.step()
