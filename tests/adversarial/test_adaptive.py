"""Adaptive augmentation: p follows D's overfitting."""

import pytest
import torch

from ganaug.adversarial.adaptive import adapt_probability

RULE = {"target": 0.6, "batch_size": 50, "ramp_images": 1000}


def adapted(start: float, sign_mean: float, n_steps: int) -> float:
    p = torch.tensor(start)
    for _ in range(n_steps):
        p = adapt_probability(p, torch.tensor(sign_mean), **RULE)
    return p.item()


def test_a_discriminator_that_knows_all_real_samples_ramps_p_up_in_the_given_time() -> None:
    assert adapted(0, 1, 10) == pytest.approx(0.5)
    assert adapted(0, 1, 20) == pytest.approx(1)


def test_an_honest_discriminator_ramps_p_down() -> None:
    assert adapted(1, 0, 10) == pytest.approx(0.5)
    assert adapted(1, 0, 20) == pytest.approx(0, abs=1e-6)


def test_p_stays_a_probability() -> None:
    assert adapted(0.98, 1, 3) == 1
    assert adapted(0.02, -1, 3) == 0


def test_p_rests_on_target() -> None:
    assert adapt_probability(torch.tensor(0.25), torch.tensor(0.5), **RULE | {"target": 0.5}) == 0.25


def test_p_settles_where_the_overfitting_is_on_target() -> None:
    p = torch.tensor(0.0)
    for _ in range(100):
        overfitting = 1 - p  # the more augmentation, the less of it
        p = adapt_probability(p, overfitting, **RULE)
    assert p.item() == pytest.approx(0.4, abs=0.051)
