"""Regularisers against discriminators whose slope is known."""

from collections.abc import Callable
from dataclasses import FrozenInstanceError

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradgradcheck
from torch.nn.utils.parametrize import is_parametrized

from ganaug.adversarial.regularizers import (
    DRAGAN,
    R1,
    R2,
    REGULARIZERS,
    Duel,
    GradientPenalty,
    LeCam,
    Regularizer,
    SpectralNorm,
    lazy_penalty,
    needs_gradient,
    resolve_regularizer,
)
from ganaug.errors import ConfigError

W = torch.tensor([1.0, 2.0, -2.0], dtype=torch.float64)
"""Weights of a linear D: its slope is 3 everywhere."""

PENALTIES = [name for name in REGULARIZERS if name != "spectral-norm"]


def linear(x: Tensor, c: Tensor) -> Tensor:
    return x @ W + c


def quadratic(x: Tensor, c: Tensor) -> Tensor:
    """Return a D whose gradient at x is x itself."""
    return x.square().sum(1) / 2


def small_conv(*, columns: int = 0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        head = nn.Linear(8, columns or 1)
        last = head if columns else nn.Sequential(head, nn.Flatten(0))
        return nn.Sequential(
            nn.Conv2d(2, 8, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(8, 8, 3, stride=2),
            nn.SiLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            last,
        )


def meet(D: Callable[[Tensor, Tensor], Tensor], real: Tensor, fake: Tensor, *, seed: int = 0) -> Duel:
    x_both = torch.cat([real, fake]).requires_grad_()
    c = torch.arange(len(real))
    return Duel(
        D=D,
        x_both=x_both,
        c=c,
        logits=D(x_both, torch.cat([c, c])),
        means=torch.tensor([0.5, -0.25], dtype=real.dtype),
        generator=torch.Generator().manual_seed(seed),
    )


def clouds(n: int = 5, *shape: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    real, fake = torch.randn(2, n, *(shape or (3,)), generator=generator, dtype=dtype)
    return real, 2 * fake + 1


@pytest.mark.parametrize(
    ("regularizer", "value"),
    [
        (R1(gamma=0.5), 0.5 / 2 * 9),
        (R2(gamma=0.5), 0.5 / 2 * 9),
        (GradientPenalty(weight=0.5), 0.5 * (3 - 1) ** 2),
        (DRAGAN(weight=0.5), 0.5 * (3 - 1) ** 2),
    ],
)
def test_a_linear_discriminator_has_one_slope_everywhere(regularizer: Regularizer, value: float) -> None:
    penalty = regularizer.penalty(meet(linear, *clouds()))
    torch.testing.assert_close(penalty, torch.full((5,), value, dtype=torch.float64))


def test_r1_looks_at_real_samples_and_r2_at_fake_ones() -> None:
    real, fake = clouds()
    duel = meet(quadratic, real, fake)
    torch.testing.assert_close(R1(gamma=2).penalty(duel), real.square().sum(1))
    torch.testing.assert_close(R2(gamma=2).penalty(duel), fake.square().sum(1))


def test_r1_and_r2_share_one_gradient() -> None:
    duel = meet(quadratic, *clouds())
    assert duel.slopes is duel.slopes
    assert lazy_penalty([R1(), R2()], duel, 0).shape == (5,)


def test_gradient_penalty_looks_at_the_lines_between_pairs_and_at_nothing_else() -> None:
    real, fake = torch.zeros(200, 1).double(), torch.full((200, 1), 4.0).double()
    seen = []

    def spy(x: Tensor, c: Tensor) -> Tensor:
        seen.append(x.detach())
        return quadratic(x, c)

    penalty = GradientPenalty(weight=1).penalty(meet(spy, real, fake))
    _, between = seen
    assert 0 <= between.min() < 0.2
    assert 3.8 < between.max() < 4
    torch.testing.assert_close(penalty, (between.squeeze() - 1) ** 2)


def test_gradient_penalty_takes_one_point_per_pair_for_all_of_its_values() -> None:
    real, fake = torch.zeros(4, 2, 3, 3), torch.ones(4, 2, 3, 3)
    seen = []

    def spy(x: Tensor, c: Tensor) -> Tensor:
        seen.append(x.detach())
        return x.flatten(1).sum(1)

    GradientPenalty().penalty(meet(spy, real, fake))
    shares = seen[1].flatten(1)
    assert torch.equal(shares, shares[:, :1].expand_as(shares))
    assert len(shares[:, 0].unique()) == 4


def test_dragan_looks_around_the_real_samples() -> None:
    real, fake = clouds(200)
    seen = []

    def spy(x: Tensor, c: Tensor) -> Tensor:
        seen.append(x.detach())
        return quadratic(x, c)

    penalty = DRAGAN(weight=1).penalty(meet(spy, real, fake))
    noise = (seen[1] - real) / real.std()
    assert 0.45 < noise.abs().max() < 0.51
    assert noise.mean().abs() < 0.05
    torch.testing.assert_close(penalty, (seen[1].norm(dim=1) - 1) ** 2)


def test_lecam_is_the_distance_from_the_other_sides_running_mean() -> None:
    duel = meet(linear, *clouds())
    real_logits, fake_logits = duel.logits.chunk(2)
    expected = 0.3 * ((real_logits + 0.25) ** 2 + (fake_logits - 0.5) ** 2)
    torch.testing.assert_close(LeCam().penalty(duel), expected)


@pytest.mark.parametrize("name", PENALTIES)
def test_several_logits_per_sample_give_one_penalty_per_pair(name: str) -> None:
    def three_times(x: Tensor, c: Tensor) -> Tensor:
        return linear(x, c)[:, None].expand(-1, 3) / (1 if name == "lecam" else 3)

    several = REGULARIZERS[name].penalty(meet(three_times, *clouds()))
    torch.testing.assert_close(several, REGULARIZERS[name].penalty(meet(linear, *clouds())))


@pytest.mark.parametrize("name", PENALTIES)
def test_second_derivatives_are_those_of_the_values(name: str) -> None:
    real, fake = clouds(2)

    def mean_penalty(weights: Tensor) -> Tensor:
        def curved(x: Tensor, c: Tensor) -> Tensor:
            return torch.tanh(x @ weights) + (x**2 @ weights.cos())

        return REGULARIZERS[name].penalty(meet(curved, real, fake)).sum()

    weights = W.clone().requires_grad_()
    assert torch.autograd.gradcheck(mean_penalty, (weights,))
    assert gradgradcheck(mean_penalty, (weights,))


@pytest.mark.parametrize("name", PENALTIES)
def test_a_flat_discriminator_has_a_finite_gradient(name: str) -> None:
    D = nn.Linear(3, 1).double()
    nn.init.zeros_(D.weight)
    REGULARIZERS[name].penalty(meet(lambda x, c: D(x).squeeze(1), *clouds())).mean().backward()
    assert D.weight.grad.isfinite().all()


def gradient_of(name: str, D: nn.Module, *, bfloat16: bool) -> tuple[Tensor, Tensor]:
    """Return the mean penalty, and its gradient in all weights of D."""

    def answer(x: Tensor, c: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            return D(x).float()

    D.zero_grad()
    penalty = lazy_penalty([REGULARIZERS[name]], meet(answer, *clouds(16, 2, 8, 8, dtype=torch.float32)), 0)
    penalty.mean().backward()
    grads = [p.grad.flatten() for p in D.parameters() if p.grad is not None]
    return penalty.mean().detach(), torch.cat(grads)


@pytest.mark.parametrize("columns", [0, 4])
@pytest.mark.parametrize("name", PENALTIES)
def test_penalties_reach_the_weights_also_in_bfloat16(name: str, columns: int) -> None:
    D = small_conv(columns=columns)
    value, grad = gradient_of(name, D, bfloat16=False)
    assert grad.isfinite().all()
    assert all(p.grad.abs().sum() > 0 for n, p in D.named_parameters() if n.endswith("weight"))
    coarse_value, coarse_grad = gradient_of(name, D, bfloat16=True)
    torch.testing.assert_close(coarse_value, value, rtol=0.05, atol=0)
    assert (coarse_grad - grad).norm() < 0.05 * grad.norm()


def test_a_lazy_penalty_keeps_its_mean_over_the_steps() -> None:
    duel = meet(quadratic, *clouds())
    eager, lazy = [R1(), LeCam()], [R1(every=4), LeCam(every=3)]
    steps = [lazy_penalty(lazy, duel, step) for step in range(12)]
    mean = sum(p for p in steps if p is not None) / 12
    torch.testing.assert_close(mean, lazy_penalty(eager, duel, 0))
    assert [step for step, p in enumerate(steps) if p is None] == [1, 2, 5, 7, 10, 11]


def test_only_slopes_need_a_gradient_and_only_when_due() -> None:
    assert needs_gradient([LeCam(), R1(every=2)], 0)
    assert not needs_gradient([LeCam(), R1(every=2)], 1)
    assert not needs_gradient([SpectralNorm()], 0)
    assert not needs_gradient([], 0)


@pytest.mark.parametrize("name", REGULARIZERS)
def test_what_needs_no_gradient_does_without_one(name: str) -> None:
    regularizer = REGULARIZERS[name]
    D = nn.Linear(3, 1).double()
    real, fake = clouds()
    c = torch.arange(5)
    duel = meet(lambda x, c: D(x).squeeze(1), real, fake)
    duel.x_both = torch.cat([real, fake]).requires_grad_(needs_gradient([regularizer], 0))
    duel.logits = duel.D(duel.x_both, c)
    penalty = lazy_penalty([regularizer], duel, 0)
    assert (penalty is None) == (name == "spectral-norm")


def test_nothing_due_is_none() -> None:
    duel = meet(linear, *clouds())
    assert lazy_penalty([], duel, 0) is None
    assert lazy_penalty([SpectralNorm()], duel, 0) is None
    assert lazy_penalty([R1(every=2)], duel, 1) is None


def test_a_seed_repeats_the_random_points() -> None:
    first, again, other = (GradientPenalty().penalty(meet(quadratic, *clouds(), seed=s)) for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_spectral_norm_makes_the_largest_singular_value_one() -> None:
    D = nn.ModuleList([nn.Conv2d(2, 4, 3), nn.Conv1d(2, 4, 3), nn.Linear(5, 4), nn.Embedding(6, 4)])
    SpectralNorm().prepare(D)
    for layer in D:
        for _ in range(300):
            weight = layer.weight  # each use in training refines the estimate
        assert torch.linalg.matrix_norm(weight.flatten(1), 2).item() == pytest.approx(1, abs=1e-3)


def test_spectral_norm_is_not_applied_twice() -> None:
    D = nn.Sequential(small_conv(), nn.utils.parametrizations.spectral_norm(nn.Linear(3, 3)))
    SpectralNorm().prepare(D)
    names = [n for n, _ in D.named_parameters()]
    SpectralNorm().prepare(D)
    assert [n for n, _ in D.named_parameters()] == names
    assert all(len(m.parametrizations["weight"]) == 1 for m in D.modules() if is_parametrized(m))
    assert sum(is_parametrized(m) for m in D.modules()) == 4


def test_other_layers_keep_their_weights() -> None:
    D = nn.Sequential(nn.BatchNorm1d(3), nn.LayerNorm(3), nn.Bilinear(3, 3, 1))
    SpectralNorm().prepare(D)
    assert not any(is_parametrized(m) for m in D.modules())


@pytest.mark.parametrize("name", PENALTIES)
def test_a_penalty_leaves_the_network_as_it_is(name: str) -> None:
    D = small_conv()
    REGULARIZERS[name].prepare(D)
    assert not any(is_parametrized(m) for m in D.modules())


def test_an_own_regularizer_is_a_class_with_one_method() -> None:
    class Centre(Regularizer):
        def penalty(self, duel: Duel) -> Tensor:
            return duel.logits.square().unflatten(0, (2, -1)).mean(0)

    own = Centre()
    assert resolve_regularizer(own) is own
    assert lazy_penalty([own], meet(linear, *clouds()), 7).shape == (5,)


def test_names_are_resolved_and_others_are_explained() -> None:
    assert resolve_regularizer("r1") is REGULARIZERS["r1"]
    with pytest.raises(ConfigError, match=r"got 'lekam'. Did you mean 'lecam'\?"):
        resolve_regularizer("lekam")
    with pytest.raises(ConfigError, match="must be a name in REGULARIZERS or a Regularizer; got 3"):
        resolve_regularizer(3)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (R1, {"gamma": -1}),
        (R2, {"gamma": float("nan")}),
        (R1, {"every": 0}),
        (LeCam, {"every": 1.5}),
        (DRAGAN, {"weight": "much"}),
        (GradientPenalty, {"weight": float("inf")}),
    ],
)
def test_a_number_outside_its_range_is_named(kind: type, values: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=rf"{next(iter(values))} must be .*; got"):
        kind(**values)


@pytest.mark.parametrize("name", REGULARIZERS)
def test_entries_cannot_change_and_can_be_written_down(name: str) -> None:
    entry = REGULARIZERS[name]
    assert eval(repr(entry)) == entry
    with pytest.raises(FrozenInstanceError):
        entry.every = 2
