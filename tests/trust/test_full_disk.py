"""A disk that fills up: the error names the folder, what was written stays whole, and resume goes on."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from targets import COMPARISON, TINY, drawn, images

from ganaug import ConditionalGAN, compare
from ganaug.training.checkpoint import load_tensors

ROOM = 65_536


class Disk:
    """A file system whose size is set, in kilobytes."""

    def __init__(self, path: Path):
        self.path = path
        path.mkdir()

    def mount(self) -> bool:
        command = ["mount", "-t", "tmpfs", "-o", f"size={ROOM}k", "tmpfs", str(self.path)]
        return subprocess.run(command, capture_output=True).returncode == 0

    def limit(self, kilobytes: int) -> None:
        subprocess.run(["mount", "-o", f"remount,size={kilobytes}k", str(self.path)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    found = Disk(tmp_path / "disk")
    if not found.mount():
        pytest.skip("needs `mount`, which only root may call")
    yield found
    subprocess.run(["umount", str(found.path)], check=True)


def used(folder: Path) -> int:
    """Return kilobytes in use."""
    there = os.statvfs(folder)
    return (there.f_blocks - there.f_bfree) * there.f_frsize // 1024


@pytest.mark.parametrize("room", [8, 120])
def test_a_fit_that_ran_out_of_disk_goes_on_from_its_last_checkpoint(
    disk: Disk, tmp_path: Path, room: int
) -> None:
    whole = drawn(ConditionalGAN(config=TINY, random_state=0).fit(*images(), out=tmp_path / "whole"))
    run = disk.path / "run"

    def fill(done: int) -> None:
        if done == 16:
            disk.limit(used(disk.path) + room)

    with pytest.raises(OSError, match=str(run)):
        ConditionalGAN(config=TINY, random_state=0).fit(*images(), out=run, on_step=fill)
    checkpoints = sorted((run / "checkpoints").iterdir())
    assert checkpoints
    for checkpoint in checkpoints:
        load_tensors(checkpoint)  # none is torn, and nothing else was left
    disk.limit(ROOM)
    assert drawn(ConditionalGAN(config=TINY, random_state=0).fit(*images(), out=run, resume=True)) == whole


def test_a_comparison_that_ran_out_of_disk_keeps_its_cells(disk: Disk) -> None:
    folder = disk.path / "comparison"
    done = []

    def fill(n: int, _: int) -> None:
        done.append(n)
        if n == 2:
            disk.limit(used(disk.path) + 4)

    with pytest.raises(OSError, match=str(folder)):
        compare(*images(), **COMPARISON, out=folder, on_cell=fill)
    kept = sorted((folder / "cells").iterdir())
    assert len(kept) >= 2
    for cell in kept:
        load_tensors(cell)
    disk.limit(ROOM)
    again = compare(*images(), **COMPARISON, out=folder, resume=True)
    assert [c.y_pred.tolist() for c in again.cells] == [
        c.y_pred.tolist() for c in compare(*images(), **COMPARISON).cells
    ]
