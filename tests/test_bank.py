"""SampleBank: streamed to disk, mapped from there, checked, exported whole."""

import hashlib
import json
import pickle
import tracemalloc
from collections import namedtuple
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ganaug import CheckpointError, ConditionalGAN, ConfigError, OutputExistsError, SampleBank
from ganaug.data.schema import Schema
from ganaug.data.sources import open_data
from ganaug.shards import Shards

RNG = np.random.default_rng(0)
FIRST = "samples-00000.npy"
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
    assert sorted(f.name for f in saved.path.iterdir()) == ["classes.npy", "manifest.json", FIRST]
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


def test_a_table_of_mixed_columns_is_saved(tmp_path: Path) -> None:
    n = np.arange(60)
    X = pd.DataFrame(
        {
            "x": np.where(n % 5, RNG.normal(size=60), np.nan),
            "kind": pd.Categorical(np.array(["a", "b", None], dtype=object)[n % 3]),
            "count": pd.array(np.where(n % 7, n, np.nan), dtype="Int64"),
            "day": pd.Timestamp("2020") + pd.to_timedelta(n, unit="D"),
        }
    )
    schema = Schema.fit(X, n % 2)
    bank = SampleBank(schema.codec.to_numbers(X), n % 2, schema).save(tmp_path / "bank", shard_rows=25)
    pd.testing.assert_frame_equal(SampleBank.open(bank.path).schema.codec.from_numbers(bank.samples[:]), X)
    bank.export(tmp_path / "out")
    source = open_data(tmp_path / "out" / "samples.csv")
    assert source.X["kind"].isna().equals(X["kind"].isna())
    assert source.X["x"].equals(X["x"])
    assert source.X["day"].tolist() == X["day"].dt.strftime("%Y-%m-%d").tolist()


def test_a_bank_of_mixed_columns_holds_what_generate_draws(tiny) -> None:
    X = pd.DataFrame({"x": RNG.normal(size=40), "kind": RNG.choice(["a", "b"], 40)})
    gan = ConditionalGAN(config=tiny, random_state=0).fit(X, np.arange(40) % 2)
    bank = SampleBank.from_gan(gan, 300, random_state=1)
    made = gan.generate(300, random_state=1)[0]
    pd.testing.assert_frame_equal(gan.schema_.codec.from_numbers(bank.samples), made)


@pytest.mark.parametrize("large", [[2**60 + 1, 2**60 + 3, 2**60 + 7], 2**62 + np.arange(40), [2**63 - 1, 0]])
def test_large_integers_beside_numbers_are_written_as_generated(tiny, tmp_path: Path, large: Any) -> None:
    X = pd.DataFrame({"id": np.resize(large, 40), "x": RNG.normal(size=40).round(2)})
    gan = ConditionalGAN(config=tiny, random_state=0).fit(X, ["a", "b"] * 20)
    SampleBank.from_gan(gan, 50, random_state=1).export(tmp_path / "out")
    made = gan.generate(50, random_state=1)[0]
    pd.testing.assert_frame_equal(open_data(tmp_path / "out" / "samples.csv").X, made)


@pytest.mark.parametrize(
    ("name", "column"), [(0, "0_"), ("", "target"), (None, "target"), (("a", 1), "('a', 1)")]
)
def test_any_name_of_the_labels_is_exported_as_text(tmp_path: Path, name: Any, column: str) -> None:
    X = pd.DataFrame({"0": [1.0, 2, 3, 4]})
    schema = Schema.fit(X, pd.Series([0, 0, 1, 1], name=name))
    SampleBank(X.to_numpy(), np.array([0, 0, 1, 1]), schema).export(tmp_path / "out")
    assert pd.read_csv(tmp_path / "out" / "samples.csv").columns.tolist() == ["0", column]


def test_a_travelling_bank_carries_no_samples(saved: SampleBank) -> None:
    content = pickle.dumps(saved)
    assert len(content) < 5_000 < IMAGES.nbytes
    np.testing.assert_array_equal(pickle.loads(content).samples, IMAGES)
    in_memory = pickle.loads(pickle.dumps(image_bank()))
    np.testing.assert_array_equal(in_memory.samples, IMAGES)


@pytest.mark.parametrize("name", [FIRST, "classes.npy"])
def test_a_changed_or_missing_file_is_named(saved: SampleBank, name: str) -> None:
    file = saved.path / name
    whole = file.read_bytes()
    for damaged in (whole[:-1], whole + b"0", bytes([*whole[:-1], whole[-1] ^ 1])):
        file.unlink()
        file.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=rf"{name} (differs from its manifest|is cut, too long)"):
            SampleBank.open(saved.path)
    file.unlink()
    with pytest.raises(CheckpointError, match=name):
        SampleBank.open(saved.path)


def test_a_manifest_of_another_kind_is_refused(saved: SampleBank) -> None:
    file = saved.path / "manifest.json"
    manifest = json.loads(file.read_text())
    file.write_text(json.dumps({**manifest, "format": 99}))
    with pytest.raises(CheckpointError, match="has format 99; this version reads formats 1, 2, 3"):
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
    assert (tmp_path / "manifest.json").exists()
    assert not (tmp_path / ".unfinished").exists()


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
        ("CON", "nul", "com1"),
        ("x" * 300, "x" * 299, "日" * 200),
        ("e\u0301", "\u00e9", "E\u0301"),
    ],
)
def test_any_class_name_becomes_a_folder_of_its_own_inside(tmp_path: Path, names: tuple[str, ...]) -> None:
    image_bank(names).export(tmp_path / "out")
    assert [f.name for f in tmp_path.iterdir()] == ["out"]
    folders = sorted(f.name for f in (tmp_path / "out").iterdir() if f.is_dir())
    assert len({f.lower() for f in folders}) == 3
    assert [len(list((tmp_path / "out" / f).glob("*.png"))) for f in folders] == [10] * 3
    assert not {f.lower() for f in folders} & {"con", "nul", "com1"}
    assert SampleBank.from_files(tmp_path / "out").schema.names == names


def test_a_table_without_column_names_gets_some(tmp_path: Path) -> None:
    X, c = RNG.integers(0, 50, (20, 2)), np.arange(20) % 2
    bank = SampleBank(X, c, replace(Schema.fit(X, c), labels=np.array(["no", "yes"])))
    bank.export(tmp_path / "out")
    source = open_data(tmp_path / "out" / "samples.csv")
    assert list(source.X.columns) == ["x0", "x1"]
    np.testing.assert_array_equal(source.X, X)
    assert source.y.tolist() == ["no", "yes"] * 10


@pytest.fixture(scope="module")
def gan(digits, tiny) -> ConditionalGAN:
    return ConditionalGAN(config=tiny, random_state=0).fit(*digits)


def test_a_streamed_bank_holds_what_generate_draws(gan, tmp_path: Path) -> None:
    counts, seen = {7: 600, 1: 20, 4: 0}, []
    bank = SampleBank.from_gan(
        gan,
        counts,
        path=tmp_path / "bank",
        random_state=4,
        on_progress=lambda *a: seen.append(a),
        shard_rows=256,
    )
    X, y = gan.generate(counts, random_state=4)
    assert isinstance(bank.samples, Shards)
    assert bank.samples.dtype == X.dtype
    np.testing.assert_array_equal(bank.samples, X)
    np.testing.assert_array_equal(bank.schema.labels[bank.class_indices], y)
    assert bank.counts == counts
    assert seen == sorted(seen)
    assert seen[-1] == (620, 620)
    in_memory = SampleBank.from_gan(gan, counts, random_state=4)
    np.testing.assert_array_equal(in_memory.samples, X)


def test_the_manifest_of_a_streamed_bank_has_the_sum_of_each_file(gan, tmp_path: Path) -> None:
    bank = SampleBank.from_gan(gan, {1: 300, 7: 101}, path=tmp_path / "bank", shard_rows=200, random_state=0)
    manifest = json.loads((bank.path / "manifest.json").read_text())
    files = {f.name: f for f in bank.path.iterdir() if f.name != "manifest.json"}
    assert sorted(files) == ["classes.npy", FIRST, "samples-00001.npy", "samples-00002.npy"]
    assert manifest["sha256"] == {n: hashlib.sha256(f.read_bytes()).hexdigest() for n, f in files.items()}
    assert [len(np.load(files[f"samples-0000{i}.npy"])) for i in range(3)] == [256, 44, 101]
    assert (manifest["format"], manifest["counts"]) == (3, {"1": 300, "4": 0, "7": 101})
    assert (manifest["order"]["generator"], manifest["order"]["seed"]) == (gan.digest(), 0)
    assert str(tmp_path) not in json.dumps(manifest)
    assert SampleBank.open(bank.path).counts == {1: 300, 4: 0, 7: 101}


def peak_memory(work: Callable[[], object]) -> int:
    tracemalloc.start()
    work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_memory_does_not_grow_with_the_number_of_streamed_samples(gan, tmp_path: Path) -> None:
    def stream(n: int) -> None:
        SampleBank.from_gan(gan, {1: n}, path=tmp_path / str(n), random_state=0)

    stream(300)
    few, many = peak_memory(lambda: stream(2_000)), peak_memory(lambda: stream(40_000))
    assert SampleBank.open(tmp_path / "40000").samples.nbytes == 40_000 * 64
    assert many < few + 500_000


@pytest.mark.parametrize("format", ["csv", "npz"])
def test_memory_does_not_grow_with_the_number_of_exported_rows(tmp_path: Path, monkeypatch, format) -> None:
    monkeypatch.setattr("ganaug.shards.PIECE_BYTES", 20_000)
    peaks = []
    for n in (500, 2_000, 20_000):  # the last of 0.8 MB in a bank, 2 MB as text
        X, c = RNG.normal(size=(n, 5)), np.arange(n) % 2
        bank = SampleBank(X, c, Schema.fit(X, c)).save(tmp_path / f"bank{n}", shard_rows=2_000)
        peaks.append(peak_memory(lambda bank=bank, n=n: bank.export(tmp_path / f"out{n}", format=format)))
    assert peaks[2] < peaks[1] + 400_000


def test_a_disk_without_room_is_named_before_anything_is_written(gan, tmp_path, monkeypatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(10**9, 0, 10**6))
    message = r"needs about 0\.07 GB; .* has 0\.00 GB free"
    with pytest.raises(OSError, match=message):
        SampleBank.from_gan(gan, {1: 10**6}, path=tmp_path / "new" / "bank")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_empty_is_refused_before_anything_is_drawn(gan, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(OutputExistsError):
        SampleBank.from_gan(gan, 5, path=tmp_path)


@pytest.mark.parametrize("shard_rows", [0, -1, 2.5])
def test_a_number_of_rows_per_file_that_makes_no_files_is_refused(tmp_path: Path, shard_rows) -> None:
    with pytest.raises(ConfigError, match="shard_rows must be an integer of at least 1"):
        image_bank().save(tmp_path / "bank", shard_rows=shard_rows)


def test_an_empty_bank_is_saved_and_exported(gan, tmp_path: Path) -> None:
    bank = SampleBank.from_gan(gan, {1: 0}, path=tmp_path / "bank")
    assert (len(bank), bank.samples.shape, bank.samples.dtype) == (0, (0, 8, 8), np.uint8)
    for format in ("imagefolder", "npz", "parquet", "webdataset", "bank"):
        bank.export(tmp_path / f"as {format}", format=format)
        assert SampleBank.from_files(tmp_path / f"as {format}").samples.shape == (0, 8, 8)
    X = np.arange(8.0).reshape(4, 2)
    table = SampleBank(X[:0], np.zeros(0, np.int64), Schema.fit(X, [0, 0, 1, 1]))
    table.save(tmp_path / "table").export(tmp_path / "csv")
    assert (tmp_path / "csv" / "samples.csv").read_text() == "x0,x1,target\n"


def test_a_bank_of_several_files_travels_and_is_exported_like_one(tmp_path: Path) -> None:
    bank = image_bank().save(tmp_path / "bank", shard_rows=7)
    content = pickle.dumps(bank)
    assert len(content) < 5_000
    np.testing.assert_array_equal(pickle.loads(content).samples, IMAGES)
    bank.export(tmp_path / "many")
    image_bank().export(tmp_path / "one")
    files = [f.relative_to(tmp_path / "one") for f in (tmp_path / "one").rglob("*.png")]
    assert len(files) == 30
    assert all((tmp_path / d / f).read_bytes() for d in ("one", "many") for f in files)
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "many" / file).read_bytes()


def test_a_table_exported_in_pieces_is_the_same_file(tmp_path: Path, monkeypatch) -> None:
    X = pd.DataFrame({"x": RNG.normal(size=50), "n": np.arange(50), "flag": np.arange(50) % 3 == 0})
    schema = Schema.fit(X, np.arange(50) % 2)
    bank = SampleBank(X.to_numpy(float), np.arange(50) % 2, schema)
    bank.export(tmp_path / "one")
    monkeypatch.setattr("ganaug.shards.PIECE_BYTES", 200)
    bank.save(tmp_path / "bank", shard_rows=9).export(tmp_path / "many")
    one, many = ((tmp_path / name / "samples.csv").read_bytes() for name in ("one", "many"))
    assert one == many


def write_format_1(folder: Path) -> None:
    folder.mkdir()
    np.save(folder / "samples.npy", IMAGES)
    np.save(folder / "classes.npy", np.arange(30) % 3)
    names = ("samples.npy", "classes.npy")
    manifest = {
        "format": 1,
        "synthetic": True,
        "counts": {"0": 10, "1": 10, "2": 10},
        "sha256": {n: hashlib.sha256((folder / n).read_bytes()).hexdigest() for n in names},
        "schema": image_bank().schema.to_dict(),
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_a_bank_of_format_1_opens(tmp_path: Path) -> None:
    write_format_1(tmp_path / "old")
    bank = SampleBank.open(tmp_path / "old")
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(bank)).samples, IMAGES)
    assert bank.counts == {0: 10, 1: 10, 2: 10}


def test_without_sums_sizes_types_and_counts_are_still_checked(tmp_path: Path) -> None:
    good = image_bank().save(tmp_path / "bank", shard_rows=12).path
    file = good / "samples-00002.npy"
    whole = file.read_bytes()
    file.write_bytes(bytes([*whole[:-1], whole[-1] ^ 1]))
    SampleBank.open(good, verify=False)
    with pytest.raises(CheckpointError, match=r"samples-00002\.npy differs"):
        SampleBank.open(good)
    cases = {
        "is cut": lambda: file.write_bytes(whole[:-1]),
        "one dtype and row shape": lambda: np.save(file, np.zeros((6, 9, 12, 3), np.int8)),
        "differs from its manifest": lambda: np.save(file, np.zeros((5, 9, 12, 3), np.uint8)),
    }
    for message, damage in cases.items():
        damage()
        with pytest.raises(CheckpointError, match=message):
            SampleBank.open(good, verify=False)
    file.write_bytes(whole)
    for classes in (np.arange(30) % 2, np.full(30, 10**15), np.full(30, -1), np.zeros(30)):
        np.save(good / "classes.npy", classes)
        with pytest.raises(CheckpointError, match="is not a bank"):
            SampleBank.open(good, verify=False)


@pytest.mark.parametrize("name", ["../samples-00000.npy", "samples-00001.npy", "/etc/passwd"])
def test_a_manifest_cannot_name_files_of_its_own(saved: SampleBank, name: str) -> None:
    file = saved.path / "manifest.json"
    file.write_text(file.read_text().replace(FIRST, name))
    with pytest.raises(CheckpointError, match="the manifest lists"):
        SampleBank.open(saved.path)
