"""DiffAugment: what each change may do to an image, and that it lets gradients through."""

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from ganaug.adversarial.diffaugment import POLICIES, color, cutout, diff_augment, translation
from ganaug.errors import ConfigError


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def coded(n: int, channels: int, height: int, width: int) -> Tensor:
    """Return images in which each position has a value of its own, never 0, in [-1, 1]."""
    n_values = channels * height * width
    values = torch.linspace(0.1, 1, n_values, dtype=torch.float64)
    return values.reshape(1, channels, height, width).repeat(n, 1, 1, 1)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (9, 20), (28, 28)])
def test_translation_is_a_shift_filled_with_zeros(height: int, width: int) -> None:
    x = coded(200, 2, height, width)
    moved = translation(x, seeded())
    reach = [int(side * 0.125 + 0.5) for side in (height, width)]
    found = set()
    for image, out in zip(x, moved, strict=True):
        for dy in range(-reach[0], reach[0] + 1):
            for dx in range(-reach[1], reach[1] + 1):
                expected = torch.zeros_like(image)
                ys, xs = slice(max(dy, 0), height + min(dy, 0)), slice(max(dx, 0), width + min(dx, 0))
                from_ys, from_xs = (
                    slice(max(-dy, 0), height - max(dy, 0)),
                    slice(max(-dx, 0), width - max(dx, 0)),
                )
                expected[:, ys, xs] = image[:, from_ys, from_xs]
                if torch.equal(out, expected):
                    found.add((dy, dx))
                    break
            else:
                continue
            break
        else:
            pytest.fail("an image was not shifted by a whole number of pixels within reach")
    assert {dy for dy, _ in found} == set(range(-reach[0], reach[0] + 1))
    assert {dx for _, dx in found} == set(range(-reach[1], reach[1] + 1))


@pytest.mark.parametrize(("height", "width"), [(8, 8), (9, 20), (15, 11)])
def test_cutout_zeroes_one_box_of_half_the_sides_and_nothing_else(height: int, width: int) -> None:
    x = coded(300, 3, height, width)
    out = cutout(x, seeded())
    size = [int(side * 0.5 + 0.5) for side in (height, width)]
    whole = 0
    for image, cut in zip(x, out, strict=True):
        hole = (cut == 0).all(0)
        assert torch.equal(cut, image * ~hole)
        rows, columns = hole.any(1).nonzero().flatten(), hole.any(0).nonzero().flatten()
        assert hole.sum() == len(rows) * len(columns)
        assert 0 < len(rows) <= size[0]
        assert 0 < len(columns) <= size[1]
        assert rows[-1] - rows[0] + 1 == len(rows)
        assert columns[-1] - columns[0] + 1 == len(columns)
        inside = rows[0] > 0 and rows[-1] < height - 1 and columns[0] > 0 and columns[-1] < width - 1
        if inside:
            assert [len(rows), len(columns)] == size
        whole += bool(inside)
    assert whole > 0


def test_cutout_reaches_every_pixel() -> None:
    assert (cutout(coded(500, 1, 8, 8), seeded()) == 0).any(0).all()


def test_color_changes_each_image_by_its_own_amount_and_keeps_its_order_of_greys() -> None:
    x = coded(50, 1, 8, 8)
    out = color(x, seeded())
    shift = (out.mean((1, 2, 3)) - x.mean((1, 2, 3))).numpy()
    contrast = (out.std((1, 2, 3)) / x.std((1, 2, 3))).numpy()
    assert abs(shift).max() <= 0.5
    assert 0.5 <= contrast.min() < contrast.max() <= 1.5
    assert len(set(shift.round(6))) == len(set(contrast.round(6))) == 50
    assert (out.flatten(1).diff() > 0).all()


def test_color_scales_saturation_around_the_grey_of_each_pixel() -> None:
    x = coded(50, 3, 8, 8)
    out = color(x, seeded())
    before, after = (t - t.mean(1, keepdim=True) for t in (x, out))
    scale = (after * before).sum((1, 2, 3), keepdim=True) / (before**2).sum((1, 2, 3), keepdim=True)
    torch.testing.assert_close(after, scale * before)
    assert scale.min() >= 0
    assert scale.max() <= 2 * 1.5
    assert len(set(scale.flatten().tolist())) == 50


@pytest.mark.parametrize("name", POLICIES)
def test_gradients_pass_through(name: str) -> None:
    x = coded(2, 2, 8, 8).requires_grad_()
    assert gradcheck(lambda x: POLICIES[name](x, seeded(3)), (x,))


@pytest.mark.parametrize("name", POLICIES)
def test_a_seed_repeats_the_change_and_another_gives_another(name: str) -> None:
    x = coded(20, 3, 16, 16)
    assert torch.equal(POLICIES[name](x, seeded(1)), POLICIES[name](x, seeded(1)))
    assert not torch.equal(POLICIES[name](x, seeded(1)), POLICIES[name](x, seeded(2)))


@pytest.mark.parametrize("name", POLICIES)
def test_images_of_one_batch_are_changed_each_in_its_own_way(name: str) -> None:
    out = POLICIES[name](coded(20, 3, 16, 16), seeded())
    assert len({tuple(image.flatten().tolist()) for image in out}) > 5


@pytest.mark.parametrize("name", POLICIES)
def test_shape_and_dtype_are_kept_and_the_input_is_untouched(name: str) -> None:
    x = coded(4, 3, 9, 12).float()
    kept = x.clone()
    out = POLICIES[name](x, seeded())
    assert out.shape == x.shape
    assert out.dtype == x.dtype
    assert torch.equal(x, kept)


def test_a_policy_is_applied_in_its_order() -> None:
    x = coded(5, 1, 16, 16)
    generator = seeded(4)
    by_hand = cutout(translation(x, generator), generator)
    assert torch.equal(diff_augment(x, ("translation", "cutout"), seeded(4)), by_hand)
    assert not torch.equal(diff_augment(x, ("cutout", "translation"), seeded(4)), by_hand)


def test_an_empty_policy_is_the_identity() -> None:
    x = coded(2, 1, 8, 8)
    assert diff_augment(x, (), seeded()) is x


def test_an_unknown_change_is_named_with_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match=r"got 'colour'. Did you mean 'color'\?"):
        diff_augment(coded(1, 1, 8, 8), ["colour"], seeded())
