"""open_data and torch data sets: what is there comes in as stored; what is broken is named."""

import struct
import tracemalloc
import warnings
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset, Subset, TensorDataset
from torchvision.datasets import FakeData

from ganaug.data.sources import class_names, dataset_arrays, dataset_targets, open_data
from ganaug.data.storage import read
from ganaug.errors import DataError

RNG = np.random.default_rng(0)


def write_image(path: Path, size: tuple[int, int] = (9, 12), mode: str = "RGB") -> np.ndarray:
    """Write an image of (width, height) and return its pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (size[1], size[0], 3) if mode == "RGB" else size[::-1]
    pixels = RNG.integers(0, 256, shape).astype(np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("cat/0.png", "cat/1.png", "dog/0.png", "dog/1.png"):
        write_image(tmp_path / "pets" / name)
    return tmp_path / "pets"


def test_digits_are_the_whole_set_as_stored() -> None:
    source = open_data("digits")
    assert source.X.shape == (1797, 8, 8)
    assert (source.X.min(), source.X.max()) == (0, 16)
    assert set(source.y.tolist()) == set(range(10))
    assert source.labelled_per_class == 10


def test_an_image_folder_is_read_pixel_by_pixel_with_folder_names_as_labels(tmp_path: Path) -> None:
    first = write_image(tmp_path / "dog" / "a.png")
    second = write_image(tmp_path / "cat" / "B.PNG")
    (tmp_path / "cat" / "notes.txt").write_text("not an image")
    (tmp_path / ".cache").mkdir()
    source = open_data(tmp_path)
    assert source.y.tolist() == ["cat", "dog"]
    np.testing.assert_array_equal(source.X, [second, first])


def test_grey_images_stay_grey_unless_one_has_colour(tmp_path: Path) -> None:
    grey = write_image(tmp_path / "a" / "0.png", mode="L")
    assert open_data(tmp_path).X.shape == (1, 12, 9)
    write_image(tmp_path / "b" / "0.png")
    mixed = open_data(tmp_path).X
    assert mixed.shape == (2, 12, 9, 3)
    np.testing.assert_array_equal(mixed[0], np.repeat(grey[..., None], 3, axis=2))


def test_images_of_two_sizes_are_both_named(folder: Path) -> None:
    write_image(folder / "dog" / "2.png", size=(10, 12))
    with pytest.raises(DataError, match=r"cat/0\.png is 9 x 12 and .*dog/2\.png is 10 x 12"):
        open_data(folder)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_truncated_image_is_named(folder: Path, suffix: str) -> None:
    file = folder / "dog" / f"2.{suffix}"
    write_image(file)
    whole = file.read_bytes()
    for length in (0, 1, 9, 20, 40, len(whole) // 2):
        file.write_bytes(whole[:length])
        with pytest.raises(DataError, match=rf"dog/2\.{suffix} cannot be read as an image"):
            open_data(folder)


def png(width: int, height: int) -> bytes:
    """Return a well-formed grey PNG header without pixels."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("side", [4200, 12_000, 50_000])
def test_a_file_that_would_fill_the_memory_is_named(folder: Path, side: int) -> None:
    (folder / "dog" / "bomb.png").write_bytes(png(side, side))
    with pytest.raises(DataError, match=r"dog/bomb\.png"):
        open_data(folder)


def test_a_text_file_that_calls_itself_an_image_is_named(folder: Path) -> None:
    (folder / "cat" / "2.png").write_text("hello")
    with pytest.raises(DataError, match=r"cat/2\.png cannot be read as an image.*Repair or remove it"):
        open_data(folder)


def test_an_empty_folder_and_an_empty_class_are_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty must hold one folder per class"):
        open_data(tmp_path / "empty")
    (folder / "fish").mkdir()
    with pytest.raises(DataError, match=r"fish must hold \.png or \.jpg images"):
        open_data(folder)


def test_an_npz_gives_its_training_and_test_part_and_class_names(tmp_path: Path) -> None:
    X, y = RNG.integers(0, 9, (6, 8, 8)), np.arange(6) % 2
    np.savez(tmp_path / "d.npz", x_train=X, y_train=y, x_test=X[:2], y_test=y[:2], classes=["no", "yes"])
    source = open_data(tmp_path / "d.npz")
    np.testing.assert_array_equal(source.X, X)
    np.testing.assert_array_equal(source.y, y)
    np.testing.assert_array_equal(source.test[0], X[:2])
    assert source.class_names == ("no", "yes")
    np.savez(tmp_path / "e.npz", X=X, y=y)
    assert open_data(tmp_path / "e.npz").test is None


def test_an_npz_without_x_and_y_says_what_it_has(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", pixels=np.zeros(3), label=np.zeros(3))
    with pytest.raises(DataError, match=r"must hold arrays x and y .*; it has 'pixels', 'label'"):
        open_data(tmp_path / "d.npz")


def test_pickled_objects_in_an_npz_are_never_loaded(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=np.zeros((2, 2)), y=np.array(["a", None], dtype=object))
    with pytest.raises(DataError, match=r"d\.npz cannot be read: .*allow_pickle=False"):
        open_data(tmp_path / "d.npz")


def test_a_damaged_npz_is_named(tmp_path: Path) -> None:
    file = tmp_path / "d.npz"
    np.savez_compressed(file, x=RNG.integers(0, 9, (40, 8, 8)), y=np.arange(40) % 2)
    whole = file.read_bytes()
    for length in (0, 3, len(whole) // 2, len(whole) - 5):
        file.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"d\.npz cannot be read"):
            open_data(file)
    for position in range(80, len(whole) // 2, 97):
        file.write_bytes(whole[:position] + bytes([whole[position] ^ 255]) + whole[position + 1 :])
        with pytest.raises(DataError, match=r"d\.npz cannot be read"):
            open_data(file)


def test_an_npy_that_calls_itself_npz_is_named(tmp_path: Path) -> None:
    with (tmp_path / "d.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(DataError, match=r"d\.npz cannot be read"):
        open_data(tmp_path / "d.npz")


def test_a_csv_gives_its_columns_and_its_target(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("a,kind,b\n1,x,0.5\n2,y,1.5\n")
    source = open_data(tmp_path / "d.csv", target="kind")
    pd.testing.assert_frame_equal(source.X, pd.DataFrame({"a": [1, 2], "b": [0.5, 1.5]}))
    assert source.y.tolist() == ["x", "y"]


def test_a_csv_without_the_target_says_what_it_has(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("size,kind\n1,x\n")
    with pytest.raises(DataError, match=r"no column 'kin'; it has 'size', 'kind'.*Did you mean 'kind'\?"):
        open_data(tmp_path / "d.csv", target="kin")


@pytest.mark.parametrize("content", [b"", b"a,target\n\xff\xfe,1\n", b'a,b\n1,2\n3,4,5,6\n"'])
def test_a_broken_csv_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "d.csv").write_bytes(content)
    with pytest.raises(DataError, match=r"d\.csv cannot be read as CSV"):
        open_data(tmp_path / "d.csv")


def test_a_missing_path_names_the_nearest_file(folder: Path) -> None:
    with pytest.raises(DataError, match=r"there is no '.*pest'. Did you mean 'pets'\?"):
        open_data(folder.parent / "pest")
    with pytest.raises(DataError, match=r"Did you mean 'digits'\?"):
        open_data("digit")


def test_a_file_of_another_kind_is_named(tmp_path: Path) -> None:
    (tmp_path / "d.txt").write_text("1")
    with pytest.raises(
        DataError,
        match=r"d\.txt must be an image folder, an \.npz, \.parquet or \.tar, or a \.csv; got '\.txt'",
    ):
        open_data(tmp_path / "d.txt")


class Shapes(Dataset):
    """A data set of PIL images as torchvision's are, with one image of another size on demand."""

    classes = ("circle", "square")

    def __init__(self, sizes: list[tuple[int, int]]):
        self.images = [Image.fromarray(np.full(s, 9, np.uint8)) for s in sizes]
        self.targets = [i % 2 for i in range(len(sizes))]
        self.n_loaded = 0

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        self.n_loaded += 1
        return self.images[index], self.targets[index]


def test_pil_images_come_as_uint8_arrays_with_the_class_names() -> None:
    X, y, names = dataset_arrays(Subset(Shapes([(8, 9)] * 4), [0, 1, 3]))
    assert X.dtype == np.uint8
    assert X.shape == (3, 8, 9)
    assert y.tolist() == [0, 1, 1]
    assert tuple(names) == ("circle", "square")


def test_tensor_items_come_as_a_tensor() -> None:
    x, y = torch.rand(5, 1, 8, 8), torch.tensor([0, 1, 0, 1, 1])
    X, labels, names = dataset_arrays(TensorDataset(x, y))
    assert torch.equal(X, x)
    assert labels.tolist() == y.tolist()
    assert names is None


def test_a_torchvision_data_set_is_taken() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = FakeData(size=6, image_size=(3, 16, 16), num_classes=2)
        X, y, _ = dataset_arrays(data)
        assert dataset_targets(data) == y.tolist()
    assert X.shape == (6, 16, 16, 3)


def test_targets_are_found_without_loading_images_also_through_subsets() -> None:
    data = Shapes([(8, 8)] * 6)
    assert dataset_targets(Subset(Subset(data, [5, 2, 1]), [0, 2])) == [1, 1]
    assert data.n_loaded == 0
    assert tuple(class_names(Subset(Subset(data, [1]), [0]))) == ("circle", "square")
    tensors = TensorDataset(torch.zeros(3, 2), torch.tensor([4, 5, 6]))
    assert dataset_targets(Subset(tensors, [2, 0])) == [6, 4]


def test_a_data_set_of_mixed_sizes_names_them() -> None:
    with pytest.raises(DataError, match=r"one shape; got \(8, 8\), \(8, 9\)"):
        dataset_arrays(Shapes([(8, 8), (8, 9), (8, 8)]))


@pytest.mark.parametrize("items", [[], [3, 4], [(1, 2, 3)]])
def test_a_data_set_without_pairs_is_refused(items: list) -> None:
    with pytest.raises(DataError, match=r"must have samples|must be pairs"):
        dataset_arrays(items)


def test_items_of_several_dtypes_become_one_that_holds_them_all() -> None:
    items = [(np.full((8, 8), 300, np.uint16), 0), (np.full((8, 8), 0.5, np.float32), 1)]
    X, _, _ = dataset_arrays(items)
    assert X.dtype == np.result_type(np.uint16, np.float32)
    assert X[:, 0, 0].tolist() == [300, 0.5]


def test_a_data_set_is_read_into_one_array_without_a_second_copy() -> None:
    class Images(Dataset):
        def __len__(self) -> int:
            return 2_000

        def __getitem__(self, i: int) -> tuple[np.ndarray, int]:
            return np.full((3, 16, 16), i / 2_000, np.float32), i % 2

    tracemalloc.start()
    X, _, _ = dataset_arrays(Images())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert X.shape == (2_000, 3, 16, 16)
    assert peak < 1.2 * X.nbytes


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a,b,a,target\n1,2,3,x\n4,5,6,y\n", "must name each column once; got 'a' more than once"),
        ("a,target\n", "must hold rows under its header; got none"),
        ("", "cannot be read as CSV"),
        ("a,target\nr1,1,x\nr2,2,y\n", "rows that have more cells than the header. Name all columns"),
        ("a,target\n1,x\n2,y,9\n", "cannot be read as CSV: .* Expected 2 fields in line 3, saw 3"),
    ],
)
def test_a_csv_that_is_no_table_is_refused(tmp_path, text: str, told: str) -> None:
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=told):
        open_data(str(path), target="target")


def test_columns_without_a_name_may_be_several(tmp_path) -> None:
    path = tmp_path / "table.csv"
    path.write_text(",,target\n1,2,x\n4,5,y\n")
    assert open_data(str(path), target="target").X.shape == (2, 2)


def test_delimiters_at_the_ends_of_rows_move_no_column(tmp_path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("a,b,target\n1,2,u,\n3,4,v,\n")
    source = open_data(str(path))
    assert source.X.to_dict("list") == {"a": [1, 3], "b": [2, 4]}
    assert source.y.tolist() == ["u", "v"]


def test_one_word_in_a_long_column_of_numbers_makes_it_text(tmp_path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("age,x,target\n" + "37,1.5,a\n" * 300_000 + "unknown,1.5,b\n")
    age = open_data(str(path)).X["age"]
    assert set(age) == {"37", "unknown"}
    assert read("age", age).categories == ("37", "unknown")


def test_names_of_classes_that_are_no_list_are_refused(tmp_path):
    X, y = np.zeros((4, 8, 8), np.uint8), np.array([0, 0, 1, 1])
    np.savez(tmp_path / "x.npz", x=X, y=y, classes=np.array(5))
    with pytest.raises(DataError, match=r"x\.npz must hold the names of classes as a list.*got \(\)"):
        open_data(tmp_path / "x.npz")
