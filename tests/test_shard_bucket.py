"""Samples under a URL: the bytes of a folder, written by anyone, gone on with after any end."""

import json
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import fsspec
import pytest
from test_shard_folder import StopsAt, content, drawn

from ganaug import CheckpointError, ConditionalGAN, ConfigError, OutputExistsError, SampleBank
from ganaug.shard_bucket import ShardBucket, shard_place
from ganaug.shard_folder import ShardFolder

LAYOUTS = ("bank", "webdataset", "parquet")


@pytest.fixture(scope="module")
def gan(digits, tiny) -> ConditionalGAN:
    return ConditionalGAN(config=tiny, random_state=0).fit(*digits)


@pytest.fixture(params=["memory", "file"])
def url(request, tmp_path: Path) -> str:
    """Return a URL below which there is nothing."""
    return f"memory://{uuid4().hex}" if request.param == "memory" else f"file://{tmp_path / 'bucket'}"


def objects(url: str) -> dict[str, bytes]:
    store, root = fsspec.core.url_to_fs(url)
    return {name.removeprefix(root).lstrip("/"): store.cat_file(name) for name in store.find(root)}


def of_folder(gan, folder: Path, layout: str) -> dict[str, bytes]:
    ShardFolder(folder, drawn(gan), layout).write()
    return content(folder)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_bucket_holds_the_bytes_of_a_folder_after_any_end_and_from_any_jobs(gan, url, tmp_path, layout):
    whole = of_folder(gan, tmp_path / "folder", layout)
    with pytest.raises(KeyboardInterrupt):
        ShardBucket(f"{url}/ended", StopsAt(drawn(gan), 2, KeyboardInterrupt()), layout).write()
    assert "manifest.json" not in objects(f"{url}/ended")
    written: list[int] = []
    again = ShardBucket(f"{url}/ended/", StopsAt(drawn(gan), 0, RuntimeError("drawn again")), layout)
    assert again.write(resume=True, on_progress=lambda done, total: written.append(done))
    assert written[0] == 512  # two shards were there
    assert objects(f"{url}/ended") == whole
    for i in (3, 1, 2):
        assert not ShardBucket(f"{url}/parts", drawn(gan), layout).write(of=(i, 3))
    assert ShardBucket(f"{url}/parts", drawn(gan), layout).write(resume=True)
    assert objects(f"{url}/parts") == whole
    assert ShardBucket(f"{url}/parts", drawn(gan), layout).write(resume=True)  # and once more
    assert objects(f"{url}/parts") == whole


def test_processes_write_to_a_bucket_that_they_share(gan, tmp_path) -> None:
    whole = of_folder(gan, tmp_path / "folder", "bank")
    ShardBucket(f"file://{tmp_path}/bucket", drawn(gan), "bank").write(jobs=2)
    assert content(tmp_path / "bucket") == whole
    assert len(SampleBank.open(tmp_path / "bucket")) == 1000
    with pytest.raises(ConfigError, match="memory:// is within one process"):
        ShardBucket("memory://jobs", drawn(gan), "bank").write(jobs=2)
    assert not objects("memory://jobs")


def test_a_shard_that_is_not_whole_is_written_again(gan, url, tmp_path) -> None:
    with pytest.raises(KeyboardInterrupt):
        ShardBucket(url, StopsAt(drawn(gan), 3, KeyboardInterrupt()), "webdataset").write()
    store, root = fsspec.core.url_to_fs(url)
    store.pipe_file(f"{root}/shard-00001.tar", b"cut")
    assert ShardBucket(url, drawn(gan), "webdataset").write(resume=True)
    assert objects(url) == of_folder(gan, tmp_path / "folder", "webdataset")


def test_a_bucket_that_holds_something_is_left_alone(gan, url) -> None:
    with pytest.raises(CheckpointError, match="must hold unfinished samples to go on with"):
        ShardBucket(url, drawn(gan), "bank").write(resume=True)
    store, root = fsspec.core.url_to_fs(url)
    store.makedirs(root, exist_ok=True)
    store.pipe_file(f"{root}/theirs", b"theirs")
    with pytest.raises(OutputExistsError, match="holds something"):
        ShardBucket(url, drawn(gan), "bank").write()
    assert objects(url) == {"theirs": b"theirs"}
    ShardBucket(f"{url}/inner", drawn(gan), "bank").write()
    with pytest.raises(CheckpointError, match="another order: seed"):
        ShardBucket(f"{url}/inner", drawn(gan, seed=4), "bank").write(resume=True)
    store.pipe_file(f"{root}/inner/manifest.json", b"{}")
    with pytest.raises(CheckpointError, match=r"inner/manifest\.json cannot be read"):
        ShardBucket(f"{url}/inner", drawn(gan), "bank").write(resume=True)


def test_an_error_before_the_first_shard_leaves_nothing(gan, url) -> None:
    with pytest.raises(RuntimeError, match="at once"):
        ShardBucket(url, StopsAt(drawn(gan), 0, RuntimeError("at once")), "bank").write()
    assert not objects(url)


def test_formats_of_many_files_and_unknown_stores_are_refused(gan) -> None:
    for layout in ("imagefolder", "npz"):
        with pytest.raises(
            ConfigError, match=f"one of 'parquet', 'webdataset', 'bank' under a URL.*'{layout}'"
        ):
            ShardBucket("memory://b", drawn(gan), layout)
    with pytest.raises(ConfigError, match="nosuch://b cannot be opened"):
        ShardBucket("nosuch://b", drawn(gan), "bank")


def test_a_url_is_a_bucket_and_a_path_is_a_folder(gan, tmp_path) -> None:
    assert isinstance(shard_place("memory://b", drawn(gan), "bank"), ShardBucket)
    assert isinstance(shard_place(tmp_path / "b", drawn(gan), "bank"), ShardFolder)


def test_a_bank_is_exported_to_a_url(gan, url) -> None:
    bank = SampleBank.from_gan(gan, 20)
    assert bank.export(url, format="webdataset") == url
    assert set(objects(url)) == {"shard-00000.tar", "manifest.json"}


def test_the_command_writes_under_a_url(gan, tmp_path) -> None:
    gan.save(tmp_path / "run")
    args = ["generate", tmp_path / "run", "--per-class", "30", "--format", "bank", "--json", "--seed", "1"]
    url = f"file://{tmp_path}/bucket"
    run = subprocess.run(
        [sys.executable, "-m", "ganaug", *map(str, args), "--out", url], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["out"] == url
    bank = SampleBank.open(tmp_path / "bucket")
    assert len(bank) == 30 * len(gan.classes_)
