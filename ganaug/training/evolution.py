"""The evolutionary G step: each mutation makes a child, the fittest replaces the parent (E-GAN)."""

import torch
from torch import Tensor, nn

from ganaug._random import seeded
from ganaug.adversarial.losses import LOSSES
from ganaug.adversarial.mutations import MUTATIONS, fitness
from ganaug.training.game import Game
from ganaug.training.memory import with_less_memory
from ganaug.training.state import GANState
from ganaug.training.steps import Augment, ask, chunks, descend


def evolution_step(
    state: GANState,
    x: Tensor,
    x_fake: Tensor,
    c: Tensor,
    z: Tensor,
    z_judge: Tensor,
    *,
    game: Game,
    augment: Augment,
) -> dict[str, Tensor]:
    """Replace G by its fittest child: one parent, one Adam step per mutation, the parent dies.

    All children descend from the same fakes `x_fake` = G(z, c), and are judged on the same fresh noise
    `z_judge` and real samples `x`.
    """
    state.D.eval()
    state.let_D_learn(False)
    parent = _heredity(state)
    try:
        values, gradients = _mutations(state, x_fake, c, z, game=game, augment=augment)
        children = []
        judge = int(torch.randint(2**31, ()))  # for modules that draw noise of their own
        for gradient in gradients:
            for weight, slope in zip(_learning(state), gradient, strict=True):
                weight.grad = slope
            norm = descend(state, state.opt_G, game.clip_norm)
            worth = _worth(state, x, c, z_judge, judge=judge, game=game, augment=augment)
            children.append((worth, norm, _heredity(state)))
            _inherit(state, parent)
    except BaseException:
        _inherit(state, parent)
        raise
    worths = torch.stack([worth for worth, _, _ in children])
    fittest = int(worths.nan_to_num(nan=float("-inf")).argmax())
    _inherit(state, children[fittest][2])
    stats = {
        "loss/G": values[fittest],
        "gradient/G": children[fittest][1],
        "fitness": worths[fittest],
    }
    won = torch.nn.functional.one_hot(torch.tensor(fittest), len(children)).float()
    return stats | {f"mutation/{name}": share for name, share in zip(game.mutations, won, strict=True)}


@with_less_memory
def _mutations(
    state: GANState, x_fake: Tensor, c: Tensor, z: Tensor, *, game: Game, augment: Augment
) -> tuple[list[Tensor], list[list[Tensor | None]]]:
    """Return the loss of each mutation, and its gradient in the weights of G."""
    weights = _learning(state)
    values = [torch.zeros((), device=c.device) for _ in game.mutations]
    gradients: list[list[Tensor | None]] = [[None] * len(weights) for _ in game.mutations]
    n_chunks = 1 if x_fake.requires_grad else state.n_chunks
    for share, (fake_i, c_i, z_i) in chunks(n_chunks, x_fake, c, z, unit=state.pack):
        if not fake_i.requires_grad:
            with state.autocast():
                fake_i = state.G(z_i, c_i)
        logits, weight, cost = ask(state, fake_i, c_i, augment)
        for number, name in enumerate(game.mutations):
            value = (game.judged(MUTATIONS[name](logits), weight) + cost) * share
            slopes = torch.autograd.grad(value, weights, retain_graph=True, allow_unused=True)
            values[number] += value.detach()
            for i, slope in enumerate(slopes):
                if slope is not None:
                    before = gradients[number][i]
                    gradients[number][i] = slope if before is None else before + slope
    return values, gradients


def _worth(
    state: GANState, x: Tensor, c: Tensor, z: Tensor, *, judge: int, game: Game, augment: Augment
) -> Tensor:
    """Return the fitness of the G that the state holds now."""
    slopes, logits, weight = _judgement(state, x, c, z, judge=judge, game=game, augment=augment)
    state.ranks.average(slopes)
    norm = nn.utils.get_total_norm(slopes)
    worth = fitness(logits, norm, diversity_weight=game.diversity_weight, weight=weight)
    state.ranks.average([worth])
    return worth


@with_less_memory
def _judgement(
    state: GANState, x: Tensor, c: Tensor, z: Tensor, *, judge: int, game: Game, augment: Augment
) -> tuple[list[Tensor], Tensor, Tensor | float]:
    """Return the gradient in D's weights, and D's logits of fakes and their weight, on own samples."""
    state.let_D_learn(True)
    weights = state.learning
    slopes = [torch.zeros_like(w) for w in weights]
    answers = []
    with seeded(judge, x.device):
        for share, (x_i, c_i, z_i) in chunks(state.n_chunks, x, c, z, unit=state.pack):
            with torch.no_grad(), state.autocast():
                fake_i = state.G(z_i, c_i)
            logits, weight, _ = ask(state, torch.cat([x_i, fake_i]), torch.cat([c_i, c_i]), augment)
            cross_entropy = LOSSES["non-saturating"].discriminator(*logits.chunk(2))
            value = game.judged(cross_entropy, weight) * share
            found = torch.autograd.grad(value, weights, allow_unused=True)
            for total, slope in zip(slopes, found, strict=True):
                total += 0 if slope is None else slope
            answers.append(logits.detach().chunk(2)[1])
    state.let_D_learn(False)
    return slopes, torch.cat(answers), weight


def _heredity(state: GANState) -> list[Tensor]:
    """Return copies of all that a step of G changes: weights, statistics, moments."""
    return [t.detach().clone() for t in _changing(state)]


@torch.no_grad()
def _inherit(state: GANState, copies: list[Tensor]) -> None:
    for now, copy in zip(_changing(state), copies, strict=True):
        now.copy_(copy)


def _learning(state: GANState) -> list[Tensor]:
    return [p for p in state.G.parameters() if p.requires_grad]


def _changing(state: GANState) -> list[Tensor]:
    moments = [m for p in state.G.parameters() for m in state.opt_G.state[p].values()]
    return [*state.G.parameters(), *state.G.buffers(), *moments]
