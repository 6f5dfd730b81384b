"""Parts against their plain form: fused resampling, attention, modulation, residual branches."""

import pytest
import torch
import torch.nn.functional as F

from ganaug.networks.attention import SelfAttention, nearest_to_16
from ganaug.networks.modulated import ModulatedConv
from ganaug.networks.r3gan import ResidualBlock
from ganaug.networks.resample import DownConv, UpConv


@pytest.mark.parametrize("sides", [(8, 8), (6, 10), (5, 7)])
def test_a_fused_convolution_equals_resampling_and_convolution(sides: tuple[int, int]) -> None:
    h, up, down = torch.randn(2, 3, *sides), UpConv(3, 4), DownConv(3, 4)
    doubled = F.conv2d(F.interpolate(h, scale_factor=2.0), up.weight, up.bias, padding=1)
    torch.testing.assert_close(up(h), doubled, atol=1e-5, rtol=1e-5)
    averaged = F.avg_pool2d(F.conv2d(h, down.weight, down.bias, padding=1), 2, ceil_mode=True)
    torch.testing.assert_close(down(h), averaged, atol=1e-5, rtol=1e-5)


def test_attention_is_the_identity_at_first_and_the_weighted_mean_of_values_after() -> None:
    layer, h = SelfAttention(16), torch.randn(2, 16, 3, 4)
    assert torch.equal(layer(h), h)
    layer.gain.data.fill_(1)
    query, key, value = (f(h)[0].flatten(1) for f in (layer.query, layer.key, layer.value))
    weights = torch.softmax(query[:, 5] @ key, dim=0)  # what position 5 looks at
    expected = h[0].flatten(1)[:, 5] + layer.out((value @ weights)[None, :, None, None])[0, :, 0, 0]
    torch.testing.assert_close(layer(h)[0].flatten(1)[:, 5], expected, atol=1e-5, rtol=1e-4)


def test_attention_sits_at_the_map_nearest_to_16_pixels() -> None:
    assert [nearest_to_16(s) for s in ([8, 16, 32], [14, 28], [4, 4], [64, 32, 16, 8])] == [1, 0, 0, 2]


@pytest.mark.parametrize("up", [False, True])
def test_scaling_activations_equals_weights_per_sample(up: bool) -> None:
    layer = ModulatedConv(3, 4, 5, up=up)
    h, w = torch.randn(2, 3, 6, 6), torch.randn(2, 5)
    for i in range(2):
        weight = layer.weight * layer.style(w)[i][None, :, None, None]
        weight = weight / (weight.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        source = F.interpolate(h[i : i + 1], scale_factor=2.0) if up else h[i : i + 1]
        expected = F.conv2d(source, weight, padding=1)
        torch.testing.assert_close(layer(h, w)[i : i + 1], expected, atol=1e-5, rtol=1e-4)


def test_demodulation_keeps_unit_variance_whatever_the_style() -> None:
    layer = ModulatedConv(32, 8, 5)
    h = torch.randn(4, 32, 80, 80)
    out = layer(h, 10 * torch.randn(4, 5))[:, :, 1:-1, 1:-1]
    torch.testing.assert_close(out.var((2, 3)), torch.ones(4, 8), atol=0.25, rtol=0)


def test_a_residual_branch_without_norm_adds_next_to_nothing_at_first() -> None:
    h = torch.randn(2, 32, 5, 5)
    assert 0 < (ResidualBlock(32, n_blocks=4)(h) - h).std() < 0.02
