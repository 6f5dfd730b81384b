"""The training loop, read top to bottom."""

import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ganaug._random import derive, seeded, torch_stream
from ganaug.adversarial.adaptive import adapt_probability
from ganaug.adversarial.diffaugment import diff_augment
from ganaug.config import GANConfig
from ganaug.errors import GanaugWarning, TrainingDivergedError, TrainingInterrupted
from ganaug.training.batches import BalancedBatches
from ganaug.training.ema import ema_decay, update_ema
from ganaug.training.evolution import evolution_step
from ganaug.training.game import resolve_game
from ganaug.training.health import Health
from ganaug.training.interrupt import StopSignals
from ganaug.training.quality import Quality
from ganaug.training.state import GANState
from ganaug.training.steps import discriminator_step, draw_fakes, generator_step

Line = dict[str, Any]
OnLog = Callable[[GANState, Line], None]

SAME = (
    "Use the same machines, versions and settings, and a network that keeps no figures of its own of a batch."
)


def train(
    state: GANState,
    batches: BalancedBatches,
    config: GANConfig,
    *,
    seed: int,
    on_log: OnLog,
    on_step: Callable[[int], None] | None = None,
    history: list[Line] | None = None,
    stop: StopSignals | None = None,
    sound: dict[str, Tensor] | None = None,
) -> None:
    """Train until `config.train_images` real samples have been shown to D, or a limit comes first.

    Every random number of a step derives from (seed, images seen), so a resumed run repeats an
    uninterrupted one. Each `log_every_images` and at the end quality and health are looked at, a line
    is added to `history`, and `on_log(state, line)` is called; `on_step(images_seen)` after each step.
    `sound` is the state to go back to, where that is not the first one.
    """
    began = time.monotonic()
    history = [] if history is None else history
    game = resolve_game(config, images=batches.images)
    quality = Quality(
        batches,
        z_dim=config.z_dim,
        interval=min(config.log_every_images, config.train_images),
        seed=seed,
    )
    device, ranks = state.logit_means.device, state.ranks
    # names the stream of a rank of several, for what it draws for its own samples alone
    rank = (ranks.rank,) if ranks.size > 1 else ()
    if not state.images_seen:
        state.began = ranks.told(partial(quality.measure, state))[0].nanmean().to(device)
    health = Health(state, sound)
    over = state.images_seen >= config.train_images
    if over and history and history[-1].get("sick") and not any(line["sound"] for line in history):
        raise TrainingDivergedError(
            "this training went wrong to its end, and has nothing to go on from. Start it anew, with lower "
            "lr_G and lr_D in GANConfig or another regularizer."
        )
    state.G.train()
    state.at(state.images_seen)

    while state.images_seen < config.train_images:
        common = torch_stream(seed, "step", state.images_seen, device=device)
        own = torch_stream(seed, "step", state.images_seen, *rank, device=device) if rank else common
        _set_learning_rates(state, config)

        def draw_z(generator: torch.Generator = common) -> Tensor:
            z = torch.randn(config.batch_size, config.z_dim, generator=generator, device=device)
            return z[ranks.mine(len(z))]

        def augment(x: Tensor, generator: torch.Generator = own) -> Tensor:
            p = 1.0 if config.ada_target is None else state.augment_p
            return diff_augment(x, game.policy, generator, p)

        stats: dict[str, Tensor] = {}
        n_chunks = state.n_chunks
        with seeded(derive(seed, "modules", state.images_seen, *rank), device):
            for repeat in range(config.d_steps):
                x, c = batches(state.images_seen + repeat * config.batch_size)
                z = draw_z()
                x_fake = draw_fakes(state, z, c, graph=repeat == config.d_steps - 1)
                figures, real_logits = discriminator_step(
                    state,
                    x,
                    x_fake,
                    c,
                    game=game,
                    augment=augment,
                    generator=own,
                    step=state.images_seen // config.batch_size + repeat,
                )
                worst = torch.maximum(stats.get("gradient/D", figures["gradient/D"]), figures["gradient/D"])
                stats = figures | {"gradient/D": worst}
            if game.mutations:
                stats |= evolution_step(state, x, x_fake, c, z, draw_z(), game=game, augment=augment)
            else:
                stats |= generator_step(
                    state, x, x_fake, c, game=game, augment=augment, z=z, real_logits=real_logits
                )

        before = state.images_seen
        state.images_seen += config.batch_size * config.d_steps
        state.at(state.images_seen)
        (short,) = ranks.agree([*stats.values(), *state.statistics], state.n_chunks > n_chunks)
        if short:
            state.share_shortage()
        _move_average(state, config)
        _adapt_augmentation(state, config)
        broken = health.count(state, stats)
        ended: TrainingInterrupted | None = None
        if on_step is not None:
            try:
                on_step(state.images_seen)
            except TrainingInterrupted as wish:
                ended = wish

        stopping, late, wished = ranks.agree(
            [],
            stop is not None and stop.received is not None,
            config.max_minutes is not None and time.monotonic() - began >= 60 * config.max_minutes,
            ended is not None,
        )
        done = late or state.images_seen >= config.train_images
        crossed = state.images_seen // config.log_every_images > before // config.log_every_images
        if crossed or done or broken:
            ranks.require_equal(state.digests, SAME)
            distance, spread = ranks.told(partial(quality.measure, state))
            line: Line = state.take_means() | {
                "distance": float(distance.nanmean()),
                "spread": float(spread.nan_to_num(nan=0.0).min()),
            }
            sick, line["health"] = health.diagnose(state, line, spread, history)
            line["sick"], line["sound"] = sick, False
            if sick:
                line["health"] += health.go_back(state)
            else:
                if config.snapshot != "last":
                    state.snapshots.offer(state.images_seen, state.G_ema, distance)
                line["sound"] = health.remember(state)
            history.append({"images_seen": state.images_seen, **line})
            on_log(state, history[-1])
            if health.lost or (done and sick and health.images_kept is None):
                raise TrainingDivergedError(
                    f"training diverged by {state.images_seen} images: {line['health']}. "
                    "Lower lr_G and lr_D in GANConfig, or add a regularizer.",
                    images_kept=health.images_kept,
                )
            if done and sick:
                warnings.warn(
                    f"training went wrong at its end ({line['health']}): the generator is that of "
                    f"{health.images_kept} images.",
                    GanaugWarning,
                    stacklevel=2,
                )
            near = config.target_distance is not None and line["distance"] <= config.target_distance
            done = done or (near and not sick)
        if wished:
            raise ended or TrainingInterrupted(f"a stop of another process after {state.images_seen} images")
        if done:
            return
        if stopping or (ranks.size == 1 and stop is not None and stop.received):  # others are asked each step
            name = stop.received.name if stop is not None and stop.received else "a signal to another process"
            raise TrainingInterrupted(f"{name} after {state.images_seen} images")


def _set_learning_rates(state: GANState, config: GANConfig) -> None:
    done = state.images_seen / config.train_images
    left = 1.0 if done <= config.lr_decay_from else (1 - done) / (1 - config.lr_decay_from)
    for optimiser, rate in ((state.opt_G, config.lr_G), (state.opt_D, config.lr_D)):
        for group in optimiser.param_groups:
            group["lr"] = rate * left * state.lr_scale


def _move_average(state: GANState, config: GANConfig) -> None:
    decay = ema_decay(
        state.images_seen,
        batch_size=config.batch_size * config.d_steps,
        halflife=config.ema_halflife_images,
        rampup=config.ema_rampup,
    )
    update_ema(state.G_ema, state.G, decay)


def _adapt_augmentation(state: GANState, config: GANConfig) -> None:
    if config.ada_target is not None:
        state.augment_p = adapt_probability(
            state.augment_p,
            state.sign_mean,
            target=config.ada_target,
            batch_size=config.batch_size * config.d_steps,
            ramp_images=config.ada_ramp_images,
        )
