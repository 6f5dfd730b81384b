"""AugmentedDataset in real DataLoaders, around the data sets people have."""

import copy
import pickle
from collections import Counter
from functools import partial

import albumentations as A
import numpy as np
import pytest
import torch
from PIL import Image
from play_sets import Drawings, Pairs, fitted, numbered_bank, numbered_table
from torch.utils.data import (
    ConcatDataset,
    DataLoader,
    Dataset,
    RandomSampler,
    StackDataset,
    Subset,
    TensorDataset,
)
from torchvision.datasets import FakeData, ImageFolder
from torchvision.transforms.functional import pil_to_tensor

from ganaug import AugmentedDataset, ConfigError, DataError, SampleBank
from ganaug.data.schema import Schema

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


@pytest.fixture(scope="module")
def drawings_gan():
    return fitted(Drawings())


@pytest.fixture(scope="module")
def table():
    return numbered_table()


@pytest.fixture(scope="module")
def marked_bank(table):
    return numbered_bank(table)


def pixels(image):
    return np.asarray(image).astype(np.float32)


def drawn(dataset, **kwargs):
    """Return everything a DataLoader yields for three epochs, in random order, as plain lists."""
    order = RandomSampler(dataset, generator=torch.Generator().manual_seed(5))
    loader = DataLoader(dataset, batch_size=4, sampler=order, **kwargs)
    found = []
    for epoch in range(3):
        dataset.set_epoch(epoch)
        found += [[part.tolist() for part in batch] for batch in loader]
    return found


class TestWorkers:
    @pytest.mark.parametrize(
        ("start", "persistent"),
        [("fork", False), ("fork", True), pytest.param("spawn", True, marks=pytest.mark.slow)],
    )
    def test_workers_change_neither_samples_nor_order(self, drawings_gan, start, persistent):
        train = AugmentedDataset(Drawings(), drawings_gan, swap=0.5, weight=0.5, transform=pil_to_tensor)
        alone = drawn(train)
        with_workers = drawn(
            train,
            num_workers=2,
            multiprocessing_context=start,
            persistent_workers=persistent,
        )
        assert with_workers == alone

    def test_set_epoch_reaches_persistent_workers(self, table, marked_bank):
        train = AugmentedDataset(table, marked_bank, fill=None, swap=0.5)
        loader = DataLoader(train, batch_size=20, num_workers=1, persistent_workers=True)
        seen = []
        for epoch in (0, 1, 0):
            train.set_epoch(epoch)
            seen.append(next(iter(loader))[0])
        assert torch.equal(seen[0], seen[2])
        assert not torch.equal(seen[0], seen[1])

    def test_real_only_phase_reaches_persistent_workers(self, table, marked_bank):
        train = AugmentedDataset(table, marked_bank, fill=None, swap=1.0, real_only_from=1)
        loader = DataLoader(train, batch_size=20, num_workers=1, persistent_workers=True)
        smallest = []
        for epoch in (0, 1):
            train.set_epoch(epoch)
            smallest.append(next(iter(loader))[0].min().item())
        assert smallest[0] >= 1000
        assert smallest[1] == 0


class TestFill:
    def test_counts_are_exact_and_real_samples_come_first(self, drawings_gan):
        train = AugmentedDataset(Drawings(), drawings_gan)
        assert Counter(train.targets) == {0: 8, 1: 8, 2: 8}
        assert len(train) == 24
        assert [train.origin(i) for i in range(24)] == ["real"] * 14 + ["synthetic"] * 10
        for i, (image, label) in enumerate(Drawings()):
            assert np.array_equal(pixels(train[i][0]), pixels(image))
            assert train[i][1] == label

    @pytest.mark.parametrize(
        ("fill", "expected"),
        [(2, {0: 16, 1: 16, 2: 16}), ({2: 5}, {0: 8, 1: 4, 2: 5}), (None, {0: 8, 1: 4, 2: 2})],
    )
    def test_other_fills(self, drawings_gan, fill, expected):
        assert Counter(AugmentedDataset(Drawings(), drawings_gan, fill=fill).targets) == expected

    def test_targets_classes_and_origin_agree_with_items(self, table, marked_bank):
        train = AugmentedDataset(table, marked_bank, swap=0.4)
        train.set_epoch(2)
        for i in range(len(train)):
            x, y = train[i]
            assert y.item() == train.targets[i]
            synthetic = x[0].item() >= 1000
            assert train.origin(i) == ("synthetic" if synthetic else "real")
            if synthetic:
                assert x[0].item() // 1000 - 1 == y.item()
        assert train.classes is None
        assert AugmentedDataset(Drawings(), fitted(Drawings())).classes == Drawings.classes

    def test_a_bank_larger_than_the_fill_is_used_in_full(self, table, marked_bank):
        train = AugmentedDataset(table, marked_bank, fill={2: 9})
        seen = []
        for epoch in range(5):
            train.set_epoch(epoch)
            numbers = [train[i][0][0].item() for i in range(20, 27)]
            assert len(set(numbers)) == 7
            seen += numbers
        assert set(seen[:30]) == {3000.0 + k for k in range(30)}

    def test_a_bank_smaller_than_the_fill_repeats_evenly(self, table, marked_bank):
        small = SampleBank(marked_bank.samples[::10], marked_bank.class_indices[::10], marked_bank.schema)
        train = AugmentedDataset(table, small, fill={2: 11})
        assert sorted(Counter(train[i][0][0].item() for i in range(20, 29)).values()) == [3, 3, 3]

    def test_same_seed_same_samples(self, drawings_gan):
        one, two = (AugmentedDataset(Drawings(), drawings_gan, random_state=3) for _ in range(2))
        other = AugmentedDataset(Drawings(), drawings_gan, random_state=4)
        assert np.array_equal(one.bank.samples, two.bank.samples)
        assert not np.array_equal(one.bank.samples, other.bank.samples)


class TestSwap:
    def test_a_share_of_the_real_samples_is_replaced_anew_each_epoch(self):
        n = 1000
        real = TensorDataset(torch.zeros(n, 1), torch.arange(n) % 2)
        gan_part = TensorDataset(torch.rand(20, 1), torch.arange(20) % 2)
        schema = fitted(gan_part).schema_
        bank = SampleBank(np.array([[1.0], [2.0]] * 50, np.float32), np.array([0, 1] * 50), schema)
        train = AugmentedDataset(real, bank, fill=None, swap=0.3)
        masks = []
        for epoch in range(3):
            train.set_epoch(epoch)
            values = np.array([train[i][0].item() for i in range(n)])
            swapped = values > 0
            assert np.array_equal(values[swapped], 1.0 + np.flatnonzero(swapped) % 2)
            assert 0.24 < swapped.mean() < 0.36  # four standard deviations
            masks.append(swapped)
        assert (masks[0] != masks[1]).mean() > 0.3  # independent draws differ at 2 * 0.3 * 0.7
        train.set_epoch(0)
        assert [train.origin(i) == "synthetic" for i in range(n)] == masks[0].tolist()

    def test_no_synthetic_sample_is_used_twice_in_an_epoch(self, table, marked_bank):
        train = AugmentedDataset(table, marked_bank, fill={0: 18, 1: 12, 2: 8}, swap=0.5)
        for epoch in range(3):
            train.set_epoch(epoch)
            used = [x[0].item() for i, (x, _) in enumerate(train) if train.origin(i) == "synthetic"]
            assert len(used) > 18  # the added ones
            assert len(set(used)) == len(used)

    def test_reading_order_changes_nothing(self, table, marked_bank):
        train = AugmentedDataset(table, marked_bank, swap=0.5)
        forth = [train[i][0].tolist() for i in range(len(train))]
        train.set_epoch(7)
        _ = train[3]
        train.set_epoch(0)
        back = [train[i][0].tolist() for i in reversed(range(len(train)))]
        assert forth == back[::-1]

    @pytest.mark.parametrize(("swap", "expected"), [(0.0, {"real"}), (1.0, {"synthetic"})])
    def test_nothing_and_everything(self, table, marked_bank, swap, expected):
        train = AugmentedDataset(table, marked_bank, fill=None, swap=swap)
        assert {train.origin(i) for i in range(len(train))} == expected

    def test_a_generator_yields_a_sample_for_each_it_may_replace(self, drawings_gan):
        train = AugmentedDataset(Drawings(), drawings_gan, fill=None, swap=0.5)
        assert train.bank.counts == {0: 8, 1: 4, 2: 2}


class TestItems:
    def test_weights(self, table, marked_bank):
        train = AugmentedDataset(table, marked_bank, weight=0.25)
        x, _, w = next(iter(DataLoader(train, batch_size=len(train))))
        assert x.shape == (36, 2)
        assert w.tolist() == [1.0] * 20 + [0.25] * 16

    def test_real_only_phase(self, table, marked_bank):
        train = AugmentedDataset(table, marked_bank, swap=1.0, real_only_from=2)
        sizes = []
        for epoch in range(4):
            train.set_epoch(epoch)
            sizes.append((len(train), len(train.targets), train.origin(0)))
        assert sizes == [(36, 36, "synthetic")] * 2 + [(20, 20, "real")] * 2
        assert torch.equal(torch.stack([x for x, _ in train]), table.tensors[0])
        assert torch.equal(train[-1][0], table[19][0])

    def test_added_places_hold_real_samples_of_their_class_in_the_real_only_phase(self, table, marked_bank):
        train = AugmentedDataset(table, marked_bank, fill=2, real_only_from=1)
        labels = train.targets
        seen = []
        for epoch in (1, 2):
            train.set_epoch(epoch)
            items = train.__getitems__(list(range(20, 72)))
            assert [y.item() for _, y in items] == labels[20:]
            assert {train.origin(i) for i in range(72)} == {"real"}
            numbers = [int(x[0]) // 2 for x, _ in items]
            assert [table[i][1].item() for i in numbers] == labels[20:]
            counts = Counter(numbers)  # 12 more of 12, 18 of 6 and 22 of 2
            assert [set(map(counts.get, part)) for part in (range(12), range(12, 18), (18, 19))] == [
                {1},
                {3},
                {11},
            ]
            seen.append(numbers)
        with pytest.raises(IndexError, match="within 20 samples; got 72"):
            train[72]

    def test_indices_from_the_end_and_beyond(self, table, marked_bank):
        train = AugmentedDataset(table, marked_bank)
        assert torch.equal(train[-1][0], train[35][0])
        assert [y.item() for _, y in train.__getitems__([-36, -1])] == [0, 2]
        for index in (36, -37, 1.5, "1"):
            with pytest.raises(IndexError, match="indices must be"):
                train[index]

    @pytest.mark.parametrize("kind", ["tensor", "int", "numpy", "str"])
    def test_synthetic_labels_are_of_the_real_kind(self, kind):
        like = {"tensor": torch.tensor, "int": int, "numpy": np.int64, "str": "ab".__getitem__}[kind]
        real = Pairs([(torch.rand(2), like(int(i < 3))) for i in range(10)])
        train = AugmentedDataset(real, fitted(real))
        assert {type(train[i][1]) for i in range(len(train))} == {type(like(0))}
        labels = next(iter(DataLoader(train, batch_size=14)))[1]
        assert list(labels if kind == "str" else labels.tolist()) == train.targets

    def test_transforms_apply_to_both_kinds(self, drawings_gan):
        train = AugmentedDataset(
            Drawings(), drawings_gan, transform=pil_to_tensor, target_transform=partial(pow, 2)
        )
        items = [train[i] for i in range(len(train))]
        assert {(tuple(x.shape), x.dtype) for x, _ in items} == {((1, 8, 8), torch.uint8)}
        assert [y for _, y in items] == [2**t for t in train.targets]


class Batches(Pairs):
    """A data set that yields whole batches, and tells which."""

    def __getitems__(self, indices):
        self.asked = [*getattr(self, "asked", []), indices]
        return [self.items[i] for i in indices]


def same(one, other):
    """Return whether two items are equal in type, values and dtype."""
    if isinstance(one, (tuple, list)):
        return type(one) is type(other) and all(map(same, one, other))
    a, b = np.asarray(one), np.asarray(other)
    return type(one) is type(other) and a.dtype == b.dtype and np.array_equal(a, b)


class TestBatches:
    @pytest.mark.parametrize("kind", ["pictures", "tensors", "arrays"])
    @pytest.mark.parametrize("below_subset", [False, True])
    def test_a_batch_equals_its_items(self, drawings_gan, table, marked_bank, kind, below_subset):
        if kind == "pictures":
            train = AugmentedDataset(Drawings(), drawings_gan, swap=0.5, weight=0.5)
        elif kind == "tensors":
            train = AugmentedDataset(table, marked_bank, swap=0.5, target_transform=float)
        else:
            real = Pairs([(np.float32([i, -i]), i % 2) for i in range(9)])
            train = AugmentedDataset(real, fitted(real), swap=0.5, transform=partial(np.add, 1))
        data = Subset(train, list(range(len(train)))[::-1]) if below_subset else train
        for epoch in range(2):
            train.set_epoch(epoch)
            order = [7, 0, len(train) - 1, 7, *range(len(train))]
            assert same(data.__getitems__(order), [data[i] for i in order])
        assert train.__getitems__([]) == []

    def test_real_samples_are_asked_for_at_once_where_they_can_be(self):
        real = Batches([(np.float32([i, -i]), int(i < 3)) for i in range(10)])
        train = AugmentedDataset(real, fitted(Pairs(real.items)))
        batch = train.__getitems__([3, 12, 0, 11])
        assert real.asked == [[3, 0]]
        assert [y for _, y in batch] == [0, 1, 1, 1]
        train.__getitems__([12, 11])
        assert real.asked == [[3, 0]]

    def test_synthetic_samples_of_a_batch_do_not_share_memory(self, table, marked_bank):
        train = AugmentedDataset(table, marked_bank)
        batch = train.__getitems__([30, 31, 30])
        batch[0][0].zero_()
        assert [x[0].item() > 0 for x, _ in batch] == [False, True, True]
        assert train[30][0][0] > 0


class TestAroundDataSets:
    def test_colour_images(self):
        real = Drawings(mode="RGB")
        train = AugmentedDataset(real, fitted(real))
        assert {(train[i][0].mode, train[i][0].size) for i in range(len(train))} == {("RGB", (8, 8))}

    def test_torchvision_fake_data(self):
        real = FakeData(size=20, image_size=(3, 8, 8), num_classes=2, transform=pil_to_tensor)
        train = AugmentedDataset(real, fitted(real), fill=2)
        counts = Counter(int(real[i][1]) for i in range(20))
        assert Counter(train.targets) == dict.fromkeys(counts, 2 * max(counts.values()))
        assert next(iter(DataLoader(train, batch_size=len(train))))[0].dtype == torch.uint8

    def test_image_folder(self, tmp_path):
        rng = np.random.default_rng(0)
        for name, n in (("cat", 6), ("dog", 3)):
            (tmp_path / name).mkdir()
            for i in range(n):
                Image.fromarray(rng.integers(0, 256, (8, 10, 3), np.uint8)).save(tmp_path / name / f"{i}.png")
        real = ImageFolder(tmp_path)
        gan = fitted(real)
        train = AugmentedDataset(real, gan, transform=pil_to_tensor)
        assert train.classes == ["cat", "dog"]
        assert train.class_to_idx == {"cat": 0, "dog": 1}
        assert AugmentedDataset(Subset(real, range(9)), gan).class_to_idx == {"cat": 0, "dog": 1}
        assert Counter(train.targets) == {0: 6, 1: 6}
        assert gan["dog"].generate(2).shape == (2, 8, 10, 3)
        x, _ = next(iter(DataLoader(train, batch_size=12)))
        assert x.shape == (12, 3, 8, 10)

    def test_subset_keeps_its_own_targets(self, table, marked_bank):
        part = Subset(table, [0, 1, 2, 3, 12, 13, 18])
        train = AugmentedDataset(part, marked_bank)
        assert train.targets[:7] == [0, 0, 0, 0, 1, 1, 2]
        assert Counter(train.targets) == {0: 4, 1: 4, 2: 4}

    def test_data_sets_one_after_another(self, table, marked_bank):
        both = ConcatDataset([Subset(table, range(14)), Pairs([table[i] for i in range(14, 20)])])
        train = AugmentedDataset(both, marked_bank, swap=0.5)
        assert train.targets == AugmentedDataset(table, marked_bank, swap=0.5).targets
        assert (train.classes, train.class_to_idx) == (None, None)
        assert all(
            same(*pair) for pair in zip(train, AugmentedDataset(table, marked_bank, swap=0.5), strict=True)
        )
        one, other = Drawings(), Drawings()
        assert AugmentedDataset(ConcatDataset([one, other]), fitted(one)).classes == Drawings.classes
        other.classes = ("black", "grey", "white")
        assert AugmentedDataset(ConcatDataset([one, other]), fitted(one)).classes is None

    def test_items_that_were_stacked_have_no_targets_and_are_loaded(self, table, marked_bank):
        stacked = StackDataset(table.tensors[0], table.tensors[1])
        assert AugmentedDataset(stacked, marked_bank).targets == AugmentedDataset(table, marked_bank).targets

    def test_tv_tensors_stay_tv_tensors(self):
        from torchvision import tv_tensors
        from torchvision.transforms.v2 import RandomCrop

        real = Drawings(transform=lambda image: tv_tensors.Image(image))
        train = AugmentedDataset(real, fitted(real), swap=0.5, transform=RandomCrop(6))
        plain = AugmentedDataset(real, train.bank, swap=0.5)
        assert {type(plain[i][0]) for i in range(24)} == {type(train[i][0]) for i in range(24)}
        assert type(plain[23][0]) is tv_tensors.Image
        assert (plain[23][0].shape, train[23][0].shape) == ((1, 8, 8), (1, 6, 6))
        synthetic = next(i for i in range(14) if plain.origin(i) == "synthetic")
        assert type(plain[synthetic][0]) is tv_tensors.Image


class TestBankOnDisk:
    def test_is_mapped_and_travels_to_workers_as_a_path(self, table, marked_bank, tmp_path):
        many = SampleBank(
            np.tile(marked_bank.samples, (500, 1)),
            np.tile(marked_bank.class_indices, 500),
            marked_bank.schema,
        )
        bank = many.save(tmp_path / "bank")
        train = AugmentedDataset(table, bank, swap=0.5, random_state=1)
        assert train[21][0].shape == (2,)  # by now the bank is open
        assert len(pickle.dumps(train._likeness)) < 10_000 < bank.samples.nbytes
        in_memory = AugmentedDataset(table, many, swap=0.5, random_state=1)
        assert drawn(train) == drawn(in_memory) == drawn(pickle.loads(pickle.dumps(train)))

    @pytest.mark.parametrize("shard_rows", [None, 7])
    def test_is_read_alike_when_it_is_too_large_for_memory(
        self, table, marked_bank, tmp_path, monkeypatch, shard_rows
    ):
        bank = marked_bank.save(tmp_path / "bank", shard_rows=shard_rows)
        monkeypatch.setattr("ganaug.shards.RESIDENT_BYTES", 0)
        from_disk = AugmentedDataset(table, bank, swap=0.5)
        assert drawn(from_disk, num_workers=2) == drawn(AugmentedDataset(table, marked_bank, swap=0.5))


class TestMistakes:
    def test_other_shape_or_dtype(self, table, marked_bank):
        wide = TensorDataset(torch.rand(20, 3), table.tensors[1])
        double = TensorDataset(table.tensors[0].double(), table.tensors[1])
        for real in (wide, double, Drawings()):
            with pytest.raises(DataError, match=r"shape and dtype .* give\s+transforms to AugmentedDataset"):
                AugmentedDataset(real, marked_bank)

    def test_a_transform_inside_the_real_data_set_is_pointed_at(self, drawings_gan):
        with pytest.raises(DataError, match="transforms to AugmentedDataset instead"):
            AugmentedDataset(Drawings(transform=pil_to_tensor), drawings_gan)

    def test_targets_that_are_not_the_labels_of_the_items(self, drawings_gan):
        class Turned(Drawings):
            def __getitem__(self, index):
                x, y = super().__getitem__(index)
                return x, 2 - y

        with pytest.raises(DataError, match="item 0 has the label 2 and the target 0"):
            AugmentedDataset(Turned(), drawings_gan)

    def test_more_targets_than_samples(self, drawings_gan):
        class Cut(Drawings):
            def __len__(self):
                return 10

        with pytest.raises(DataError, match="a target per sample; got 14 for 10 samples"):
            AugmentedDataset(Cut(), drawings_gan)

    @pytest.mark.parametrize("item", [np.float32([1, 2]), (np.float32([1, 2]), 0, 1.0), {"x": 1, "y": 0}])
    def test_items_that_are_no_pairs(self, marked_bank, item):
        real = Pairs([item] * 4)
        real.targets = [0, 1, 0, 1]
        with pytest.raises(DataError, match="items must be pairs"):
            AugmentedDataset(real, marked_bank)

    def test_items_of_another_type(self, marked_bank):
        with pytest.raises(DataError, match="tensors, arrays or PIL images; got list"):
            AugmentedDataset(Pairs([([np.float32(1), np.float32(i)], i % 3) for i in range(9)]), marked_bank)

    @pytest.mark.parametrize(
        "wrong",
        [
            {"swap": -0.1},
            {"swap": 1.5},
            {"swap": "half"},
            {"swap": float("nan")},
            {"fill": "everything"},
            {"fill": {0: 3}},
            {"fill": {9: 30}},
            {"weight": -1.0},
            {"weight": float("inf")},
        ],
    )
    def test_out_of_range(self, table, marked_bank, wrong):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            AugmentedDataset(table, marked_bank, **wrong)

    @pytest.mark.parametrize("mixing", [{"fill": "balance"}, {"fill": None, "swap": 0.5}])
    def test_a_class_without_samples_in_the_bank(self, table, marked_bank, mixing):
        lacking = SampleBank(marked_bank.samples[:60], marked_bank.class_indices[:60], marked_bank.schema)
        with pytest.raises(DataError, match="no sample of class 2"):
            AugmentedDataset(table, lacking, **mixing)
        AugmentedDataset(table, lacking, fill={1: 8})

    def test_a_class_unknown_to_the_bank_is_not_taken_for_a_similar_one(self):
        def named(names):
            return Pairs([(np.float32([i, i]), names[i % 2]) for i in range(9)])

        bank = SampleBank.from_gan(fitted(named(["dog", "cat"])), 3)
        with pytest.raises(DataError, match="catfish"):
            AugmentedDataset(named(["dog", "catfish"]), bank)


class Named(Dataset):
    """Grey images as numbers of named classes, as ImageFolder has them."""

    def __init__(self, *classes):
        self.classes = list(classes)
        self.class_to_idx = {name: i for i, name in enumerate(classes)}
        self.targets = [i for i in range(len(classes)) for _ in range(4)]
        self.levels = {"a": 0, "b": 100, "c": 200}

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, index):
        y = self.targets[index]
        return torch.full((1, 8, 8), self.levels[self.classes[y]] + index, dtype=torch.uint8), y


@pytest.mark.parametrize("kind", ["numbers with names", "text"])
def test_classes_are_matched_by_name(kind):
    numbered = kind != "text"
    X = torch.stack([x for x, _ in Named("a", "b", "c")])
    labels = np.repeat([0, 1, 2] if numbered else ["a", "b", "c"], 4)
    schema = Schema.fit(X, labels, names=("a", "b", "c") if numbered else None)
    bank = SampleBank(X.numpy(), schema.encode_y(labels).numpy(), schema)
    train = AugmentedDataset(Named("b", "c"), bank, fill=2)
    added = [train[i] for i in range(len(train)) if train.origin(i) == "synthetic"]
    assert {(y, int(x.max()) // 100) for x, y in added} == {(0, 1), (1, 2)}
    with pytest.raises(DataError, match=r"a class of each name; it has none of 'd'"):
        AugmentedDataset(Renamed("b", "d"), bank, fill=2)


class Renamed(Named):
    def __getitem__(self, index):
        return torch.zeros(1, 8, 8, dtype=torch.uint8), self.targets[index]


def test_workers_of_a_copy_hear_of_its_epochs(table, marked_bank):
    train = copy.deepcopy(AugmentedDataset(Pairs([*numbered_table()]), marked_bank, swap=0.5))
    loader = DataLoader(train, batch_size=50, num_workers=1, persistent_workers=True)
    for k in range(3):
        train.set_epoch(k)
        (x, _) = next(iter(loader))
        assert torch.equal(torch.as_tensor(x), torch.stack([torch.as_tensor(x) for x, _ in train]))


def test_the_callers_own_transform_keeps_its_generators():
    own = A.Compose([A.GaussNoise(p=1.0)])
    train = AugmentedDataset(Drawings(), fitted(Drawings()), transform=own)
    train.set_epoch(0)
    image = np.full((8, 8), 100, np.uint8)
    noisy = []
    for _ in range(2):
        train[0]
        noisy.append(own(image=image)["image"])
    assert not np.array_equal(*noisy)


@pytest.mark.parametrize("wrong", ["bank", None])
def test_a_source_that_is_none(table, wrong):
    with pytest.raises(ConfigError, match=r"ConditionalGAN or a SampleBank; got .*Open a folder"):
        AugmentedDataset(Drawings(), wrong)
