"""Fresh samples for each epoch: a function of (seed, epoch), the same for all workers and on resume."""

import gc
import os
import pickle
from collections import Counter

import numpy as np
import pytest
import torch
from play_sets import Drawings, fitted
from torch.utils.data import DataLoader
from torchvision.transforms.functional import pil_to_tensor

from ganaug import AugmentedDataset, ConfigError, SampleBank
from ganaug._random import derive
from ganaug.mixing.fresh import FreshBanks

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


@pytest.fixture(scope="module")
def gan():
    return fitted(Drawings())


def fresh(gan, **kwargs):
    return AugmentedDataset(Drawings(), gan, fresh=True, transform=pil_to_tensor, **kwargs)


def epoch(dataset, number):
    dataset.set_epoch(number)
    return torch.stack([x for x, _ in dataset])


def test_each_epoch_has_samples_of_its_own_that_come_back_with_it(gan):
    train = fresh(gan)
    zero, one, again = (epoch(train, k) for k in (0, 1, 0))
    assert torch.equal(zero, again)
    assert torch.equal(zero[:14], one[:14])  # the real ones
    assert not any(torch.equal(a, b) for a, b in zip(zero[14:], one[14:], strict=True))
    assert len({x.numpy().tobytes() for x in torch.cat([zero[14:], one[14:]])}) == 20
    assert Counter(train.targets) == {0: 8, 1: 8, 2: 8}


def test_a_resumed_training_starts_at_its_epoch(gan):
    train = fresh(gan)
    for k in range(3):
        last = epoch(train, k)
    assert torch.equal(epoch(fresh(gan), 2), last)
    assert not torch.equal(epoch(fresh(gan, random_state=1), 2), last)


def test_they_are_what_the_generator_draws_of_these_classes(gan):
    train = fresh(gan)
    train.set_epoch(4)
    X, y = gan.generate({1: 4, 2: 6}, random_state=derive(0, "fresh", 4))
    assert y.tolist() == train.targets[14:]
    assert np.array_equal(torch.stack([train[i][0][0] for i in range(14, 24)]).numpy(), X)


def test_without_it_every_epoch_has_the_same(gan):
    train = AugmentedDataset(Drawings(), gan, transform=pil_to_tensor)
    assert torch.equal(epoch(train, 0), epoch(train, 1))


@pytest.mark.parametrize(
    ("start", "persistent"),
    [("fork", False), ("fork", True), pytest.param("spawn", True, marks=pytest.mark.slow)],
)
def test_workers_read_what_was_drawn(gan, start, persistent):
    train = fresh(gan, swap=0.5)
    loader = DataLoader(
        train, batch_size=4, num_workers=2, multiprocessing_context=start, persistent_workers=persistent
    )
    for k in (0, 1, 2):
        alone = epoch(train, k)
        assert torch.equal(torch.cat([x for x, _ in loader]), alone)


def test_as_many_are_drawn_as_an_epoch_may_use(gan):
    train = fresh(gan, swap=0.3)
    assert train.bank.counts == {0: 8, 1: 4 + 4, 2: 6 + 2}  # at most all of them are swapped
    synthetic = [x.numpy().tobytes() for i, (x, _) in enumerate(train) if train.origin(i) == "synthetic"]
    assert len(set(synthetic)) == len(synthetic) > 10


def test_only_the_last_epoch_is_kept_and_nothing_is_left_behind(gan):
    banks = FreshBanks(gan, {0: 3}, seed=0)
    for k in (0, 1, 1):
        banks.draw(k)
        assert [folder.name for folder in banks.folder.iterdir()] == [str(k)]
    folder = banks.folder
    child = os.fork()
    if not child:
        del banks
        os._exit(0)
    os.waitpid(child, 0)
    assert folder.exists()
    copy = pickle.loads(pickle.dumps(banks))
    assert len(copy.bank(1)) == 3
    del copy
    assert folder.exists()
    del banks
    gc.collect()
    assert not folder.exists()


def test_the_real_only_phase_draws_nothing(gan):
    train = fresh(gan, real_only_from=1)
    train.set_epoch(1)
    assert (len(train), train.origin(13)) == (14, "real")
    assert [folder.name for folder in train._fresh.folder.iterdir()] == ["0"]


def test_a_bank_is_not_fresh(gan):
    with pytest.raises(ConfigError, match="needs a ConditionalGAN"):
        AugmentedDataset(Drawings(), SampleBank.from_gan(gan, 9), fresh=True)


def test_a_copy_cannot_draw_and_says_so(gan):
    train = fresh(gan)
    copy = pickle.loads(pickle.dumps(train))
    assert torch.equal(epoch(copy, 0), epoch(train, 0))
    with pytest.raises(ConfigError, match="drawn by the data set that was made first; this is a copy"):
        copy.set_epoch(1)
    assert copy.epoch == 0


@pytest.mark.parametrize("start", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_new_workers_go_through_all_epochs_while_the_main_process_reads_nothing(gan, start):
    train = fresh(gan, real_only_from=2)
    loader = DataLoader(train, batch_size=8, num_workers=1, multiprocessing_context=start)
    seen = []
    for k in range(4):
        train.set_epoch(k)
        seen.append(torch.cat([x for x, _ in loader]))
    assert [len(x) for x in seen] == [24, 24, 14, 14]
    assert not torch.equal(seen[0], seen[1])
    assert torch.equal(seen[2], seen[0][:14])


def test_a_copy_made_in_a_later_epoch_reads_it(gan):
    train = fresh(gan, real_only_from=2)
    for k in (1, 2):
        train.set_epoch(k)
        copied = pickle.loads(pickle.dumps(train))
        assert all(torch.equal(a, b) for (a, _), (b, _) in zip(train, copied, strict=True))


def test_a_drawing_that_was_interrupted_is_drawn_again(gan):
    train = fresh(gan)
    expected = epoch(train, 1)
    (train._fresh.folder / "2" / ".unfinished").mkdir(parents=True)
    train.set_epoch(2)
    assert not torch.equal(torch.stack([x for x, _ in train]), expected)
