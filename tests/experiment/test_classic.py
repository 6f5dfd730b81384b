import albumentations as A
import numpy as np
import torch

from ganaug.experiment.classic import classic_transform, randaugment


def corner_images(n, channels):
    """Return images that are dark but for the upper left corner."""
    x = torch.full((n, channels, 16, 16), -1.0)
    x[:, :, 2:7, 2:7] = 1.0
    return x


def left_minus_right(images):
    return images[..., :8].sum((1, 2, 3)) - images[..., 8:].sum((1, 2, 3))


def test_the_seed_alone_decides_what_happens_to_a_batch():
    for x in (corner_images(12, 1), corner_images(12, 3)):
        first, again, other = (classic_transform(x, seed=s)(x) for s in (3, 3, 4))
        assert torch.equal(first, again)
        assert not torch.equal(first, other)


def test_each_batch_is_changed_anew():
    x = corner_images(8, 1)
    transform = classic_transform(x, seed=0)
    assert not torch.equal(transform(x), transform(x))


def test_images_keep_shape_dtype_and_range_and_the_caller_keeps_the_original():
    for x in (torch.rand(30, 1, 9, 12) * 2 - 1, torch.rand(30, 3, 12, 9) * 2 - 1):
        before = x.clone()
        changed = classic_transform(x, seed=0)(x)
        assert changed.shape == x.shape
        assert changed.dtype == x.dtype
        assert changed.min() >= -1
        assert changed.max() <= 1
        assert not torch.equal(changed, x)
        assert torch.equal(x, before)


def test_grey_images_are_never_mirrored_and_colour_images_half_of_the_time():
    grey = left_minus_right(classic_transform(corner_images(1, 1), seed=0)(corner_images(200, 1)))
    assert (grey > 0).all()
    colour = left_minus_right(classic_transform(corner_images(1, 3), seed=0)(corner_images(200, 3)))
    assert 0.35 < (colour < 0).float().mean() < 0.65


def test_what_moves_into_a_grey_image_is_its_background():
    bright = torch.ones(40, 1, 16, 16)
    bright[:, :, 6:10, 6:10] = -1
    changed = classic_transform(bright, seed=0)(bright)
    corners = changed[:, :, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert (corners > 0.99).all()


def test_an_own_compose_is_used_instead():
    x = torch.rand(6, 1, 8, 8) * 2 - 1
    compose = A.Compose([A.HorizontalFlip(p=1.0)])
    assert torch.allclose(classic_transform(x, seed=0, compose=compose)(x), x.flip(-1), atol=1e-6)


def test_an_own_compose_sees_images_from_0_to_1_and_gets_the_seed():
    seen = []

    def note(image, **_):
        seen.append(image)
        return image

    compose = A.Compose([A.Lambda(image=note, p=1.0), A.Affine(rotate=(-90, 90), p=1.0)])
    x = corner_images(5, 3)
    first = classic_transform(x, seed=1, compose=compose)(x)
    assert np.array_equal(np.unique(seen), [0, 1])
    assert {image.shape for image in seen} == {(16, 16, 3)}
    assert torch.equal(classic_transform(x, seed=1, compose=compose)(x), first)


def test_an_empty_batch_stays_empty():
    x = corner_images(4, 1)
    assert classic_transform(x, seed=0)(x[:0]).shape == (0, 1, 16, 16)


def test_randaugment_changes_images_in_many_ways_by_the_seed_alone_and_keeps_their_range():
    for channels in (1, 3):
        x = corner_images(60, channels)
        first, again, other = (classic_transform(x, seed=s, compose=randaugment(x))(x) for s in (3, 3, 4))
        assert torch.equal(first, again)
        assert not torch.equal(first, other)
        assert first.shape == x.shape
        assert first.min() >= -1
        assert first.max() <= 1
        assert len(first.flatten(1).unique(dim=0)) > 40


def test_randaugment_mirrors_colour_images_only():
    grey, colour = corner_images(100, 1), corner_images(100, 3)
    right = [
        (left_minus_right(classic_transform(x, seed=0, compose=randaugment(x))(x)) < 0).float().mean()
        for x in (grey, colour)
    ]
    assert right[0] == 0
    assert 0.3 < right[1] < 0.7
