"""Shards: several files read as one array, and only what is asked for."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ganaug.errors import DataError
from ganaug.formats.npy import write_array
from ganaug.shards import Shards, map_npy, pieces, resident

X = np.random.default_rng(0).integers(0, 1000, (23, 2, 3)).astype(np.int16)


def write(folder: Path, rows: np.ndarray = X, shard_rows: int = 5, piece: int = 3) -> list[Path]:
    files = []
    for start in range(0, max(1, len(rows)), shard_rows):
        part = rows[start : start + shard_rows]
        files.append(folder / f"x-{len(files)}.npy")
        with open(files[-1], "wb") as file:
            write_array(
                file, part.shape, part.dtype, (part[i : i + piece] for i in range(0, len(part), piece))
            )
    return files


@pytest.fixture
def shards(tmp_path: Path) -> Shards:
    return Shards(write(tmp_path))


@pytest.mark.parametrize("dtype", [np.uint8, bool, np.float32, np.float64, ">i4"])
@pytest.mark.parametrize(("shard_rows", "piece"), [(1, 1), (5, 3), (4, 23), (23, 5), (100, 100)])
def test_what_is_written_is_read_by_numpy_too(tmp_path: Path, dtype, shard_rows: int, piece: int) -> None:
    rows = X.astype(dtype)
    files = write(tmp_path, rows, shard_rows, piece)
    assert len(files) == -(-23 // shard_rows)
    assert np.load(files[0]).dtype.str == rows.dtype.newbyteorder("<").str
    np.testing.assert_array_equal(np.concatenate([np.load(f) for f in files]), rows)
    np.testing.assert_array_equal(np.asarray(Shards(files)), rows)


KEYS = [
    0,
    -1,
    22,
    np.int64(7),
    slice(None),
    slice(3, 12),
    slice(20, 2, -3),
    slice(4, 4),
    [3, 3, -1, 0],
    [],
    np.array([[1, 22], [5, 6]], np.uint8),
    np.arange(23) % 4 == 1,
]


@pytest.mark.parametrize("key", KEYS, ids=repr)
def test_shards_are_indexed_like_one_array(shards: Shards, key) -> None:
    got, expected = shards[key], X[key]
    assert (got.shape, got.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_array_equal(got, expected)


def test_shards_look_like_one_array(shards: Shards) -> None:
    assert (shards.shape, len(shards), shards.dtype, shards.nbytes) == (X.shape, 23, X.dtype, X.nbytes)
    np.testing.assert_array_equal([*shards], X)


@pytest.mark.parametrize("key", [23, -24, [0, 23], 1.5, "1", np.ones(22, bool)])
def test_rows_that_are_not_there_are_an_index_error(shards: Shards, key) -> None:
    with pytest.raises(IndexError):
        shards[key]


def test_only_the_file_of_the_rows_asked_for_is_read_and_a_cut_one_is_named(shards: Shards) -> None:
    for number in (1, 2, 4):
        os.truncate(shards.files[number], 150)
    np.testing.assert_array_equal(shards[[2, 17]], X[[2, 17]])
    with pytest.raises(OSError, match=r"x-1\.npy was cut after"):
        shards[9]


def test_pickled_shards_are_a_list_of_files_opened_on_first_use(shards: Shards) -> None:
    assert shards[0].shape == (2, 3)
    again = pickle.loads(pickle.dumps(shards))
    assert "_descriptors" not in vars(again)
    np.testing.assert_array_equal(again[6:9], X[6:9])


def test_files_are_closed_with_the_shards(tmp_path: Path) -> None:
    opened = Shards(write(tmp_path))
    _ = opened[[0, 22]]
    descriptors = list(opened._descriptors)
    del opened
    for descriptor in descriptors:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)


def test_more_files_than_a_process_may_open_are_read(tmp_path: Path) -> None:
    code = f"""
import resource
from pathlib import Path
resource.setrlimit(resource.RLIMIT_NOFILE, (200, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
from ganaug.shards import Shards
shards = Shards([Path({str(tmp_path)!r}) / f"x-{{i}}.npy" for i in range(300)])
assert shards[:].tolist() == shards[list(range(900))].tolist() == [[i] for i in range(900)]
assert shards[700:].tolist() == [[i] for i in range(700, 900)] and shards[[898, 2]].tolist() == [[898], [2]]
"""
    assert len(write(tmp_path, np.arange(900).reshape(900, 1), 3, 2)) == 300
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("number", [0, 2])
def test_a_bank_is_read_as_it_was_opened_or_not_at_all(tmp_path: Path, monkeypatch, number: int) -> None:
    monkeypatch.setattr("ganaug.shards.OPEN_FILES", 2)
    monkeypatch.chdir(tmp_path)
    shards = Shards([file.relative_to(tmp_path) for file in write(tmp_path)])
    monkeypatch.chdir("/")
    np.testing.assert_array_equal(shards[:], X)
    np.save(tmp_path / "other.npy", np.zeros((5, 2, 3)))
    os.replace(tmp_path / "other.npy", shards.files[number])
    if number < 2:
        np.testing.assert_array_equal(shards[:], X)
    else:
        with pytest.raises(OSError, match=r"x-2\.npy was changed after it was opened"):
            shards[:]


def test_rows_may_be_single_numbers(tmp_path: Path) -> None:
    shards = Shards(write(tmp_path, np.arange(23)))
    assert (int(shards[7]), shards[[3, 4]].tolist()) == (7, [3, 4])


@pytest.mark.parametrize("rows", [X, X[:0], np.arange(12).reshape(3, 4).T[:, ::2]])
@pytest.mark.parametrize(("limit", "kind"), [(1 << 25, np.ndarray), (0, Shards)])
def test_mapped_rows_are_read_without_their_map(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: np.ndarray, limit: int, kind: type
) -> None:
    monkeypatch.setattr("ganaug.shards.RESIDENT_BYTES", limit)
    np.save(tmp_path / "x.npy", np.ascontiguousarray(rows))
    found = resident(np.load(tmp_path / "x.npy", mmap_mode="r"))
    np.testing.assert_array_equal(found[:], rows)
    assert type(found) is (kind if rows.size else np.ndarray)
    assert resident(rows) is rows


def test_columns_first_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.asfortranarray(X))
    with pytest.raises(ValueError, match="row by row"):
        Shards([tmp_path / "x.npy"])


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_rows_that_were_read_do_not_stay_in_memory(tmp_path: Path) -> None:
    rows = np.zeros((20_000, 4096), np.uint8)
    files = write(tmp_path, rows, shard_rows=5_000, piece=5_000)
    code = (
        "import sys, numpy as np; from pathlib import Path; from ganaug.shards import Shards\n"
        "def resident(): return sum(int(l.split()[1]) for l in open('/proc/self/status') if l[:3] == 'Rss')\n"
        "x = Shards([Path(f) for f in sys.argv[1:]]); x[:64]; before = resident()\n"
        "for rows in np.random.default_rng(0).permutation(20_000).reshape(-1, 50): x[rows]\n"
        "print(resident() - before)"
    )
    run = subprocess.run([sys.executable, "-c", code, *files], capture_output=True, text=True, check=True)
    assert int(run.stdout) < 8_000  # of 80,000 kB


def test_files_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    files = write(tmp_path) + write(tmp_path / "other", X.astype(np.int32))
    with pytest.raises(ValueError, match="one dtype and row shape"):
        Shards(files)


def test_fewer_more_or_other_rows_than_announced_are_refused(tmp_path: Path) -> None:
    with open(tmp_path / "x.npy", "wb") as file:
        for rows, message in ((X[:20], "23 rows were announced; 20 came"), (X, "22 .* 23 came")):
            with pytest.raises(ValueError, match=message):
                write_array(file, (23 if len(rows) == 20 else 22, 2, 3), X.dtype, [rows])
        with pytest.raises(ValueError, match=r"rows must have shape \(2, 3\); got \(3,\)"):
            write_array(file, X.shape, X.dtype, [X[:, 0]])
        with pytest.raises(DataError, match="must be numbers"):
            write_array(file, (2,), np.dtype(object), [])


def test_no_rows_are_one_file_without_rows(tmp_path: Path) -> None:
    (file,) = write(tmp_path, X[:0])
    assert map_npy(file).shape == (0, 2, 3)
    assert Shards([file])[:].shape == (0, 2, 3)


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"not an array", b"PK\x03\x04"])
def test_a_file_of_another_kind_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.npy").write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.npy is cut, too long or no \.npy file"):
        map_npy(tmp_path / "x.npy")


def test_a_header_that_claims_more_than_there_is_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.npy"
    for claim in ("(10**30,)", f"({10**30},)", f"({2**62}, 2)", "(-4,)", "(7,)"):
        np.save(file, np.zeros(8, np.uint8))
        header = file.read_bytes()[10:-8].decode().replace("(8,)", claim).strip()
        size = len(header) + 1
        file.write_bytes(
            b"\x93NUMPY\x01\x00" + size.to_bytes(2, "little") + header.encode() + b"\n" + bytes(8)
        )
        with pytest.raises(ValueError, match=r"x\.npy is cut"):
            map_npy(file)


def test_pieces_cover_all_rows_once() -> None:
    assert [p.indices(23)[:2] for p in pieces(X, 3, 9)] == [(3, 9)]
    for rows in (X, X[:0], np.zeros((3, 10_000_000), np.int8)):
        numbers = np.arange(len(rows))
        assert np.concatenate([numbers[:0], *(numbers[p] for p in pieces(rows))]).tolist() == numbers.tolist()
    assert len(list(pieces(np.zeros((3, 10_000_000), np.int8)))) == 3
