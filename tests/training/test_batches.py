"""Batches: each class equally often, and nothing but the step decides."""

import numpy as np
import pytest
import torch

from ganaug.data.schema import Schema
from ganaug.training.batches import BalancedBatches

COUNTS = [500, 40, 3]
LABELS = torch.from_numpy(np.random.default_rng(0).permutation(np.repeat(np.arange(3), COUNTS)))
X = torch.arange(len(LABELS), dtype=torch.float32)[:, None]


def batches(seed: int = 0) -> BalancedBatches:
    return BalancedBatches(X, LABELS, batch_size=30, seed=seed)


def test_a_row_is_always_of_the_class_it_is_drawn_for() -> None:
    for step in range(50):
        x, c = batches()(step * 30)
        assert torch.equal(LABELS[x[:, 0].long()], c)
        assert x.shape == (30, 1)


def test_classes_come_equally_often_whatever_their_size() -> None:
    drawn = np.concatenate([batches().indices(step * 30)[1] for step in range(1000)])
    counts = np.bincount(drawn, minlength=3)
    chi_square = ((counts - 10_000) ** 2 / 10_000).sum()
    assert chi_square < 20  # exceeded once in 20,000 fair runs


def test_samples_of_a_class_come_equally_often_and_all_of_them_come() -> None:
    rows = np.concatenate([batches().indices(step * 30)[0] for step in range(2000)])
    counts = np.bincount(rows, minlength=len(X))
    for k, n in enumerate(COUNTS):
        of_class = counts[LABELS.numpy() == k]
        expected = of_class.sum() / n
        chi_square = ((of_class - expected) ** 2 / expected).sum()
        assert of_class.min() > 0
        assert chi_square < n + 6 * np.sqrt(2 * n)


def test_a_batch_is_a_function_of_seed_and_images_seen_alone() -> None:
    used = batches()
    for step in range(5):
        used(step * 30)
    assert torch.equal(used(60)[0], batches()(60)[0])
    assert not torch.equal(used(60)[0], used(90)[0])
    assert not torch.equal(used(60)[0], batches(seed=1)(60)[0])


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_a_batch_of_packed_images_is_that_of_the_encoded_ones_channels_last(dtype) -> None:
    images = np.random.default_rng(0).integers(0, 256, (len(LABELS), 8, 10, 3)).astype(dtype)
    schema = Schema.fit(images, LABELS)
    packed = BalancedBatches(schema.pack_X(images), LABELS, batch_size=30, seed=0, unpack=schema.unpack_X)
    encoded = BalancedBatches(schema.encode_X(images), LABELS, batch_size=30, seed=0)
    for step in range(5):
        (x, c), (x_encoded, c_encoded) = packed(step * 30), encoded(step * 30)
        assert torch.equal(x, x_encoded)
        assert torch.equal(c, c_encoded)
        assert x.dtype == torch.float32
        assert x.is_contiguous(memory_format=torch.channels_last)


def test_packed_images_are_not_copied_and_only_a_batch_is_unpacked() -> None:
    images = torch.zeros(len(LABELS), 8, 8, 3, dtype=torch.uint8).permute(0, 3, 1, 2)
    sizes = []

    def unpack(x: torch.Tensor) -> torch.Tensor:
        sizes.append(len(x))
        return x

    drawn = BalancedBatches(images, LABELS, batch_size=30, seed=0, unpack=unpack)
    drawn(0)
    assert drawn.rows.rows.data_ptr() == images.data_ptr()
    assert sizes == [30]


def test_class_counts_are_known() -> None:
    assert torch.equal(batches().class_counts, torch.tensor(COUNTS))
