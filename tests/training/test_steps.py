"""Each step moves one player, by the loss it is given."""

import copy
from dataclasses import replace
from functools import partial

import pytest
import torch
from play import copied, fresh, identity, moved, play, small
from torch import Tensor, nn

from ganaug.adversarial.losses import LOSSES, Hinge
from ganaug.adversarial.regularizers import DRAGAN, R1, R2, REGULARIZERS, GradientPenalty, LeCam
from ganaug.config import GANConfig
from ganaug.networks import CONDITIONING, Answer, mlp
from ganaug.training.game import Game, resolve_game
from ganaug.training.state import GANState
from ganaug.training.steps import chunks, discriminator_step, generator_step

C = torch.tensor([0, 1] * 8)
SMALL = small(width=8)


def real_batch() -> Tensor:
    return torch.rand(16, 1, 8, 8, generator=torch.Generator().manual_seed(1)) * 2 - 1


def noise() -> Tensor:
    return torch.randn(16, 8, generator=torch.Generator().manual_seed(2))


def d_step(state: GANState, x_fake: Tensor, game: Game, **options) -> tuple[dict[str, Tensor], Tensor]:
    generator = torch.Generator().manual_seed(3)
    options = {"augment": identity, "generator": generator, **options}
    return discriminator_step(state, real_batch(), x_fake, C, game=game, **options)


def g_step(
    state: GANState, x_fake: Tensor, real_logits: Tensor, game: Game, augment=identity
) -> dict[str, Tensor]:
    return generator_step(
        state, real_batch(), x_fake, C, game=game, augment=augment, z=noise(), real_logits=real_logits
    )


CASES = {
    **{f"{net}, {name}": {"network": net, "loss": name} for net in ("resnet", "mlp") for name in LOSSES},
    **{f"regularizer {name}": {"regularizers": (name,)} for name in REGULARIZERS},
    **{f"conditioning {name}": {"conditioning": name} for name in CONDITIONING},
    "three penalties": {"regularizers": ("r1", "r2", "lecam"), "loss": "relativistic", "network": "r3gan"},
    "a penalty and two judges": {"regularizers": ("r1", "lecam"), "conditioning": "transitional"},
    "style": {"network": "style"},
}


@pytest.mark.parametrize("case", CASES)
def test_a_d_step_moves_all_of_d_and_nothing_of_g(case: str) -> None:
    config = replace(SMALL, **CASES[case])
    state = fresh(config)
    x_fake = state.G(noise(), C)
    G, D, G_ema = copied(state.G), copied(state.D), copied(state.G_ema)
    stats, real_logits = d_step(state, x_fake, resolve_game(config))
    assert moved(state.G, G) == moved(state.G_ema, G_ema) == set()
    with_slope = {n for n, p in state.D.named_parameters() if p.grad is not None and p.grad.abs().max() > 0}
    assert with_slope <= moved(state.D, D)
    assert {n for n, _ in state.D.named_parameters() if n.endswith("weight")} <= with_slope
    assert all(p.grad is None for p in state.G.parameters())
    assert all(torch.isfinite(value) for value in stats.values())
    assert len(real_logits) == 16
    assert not real_logits.requires_grad


@pytest.mark.parametrize("case", CASES)
def test_a_g_step_moves_all_of_g_and_nothing_of_d_not_even_its_spectral_norm(case: str) -> None:
    config = replace(SMALL, **CASES[case])
    state, game = fresh(config), resolve_game(config)
    x_fake = state.G(noise(), C)
    _, real_logits = d_step(state, x_fake, game)
    G, D, G_ema = copied(state.G), copied(state.D), copied(state.G_ema)
    g_step(state, x_fake, real_logits, game)
    assert moved(state.D, D) == moved(state.G_ema, G_ema) == set()
    with_slope = {n for n, p in state.G.named_parameters() if p.grad is not None and p.grad.abs().max() > 0}
    assert {n for n, _ in state.G.named_parameters() if n.endswith("weight")} <= with_slope
    assert with_slope <= moved(state.G, G)


@pytest.mark.parametrize("kind", [GradientPenalty, DRAGAN, R1, R2, LeCam])
def test_a_lazy_penalty_comes_every_fourth_step_four_times_as_strong(kind: type) -> None:
    start = fresh(replace(SMALL, regularizers=()))
    x_fake = start.G(noise(), C)
    slopes = {}
    for name, regularizers, step in (
        ("plain", (), 0),
        ("always", (kind(),), 4),
        ("due", (kind(every=4),), 4),
        ("not due", (kind(every=4),), 5),
    ):
        state = copy.deepcopy(start)
        stats, _ = d_step(state, x_fake, Game(loss=Hinge(), regularizers=regularizers), step=step)
        assert ("penalty" in stats) == (name in ("always", "due"))
        slopes[name] = torch.cat([p.grad.flatten() for p in state.D.parameters() if p.grad is not None])
    assert torch.equal(slopes["not due"], slopes["plain"])
    extra, lazy = slopes["always"] - slopes["plain"], slopes["due"] - slopes["plain"]
    assert extra.norm() > 0
    torch.testing.assert_close(lazy, 4 * extra, rtol=1e-3, atol=1e-5)


def test_d_learns_to_tell_a_fixed_batch_apart_and_g_to_undo_it() -> None:
    state, game = fresh(SMALL), Game(loss=LOSSES["non-saturating"])
    z, x_fake = noise(), fresh(SMALL).G(noise(), C)
    first, *_, last = (d_step(state, x_fake, game)[0] for _ in range(60))
    assert last["loss/D"] < 0.85 * first["loss/D"]
    assert last["logits/real"] > last["logits/fake"]
    first, *_, last = (g_step(state, state.G(z, C), torch.zeros(16), game) for _ in range(60))
    assert last["loss/G"] < 0.95 * first["loss/G"]


def test_the_reported_figures_are_those_of_the_answers_before_the_step() -> None:
    state = fresh(SMALL)
    x_fake = state.G(noise(), C).detach()
    D = copy.deepcopy(state.D).train()
    logits = D(torch.cat([real_batch(), x_fake]), torch.cat([C, C])).detach()
    stats, real_logits = d_step(state, x_fake, Game(loss=LOSSES["hinge"]))
    torch.testing.assert_close(stats["loss/D"], LOSSES["hinge"].discriminator(*logits.chunk(2)).mean())
    torch.testing.assert_close(stats["logits/real"], logits[:16].mean())
    torch.testing.assert_close(stats["logits/fake"], logits[16:].mean())
    torch.testing.assert_close(stats["right/real"], (logits[:16] > 0).float().mean())
    torch.testing.assert_close(stats["right/fake"], (logits[16:] < 0).float().mean())
    torch.testing.assert_close(real_logits, logits[:16])
    slopes = [p.grad for p in state.D.parameters() if p.grad is not None]
    torch.testing.assert_close(stats["gradient/D"], nn.utils.get_total_norm(slopes))


def test_real_and_fake_go_through_one_call_of_the_augmentation_real_first() -> None:
    state, game = fresh(SMALL), Game(loss=LOSSES["hinge"])
    seen: list[Tensor] = []

    def spy(x: Tensor) -> Tensor:
        seen.append(x.detach().clone())
        return x

    x_fake = state.G(noise(), C)
    _, real_logits = d_step(state, x_fake, game, augment=spy)
    assert len(seen) == 1
    torch.testing.assert_close(seen[0], torch.cat([real_batch(), x_fake.detach()]))
    g_step(state, x_fake, real_logits, game, augment=spy)
    torch.testing.assert_close(seen[1], x_fake.detach())


def test_a_relativistic_g_is_compared_with_the_real_logits_of_its_own_pairs() -> None:
    state, game = fresh(SMALL), Game(loss=LOSSES["relativistic"])
    x_fake = state.G(noise(), C)
    real_logits = torch.linspace(-3, 3, 16)
    fake_logits = state.D.eval()(x_fake, C).detach()
    stats = g_step(state, x_fake, real_logits, game)
    torch.testing.assert_close(stats["loss/G"], nn.functional.softplus(real_logits - fake_logits).mean())


def test_both_players_pay_for_the_class_that_the_auxiliary_head_does_not_see() -> None:
    state, game = fresh(replace(SMALL, conditioning="auxiliary", regularizers=())), Game(loss=Hinge())
    x_fake = state.G(noise(), C)
    both = torch.cat([real_batch(), x_fake.detach()])
    answer = state.D.train()(both, torch.cat([C, C]))
    hinge = Hinge().discriminator(*answer.logits.detach().chunk(2)).mean()
    costs = answer.cost.detach().chunk(2)
    stats, real_logits = d_step(state, x_fake, game)
    torch.testing.assert_close(stats["loss/D"], hinge + costs[0].mean() + costs[1].mean())
    answer = state.D.eval()(x_fake, C)
    expected = -answer.logits.mean() + answer.cost.mean()
    torch.testing.assert_close(g_step(state, x_fake, real_logits, game)["loss/G"], expected.detach())


def test_the_conditional_judge_of_a_transition_counts_by_its_weight() -> None:
    config = replace(SMALL, conditioning="transitional", regularizers=())
    state, game = fresh(config), Game(loss=Hinge())
    state.at(0)
    x_fake = state.G(noise(), C)
    G, D = copied(state.G), copied(state.D)
    _, real_logits = d_step(state, x_fake, game)
    assert real_logits.shape == (16, 2)
    g_step(state, x_fake, real_logits, game)
    assert not any(name.startswith("head.projection") for name in moved(state.D, D))
    assert "embed.embed.weight" not in moved(state.G, G)


@pytest.mark.parametrize("penalty", [R1(gamma=10), R2(gamma=10), LeCam(), GradientPenalty(), DRAGAN()])
def test_a_penalty_counts_a_judge_by_its_weight(penalty) -> None:
    for images_seen, counts in ((0, False), (10**6, True)):
        state = fresh(replace(SMALL, conditioning="transitional", regularizers=()))
        state.at(images_seen)
        state.logit_means = torch.tensor([1.0, -1.0])
        silent = Game(loss=Silent(), regularizers=(penalty,))
        stats, _ = d_step(state, state.G(noise(), C), silent)
        slopes = {n: float(p.grad.abs().max()) for n, p in state.D.named_parameters() if p.grad is not None}
        assert stats["penalty"] > 0
        assert slopes["head.unconditional.weight"] > 0
        judged = [slope for n, slope in slopes.items() if n.startswith("head.projection") and slope > 0]
        assert bool(judged) == counts


class Silent(Hinge):
    """A loss that leaves D's slopes to the penalties."""

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return super().discriminator(real_logits, fake_logits) * 0


class Judge(nn.Module):
    """A D with one answer for the first half of a batch, and another for the second."""

    def __init__(self, real: float, fake: float, weight: tuple[float, ...] = ()):
        super().__init__()
        self.real, self.fake, self.judges = real, fake, weight
        self.offset = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, c: Tensor) -> Tensor | Answer:
        answers = torch.tensor([self.real, self.fake]).repeat_interleave(len(x) // 2)
        logits = answers + 0 * (self.offset + x.flatten(1).sum(1))
        if not self.judges:
            return logits
        columns = logits[:, None].repeat(1, len(self.judges))
        return Answer(logits=columns, weight=torch.tensor(self.judges), cost=torch.zeros(len(x)))


def judged_by(D: nn.Module, **changes) -> GANConfig:
    pair = {"network": lambda **sizes: (mlp(**sizes)[0], D)}
    return small(**{"loss": "least-squares", "regularizers": (), **pair, **changes})


RIGHT = [((1.0, 0.0), 1.0), ((0.4, 0.6), 0.0), ((0.6, 0.4), 1.0)]


@pytest.mark.parametrize(("answers", "right"), RIGHT)
def test_a_d_of_squares_is_right_on_its_side_of_one_half(answers, right: float) -> None:
    config = judged_by(Judge(*answers))
    state = fresh(config)
    stats, _ = d_step(state, state.G(noise(), C), resolve_game(config))
    assert (stats["right/real"], stats["right/fake"]) == (right, right)
    torch.testing.assert_close(state.sign_mean, torch.tensor(0.05 * (2 * right - 1)))


@pytest.mark.parametrize("weight", [(1.0, 1.0), (1.0, 0.5), (1.0, 0.0)])
def test_a_d_of_squares_is_as_right_where_a_judge_has_little_weight(weight) -> None:
    config = judged_by(Judge(1.0, 0.0, weight))
    state = fresh(config)
    stats, _ = d_step(state, state.G(noise(), C), resolve_game(config))
    assert (stats["right/real"], stats["right/fake"]) == (1, 1)


@pytest.mark.parametrize(("answers", "right"), RIGHT)
def test_augmentation_adapts_to_how_often_a_d_of_squares_is_right(answers, right: float) -> None:
    config = judged_by(Judge(*answers), ada_target=0.0, ada_ramp_images=640)
    state, _ = play(config)
    torch.testing.assert_close(state.augment_p, torch.tensor(right * 64 / 640))


class Plain(nn.Module):
    """A generator without batch statistics."""

    def __init__(self, z_dim: int, shape: tuple[int, ...]):
        super().__init__()
        self.shape = shape
        self.embed = nn.Embedding(2, z_dim)
        self.out = nn.Linear(z_dim, 64)

    def forward(self, z: Tensor, c: Tensor) -> Tensor:
        return self.out(z + self.embed(c)).tanh().unflatten(1, self.shape)


def plain_pair(*, conditioning, shape, n_classes, z_dim, width):
    _, D = mlp(shape=shape, n_classes=n_classes, z_dim=z_dim, width=width, conditioning=conditioning)
    return Plain(z_dim, shape), D


@pytest.mark.parametrize("n_chunks", [2, 4])
@pytest.mark.parametrize("conditioning", ["projection", "auxiliary", "transitional"])
def test_gradients_of_the_pieces_of_a_batch_add_up_to_that_of_the_batch(n_chunks, conditioning) -> None:
    config = replace(SMALL, network=plain_pair, conditioning=conditioning, regularizers=())
    game = Game(loss=LOSSES["non-saturating"], regularizers=(R1(gamma=10), R2(), LeCam()))
    slopes, weights, figures = [], [], []
    for n in (1, n_chunks):
        state = fresh(config)
        state.n_chunks = n
        x_fake = state.G(noise(), C)
        stats, real_logits = d_step(state, x_fake, game)
        stats |= g_step(state, x_fake if n == 1 else x_fake.detach(), real_logits, game)
        players = [*state.D.parameters(), *state.G.parameters()]
        slopes.append(torch.cat([p.grad.flatten() for p in players]))
        weights.append(torch.cat([p.detach().flatten() for p in players]))
        figures.append(stats)
    torch.testing.assert_close(slopes[1], slopes[0], rtol=1e-4, atol=1e-6)
    clear = slopes[0].abs() > 1e-4  # Adam's first step divides rounding by rounding where there is no slope
    assert clear.float().mean() > 0.5
    torch.testing.assert_close(weights[1][clear], weights[0][clear], rtol=0, atol=1e-6)
    for name, value in figures[0].items():
        torch.testing.assert_close(figures[1][name], value, rtol=1e-4, atol=1e-5)


def test_pieces_cover_a_batch_that_does_not_divide_evenly() -> None:
    pieces = list(chunks(4, torch.arange(10), torch.arange(10) * 2))
    assert torch.cat([a for _, (a, _) in pieces]).tolist() == list(range(10))
    assert sum(share for share, _ in pieces) == pytest.approx(1)
    assert [share for share, _ in pieces] == [len(a) / 10 for _, (a, _) in pieces]


class Broken(Hinge):
    """A hinge whose two sides may be no number."""

    def __init__(self, *, d: float = 1.0, g: float = 1.0):
        self.d, self.g = d, g

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return super().discriminator(real_logits, fake_logits) * self.d

    def generator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return super().generator(real_logits, fake_logits) * self.g


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_gradient_that_is_not_finite_leaves_weights_and_moments_alone(value: float) -> None:
    state, game = fresh(replace(SMALL, regularizers=())), Game(loss=Broken(d=value, g=value))
    moments = {n: v.clone() for n, v in state.tensors().items() if n.startswith("opt_")}
    x_fake = state.G(noise(), C)
    G, D = copied(state.G), copied(state.D)
    stats, real_logits = d_step(state, x_fake, game)
    stats |= g_step(state, x_fake, real_logits, game)
    assert moved(state.D, D) == moved(state.G, G) == set()
    assert not torch.isfinite(stats["gradient/D"])
    assert not torch.isfinite(stats["gradient/G"])
    assert all(torch.equal(state.tensors()[n], v) for n, v in moments.items())


def test_a_gradient_longer_than_the_limit_is_cut_to_it_and_reported_as_it_was() -> None:
    norms = {}
    for clip_norm in (None, 1e-3, 1e9):
        state = fresh(replace(SMALL, regularizers=()))
        game = Game(loss=Broken(d=50, g=50), clip_norm=clip_norm)
        x_fake = state.G(noise(), C)
        stats, real_logits = d_step(state, x_fake, game)
        stats |= g_step(state, x_fake, real_logits, game)
        players = {"D": state.D, "G": state.G}
        for name, player in players.items():
            after = nn.utils.get_total_norm([p.grad for p in player.parameters() if p.grad is not None])
            norms[name, clip_norm] = (float(stats[f"gradient/{name}"]), float(after))
    for name in "DG":
        free = norms[name, None][0]
        assert free > 1e-2
        assert norms[name, 1e-3] == pytest.approx((free, 1e-3), rel=1e-2)
        assert norms[name, 1e9] == pytest.approx((free, free))


def test_running_figures_of_the_logits_follow_the_judges() -> None:
    state, game = fresh(SMALL), Game(loss=Hinge())
    x_fake = state.G(noise(), C)
    stats, _ = d_step(state, x_fake, game)
    expected = 0.01 * torch.stack([stats["logits/real"], stats["logits/fake"]])
    torch.testing.assert_close(state.logit_means, expected)
    torch.testing.assert_close(state.sign_mean, 0.05 * (2 * stats["right/real"] - 1))


def test_lecam_holds_logits_to_the_running_means_from_before_the_step() -> None:
    state = fresh(replace(SMALL, regularizers=()))
    state.logit_means = torch.tensor([2.0, -3.0])
    x_fake = state.G(noise(), C)
    logits = state.D.train()(torch.cat([real_batch(), x_fake.detach()]), torch.cat([C, C])).detach()
    stats, _ = d_step(state, x_fake, Game(loss=Hinge(), regularizers=(LeCam(weight=0.5),)))
    expected = 0.5 * ((logits[:16] + 3) ** 2 + (logits[16:] - 2) ** 2).mean()
    torch.testing.assert_close(stats["penalty"], expected)


def half_frozen_pair(**sizes):
    G, D = mlp(**sizes)
    D.hidden[0].requires_grad_(False)
    return G, D


@pytest.mark.parametrize("regularizers", [(), ("spectral-norm",), ("r1", "gradient-penalty")])
@pytest.mark.parametrize("mutations", [(), ("heuristic", "minimax")])
def test_what_its_author_froze_in_d_stays_frozen(regularizers, mutations) -> None:
    config = small(network=half_frozen_pair, loss="logistic", regularizers=regularizers, mutations=mutations)
    state = fresh(config)
    before = {n: p.detach().clone() for n, p in state.D.named_parameters()}
    frozen = {n for n, p in state.D.named_parameters() if not p.requires_grad}
    assert len(frozen) == 2
    play(config, state=state)
    for name, weight in state.D.named_parameters():
        assert torch.equal(weight, before[name]) == (name in frozen), name
        assert name not in frozen or not weight.requires_grad


def test_names_of_a_config_become_the_objects_they_stand_for() -> None:
    mine = Broken()
    config = GANConfig(loss=mine, regularizers=("r1", LeCam(weight=2)), mutations=("heuristic",))
    game = resolve_game(config)
    assert game.loss is mine
    assert game.regularizers == (R1(), LeCam(weight=2))
    assert game.policy == ("translation",)
    assert resolve_game(config, images=False).policy == ()
    assert isinstance(partial(resolve_game, GANConfig(loss="hinge"))().loss, Hinge)


@pytest.mark.parametrize(
    ("precision", "batch_size", "pack", "expected"),
    [
        ("float32", 64, 1, False),
        ("bfloat16", 4, 1, True),
        ("auto", 8, 1, False),
        ("auto", 64, 8, False),
        ("auto", 16, 1, bool(getattr(torch.cpu, "get_capabilities", dict)().get("avx512_bf16"))),
    ],
)
def test_small_batches_are_in_float32_unless_told_otherwise(precision, batch_size, pack, expected):
    config = replace(small(), precision=precision, batch_size=batch_size, pack=pack)
    assert fresh(config).bfloat16 == expected
