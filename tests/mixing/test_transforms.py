"""Transforms draw from (seed, epoch, index): no stream is repeated, whatever the workers."""

from collections import Counter

import albumentations as A
import numpy as np
import pytest
import torch
from albumentations.pytorch import ToTensorV2
from PIL import Image
from play_sets import Pairs, fitted
from torch.utils.data import DataLoader, Dataset, TensorDataset
from torchvision.transforms import v2

from ganaug import AugmentedDataset, DataError, SampleBank

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

N = 64
START = [("fork", False), ("fork", True), pytest.param("spawn", True, marks=pytest.mark.slow)]


def crop():
    """Return a transform whose result is the number of the pixel that it cut out, out of 256."""
    return A.Compose([A.RandomCrop(1, 1)])


class Bare(Dataset):
    """N equal images of 16 x 16 pixels that are their own numbers, transformed as users do it."""

    def __init__(self, transform=None, kind="array"):
        self.targets = [i % 2 for i in range(N)]
        self.transform, self.kind = transform, kind

    def __len__(self):
        return N

    def __getitem__(self, index):
        if not 0 <= index < N:
            raise IndexError(index)
        pixels = np.arange(256, dtype=np.uint8).reshape(16, 16)
        kinds = {"array": np.copy, "PIL": Image.fromarray, "tensor": lambda p: torch.tensor(p[None])}
        x = kinds[self.kind](pixels)
        return (x if self.transform is None else self.transform(image=x)["image"]), self.targets[index]


@pytest.fixture(scope="module")
def banks():
    """Return a bank for each kind of image; its samples are equal to the real ones."""
    found = {}
    for kind in ("array", "PIL", "tensor"):
        schema = fitted(Bare(kind=kind)).schema_
        x = np.asarray(Bare(kind=kind)[0][0])
        found[kind] = SampleBank(np.stack([x] * N), np.arange(N) % 2, schema)
    return found


def augmented(banks, transform, kind="array", **kwargs):
    """Return N real and N synthetic samples, transformed."""
    return AugmentedDataset(Bare(kind=kind), banks[kind], fill=2, transform=transform, **kwargs)


def draws(dataset, *, epochs=2, told=True, start=None, persistent=False, workers=2):
    """Return what was drawn, (epochs, batches, 8); batches go to the workers in turn."""
    workers = {
        "num_workers": workers,
        "multiprocessing_context": start,
        "persistent_workers": persistent,
    }
    loader = DataLoader(dataset, batch_size=8, **(workers if start else {}))
    found = []
    for epoch in range(epochs):
        if told and hasattr(dataset, "set_epoch"):
            dataset.set_epoch(epoch)
        found.append([x.flatten().tolist() for x, _ in loader])
    return np.array(found)


def n_repeats(batches):
    """Return how many pairs of batches are equal."""
    seen = Counter(map(tuple, batches.reshape(-1, batches.shape[-1]).tolist()))
    return sum(n - 1 for n in seen.values())


class TestAlbumentations:
    @pytest.mark.parametrize(("start", "persistent"), START)
    def test_repeats_itself_in_the_workers_of_a_bare_data_set(self, start, persistent):
        found = draws(Bare(crop()), start=start, persistent=persistent)
        assert np.array_equal(found[:, 0::2], found[:, 1::2])  # both workers draw the same
        if not persistent:
            assert np.array_equal(found[0], found[1])  # in each epoch

    @pytest.mark.parametrize(("start", "persistent"), START)
    def test_does_not_here(self, banks, start, persistent):
        train = augmented(banks, crop())
        alone = draws(train)
        assert n_repeats(alone) == 0
        assert np.array_equal(draws(train, start=start, persistent=persistent), alone)

    @pytest.mark.parametrize(("start", "persistent"), START[:2])
    def test_does_not_here_where_no_epoch_is_told(self, banks, start, persistent):
        assert n_repeats(draws(augmented(banks, crop()), told=False, start=start, persistent=persistent)) == 0

    def test_neither_number_of_workers_nor_an_interruption_matters(self, banks):
        alone = draws(augmented(banks, crop()))
        assert np.array_equal(draws(augmented(banks, crop()), start="fork", workers=1), alone)
        resumed = augmented(banks, crop())
        resumed.set_epoch(1)
        assert [x.item() for x, _ in resumed.__getitems__([70, 3])] == [
            alone[1].flatten()[70],
            alone[1].flatten()[3],
        ]

    def test_seeds_differ_and_one_compose_serves_several_data_sets(self, banks):
        shared = crop()
        one, same, other = (augmented(banks, shared, random_state=seed) for seed in (1, 1, 2))
        for data in (one, same, other):
            data.set_epoch(0)
        drawn = [(one[i][0].item(), same[i][0].item(), other[i][0].item()) for i in range(2 * N)]
        assert all(a == b for a, b, _ in drawn)
        assert np.mean([a == c for a, _, c in drawn]) < 0.05

    def test_choices_of_one_compose_are_independent(self, banks):
        flips = A.Compose([A.HorizontalFlip(p=0.5), A.VerticalFlip(p=0.5)], seed=3)
        corner = [int(flips(image=Bare()[0][0])["image"][0, 0]) for _ in range(60)]
        assert set(corner) == {0, 255}  # as albumentations seeds it, both or none
        train = augmented(banks, flips)
        train.set_epoch(0)
        counts = Counter(int(x[0, 0]) for x, _ in train)
        assert set(counts) == {0, 15, 240, 255}
        assert min(counts.values()) > 32 - 5 * 4.9  # five standard deviations

    @pytest.mark.parametrize("kind", ["array", "PIL"])
    @pytest.mark.parametrize("transform", [A.RandomCrop(1, 1), A.OneOf([A.RandomCrop(1, 1)], p=1)])
    def test_any_of_its_transforms_gets_arrays(self, banks, kind, transform):
        train = augmented(banks, transform, kind)
        train.set_epoch(0)
        drawn = [x for x, _ in train]
        assert {(type(x), x.shape) for x in drawn} == {(np.ndarray, (1, 1))}
        assert len({x.item() for x in drawn}) > 60

    def test_its_tensors(self, banks):
        train = augmented(banks, A.Compose([A.RandomCrop(4, 4), ToTensorV2()]), "PIL", weight=0.5)
        x, y, _ = next(iter(DataLoader(train, batch_size=128)))
        assert (x.shape, y.tolist()) == ((128, 1, 4, 4), train.targets)

    def test_needs_arrays(self, banks):
        with pytest.raises(DataError, match="the real data set yields tensors"):
            augmented(banks, crop(), "tensor")


class TestTorchvision:
    @pytest.mark.parametrize("persistent", [False, True])
    def test_workers_do_not_matter_once_the_epoch_is_told(self, banks, persistent):
        train = augmented(banks, v2.RandomCrop(1), "tensor")
        alone = draws(train)
        assert n_repeats(alone) == 0
        assert np.array_equal(draws(train, start="fork", persistent=persistent), alone)

    @pytest.mark.parametrize("persistent", [False, True])
    def test_nothing_repeats_where_it_is_not(self, banks, persistent):
        train = augmented(banks, v2.RandomCrop(1), "tensor")
        assert n_repeats(draws(train, told=False, start="fork", persistent=persistent)) == 0
        assert n_repeats(draws(train, told=False)) == 0

    def test_torch_s_own_stream_goes_on_as_if_nothing_had_been_drawn(self, banks):
        train = augmented(banks, v2.RandomCrop(1), "tensor")
        train.set_epoch(0)
        before = torch.get_rng_state()
        train.__getitems__([3, 70, 100])
        assert torch.equal(torch.get_rng_state(), before)

    def test_what_the_real_data_set_draws_does_not_repeat(self):
        class Noisy(Pairs):
            def __getitem__(self, index):
                return torch.rand(2), self.items[index][1]

        real = Noisy([(None, i % 2) for i in range(20)])
        train = AugmentedDataset(real, fitted(real), fill=None, transform=lambda x: x)
        train.set_epoch(0)
        assert not torch.equal(train[0][0], train[0][0])

    def test_draws_are_uniform_and_independent_of_neighbours_and_epochs(self):
        n = 4000
        real = TensorDataset(torch.zeros(n, 1), torch.arange(n) % 2)
        schema = fitted(TensorDataset(torch.rand(20, 1), torch.arange(20) % 2)).schema_
        bank = SampleBank(np.zeros((2, 1), np.float32), np.arange(2), schema)
        train = AugmentedDataset(real, bank, fill=None, transform=lambda _: torch.rand(1))
        drawn = []
        for epoch in range(2):
            train.set_epoch(epoch)
            drawn.append(torch.cat([x for x, _ in train.__getitems__(range(n))]).numpy())
        deciles = np.histogram(drawn[0], bins=10, range=(0, 1))[0]
        assert ((deciles - n / 10) ** 2 / (n / 10)).sum() < 33.7  # chi-square of 9 degrees at 1e-4
        for a, b in [(drawn[0], drawn[1]), (drawn[0][1:], drawn[0][:-1]), (drawn[0][7:], drawn[1][:-7])]:
            assert abs(np.corrcoef(a, b)[0, 1]) < 4 / n**0.5
