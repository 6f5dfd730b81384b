"""The folder of a run: what it keeps, what it goes back to, and whom it refuses."""

import errno
import json
import os
import signal
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from play import fresh, small

import ganaug
from ganaug.adversarial.regularizers import R1
from ganaug.config import GANConfig
from ganaug.errors import CheckpointError, GanaugWarning, OutputExistsError, TrainingInterrupted
from ganaug.training import checkpoint
from ganaug.training.checkpoint import load_tensors, save_tensors
from ganaug.training.run import RunFolder, best_moment

CONFIG = small(train_images=192, log_every_images=64)
SEED = 5


def fit(digits, out: Path | None = None, *, config: GANConfig = CONFIG, seed: int | None = SEED, **options):
    return ganaug.ConditionalGAN(config=config, random_state=seed).fit(*digits, out=out, **options)


def moments(run: Path) -> list[int]:
    return sorted(int(f.stem) for f in (run / "checkpoints").iterdir() if f.name[0] != ".")


def file(run: Path, moment: int) -> Path:
    return run / "checkpoints" / f"{moment:09d}.safetensors"


def differing(one: Path, two: Path) -> list[str]:
    """Return the names of what differs between two files."""
    (a, about), (b, expected) = load_tensors(one), load_tensors(two)
    names = [n for n in a.keys() | b.keys() if n not in a or n not in b or not torch.equal(a[n], b[n])]
    return names + [n for n in about if about[n] != expected.get(n)]


def assert_equal_runs(one: Path, two: Path, moment: int = 192) -> None:
    assert differing(file(one, moment), file(two, moment)) == []
    assert differing(one / "generator.safetensors", two / "generator.safetensors") == []
    assert lines_of(one) == lines_of(two)


def lines_of(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]


def interrupt_at(images_seen: int):
    """Return an `on_step` that sends a real SIGTERM at one step."""
    return lambda seen: os.kill(os.getpid(), signal.SIGTERM) if seen == images_seen else None


@pytest.fixture(scope="module")
def whole(digits, tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("whole") / "run"
    fit(digits, run)
    return run


@pytest.fixture
def run(tmp_path: Path, digits) -> Path:
    fit(digits, tmp_path / "run", config=replace(CONFIG, train_images=128))
    return tmp_path / "run"


# --- what is kept ---------------------------------------------------------------------------------


@pytest.mark.parametrize("keep", [1, 3])
def test_the_last_checkpoints_and_the_best_one_stay(digits, tmp_path: Path, keep: int) -> None:
    config = small(train_images=512, log_every_images=64, keep_checkpoints=keep)
    at_each = []

    def note(_: dict) -> None:
        at_each.append(moments(tmp_path / "run"))

    gan = fit(digits, tmp_path / "run", config=config, on_log=note)
    for i, found in enumerate(at_each):
        lines = gan.history_[: i + 1]
        last = [0, *[line["images_seen"] for line in lines]][-keep:]
        sound = [line for line in lines if line["sound"]]
        to_go_back_to = sound[-1]["images_seen"] if sound else 0
        best = [min(sound, key=lambda line: line["distance"])["images_seen"]] if sound else []
        assert found == sorted({*last, *best, to_go_back_to})
    assert [line["sound"] for line in gan.history_[-3:]] == [True] * 3


def test_the_best_moment_is_one_of_good_health() -> None:
    lines = [
        {"images_seen": 10, "distance": 3.0, "sound": True},
        {"images_seen": 20, "distance": 2.0, "sound": True},
        {"images_seen": 30, "distance": 1.0, "sound": False},
        {"images_seen": 40, "distance": float("nan"), "sound": True},
    ]
    assert best_moment(lines) == 20  # the checkpoint of 30 holds another state than was measured
    assert best_moment(lines[3:]) is None
    assert best_moment([]) is None


def test_the_folder_holds_curves_figures_and_pictures_of_each_interval(whole: Path) -> None:
    names = {str(f.relative_to(whole)) for f in whole.rglob("*") if f.is_file()}
    assert names == {
        *(f"checkpoints/{m:09d}.safetensors" for m in (64, 128, 192)),
        *(f"samples/{m:09d}.png" for m in (64, 128, 192)),
        "curves.png",
        "generator.safetensors",
        "history.jsonl",
    }
    assert load_tensors(file(whole, 192))[1]["history"] == lines_of(whole)


# --- going on -------------------------------------------------------------------------------------


def test_a_finished_run_goes_on_with_a_larger_budget(run: Path, whole: Path, digits) -> None:
    gan = fit(digits, run, seed=None, resume=True)
    assert [h["images_seen"] for h in gan.history_] == [64, 128, 192]
    assert_equal_runs(run, whole)


def test_a_signal_between_two_logs_loses_nothing(digits, tmp_path: Path, whole: Path) -> None:
    with pytest.raises(TrainingInterrupted, match=r"SIGTERM after 80 images; .*resume=True \(--resume\)"):
        fit(digits, tmp_path / "run", on_step=interrupt_at(80))
    assert moments(tmp_path / "run") == [0, 64, 80]
    fit(digits, tmp_path / "run", seed=None, resume=True)
    assert_equal_runs(tmp_path / "run", whole)
    names = [[list(line) for line in lines_of(run)] for run in (tmp_path / "run", whole)]
    assert names[0] == names[1]  # in the same order


def test_a_signal_in_each_call_still_reaches_the_end(digits, tmp_path: Path, whole: Path) -> None:
    for i, seen in enumerate(range(16, 192, 16)):
        with pytest.raises(TrainingInterrupted):
            fit(digits, tmp_path / "run", on_step=interrupt_at(seen), resume=i > 0)
    fit(digits, tmp_path / "run", resume=True)
    assert_equal_runs(tmp_path / "run", whole)


def test_steps_that_were_skipped_before_a_signal_are_still_told_after_it(digits, tmp_path: Path) -> None:
    def broken_once() -> GANConfig:
        return replace(CONFIG, loss=NotANumber(at=6))

    fit(digits, tmp_path / "whole", config=broken_once())
    with pytest.raises(TrainingInterrupted):
        fit(digits, tmp_path / "run", config=broken_once(), on_step=interrupt_at(112))
    resumed = fit(digits, tmp_path / "run", config=replace(CONFIG, loss=NotANumber(at=0)), resume=True)
    expected = ["good", "skipped 1 steps without a finite gradient", "good"]
    assert [line["health"] for line in lines_of(tmp_path / "whole")] == expected
    assert [line["health"] for line in resumed.history_] == expected


class NotANumber(ganaug.adversarial.losses.Hinge):
    """Hinge, but for one call of D's side."""

    def __init__(self, *, at: int):
        self.at, self.calls = at, 0

    def discriminator(self, real_logits, fake_logits):
        self.calls += 1
        values = super().discriminator(real_logits, fake_logits)
        return values * float("nan") if self.calls == self.at else values


class Ill(ganaug.adversarial.losses.Hinge):
    """Hinge, but for so many calls of D's side in a row that the training steps back."""

    def __init__(self) -> None:
        self.calls = 0

    def discriminator(self, real_logits, fake_logits):
        self.calls += 1
        values = super().discriminator(real_logits, fake_logits)
        return values * float("nan") if 10 <= self.calls < 15 else values


@pytest.fixture(scope="module")
def recovered(digits, tmp_path_factory) -> Path:
    """Return a run that went wrong from 160 to 224 images, and back to the state of 128."""
    run = tmp_path_factory.mktemp("recovered") / "run"
    gan = fit(digits, run, config=replace(CONFIG, train_images=256, loss=Ill()))
    assert [line["images_seen"] for line in gan.history_] == [64, 128, 192, 224, 256]
    assert [line["sound"] for line in gan.history_[1:]] == [True, False, False, True]
    assert "back to the last sound state" in gan.history_[3]["health"]
    return run


@pytest.mark.parametrize("seen", [176, 208])
def test_a_signal_amid_trouble_leads_back_to_the_same_sound_state(
    digits, tmp_path: Path, recovered: Path, seen: int
) -> None:
    ill = replace(CONFIG, train_images=256, loss=Ill())  # one object, which counts on after the signal
    with pytest.raises(TrainingInterrupted):
        fit(digits, tmp_path / "run", config=ill, on_step=interrupt_at(seen))
    assert load_tensors(file(tmp_path / "run", seen))[0]["counts.n_skipped_in_a_row"] > 0
    fit(digits, tmp_path / "run", config=ill, resume=True)
    assert_equal_runs(tmp_path / "run", recovered, 256)


@pytest.mark.parametrize("keep", [1, 3])
def test_a_folder_gives_back_the_newest_sound_state_beside_one_amid_trouble(tmp_path, keep: int) -> None:
    about = {"seed": 5, "config": {}, "schema": {}, "data": "", "counts": []}
    run, state = RunFolder(tmp_path / "run", about, keep=keep), fresh(CONFIG)
    run.begin(state)
    history: list[dict] = []
    for moment, distance in ((64, 1.0), (128, 2.0)):  # the best one is not the newest
        state.images_seen = moment
        history.append({"images_seen": moment, "distance": distance, "sound": True})
        run.checkpoint(state, history)
    state.images_seen, state.n_skipped_in_a_row = 144, 2
    run.checkpoint(state, history)
    found = fresh(CONFIG)
    lines, sound = RunFolder(tmp_path / "run", about, keep=keep).restore(found, fixed_seed=True)
    assert (found.images_seen, found.n_skipped_in_a_row, lines) == (144, 2, history)
    assert (int(sound["counts.images_seen"]), int(sound["counts.n_skipped_in_a_row"])) == (128, 0)


def test_resuming_what_is_done_gives_the_same_generator_again(digits, tmp_path: Path) -> None:
    config = replace(CONFIG, snapshot="best")
    gan = fit(digits, tmp_path / "run", config=config)
    again = fit(digits, tmp_path / "run", config=config, resume=True)
    assert again.history_ == gan.history_
    np.testing.assert_array_equal(again.generate(5, random_state=0)[0], gan.generate(5, random_state=0)[0])
    opened = ganaug.load(tmp_path / "run")
    np.testing.assert_array_equal(opened.generate(5, random_state=0)[0], gan.generate(5, random_state=0)[0])
    assert len(opened._drawing.snapshots) == len(gan._drawing.snapshots) > 0


@pytest.mark.parametrize("part", ["G", "snapshots"])
def test_a_generator_with_a_weight_that_is_no_number_is_refused_by_name(digits, tmp_path, part: str) -> None:
    gan = fit(digits, config=replace(CONFIG, snapshot="best"))
    gan.save(tmp_path / "gan")
    saved = tmp_path / "gan" / "generator.safetensors"
    tensors, about = load_tensors(saved)
    last = [k for k in tensors if k.startswith(f"{part}.") and k.endswith(".weight")][-1]
    tensors[last].view(-1)[-1] = torch.nan
    save_tensors(saved, tensors, about)
    with pytest.raises(CheckpointError, match=r"generator\.safetensors is damaged: not finite"):
        ganaug.load(tmp_path / "gan")


def test_a_generator_that_draws_no_numbers_is_refused_whatever_snapshot_does(digits, tmp_path) -> None:
    gan = fit(digits, config=replace(CONFIG, snapshot="best", network="dcgan"))
    gan.save(tmp_path / "gan")
    saved = tmp_path / "gan" / "generator.safetensors"
    tensors, about = load_tensors(saved)
    served = tensors["snapshots.choice"].tolist()
    for name, value in tensors.items():
        if name.startswith(f"snapshots.{served[-1]}.") and name.endswith("running_var"):
            value.fill_(-1)  # finite, but without a square root
    save_tensors(saved, tensors, about)
    with pytest.raises(CheckpointError, match=r"generator\.safetensors is damaged: .*running_var"):
        ganaug.load(tmp_path / "gan")


class OwnGenerator(torch.nn.Module):
    """A generator with a weight below zero whose name ends like that of a variance."""

    def __init__(self, shape, n_classes: int, z_dim: int):
        super().__init__()
        self.log_running_var = torch.nn.Parameter(
            -torch.ones(z_dim + n_classes, shape[0] * shape[1] * shape[2])
        )
        self.shape, self.n_classes = shape, n_classes

    def forward(self, z, c):
        inputs = torch.cat([z, torch.nn.functional.one_hot(c, self.n_classes).to(z.dtype)], 1)
        return torch.tanh(0.1 * inputs @ self.log_running_var).view(-1, *self.shape)


class OwnDiscriminator(torch.nn.Module):
    def __init__(self, shape, n_classes: int):
        super().__init__()
        self.linear = torch.nn.Linear(shape[0] * shape[1] * shape[2], n_classes)

    def forward(self, x, c):
        return self.linear(x.flatten(1)).gather(1, c[:, None]).squeeze(1)


def own_pair(*, shape, n_classes, z_dim, width):
    return OwnGenerator(shape, n_classes, z_dim), OwnDiscriminator(shape, n_classes)


def test_an_own_network_with_any_names_is_resumed_and_opened(digits, tmp_path: Path) -> None:
    config = replace(CONFIG, network=own_pair, snapshot="best", train_images=128, regularizers=())
    fit(digits, tmp_path / "run", config=config)
    gan = fit(digits, tmp_path / "run", config=replace(config, train_images=192), resume=True)
    again = ganaug.load(tmp_path / "run", network=own_pair)
    np.testing.assert_array_equal(again.generate(3, random_state=0)[0], gan.generate(3, random_state=0)[0])


def test_a_run_is_resumed_with_its_own_data_and_settings_only(run: Path, digits) -> None:
    X, y = digits
    before = {f: f.read_bytes() for f in run.rglob("*") if f.is_file()}

    def resume(X: np.ndarray, y: np.ndarray, seed: int | None = None, **changes: object) -> None:
        fit((X, y), run, config=replace(CONFIG, **changes), seed=seed, resume=True)

    where = r"000000128\.safetensors was written with another "
    with pytest.raises(CheckpointError, match=where + "config: width: 4 then, 5 now"):
        resume(X, y, width=5)
    with pytest.raises(CheckpointError, match=where + "data"):
        resume(np.flip(X, 1), y)
    with pytest.raises(CheckpointError, match=where + "schema: .*labels"):
        resume(X, y + 1)
    with pytest.raises(CheckpointError, match=where + r"data: '\w+' then.* \(--seed and --holdout"):
        resume(X[1:], y[1:])  # as without --holdout
    for rows in (slice(None), slice(1, None)):  # another seed holds out other samples
        with pytest.raises(CheckpointError, match=where + "seed: 5 then, 6 now"):
            resume(X[rows], y[rows], seed=6)
    assert {f: f.read_bytes() for f in run.rglob("*") if f.is_file()} == before


def test_a_run_is_resumed_with_its_own_regularizers_only(digits, tmp_path: Path) -> None:
    def resume(regularizers, **options) -> ganaug.ConditionalGAN:
        config = replace(CONFIG, regularizers=regularizers)
        return fit(digits, tmp_path / "run", config=config, **options)

    resume([R1(gamma=3)])
    for other in (["r1"], ["r2"], [], [R1(gamma=3), "r2"], (R1(gamma=2),)):
        with pytest.raises(CheckpointError, match="another config: regularizers: "):
            resume(other, resume=True)
    assert resume((R1(gamma=3),), resume=True).history_[-1]["images_seen"] == 192


def test_limits_may_change_between_calls(run: Path, digits) -> None:
    config = replace(CONFIG, max_minutes=60.0, target_distance=-1e9, keep_checkpoints=1)
    assert fit(digits, run, config=config, resume=True).history_[-1]["images_seen"] == 192


def test_weights_of_another_shape_are_named(run: Path, digits) -> None:
    tensors, about = load_tensors(file(run, 128))
    tensors["D.head.linear.bias"] = torch.zeros(2)
    save_tensors(file(run, 128), tensors, about)
    with pytest.raises(CheckpointError, match=r"128\.safetensors: 1 weights do not fit.*bias: expected"):
        fit(digits, run, resume=True)


def test_resuming_where_nothing_is_names_the_folder_and_makes_nothing(tmp_path: Path, digits) -> None:
    with pytest.raises(CheckpointError, match=r"none must be the folder of a run; there is no checkpoint"):
        fit(digits, tmp_path / "none", resume=True)
    assert list(tmp_path.iterdir()) == []


# --- damage ---------------------------------------------------------------------------------------


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-7] ^= 16
    path.write_bytes(content)


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def spoiled(path: Path) -> None:
    """Write a moment that is no number under a sha256 that is right again."""
    tensors, about = load_tensors(path)
    tensors["opt_G.0.exp_avg"].fill_(torch.nan)
    save_tensors(path, tensors, about)


DAMAGE = [flipped, truncated, emptied, spoiled]


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_newest_checkpoint_is_passed_over_and_nothing_else_changes(
    run: Path, whole: Path, digits, damage
) -> None:
    damage(file(run, 128))
    with pytest.warns(GanaugWarning, match=r"000000128\.safetensors .*damaged.*Going back"):
        fit(digits, run, resume=True)
    assert_equal_runs(run, whole)


def test_two_damaged_checkpoints_are_passed_over_one_by_one(run: Path, whole: Path, digits) -> None:
    for moment, damage in ((128, emptied), (64, flipped)):
        damage(file(run, moment))
    with pytest.warns(GanaugWarning) as told:
        fit(digits, run, resume=True)
    assert [str(w.message).split(".safetensors")[0][-9:] for w in told] == ["000000128", "000000064"]
    assert_equal_runs(run, whole)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("snapshots.choice", lambda v: v[:1]),
        ("snapshots.{kept}", lambda v: v[None]),
        ("running.best_spread", lambda v: torch.ones(2)),
        ("sums.loss/G", lambda v: torch.ones(())),
        ("opt_D.0.step", lambda v: torch.empty(0)),
    ],
)
def test_a_checkpoint_that_does_not_fit_together_is_refused_by_name(digits, tmp_path, name, change) -> None:
    config = replace(CONFIG, snapshot="best")
    fit(digits, tmp_path / "run", config=config)
    newest = file(tmp_path / "run", 192)
    tensors, about = load_tensors(newest)
    name = name.format(kept=next(k[10:] for k in tensors if k.startswith("snapshots.") and k.count(".") > 1))
    tensors[name] = change(tensors.get(name)).contiguous()
    save_tensors(newest, tensors, about)
    with pytest.raises(CheckpointError, match=r"000000192\.safetensors"):
        fit(digits, tmp_path / "run", config=config, resume=True)


def test_where_all_are_damaged_the_run_says_so_and_stays_as_it_is(run: Path, digits) -> None:
    for moment in moments(run):
        flipped(file(run, moment))
    before = {f: f.read_bytes() for f in run.rglob("*") if f.is_file()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GanaugWarning)
        with pytest.raises(CheckpointError, match=r"\.safetensors is damaged"):
            fit(digits, run, resume=True)
    assert {f: f.read_bytes() for f in run.rglob("*") if f.is_file()} == before


def test_a_signal_after_passing_over_a_damaged_file_still_leaves_its_checkpoint(digits, tmp_path) -> None:
    config = replace(CONFIG, keep_checkpoints=1, train_images=512)
    run = tmp_path / "run"
    fit(digits, run, config=config, on_step=None)
    newest = moments(run)[-1]
    assert newest == 512
    flipped(file(run, newest))
    older = [m for m in moments(run) if m < newest]
    if not older:  # the newest was the best as well: give it a sound elder
        fit(digits, tmp_path / "other", config=replace(config, train_images=64))
        os.rename(file(tmp_path / "other", 64), file(run, 64))
        older = [64]
    stop_at = older[-1] + 16
    with (
        pytest.warns(GanaugWarning, match="000000512"),
        pytest.raises(TrainingInterrupted, match=f"after {stop_at} images"),
    ):
        fit(digits, run, config=config, on_step=interrupt_at(stop_at), resume=True)
    assert load_tensors(file(run, stop_at))[1]["images_seen"] == stop_at


def test_a_full_disk_stops_the_run_and_leaves_what_was_there(digits, tmp_path, whole, monkeypatch) -> None:
    original, calls = checkpoint.save_file, []

    def full(*args: object, **options: object) -> None:
        calls.append(1)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        original(*args, **options)

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(OSError, match="No space left"):
        fit(digits, tmp_path / "run")
    assert moments(tmp_path / "run") == [0, 64]
    monkeypatch.undo()
    fit(digits, tmp_path / "run", resume=True)
    assert_equal_runs(tmp_path / "run", whole)


def test_a_start_that_was_killed_before_its_first_checkpoint_can_be_made_again(digits, tmp_path, whole):
    unfinished = tmp_path / "run" / "checkpoints" / ".000000000.safetensors.x1y2z3"
    unfinished.parent.mkdir(parents=True)
    unfinished.write_bytes(b"half of it")
    fit(digits, tmp_path / "run")
    assert not unfinished.exists()
    assert_equal_runs(tmp_path / "run", whole)


@pytest.mark.parametrize("name", ["notes.txt", "checkpoints/notes.txt"])
def test_a_killed_start_beside_files_of_somebody_else_is_left_to_them(digits, tmp_path, name: str) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / ".000000000.safetensors.x1y2z3").write_bytes(b"half of it")
    (tmp_path / name).write_text("mine")
    with pytest.raises(OutputExistsError):
        fit(digits, tmp_path)
    assert (tmp_path / name).read_text() == "mine"
    assert not (tmp_path / "generator.safetensors").exists()


# --- kill -9 --------------------------------------------------------------------------------------

DIES = """
import os, signal, sys
import numpy as np
import ganaug, ganaug.training.checkpoint, ganaug.training.loop, ganaug.training.run
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
    ("death", "newest"),
    [
        (("loop", "update_ema", "7"), 64),
        (
            ("checkpoint", "replace", "7"),
            64,
        ),  # after figures and curves of two intervals, and two checkpoints
        (("run", "draw_curves", "3"), 128),
    ],
    ids=["between two checkpoints", "while a checkpoint is written", "before the last checkpoint"],
)
def test_a_run_killed_by_the_system_is_resumed_bit_for_bit(tmp_path, digits, whole, death, newest) -> None:
    X, y = digits
    np.savez(tmp_path / "data.npz", x=X, y=y)
    code = DIES.replace("{config!r}", repr(CONFIG.to_dict()))
    run = subprocess.run([sys.executable, "-c", code, str(tmp_path), *death], capture_output=True, text=True)
    assert run.returncode == -signal.SIGKILL, run.stderr
    assert moments(tmp_path / "run")[-1] == newest
    assert not (tmp_path / "run" / "generator.safetensors").exists()
    with pytest.raises(CheckpointError, match=r"holds a training that was interrupted.*--resume"):
        ganaug.load(tmp_path / "run")

    fit(digits, tmp_path / "run", seed=None, resume=True)
    assert moments(tmp_path / "run") == [64, 128, 192]
    assert (tmp_path / "run" / "history.jsonl").exists()
    assert_equal_runs(tmp_path / "run", whole)
    files = [{f.relative_to(r) for f in r.rglob("*")} for r in (tmp_path / "run", whole)]
    assert files[0] == files[1]  # no picture is missing, no torn file is left
