"""SyntheticSwap in albumentations: the right class; saved, replayed and seeded as others are; any worker."""

import json
import pickle
import random
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import albumentations as A
import numpy as np
import pytest
import torch
import yaml
from albumentations.pytorch import ToTensorV2
from packaging.requirements import Requirement
from torch.utils.data import DataLoader, Dataset, get_worker_info

from ganaug import CheckpointError, ConditionalGAN, DataError, SampleBank
from ganaug.albumentations import SyntheticSwap
from ganaug.data.schema import Schema

CLASSES = {1: "one", 4: "four", 7: "seven"}


def made_bank(folder, schema, per_class=40):
    """Write a bank whose images say which class and row they are: all pixels are 10 * class + row % 10."""
    classes = np.repeat(np.arange(len(schema.labels)), per_class)
    rows = np.arange(len(classes))
    values = (20 * (classes + 1) + rows % 10).astype(schema.codec.dtype)
    shape = {"nhw": (8, 9), "nhwc": (8, 9, 3), "nchw": (3, 8, 9)}[schema.codec.layout]
    samples = np.broadcast_to(values.reshape(-1, *[1] * len(shape)), (len(rows), *shape))
    SampleBank(np.ascontiguousarray(samples), classes, schema).save(folder)
    return folder


def schema_of(shape, dtype=np.uint8, labels=(1, 4, 7)):
    images = np.random.default_rng(0).integers(0, 255, (12, *shape)).astype(dtype)
    return Schema.fit(images, np.repeat(labels, 4), names=list(CLASSES.values()))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a bank of colour images, 8 high and 9 wide."""
    return made_bank(tmp_path_factory.mktemp("a") / "bank", schema_of((8, 9, 3)))


REAL = np.full((8, 9, 3), 7, dtype=np.uint8)


def class_of(image):
    """Return the index of the class that a synthetic image shows; -1 for the real one."""
    return int(image.flat[0]) // 20 - 1


def draws(transform, n=60, label=4):
    return [int(transform(image=REAL, label=label)["image"].flat[0]) for _ in range(n)]


# --- what it does ---------------------------------------------------------------------------------


@pytest.mark.parametrize("index", range(3))
def test_an_image_is_replaced_by_one_of_its_own_class(folder, index):
    swap = SyntheticSwap(folder, p=1.0)
    label, name = list(CLASSES.items())[index]
    for given in (label, str(label), name, np.int64(label), torch.tensor(label), np.array(label)):
        out = swap(image=REAL, label=given)
        assert class_of(out["image"]) == index
        assert out["label"] is given


def test_all_samples_of_the_class_are_drawn_and_no_other(folder):
    seen = set(draws(SyntheticSwap(folder, p=1.0), 400))
    assert seen == set(range(40, 50))


def test_p_is_the_share_of_images_that_are_replaced(folder):
    assert {class_of(REAL)} == {-1}
    assert set(draws(SyntheticSwap(folder, p=0.0))) == {7}
    assert 7 not in draws(SyntheticSwap(folder, p=1.0))
    swap = SyntheticSwap(folder, p=0.3)
    swap.set_random_seed(0)
    replaced = np.mean([value != 7 for value in draws(swap, 2000)])
    assert abs(replaced - 0.3) < 4 * np.sqrt(0.3 * 0.7 / 2000)


def test_a_generators_bank_gives_its_own_images(digits, tiny, tmp_path):
    gan = ConditionalGAN(config=tiny, random_state=0).fit(*digits)
    bank = SampleBank.from_gan(gan, {1: 3, 4: 3, 7: 3}, path=tmp_path / "bank")
    swap = SyntheticSwap(tmp_path / "bank", p=1.0)
    for label in (1, 4, 7):
        mine = [s.tobytes() for s, k in zip(bank.samples, bank.class_indices, strict=True)
                if bank.schema.labels[k] == label]  # fmt: skip
        assert swap(image=digits[0][0], label=label)["image"].tobytes() in mine


@pytest.mark.parametrize(
    ("stored", "incoming"),
    [((8, 9), (8, 9)), ((8, 9), (8, 9, 1)), ((3, 8, 9), (8, 9, 3)), ((8, 9, 3), (8, 9, 3))],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_images_come_in_the_form_of_the_real_ones(tmp_path, stored, incoming, dtype):
    swap = SyntheticSwap(made_bank(tmp_path / "b", schema_of(stored, dtype)), p=1.0)
    real = np.zeros(incoming, dtype)
    image = A.Compose([swap, A.HorizontalFlip(p=1.0)])(image=real, label=4)["image"]
    assert (image.shape, image.dtype, class_of(image)) == (incoming, np.dtype(dtype), 1)
    own = swap(image=real, label=4)["image"]
    own[:] = 0  # a copy, so that the caller may write to it, and the bank stays
    assert class_of(swap(image=real, label=4)["image"]) == 1


def test_it_works_in_a_compose_with_others(folder):
    flow = [SyntheticSwap(folder, p=1.0), A.HorizontalFlip(p=0.5), A.Normalize(0.0, 1.0), ToTensorV2()]
    out = A.Compose(flow, seed=0, strict=True)(image=REAL, label=7)
    assert out["image"].shape == (3, 8, 9)
    assert out["label"] == 7
    assert int((out["image"] * 255).round()[0, 0, 0]) // 20 - 1 == 2
    some = A.OneOf([SyntheticSwap(folder, p=1.0), A.NoOp(p=1.0)], p=1.0)
    found = {class_of(A.Compose([some])(image=REAL, label=1)["image"]) for _ in range(40)}
    assert found == {-1, 0}


# --- what it refuses ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (np.zeros((16, 16, 3), np.uint8), r"\(8, 9, 3\) uint8; got \(16, 16, 3\) uint8.*before.*Resize"),
        (np.zeros((8, 9, 3), np.float32), r"\(8, 9, 3\) uint8; got \(8, 9, 3\) float32.*before.*ToFloat"),
        (np.zeros((8, 9), np.uint8), r"\(8, 9, 3\) uint8; got \(8, 9\) uint8"),
        (np.zeros((9, 8, 3), np.uint8), r"got \(9, 8, 3\)"),
    ],
)
def test_images_unlike_those_of_the_bank_are_refused(folder, image, said):
    with pytest.raises(DataError, match=said):
        SyntheticSwap(folder, p=1.0)(image=image, label=1)


def test_a_label_must_come_and_be_known(folder):
    swap = SyntheticSwap(folder, label_key="kind", p=1.0)
    assert class_of(swap(image=REAL, kind=4)["image"]) == 1
    with pytest.raises(DataError, match=r"label of the image as 'kind'; got 'image', 'label'. Call"):
        swap(image=REAL, label=4)
    with pytest.raises(KeyError, match=r"no class 'seve'.*Did you mean 'seven'"):
        swap(image=REAL, kind="seve")
    with pytest.raises(KeyError, match=r"no class array\(\[0, 1, 0\]\)"):
        swap(image=REAL, kind=np.array([0, 1, 0]))


def test_a_class_without_samples_is_named(tmp_path):
    schema = schema_of((8, 9))
    samples = np.zeros((4, 8, 9), np.uint8)
    SampleBank(samples, np.array([0, 0, 2, 2]), schema).save(tmp_path / "b")
    swap = SyntheticSwap(tmp_path / "b", p=1.0)
    swap(image=samples[0], label="one")
    with pytest.raises(DataError, match="no sample of class 'four'"):
        swap(image=samples[0], label="four")


@pytest.mark.parametrize(
    ("flow", "more"),
    [
        ({}, {"mask": np.zeros((8, 9), np.uint8)}),
        ({"bbox_params": A.BboxParams("albumentations", label_fields=["kinds"])},
         {"bboxes": [[0.1, 0.1, 0.5, 0.5]], "kinds": [1]}),
        ({"additional_targets": {"other": "image"}}, {"other": REAL}),
    ],
)  # fmt: skip
def test_what_belongs_to_the_real_image_is_refused_beside_it(folder, flow, more):
    never, always = (A.Compose([SyntheticSwap(folder, p=p), A.NoOp()], **flow) for p in (0.0, 1.0))
    assert set(more) <= set(never(image=REAL, label=1, **more))
    with pytest.raises(DataError, match=f"'{next(iter(more))}' would stay"):
        always(image=REAL, label=1, **more)


def test_a_bank_that_is_none_is_refused_at_once(folder, table, tiny, tmp_path):
    with pytest.raises(CheckpointError, match="nowhere is not a bank"):
        SyntheticSwap(tmp_path / "nowhere")
    gan = ConditionalGAN(config=tiny, random_state=0).fit(*table)
    SampleBank.from_gan(gan, 2, path=tmp_path / "rows")
    with pytest.raises(DataError, match=r"bank must hold images.*rows of a table"):
        SyntheticSwap(tmp_path / "rows")
    for wrong in ({"p": 1.5}, {"label_key": 3}, {"bank": None}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            SyntheticSwap(**{"bank": folder, **wrong})
    with pytest.raises(ValueError, match="'q' are not valid"):
        SyntheticSwap(folder, q=1, strict=True)


def test_a_damaged_bank_is_found_when_the_transform_is_made(tmp_path):
    made_bank(tmp_path / "b", schema_of((8, 9)))
    file = tmp_path / "b" / "samples-00000.npy"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match="differs from its manifest"):
        SyntheticSwap(tmp_path / "b")


# --- saved, replayed, seeded ----------------------------------------------------------------------

ELSEWHERE = """
import sys, json, albumentations as A, numpy as np
import ganaug.albumentations
flow = A.load(sys.argv[1], data_format=sys.argv[2])
flow.set_random_seed(3)
real = np.full((8, 9, 3), 7, dtype=np.uint8)
print(json.dumps([int(flow(image=real, label=4)["image"].flat[0]) for _ in range(20)]))
"""


def test_a_saved_pipeline_makes_the_same_choices_in_another_process(folder, tmp_path):
    flow = A.Compose([SyntheticSwap(folder, p=0.5), A.HorizontalFlip(p=0.5)])
    described = A.to_dict(flow)
    assert json.loads(json.dumps(described)) == yaml.safe_load(yaml.safe_dump(described)) == described
    saved = described["transform"]["transforms"][0]
    assert saved["__class_fullname__"] == "ganaug.albumentations.SyntheticSwap"
    assert (saved["bank"], saved["label_key"], saved["p"]) == (str(folder), "label", 0.5)
    again = A.from_dict(described)
    assert A.to_dict(again) == described
    flow.set_random_seed(3)
    again.set_random_seed(3)
    expected = draws(flow, 20)
    assert draws(again, 20) == expected
    assert len(set(expected)) > 3
    A.save(flow, tmp_path / "flow.yaml", data_format="yaml")
    told = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, tmp_path / "flow.yaml", "yaml"], capture_output=True, text=True
    )
    assert json.loads(told.stdout) == expected, told.stderr


def test_another_bank_in_the_same_place_is_refused(tmp_path):
    made_bank(tmp_path / "b", schema_of((8, 9)))
    described = A.to_dict(SyntheticSwap(tmp_path / "b"))
    (tmp_path / "b").rename(tmp_path / "was")
    made_bank(tmp_path / "b", schema_of((8, 9)), per_class=39)
    with pytest.raises(CheckpointError, match="another bank than the one"):
        A.from_dict(described)


def test_a_recorded_swap_can_be_replayed(folder):
    flow = A.ReplayCompose([SyntheticSwap(folder, p=0.5), A.HorizontalFlip(p=0.5), A.NoOp()])
    kinds = set()
    for _ in range(30):
        first = flow(image=REAL, label=4)
        record = json.loads(json.dumps(first["replay"]))
        again = A.ReplayCompose.replay(record, image=REAL, label=4)
        np.testing.assert_array_equal(again["image"], first["image"])
        kinds.add(class_of(first["image"]))
    assert kinds == {-1, 1}


def test_a_seed_repeats_the_choices_and_another_does_not(folder):
    def seeded(seed):
        return draws(A.Compose([SyntheticSwap(folder, p=0.7)], seed=seed))

    assert seeded(1) == seeded(1)
    assert seeded(1) != seeded(2)


def test_a_pickled_transform_leaves_the_bank_where_it_is(folder):
    swap = SyntheticSwap(folder, p=0.7)
    swap.set_random_seed(5)
    content = pickle.dumps(swap)
    assert len(content) < 6000
    assert draws(pickle.loads(content)) == draws(swap)


# --- in workers -----------------------------------------------------------------------------------


class Images(Dataset):
    """A user's own data set with an albumentations pipeline."""

    def __init__(self, transform):
        self.transform = transform

    def __len__(self):
        return 32

    def __getitem__(self, i):
        return int(self.transform(image=REAL, label=4)["image"].flat[0])


def seed_worker(_):
    """Give each worker a stream of its own, as the docstring of SyntheticSwap says."""
    info = get_worker_info()
    streams = np.random.default_rng(info.seed), random.Random(info.seed)
    info.dataset.transform.set_random_state(*streams)


def epochs(folder, context, seed=0, num_workers=2, **settings):
    """Return what workers draw in two epochs: a list for each batch of 16 images."""
    flow = A.Compose([SyntheticSwap(folder, p=0.8), A.HorizontalFlip(p=0.5)], seed=9)
    loader = DataLoader(
        Images(flow), batch_size=16, num_workers=num_workers, multiprocessing_context=context,
        generator=torch.Generator().manual_seed(seed), **settings
    )  # fmt: skip
    return [batch.tolist() for _ in range(2) for batch in loader]


def test_workers_repeat_each_other_unless_they_are_seeded(folder):
    bare = epochs(folder, "fork")
    assert bare[1:] == bare[:1] * 3  # a defect of albumentations 2.0.8, in each worker and epoch
    seeded = epochs(folder, "fork", worker_init_fn=seed_worker)
    assert len({tuple(batch) for batch in seeded}) == 4
    assert seeded == epochs(folder, "fork", worker_init_fn=seed_worker)
    assert seeded != epochs(folder, "fork", worker_init_fn=seed_worker, seed=1)
    kept = epochs(folder, "fork", worker_init_fn=seed_worker, persistent_workers=True)
    assert len({tuple(batch) for batch in kept}) == 4


def test_a_spawned_worker_maps_the_bank_for_itself(folder):
    one = {"num_workers": 1, "worker_init_fn": seed_worker, "persistent_workers": True}
    spawned = epochs(folder, "spawn", **one)
    assert spawned == epochs(folder, "fork", **one)
    assert {value for batch in spawned for value in batch} == {7, *range(40, 50)}


# --- the version ----------------------------------------------------------------------------------


def test_the_installed_version_is_one_that_was_tried():
    """2.0.8 is the last release of its line: the whole of the range that is allowed is tested here."""
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]
    (wanted,) = [r for r in map(Requirement, project["dependencies"]) if r.name == "albumentations"]
    assert wanted.specifier.contains(version("albumentations"))
    assert str(wanted.specifier) == "<2.1,>=2.0.8"
    assert version("albumentations") == "2.0.8"
