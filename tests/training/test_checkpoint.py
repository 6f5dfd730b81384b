"""Files: whole or not at all, and refused when they are not ours."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

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


def test_each_flipped_bit_of_a_tensor_is_noticed(saved: Path) -> None:
    whole = saved.read_bytes()
    start = 8 + int.from_bytes(whole[:8], "little")
    for position in range(start, len(whole)):
        saved.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        with pytest.raises(CheckpointError, match=r"a\.safetensors is damaged: .* sha256"):
            load_tensors(saved)


def test_a_file_without_a_digest_is_refused(saved: Path) -> None:
    save_file(load_file(saved), saved, metadata={"ganaug": json.dumps({"format": FORMAT})})
    with pytest.raises(CheckpointError, match=r"a\.safetensors is damaged"):
        load_tensors(saved)


def test_values_that_are_no_numbers_and_strange_strides_come_back(tmp_path: Path) -> None:
    tensors = {
        "nan": torch.tensor([float("nan"), float("inf"), -0.0]),
        "none": torch.zeros(0, 3),
        "transposed": torch.arange(6.0).reshape(2, 3).T,
        "channels last": torch.randn(2, 3, 4, 4).contiguous(memory_format=torch.channels_last),
        "view of the same": TENSORS["w"][1:],
        "the same": TENSORS["w"],
    }
    save_tensors(tmp_path / "a", tensors, {"history": [{"loss": float("nan")}]})
    found, about = load_tensors(tmp_path / "a")
    assert about["history"][0]["loss"] != about["history"][0]["loss"]
    for name, value in tensors.items():
        assert torch.equal(found[name].nan_to_num(), value.nan_to_num())


KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from ganaug.training import checkpoint

def die(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)

setattr(checkpoint.os if sys.argv[2] != "save_file" else checkpoint, sys.argv[2], die)
checkpoint.save_tensors(Path(sys.argv[1]), {"w": torch.zeros(9)}, {})
"""


@pytest.mark.parametrize("moment", ["save_file", "fsync", "replace"])
def test_a_kill_while_writing_leaves_the_old_file_readable(saved: Path, moment: str) -> None:
    before = saved.read_bytes()
    done = subprocess.run([sys.executable, "-c", KILLED, str(saved), moment], check=False)
    assert done.returncode == -signal.SIGKILL
    assert saved.read_bytes() == before
    assert [f.name for f in saved.parent.glob("*.safetensors")] == [saved.name]
    save_tensors(saved, TENSORS, {"seed": 4})
    assert load_tensors(saved)[1]["seed"] == 4
