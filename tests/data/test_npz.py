"""An .npz that claims more than it holds, or more than there is memory for, costs neither."""

import io
import tracemalloc
import zipfile
from collections import namedtuple
from pathlib import Path

import numpy as np
import psutil
import pytest

from ganaug.data.npz import array_names, read_arrays
from ganaug.data.sources import open_data
from ganaug.errors import DataError


def npy_header(shape: tuple[int, ...], dtype: str = "|u1") -> bytes:
    content = io.BytesIO()
    np.lib.format.write_array_header_1_0(content, {"descr": dtype, "fortran_order": False, "shape": shape})
    return content.getvalue()


def write(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return path


def bytes_of(array: np.ndarray) -> bytes:
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


@pytest.mark.parametrize(
    ("header", "told"),
    [
        (npy_header((10**9, 64, 64, 3)), "claims to be .* bytes; there are 100"),
        (npy_header((10**9, 10**9, 10**9)), "claims to be"),
        (npy_header((3, 3)), "claims to be .* 9 bytes; there are 100"),
        (npy_header((-10, -10)), "claims to be|negative"),
        (npy_header((100,), "|O"), "Python objects, which are never loaded"),
        (b"\x93NUMPY\x03\x00" + b"\xff" * 20, "format"),
        (b"\x93NUMPY\x01\x00\xff\xff" + b"[" * 65535, "cannot be read"),
        (b"", "cannot be read"),
    ],
)
def test_a_header_that_claims_what_is_not_there_is_refused_before_memory_is_given(tmp_path, header, told):
    path = write(tmp_path / "d.npz", x=header + bytes(100), y=bytes_of(np.zeros(9, np.int64)))
    tracemalloc.start()
    with pytest.raises(DataError, match=rf"d\.npz cannot be read.*({told})|d\.npz {told}"):
        open_data(path)
    assert tracemalloc.get_traced_memory()[1] < 5e6
    tracemalloc.stop()


def test_a_bomb_is_told_by_its_size_without_being_unpacked(tmp_path, monkeypatch):
    n = 50_000_000
    path = write(tmp_path / "d.npz", x=npy_header((n,)) + bytes(n), y=bytes_of(np.zeros(9)))
    assert path.stat().st_size < n / 500
    memory = namedtuple("memory", "available")(10_000_000)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    tracemalloc.start()
    with pytest.raises(DataError, match=r"d\.npz holds 0\.1 GB, and 0\.0 GB of memory are free"):
        open_data(path)
    assert tracemalloc.get_traced_memory()[1] < 5e6
    tracemalloc.stop()


def test_a_table_larger_than_the_memory_is_told(tmp_path, monkeypatch):
    (tmp_path / "t.csv").write_text("a,target\n" + "1,x\n" * 100)
    memory = namedtuple("memory", "available")(300)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    with pytest.raises(DataError, match=r"t\.csv holds .* GB of memory are free"):
        open_data(tmp_path / "t.csv")


def test_an_enormous_name_of_a_column_is_cut_in_messages(tmp_path):
    (tmp_path / "t.csv").write_text("a" * 1_000_000 + ",b\n1,2\n")
    with pytest.raises(DataError, match=r"no column 'target'") as caught:
        open_data(tmp_path / "t.csv")
    assert len(str(caught.value)) < 1000


def test_arrays_that_nobody_asked_for_are_not_read(tmp_path):
    np.savez(tmp_path / "d.npz", x=np.zeros((4, 2)), y=np.arange(4) % 2, other=np.zeros(9))
    broken = write(tmp_path / "e.npz", x=bytes_of(np.zeros((4, 2))), y=bytes_of(np.arange(4)), other=b"?")
    assert array_names(tmp_path / "d.npz") == ["x", "y", "other"]
    assert set(read_arrays(broken, ["x", "y"])) == {"x", "y"}


def test_any_changed_byte_is_an_error_that_names_the_file_or_changes_nothing(tmp_path):
    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 9, (20, 8, 8)).astype(np.uint8), np.arange(20) % 2
    np.savez_compressed(tmp_path / "d.npz", x=X, y=y)
    whole = (tmp_path / "d.npz").read_bytes()
    survived = 0
    for _ in range(300):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole), rng.integers(1, 4)):
            damaged[place] = rng.integers(0, 256)
        (tmp_path / "e.npz").write_bytes(damaged)
        told, source = None, None
        try:
            source = open_data(tmp_path / "e.npz")
        except DataError as error:
            told = str(error)
        assert told is None or "e.npz" in told
        if source is not None:
            survived += 1
            np.testing.assert_array_equal(source.X, X)
            np.testing.assert_array_equal(source.y, y)
    assert survived < 150
