"""Files of strangers: what they claim is checked before it is believed, and nothing leads outside."""

import io
import json
import pickle
import shutil
import struct
import tarfile
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ganaug import CheckpointError, DataError, SampleBank
from ganaug.data.schema import Schema
from ganaug.data.sources import open_data
from ganaug.formats import FORMATS, parquet, pictures
from ganaug.formats.files import inside

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 8, 9, 3)).astype(np.uint8)
IMAGE_FORMATS = [name for name, kinds in FORMATS.items() if "image" in kinds]


@pytest.fixture
def bank() -> SampleBank:
    c = np.arange(12) % 2
    return SampleBank(IMAGES, c, Schema.fit(IMAGES, c, names=("cat", "dog")))


def bomb(side: int, rows: int) -> bytes:
    """Return a small PNG that claims side x side pixels, and holds so many rows of them, all black."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    packed = zlib.compressobj(9)
    pixels = b"".join(packed.compress(bytes(side + 1)) for _ in range(rows)) + packed.flush()
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def write_tar(path: Path, *members: tuple[str, bytes] | tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w") as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                tar.addfile(info, io.BytesIO(member[1]))
    return path


def special(kind: bytes, name: str = "a.png", to: str = "/etc/passwd") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, to
    return info


PNG = pictures.encoded(IMAGES[0])
BAD_TARS = {
    "absolute name": ([("/a.png", PNG), ("/a.cls", b"0")], "leads outside"),
    "parent": ([("../a.png", PNG), ("../a.cls", b"0")], "leads outside"),
    "drive": ([("C:\\a.png", PNG), ("C:\\a.cls", b"0")], "leads outside"),
    "symbolic link": ([special(tarfile.SYMTYPE)], "a link or a device"),
    "hard link": ([special(tarfile.LNKTYPE)], "a link or a device"),
    "device": ([special(tarfile.CHRTYPE)], "a link or a device"),
    "fifo": ([special(tarfile.FIFOTYPE)], "a link or a device"),
    "bomb": ([("a.png", bomb(20_000, 9)), ("a.cls", b"0")], "a.png in .*(20000 x 20000|exceeds limit)"),
    "no picture": ([("a.png", b"nothing"), ("a.cls", b"0")], "a.png in .* cannot be read as an image"),
    "cut picture": ([("a.png", PNG[:60]), ("a.cls", b"0")], "a.png in .* cannot be read as an image"),
    "no class": ([("a.png", PNG), ("b.cls", b"0")], r"a has \['png'\]"),
    "no text": ([("a.png", PNG), ("a.cls", b"\xff\xfe")], "a.cls in .* is no text"),
    "twice": ([("a.png", PNG), ("a.png", PNG), ("a.cls", b"0")], "a.png twice"),
    "sizes": ([("a.png", PNG), ("a.cls", b"0"), ("b.png", pictures.encoded(IMAGES[0, 1:])), ("b.cls", b"1")],
              r"one size.*b.png in .* is \(7, 9, 3\)"),
    "empty": ([], "must hold samples; it has none"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_TARS)
def test_a_tar_that_is_not_plain_is_refused_and_unpacks_nothing(tmp_path: Path, case: str) -> None:
    members, message = BAD_TARS[case]
    (tmp_path / "in").mkdir()
    path = write_tar(tmp_path / "in" / "x.tar", *members)
    with pytest.raises(DataError, match=rf"(?s){message}") as raised:
        open_data(path)
    assert "x.tar" in str(raised.value)
    assert [p.name for p in tmp_path.rglob("*")] == ["in", "x.tar"]


def test_pictures_that_would_fill_the_memory_together_are_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(pictures, "FREE_BYTES", 1_000_000)
    black = bomb(2000, 2000)  # 4 kB, 4 MB
    path = write_tar(
        tmp_path / "x.tar", *[(f"{i}.{e}", b) for i in range(9) for e, b in (("png", black), ("cls", b"1"))]
    )
    with pytest.raises(DataError, match=r"x\.tar holds images of more than 200 times its own size"):
        open_data(path)


def test_a_parquet_file_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(parquet, "FREE_BYTES", 100_000)
    pd.DataFrame({"x": np.zeros(3_000_000), "target": 1}).to_parquet(tmp_path / "x.parquet")
    with pytest.raises(DataError, match=r"x\.parquet unpacks to more than 200 times its size"):
        open_data(tmp_path / "x.parquet")
    (tmp_path / "y.parquet").write_bytes(b"PAR1 no PAR1")
    with pytest.raises(DataError, match=r"y\.parquet cannot be read as parquet"):
        open_data(tmp_path / "y.parquet")
    pd.DataFrame({"image": [1, 2], "label": [0, 1]}).to_parquet(tmp_path / "z.parquet")
    with pytest.raises(DataError, match=r"z\.parquet must hold pictures as a struct"):
        open_data(tmp_path / "z.parquet")


def test_files_from_elsewhere_become_data_and_banks(tmp_path: Path) -> None:
    members = [(f"d/{i}.{end}", b) for i in range(6) for end, b in (("png", PNG), ("cls", b"%d" % (i % 2)))]
    source = open_data(write_tar(tmp_path / "x.tar", *members))
    assert (source.X.shape, source.y.tolist()) == ((6, 8, 9, 3), [0, 1] * 3)
    assert SampleBank.from_files(tmp_path / "x.tar", names=("cat", "dog")).schema.names == ("cat", "dog")
    pd.DataFrame({"a": [1.5, 2, 3, 4], "t": list("xyxy"), "kind": [0, 1, 0, 1]}).to_parquet(
        tmp_path / "t.parquet"
    )
    source = open_data(tmp_path / "t.parquet", target="kind")
    assert (list(source.X.columns), source.y.tolist()) == (["a", "t"], [0, 1, 0, 1])
    with pytest.raises(DataError, match=r"no column 'kin'.*Did you mean 'kind'"):
        open_data(tmp_path / "t.parquet", target="kin")
    assert SampleBank.from_files(tmp_path / "t.parquet", target="kind").counts == {0: 2, 1: 2}


@pytest.mark.parametrize(
    ("format", "file"), [("webdataset", "shard-00000.tar"), ("parquet", "data-00000.parquet")]
)
def test_an_exported_file_alone_gives_images_and_class_names(bank, tmp_path: Path, format, file) -> None:
    bank.export(tmp_path / "out", format=format)
    shutil.copy(tmp_path / "out" / file, tmp_path / file)
    source = open_data(tmp_path / file)
    np.testing.assert_array_equal(source.X, IMAGES)
    assert source.y.tolist() == ["cat", "dog"] * 6


def test_an_exported_npz_opens_with_numpy_alone(bank, tmp_path: Path) -> None:
    bank.export(tmp_path / "out", format="npz")
    with np.load(tmp_path / "out" / "samples.npz", allow_pickle=False) as file:
        np.testing.assert_array_equal(file["x"], IMAGES)
        assert (file["y"].tolist(), file["classes"].tolist()) == ([0, 1] * 6, ["cat", "dog"])
    assert open_data(tmp_path / "out" / "samples.npz").class_names == ("cat", "dog")


def test_the_metadata_of_an_image_folder_names_each_file(bank, tmp_path: Path) -> None:
    bank.export(tmp_path / "out")
    metadata = pd.read_csv(tmp_path / "out" / "metadata.csv")
    assert metadata["file_name"][:3].tolist() == ["cat/00000.png", "dog/00000.png", "cat/00001.png"]
    assert metadata["label"].tolist() == ["cat", "dog"] * 6
    assert metadata["synthetic"].all()


def edited(folder: Path, **changes) -> None:
    file = folder / "manifest.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


@pytest.mark.parametrize("format", IMAGE_FORMATS)
def test_an_export_opens_in_another_place_that_cannot_be_written_to(
    bank, tmp_path, format, monkeypatch
) -> None:
    bank.export(tmp_path / "here", format=format)
    assert str(tmp_path) not in (tmp_path / "here" / "manifest.json").read_text()
    (tmp_path / "far" / "away").mkdir(parents=True)
    shutil.move(tmp_path / "here", tmp_path / "far" / "away" / "there")
    moved = tmp_path / "far" / "away" / "there"
    for path in (*moved.rglob("*"), moved):
        path.chmod(0o555 if path.is_dir() else 0o444)
    monkeypatch.chdir(moved.parent)
    again = SampleBank.from_files("there")
    np.testing.assert_array_equal(again.samples, IMAGES)
    assert again.counts == bank.counts
    if format == "bank":
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(SampleBank.open("there"))).samples, IMAGES)
    moved.chmod(0o755)


@pytest.mark.parametrize("format", IMAGE_FORMATS)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_changed_byte_is_seen_wherever_it_is(
    bank, tmp_path_factory, format: str, data: st.DataObject
) -> None:
    out = bank.export(tmp_path_factory.mktemp("out") / "out", format=format)
    files = [f for f in sorted(out.rglob("*")) if f.is_file() and f.name != "manifest.json"]
    file = data.draw(st.sampled_from(files))
    content = bytearray(file.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    file.write_bytes(content)
    with pytest.raises((CheckpointError, DataError), match=str(out)):
        SampleBank.from_files(out)


@pytest.mark.parametrize("format", ["npz", "webdataset", "parquet", "imagefolder", "bank"])
def test_a_manifest_that_lies_is_refused(bank, tmp_path: Path, format: str) -> None:
    out = bank.export(tmp_path / "out", format=format)
    good = json.loads((out / "manifest.json").read_text())
    secret = tmp_path / "secret"
    secret.write_bytes(b"mine")
    lies = [
        {"sha256": {"../secret": "0"}},
        {"sha256": {str(secret): "0"}},
        {"sha256": {}},
        {"samples": {"shape": [10**15, 8, 9, 3], "dtype": "|u1"}},
        {"samples": {"shape": [-1, 8, 9, 3], "dtype": "|u1"}},
        {"samples": {"shape": [11, 8, 9, 3], "dtype": "|u1"}},
        {"samples": {"shape": [12, 8, 9, 3], "dtype": ">f8"}},
        {"samples": {"shape": [12, 8, 9, 3], "dtype": "O"}},
        {"counts": {"0": 10**15, "1": 6}},
        {"counts": {"0": 5, "1": 7}},
        {"counts": None},
        {"schema": None},
        {"layout": "pickle"},
        {"layout": 7},
    ]
    for lie in lies:
        edited(out, **{**good, **lie})
        with pytest.raises((CheckpointError, DataError), match=str(out)):
            SampleBank.from_files(out)
    edited(out, **good)
    assert SampleBank.from_files(out).counts == bank.counts


@pytest.mark.parametrize(
    ("format", "name"),
    [
        ("bank", "classes.npy"),
        ("imagefolder", "cat/00000.png"),
        ("imagefolder", "cat"),  # a folder that is a link, whose files are none
        ("webdataset", "shard-00000.tar"),
    ],
)
def test_a_link_that_leads_outside_is_refused(bank, tmp_path: Path, format: str, name: str) -> None:
    out = bank.export(tmp_path / "out", format=format)
    file = out / name
    shutil.move(file, tmp_path / "outside")
    file.symlink_to(tmp_path / "outside")
    with pytest.raises((CheckpointError, DataError), match="is a link that leads outside"):
        SampleBank.from_files(out)
    (tmp_path / "link").symlink_to(out)
    (file.unlink(), shutil.move(tmp_path / "outside", file))
    assert SampleBank.from_files(tmp_path / "link").counts == bank.counts


@pytest.mark.parametrize(
    "name", ["", "../x", "/x", "a/../../x", "..\\x", "C:\\x", "\\\\host\\x", "x\0", "C:x"]
)
def test_a_name_that_leads_outside_is_no_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="leads outside"):
        inside(tmp_path, name)
    assert inside(tmp_path, "a/b.png") == tmp_path / "a" / "b.png"


def test_numbers_of_another_byte_order_are_written_in_the_common_one(tmp_path: Path) -> None:
    X = np.arange(24.0).reshape(8, 3)
    bank = SampleBank(X.astype(">f8"), np.arange(8) % 2, Schema.fit(X, np.arange(8) % 2)).save(
        tmp_path / "bank"
    )
    assert np.load(tmp_path / "bank" / "samples-00000.npy").dtype.str == "<f8"
    np.testing.assert_array_equal(bank.samples, X)
    np.save(tmp_path / "bank" / "samples-00000.npy", X.astype(">f8"))
    with pytest.raises(CheckpointError, match="byte order"):
        SampleBank.open(tmp_path / "bank", verify=False)
