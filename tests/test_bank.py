"""SampleBank: mapped from disk, checked, exported whole."""

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ganaug import CheckpointError, ConditionalGAN, OutputExistsError, SampleBank
from ganaug.data.schema import Schema
from ganaug.data.sources import open_data

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (30, 9, 12, 3)).astype(np.uint8)


def image_bank(names: tuple[str, ...] = ("cat", "dog", "eel"), images: np.ndarray = IMAGES) -> SampleBank:
    c = np.arange(30) % 3
    return SampleBank(images, c, Schema.fit(images, c, names=names))


@pytest.fixture
def saved(tmp_path: Path) -> SampleBank:
    return image_bank().save(tmp_path / "bank")


def test_a_bank_is_drawn_with_exact_counts(digits, tiny) -> None:
    gan = ConditionalGAN(config=tiny, random_state=0).fit(*digits)
    bank = SampleBank.from_gan(gan, {7: 3, 1: 2}, random_state=4)
    assert len(bank) == 5
    assert bank.counts == {1: 2, 4: 0, 7: 3}
    X, y = gan.generate({7: 3, 1: 2}, random_state=4)
    np.testing.assert_array_equal(bank.samples, X)
    np.testing.assert_array_equal(bank.schema.labels[bank.class_indices], y)


def test_a_saved_bank_is_the_same_and_mapped(saved: SampleBank) -> None:
    for bank in (saved, SampleBank.open(saved.path)):
        assert isinstance(bank.samples, np.memmap)
        assert bank.samples.dtype == np.uint8
        np.testing.assert_array_equal(bank.samples, IMAGES)
        np.testing.assert_array_equal(bank.class_indices, np.arange(30) % 3)
        assert bank.counts == {0: 10, 1: 10, 2: 10}
        assert bank.schema.to_dict() == image_bank().schema.to_dict()
    assert sorted(f.name for f in saved.path.iterdir()) == ["classes.npy", "manifest.json", "samples.npy"]
    assert [f.name for f in saved.path.parent.iterdir()] == ["bank"]


def test_a_frame_with_columns_of_several_kinds_is_saved(tiny, tmp_path: Path) -> None:
    X = pd.DataFrame({"x": RNG.normal(size=40), "n": np.arange(40), "flag": np.arange(40) % 3 == 0})
    gan = ConditionalGAN(config=tiny, random_state=0).fit(X, ["a", "b"] * 20)
    bank = SampleBank.from_gan(gan, 6, random_state=1).save(tmp_path / "bank")
    made, labels = gan.generate(6, random_state=1)
    np.testing.assert_array_equal(bank.samples, made.to_numpy(float))
    bank.export(tmp_path / "plain")
    source = open_data(tmp_path / "plain" / "samples.csv")
    pd.testing.assert_frame_equal(source.X, made)
    assert source.y.tolist() == labels.tolist()


def test_a_travelling_bank_carries_no_samples(saved: SampleBank) -> None:
    content = pickle.dumps(saved)
    assert len(content) < 5_000 < IMAGES.nbytes
    np.testing.assert_array_equal(pickle.loads(content).samples, IMAGES)
    in_memory = pickle.loads(pickle.dumps(image_bank()))
    np.testing.assert_array_equal(in_memory.samples, IMAGES)


@pytest.mark.parametrize("name", ["samples.npy", "classes.npy"])
def test_a_changed_or_missing_file_is_named(saved: SampleBank, name: str) -> None:
    file = saved.path / name
    whole = file.read_bytes()
    for damaged in (whole[:-1], whole + b"0", bytes([*whole[:-1], whole[-1] ^ 1])):
        file.unlink()
        file.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=rf"{name} differs from its manifest"):
            SampleBank.open(saved.path)
    file.unlink()
    with pytest.raises(CheckpointError, match=name):
        SampleBank.open(saved.path)


def test_a_manifest_of_another_kind_is_refused(saved: SampleBank) -> None:
    file = saved.path / "manifest.json"
    manifest = json.loads(file.read_text())
    file.write_text(json.dumps({**manifest, "format": 99}))
    with pytest.raises(CheckpointError, match="has format 99; this version reads format 1"):
        SampleBank.open(saved.path)
    for content in ("", "{}", "[]", json.dumps({**manifest, "schema": {}})):
        file.write_text(content)
        with pytest.raises(CheckpointError, match="bank is not a bank that ganaug saved"):
            SampleBank.open(saved.path)
    with pytest.raises(CheckpointError, match="nowhere is not a bank"):
        SampleBank.open(saved.path.parent / "nowhere")


@pytest.mark.parametrize("write", [SampleBank.save, SampleBank.export])
def test_a_folder_that_is_not_empty_is_left_as_it_is(tmp_path: Path, write) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(OutputExistsError, match="nothing was written"):
        write(image_bank(), tmp_path)
    assert [f.name for f in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("write", [SampleBank.save, SampleBank.export])
def test_an_empty_folder_that_exists_is_used(tmp_path: Path, write) -> None:
    write(image_bank(), tmp_path)
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("write", [SampleBank.save, SampleBank.export])
def test_a_crash_while_writing_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write) -> None:
    calls = []

    def crash_later(*args: object, **_: object) -> None:
        calls.append(args)
        if len(calls) == 2:
            raise OSError("disk full")

    monkeypatch.setattr("numpy.save", crash_later)
    monkeypatch.setattr(Image.Image, "save", crash_later)
    with pytest.raises(OSError, match="disk full"):
        write(image_bank(), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shape", [(30, 9, 12, 3), (30, 3, 9, 12), (30, 9, 12)])
def test_exported_images_are_read_back_pixel_by_pixel(tmp_path: Path, shape: tuple[int, ...]) -> None:
    images = RNG.integers(0, 256, shape).astype(np.uint8)
    images.flat[:2] = 0, 255
    image_bank(images=images).export(tmp_path / "out")
    source = open_data(tmp_path / "out")
    order = np.argsort(np.arange(30) % 3, kind="stable")
    stored = images.transpose(0, 2, 3, 1) if shape[1] == 3 else images
    np.testing.assert_array_equal(source.X, stored[order])
    assert source.y.tolist() == ["cat"] * 10 + ["dog"] * 10 + ["eel"] * 10


def test_exported_float_images_use_the_whole_range_from_black_to_white(tmp_path: Path) -> None:
    image_bank(images=(IMAGES / 255).astype(np.float32)).export(tmp_path / "out")
    order = np.argsort(np.arange(30) % 3, kind="stable")
    np.testing.assert_array_equal(open_data(tmp_path / "out").X, IMAGES[order])


@pytest.mark.parametrize(
    "names",
    [
        ("../up", "..", "/root"),
        ("a/b", "a_b", "a b"),
        ("a/b", "a_b", "1-a_b"),
        ("", ".", " "),
        ("Cat", "cat", "dog"),
        ("ünï", "日本", "x\n\0y"),
        ("a/b", "a_b", "a_b-0"),
    ],
)
def test_any_class_name_becomes_a_folder_of_its_own_inside(tmp_path: Path, names: tuple[str, ...]) -> None:
    image_bank(names).export(tmp_path / "out")
    assert [f.name for f in tmp_path.iterdir()] == ["out"]
    folders = sorted(f.name for f in (tmp_path / "out").iterdir())
    assert len({f.lower() for f in folders}) == 3
    assert [len(list((tmp_path / "out" / f).glob("*.png"))) for f in folders] == [10] * 3


def test_a_table_without_column_names_gets_some(tmp_path: Path) -> None:
    X, c = RNG.integers(0, 50, (20, 2)), np.arange(20) % 2
    bank = SampleBank(X, c, replace(Schema.fit(X, c), labels=np.array(["no", "yes"])))
    bank.export(tmp_path / "out")
    source = open_data(tmp_path / "out" / "samples.csv")
    assert list(source.X.columns) == ["x0", "x1"]
    np.testing.assert_array_equal(source.X, X)
    assert source.y.tolist() == ["no", "yes"] * 10
