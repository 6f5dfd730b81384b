"""Batches mixed in pairs."""

import pytest
import torch

from ganaug.experiment.batch_mixes import MIXES, batch_mix


@pytest.mark.parametrize("name", MIXES)
@pytest.mark.parametrize("soft", [False, True])
def test_targets_are_convex_combinations_of_those_of_two_samples(name, soft):
    batch = torch.rand(16, 1, 8, 8)
    c = torch.arange(16) % 4
    target = torch.softmax(torch.randn(16, 4), 1) if soft else c
    _, mixed = batch_mix(name, 4)(batch, target)
    before = target if soft else torch.nn.functional.one_hot(c, 4).float()
    assert torch.allclose(mixed.sum(1), torch.ones(16))
    assert mixed.min() >= 0
    other = before.roll(1, 0)
    change = (mixed - other).flatten() @ (before - other).flatten() / (before - other).square().sum()
    assert 0 <= change <= 1
    assert torch.allclose(mixed, change * before + (1 - change) * other, atol=1e-6)


@pytest.mark.parametrize("shape", [(5,), (1, 8, 8), (3, 6, 4)])
def test_mixup_mixes_samples_as_it_mixes_targets_tables_too(shape):
    batch, c = torch.randn(12, *shape), torch.arange(12) % 3
    given = batch.clone()
    mixed, target = batch_mix("mixup", 3)(batch, c)
    share = target[0, c[0]]  # sample 0 is of class 0, its partner of class 2
    assert mixed.shape == batch.shape
    assert torch.allclose(mixed, share * batch + (1 - share) * batch.roll(1, 0), atol=1e-6)
    assert torch.equal(batch, given)


def test_cutmix_takes_a_box_of_the_partner_as_large_as_its_share_of_the_target():
    batch, c = torch.rand(4, 1, 16, 16), torch.arange(4)
    mixed, target = batch_mix("cutmix", 4)(batch, c)
    own = (mixed == batch).float().mean((1, 2, 3))
    assert ((mixed == batch) | (mixed == batch.roll(1, 0))).all()
    assert torch.allclose(own, target.diagonal(), atol=1e-6)


def test_mixes_follow_the_global_stream_of_torch():
    batch, c = torch.rand(6, 1, 8, 8), torch.arange(6) % 2
    found = []
    for seed in (1, 1, 2):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            found.append(batch_mix("mixup", 2)(batch, c)[0])
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])
