"""Regularisers of the discriminator: what is done to it before training, and penalties on its slopes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from ganaug._checks import described, known_name, number
from ganaug.errors import ConfigError

__all__ = [
    "DRAGAN",
    "R1",
    "R2",
    "REGULARIZERS",
    "Duel",
    "GradientPenalty",
    "LeCam",
    "Regularizer",
    "SpectralNorm",
    "lazy_penalty",
    "needs_gradient",
    "resolve_regularizer",
]


@dataclass
class Duel:
    """One meeting of D with n real and n fake samples of the same classes: all that a penalty may see."""

    D: Callable[[Tensor, Tensor], Tensor]  # (x, c) -> logits, augmentation included
    x_both: Tensor  # (2n, ...) real then fake, a leaf that requires grad
    c: Tensor  # (n,) classes of the real samples, and of the fake ones
    logits: Tensor  # (2n,) or (2n, k): D's answer for x_both, graph attached
    means: Tensor  # (2,) running means of the real and of the fake logits, detached
    generator: torch.Generator  # where a penalty's random numbers come from
    pack: int = 1  # so many neighbours are one sample to D, and have its logit

    @property
    def real(self) -> Tensor:
        """Real samples (n, ...)."""
        return self.x_both.chunk(2)[0]

    @property
    def fake(self) -> Tensor:
        """Fake samples (n, ...)."""
        return self.x_both.chunk(2)[1]

    @cached_property
    def slopes(self) -> Tensor:
        """Squared norm of the gradient of each sample's (or pack's) logits (2n,); R1 and R2 share it."""
        return self._gradient(self.logits, self.x_both).square().sum(1)

    def gradient_norm(self, x: Tensor) -> Tensor:
        """Return the norm, not squared, of D's gradient at other samples x (n, ...) of classes c."""
        x = x.detach().requires_grad_()
        # sqrt of a sum of squares has no derivative where D is flat; vector_norm takes 0 there
        norm: Tensor = torch.linalg.vector_norm(self._gradient(self.D(x, self.c), x), dim=1)
        return norm

    def _gradient(self, logits: Tensor, x: Tensor) -> Tensor:
        """Return the gradient of each sample's logits, flat (n, ...) or that of its pack, differentiable."""
        slope = torch.autograd.grad(logits.sum(), x, create_graph=True)[0] / self.pack
        return slope.reshape(len(x) // self.pack, -1).repeat_interleave(self.pack, dim=0)

    def uniform(self, *shape: int) -> Tensor:
        """Return random numbers in [0, 1), of the samples' type."""
        x = self.x_both
        return torch.rand(shape, generator=self.generator, dtype=x.dtype, device=x.device)


class Regularizer:
    """Base of all: `prepare` changes D once, `penalty` adds to its loss; both do nothing by default."""

    every: int = 1  # the penalty is applied at every so many steps, and weighted accordingly
    needs_gradient: ClassVar[bool] = True  # whether the penalty reads `Duel.slopes`

    def prepare(self, D: nn.Module) -> None:
        """Change D in place before it is trained, and before its optimiser is built."""

    def penalty(self, duel: Duel) -> Tensor | None:
        """Return what is added to D's loss, per pair of samples (n,), or None."""
        return None


@dataclass(frozen=True)
class SpectralNorm(Regularizer):
    """Divide each weight matrix of D by its largest singular value (Miyato et al., 1802.05957).

    A layer whose weight is parametrised already is left alone.

    Examples
    --------
    >>> D = nn.Linear(3, 2)
    >>> SpectralNorm().prepare(D)
    >>> torch.linalg.matrix_norm(D.eval().weight, 2).round(decimals=2)
    tensor(1., grad_fn=<RoundBackward1>)
    """

    needs_gradient: ClassVar[bool] = False

    def prepare(self, D: nn.Module) -> None:
        """Add spectral norm to every convolution, linear layer and embedding that has none."""
        for layer in list(D.modules()):
            plain = "weight" in dict(layer.named_parameters(recurse=False))
            if plain and isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Linear | nn.Embedding):
                spectral_norm(layer)


@dataclass(frozen=True, kw_only=True)
class _Penalty(Regularizer):
    """What the penalties below share: numbers that are checked, and how often they are applied."""

    every: int = 1

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            number(name, value, low=1 if name == "every" else 0, integer=name == "every")


@dataclass(frozen=True, kw_only=True)
class GradientPenalty(_Penalty):
    """Hold D's slope at 1 on the lines between real and fake samples (WGAN-GP: Gulrajani et al., 1704.00028).

    Examples
    --------
    >>> GradientPenalty(weight=1.0)
    GradientPenalty(every=1, weight=1.0)
    """

    needs_gradient: ClassVar[bool] = False
    weight: float = 10.0

    def penalty(self, duel: Duel) -> Tensor:
        """Return weight * (slope - 1)^2 at one random point of the line between each pair (n,)."""
        share = duel.uniform(len(duel.c) // duel.pack, *[1] * (duel.real.ndim - 1))
        share = share.repeat_interleave(duel.pack, 0)  # a pack is on the line between two packs
        return self.weight * (duel.gradient_norm(torch.lerp(duel.real, duel.fake, share)) - 1) ** 2


@dataclass(frozen=True, kw_only=True)
class DRAGAN(_Penalty):
    """Hold D's slope at 1 around the real samples (Kodali et al., 1705.07215).

    The noise is uniform, of up to half the standard deviation of the real batch either way.

    Examples
    --------
    >>> DRAGAN(every=4)
    DRAGAN(every=4, weight=10.0)
    """

    needs_gradient: ClassVar[bool] = False
    weight: float = 10.0

    def penalty(self, duel: Duel) -> Tensor:
        """Return weight * (slope - 1)^2 at a random neighbour of each real sample (n,)."""
        noise = 0.5 * duel.real.std(correction=0) * (2 * duel.uniform(*duel.real.shape) - 1)
        return self.weight * (duel.gradient_norm(duel.real + noise) - 1) ** 2


@dataclass(frozen=True, kw_only=True)
class R1(_Penalty):
    """Flatten D at the real samples: gamma / 2 * squared slope (Mescheder et al., 1801.04406).

    Examples
    --------
    >>> R1(gamma=1.0, every=16)
    R1(every=16, gamma=1.0)
    """

    gamma: float = 0.1

    def penalty(self, duel: Duel) -> Tensor:
        """Return gamma / 2 * squared slope at each real sample (n,)."""
        return self.gamma / 2 * duel.slopes.chunk(2)[0]


@dataclass(frozen=True, kw_only=True)
class R2(_Penalty):
    """Flatten D at the fake samples; R3GAN uses it beside R1 (Mescheder et al., 1801.04406).

    Examples
    --------
    >>> R2()
    R2(every=1, gamma=0.1)
    """

    gamma: float = 0.1

    def penalty(self, duel: Duel) -> Tensor:
        """Return gamma / 2 * squared slope at each fake sample (n,)."""
        return self.gamma / 2 * duel.slopes.chunk(2)[1]


@dataclass(frozen=True, kw_only=True)
class LeCam(_Penalty):
    """Hold real logits near the running mean of fake ones, and the other way (Tseng et al., 2104.03310).

    Examples
    --------
    >>> LeCam()
    LeCam(every=1, weight=0.3)
    """

    needs_gradient: ClassVar[bool] = False
    weight: float = 0.3

    def penalty(self, duel: Duel) -> Tensor:
        """Return weight * ((real - mean of fake)^2 + (fake - mean of real)^2) for each pair (n,)."""
        real_logits, fake_logits = duel.logits.unflatten(0, (2, -1))
        real_mean, fake_mean = duel.means
        distance: Tensor = (real_logits - fake_mean) ** 2 + (fake_logits - real_mean) ** 2
        return self.weight * distance.reshape(len(duel.c), -1).mean(1)


REGULARIZERS: dict[str, Regularizer] = {
    "spectral-norm": SpectralNorm(),
    "gradient-penalty": GradientPenalty(),
    "r1": R1(),
    "r2": R2(),
    "lecam": LeCam(),
    "dragan": DRAGAN(),
}


def resolve_regularizer(regularizer: str | Mapping[str, Any] | Regularizer) -> Regularizer:
    """Return what a name in REGULARIZERS or a description stands for, or the caller's own object."""
    if isinstance(regularizer, str):
        return REGULARIZERS[known_name("regularizer", regularizer, REGULARIZERS)]
    if isinstance(regularizer, Mapping):
        found: Regularizer = described("regularizer", regularizer, REGULARIZERS)
        return found
    if not isinstance(regularizer, Regularizer):
        raise ConfigError(
            f"regularizer must be a name in REGULARIZERS or a Regularizer; got {regularizer!r}. "
            "Derive your class from ganaug.adversarial.regularizers.Regularizer."
        )
    return regularizer


def needs_gradient(regularizers: Sequence[Regularizer], step: int) -> bool:
    """Return whether a penalty due at this step reads `Duel.slopes`, so that x_both must require grad."""
    return any(r.needs_gradient for r in _due(regularizers, step))


def lazy_penalty(regularizers: Sequence[Regularizer], duel: Duel, step: int) -> Tensor | None:
    """Return the sum of the penalties due at this step, per pair of samples, or None if there is none.

    Each is multiplied by its `every`, so that its mean over the steps does not depend on it. StyleGAN2
    (Karras et al., 1912.04958) gives the lazy penalty an Adam step of its own and has to slow down the
    learning rate and the betas for these extra steps. Here it is part of the loss of an ordinary step:
    the number of steps is unchanged, and there is nothing to correct.
    """
    penalties = [(r.every, r.penalty(duel)) for r in _due(regularizers, step)]
    due = [every * penalty for every, penalty in penalties if penalty is not None]
    return torch.stack(due).sum(0) if due else None


def _due(regularizers: Sequence[Regularizer], step: int) -> list[Regularizer]:
    return [r for r in regularizers if step % r.every == 0]
