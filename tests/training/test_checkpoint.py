"""Files of a run: whole or not at all, refused when they are not ours, and resumed bit for bit."""

import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import ganaug
from ganaug.config import GANConfig
from ganaug.errors import CheckpointError
from ganaug.training import checkpoint
from ganaug.training.checkpoint import FORMAT, load_tensors, save_tensors

TENSORS = {"w": torch.randn(3, 4), "n": torch.tensor(7), "h": torch.randn(5).bfloat16()}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save_tensors(tmp_path / "run" / "a.safetensors", TENSORS, {"seed": 3})
    return tmp_path / "run" / "a.safetensors"


def test_tensors_and_description_come_back(saved: Path) -> None:
    tensors, about = load_tensors(saved)
    assert about == {"format": FORMAT, "seed": 3}
    assert tensors.keys() == TENSORS.keys()
    for name, value in TENSORS.items():
        assert tensors[name].dtype == value.dtype
        assert torch.equal(tensors[name], value)
    assert [f.name for f in saved.parent.iterdir()] == ["a.safetensors"]


def test_a_missing_or_truncated_file_is_named(saved: Path) -> None:
    with pytest.raises(CheckpointError, match=r"b\.safetensors must be a file that ganaug saved"):
        load_tensors(saved.with_name("b.safetensors"))
    whole = saved.read_bytes()
    for length in (0, 5, 50, len(whole) - 1):
        saved.write_bytes(whole[:length])
        with pytest.raises(
            CheckpointError, match=r"a\.safetensors is not a file that ganaug saved, or is damaged"
        ):
            load_tensors(saved)


def test_a_damaged_header_is_refused_or_harmless(saved: Path) -> None:
    whole = saved.read_bytes()
    header = int.from_bytes(whole[:8], "little")
    refusals = []
    for position in range(8 + header):
        saved.write_bytes(whole[:position] + bytes([whole[position] ^ 255]) + whole[position + 1 :])
        try:
            load_tensors(saved)
        except CheckpointError as error:
            refusals.append(str(error))
    assert len(refusals) > header * 0.9
    assert all("a.safetensors" in text for text in refusals)


def test_files_of_others_are_refused(saved: Path) -> None:
    save_file({"w": torch.zeros(2)}, saved)
    with pytest.raises(CheckpointError, match=r"a\.safetensors is not a file that ganaug saved"):
        load_tensors(saved)
    torch.save({"w": torch.zeros(2)}, saved)
    with pytest.raises(CheckpointError, match=r"a\.safetensors is not a file that ganaug saved"):
        load_tensors(saved)


def test_another_format_says_which_and_what_to_do(saved: Path) -> None:
    save_file({"w": torch.zeros(2)}, saved, metadata={"ganaug": json.dumps({"format": FORMAT + 1})})
    with pytest.raises(
        CheckpointError, match=rf"has format {FORMAT + 1}; this version reads format {FORMAT}"
    ):
        load_tensors(saved)


@pytest.mark.parametrize(("module", "name"), [("os", "replace"), ("os", "fsync"), (None, "save_file")])
def test_a_crash_while_writing_leaves_the_old_file_and_nothing_else(
    saved: Path, monkeypatch: pytest.MonkeyPatch, module: str | None, name: str
) -> None:
    def crash(*_: object, **__: object) -> None:
        raise OSError("disk full")

    before = saved.read_bytes()
    monkeypatch.setattr(getattr(checkpoint, module) if module else checkpoint, name, crash)
    with pytest.raises(OSError, match="disk full"):
        save_tensors(saved, {"w": torch.zeros(9)}, {})
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


CONFIG = GANConfig(
    network="mlp",
    width=4,
    z_dim=8,
    train_images=192,
    batch_size=16,
    log_every_images=64,
    precision="float32",
)

DIES = """
import os, signal, sys
import numpy as np
import ganaug, ganaug.training.checkpoint, ganaug.training.loop
from ganaug.config import GANConfig

module, name, call = getattr(ganaug.training, sys.argv[2]), sys.argv[3], int(sys.argv[4])
target = module.os if name == "replace" else module
original, n_calls = getattr(target, name), 0

def die_at_last(*args):
    global n_calls
    n_calls += 1
    if n_calls == call:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*args)

setattr(target, name, die_at_last)
arrays = np.load(sys.argv[1] + "/data.npz")
config = GANConfig.from_dict({config!r})
ganaug.ConditionalGAN(config=config, random_state=5).fit(arrays["x"], arrays["y"], out=sys.argv[1] + "/run")
"""


@pytest.mark.parametrize(
    "death",
    [("loop", "update_ema", "7"), ("checkpoint", "replace", "3")],
    ids=["between two checkpoints", "while a checkpoint is written"],
)
def test_a_run_killed_by_the_system_is_resumed_bit_for_bit(tmp_path: Path, digits, death) -> None:
    X, y = digits
    np.savez(tmp_path / "data.npz", x=X, y=y)
    code = DIES.replace("{config!r}", repr(CONFIG.to_dict()))
    run = subprocess.run([sys.executable, "-c", code, str(tmp_path), *death], capture_output=True, text=True)
    assert run.returncode == -signal.SIGKILL, run.stderr
    assert load_tensors(tmp_path / "run" / "checkpoint.safetensors")[1]["images_seen"] == 64
    assert not (tmp_path / "run" / "generator.safetensors").exists()

    resumed = ganaug.ConditionalGAN(config=CONFIG).fit(X, y, out=tmp_path / "run", resume=True)
    whole = ganaug.ConditionalGAN(config=CONFIG, random_state=5).fit(X, y, out=tmp_path / "whole")
    assert resumed.history_ == whole.history_
    for name in ("checkpoint.safetensors", "generator.safetensors"):
        (a, about), (b, expected) = (load_tensors(tmp_path / folder / name) for folder in ("run", "whole"))
        assert about == expected
        assert a.keys() == b.keys()
        assert [n for n in a if not torch.equal(a[n], b[n])] == []


@pytest.fixture
def run(tmp_path: Path, digits) -> Path:
    config = replace(CONFIG, train_images=64)
    ganaug.ConditionalGAN(config=config, random_state=5).fit(*digits, out=tmp_path / "run")
    return tmp_path / "run"


def test_a_finished_run_goes_on_with_a_larger_budget(run: Path, digits) -> None:
    gan = ganaug.ConditionalGAN(config=replace(CONFIG, train_images=128)).fit(*digits, out=run, resume=True)
    whole = ganaug.ConditionalGAN(config=replace(CONFIG, train_images=128), random_state=5).fit(*digits)
    assert [h["images_seen"] for h in gan.history_] == [64, 128]
    assert all(torch.equal(a, b) for a, b in zip(gan.G_.parameters(), whole.G_.parameters(), strict=True))


def test_a_run_is_resumed_with_its_own_data_and_settings_only(run: Path, digits) -> None:
    X, y = digits
    before = {f: f.read_bytes() for f in run.rglob("*") if f.is_file()}

    def resume(X: np.ndarray, y: np.ndarray, seed: int | None = None, **changes: object) -> None:
        config = replace(CONFIG, **changes)
        ganaug.ConditionalGAN(config=config, random_state=seed).fit(X, y, out=run, resume=True)

    where = r"checkpoint\.safetensors was written with another "
    with pytest.raises(CheckpointError, match=where + "config: width: 4 then, 5 now"):
        resume(X, y, width=5)
    with pytest.raises(CheckpointError, match=where + "data"):
        resume(np.flip(X, 1), y)
    with pytest.raises(CheckpointError, match=where + "schema: .*labels"):
        resume(X, y + 1)
    with pytest.raises(CheckpointError, match=where + "seed: 5 then, 6 now"):
        resume(X, y, seed=6)
    assert {f: f.read_bytes() for f in run.rglob("*") if f.is_file()} == before


def test_weights_of_another_shape_are_named(run: Path, digits) -> None:
    file = run / "checkpoint.safetensors"
    tensors, about = load_tensors(file)
    tensors["D.head.linear.bias"] = torch.zeros(2)
    save_tensors(file, tensors, about)
    with pytest.raises(
        CheckpointError, match=r"checkpoint\.safetensors: 1 weights do not fit.*bias: expected"
    ):
        ganaug.ConditionalGAN(config=CONFIG).fit(*digits, out=run, resume=True)


def test_resuming_where_nothing_is_names_the_file_and_makes_nothing(tmp_path: Path, digits) -> None:
    with pytest.raises(CheckpointError, match=r"none/checkpoint\.safetensors must be a file"):
        ganaug.ConditionalGAN(config=CONFIG).fit(*digits, out=tmp_path / "none", resume=True)
    assert list(tmp_path.iterdir()) == []
