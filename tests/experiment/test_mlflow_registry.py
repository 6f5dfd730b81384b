"""A generator in the model registry: versions, an alias that moves, and what is refused before training."""

import json
import shutil
import sqlite3
import subprocess
import sys

import mlflow
import numpy as np
import pytest
from sklearn.datasets import load_digits
from typer.testing import CliRunner

import ganaug
from ganaug import CheckpointError, ConfigError, cli
from ganaug.errors import GanaugError, GanaugWarning
from ganaug.experiment.mlflow_registry import Registration

pixels, targets = load_digits(return_X_y=True)


@pytest.fixture
def data(tmp_path):
    np.savez(tmp_path / "d.npz", x=pixels[:150].reshape(-1, 8, 8), y=targets[:150] % 3)
    return tmp_path / "d.npz"


def fit(data, out, *options):
    args = ["fit", data, "--out", out, "--train-images", 64, "--device", "cpu", "--json", *options]
    return CliRunner().invoke(cli.app, [str(a) for a in args])


FRESH = """
import sys, mlflow, numpy as np
mlflow.set_tracking_uri(sys.argv[1])
made = mlflow.pyfunc.load_model("models:/pets@champion").predict({"class": ["2"], "n": [3], "seed": [1]})
np.save(sys.argv[2], made)
"""


@pytest.mark.slow
def test_the_alias_is_that_of_the_last_generator_and_opens_anywhere(store, data, tmp_path):
    first = fit(data, tmp_path / "a", "--track", "--register", "pets", "--seed", 1)
    assert store.client.get_registered_model("pets").aliases == {}
    last = fit(data, tmp_path / "b", "--track", "--register", "pets@champion", "--seed", 2)
    assert json.loads(first.stdout)["registered"] == "models:/pets/1"
    told = json.loads(last.stdout)
    assert told["registered"] == "models:/pets/2"
    version = store.client.get_model_version_by_alias("pets", "champion")
    assert (int(version.version), version.run_id) == (2, told["mlflow_run"])
    for uri, run in (("models:/pets/1", "a"), ("models:/pets@champion", "b"),
                     (f"runs:/{told['mlflow_run']}/generator", "b")):  # fmt: skip
        expected = ganaug.load(tmp_path / run).generate({2: 3}, random_state=1)[0]
        np.testing.assert_array_equal(ganaug.load(uri).generate({2: 3}, random_state=1)[0], expected)
    code = [sys.executable, "-c", FRESH, store.uri, str(tmp_path / "made.npy")]
    subprocess.run(code, check=True, capture_output=True)
    np.testing.assert_array_equal(np.load(tmp_path / "made.npy"), expected)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("pe/ts", "cannot be registered as 'pe/ts'.*cannot contain"),
        ("@champion", "cannot be registered as ''"),
        ("pets@", "the alias in 'pets@'.*got ''"),
        ("pets@Latest", "neither 'latest' nor a version; got 'Latest'"),
        ("pets@v3", "nor a version; got 'v3'"),
        ("pets@my champion", "got 'my champion'"),
        ("pets@a@b", "got 'a@b'"),
    ],
)
def test_a_name_that_cannot_be_is_refused_before_training(store, data, tmp_path, name, said):
    done = fit(data, tmp_path / "run", "--track", "--register", name)
    assert isinstance(done.exception, ConfigError)
    with pytest.raises(ConfigError, match=said):
        raise done.exception
    assert not (tmp_path / "run").exists()


def test_registering_needs_the_record_and_a_registry(store, data, tmp_path, monkeypatch):
    done = fit(data, tmp_path / "run", "--register", "pets")
    assert "--register needs --track" in str(done.exception)
    for uri, said in (("http://127.0.0.1:9", OSError), (f"file://{tmp_path}/mlruns", ConfigError)):
        mlflow.set_tracking_uri(uri)
        try:
            done = fit(data, tmp_path / "run", "--track", "--register", "pets")
        finally:
            mlflow.set_tracking_uri(store.uri)
        assert isinstance(done.exception, said), done.exception
    assert not (tmp_path / "run").exists()


def test_a_registry_that_is_lost_meanwhile_loses_no_generator(
    store, empty_store, data, tmp_path, monkeypatch
):
    monkeypatch.delenv("MLFLOW_EXPERIMENT_ID", raising=False)  # of the store of this file
    spoiled = shutil.copy(empty_store, tmp_path / "spoiled.db")
    original = ganaug.training.loop.update_ema

    def spoil(*args):
        with sqlite3.connect(spoiled) as database:
            database.execute("DROP TABLE IF EXISTS model_versions")
        return original(*args)

    monkeypatch.setattr(ganaug.training.loop, "update_ema", spoil)
    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri(f"sqlite:///{spoiled}")
    try:
        with pytest.warns(GanaugWarning, match="generator is not registered as pets@best: "):
            done = fit(data, tmp_path / "run", "--track", "--register", "pets@best")
    finally:
        mlflow.set_tracking_uri(store.uri)
    assert isinstance(done.exception, GanaugError)
    assert "is not registered as pets@best" in str(done.exception)
    assert json.loads(done.stdout)["registered"] is None
    assert len(ganaug.load(tmp_path / "run").generate(1)[0]) == 3


def test_what_is_no_generator_in_mlflow_is_refused(store, tmp_path):
    with pytest.raises(CheckpointError, match="models:/none@champion cannot be fetched from MLflow"):
        ganaug.load("models:/none@champion")
    (tmp_path / "other.py").write_text(
        "import mlflow\nclass M(mlflow.pyfunc.PythonModel):\n    def predict(self, model_input: list[str]):\n"
        "        return model_input\nmlflow.models.set_model(M())\n"
    )
    with mlflow.start_run() as run:
        mlflow.pyfunc.log_model(
            name="generator", python_model=str(tmp_path / "other.py"), pip_requirements=["mlflow"]
        )
    with pytest.raises(CheckpointError, match="is no generator that ganaug logged"):
        ganaug.load(f"runs:/{run.info.run_id}/generator")


def test_the_alias_is_checked_as_mlflow_does(store):
    for text, expected in (("pets", ("pets", "")), ("my pets@best-1", ("my pets", "best-1"))):
        assert Registration.checked(text) == Registration(*expected)
