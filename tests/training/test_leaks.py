"""The leak test at the end of a training: quiet for real samples, loud for augmented ones."""

import warnings

import numpy as np
import pytest
import torch
from play import batches_of, small
from sklearn.datasets import load_digits
from torch import Tensor

import ganaug
from ganaug.adversarial.diffaugment import POLICIES
from ganaug.errors import GanaugWarning
from ganaug.training.batches import BalancedBatches
from ganaug.training.drawing import Drawing
from ganaug.training.leaks import N_IMAGES, find_leaks

POLICY = ("color", "translation", "cutout")


@pytest.fixture(scope="module")
def colours() -> tuple[Tensor, Tensor]:
    """Return digits on a dark ground, tinted by class, and their classes."""
    source = load_digits()
    x = torch.from_numpy(source.images).float()[:, None] / 8 - 1
    return x.expand(-1, 3, -1, -1) * torch.tensor([1.0, 0.9, 0.8])[:, None, None], torch.from_numpy(
        source.target
    )


class Replay(Drawing):
    """Draws real samples of a class that were not shown, after a change."""

    def __init__(self, x: Tensor, c: Tensor, change=lambda x: x):
        self.x, self.c, self.change = x, c, change

    def mixed(self, c: Tensor, *, stream: int) -> Tensor:
        generator = torch.Generator().manual_seed(stream)
        x = torch.empty(len(c), *self.x.shape[1:])
        for k in c.unique():
            of_class, rows = self.x[self.c == k], torch.nonzero(c == k)[:, 0]
            x[rows] = of_class[torch.randint(len(of_class), (len(rows),), generator=generator)]
        return self.change(x)


def halves(colours) -> tuple[BalancedBatches, tuple[Tensor, Tensor]]:
    x, c = colours
    batches = BalancedBatches(x[::2], c[::2], batch_size=16, seed=0)
    return batches, (x[1::2], c[1::2])


def test_real_samples_leak_nothing_and_nothing_is_said(colours) -> None:
    batches, other = halves(colours)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        leaks = find_leaks(Replay(*other), batches, POLICY, seed=0)
    assert list(leaks) == list(POLICY)
    assert not any(leak.leaked for leak in leaks.values())


@pytest.mark.parametrize("name", POLICY)
def test_samples_that_show_an_augmentation_are_told_by_its_name(colours, name: str) -> None:
    batches, other = halves(colours)
    generator = torch.Generator().manual_seed(0)
    drawing = Replay(*other, change=lambda x: POLICIES[name](x, generator))
    with pytest.warns(
        GanaugWarning, match=f"the augmentation '{name}' shows in .*Drop it from diffaugment"
    ) as told:
        leaks = find_leaks(drawing, batches, (name,), seed=0)
    assert leaks[name].leaked
    assert len(told) == 1


def test_as_many_samples_of_each_class_are_drawn_as_are_looked_at(colours) -> None:
    batches, other = halves(colours)
    asked = []

    class Counting(Replay):
        def mixed(self, c: Tensor, **options) -> Tensor:
            asked.append(c)
            return super().mixed(c, **options)

    find_leaks(Counting(*other), batches, ("cutout",), seed=0)
    _, c = batches.sample(N_IMAGES)
    assert len(c) == N_IMAGES
    assert torch.equal(torch.cat(asked), c)


def test_the_leaks_of_a_training_are_an_attribute(digits, table) -> None:
    gan = ganaug.ConditionalGAN(config=small(diffaugment=("cutout",)), random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GanaugWarning)
        assert set(gan.fit(*digits).leaks_) == {"cutout"}
    assert gan.fit(*table).leaks_ == {}
    gan = ganaug.ConditionalGAN(config=small(diffaugment=()), random_state=0)
    assert gan.fit(*digits).leaks_ == {}


@pytest.mark.parametrize("n", [4, 9, 11])
def test_a_handful_of_images_can_be_learned_too(n: int) -> None:
    X = np.random.default_rng(0).integers(0, 255, (n, 8, 8), dtype=np.uint8)
    gan = ganaug.ConditionalGAN(config=small(), random_state=0).fit(X, np.arange(n) % 2)
    assert gan.generate(2)[0].shape == (4, 8, 8)


def test_batches_for_the_test_are_those_of_the_training() -> None:
    assert batches_of(small()).sample(10)[0].shape == (10, 1, 8, 8)
