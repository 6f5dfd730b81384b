"""The running average: a half-life in images, and buffers that follow."""

import math

import pytest
import torch
from torch import nn

from ganaug.training.ema import ema_decay, update_ema


def constant(value: float) -> nn.Module:
    module = nn.BatchNorm1d(3)
    for tensor in (*module.parameters(), module.running_mean, module.running_var):
        nn.init.constant_(tensor.data, value)
    return module


@pytest.mark.parametrize("batch_size", [10, 50])
def test_after_the_half_life_an_old_weight_counts_half(batch_size: int) -> None:
    average, module = constant(1.0), constant(0.0)
    for step in range(1000 // batch_size):
        seen = 100_000 + step * batch_size
        update_ema(average, module, ema_decay(seen, batch_size=batch_size, halflife=1000, rampup=1.0))
    torch.testing.assert_close(average.weight, torch.full((3,), 0.5))


def test_early_on_the_half_life_is_a_share_of_the_images_seen() -> None:
    assert ema_decay(2000, batch_size=100, halflife=1e9, rampup=0.05) == pytest.approx(0.5)
    assert ema_decay(0, batch_size=100, halflife=1000, rampup=0.05) == 0
    decays = [ema_decay(n, batch_size=64, halflife=500, rampup=0.05) for n in range(64, 20_000, 64)]
    assert decays == sorted(decays)
    assert decays[-1] == pytest.approx(math.pow(0.5, 64 / 500))


def test_buffers_are_copied_and_the_module_stays_as_it_was() -> None:
    average, module = constant(1.0), constant(0.0)
    module.num_batches_tracked += 7
    update_ema(average, module, 0.9)
    assert average.running_mean.tolist() == [0.0] * 3
    assert average.num_batches_tracked == 7
    assert module.weight.tolist() == [0.0] * 3
    torch.testing.assert_close(average.weight, torch.full((3,), 0.9))
