"""The rules of one training: every name of a config resolved to the object it stands for."""

from dataclasses import dataclass

from torch import Tensor

from ganaug._checks import known_name, listed
from ganaug.adversarial.diffaugment import POLICIES
from ganaug.adversarial.losses import LOSSES, AdversarialLoss
from ganaug.adversarial.matching import Matching, resolve_matching
from ganaug.adversarial.mutations import MUTATIONS
from ganaug.adversarial.regularizers import Regularizer, resolve_regularizer
from ganaug.config import GANConfig
from ganaug.errors import ConfigError


@dataclass(frozen=True)
class Game:
    """What the steps need to know beside the state."""

    loss: AdversarialLoss
    regularizers: tuple[Regularizer, ...] = ()
    policy: tuple[str, ...] = ()
    mutations: tuple[str, ...] = ()
    diversity_weight: float = 0.0
    matching: tuple[Matching, ...] = ()
    clip_norm: float | None = None

    def judged(self, values: Tensor, weight: Tensor | float) -> Tensor:
        """Return the mean over samples of a loss that may have a column per judge."""
        return (values * weight).flatten(1).sum(1).mean() if values.ndim > 1 else values.mean()


def resolve_game(config: GANConfig, *, images: bool = True) -> Game:
    """Return the rules a config names; an unknown name raises ConfigError before anything is trained."""
    for name in config.diffaugment:
        known_name("diffaugment", name, POLICIES)
    loss = resolve_loss(config.loss)
    if config.ada_target is not None and getattr(loss, "boundary", 0.0) is None:
        raise ConfigError(
            f"ada_target reads how often D is right, which loss={config.loss!r} does not say: its logits "
            "count in comparison only. Take another loss, or leave ada_target at None."
        )
    return Game(
        loss=loss,
        regularizers=tuple(resolve_regularizer(r) for r in config.regularizers),
        policy=tuple(config.diffaugment) if images else (),
        mutations=tuple(known_name("mutations", name, MUTATIONS) for name in config.mutations),
        diversity_weight=config.diversity_weight,
        matching=tuple(resolve_matching(m) for m in config.matching),
        clip_norm=config.clip_norm,
    )


def resolve_loss(loss: str | AdversarialLoss) -> AdversarialLoss:
    """Return the loss a name in LOSSES stands for, or the caller's own object."""
    if isinstance(loss, str):
        return LOSSES[known_name("loss", loss, LOSSES)]
    if not (hasattr(loss, "discriminator") and hasattr(loss, "generator")):
        raise ConfigError(
            f"loss must be one of {listed(LOSSES)} or an object with the methods `discriminator` and "
            f"`generator`; got {loss!r}."
        )
    return loss
