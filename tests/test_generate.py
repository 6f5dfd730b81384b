"""`ganaug generate`: any number of processes, any end, the same bytes."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
from typer.testing import CliRunner

from ganaug import ConditionalGAN, SampleBank, cli, load
from ganaug.config import GANConfig
from ganaug.data.sources import open_data
from ganaug.formats import FORMATS

PER_CLASS = 17_000  # two shards for each of three classes


def invoke(*args):
    return CliRunner().invoke(cli.app, [str(a) for a in args], catch_exceptions=False)


def content(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def run(digits, tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    ConditionalGAN(config=tiny, random_state=0).fit(*digits).save(folder)
    return folder


@pytest.fixture(scope="module")
def whole(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "bank"
    done = invoke("generate", run, "--per-class", PER_CLASS, "--format", "bank", "--out", folder)
    assert done.exit_code == 0
    return folder


slow = pytest.mark.slow
MORE_ENDS = [pytest.param(*end, marks=slow) for end in [("kill", 2), ("interrupt", 2), ("terminate", 2)]]


@pytest.mark.parametrize(("how", "jobs"), [("kill", 1), ("terminate", 1), *MORE_ENDS])
def test_a_command_that_is_ended_goes_on_to_the_same_bytes(run, whole, tmp_path, how, jobs):
    out, streams = tmp_path / "out", [tmp_path / "stdout", tmp_path / "stderr"]
    args = ["generate", run, "--per-class", PER_CLASS, "--format", "bank", "--out", out]
    command = [sys.executable, "-m", "ganaug", *map(str, args), "--jobs", str(jobs)]
    with open(streams[0], "w") as stdout, open(streams[1], "w") as stderr:
        process = subprocess.Popen(command, stdout=stdout, stderr=stderr, start_new_session=True)
    psutil.Process(process.pid).nice(19)  # it waits for this process, also where there are more than cores
    while not list(out.glob(".unfinished/0*.json")) and process.poll() is None:
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGSTOP)  # so that it cannot come to its end meanwhile
    children = psutil.Process(process.pid).children(recursive=True)
    if how == "interrupt":
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does it
    else:
        process.send_signal({"kill": signal.SIGKILL, "terminate": signal.SIGTERM}[how])
    os.killpg(process.pid, signal.SIGCONT)
    process.wait(timeout=60)
    assert psutil.wait_procs(children, timeout=60)[1] == []
    shown, told = (stream.read_text() for stream in streams)
    assert not (out / "manifest.json").exists()
    if how != "kill":
        assert (process.returncode, shown) == (75, "")
        assert told == "stopped. Run the same command again with --resume.\n"
    refused = CliRunner().invoke(cli.app, [str(a) for a in args])
    assert "go on with resume=True (--resume)" in str(refused.exception)
    assert invoke(*args, "--resume").exit_code == 0
    assert content(out) == content(whole)


def test_python_and_the_command_line_draw_the_same(run, whole, tmp_path):
    bank = SampleBank.from_gan(load(run), PER_CLASS, path=tmp_path / "bank", random_state=0)
    assert content(tmp_path / "bank") == content(whole)
    np.testing.assert_array_equal(bank.samples[:9], load(run).generate(300, random_state=0)[0][:9])
    again = SampleBank.from_gan(load(run), PER_CLASS, path=tmp_path / "bank", random_state=0, resume=True)
    assert len(again) == 3 * PER_CLASS


@pytest.mark.parametrize("format", [name for name, kinds in FORMATS.items() if "image" in kinds])
def test_each_format_holds_the_same_samples(run, tmp_path, format):
    args = ("generate", run, "--per-class", 30, "--format", format, "--out", tmp_path / "out", "--seed", 3)
    assert invoke(*args).exit_code == 0
    bank = SampleBank.from_files(tmp_path / "out")
    X, y = load(run).generate(30, random_state=3)
    np.testing.assert_array_equal(bank.samples, X)
    np.testing.assert_array_equal(bank.schema.labels[bank.class_indices], y)


def test_tasks_of_an_array_write_a_part_each_and_a_last_call_ends_the_work(run, whole, tmp_path):
    args = ("generate", run, "--per-class", PER_CLASS, "--format", "bank", "--out", tmp_path / "out")
    for part in ("2/3", "1/3"):
        done = invoke(*args, "--shard", part)
        assert done.exit_code == 0
        assert f"Part {part} of the 6 shards is written" in done.stdout
    assert not (tmp_path / "out" / "manifest.json").exists()
    assert invoke(*args, "--resume", "--quiet").stdout == ""
    assert content(tmp_path / "out") == content(whole)


def test_a_dry_run_says_how_much_and_writes_nothing(run, tmp_path):
    args = ("generate", run, "--per-class", 100_000, "--out", tmp_path / "out", "--dry-run")
    shown = invoke(*args, "--format", "bank", "--json")
    about = json.loads(shown.stdout)
    assert (about["counts"]["7"], about["shards"], about["format"]) == (100_000, 21, "bank")
    assert about["bytes"] == 300_000 * (64 + 8)
    assert "imagefolder, about 1348.8 MB in 21 shards; nothing was written" in invoke(*args).stdout
    assert list(tmp_path.iterdir()) == []


def test_a_table_is_written_as_csv_or_parquet(table, tiny, tmp_path):
    ConditionalGAN(config=tiny, random_state=0).fit(*table).save(tmp_path / "run")
    for format, file in (("files", "samples.csv"), ("parquet", "data-00000.parquet")):
        out = tmp_path / format
        args = ("--per-class", 5, "--format", format, "--out", out)
        assert invoke("generate", tmp_path / "run", *args).exit_code == 0
        assert set(open_data(out / file).y) <= {"no", "yes"}
        assert SampleBank.from_files(out).counts == {"no": 5, "yes": 5}


@pytest.mark.parametrize("part", ["0/3", "4/3", "1", "a/b", "1/0"])
def test_a_part_that_is_none_is_wrong_usage(run, tmp_path, part):
    done = invoke("generate", run, "--per-class", 5, "--out", tmp_path / "x", "--shard", part)
    assert done.exit_code == 2
    assert list(tmp_path.iterdir()) == []


@slow
def test_the_memory_of_a_job_does_not_grow_with_the_number_of_samples(tmp_path, digits):
    """Draw ten times as much, and hold no more."""
    config = GANConfig(network="mlp", width=4, z_dim=128, train_images=64, batch_size=16, precision="float32")
    ConditionalGAN(config=config, random_state=0).fit(*digits).save(tmp_path / "run")
    script = (
        "import resource, sys; from ganaug.cli import app\n"
        "try: app(sys.argv[1:])\n"
        "except SystemExit: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    peaks = []
    for n in (3_000, 60_000):  # 31 MB of noise and 11 MB of images for each class, if they were held
        args = ["generate", tmp_path / "run", "--per-class", n, "--format", "npz", "--quiet"]
        command = [sys.executable, "-c", script, *map(str, args), "--out", tmp_path / str(n)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout) / 1024)
    assert peaks[1] < peaks[0] + 12
