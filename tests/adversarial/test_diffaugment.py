"""DiffAugment: what each change may do to an image, and that it lets gradients through."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from ganaug.adversarial.diffaugment import POLICIES, color, cutout, diff_augment, flip, translation
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
    assert gradgradcheck(lambda x: POLICIES[name](x, seeded(3)), (x,))


@pytest.mark.parametrize("name", POLICIES)
def test_a_seed_repeats_the_change_and_another_gives_another(name: str) -> None:
    x = coded(20, 3, 16, 16)
    assert torch.equal(POLICIES[name](x, seeded(1)), POLICIES[name](x, seeded(1)))
    assert not torch.equal(POLICIES[name](x, seeded(1)), POLICIES[name](x, seeded(2)))


@pytest.mark.parametrize("name", POLICIES)
def test_images_of_one_batch_are_changed_each_in_its_own_way(name: str) -> None:
    out = POLICIES[name](coded(20, 3, 16, 16), seeded())
    n_ways = len({tuple(image.flatten().tolist()) for image in out})
    assert n_ways == 2 if name == "flip" else n_ways > 5


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


def translation_by_hand(x: Tensor, generator: torch.Generator) -> Tensor:
    """Shift images one by one, with the random numbers that `translation` draws."""
    reach = [int(side * 0.125 + 0.5) for side in x.shape[2:]]
    dy, dx = (torch.randint(-r, r + 1, (len(x),), generator=generator).tolist() for r in reach)
    padded = F.pad(x, (reach[1], reach[1], reach[0], reach[0]))
    windows = [
        image[:, reach[0] + top :, reach[1] + left :][:, : x.shape[2], : x.shape[3]]
        for image, top, left in zip(padded, dy, dx, strict=True)
    ]
    return torch.stack(windows)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_translation_and_its_gradient_are_those_of_a_plain_loop(
    dtype: torch.dtype, layout: torch.memory_format
) -> None:
    x = torch.randn(16, 3, 9, 20, dtype=dtype).contiguous(memory_format=layout)
    weight = torch.randn_like(x)
    values, grads = [], []
    for shift in (translation, translation_by_hand):
        leaf = x.clone().requires_grad_()
        values.append(shift(leaf, seeded(5)))
        (values[-1] * weight).sum().backward()
        grads.append(leaf.grad)
    assert torch.equal(*values)
    assert torch.equal(*grads)


def test_flip_mirrors_about_half_of_the_images_and_leaves_the_others() -> None:
    x = coded(400, 2, 8, 9)
    out = flip(x, seeded())
    mirrored = (out == x.flip(3)).all((1, 2, 3))
    assert torch.equal(out[~mirrored], x[~mirrored])
    assert 150 < mirrored.sum() < 250


@pytest.mark.parametrize("p", [1.0, 1])
def test_certainty_draws_no_chances(p: float) -> None:
    x = coded(5, 1, 16, 16)
    certain = diff_augment(x, ("color", "cutout"), seeded(4), p)
    generator = seeded(4)
    assert torch.equal(certain, cutout(color(x, generator), generator))


@pytest.mark.parametrize("name", POLICIES)
def test_a_certain_tensor_changes_all_images(name: str) -> None:
    x = coded(20, 3, 16, 16)
    assert torch.equal(diff_augment(x, [name], seeded(), torch.tensor(1.0)), POLICIES[name](x, seeded()))


@pytest.mark.parametrize("p", [0.0, torch.tensor(0.0)])
def test_no_chance_leaves_all_images_as_they_are(p: Tensor | float) -> None:
    x = coded(20, 3, 16, 16)
    assert torch.equal(diff_augment(x, tuple(POLICIES), seeded(), p), x)


@pytest.mark.parametrize("p", [0.3, torch.tensor(0.3)])
def test_the_chance_is_the_share_of_changed_images(p: Tensor | float) -> None:
    x = coded(2000, 1, 4, 4)
    changed = (diff_augment(x, ["color"], seeded(), p) != x).any((1, 2, 3)).double().mean()
    assert changed == pytest.approx(0.3, abs=0.04)


def test_changes_of_one_image_are_chosen_independently() -> None:
    x = coded(4000, 1, 8, 8)
    once = diff_augment(x, ["color", "cutout"], seeded(), 0.5)
    holes = (once == 0).any(3).any(2).any(1)
    colored = (torch.where(once == 0, x, once) != x).any(3).any(2).any(1)
    assert (holes & colored).double().mean() == pytest.approx(0.25, abs=0.04)
    assert (~holes & ~colored).double().mean() == pytest.approx(0.25, abs=0.04)


def test_gradients_pass_through_chosen_and_spared_images() -> None:
    x = coded(4, 2, 8, 8).requires_grad_()
    assert gradcheck(lambda x: diff_augment(x, ["color", "translation"], seeded(), 0.5), (x,))


def test_a_tensor_is_never_read_so_the_random_numbers_do_not_depend_on_it() -> None:
    states = []
    for p in (0.0, 0.3, 1.0):
        generator = seeded()
        diff_augment(coded(5, 1, 8, 8), tuple(POLICIES), generator, torch.tensor(p))
        states.append(generator.get_state())
    assert torch.equal(states[0], states[1])
    assert torch.equal(states[1], states[2])
