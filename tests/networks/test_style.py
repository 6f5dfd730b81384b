"""Growing resolution, noise per pixel, and the deviation within groups."""

import pytest
import torch
import torch.nn.functional as F

from ganaug.errors import ConfigError
from ganaug.networks.style import opacities, style, with_batch_deviation

SIZES = {"shape": (1, 32, 32), "n_classes": 2, "z_dim": 4, "width": 4}
Z, C = torch.randn(4, 4, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 0, 1])


def pair(grow_images: int | None = 100):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return style(**SIZES, grow_images=grow_images)


def test_training_starts_with_blocks_of_the_lowest_resolution() -> None:
    G, _ = pair()
    G.at(0)
    x = G(Z, C)
    low = x[:, :, ::4, ::4]
    assert torch.equal(F.interpolate(low, scale_factor=4.0), x)
    assert x.shape == (4, 1, 32, 32)
    assert (low[:, :, 1:] - low[:, :, :-1]).abs().max() > 1e-3


def test_d_starts_with_the_downsampled_image() -> None:
    _, D = pair()
    x = torch.rand(4, 1, 32, 32)
    low = F.interpolate(F.avg_pool2d(x, 4), scale_factor=4.0)
    assert (D(x, C) - D(low, C)).abs().max() > 1e-5
    D.at(0)
    torch.testing.assert_close(D(x, C), D(low, C))


def test_finished_equals_never_grown() -> None:
    (G, D), (plain_G, plain_D) = pair(), pair(None)
    plain_G.at(0)
    for images_seen in (None, 200, 10_000):
        if images_seen is not None:
            G.at(images_seen)
            D.at(images_seen)
        x = G(Z, C)
        assert torch.equal(x, plain_G(Z, C))
        assert torch.equal(D(x, C), plain_D(x, C))


@pytest.mark.parametrize("player", [0, 1])
def test_a_stage_fades_in_without_a_jump(player: int) -> None:
    module = pair()[player]
    source = Z if player == 0 else torch.rand(4, 1, 32, 32)

    def out(images_seen: int) -> torch.Tensor:
        module.at(images_seen)
        return module(source, C)

    assert (out(100_000) - out(0)).abs().max() > 1e-4
    for begin in (0, 100):
        near, far = ((out(begin + step) - out(begin)).abs().max() for step in (1, 50))
        assert 0 < near < far / 5


def test_stages_fade_in_one_after_the_other() -> None:
    assert opacities(5, 0, 100) == [1, 1, 0, 0, 0]
    assert opacities(5, 50, 100) == [1, 1, 0.5, 0, 0]
    assert opacities(5, 125, 100) == [1, 1, 1, 0.25, 0]
    assert opacities(5, 300, 100) == opacities(5, 0, None) == [1, 1, 1, 1, 1]


def test_the_pace_of_growing_is_a_positive_number() -> None:
    with pytest.raises(ConfigError, match="grow_images must be"):
        style(**SIZES, grow_images=0)


def test_noise_per_pixel_has_no_effect_before_it_is_learned_and_follows_the_global_seed() -> None:
    G, _ = pair(None)
    assert torch.equal(G(Z, C), G(Z, C))
    for layer in G.second:
        layer.strength.data.fill_(1)
    draws = []
    with torch.random.fork_rng(devices=[]):
        for seed in (1, 1, 2):
            torch.manual_seed(seed)
            draws.append(G(Z, C))
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


@pytest.mark.parametrize("n_half", [1, 3, 4, 5, 6, 8])
def test_the_deviation_of_the_real_half_does_not_see_the_fake_half(n_half: int) -> None:
    real, fake = torch.randn(n_half, 2, 3, 3), torch.randn(n_half, 2, 3, 3)
    before = with_batch_deviation(torch.cat([real, fake]))[:n_half]
    after = with_batch_deviation(torch.cat([real, 9 * fake]))[:n_half]
    assert torch.equal(before, after)


def test_the_deviation_is_that_of_groups_of_four() -> None:
    h = torch.randn(8, 2, 3, 3)
    maps = with_batch_deviation(h)
    assert torch.equal(maps[:, :2], h)
    for group in (slice(0, 4), slice(4, 8)):
        expected = h[group].std(0, correction=0).mean()
        torch.testing.assert_close(maps[group, 2], expected.expand(4, 3, 3))
