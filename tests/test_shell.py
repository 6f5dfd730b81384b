"""The shell as scripts use it: JSON for results and errors, silence, completion, report, doctor."""

import json
import os
import sqlite3
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import version

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from ganaug import cli, compare, installation
from ganaug.commands import doctor as doctor_command
from ganaug.commands import names
from ganaug.config import PRESETS, GANConfig
from ganaug.errors import CheckpointError, OutputExistsError
from ganaug.experiment.arms import ARMS
from ganaug.experiment.classifiers import CLASSIFIERS
from ganaug.experiment.metrics import METRICS
from ganaug.experiment.model_card import ModelCard
from ganaug.experiment.report import render
from ganaug.installation import Finding
from ganaug.training.saved import GENERATOR

GAN = {"network": "mlp", "width": 4, "batch_size": 16, "train_images": 64}
SMALL = ("--device", "cpu", "--gan", json.dumps(GAN))


def invoke(*args):
    return CliRunner().invoke(cli.app, [str(a) for a in args], catch_exceptions=False)


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
def folder(tmp_path_factory, digits):
    """Return a folder with data, a run on images and one on a table, and a comparison."""
    root = tmp_path_factory.mktemp("shell")
    np.savez(root / "d.npz", x=digits[0], y=digits[1], classes=["<b>one</b>", "four", "seven"])
    assert invoke("fit", root / "d.npz", "--out", root / "run", "--quiet", *SMALL).exit_code == 0
    frame = pd.DataFrame({"a": np.arange(40.0), "town": ["Ulm", "Kiel"] * 20, "target": ["x", "y"] * 20})
    frame.to_csv(root / "t.csv", index=False)
    assert invoke("fit", root / "t.csv", "--out", root / "table", *SMALL).exit_code == 0
    return root


@pytest.fixture(scope="module")
def compared(folder, digits):
    """Return a comparison of which the folder holds the rest."""
    return compare(*digits, names=["<b>one</b>", "four", "seven"], classifier="logistic", seeds=3,
                   arms=["nothing", "tuned oversampling", "gan"], config=GANConfig(**GAN), device="cpu",
                   out=folder / "compared")  # fmt: skip


# --- report ---------------------------------------------------------------------------------------


def test_report_tells_again_what_compare_told(folder, compared, tmp_path):
    live = json.loads(json.dumps(compared.to_dict()))
    shown = invoke("report", folder / "compared", "--out", tmp_path / "r.html", "--json")
    told = json.loads(shown.stdout)
    assert told.pop("report") == str(tmp_path / "r.html")
    assert told == live
    page = (tmp_path / "r.html").read_text()
    assert page == render(compared)  # nothing is missing
    assert "real sample of" in page
    assert "&lt;b&gt;one&lt;/b&gt;" in page
    assert "<b>one</b>" not in page
    text = invoke("report", folder / "compared", "--dry-run")
    assert f"Verdict: {live['sentence']}" in text.stdout
    assert text.stdout.endswith("report.html would be written.\n")
    assert not (folder / "compared" / "report.html").exists()
    assert invoke("report", folder / "compared", "--dry-run", "--quiet").stdout == ""


def test_a_comparison_that_is_not_finished_says_how_far_it_is_and_how_it_goes_on(folder, compared, tmp_path):
    part = tmp_path / "part"
    (part / "cells").mkdir(parents=True)
    source = folder / "compared"
    (part / "run.yaml").touch()
    for name in (
        "about.json",
        *(f"cells/{f.name}" for f in sorted((source / "cells").iterdir())[:4]),
    ):
        (part / name).write_bytes((source / name).read_bytes())
    with pytest.raises(
        CheckpointError,
        match=r"part holds .* 4 of 9 cells are there.*compare --config .*part/run\.yaml --resume",
    ):
        invoke("report", part)
    (part / "result.json").write_bytes((source / "result.json").read_bytes())
    with pytest.raises(CheckpointError, match=r"part must hold the 9 cells of its result; 4 are there"):
        invoke("report", part)
    for name, content in (("result.json", "{"), ("result.json", "[]"), ("result.json", '{"format": 1}')):
        (part / name).write_text(content)
        with pytest.raises(CheckpointError, match=rf"part.{name} (is not a result|must have format)"):
            invoke("report", part)
    (part / "result.json").unlink()
    (part / "about.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"part.about\.json is not the order of a comparison"):
        invoke("report", part)


def test_the_card_of_a_run_holds_what_it_learned_from(folder, tmp_path):
    shown = invoke("report", folder / "run", "--out", tmp_path / "card.html")
    assert "grey images of 8 x 8 pixels of 3 classes: <b>one</b> 30, four 30, seven 30." in shown.stdout
    page = (tmp_path / "card.html").read_text()
    for text in (
        "&lt;b&gt;one&lt;/b&gt;",
        "64 real samples were shown",
        "data:image/png;base64",
        "network: mlp",
    ):
        assert text in page
    assert "<b>one</b>" not in page
    assert "http" not in page.replace("http://www.w3.org", "")
    card = json.loads(invoke("report", folder / "run", "--json", "--dry-run").stdout)
    assert card["classes"] == {"<b>one</b>": 30, "four": 30, "seven": 30}
    assert card["gan"]["width"] == 4
    assert card["versions"]["torch"] == version("torch")
    assert not (folder / "run" / "report.html").exists()


def test_the_card_of_a_table_shows_rows(folder):
    card = ModelCard.of(folder / "table")
    assert card.classes == {"x": 20, "y": 20}
    assert card.rows.header == ["class", "a", "town"]
    assert {row[2] for row in card.rows.rows} <= {"Ulm", "Kiel"}
    assert [row[0] for row in card.rows.rows] == ["x"] * 3 + ["y"] * 3


def test_a_saved_generator_without_a_run_says_what_is_not_known(folder, tmp_path):
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / GENERATOR).write_bytes((folder / "run" / GENERATOR).read_bytes())
    card = ModelCard.of(tmp_path / "saved")
    assert set(card.classes.values()) == {None}
    assert "not known" in card.write(tmp_path / "card.html").read_text()


def test_report_of_something_else_is_refused(folder, tmp_path):
    with pytest.raises(CheckpointError, match=r"must be a file that ganaug saved"):
        invoke("report", tmp_path)
    with pytest.raises(OutputExistsError, match=r"must be a file to write the report to"):
        invoke("report", folder / "run", "--out", tmp_path)
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(CheckpointError, match=r"interrupted. Finish it with"):
        invoke("report", tmp_path)


# --- JSON, silence, exit codes --------------------------------------------------------------------


def test_an_error_is_one_json_object_too(command, folder, tmp_path):
    cases = {
        3: ("fit", tmp_path / "nowhere", "--out", tmp_path / "run"),
        1: ("report", tmp_path),
        2: ("fit", "digits"),
    }
    for expected, args in cases.items():
        code, out, err = command(*args, "--json")
        told = json.loads(out)
        assert (code, told["exit_code"]) == (expected, expected)
        assert told["error"]
        assert err
        assert command(*args)[1] == ""
    code, out, err = command("fit", "digits", "--out", tmp_path / "r", "--gan", "{los: 1}", "--json")
    assert (code, json.loads(out)["error"]) == (1, err.removeprefix("error: ").rstrip("\n"))


def test_quiet_commands_say_nothing_and_json_still_comes(folder, tmp_path, command):
    data = folder / "d.npz"
    assert command("fit", data, "--out", tmp_path / "a", "--quiet", *SMALL) == (0, "", "")
    code, out, err = command("fit", data, "--out", tmp_path / "b", "--quiet", "--json", *SMALL)
    assert (code, err) == (0, "")
    assert json.loads(out)["images_seen"] == 64
    args = ("--no-track", "--seeds", 3, "--arms", "nothing,gan", "--classifier", "logistic", "--jobs", 1)
    assert command("compare", data, "--quiet", *args, *SMALL) == (0, "", "")
    assert command("fit", data, "--out", tmp_path / "c", "--quiet", "--dry-run", *SMALL) == (0, "", "")


def test_a_dry_run_of_fit_says_what_would_be_and_writes_nothing(folder, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    args = ("fit", folder / "d.npz", "--out", "run", "--dry-run", *SMALL)
    code, out, _ = command(*args)
    assert code == 0
    assert "90 8 x 8 x 1 images of 3 classes: <b>one</b> 30, four 30, seven 30." in out
    assert "64 images shown in batches of 16; mlp, hinge" in out
    assert "Time: about 1 min on cpu" in out
    plan = json.loads(command(*args, "--json")[1])
    assert (plan["kind"], plan["shape"], plan["gan"]["batch_size"]) == ("image", [1, 8, 8], 16)
    assert 0 < plan["seconds"] < 60
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine.txt").touch()
    assert command(*args)[0] == 1
    assert command(*args, "--resume")[0] == 1
    assert command("fit", tmp_path / "no", "--out", "x", "--dry-run")[0] == 3


def test_a_full_disk_is_a_problem_of_the_dry_run(folder, tmp_path, monkeypatch, command):
    import shutil
    from collections import namedtuple

    monkeypatch.setattr(shutil, "disk_usage", lambda _: namedtuple("usage", "free")(1000))
    code, out, _ = command("fit", folder / "d.npz", "--out", tmp_path / "run", "--dry-run", *SMALL)
    assert code == 1
    assert "are needed for checkpoints, and 0 MB are free." in out


def test_images_of_any_size_can_be_fitted(tmp_path):
    from PIL import Image

    for i in range(12):
        path = tmp_path / "photos" / "ab"[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((20 + i, 30, 3), 9 * i, np.uint8)).save(path)
    done = invoke("fit", tmp_path / "photos", "--image-size", 8, "--out", tmp_path / "run", "--json", *SMALL)
    assert json.loads(done.stdout)["classes"] == {"a": 6, "b": 6}
    again = invoke("fit", "--config", tmp_path / "run" / "run.yaml", "--resume", "--train-images", 80)
    assert again.exit_code == 0, again.output


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (("--version",), 0),
        (("fit", "digits", "--out", "x", "--config", "nowhere.yaml"), 1),
        (("fit", "digits"), 2),
        (("fit", "nowhere", "--out", "x"), 3),
    ],
)
def test_exit_codes_of_processes(tmp_path, args, expected):
    command = [sys.executable, "-m", "ganaug", *args]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == expected
    assert "Traceback" not in ended.stderr
    assert list(tmp_path.iterdir()) == []


# --- completion -----------------------------------------------------------------------------------


def completed(words):
    """Return what bash would offer, by a process that must not load torch."""
    program = (
        "import sys, atexit\n"
        "atexit.register(lambda: sys.stderr.write(str({'torch', 'numpy'} & set(sys.modules))))\n"
        "from ganaug.cli import app; app(prog_name='ganaug')"
    )
    n = len(words.split(" ")) - 1
    environment = {
        **os.environ,
        "_GANAUG_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(n),
    }
    shown = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True,
                           check=True)  # fmt: skip
    assert shown.stderr == "set()"
    return shown.stdout.split()


def test_bash_completes_commands_options_and_names():
    assert {"fit", "generate", "compare", "report", "doctor"} <= set(completed("ganaug "))
    assert {"--config", "--gan", "--preset"} <= set(completed("ganaug fit --"))
    assert completed("ganaug fit --preset ") == [*names.PRESETS]
    assert completed("ganaug compare --arms nothing,smot") == ["nothing,smote"]
    assert completed("ganaug compare --metric m") == ["macro_f1"]
    assert completed("ganaug compare --fail-unless ") == ["helps", "no", "evidence"]


def test_names_that_complete_are_those_that_there_are():
    assert set(names.PRESETS) == set(PRESETS)
    assert set(names.CLASSIFIERS) == set(CLASSIFIERS)
    assert set(names.METRICS) == set(METRICS)
    assert set(names.ARMS) == set(ARMS)


# --- doctor ---------------------------------------------------------------------------------------


def findings(check):
    return {f.name: f for f in check()}


@pytest.fixture
def store(tmp_path, monkeypatch):
    import mlflow

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'mlflow.db'}")  # other tests may have set another
    yield tmp_path / "mlflow.db"
    mlflow.set_tracking_uri(before)


def test_doctor_finds_no_problem_here(command, store):
    code, out, _ = command("doctor", "--json")
    told = json.loads(out)
    assert code == (1 if told["problems"] else 0)
    by_name = {f["name"]: f for f in told["findings"]}
    assert by_name["torch"]["found"] == version("torch")
    assert "problem" not in by_name["bfloat16"], by_name["bfloat16"]
    assert "start" in by_name["DataLoader workers"]["found"]
    assert not store.exists()


def test_doctor_tells_each_problem_with_what_to_do_and_ends_with_1(command, monkeypatch):
    found = [Finding("good", "1.0"), Finding("bad", "0.1", "it is old", "Buy a new one.")]
    monkeypatch.setattr(installation, "CHECKS", {"all": lambda: found, "broken": lambda: 1 / 0})
    code, out, _ = command("doctor")
    assert code == 1
    assert "! bad     0.1\n          PROBLEM: it is old.\n          Buy a new one." in out
    assert "looking at it failed with ZeroDivisionError" in out
    assert "2 problems, marked with !." in out
    assert command("doctor", "--quiet")[:2] == (1, "")
    monkeypatch.setattr(installation, "CHECKS", {"all": lambda: found[:1]})
    assert command("doctor")[:2] == (0, "  good  1.0\nNo problem was found.\n")
    assert doctor_command.__doc__


def test_a_package_out_of_range_or_missing_is_a_problem(monkeypatch):
    monkeypatch.setattr(
        installation,
        "requires",
        lambda _: [
            "numpy<1",
            "no-such-package-xyz>=2",
            "rich",
            "old; python_version < '3'",
            "e; extra == 'test'",
        ],
    )
    found = findings(installation.packages)
    assert found["numpy"].problem == "ganaug needs numpy<1"
    assert found["numpy"].mend == "pip install 'numpy<1'"
    assert found["no-such-package-xyz"].found == "not installed"
    assert found["rich"].problem == ""
    assert set(found) == {"ganaug", "numpy", "no-such-package-xyz", "rich"}


def test_a_rival_of_albumentations_and_a_second_opencv_are_told(monkeypatch):
    there = {
        "albumentationsx": "2.4.9",
        "albumentations": "2.0.8",
        "opencv-python": "5",
        "opencv-python-headless": "5",
    }

    def version_of(name):
        if name not in there:
            raise installation.PackageNotFoundError(name)
        return there[name]

    monkeypatch.setattr(installation, "version", version_of)
    found = findings(installation.rival_packages)
    assert set(found) == {"albumentationsx", "opencv-python"}
    assert "pip uninstall albumentationsx" in found["albumentationsx"].mend
    del there["opencv-python-headless"], there["albumentationsx"]
    assert findings(installation.rival_packages) == {}


def test_wrong_arithmetic_in_bfloat16_is_found(monkeypatch):
    original = torch.nn.functional.conv2d

    assert max(installation.bfloat16_errors(torch.device("cpu")))[0] < installation.MAX_BFLOAT16_ERROR

    class Wrong(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, grad):
            return grad * 1.2  # a gradient that is off, as that of a broken kernel

    monkeypatch.setattr(
        torch.nn.functional,
        "conv2d",
        lambda x, w, **k: original(Wrong.apply(x) if torch.is_autocast_enabled("cpu") else x, w, **k),
    )
    error, name = max(installation.bfloat16_errors(torch.device("cpu")))
    assert error == pytest.approx(0.2, abs=0.02)
    assert name.startswith("the input gradient of a")
    (finding,) = installation.bfloat16()
    assert "is no rounding" in finding.problem + finding.note


def test_stores_of_mlflow_are_told_apart(store, monkeypatch):
    assert "made by the first record" in findings(installation.mlflow_store)["MLflow store"].found
    assert not store.exists()
    with sqlite3.connect(store) as database:
        database.execute("create table alembic_version (version_num text)")
        database.execute("insert into alembic_version values ('0000')")
    old = findings(installation.mlflow_store)["MLflow store"]
    assert "another version of MLflow (0000, not " in old.problem
    assert f"mlflow db upgrade sqlite:///{store}" in old.mend
    with sqlite3.connect(store) as database:
        database.execute("update alembic_version set version_num = ?", (installation._newest_schema(),))
    assert "up to date" in findings(installation.mlflow_store)["MLflow store"].found
    store.write_bytes(b"no database" * 99)
    assert "no store" in findings(installation.mlflow_store)["MLflow store"].problem


def test_a_server_of_mlflow_is_asked_once_and_its_password_is_not_shown(store, monkeypatch):
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        here = f"http://127.0.0.1:{server.server_port}"
        assert installation._store(here, "http").found == f"{here} answers 200"
        server.server_close()
    gone = installation._store(f"http://me:secret@127.0.0.1:{server.server_port}", "http")
    assert "does not answer" in gone.problem
    assert "secret" not in str(gone)
    assert "unset MLFLOW_TRACKING_URI" in gone.mend
    assert installation._store("postgresql://u:pw@h/db", "postgresql").note


def test_telemetry_is_told(store, monkeypatch):
    assert findings(installation.mlflow_store)["MLflow telemetry"].found.startswith("off")
    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY")
    assert "MLFLOW_DISABLE_TELEMETRY=true" in findings(installation.mlflow_store)["MLflow telemetry"].note


def test_a_cache_that_cannot_be_written_to_is_a_problem(tmp_path, monkeypatch):
    monkeypatch.setenv("GANAUG_CACHE", str(tmp_path / "file"))
    (tmp_path / "file").touch()
    cache = findings(installation.disk)["cache"]
    assert "cannot be written to" in cache.problem
    assert "GANAUG_CACHE=off" in cache.mend
    monkeypatch.setenv("GANAUG_CACHE", "off")
    assert findings(installation.disk)["cache"].problem == ""
