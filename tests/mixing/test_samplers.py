"""AugmentedDataset among the other parts of torch: samplers, batch mixes, folds, several processes."""

from collections import Counter

import numpy as np
import pytest
import torch
from play_sets import fitted, numbered_bank, numbered_table
from sklearn.model_selection import StratifiedKFold
from torch.utils.data import (
    DataLoader,
    DistributedSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
)
from torchvision.transforms import v2

from ganaug import AugmentedDataset, SampleBank

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


@pytest.fixture(scope="module")
def bank():
    return numbered_bank(numbered_table())


def augmented(bank, **kwargs):
    return AugmentedDataset(numbered_table(), bank, **kwargs)


def origins(batches):
    """Return how many values are real and how many synthetic."""
    values = torch.cat([batch[0] for batch in batches])[:, 0]
    return int((values < 1000).sum()), int((values >= 1000).sum())


def test_inside_a_subset(bank):
    train = augmented(bank)
    some = DataLoader(Subset(train, [0, 20, 35]), batch_size=3)
    assert next(iter(some))[1].tolist() == [train.targets[i] for i in (0, 20, 35)]


def test_weights_by_class(bank):
    train = augmented(bank, fill=None)
    counts = Counter(train.targets)
    weights = [1 / counts[t] for t in train.targets]
    sampler = WeightedRandomSampler(weights, 3000, generator=torch.Generator().manual_seed(0))
    labels = torch.cat([y for _, y in DataLoader(train, batch_size=50, sampler=sampler)])
    assert all(abs(n - 1000) < 5 * 26 for n in Counter(labels.tolist()).values())


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("kind", ["weighted", "indices", "subset", "shuffled", "in order"])
def test_no_sampler_ends_the_training_in_the_real_only_phase(bank, kind, workers):
    train = augmented(bank, fill=2, real_only_from=1)  # 20 real samples, 52 synthetic ones
    labels = torch.tensor(train.targets)
    only_last = [float(t == 2) for t in train.targets]
    options = {
        "weighted": {"sampler": WeightedRandomSampler(only_last, 72)},
        "indices": {"sampler": SubsetRandomSampler(np.flatnonzero(labels == 2).tolist())},
        "subset": {},
        "shuffled": {"shuffle": True},
        "in order": {},
    }[kind]
    data = Subset(train, np.flatnonzero(labels == 2).tolist()) if kind == "subset" else train
    loader = DataLoader(data, batch_size=8, num_workers=workers, persistent_workers=workers > 0, **options)
    seen = []
    for epoch in range(2):
        train.set_epoch(epoch)
        seen.append(list(loader))
    if kind in ("shuffled", "in order"):
        assert [origins(batches) for batches in seen] == [(20, 52), (20, 0)]
        return
    assert all((y == 2).all() for batches in seen for _, y in batches)  # what the sampler was made for
    n = len(torch.cat([y for _, y in seen[0]]))
    assert origins(seen[0])[1] > 0
    assert origins(seen[1]) == (n, 0)


class TestDistributed:
    @pytest.mark.parametrize("shuffle", [False, True])
    def test_two_replicas_share_the_samples(self, bank, shuffle):
        train = augmented(bank, swap=0.3)
        train.set_epoch(3)
        parts = []
        for rank in range(2):
            sampler = DistributedSampler(train, num_replicas=2, rank=rank, shuffle=shuffle)
            sampler.set_epoch(3)
            parts.append(torch.cat([x for x, _ in DataLoader(train, batch_size=5, sampler=sampler)]))
        assert [len(part) for part in parts] == [18, 18]
        whole = torch.stack([x for x, _ in train])
        assert sorted(torch.cat(parts)[:, 0].tolist()) == sorted(whole[:, 0].tolist())

    def test_in_the_real_only_phase_real_samples_fill_the_old_length(self, bank):
        train = augmented(bank, real_only_from=1)
        sampler = DistributedSampler(train, num_replicas=2, rank=0, shuffle=False)
        train.set_epoch(1)
        assert origins(DataLoader(train, batch_size=5, sampler=sampler)) == (18, 0)
        anew = DistributedSampler(train, num_replicas=2, rank=0, shuffle=False)
        assert origins(DataLoader(train, batch_size=5, sampler=anew)) == (10, 0)

    def test_torch_refuses_another_length_where_the_last_are_dropped(self, bank):
        train = augmented(bank, real_only_from=1)
        sampler = DistributedSampler(train, num_replicas=2, rank=0, drop_last=True)
        train.set_epoch(1)
        with pytest.raises(AssertionError, match="does not match total_size"):
            list(DataLoader(train, sampler=sampler))

    @pytest.mark.slow
    def test_two_processes_draw_the_same_epoch_and_share_it(self, tmp_path):
        torch.multiprocessing.spawn(replica, args=(str(tmp_path),), nprocs=2)
        parts = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
        bank = numbered_bank(numbered_table())
        train = augmented(bank, swap=0.5)
        for epoch in range(2):
            train.set_epoch(epoch)
            whole = torch.stack([x for x, _ in train])[:, 0]
            assert sorted(torch.cat([part[epoch] for part in parts]).tolist()) == sorted(whole.tolist())


def replica(rank, folder):
    """Read two epochs as one of two processes that meet through a file, and keep what was seen."""
    torch.distributed.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=2)
    train = augmented(numbered_bank(numbered_table()), swap=0.5)
    sampler = DistributedSampler(train)
    loader = DataLoader(train, batch_size=5, sampler=sampler, num_workers=1, persistent_workers=True)
    seen = []
    for epoch in range(2):
        train.set_epoch(epoch)
        sampler.set_epoch(epoch)
        seen.append(torch.cat([x[:, 0] for x, _ in loader]))
        torch.distributed.barrier()
    torch.save(seen, f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


class Mixed:
    """A collate function as torchvision's documentation has it."""

    def __init__(self, mix):
        self.mix = mix

    def __call__(self, batch):
        return self.mix(*default_collate(batch))


@pytest.mark.parametrize("mix", [v2.MixUp(num_classes=2), v2.CutMix(num_classes=2)])
@pytest.mark.parametrize("weight", [None, 0.5])
def test_batches_are_mixed_in_the_collate_function(mix, weight):
    real = TensorDataset(torch.rand(20, 3, 8, 8), torch.arange(20) // 15)
    bank = SampleBank.from_gan(fitted(real), 20)
    train = AugmentedDataset(real, bank, weight=weight)
    seed = torch.Generator().manual_seed(0)
    loader = DataLoader(train, batch_size=30, collate_fn=Mixed(mix), num_workers=1, generator=seed)
    (x, y, *rest) = next(iter(loader))
    assert (x.shape, y.shape) == ((30, 3, 8, 8), (30, 2))
    torch.testing.assert_close(y.sum(dim=1), torch.ones(30))
    assert ((y > 0) & (y < 1)).any()
    assert [w.tolist() for w in rest] == ([] if weight is None else [[1.0] * 20 + [0.5] * 10])


def test_stratified_folds(bank):
    train = augmented(bank)
    for _, part in StratifiedKFold(3).split(np.zeros(len(train)), train.targets):
        labels = [y.item() for _, y in Subset(train, part.tolist()).__getitems__(list(range(12)))]
        assert Counter(labels) == {0: 4, 1: 4, 2: 4}
