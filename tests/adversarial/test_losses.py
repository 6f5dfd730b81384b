"""Losses against their closed forms."""

import math

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from ganaug.adversarial.losses import (
    LOSSES,
    Hinge,
    LeastSquares,
    Minimax,
    NonSaturating,
    Relativistic,
    Wasserstein,
)

LOGITS = torch.tensor([-3.0, -1.5, -0.5, 0.0, 0.5, 1.5, 3.0], dtype=torch.float64)
REAL, FAKE = (t.flatten() for t in torch.meshgrid(LOGITS, LOGITS, indexing="ij"))


def probability(logits: Tensor) -> Tensor:
    return 1 / (1 + (-logits).exp())


FORMULAS = {
    "minimax": (
        -probability(REAL).log() - (1 - probability(FAKE)).log(),
        (1 - probability(FAKE)).log(),
    ),
    "non-saturating": (
        -probability(REAL).log() - (1 - probability(FAKE)).log(),
        -probability(FAKE).log(),
    ),
    "logistic": (
        (1 + (-REAL).exp()).log() + (1 + FAKE.exp()).log(),
        (1 + (-FAKE).exp()).log(),
    ),
    "least-squares": (0.5 * (REAL - 1) ** 2 + 0.5 * FAKE**2, 0.5 * (FAKE - 1) ** 2),
    "hinge": ((1 - REAL).clamp(min=0) + (1 + FAKE).clamp(min=0), -FAKE),
    "wasserstein": (FAKE - REAL, -FAKE),
    "relativistic": (-probability(REAL - FAKE).log(), -probability(FAKE - REAL).log()),
}


@pytest.mark.parametrize("name", LOSSES)
def test_values_are_those_of_the_papers_formulas(name: str) -> None:
    of_D, of_G = FORMULAS[name]
    torch.testing.assert_close(LOSSES[name].discriminator(REAL, FAKE), of_D)
    torch.testing.assert_close(LOSSES[name].generator(REAL, FAKE), of_G)


def test_hinge_is_zero_past_the_margin_and_linear_before_it() -> None:
    real, fake = torch.tensor([2.0, 1.0, 0.0, -1.0]), torch.tensor([-2.0, -1.0, 0.0, 1.0])
    assert Hinge().discriminator(real, fake).tolist() == [0.0, 0.0, 2.0, 4.0]
    assert Hinge().generator(real, fake).tolist() == [2.0, 1.0, 0.0, -1.0]


def test_non_saturating_is_log_two_per_term_at_zero() -> None:
    zero = torch.zeros(1, dtype=torch.float64)
    assert NonSaturating().generator(zero, zero).item() == pytest.approx(math.log(2), rel=1e-12)
    assert NonSaturating().discriminator(zero, zero).item() == pytest.approx(2 * math.log(2), rel=1e-12)


def test_non_saturating_is_the_cross_entropy_of_real_as_one_and_fake_as_zero() -> None:
    entropy = torch.nn.BCEWithLogitsLoss(reduction="none")
    expected = entropy(REAL, torch.ones_like(REAL)) + entropy(FAKE, torch.zeros_like(FAKE))
    torch.testing.assert_close(NonSaturating().discriminator(REAL, FAKE), expected)
    torch.testing.assert_close(NonSaturating().generator(REAL, FAKE), entropy(FAKE, torch.ones_like(FAKE)))


def test_logistic_is_another_name_of_non_saturating() -> None:
    assert LOSSES["logistic"] is LOSSES["non-saturating"]


def test_minimax_is_a_zero_sum_game_in_the_fake_samples() -> None:
    of_D = Minimax().discriminator(REAL, FAKE) - Minimax().discriminator(REAL, torch.full_like(FAKE, -1e3))
    torch.testing.assert_close(Minimax().generator(REAL, FAKE), -of_D)


def test_a_losing_generator_is_pushed_by_the_non_saturating_loss_only() -> None:
    fake = torch.tensor([-50.0], requires_grad=True)
    (saturated,) = torch.autograd.grad(Minimax().generator(fake, fake).sum(), fake)
    (full,) = torch.autograd.grad(NonSaturating().generator(fake, fake).sum(), fake)
    assert full.item() == pytest.approx(-1, abs=1e-6)
    assert -1e-6 < saturated.item() < 0


def test_least_squares_pulls_back_what_is_too_real() -> None:
    fake = torch.tensor([3.0], requires_grad=True)
    LeastSquares().generator(fake, fake).sum().backward()
    assert fake.grad.item() == 2


def test_wasserstein_is_minus_the_gap_between_the_means() -> None:
    gap = REAL.mean() - FAKE.sub(2).mean()
    torch.testing.assert_close(Wasserstein().discriminator(REAL, FAKE - 2).mean(), -gap)


def test_relativistic_sees_nothing_but_differences() -> None:
    loss = Relativistic()
    torch.testing.assert_close(loss.discriminator(REAL + 5, FAKE + 5), loss.discriminator(REAL, FAKE))
    torch.testing.assert_close(loss.generator(REAL + 5, FAKE + 5), loss.generator(REAL, FAKE))
    torch.testing.assert_close(loss.generator(REAL, FAKE), loss.discriminator(FAKE, REAL))


@pytest.mark.parametrize("name", LOSSES)
def test_discriminator_wants_real_up_and_fake_down_and_generator_fake_up(name: str) -> None:
    real, fake = (torch.full((3,), 0.25, dtype=torch.float64, requires_grad=True) for _ in range(2))
    LOSSES[name].discriminator(real, fake).sum().backward()
    assert (real.grad < 0).all()
    assert (fake.grad > 0).all()
    fake.grad = None
    LOSSES[name].generator(real.detach(), fake).sum().backward()
    assert (fake.grad < 0).all()


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("shape", [(6,), (6, 1), (2, 3), (1, 2, 3)])
def test_each_element_has_its_own_value_in_any_shape(name: str, shape: tuple[int, ...]) -> None:
    real, fake = LOGITS[:6].reshape(shape), LOGITS.flip(0)[:6].reshape(shape)
    for player in (LOSSES[name].discriminator, LOSSES[name].generator):
        both = player(real, fake)
        assert both.shape == shape
        for r, f, value in zip(real.flatten(), fake.flatten(), both.flatten(), strict=True):
            torch.testing.assert_close(player(r, f), value, rtol=1e-14, atol=0)


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_those_of_the_values(name: str) -> None:
    real = LOGITS.clone().requires_grad_()
    fake = (LOGITS.flip(0) + 0.25).requires_grad_()
    assert gradcheck(LOSSES[name].discriminator, (real, fake))
    assert gradcheck(LOSSES[name].generator, (real.detach(), fake))


@pytest.mark.parametrize("name", LOSSES)
def test_extreme_logits_stay_finite(name: str) -> None:
    extreme = torch.tensor([-1e4, 1e4])
    assert LOSSES[name].discriminator(extreme, extreme.flip(0)).isfinite().all()
    assert LOSSES[name].generator(extreme, extreme.flip(0)).isfinite().all()
