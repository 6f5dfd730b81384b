"""Losses against their closed forms."""

import math

import pytest
import torch
from torch.autograd import gradcheck

from ganaug.adversarial.losses import LOSSES, Hinge, NonSaturating

LOGITS = torch.tensor([-3.0, -1.5, -0.5, 0.0, 0.5, 1.5, 3.0], dtype=torch.float64)


def test_hinge_is_zero_past_the_margin_and_linear_before_it() -> None:
    real, fake = torch.tensor([2.0, 1.0, 0.0, -1.0]), torch.tensor([-2.0, -1.0, 0.0, 1.0])
    assert Hinge().discriminator(real, fake).tolist() == [0.0, 0.0, 2.0, 4.0]
    assert Hinge().generator(fake).tolist() == [2.0, 1.0, 0.0, -1.0]


def test_non_saturating_is_log_two_per_term_at_zero() -> None:
    zero = torch.zeros(1, dtype=torch.float64)
    assert NonSaturating().generator(zero).item() == pytest.approx(math.log(2), rel=1e-12)
    assert NonSaturating().discriminator(zero, zero).item() == pytest.approx(2 * math.log(2), rel=1e-12)


def test_non_saturating_is_the_cross_entropy_of_real_as_one_and_fake_as_zero() -> None:
    entropy = torch.nn.BCEWithLogitsLoss(reduction="none")
    expected = entropy(LOGITS, torch.ones(7).double()) + entropy(LOGITS.flip(0), torch.zeros(7).double())
    torch.testing.assert_close(NonSaturating().discriminator(LOGITS, LOGITS.flip(0)), expected)
    torch.testing.assert_close(NonSaturating().generator(LOGITS), entropy(LOGITS, torch.ones(7).double()))


def test_non_saturating_pushes_a_losing_generator_at_full_strength() -> None:
    fake = torch.tensor([-50.0], requires_grad=True)
    NonSaturating().generator(fake).sum().backward()
    assert fake.grad.item() == pytest.approx(-1, abs=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_discriminator_wants_real_up_and_fake_down_and_generator_fake_up(name: str) -> None:
    real, fake = (torch.full((3,), 0.25, dtype=torch.float64, requires_grad=True) for _ in range(2))
    LOSSES[name].discriminator(real, fake).sum().backward()
    assert (real.grad < 0).all()
    assert (fake.grad > 0).all()
    fake.grad = None
    LOSSES[name].generator(fake).sum().backward()
    assert (fake.grad < 0).all()


@pytest.mark.parametrize("name", LOSSES)
def test_each_sample_has_its_own_value(name: str) -> None:
    loss = LOSSES[name]
    both = loss.discriminator(LOGITS, LOGITS.flip(0))
    assert both.shape == loss.generator(LOGITS).shape == LOGITS.shape
    for i in range(len(LOGITS)):
        alone = loss.discriminator(LOGITS[i : i + 1], LOGITS.flip(0)[i : i + 1])
        torch.testing.assert_close(alone, both[i : i + 1], rtol=0, atol=0)


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_those_of_the_values(name: str) -> None:
    real = LOGITS.clone().requires_grad_()
    fake = (LOGITS.flip(0) + 0.25).requires_grad_()
    assert gradcheck(LOSSES[name].discriminator, (real, fake))
    assert gradcheck(LOSSES[name].generator, (fake,))


@pytest.mark.parametrize("name", LOSSES)
def test_extreme_logits_stay_finite(name: str) -> None:
    extreme = torch.tensor([-1e4, 1e4])
    assert LOSSES[name].discriminator(extreme, extreme.flip(0)).isfinite().all()
    assert LOSSES[name].generator(extreme).isfinite().all()
