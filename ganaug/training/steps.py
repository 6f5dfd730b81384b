"""One update of one player; each returns its numbers and moves nobody else."""

from collections.abc import Callable

import torch
from torch import Tensor

from ganaug.adversarial.losses import AdversarialLoss
from ganaug.training.state import GANState

Augment = Callable[[Tensor], Tensor]


def discriminator_step(
    state: GANState, x: Tensor, x_fake: Tensor, c: Tensor, *, loss: AdversarialLoss, augment: Augment
) -> dict[str, Tensor]:
    """Update D once on real samples `x` against fakes of the same classes `c`."""
    state.D.train().requires_grad_(True)
    with state.autocast():
        logits = state.D(augment(torch.cat([x, x_fake.detach()])), torch.cat([c, c]))
    real_logits, fake_logits = logits.float().chunk(2)
    value = loss.discriminator(real_logits, fake_logits).mean()
    _descend(state.opt_D, value)
    return {
        "loss/D": value.detach(),
        "logits/real": real_logits.detach().mean(),
        "logits/fake": fake_logits.detach().mean(),
    }


def generator_step(
    state: GANState, x_fake: Tensor, c: Tensor, *, loss: AdversarialLoss, augment: Augment
) -> dict[str, Tensor]:
    """Update G once through its own fakes `x_fake` = G(z, c), with D frozen."""
    state.D.eval().requires_grad_(False)
    with state.autocast():
        fake_logits = state.D(augment(x_fake), c).float()
    value = loss.generator(fake_logits).mean()
    _descend(state.opt_G, value)
    return {"loss/G": value.detach()}


def _descend(optimiser: torch.optim.Optimizer, value: Tensor) -> None:
    optimiser.zero_grad(set_to_none=True)
    value.backward()
    optimiser.step()
