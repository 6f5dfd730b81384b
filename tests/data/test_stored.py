"""Images that stay in their files: the same training as from memory, and little memory."""

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

import ganaug.shards
from ganaug import ConditionalGAN, GANConfig
from ganaug.data.images import ImageCodec
from ganaug.data.schema import Schema, take
from ganaug.data.shard_data import read_shards
from ganaug.data.sources import open_data
from ganaug.data.stored import StoredImages
from ganaug.errors import DataError
from ganaug.shards import Chosen, Shards, of_files
from ganaug.training.batches import BalancedBatches
from ganaug.training.run import data_digest

LABELS = np.arange(60) % 3


def images(dtype: str, shape: tuple[int, ...] = (60, 9, 8, 3)) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.integers(0, 256, shape) if dtype == "uint8" else rng.normal(size=shape)).astype(dtype)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with 60 images in three files, whose order is that of their numbers."""
    for i, piece in enumerate(np.split(images("uint8"), [25, 40])):
        np.save(tmp_path / f"x-{i + 9}.npy", piece)
    np.save(tmp_path / "y.npy", LABELS)
    return tmp_path


def config(**changes) -> GANConfig:
    values = {"network": "mlp", "width": 4, "batch_size": 16, "train_images": 96, "log_every_images": 48}
    return GANConfig(**values | changes)


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64", "int16"])
@pytest.mark.parametrize("shape", [(60, 9, 8, 3), (60, 3, 9, 8), (60, 9, 8)])
def test_packed_from_files_is_packed_from_memory(tmp_path, dtype, shape) -> None:
    X = images(dtype, shape)
    np.save(tmp_path / "x.npy", X)
    stored = Shards([tmp_path / "x.npy"])
    schema, of_memory = Schema.fit(stored, LABELS), Schema.fit(X, LABELS)
    assert schema.to_dict() == of_memory.to_dict()
    packed, whole = schema.pack_X(stored), of_memory.pack_X(X)
    assert isinstance(packed, StoredImages)
    assert (len(packed), packed.ndim) == (60, 4)
    assert torch.equal(packed[np.array([7, 0, 59])], whole[[7, 0, 59]])
    c = torch.from_numpy(LABELS)
    assert data_digest(packed, c) == data_digest(whole, c)


def test_batches_from_files_are_those_from_memory_in_any_order_of_asking(folder) -> None:
    x, y = read_shards(folder)
    codec = ImageCodec.fit(x)
    c = torch.from_numpy(y)
    settings = {"batch_size": 12, "seed": 3, "unpack": codec.unpack}
    stored = BalancedBatches(StoredImages(x, codec), c, **settings)
    whole = BalancedBatches(codec.pack(x[:]), c, **settings)
    for images_seen in (0, 12, 24, 36, 0, 480, 492, 12):
        for one, other in zip(stored(images_seen), whole(images_seen), strict=True):
            assert torch.equal(one, other)
    for one, other in zip(stored.sample_per_class(4), whole.sample_per_class(4), strict=True):
        assert torch.equal(one, other)


def test_a_training_from_files_gives_the_generator_of_one_from_memory(folder) -> None:
    X, y = read_shards(folder)
    gans = [ConditionalGAN(config=config(), random_state=0, device="cpu").fit(x, y) for x in (X, X[:])]
    one, other = (gan.G_.state_dict() for gan in gans)
    assert all(torch.equal(one[k], other[k]) for k in one)
    assert gans[0].data_digest_ == gans[1].data_digest_


def test_a_mapped_array_is_read_from_its_file(folder, monkeypatch) -> None:
    monkeypatch.setattr(ganaug.shards, "RESIDENT_BYTES", 0)
    mapped = np.load(folder / "x-9.npy", mmap_mode="r")
    for rows in (mapped, mapped.view(np.ndarray)):
        found = of_files(rows)
        assert isinstance(found, Shards)
        assert (found[3:5] == mapped[3:5]).all()
    written = np.load(folder / "x-9.npy", mmap_mode="c")
    written[0] = 0
    raw = np.memmap(folder / "x-9.npy", np.uint8, "r")
    shifted = np.memmap(folder / "x-9.npy", np.uint8, "r", 0, mapped.shape)
    for rows in (
        shifted,
        mapped[1:],
        mapped[::-1],
        mapped.transpose(0, 3, 1, 2),
        written,
        raw,
        np.zeros(3),
        [1, 2],
    ):
        assert of_files(rows) is rows
    gan = ConditionalGAN(config=config(), random_state=0, device="cpu").fit(mapped, LABELS[:25])
    assert (
        gan.data_digest_
        == ConditionalGAN(config=config(), random_state=0).fit(mapped[:], LABELS[:25]).data_digest_
    )


def test_a_table_in_a_file_is_read_into_memory(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(ganaug.shards, "RESIDENT_BYTES", 0)
    rows = np.random.default_rng(0).normal(size=(60, 3))
    np.save(tmp_path / "x.npy", rows)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    gan = ConditionalGAN(config=config(), random_state=0).fit(mapped, LABELS)
    assert gan.data_digest_ == ConditionalGAN(config=config(), random_state=0).fit(rows, LABELS).data_digest_


def test_chosen_rows_stay_in_their_files(folder) -> None:
    X, _ = read_shards(folder)
    rows = np.array([50, 3, 26])
    some = take(X, rows)
    assert isinstance(some, Chosen)
    assert (np.asarray(some) == X[:][rows]).all()
    assert (some[1:] == X[:][rows[1:]]).all()
    assert Schema.fit(Chosen(X, np.arange(30)), LABELS[:30]).kind == "image"


def test_files_are_taken_by_number_with_labels_for_each_or_for_all(folder) -> None:
    X, y = read_shards(folder)
    assert (X[:] == images("uint8")).all()
    assert (y == LABELS).all()
    (folder / "y.npy").unlink()
    for i, piece in enumerate(np.split(LABELS, [25, 40])):
        np.save(folder / f"y-{i + 9}.npy", piece)
    assert (read_shards(folder)[1] == LABELS).all()


def test_a_comparison_has_them_in_memory_and_a_fit_in_files(folder) -> None:
    assert isinstance(open_data(folder, stored=True).X, Shards)
    source = open_data(folder)
    assert isinstance(source.X, np.ndarray)
    assert (images("uint8") == source.X).all()


def spoil(folder: Path, what: str) -> str:
    """Damage a folder, and return what the error must say."""
    if what == "no labels":
        (folder / "y.npy").unlink()
        return "must hold labels as y.npy, or as a y*.npy for each of its 3 x*.npy; it has none"
    if what == "few labels":
        np.save(folder / "y.npy", LABELS[:-1])
        return "y.npy must hold a label for each of 60 samples; got shape (59,)"
    if what == "objects":
        np.save(folder / "y.npy", np.array([{}] * 60), allow_pickle=True)
        return "y.npy must hold labels in an array without Python objects"
    if what == "cut":
        content = (folder / "x-10.npy").read_bytes()
        (folder / "x-10.npy").write_bytes(content[:-5])
        return "x-10.npy is cut, too long or no .npy file"
    if what == "other shape":
        np.save(folder / "x-10.npy", images("uint8")[:15, 1:])
        return "one dtype and row shape"
    if what == "held-out":
        np.save(folder / "x-test.npy", images("uint8")[:15])
        return "one set of samples, in files whose names differ in a number; it has"
    if what == "other names":
        (folder / "y.npy").unlink()
        for i, piece in enumerate(np.split(LABELS, [25, 40])):
            np.save(folder / f"y-{i + 10}.npy", piece)
        return "for each of its 3 x*.npy; it has 'y-10.npy', 'y-11.npy', 'y-12.npy' beside"
    np.save(folder / "y-1.npy", LABELS)
    return "for each of its 3 x*.npy; it has"


@pytest.mark.parametrize(
    "what",
    ["no labels", "few labels", "objects", "cut", "other shape", "two of three", "held-out", "other names"],
)
def test_what_is_wrong_with_a_folder_is_said(folder, what) -> None:
    said = spoil(folder, what)
    with pytest.raises(DataError) as error:
        open_data(folder)
    assert said in str(error.value)


def test_values_that_are_not_finite_are_found_in_files(tmp_path, monkeypatch) -> None:
    X = images("float32")
    X[41, 2, 3, 1] = np.nan
    np.save(tmp_path / "x.npy", X)
    monkeypatch.setattr("ganaug.data.images.PIECE_VALUES", 216 * 10)
    with pytest.raises(
        DataError, match=r"images from row 40 on must be finite.*first at index \(1, 2, 3, 1\)"
    ):
        Schema.fit(Shards([tmp_path / "x.npy"]), LABELS)


def test_a_file_that_is_cut_during_a_training_ends_it_with_its_name(folder) -> None:
    X, y = read_shards(folder)
    content = (folder / "x-10.npy").read_bytes()

    def cut(images_seen: int) -> None:
        (folder / "x-10.npy").write_bytes(content[:200])

    with pytest.raises(OSError, match=r"x-10\.npy was cut"):
        ConditionalGAN(config=config(train_images=10**6), device="cpu").fit(X, y, on_step=cut)
    assert not [thread for thread in threading.enumerate() if "ganaug-read" in thread.name]


PEAK = """
import atexit, re, sys
import numpy as np
from ganaug.cli import main
sys.argv = ["ganaug", "fit", sys.argv[1], "--out", sys.argv[2], "--device", "cpu", "--train-images", "640",
            "--gan", "{network: mlp, width: 4, log_every_images: 640}", "--quiet", "--holdout", "0.1"]
atexit.register(lambda: print(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]))
main()
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from Linux' /proc")
def test_ten_times_the_images_take_no_more_memory(tmp_path) -> None:
    peaks = []
    for n in (4_000, 40_000):  # 12 and 123 MB
        data = tmp_path / str(n)
        data.mkdir()
        for i in range(4):
            np.save(data / f"x{i}.npy", images("uint8", (n // 4, 32, 32, 3)))
        np.save(data / "y.npy", np.arange(n) % 3)
        run = subprocess.run(
            [sys.executable, "-c", PEAK, data, tmp_path / f"run{n}"], capture_output=True, text=True
        )
        assert run.returncode == 0, run.stderr
        peaks.append(int(run.stdout.split()[-1]) / 1000)
    assert peaks[1] - peaks[0] < 30, peaks  # MB
