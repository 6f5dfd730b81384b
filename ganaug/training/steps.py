"""One update of one player; each returns its numbers and moves nobody else."""

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from ganaug.adversarial.regularizers import Duel, lazy_penalty, needs_gradient
from ganaug.errors import GanaugError
from ganaug.networks.conditioning import Answer
from ganaug.training.game import Game
from ganaug.training.memory import is_out_of_memory, with_less_memory
from ganaug.training.state import GANState

Augment = Callable[[Tensor], Tensor]


@with_less_memory
def discriminator_step(
    state: GANState,
    x: Tensor,
    x_fake: Tensor,
    c: Tensor,
    *,
    game: Game,
    augment: Augment,
    generator: torch.Generator,
    step: int = 0,
) -> tuple[dict[str, Tensor], Tensor]:
    """Update D once on real samples `x` against fakes of the same classes `c`.

    Returns its figures, and the real logits (n,) or (n, k), which a relativistic G compares with.
    """
    state.D.train()
    state.let_D_learn(True)
    state.opt_D.zero_grad(set_to_none=True)
    stats: list[dict[str, Tensor]] = []
    answers = []
    for share, (x_i, fake_i, c_i) in chunks(state.n_chunks, x, x_fake.detach(), c, unit=state.pack):
        x_both = torch.cat([x_i, fake_i])
        if needs_gradient(game.regularizers, step):
            x_both.requires_grad_()
        logits, weight, cost = ask(state, x_both, torch.cat([c_i, c_i]), augment)
        real_logits, fake_logits = logits.chunk(2)
        value = game.judged(game.loss.discriminator(real_logits, fake_logits), weight) + 2 * cost
        one = {"loss/D": value.detach()}
        duel = Duel(
            D=lambda x, c: torch.mul(*ask(state, x, c, augment)[:2]),
            x_both=x_both,
            c=c_i,
            logits=logits * weight,
            means=state.logit_means,
            generator=generator,
            pack=state.pack,
        )
        penalty = lazy_penalty(game.regularizers, duel, step)
        if penalty is not None:
            value = value + penalty.mean()
            one["penalty"] = penalty.detach().mean()
        (value * share).backward()
        stats.append({k: v * share for k, v in one.items()})
        answers.append(torch.stack([real_logits.detach(), fake_logits.detach()]))
        weights = weight
    both = torch.cat(answers, dim=1)
    means = {k: torch.stack([s[k] for s in stats]).sum(0) for k in stats[0]}
    noted = _note_logits(state, both, weights, getattr(game.loss, "boundary", 0.0))
    norm = descend(state, state.opt_D, game.clip_norm, read_off=[state.logit_means, state.sign_mean])
    figures = means | noted | {"gradient/D": norm}
    return figures, both[0]


@with_less_memory
def generator_step(
    state: GANState,
    x: Tensor,
    x_fake: Tensor,
    c: Tensor,
    *,
    game: Game,
    augment: Augment,
    z: Tensor,
    real_logits: Tensor,
) -> dict[str, Tensor]:
    """Update G once through its own fakes `x_fake` = G(z, c), with D frozen.

    Real samples `x` of the same classes are what `game.matching` compares with. Where `x_fake` carries
    no graph (drawn in chunks, to save memory), the fakes are drawn again.
    """
    state.D.eval()
    state.let_D_learn(False)
    state.opt_G.zero_grad(set_to_none=True)
    total = torch.zeros((), device=c.device)
    apart = torch.zeros((), device=c.device)
    n_chunks = 1 if x_fake.requires_grad else state.n_chunks
    for share, (x_i, fake_i, z_i, c_i, real_i) in chunks(
        n_chunks, x, x_fake, z, c, real_logits, unit=state.pack
    ):
        if not fake_i.requires_grad:
            with state.autocast():
                fake_i = state.G(z_i, c_i)
        logits, weight, cost = ask(state, fake_i, c_i, augment)
        value = (game.judged(game.loss.generator(real_i, logits), weight) + cost) * share
        total += value.detach()
        if game.matching:
            distance = (
                torch.stack([m.distance(x_i, fake_i.float(), c_i) for m in game.matching]).sum() * share
            )
            value = value + distance
            apart += distance.detach()
        value.backward()
    figures = {"matching": apart} if game.matching else {}
    return {"loss/G": total, "gradient/G": descend(state, state.opt_G, game.clip_norm)} | figures


@with_less_memory
def draw_fakes(state: GANState, z: Tensor, c: Tensor, *, graph: bool) -> Tensor:
    """Return G(z, c); with its graph, for G's own step, where memory allows the whole batch at once."""
    if graph and state.n_chunks == 1:
        with state.autocast():
            x_fake: Tensor = state.G(z, c)
        return x_fake.clone() if x_fake._is_view() else x_fake  # a view could not drop its graph
    with torch.no_grad(), state.autocast():
        return torch.cat(
            [state.G(z_i, c_i) for _, (z_i, c_i) in chunks(state.n_chunks, z, c, unit=state.pack)]
        )


def ask(state: GANState, x: Tensor, c: Tensor, augment: Augment) -> tuple[Tensor, Tensor | float, Tensor]:
    """Return D's logits, the weight of each column of them, and the mean cost both players bear."""
    with state.autocast():
        answer = state.D(augment(x), c)
    if isinstance(answer, Answer):
        return answer.logits.float(), answer.weight, answer.cost.float().mean()
    return answer.float(), 1.0, torch.zeros((), device=x.device)


def chunks(n: int, *tensors: Tensor, unit: int = 1) -> Iterator[tuple[float, tuple[Tensor, ...]]]:
    """Yield the tensors in n pieces of whole units of rows, each with its share of the batch."""
    size = unit * math.ceil(len(tensors[0]) / (n * unit))
    for pieces in zip(*(t.split(size) for t in tensors), strict=True):
        yield len(pieces[0]) / len(tensors[0]), pieces


def descend(
    state: GANState,
    optimiser: torch.optim.Optimizer,
    clip_norm: float | None,
    *,
    read_off: Sequence[Tensor] = (),
) -> Tensor:
    """Take a step along all ranks' mean gradient and return its norm; one that is not finite is skipped.

    What was `read_off` the batch is averaged with it.
    """
    weights = [p for group in optimiser.param_groups for p in group["params"] if p.requires_grad]
    if state.ranks.size > 1:
        for weight in weights:
            if weight.grad is None:  # no sample of this rank needed it
                weight.grad = torch.zeros_like(weight)
    weights = [p for p in weights if p.grad is not None]
    gradients = [p.grad for p in weights if p.grad is not None]
    state.ranks.average([*gradients, *read_off])
    try:
        norm = nn.utils.get_total_norm(gradients)
        if not torch.isfinite(norm):
            return norm
        if clip_norm is not None:
            nn.utils.clip_grads_with_norm_(weights, clip_norm, norm)
        optimiser.step()
    except (RuntimeError, MemoryError) as error:
        if state.ranks.size > 1 and is_out_of_memory(error):  # the others are past this step
            raise GanaugError(
                f"memory ran out in rank {state.ranks.rank} as weights were changed: {error}. Use a smaller "
                "batch_size or width, or devices with more memory."
            ) from error
        raise
    return norm


def _note_logits(
    state: GANState, logits: Tensor, weight: Tensor | float, boundary: float | None
) -> dict[str, Tensor]:
    """Update the running figures of D's answers (2, n) or (2, n, k), and return those of this step.

    Where the loss has a boundary, D is right on real samples above and on fake ones below it.
    """
    weighted = logits * weight
    real, fake = weighted.flatten(2).mean(2) if logits.ndim > 2 else weighted
    means = torch.stack([real.mean(), fake.mean()])
    if torch.isfinite(means).all():
        state.logit_means.lerp_(means, 0.01)
    figures = {"logits/real": means[0], "logits/fake": means[1]}
    if boundary is None:
        return figures
    boundary = boundary * float(torch.as_tensor(weight).float().mean())
    right = (real > boundary).float().mean()
    state.sign_mean.lerp_(2 * right - 1, 0.05)
    return figures | {"right/real": right, "right/fake": (fake < boundary).float().mean()}
