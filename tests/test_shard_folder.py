"""Shard folders: the same bytes for any number of jobs and after any end, and nothing lost by one."""

import errno
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from ganaug import CheckpointError, ConditionalGAN, OutputExistsError, SampleBank
from ganaug.data.schema import Schema
from ganaug.formats import FORMATS
from ganaug.shard_folder import ShardFolder
from ganaug.shard_sources import DrawnSamples

COUNTS = {7: 700, 1: 300}
IMAGE_FORMATS = [name for name, kinds in FORMATS.items() if "image" in kinds]


@pytest.fixture(scope="module")
def gan(digits, tiny) -> ConditionalGAN:
    return ConditionalGAN(config=tiny, random_state=0).fit(*digits)


@pytest.fixture(scope="module")
def table_gan(table, tiny) -> ConditionalGAN:
    return ConditionalGAN(config=tiny, random_state=0).fit(*table)


def drawn(gan: ConditionalGAN, counts=COUNTS, seed: int = 3, **options) -> DrawnSamples:
    wanted, stream = gan.order(counts, None, seed)
    return DrawnSamples(gan, wanted, seed=stream, **{"shard_rows": 256, **options})


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


class StopsAt:
    """Samples whose shard of a number cannot be had."""

    def __init__(self, samples, number: int, error: BaseException):
        self.samples, self.number, self.error = samples, number, error

    def __getattr__(self, name: str):
        return getattr(self.__dict__["samples"], name)

    def __reduce__(self):
        return StopsAt, (self.samples, self.number, self.error)

    def rows(self, shard):
        rows = self.samples.rows(shard)
        yield next(rows)
        if shard.number == self.number:
            raise self.error
        yield from rows


def test_samples_do_not_depend_on_how_they_are_cut(gan) -> None:
    X, y = gan.generate(COUNTS, random_state=3)
    for rows in (1, 256, 600, None):
        samples = drawn(gan, shard_rows=rows)
        parts = [piece for shard in reversed(samples.shards) for piece in [list(samples.rows(shard))]][::-1]
        np.testing.assert_array_equal(np.concatenate([x for part in parts for x, _ in part]), X)
        classes = np.concatenate([samples.classes(shard) for shard in samples.shards])
        np.testing.assert_array_equal(samples.schema.labels[classes], y)
        assert len(samples.shards) == {1: 5, 256: 5, 600: 2, None: 2}[rows]


@pytest.mark.parametrize("layout", IMAGE_FORMATS)
def test_one_shard_after_the_other_or_with_gaps_or_after_an_end_gives_the_same_bytes(
    gan, tmp_path: Path, layout: str
) -> None:
    ShardFolder(tmp_path / "whole", drawn(gan), layout).write()
    whole = content(tmp_path / "whole")
    assert not any(name.startswith(".") for name in whole)
    with pytest.raises(KeyboardInterrupt):
        ShardFolder(tmp_path / "ended", StopsAt(drawn(gan), 2, KeyboardInterrupt()), layout).write()
    with pytest.raises(CheckpointError, match=r"not finished\. Go on with resume=True"):
        SampleBank.open(tmp_path / "ended")
    with pytest.raises(CheckpointError, match="not finished"):
        SampleBank.from_files(tmp_path / "ended")
    written: list[int] = []
    folder = ShardFolder(tmp_path / "ended", StopsAt(drawn(gan), 0, RuntimeError("drawn again")), layout)
    assert folder.write(resume=True, on_progress=lambda done, total: written.append(done))
    assert written[0] == 512  # two shards were there
    assert content(tmp_path / "ended") == whole
    for i in (3, 1, 2):
        assert not ShardFolder(tmp_path / "parts", drawn(gan), layout).write(of=(i, 3))
    assert not (tmp_path / "parts" / "manifest.json").exists()
    assert ShardFolder(tmp_path / "parts", drawn(gan), layout).write(resume=True)
    assert content(tmp_path / "parts") == whole
    assert ShardFolder(tmp_path / "parts", drawn(gan), layout).write(resume=True)  # and once more
    assert content(tmp_path / "parts") == whole


def test_several_processes_write_the_same_bytes(gan, tmp_path: Path) -> None:
    for jobs in (1, 2):
        seen: list[int] = []
        folder = ShardFolder(tmp_path / f"{jobs}", drawn(gan), "webdataset")
        folder.write(jobs=jobs, on_progress=lambda done, total, seen=seen: seen.append(done))
        assert seen == sorted(seen)
        assert seen[-1] == 1000
    assert content(tmp_path / "1") == content(tmp_path / "2")


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["csv", "parquet"])
def test_three_processes_write_the_same_tables(table_gan, tmp_path: Path, layout: str) -> None:
    for jobs in (1, 3):
        rows = DrawnSamples(table_gan, [(0, 9000), (1, 4500)], seed=0, shard_rows=4096)
        ShardFolder(tmp_path / f"{jobs}", rows, layout).write(jobs=jobs)
    assert content(tmp_path / "1") == content(tmp_path / "3")


@pytest.mark.slow
def test_an_error_in_a_process_of_its_own_is_raised_and_what_was_done_stays(gan, tmp_path: Path) -> None:
    full = OSError(errno.ENOSPC, "no space")
    folder = ShardFolder(tmp_path / "out", StopsAt(drawn(gan), 4, full), "webdataset")
    with pytest.raises(OSError, match=r"out has no room left .* of 5 shards are finished and stay.*--resume"):
        folder.write(jobs=2)
    assert ShardFolder(tmp_path / "out", drawn(gan), "webdataset").write(resume=True)
    ShardFolder(tmp_path / "whole", drawn(gan), "webdataset").write()
    assert content(tmp_path / "out") == content(tmp_path / "whole")


@pytest.mark.parametrize("layout", IMAGE_FORMATS)
def test_a_shard_that_was_changed_or_lost_is_written_again(gan, tmp_path: Path, layout: str) -> None:
    with pytest.raises(KeyboardInterrupt):
        ShardFolder(tmp_path / "out", StopsAt(drawn(gan), 4, KeyboardInterrupt()), layout).write()
    files = [
        f for f in (tmp_path / "out").rglob("*") if (f.is_file() and f.name[0] in "spd") or f.suffix == ".png"
    ]
    assert len(files) >= 4
    for file, damage in zip((files[0], files[-2], files[-1]), (b"\0", None, b"\0"), strict=True):
        file.unlink() if damage is None else file.write_bytes(file.read_bytes() + damage)
    ShardFolder(tmp_path / "out", drawn(gan), layout).write(resume=True)
    ShardFolder(tmp_path / "whole", drawn(gan), layout).write()
    assert content(tmp_path / "out") == content(tmp_path / "whole")


def test_another_order_is_refused_field_by_field(gan, table_gan, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        ShardFolder(tmp_path / "out", StopsAt(drawn(gan), 2, KeyboardInterrupt()), "npz").write()
    before = content(tmp_path / "out")
    others = {
        "seed: 3 then, 4 now": (drawn(gan, seed=4), "npz"),
        "counts": (drawn(gan, {7: 700, 1: 301}), "npz"),
        "shard_rows: 256 then, 512 now": (drawn(gan, shard_rows=512), "npz"),
        "truncation: None then, 1.0 now": (drawn(gan, truncation=1.0), "npz"),
        "layout: 'npz' then, 'bank' now": (drawn(gan), "bank"),
        "generator": (drawn(table_gan, 5), "npz"),
    }
    for named, (samples, layout) in others.items():
        with pytest.raises(CheckpointError, match=named):
            ShardFolder(tmp_path / "out", samples, layout).write(resume=True)
    with pytest.raises(OutputExistsError, match="go on with resume=True"):
        ShardFolder(tmp_path / "out", drawn(gan), "npz").write()
    with pytest.raises(CheckpointError, match="there are none"):
        ShardFolder(tmp_path / "nothing", drawn(gan), "npz").write(resume=True)
    assert content(tmp_path / "out") == before


def test_an_error_before_the_first_shard_leaves_nothing(gan, tmp_path: Path) -> None:
    for number, left in ((0, []), (1, ["out"])):
        with pytest.raises(RuntimeError, match="no such luck"):
            ShardFolder(
                tmp_path / "out", StopsAt(drawn(gan), number, RuntimeError("no such luck")), "npz"
            ).write()
        assert [f.name for f in tmp_path.iterdir()] == left


def test_an_error_never_removes_a_folder_that_was_there(gan, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir(mode=0o750)
    there = (tmp_path / "out").stat()
    samples = StopsAt(drawn(gan), 0, RuntimeError("no such luck"))
    with pytest.raises(RuntimeError, match="no such luck"):
        ShardFolder(tmp_path / "out", samples, "npz").write()
    assert (tmp_path / "out").stat().st_ino == there.st_ino
    assert not any((tmp_path / "out").iterdir())


@pytest.mark.parametrize("left", [(), (".order.json.x1",), ("../.unfinished." + "0" * 32 + "/",)])
def test_a_start_that_was_killed_before_its_order_was_written_is_no_start(gan, tmp_path, left) -> None:
    unfinished = tmp_path / "out" / ".unfinished"
    unfinished.mkdir(parents=True)
    for name in left:
        (unfinished / name).mkdir() if name.endswith("/") else (unfinished / name).touch()
    with pytest.raises(CheckpointError, match=r"there are none\. Start without resume"):
        ShardFolder(tmp_path / "out", drawn(gan), "npz").write(resume=True)
    ShardFolder(tmp_path / "out", drawn(gan), "npz").write()
    ShardFolder(tmp_path / "whole", drawn(gan), "npz").write()
    assert content(tmp_path / "out") == content(tmp_path / "whole")
    assert not any(f.name.startswith(".") for f in (tmp_path / "out").iterdir())


def begin_at_once(folder: ShardFolder, part: int, barrier, ended) -> None:
    """Write one half as soon as the other one begins, and tell how it ended."""
    original = folder._begin

    def begin(**options: bool) -> None:
        barrier.wait(60)  # both found no order
        original(**options)

    folder._begin = begin
    try:
        ended.append((part, folder.write(of=(part, 2))))
    except CheckpointError as error:
        ended.append((part, str(error)))


@pytest.mark.parametrize("seed", [3, 4])
def test_jobs_that_begin_at_once_share_one_order_or_the_second_is_refused(gan, tmp_path, seed: int) -> None:
    barrier, ended = threading.Barrier(2), []
    folders = [ShardFolder(tmp_path / "out", drawn(gan, seed=s), "npz") for s in (3, seed)]
    jobs = [
        threading.Thread(target=begin_at_once, args=(f, i, barrier, ended)) for i, f in enumerate(folders, 1)
    ]
    [job.start() for job in jobs]
    [job.join(120) for job in jobs]
    results = dict(ended)
    assert len(results) == 2
    if seed != 3:
        assert sorted(map(type, results.values()), key=str) == [bool, str]
        assert any("seed: " in str(result) for result in results.values())
        return
    assert results == {1: False, 2: False}
    assert ShardFolder(tmp_path / "out", drawn(gan), "npz").write(resume=True)
    ShardFolder(tmp_path / "whole", drawn(gan), "npz").write()
    assert content(tmp_path / "out") == content(tmp_path / "whole")


def test_a_generator_knows_itself_by_what_it_draws(gan, digits, tiny, tmp_path: Path) -> None:
    from ganaug import load

    gan.save(tmp_path / "gan")
    assert load(tmp_path / "gan").digest() == gan.digest()
    other = ConditionalGAN(config=tiny, random_state=1).fit(*digits)
    assert other.digest() != gan.digest()


EXPORT = """
import sys
import ganaug.shard_sources
from ganaug.bank import SampleBank
ganaug.shard_sources.SHARD_ROWS = 1000
path, out, layout = sys.argv[1:]
SampleBank.open(path).export(out, format=layout)
"""


def big_bank(folder: Path, n: int = 3_000) -> SampleBank:
    images = np.random.default_rng(0).integers(0, 256, (n, 16, 16)).astype(np.uint8)
    c = np.arange(n) % 3
    return SampleBank(images, c, Schema.fit(images, c)).save(folder)


@pytest.mark.parametrize("layout", ["imagefolder", pytest.param("parquet", marks=pytest.mark.slow)])
def test_a_kill_during_an_export_loses_nothing_that_was_done(tmp_path, monkeypatch, layout: str) -> None:
    bank = big_bank(tmp_path / "bank")
    monkeypatch.setattr("ganaug.shard_sources.SHARD_ROWS", 1000)
    out, notes = tmp_path / "out", 0
    with subprocess.Popen([sys.executable, "-c", EXPORT, str(bank.path), str(out), layout]) as process:
        while notes < 1 and process.poll() is None:
            time.sleep(0.002)
            notes = len(list(out.glob(".unfinished/0*.json")))
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert 1 <= len(list(out.glob(".unfinished/0*.json"))) < 3
    bank.export(out, format=layout, resume=True)
    bank.export(tmp_path / "whole", format=layout)
    assert content(out) == content(tmp_path / "whole")
    assert len(SampleBank.from_files(out)) == 3_000


def test_a_file_that_may_not_grow_ends_an_export_with_its_folder_named(tmp_path, monkeypatch) -> None:
    bank = big_bank(tmp_path / "bank")
    monkeypatch.setattr("ganaug.shard_sources.SHARD_ROWS", 1000)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, before[1]))
    try:
        with pytest.raises(OSError, match=r"no room left \(File too large\); 3 of 3 shards are finished"):
            bank.export(tmp_path / "out", format="npz")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    bank.export(tmp_path / "out", format="npz", resume=True)
    np.testing.assert_array_equal(SampleBank.from_files(tmp_path / "out").samples, bank.samples[:])


@pytest.fixture
def small_disk(tmp_path: Path):
    """Return a folder on a disk of 12 MB of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(folder)]
    if sys.platform != "linux" or os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a disk of its own needs the right to mount one")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("layout", ["bank", "imagefolder", "webdataset", "parquet", "npz"])
def test_a_full_disk_names_the_folder_and_keeps_what_was_done(
    gan, small_disk, tmp_path, layout, monkeypatch
) -> None:
    free = os.statvfs(small_disk)
    assert free.f_bavail * free.f_frsize < 13_000_000
    monkeypatch.setattr(ShardFolder, "_require_free", lambda self, n: None)  # the disk fills up later
    hog = small_disk / "somebody else's"
    hog.write_bytes(bytes(free.f_bavail * free.f_frsize - 40_000))
    samples = drawn(gan, {1: 2000}, shard_rows=256)
    with pytest.raises(OSError, match=r"disk/out has no room left \(No space left on device\).*--resume"):
        ShardFolder(small_disk / "out", samples, layout).write()
    assert json.loads((small_disk / "out" / ".unfinished" / "order.json").read_text())["seed"] == 3
    hog.unlink()
    ShardFolder(small_disk / "out", samples, layout).write(resume=True)
    ShardFolder(tmp_path / "whole", samples, layout).write()
    assert content(small_disk / "out") == content(tmp_path / "whole")


def test_a_disk_that_is_too_small_is_seen_before_anything_is_written(gan, small_disk: Path) -> None:
    with pytest.raises(OSError, match=r"needs about 0\.41 GB; .* has 0\.01 GB free.*nothing was written"):
        ShardFolder(small_disk / "out", drawn(gan, {1: 200_000}), "webdataset").write()
    assert list(small_disk.iterdir()) == []
