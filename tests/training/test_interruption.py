"""The command, stopped for real at any moment, ends up where an undisturbed one does."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from ganaug.training.checkpoint import load_tensors
from ganaug.training.interrupt import StopSignals

BUDGET = 120_000


def fit(folder: Path, name: str, *options: str) -> subprocess.Popen[str]:
    args = [folder / "t.csv", "--out", folder / name, "--device", "cpu", "--train-images", BUDGET, *options]
    return subprocess.Popen(
        [sys.executable, "-m", "ganaug", "fit", *map(str, args)], stderr=subprocess.PIPE, text=True
    )


def finish(folder: Path, name: str, *options: str) -> None:
    process = fit(folder, name, *options)
    _, shown = process.communicate(timeout=120)
    assert process.returncode == 0, shown


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Return a folder with a table and an undisturbed run of it."""
    folder = tmp_path_factory.mktemp("commands")
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(200, 4)), columns=list("abcd")).assign(target=np.arange(200) % 2)
    frame.to_csv(folder / "t.csv", index=False)
    finish(folder, "whole")
    return folder


def wait_until(condition, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not condition() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)


def stopped(folder: Path, name: str, number: signal.Signals) -> tuple[int, str]:
    """Send a signal at a random moment of the training, and return exit code and stderr."""
    process = fit(folder, name)
    wait_until((folder / name / "checkpoints" / "000000000.safetensors").exists, process)
    time.sleep(0.2 + random.random())
    process.send_signal(number)
    _, shown = process.communicate(timeout=60)
    return process.returncode, shown


def assert_as_undisturbed(folder: Path, name: str) -> None:
    for file in (f"checkpoints/{BUDGET:09d}.safetensors", "generator.safetensors"):
        (a, about), (b, expected) = (load_tensors(next((folder / n).glob(file))) for n in (name, "whole"))
        assert about == expected
        assert a.keys() == b.keys()
        assert [n for n in a if not torch.equal(a[n], b[n])] == []
    lines = [(folder / n / "history.jsonl").read_text().splitlines() for n in (name, "whole")]
    assert [json.loads(line) for line in lines[0]] == [json.loads(line) for line in lines[1]]


@pytest.mark.slow  # test_run.py has kills at moments that are known
def test_a_kill_at_a_random_moment_loses_nothing_of_the_result(folder: Path) -> None:
    assert stopped(folder, "killed", signal.SIGKILL)[0] == -signal.SIGKILL
    finish(folder, "killed", "--resume")
    assert_as_undisturbed(folder, "killed")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_at_a_random_moment_writes_a_checkpoint_and_says_how_to_go_on(folder: Path, number) -> None:
    name = number.name
    code, shown = stopped(folder, name, number)
    assert code == 75, shown
    assert name in shown
    assert "--resume" in shown
    assert "Traceback" not in shown
    assert not (folder / name / "generator.safetensors").exists()
    finish(folder, name, "--resume")
    assert_as_undisturbed(folder, name)


# --- the context ----------------------------------------------------------------------------------


def two_signals() -> None:
    with StopSignals() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.received == signal.SIGTERM
        os.kill(os.getpid(), signal.SIGINT)
        pytest.fail("the second signal was not heard")


def test_the_first_signal_is_a_wish_and_the_second_an_order() -> None:
    with pytest.raises(KeyboardInterrupt):
        two_signals()


def test_of_several_processes_the_same_signal_may_come_twice_and_another_one_is_an_order(monkeypatch) -> None:
    with StopSignals(several=True) as stop:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGTERM)
        assert stop.received == signal.SIGTERM
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        monkeypatch.setattr("ganaug.training.interrupt.SAME_SIGNAL", 0.0)
    with StopSignals(several=True):
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_handled_signals_before_handles_them_after(number) -> None:
    seen = []
    before = signal.signal(number, lambda *_: seen.append("mine"))
    try:
        with StopSignals():
            os.kill(os.getpid(), number)
        assert seen == []
        os.kill(os.getpid(), number)
        assert seen == ["mine"]
    finally:
        signal.signal(number, before)
