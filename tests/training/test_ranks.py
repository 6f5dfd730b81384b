"""Two real processes train one GAN: what they share, what is each one's own, and how they end."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from play import fresh, play
from together import EXACT, LIKE, SHORT

from ganaug import ConditionalGAN, GANConfig, load
from ganaug._launch import ALONE, STARTERS, World, world
from ganaug.errors import ConfigError, GanaugError
from ganaug.training.memory import with_less_memory
from ganaug.training.ranks import Ranks, _together, launched_fabric
from ganaug.training.steps import descend

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]


PLAYERS = ("G", "D", "G_ema")
NOT_LEARNED = ("._u", "._v", "D.head.linear.bias")
"""Vectors of spectral norm; and what a relativistic loss has no gradient for, so that rounding moves it."""


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def seen(tmp_path_factory) -> list[dict[str, Any]]:
    """Return what each of two processes saw."""
    folder = tmp_path_factory.mktemp("together")
    program = Path(__file__).with_name("together.py")
    run = subprocess.run(
        [*TORCHRUN, program, folder],
        capture_output=True,
        text=True,
        timeout=240,
        env=environment(),
        cwd=program.parent,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in (0, 1)]


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def furthest(first: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """Return the largest difference of weights of both players and the average."""
    names = [k for k in first if k.partition(".")[0] in PLAYERS and not k.endswith(NOT_LEARNED)]
    return max(float((first[k].double() - other[k].double()).abs().max()) for k in names)


@pytest.mark.parametrize("name", EXACT)
def test_two_ranks_with_half_the_batch_train_what_one_trains_with_all_of_it(seen, one_thread, name) -> None:
    alone, history = play(EXACT[name])
    tensors, together = seen[0][name]
    moved = furthest(alone.tensors(), fresh(EXACT[name]).tensors())
    assert furthest(alone.tensors(), tensors) < 0.01 * moved
    for line, other in zip(history, together, strict=True):
        assert {k: v for k, v in line.items() if not isinstance(v, str)} == pytest.approx(
            {k: v for k, v in other.items() if not isinstance(v, str)}, rel=1e-3, abs=1e-3
        )


@pytest.mark.parametrize("name", [*EXACT, *LIKE])
def test_both_ranks_hold_the_same_bits(seen, name) -> None:
    (first, history), (other, told) = seen[0][name], seen[1][name]
    assert history == told
    assert first.keys() == other.keys()
    assert all(torch.equal(first[k], other[k]) for k in first)


def test_what_a_rank_draws_for_its_own_samples_differs(seen) -> None:
    assert seen[0]["seeds"].isdisjoint(seen[1]["seeds"])
    assert len(seen[0]["seeds"]) == len(seen[1]["seeds"]) == 4  # one a step


def test_each_rank_has_its_own_rows_and_the_first_writes(seen) -> None:
    assert [s["mine"] for s in seen] == [[slice(0, 3), True, 2], [slice(3, 6), False, 2]]


def test_means_and_wishes_are_those_of_all(seen) -> None:
    for one in seen:
        assert one["agree"] == [[0.5, 2.5], [[0.5], [0.5]], True, False]


def test_the_first_rank_acts_and_the_others_hear_of_it(seen) -> None:
    assert [s["told"] for s in seen] == ["by 0", "by 0"]
    assert [s["alone"] for s in seen] == [False, True]  # the first went before the other
    assert [(s["refused"]["type"], s["refused"]["text"]) for s in seen] == [("DataError", "seen by 0")] * 2
    assert [bool(s["refused"]["notes"]) for s in seen] == [False, True]


def test_an_error_of_the_first_rank_reaches_all_also_where_they_cannot_read_it(seen) -> None:
    assert [(s["unread"]["type"], s["unread"]["text"]) for s in seen] == [("DataError", "seen by 0")] * 2
    assert [s["not portable"]["type"] for s in seen] == ["Own", "GanaugError"]
    assert seen[1]["not portable"]["text"] == "Own: words"
    assert [s["in first"] for s in seen] == ["of 0", None]


def test_trainings_of_their_own_are_not_taken_for_one(seen) -> None:
    assert [s["own folders"]["type"] for s in seen] == ["GanaugError"] * 2
    assert "must have the same out; rank 1 has" in seen[1]["own folders"]["text"]
    assert "must have the same seed" in seen[1]["own seeds"]["text"]


def test_nobody_leaves_before_the_first_rank_has_closed_its_record(seen) -> None:
    assert [s["slow"]["type"] for s in seen] == ["TrainingInterrupted"] * 2
    assert [s["slow ended"] for s in seen] == [True, True]


def test_a_difference_is_named_in_the_rank_that_has_it_and_ends_all(seen) -> None:
    assert [s["unequal"]["type"] for s in seen] == ["GanaugError"] * 2
    assert "must have the same b; rank 1 has other ones than rank 0. Mend it." in seen[1]["unequal"]["text"]


def test_weights_that_drift_apart_end_the_training(seen) -> None:
    assert [s["disturbed"]["type"] for s in seen] == ["GanaugError"] * 2
    assert "must have the same D." in seen[1]["disturbed"]["text"]


@pytest.mark.parametrize("name", SHORT)
def test_memory_that_runs_out_in_one_rank_cuts_batches_in_both(seen, name) -> None:
    (first, n, enough), (other, m, _) = (s[f"short of memory: {name}"] for s in seen)
    assert (n, m) == (2, 2)
    assert all(torch.equal(first[k], other[k]) for k in first if k.partition(".")[0] in PLAYERS)
    assert furthest(first, enough) < 0.01 * furthest(enough, fresh(SHORT[name]).tensors())


def test_a_signal_to_one_rank_stops_both_after_the_same_step(seen) -> None:
    assert [s["stopped"]["type"] for s in seen] == ["TrainingInterrupted"] * 2
    assert [s["stopped at"] for s in seen] == [16, 16]
    assert "a signal to another process" in seen[0]["stopped"]["text"]


@pytest.mark.parametrize("callback", ["on_step", "on_log"])
def test_a_callback_of_one_rank_may_end_it_for_all(seen, callback) -> None:
    assert [s[f"wish {callback}"]["type"] for s in seen] == ["TrainingInterrupted"] * 2
    assert "enough; the checkpoint in" in seen[1][f"wish {callback}"]["text"]
    assert "a stop of another process" in seen[0][f"wish {callback}"]["text"]
    assert seen[0][f"wish {callback}"]["there"] == 2  # the first state, and that of the end


def test_memory_that_runs_out_once_gradients_are_averaged_ends_the_rank(monkeypatch) -> None:
    """It must not average them again: the others are past that."""
    ranks, averaged = Ranks(), []
    ranks.size = 2
    monkeypatch.setattr(ranks, "average", averaged.append)
    state = fresh(EXACT["hinge"])
    state.ranks = ranks
    for weight in state.G.parameters():
        weight.grad = torch.ones_like(weight)

    def short() -> None:
        raise MemoryError("no room for moments")

    monkeypatch.setattr(state.opt_G, "step", short)
    with pytest.raises(GanaugError, match=r"memory ran out in rank 0.*no room for moments"):
        with_less_memory(lambda state, c: descend(state, state.opt_G, None))(state, torch.arange(8))
    assert len(averaged) == 1


def test_a_call_that_waits_too_long_is_not_said_to_be_a_loss() -> None:
    for message, said in (("Timed out waiting 6000ms", "gave no answer in time"), ("reset by peer", "lost")):
        with pytest.raises(GanaugError, match=f"another process of this training.*{said}"), _together():
            raise RuntimeError(message)


def test_ranks_must_have_the_same_data(seen) -> None:
    assert "must have the same data" in seen[1]["other data"]["text"]
    assert seen[0]["other data"]["type"] == "GanaugError"


def test_all_ranks_hold_the_fitted_generator_and_share_a_seed_that_nobody_chose(seen) -> None:
    (seed, history, X), (other, told, X_other) = (s["fitted"] for s in seen)
    assert seed == other
    assert history == told
    assert (X_other == X).all()


def test_a_real_signal_to_one_rank_leaves_a_run_that_ends_as_an_undisturbed_one(seen) -> None:
    assert [s["signal"]["type"] for s in seen] == ["TrainingInterrupted"] * 2
    assert "SIGTERM after 16 images" in seen[1]["signal"]["text"]
    assert [s["stopped and resumed"] for s in seen] == [True, True]


def test_a_folder_that_holds_something_is_refused_by_all_ranks(seen) -> None:
    assert [s["begun"]["type"] for s in seen] == ["OutputExistsError"] * 2


def test_one_process_divides_nothing_and_asks_nobody() -> None:
    ranks, numbers = Ranks(), [torch.tensor([1.0, 2.0])]
    assert (ranks.mine(7), ranks.first, ranks.largest(3)) == (slice(0, 7), True, 3)
    assert ranks.agree(numbers, True, False) == (True, False)
    assert numbers[0].tolist() == [1, 2]
    with pytest.raises(KeyError, match="own"):
        ranks.told(lambda: {}["own"])


def test_a_batch_that_cannot_be_shared_is_refused() -> None:
    ranks = Ranks()
    ranks.size = 4
    ranks.require_parts(16, 2)
    for batch_size, pack in ((18, 1), (4, 1), (12, 2), (8, 2)):
        with pytest.raises(
            ConfigError, match=f"multiple of {4 * pack}, and at least twice that.*{batch_size}"
        ):
            ranks.require_parts(batch_size, pack)


def test_a_fabric_must_be_one() -> None:
    with pytest.raises(ConfigError, match=r"launched lightning_fabric\.Fabric"):
        ConditionalGAN(config=GANConfig(train_images=64)).fit([[0.0], [1.0]] * 4, [0, 1] * 4, fabric="ddp")


@pytest.mark.parametrize(
    ("variables", "found"),
    [
        ({}, ALONE),
        ({"WORLD_SIZE": "1", "RANK": "0", "GROUP_WORLD_SIZE": "1"}, ALONE),
        (
            {"WORLD_SIZE": "4", "RANK": "3", "GROUP_WORLD_SIZE": "2"},
            World(4, 3, 2, 2, "torchrun"),
        ),
        ({"WORLD_SIZE": "4"}, ALONE),  # somebody else's word
        ({"SLURM_NTASKS": "8", "SLURM_PROCID": "0", "SLURM_JOB_NUM_NODES": "2"}, ALONE),  # a batch script
        (
            {"SLURM_STEP_NUM_TASKS": "8", "SLURM_PROCID": "5", "SLURM_STEP_NUM_NODES": "2"},
            World(8, 5, 4, 2, "srun"),
        ),
    ],
)
def test_who_was_started_together_is_read_from_the_environment(monkeypatch, variables, found) -> None:
    for names in STARTERS.values():
        for name in names:
            monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert world() == found
    if found == ALONE:
        assert launched_fabric("cpu") is None


def test_one_of_several_processes_has_no_numbered_device_and_needs_fabric(monkeypatch) -> None:
    for name, value in zip(STARTERS["torchrun"], ("2", "0", "1"), strict=True):
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=r"got 'cuda:1'\. Write 'cuda'"):
        launched_fabric("cuda:1")
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    with pytest.raises(ConfigError, match=r"one of 2 processes.*pip install 'ganaug\[distributed\]'"):
        launched_fabric("cpu")


SETTINGS = "{width: 4, batch_size: 32, log_every_images: 640}"
FIT = ["-m", "ganaug", "fit", "digits", "--device", "cpu", "--gan", SETTINGS]


@pytest.fixture
def start():
    """Return what starts a training in two processes; those that are left at the end are killed."""
    started = []

    def begin(out: Path, n: int, *options: str, alone: Any = None) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [
                *(TORCHRUN if alone is None else [sys.executable]),
                *FIT,
                *("--train-images", str(n), "--out", str(out), *options),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**environment(), **(alone or {})},
            cwd=out.parent,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            for pid in children(process):
                os.kill(pid, signal.SIGKILL)
            process.kill()
        process.communicate()


def wait_for(file: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 90
    while not file.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert file.exists()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def children(process: subprocess.Popen[str]) -> list[int]:
    import psutil

    return [child.pid for child in psutil.Process(process.pid).children()]


def test_a_run_goes_on_after_a_stop_after_a_kill_and_on_another_number_of_processes(
    start, tmp_path: Path
) -> None:
    out, checkpoints = tmp_path / "run", tmp_path / "run/checkpoints"
    stopped = start(out, 10**7)
    wait_for(checkpoints / "000001280.safetensors", stopped)
    os.kill(children(stopped)[1], signal.SIGTERM)
    said, shown = stopped.communicate(timeout=60)
    assert stopped.returncode == 1  # torchrun's own, for the first one's 75
    assert shown.count("Run the same command again with --resume") == 1, shown  # by one of them
    assert "GLOBAL_RANK" not in shown
    assert not said

    reached = last(checkpoints)
    together = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "GROUP_WORLD_SIZE": "1", "GROUP_RANK": "0"}
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    first, other = (
        start(out, 10**7, "--resume", alone={**together, **address, "RANK": rank, "LOCAL_RANK": rank})
        for rank in "01"
    )
    wait_for(checkpoints / f"{reached // 640 * 640 + 1280:09d}.safetensors", first)
    other.kill()
    _, shown = first.communicate(timeout=60)
    assert first.returncode == 1
    assert "another process of this training was lost" in shown
    assert "start it again with resume=True (--resume)" in " ".join(shown.split())

    n = last(checkpoints) + 640
    options = ["--train-images", str(n), "--out", str(out), "--resume"]
    done = subprocess.run(
        [sys.executable, *FIT, *options], capture_output=True, text=True, env=environment(), timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert load(out).history_[-1]["images_seen"] == n


def last(checkpoints: Path) -> int:
    return max(int(file.stem) for file in checkpoints.glob("*.safetensors"))
