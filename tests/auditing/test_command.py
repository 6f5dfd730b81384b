"""ganaug audit on a real run: what it prints, writes and ends with, and what it needs to know."""

import json
import shlex
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.datasets import load_digits
from typer.testing import CliRunner

from ganaug import SampleBank, cli
from ganaug.auditing import measures
from ganaug.data.schema import Schema

BUDGET = ("--train-images", "64", "--device", "cpu")


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(measures, "STEPS", 5)


@pytest.fixture
def command(monkeypatch, capsys):
    """Return a function that runs `main` and gives (exit code, stdout, stderr)."""

    def run(*args):
        monkeypatch.setattr(sys, "argv", ["ganaug", *map(str, args)])
        code = 0
        try:
            cli.main()
        except SystemExit as stopped:
            code = stopped.code or 0
        return code, *capsys.readouterr()

    return run


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Return digits of three classes as .npz: 150 to train on, and 60 others; and both in one file."""
    folder = tmp_path_factory.mktemp("data")
    source = load_digits(n_class=3)
    X, y = source.images[:210].astype(np.uint8), source.target[:210]
    np.savez(folder / "train.npz", x=X[:150], y=y[:150])
    np.savez(folder / "other.npz", x=X[150:], y=y[150:])
    np.savez(folder / "both.npz", x_train=X[:150], y_train=y[:150], x_test=X[150:], y_test=y[150:])
    return folder


@pytest.fixture(scope="module")
def run(files):
    fit = ["fit", str(files / "train.npz"), "--out", str(files / "run"), *BUDGET]
    assert CliRunner().invoke(cli.app, fit, catch_exceptions=False).exit_code == 0
    return files / "run"


def test_a_run_with_a_holdout_is_audited_by_it(command, files, tmp_path):
    fit = command("fit", files / "train.npz", "--out", tmp_path / "run", "--holdout", 0.3, *BUDGET)
    assert fit[0] == 0
    assert "44 were held out; next: ganaug audit" in fit[1]
    assert json.loads((tmp_path / "run" / "holdout.json").read_text()) == {"share": 0.3, "seed": 0}
    code, stdout, _ = command(
        "audit", tmp_path / "run", files / "train.npz", "--samples", 20, "--out", tmp_path / "out"
    )
    assert code == 0
    assert "Verdict: poor" in stdout
    assert "it shows real samples" in stdout
    written = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert written["verdict"] == "poor"
    assert written["settings"]["training_data_recognised"] is True
    sizes = np.bincount(np.load(files / "train.npz")["y"])
    held = (0.3 * sizes).astype(int)
    assert [row["n_holdout"] for row in written["table"]] == [*held, held.sum()]
    assert [row["n_train"] for row in written["table"]] == [*(sizes - held), 150 - held.sum()]
    assert pd.read_csv(tmp_path / "out" / "novelty.csv")["C_T"].notna().all()
    assert pd.read_csv(tmp_path / "out" / "table.csv")["verdict"].isin(["poor", "collapsed"]).all()
    assert "<strong>Poor</strong>" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    with Image.open(tmp_path / "out" / "picture.png") as picture:
        assert picture.size[0] > 250
    again = command("audit", tmp_path / "run", files / "train.npz", "--out", tmp_path / "out")
    assert again[0] == 1
    assert "must be an empty or new folder" in again[2]


def test_json_and_quiet(command, files, run):
    code, stdout, stderr = command(
        "audit", run, files / "train.npz", "--holdout", files / "other.npz", "--samples", 12, "--json"
    )
    assert (code, stderr) == (0, "")
    found = json.loads(stdout)
    assert found["run"] == str(run)
    assert found["table"][-1]["n_holdout"] == 60
    quiet = command("audit", run, files / "train.npz", "--samples", 12, "--quiet")
    assert quiet == (0, "", "")


def test_without_a_holdout_it_says_what_cannot_be_told_and_how_to_mend_it(command, files, run):
    code, stdout, _ = command("audit", run, files / "train.npz", "--samples", 12)
    assert code == 0
    assert "Whether the samples are new cannot be told" in stdout
    assert "ganaug fit DATA --holdout 0.2" in stdout


def test_the_test_part_of_a_file_is_the_holdout(command, files, tmp_path):
    assert command("fit", files / "both.npz", "--out", tmp_path / "run", *BUDGET)[0] == 0
    found = command("audit", tmp_path / "run", files / "both.npz", "--samples", 12, "--json")
    assert json.loads(found[1])["table"][-1]["n_holdout"] == 60


@pytest.mark.filterwarnings("default::ganaug.errors.GanaugWarning")
def test_other_data_are_refused_with_what_to_do(command, files, run):
    code, stdout, stderr = command("audit", run, files / "other.npz")
    assert (code, stdout) == (3, "")
    assert "DATA is not what the generator was trained on" in stderr
    assert "--holdout" in stderr
    told = command("audit", run, files / "other.npz", "--holdout", files / "train.npz", "--samples", 12)
    assert told[0] == 0
    assert "warning: X is not the data that the generator was fitted to" in told[2]


def test_a_verdict_that_is_worse_than_asked_for_ends_with_5(command, files, run):
    code, _, stderr = command(
        "audit", run, files / "both.npz", "--samples", 12, "--fail-unless", "cannot be told"
    )
    assert code == 5
    assert "the verdict is worse than 'cannot be told': poor" in stderr


@pytest.mark.filterwarnings("default::ganaug.errors.GanaugWarning")
def test_a_bank_of_copies_is_audited_too(command, files, tmp_path):
    with np.load(files / "train.npz") as data:
        X, y = data["x"], data["y"]
    schema = Schema.fit(X, y)
    SampleBank(X, schema.encode_y(y).numpy(), schema).save(tmp_path / "bank")
    code, stdout, stderr = command("audit", tmp_path / "bank", files / "both.npz", "--json")
    assert code == 0
    assert json.loads(stdout)["verdict"] == "copies"
    assert "does not tell what its generator was trained on" in stderr


def test_samples_of_any_format_are_audited_by_the_holdout_of_the_run_they_were_drawn_from(
    command, files, run, tmp_path
):
    fit = ("fit", files / "train.npz", "--out", tmp_path / "run", "--holdout", 0.3, *BUDGET)
    assert command(*fit)[0] == 0
    for layout in ("bank", "npz", "imagefolder"):
        generate = ("generate", tmp_path / "run", "--per-class", 12, "--out", tmp_path / layout)
        assert command(*generate, "--format", layout, "--device", "cpu")[0] == 0
        audit = ("audit", tmp_path / layout, files / "train.npz", "--drawn-from", tmp_path / "run", "--json")
        code, stdout, stderr = command(*audit)
        assert (code, stderr) == (0, "")
        found = json.loads(stdout)
        assert (found["table"][-1]["n_holdout"], found["table"][-1]["n_train"]) == (44, 106)
        assert found["novelty"][-1]["C_T"] is not None
    other = command("audit", tmp_path / "bank", files / "train.npz", "--drawn-from", run)
    assert other[0] == 3
    assert "was not drawn from the generator of --drawn-from" in other[2]
    wrong = command("audit", tmp_path / "bank", files / "other.npz", "--drawn-from", tmp_path / "run")
    assert wrong[0] == 3
    assert "is not what the generator was trained on" in wrong[2]


def test_the_line_that_fit_prints_audits_photos_of_any_size_and_tables_of_any_target(command, tmp_path):
    folder, rng = tmp_path / "my photos", np.random.default_rng(0)
    for k in ("cat", "dog"):
        (folder / k).mkdir(parents=True)
        for i in range(8):
            pixels = rng.integers(0, 255, (20 + i, 24, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / k / f"{i}.png")
    frame = pd.DataFrame(rng.normal(size=(40, 3)), columns=list("abc"))
    frame.assign(kind=np.repeat(["x", "y"], 20)).to_csv(tmp_path / "rows.csv", index=False)
    given = {folder: ("--image-size", 16), tmp_path / "rows.csv": ("--target", "kind")}
    for data, options in given.items():
        out = tmp_path / f"run of {data.stem}"
        code, stdout, stderr = command("fit", data, *options, "--out", out, "--holdout", 0.25, *BUDGET)
        assert code == 0, stderr
        line = next(line for line in stdout.splitlines() if "ganaug audit" in line)
        name, *args = shlex.split(line.partition("next: ")[2])
        assert (name, args) == ("ganaug", ["audit", str(out), str(data)])
        code, _, stderr = command(*args, "--samples", 10)
        assert code == 0, stderr
        assert command(*args, *options, "--samples", 10, "--quiet")[0] == 0
    code, _, stderr = command("audit", tmp_path / "run of my photos", folder, "--image-size", 24)
    assert code == 3, "the command line wins over the run"
    assert "fingerprints differ" in stderr


def test_a_resumed_run_needs_the_same_holdout(command, files, tmp_path):
    fit = ("fit", files / "train.npz", "--out", tmp_path / "run", "--device", "cpu")
    assert command(*fit, "--holdout", 0.3, "--train-images", 64)[0] == 0
    other = command(*fit, "--train-images", 128, "--resume")
    assert other[0] == 1
    assert "written with another" in other[2]
    assert command(*fit, "--train-images", 128, "--resume", "--holdout", 0.3)[0] == 0
    assert json.loads((tmp_path / "run" / "holdout.json").read_text())["share"] == 0.3
