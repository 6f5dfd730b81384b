"""The evolutionary G step: each mutation makes a child, the fittest replaces the parent (E-GAN)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ganaug.adversarial.losses import LOSSES
from ganaug.adversarial.mutations import MUTATIONS, fitness
from ganaug.training.game import Game
from ganaug.training.state import GANState
from ganaug.training.steps import Augment, ask, descend


def evolution_step(
    state: GANState,
    x: Tensor,
    x_fake: Tensor,
    c: Tensor,
    *,
    game: Game,
    augment: Augment,
    draw_z: Callable[[], Tensor],
) -> dict[str, Tensor]:
    """Replace G by its fittest child: one parent, one Adam step per mutation, the parent dies.

    All children descend from the same fakes, and are judged on the same fresh noise and real samples.
    """
    state.D.eval().requires_grad_(False)
    weights = list(state.G.parameters())
    logits, _, cost = ask(state, x_fake, c, augment)
    values = [MUTATIONS[name](logits).mean() + cost for name in game.mutations]
    gradients = [torch.autograd.grad(value, weights, retain_graph=True) for value in values]
    z, parent = draw_z(), _heredity(state)
    children = []
    for gradient in gradients:
        for weight, slope in zip(weights, gradient, strict=True):
            weight.grad = slope
        norm = descend(state.opt_G, game.clip_norm)
        children.append((_worth(state, x, c, z, game=game, augment=augment), norm, _heredity(state)))
        _inherit(state, parent)
    worths = torch.stack([worth for worth, _, _ in children])
    fittest = int(worths.nan_to_num(nan=float("-inf")).argmax())
    _inherit(state, children[fittest][2])
    stats = {
        "loss/G": values[fittest].detach(),
        "gradient/G": children[fittest][1],
        "fitness": worths[fittest],
    }
    won = torch.nn.functional.one_hot(torch.tensor(fittest), len(children)).float()
    return stats | {f"mutation/{name}": share for name, share in zip(game.mutations, won, strict=True)}


def _worth(state: GANState, x: Tensor, c: Tensor, z: Tensor, *, game: Game, augment: Augment) -> Tensor:
    """Return the fitness of the G that the state holds now."""
    with torch.no_grad(), state.autocast():
        x_fake = state.G(z, c)
    state.D.requires_grad_(True)
    logits, _, _ = ask(state, torch.cat([x, x_fake]), torch.cat([c, c]), augment)
    real_logits, fake_logits = logits.chunk(2)
    cross_entropy = LOSSES["non-saturating"].discriminator(real_logits, fake_logits).mean()
    slopes = torch.autograd.grad(cross_entropy, list(state.D.parameters()), allow_unused=True)
    state.D.requires_grad_(False)
    norm = nn.utils.get_total_norm([s for s in slopes if s is not None])
    return fitness(fake_logits.detach(), norm, diversity_weight=game.diversity_weight)


def _heredity(state: GANState) -> list[Tensor]:
    """Return copies of all that a step of G changes: weights, statistics, moments."""
    return [t.detach().clone() for t in _changing(state)]


@torch.no_grad()
def _inherit(state: GANState, copies: list[Tensor]) -> None:
    for now, copy in zip(_changing(state), copies, strict=True):
        now.copy_(copy)


def _changing(state: GANState) -> list[Tensor]:
    moments = [m for p in state.G.parameters() for m in state.opt_G.state[p].values()]
    return [*state.G.parameters(), *state.G.buffers(), *moments]
