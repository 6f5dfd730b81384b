"""Samples under a URL: the bytes of a folder, written by anyone, gone on with after any end."""

import json
import subprocess
import sys
from pathlib import Path
from typing import ClassVar
from uuid import uuid4

import fsspec
import fsspec.implementations.memory
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
    with pytest.raises(
        OutputExistsError, match=r"must be empty; it holds .*/theirs\. Choose another URL; nothing"
    ):
        ShardBucket(url, drawn(gan), "bank").write()
    assert objects(url) == {"theirs": b"theirs"}
    ShardBucket(f"{url}/inner", drawn(gan), "bank").write()
    with pytest.raises(CheckpointError, match="another order: seed"):
        ShardBucket(f"{url}/inner", drawn(gan, seed=4), "bank").write(resume=True)
    store.pipe_file(f"{root}/inner/manifest.json", b"{}")
    with pytest.raises(CheckpointError, match=r"inner/manifest\.json cannot be read"):
        ShardBucket(f"{url}/inner", drawn(gan), "bank").write(resume=True)


class Elsewhere(fsspec.implementations.memory.MemoryFileSystem):
    """A store in memory that fails, or lets somebody else in, when a method is called on a name."""

    protocol = "elsewhere"
    store: ClassVar[dict] = {}
    pseudo_dirs: ClassVar[list] = [""]
    before: ClassVar[dict] = {}

    def _called(self, what, path):
        for (method, end), action in [*self.before.items()]:
            if method == what and path.endswith(end):
                del self.before[method, end]
                action()

    def pipe_file(self, path, value, mode="overwrite", **kwargs):
        self._called("pipe_file", path)
        super().pipe_file(path, value, mode, **kwargs)

    def put_file(self, lpath, rpath, **kwargs):
        self._called("put_file", rpath)
        super().put_file(lpath, rpath, **kwargs)

    def cat_file(self, path, *args, **kwargs):
        self._called("cat_file", path)
        return super().cat_file(path, *args, **kwargs)

    def cat_ranges(self, paths, *args, **kwargs):
        self._called("cat_ranges", paths[0])
        return super().cat_ranges(paths, *args, **kwargs)


@pytest.fixture
def elsewhere() -> str:
    fsspec.register_implementation("elsewhere", Elsewhere, clobber=True)
    Elsewhere.before.clear()
    return f"elsewhere://{uuid4().hex}/pets"


def fails(message: str = "the line is cut"):
    def action() -> None:
        raise RuntimeError(message)

    return action


def test_of_two_orders_that_begin_at_once_one_is_written(gan, elsewhere, tmp_path) -> None:
    def other() -> None:
        ShardBucket(elsewhere, drawn(gan, seed=4), "bank").write(of=(1, 2))

    Elsewhere.before["pipe_file", "order.json"] = other
    with pytest.raises(CheckpointError, match="another order: seed: 4 then, 3 now"):
        ShardBucket(elsewhere, drawn(gan), "bank").write()
    assert ShardBucket(elsewhere, drawn(gan, seed=4), "bank").write(resume=True)
    ShardFolder(tmp_path / "folder", drawn(gan, seed=4), "bank").write()
    assert objects(elsewhere) == content(tmp_path / "folder")


def test_shards_of_an_order_that_was_replaced_are_neither_taken_nor_added(gan, elsewhere, tmp_path) -> None:
    """In a store that lets two jobs create the same object."""
    ShardBucket(elsewhere, drawn(gan), "bank").write(of=(1, 2))
    late = ShardBucket(elsewhere, drawn(gan, seed=4), "bank")
    late._put(".unfinished/order.json", late.order)
    with pytest.raises(CheckpointError, match="another order"):
        ShardBucket(elsewhere, drawn(gan), "bank").write_shard(drawn(gan).shards[1])
    assert late.write(resume=True)
    ShardFolder(tmp_path / "folder", drawn(gan, seed=4), "bank").write()
    assert objects(elsewhere) == content(tmp_path / "folder")


@pytest.mark.parametrize(
    "call", [("put_file", "00000.npy"), ("pipe_file", "00000.json"), ("put_file", "es.npy")]
)
def test_a_store_that_fails_is_named_and_the_work_goes_on(gan, elsewhere, tmp_path, call) -> None:
    Elsewhere.before[call] = fails()
    with pytest.raises(OSError, match=rf"{elsewhere} failed \({call[0]}\): RuntimeError: the line is cut"):
        ShardBucket(elsewhere, drawn(gan), "bank").write()
    begun = call != ("put_file", "00000.npy")
    assert bool(objects(elsewhere)) == begun
    if begun:
        with pytest.raises(OutputExistsError, match="or go on with resume=True"):
            ShardBucket(elsewhere, drawn(gan), "bank").write()
    assert ShardBucket(elsewhere, drawn(gan), "bank").write(resume=begun)
    assert objects(elsewhere) == of_folder(gan, tmp_path / "folder", "bank")


def test_a_note_that_cannot_be_read_is_no_note_that_is_missing(gan, elsewhere) -> None:
    ShardBucket(elsewhere, drawn(gan), "bank").write(of=(1, 1))
    Elsewhere.before["cat_file", "00003.json"] = fails()
    with pytest.raises(OSError, match=r"failed \(reading notes\): RuntimeError: the line is cut"):
        ShardBucket(elsewhere, drawn(gan), "bank").write(resume=True)
    assert ShardBucket(elsewhere, drawn(gan), "bank").write(resume=True)


def test_a_job_that_ends_between_two_questions_has_not_taken_the_order_away(gan, elsewhere, tmp_path) -> None:
    def end() -> None:
        assert ShardBucket(elsewhere, drawn(gan), "bank").write(resume=True)

    ShardBucket(elsewhere, drawn(gan), "bank").write(of=(1, 1))
    Elsewhere.before["cat_file", "order.json"] = end
    assert ShardBucket(elsewhere, drawn(gan), "bank").write(resume=True)
    assert objects(elsewhere) == of_folder(gan, tmp_path / "folder", "bank")


def test_an_order_that_is_gone_is_not_said_to_be_another_one(gan, elsewhere) -> None:
    ShardBucket(elsewhere, drawn(gan), "bank").write(of=(1, 2))
    bucket = ShardBucket(elsewhere, drawn(gan), "bank")
    bucket._tidy()
    with pytest.raises(CheckpointError, match=r"has lost its order.*Start again"):
        bucket.write_shard(drawn(gan).shards[1])


def test_another_job_may_end_the_work_first(gan, elsewhere, tmp_path) -> None:
    def end() -> None:
        assert ShardBucket(elsewhere, drawn(gan), "bank").write(resume=True)

    ShardBucket(elsewhere, drawn(gan), "bank").write(of=(1, 1))
    bucket = ShardBucket(elsewhere, drawn(gan), "bank")
    Elsewhere.before["cat_ranges", "00000.json"] = lambda: Elsewhere.before.update(
        {("cat_ranges", "00000.json"): end}
    )
    assert bucket.write(resume=True)
    assert objects(elsewhere) == of_folder(gan, tmp_path / "folder", "bank")


def test_a_late_part_leaves_nothing_beside_a_finished_bank(gan, elsewhere, tmp_path) -> None:
    def end() -> None:
        assert ShardBucket(elsewhere, drawn(gan), "bank").write(resume=True)

    Elsewhere.before["put_file", "00001.npy"] = end
    assert not ShardBucket(elsewhere, drawn(gan), "bank").write(of=(2, 2))
    assert objects(elsewhere) == of_folder(gan, tmp_path / "folder", "bank")


@pytest.mark.parametrize("bad", ["memory://", "memory:///", "file://", "memory://pets[v1]/x", "memory://a/*"])
def test_a_url_without_a_place_or_with_a_pattern_is_refused(gan, bad) -> None:
    with pytest.raises(ConfigError, match=r"must (name a bucket or a folder|be without)"):
        shard_place(bad, drawn(gan), "bank")


@pytest.mark.slow
def test_parts_that_begin_at_once_in_a_shared_folder_all_find_the_order(gan, tmp_path) -> None:
    gan.save(tmp_path / "run")
    args = [
        str(tmp_path / "run"),
        "--per-class",
        "30",
        "--format",
        "bank",
        "--out",
        f"file://{tmp_path}/bucket",
    ]
    command = [sys.executable, "-m", "ganaug", "generate", *args]
    parts = [
        subprocess.Popen([*command, "--shard", f"{i}/3"], stderr=subprocess.PIPE, text=True)
        for i in (1, 2, 3)
    ]
    said = [part.communicate()[1] for part in parts]
    assert [part.returncode for part in parts] == [0, 0, 0], said
    assert subprocess.run([*command, "--resume"]).returncode == 0
    assert len(SampleBank.open(tmp_path / "bucket")) == 30 * len(gan.classes_)


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
