"""E-GAN's step: one parent, a child per mutation, the fittest lives, and nothing else has moved."""

import copy
from itertools import permutations

import pytest
import torch
from play import copied, digest, fresh, identity, moved, small
from torch import Tensor, nn

from ganaug.adversarial.losses import NonSaturating
from ganaug.adversarial.mutations import MUTATIONS
from ganaug.networks import mlp
from ganaug.training import evolution
from ganaug.training.evolution import evolution_step
from ganaug.training.game import Game
from ganaug.training.state import GANState
from ganaug.training.steps import discriminator_step, generator_step

C = torch.tensor([0, 1] * 8)
NAMES = tuple(MUTATIONS)


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


X = drawn(1, 16, 1, 8, 8).tanh()


def started(seed: int = 0, **changes) -> GANState:
    """Return a state after one step of each player, so that moments are not zero."""
    state = fresh(small(**changes), seed=seed)
    game = Game(loss=NonSaturating())
    x_fake = state.G(drawn(2, 16, 8), C)
    _, real_logits = discriminator_step(
        state, X, x_fake, C, game=game, augment=identity, generator=torch.Generator()
    )
    generator_step(
        state, X, x_fake, C, game=game, augment=identity, z=drawn(2, 16, 8), real_logits=real_logits
    )
    return state


def evolve(state: GANState, names: tuple[str, ...] = NAMES, weight: float = 0.01) -> dict[str, Tensor]:
    game = Game(loss=NonSaturating(), mutations=names, diversity_weight=weight)
    z = drawn(3, 16, 8)
    x_fake = state.G(z, C)
    return evolution_step(state, X, x_fake, C, z, drawn(4, 16, 8), game=game, augment=identity)


def by_hand(parent: GANState, name: str, weight: float) -> tuple[float, GANState]:
    """Return what a child is worth, and the child."""
    child = copy.deepcopy(parent)
    child.D.eval()
    p = child.D(child.G(drawn(3, 16, 8), C), C).sigmoid()
    value = {
        "minimax": (1 - p).log().mean(),
        "heuristic": -p.log().mean(),
        "least-squares": ((p - 1) ** 2).mean(),
    }[name]
    child.opt_G.zero_grad()
    value.backward()
    child.opt_G.step()
    with torch.no_grad():
        x_fake = child.G(drawn(4, 16, 8), C)
    child.D.requires_grad_(True).zero_grad()
    real, fake = child.D(X, C).sigmoid(), child.D(x_fake, C).sigmoid()
    (-real.log().mean() - (1 - fake).log().mean()).backward()
    norm = torch.cat([w.grad.flatten() for w in child.D.parameters() if w.grad is not None]).norm()
    return float((fake.mean() - weight * norm.log()).detach()), child


def heredity(state: GANState) -> dict[str, Tensor]:
    return {n: v for n, v in state.tensors().items() if n.startswith(("G.", "opt_G."))}


@pytest.mark.parametrize("weight", [0.0, 0.01, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_g_becomes_the_fittest_of_the_children_computed_by_hand(seed: int, weight: float) -> None:
    state = started(seed)
    children = {name: by_hand(state, name, weight) for name in NAMES}
    stats = evolve(state, weight=weight)
    fittest = max(children, key=lambda name: children[name][0])
    assert {name: float(stats[f"mutation/{name}"]) for name in NAMES} == {
        name: float(name == fittest) for name in NAMES
    }
    assert float(stats["fitness"]) == pytest.approx(children[fittest][0], abs=1e-5)
    expected = heredity(children[fittest][1])
    for name, value in heredity(state).items():
        if not name.endswith(".0.bias"):  # batch norm cancels it: Adam divides rounding by rounding
            tolerance = 1e-4 if name.endswith("running_mean") else 2e-6
            torch.testing.assert_close(value, expected[name], rtol=1e-4, atol=tolerance, msg=name)
    nearest = min(
        NAMES, key=lambda name: sum(
            float((value - heredity(children[name][1])[key]).abs().sum())
            for key, value in heredity(state).items()
        )
    )  # fmt: skip
    assert nearest == fittest


@pytest.mark.parametrize("network", ["mlp", "resnet", "style"])
@pytest.mark.parametrize("conditioning", ["projection", "auxiliary", "transitional"])
def test_nothing_but_g_and_its_moments_moves(network: str, conditioning: str) -> None:
    state = started(network=network, conditioning=conditioning)
    others = {n: v.clone() for n, v in state.tensors().items() if not n.startswith(("G.", "opt_G."))}
    weights = copied(state.G)
    evolve(state)
    assert digest({n: state.tensors()[n] for n in others}) == digest(others)
    assert {n for n, _ in state.G.named_parameters() if n.endswith("weight")} <= moved(state.G, weights)
    assert all(p.grad is None for p in state.D.parameters()) or state.D.training is False


def test_siblings_leave_no_trace_in_the_one_that_lives() -> None:
    together = started()
    stats = evolve(together)
    (winner,) = [name for name in NAMES if stats[f"mutation/{name}"] == 1]
    alone = started()
    evolve(alone, (winner,))
    assert digest(heredity(together)) == digest(heredity(alone))
    for order in permutations(NAMES):
        state = started()
        evolve(state, order)
        assert digest(heredity(state)) == digest(heredity(alone))


def test_a_child_inherits_the_moments_and_counts_one_step() -> None:
    state = started()
    before = {n: v.clone() for n, v in state.tensors().items() if n.startswith("opt_G.")}
    evolve(state)
    after = state.tensors()
    assert {float(after[n] - v) for n, v in before.items() if n.endswith(".step")} == {1.0}
    slopes = [p.grad for p in state.G.parameters()]
    assert len(slopes) == len([n for n in before if n.endswith(".step")])
    kept = [0.9 * v <= after[n] + 1e-12 for n, v in before.items() if n.endswith("exp_avg_sq")]
    assert all(k.all() for k in kept)  # the second moment keeps nine tenths of the parent's


def test_the_heuristic_alone_is_the_non_saturating_step() -> None:
    evolved, stepped = started(), started()
    stats = evolve(evolved, ("heuristic",))
    expected = generator_step(
        stepped,
        X,
        stepped.G(drawn(3, 16, 8), C),
        C,
        game=Game(loss=NonSaturating()),
        augment=identity,
        z=drawn(3, 16, 8),
        real_logits=torch.zeros(16),
    )
    torch.testing.assert_close(stats["loss/G"], expected["loss/G"])
    torch.testing.assert_close(stats["gradient/G"], expected["gradient/G"])
    for (name, a), (_, b) in zip(evolved.G.named_parameters(), stepped.G.named_parameters(), strict=True):
        if not name.endswith(".0.bias"):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-6, msg=name)
    for a, b in zip(evolved.opt_G.state.values(), stepped.opt_G.state.values(), strict=True):
        torch.testing.assert_close(a["exp_avg_sq"], b["exp_avg_sq"], rtol=1e-5, atol=1e-9)


def test_an_unborn_class_weighs_nothing_in_the_mutations_of_a_transition() -> None:
    """Before the transition starts, the conditional judge must not teach G."""
    state = started(conditioning="transitional")
    state.at(0)
    other = copy.deepcopy(state)
    with torch.no_grad():
        other.D.head.projection.linear.bias += 5.0  # only the judge that has no weight yet
    evolve(state, ("heuristic",))
    evolve(other, ("heuristic",))
    for (name, a), (_, b) in zip(state.G.named_parameters(), other.G.named_parameters(), strict=True):
        if not name.endswith(".0.bias"):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-6, msg=name)


def test_a_child_that_is_no_number_does_not_live(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MUTATIONS, "minimax", lambda logits: logits * float("nan"))
    state = started()
    evolve(state)
    assert all(torch.isfinite(p).all() for p in state.G.parameters())


def test_clipping_reaches_the_children() -> None:
    state = started()
    game = Game(loss=NonSaturating(), mutations=("heuristic",), clip_norm=1e-4)
    z = drawn(3, 16, 8)
    stats = evolution_step(state, X, state.G(z, C), C, z, drawn(4, 16, 8), game=game, augment=identity)
    assert stats["gradient/G"] > 1e-3
    norm = nn.utils.get_total_norm([p.grad for p in state.G.parameters()])
    assert float(norm) == pytest.approx(1e-4, rel=1e-2)


class Restless(nn.Module):
    """A generator with noise of its own, drawn anew at each call."""

    def __init__(self, G: nn.Module):
        super().__init__()
        self.G = G

    def forward(self, z: Tensor, c: Tensor) -> Tensor:
        x = self.G(z, c)
        return x + 0.5 * torch.randn_like(x)


def restless_pair(**sizes):
    G, D = mlp(**sizes)
    return Restless(G), D


def test_children_are_judged_on_the_same_noise_also_of_modules_that_draw_their_own(monkeypatch) -> None:
    state = started(network=restless_pair, lr_G=1e-12)
    worths = []

    def noted(*args, **options) -> Tensor:
        worths.append(evolution._worth_itself(*args, **options))
        return worths[-1]

    monkeypatch.setattr(evolution, "_worth_itself", evolution._worth, raising=False)
    monkeypatch.setattr(evolution, "_worth", noted)
    evolve(state)
    assert len(worths) == 3
    torch.testing.assert_close(torch.stack(worths), worths[0].expand(3), rtol=1e-5, atol=1e-5)
