"""The training loop, read top to bottom."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ganaug._checks import known_name
from ganaug._random import torch_stream
from ganaug.adversarial.diffaugment import POLICIES, diff_augment
from ganaug.adversarial.losses import LOSSES, AdversarialLoss
from ganaug.config import GANConfig
from ganaug.errors import TrainingDivergedError
from ganaug.training.batches import BalancedBatches
from ganaug.training.ema import ema_decay, update_ema
from ganaug.training.state import GANState
from ganaug.training.steps import discriminator_step, generator_step

OnLog = Callable[[GANState, dict[str, float]], None]


def train(state: GANState, x: Tensor, c: Tensor, config: GANConfig, *, seed: int, on_log: OnLog) -> None:
    """Train until `config.train_images` real samples have been shown to D.

    Every random number of a step derives from (seed, images seen), so a resumed run repeats an
    uninterrupted one. `on_log(state, stats)` runs between steps, each `log_every_images` and at the end.
    """
    loss = resolve_loss(config.loss)
    policy = config.diffaugment if x.ndim == 4 else ()
    batches = BalancedBatches(x, c, batch_size=config.batch_size, seed=seed)
    sums: dict[str, Tensor] = {}
    n_steps = 0
    state.G.train()

    while state.images_seen < config.train_images:
        noise = torch_stream(seed, "step", state.images_seen, device=x.device)

        def draw_z(generator: torch.Generator = noise) -> Tensor:
            size = (config.batch_size, config.z_dim)
            return torch.randn(size, generator=generator, device=x.device)

        def augment(images: Tensor, generator: torch.Generator = noise) -> Tensor:
            return diff_augment(images, policy, generator)

        for repeat in range(config.d_steps):
            x_real, c_real = batches(state.images_seen + repeat * config.batch_size)
            with state.autocast():
                x_fake = state.G(draw_z(), c_real)
            stats = discriminator_step(state, x_real, x_fake, c_real, loss=loss, augment=augment)
        stats |= generator_step(state, x_fake, c_real, loss=loss, augment=augment)

        before = state.images_seen
        state.images_seen += config.batch_size * config.d_steps
        decay = ema_decay(
            state.images_seen,
            batch_size=config.batch_size * config.d_steps,
            halflife=config.ema_halflife_images,
            rampup=config.ema_rampup,
        )
        update_ema(state.G_ema, state.G, decay)

        sums = {k: sums.get(k, torch.zeros_like(v)) + v for k, v in stats.items()}
        n_steps += 1
        crossed = state.images_seen // config.log_every_images > before // config.log_every_images
        if crossed or state.images_seen >= config.train_images:
            means = {k: float(v) / n_steps for k, v in sums.items()}
            _require_finite(means, state.images_seen)
            on_log(state, means)
            sums, n_steps = {}, 0


def check_names(config: GANConfig) -> None:
    """Raise ConfigError for an unknown loss or augmentation, before anything is trained or written."""
    resolve_loss(config.loss)
    for name in config.diffaugment:
        known_name("diffaugment", name, POLICIES)


def resolve_loss(loss: str | AdversarialLoss) -> AdversarialLoss:
    """Return the loss a name in LOSSES stands for, or the caller's own object."""
    return LOSSES[known_name("loss", loss, LOSSES)] if isinstance(loss, str) else loss


def _require_finite(means: dict[str, float], images_seen: int) -> None:
    bad = {k: v for k, v in means.items() if not math.isfinite(v)}
    if bad:
        raise TrainingDivergedError(
            f"training diverged by {images_seen} images: {bad}. Lower lr_G and lr_D in GANConfig; "
            "what was saved before is untouched."
        )
