"""The generator and the recommended classifier in MLflow: the same samples and predictions, elsewhere."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
import warnings
from contextlib import suppress
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from sklearn.datasets import load_digits
from sklearn.naive_bayes import GaussianNB
from torch import nn

from ganaug import ConditionalGAN, GANConfig, compare
from ganaug.errors import ConfigError, GanaugWarning
from ganaug.experiment.arms import ARMS, Arm, noisy_copies
from ganaug.experiment.jobs import refitted
from ganaug.experiment.mlflow_models import log_generator

pixels, targets = load_digits(return_X_y=True)
IMAGES, DIGITS = pixels[targets < 3].reshape(-1, 8, 8)[:90], targets[targets < 3][:90]
TINY = GANConfig(network="mlp", width=4, z_dim=4, batch_size=16, train_images=32)
RNG = np.random.default_rng(0)
TABLE = pd.DataFrame(
    {
        "age": RNG.integers(18, 80, 120),
        "income": RNG.lognormal(10, 1, 120).round(2),
        "town": pd.Categorical(RNG.choice(["Ulm", "Bonn", "Kiel"], 120)),
    }
)
TABLE.loc[:84:7, "income"] = None
RISK = pd.Series(np.where(TABLE["age"] + RNG.normal(0, 9, 120) > 58, "high", "low"), name="risk")


class Keeper:
    """A tracker that keeps what it is handed."""

    def comparison(self, settings, *, primary, metric, names):
        return self

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        pass

    def cells(self, cells):
        pass

    def result(self, result):
        self.result_told = result

    def models(self, gan, winner):
        self.gan, self.winner = gan, winner


@pytest.mark.parametrize(
    ("data", "classifier", "arms"),
    [
        ((IMAGES, DIGITS), "cnn", ["nothing", "oversampling", "gan", "teacher on copies", "gan + teacher"]),
        ((IMAGES, DIGITS), "logistic", ["nothing", "tuned oversampling", "tuned gan"]),
        ((TABLE, RISK), "logistic", ["class weights", "threshold", "oversampling", "gan"]),
        ((TABLE, RISK), "mlp", ["nothing", "threshold", "oversampling", "gan"]),
    ],
)
def test_a_classifier_that_is_trained_again_predicts_what_its_cell_did(data, classifier, arms):
    keeper, settings = Keeper(), {"seeds": 3, "train_size": 40, "steps": 6, "batch_size": 8}
    result = compare(*data, classifier=classifier, arms=arms, config=TINY, tracking=keeper, **settings)
    _, plan, part_of, first = keeper.winner.args
    labels = np.unique(data[1])
    for cell in result.cells:
        if cell.seed == 0:
            again = refitted(plan, part_of(0), cell, first).predict(part_of(0).X_test)
            assert again.tolist() == labels[cell.y_pred].tolist()
    winner = keeper.winner()
    assert (winner.arm, winner.seed) == (result.best_control, 0)


def run(X=IMAGES, y=DIGITS, **settings):
    small = {"seeds": 3, "train_size": 40, "steps": 6, "batch_size": 8, "config": TINY, "tracking": "mlflow"}
    return compare(X, y, **{**small, "arms": ["nothing", "oversampling", "gan"], **settings})


def last_run(store):
    where = "tags.`ganaug.kind` = 'comparison'"
    return store.client.search_runs([store.experiment], where, order_by=["start_time DESC"])[0]


def model(store, name):
    return mlflow.pyfunc.load_model(f"runs:/{last_run(store).info.run_id}/{name}")


def test_the_generator_draws_the_same_images_in_exact_numbers(store):
    keeper = Keeper()
    run(tracking=keeper)
    run()
    opened = model(store, "generator")
    asked = {"class": ["2", "0", "2"], "n": [3, 2, 0], "seed": [5, 5, 5]}
    made = opened.predict(asked)
    expected, _ = keeper.gan.generate({2: 3, 0: 2}, random_state=5)
    np.testing.assert_array_equal(made, expected)
    assert made.dtype == IMAGES.dtype
    assert opened.predict(pd.DataFrame({"class": ["1"], "n": [4]})).shape == (4, 8, 8)
    assert isinstance(opened.unwrap_python_model().gan, ConditionalGAN)
    assert opened.metadata.metadata == {"ganaug.classes": ["0", "1", "2"]}


FRESH = """
import sys, mlflow, pandas as pd
mlflow.set_tracking_uri(sys.argv[1])
run = sys.argv[2]
made = mlflow.pyfunc.load_model(f"runs:/{run}/generator").predict({"class": ["low", "high"], "n": [3, 2]})
made.to_pickle(sys.argv[3] + "/made")
X = pd.read_pickle(sys.argv[3] + "/X")
print(*mlflow.pyfunc.load_model(f"runs:/{run}/classifier").predict(X))
"""


@pytest.mark.slow
def test_both_models_of_a_table_open_in_another_process(store, tmp_path):
    X_test, y_test = TABLE[90:], RISK[90:]
    arms = ["threshold", "oversampling", "gan"]
    result = run(TABLE[:90], RISK[:90], test=(X_test, y_test), classifier="logistic", arms=arms)
    X_test.to_pickle(tmp_path / "X")
    there = [mlflow.get_tracking_uri(), last_run(store).info.run_id, str(tmp_path)]
    told = subprocess.run(
        [sys.executable, "-c", FRESH, *there], capture_output=True, text=True, check=True
    ).stdout.split()
    (cell,) = [c for c in result.cells if c.seed == 0 and c.arm == result.best_control]
    assert told == np.array(["high", "low"])[cell.y_pred].tolist()
    made = pd.read_pickle(tmp_path / "made")
    assert made["class"].tolist() == ["low"] * 3 + ["high"] * 2
    assert made.drop(columns="class").dtypes.equals(TABLE.dtypes)


def test_a_module_of_the_callers_own_is_kept_where_it_wins(store):
    def network():
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 3))

    X_test, y_test = IMAGES[70:], DIGITS[70:]
    result = run(IMAGES[:70], DIGITS[:70], test=(X_test, y_test), classifier=lambda: network())
    (cell,) = [c for c in result.cells if c.seed == 0 and c.arm == result.best_control]
    assert model(store, "classifier").predict(X_test).tolist() == cell.y_pred.tolist()
    assert last_run(store).data.tags["ganaug.classifier_arm"] == result.best_control


class Locked(GaussianNB):
    """A classifier that no file can hold."""

    def fit(self, X, y, sample_weight=None):
        self.lock_ = threading.Lock()
        return super().fit(X, y, sample_weight)


def test_a_classifier_that_cannot_be_kept_ends_nothing_but_its_model(store):
    with pytest.warns(GanaugWarning, match="classifier is not kept as a model.*lock") as told:
        run(classifier=Locked())
    assert len(told) == 1
    assert last_run(store).info.status == "FINISHED"
    assert model(store, "generator").predict({"class": ["1"], "n": [2]}).shape == (2, 8, 8)


def test_a_comparison_without_a_generator_keeps_the_classifier_alone(store):
    own = {
        "nothing": ARMS["nothing"],
        "copies": ARMS["oversampling"],
        "own": Arm(role="treatment", extra=noisy_copies, data="any"),
    }
    run(TABLE[["age", "income"]].fillna(0.0), RISK, classifier="forest", arms=own)
    found = mlflow.search_logged_models(
        [store.experiment],
        filter_string=f"source_run_id = '{last_run(store).info.run_id}'",
        output_format="list",
    )
    assert [m.name for m in found] == ["classifier"]
    assert not found[0].metrics  # those of the run are the primary treatment's


def test_where_the_first_seed_failed_the_next_ones_classifier_is_kept():
    class Fails(GaussianNB):
        calls = 0

        def fit(self, X, y, sample_weight=None):
            Fails.calls += 1
            if Fails.calls == 2:  # the second after the check of the classifier itself
                raise RuntimeError("no")
            return super().fit(X, y, sample_weight)

    keeper = Keeper()
    result = run(classifier=Fails(), seeds=4, tracking=keeper)
    assert {f.seed for f in result.failed} == {0}
    assert keeper.winner().seed == 1


def test_no_classifier_is_trained_again_where_nothing_is_recorded(monkeypatch):
    monkeypatch.setattr("ganaug.experiment.winner.refitted", lambda *_: pytest.fail("trained again"))
    run(tracking=None)


def test_labels_have_a_column_of_their_own(store, tmp_path):
    table = TABLE.rename(columns={"age": "class"})[["class", "income"]].fillna(1.0)
    gan = ConditionalGAN(config=TINY, random_state=0).fit(table, RISK.to_numpy())
    gan.save(tmp_path / "gan")
    with mlflow.start_run() as mine, warnings.catch_warnings():
        warnings.simplefilter("error")
        log_generator(tmp_path / "gan" / "generator.safetensors", step=0)
    made = mlflow.pyfunc.load_model(f"runs:/{mine.info.run_id}/generator").predict(
        {"class": ["low"], "n": [2]}
    )
    assert list(made.columns) == ["class", "income", "class_"]
    assert made["class_"].tolist() == ["low", "low"]


def test_the_models_say_what_goes_in_and_comes_out(store, tmp_path):
    images = ConditionalGAN(config=TINY, random_state=0).fit(IMAGES, DIGITS)
    rows = ConditionalGAN(config=TINY, random_state=0).fit(TABLE, RISK)
    signatures = []
    with mlflow.start_run():
        for gan in (images, rows):
            gan.save(tmp_path / gan.schema_.kind)
            uri = log_generator(tmp_path / gan.schema_.kind / "generator.safetensors", step=0)
            opened = mlflow.pyfunc.load_model(uri)
            signatures.append(opened.metadata.signature)
    assert {str(s.inputs) for s in signatures} == {
        "['class': string (required), 'n': long (required), 'seed': long (optional)]"
    }
    assert str(signatures[0].outputs) == f"[Tensor('{IMAGES.dtype}', (-1, 8, 8))]"
    assert signatures[1].outputs.input_names() == ["age", "income", "town", "risk"]
    assert list(opened.predict({"class": ["low"], "n": [1]}).columns) == ["age", "income", "town", "risk"]
    for wrong, said in (
        ({"class": ["low"]}, r"missing inputs \['n'\]"),
        ({"class": [1], "n": [1]}, "Incompatible input types for column class"),
        ({"class": ["low"], "n": [1.5]}, "Incompatible input types for column n"),
        ({"class": ["low"], "n": [1], "seed": ["x"]}, "Incompatible input types for column seed"),
    ):
        with pytest.raises(MlflowException, match=said):
            opened.predict(wrong)
    with pytest.raises(KeyError, match="no class 'lo'; the classes are 'high', 'low'"):
        opened.predict({"class": ["lo"], "n": [1]})
    with pytest.raises(ConfigError, match=r"counts\['low'\] must be an integer of at least 0; got -1"):
        opened.predict({"class": ["low"], "n": [-1]})


@pytest.mark.slow
def test_mlflow_serves_the_generator(store, tmp_path):
    gan = ConditionalGAN(config=TINY, random_state=0).fit(IMAGES, DIGITS)
    gan.save(tmp_path / "gan")
    with mlflow.start_run():
        uri = log_generator(tmp_path / "gan" / "generator.safetensors", step=0)
    mlflow.register_model(uri, "served")
    mlflow.MlflowClient().set_registered_model_alias("served", "champion", 1)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", "models:/served@champion"]
    command += ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)]
    asked = json.dumps({"dataframe_records": [{"class": "2", "n": 3, "seed": 7}]}).encode()
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # of uvicorn
    there = {**os.environ, "MLFLOW_TRACKING_URI": store.uri, "PATH": path}
    with subprocess.Popen(command, env=there, start_new_session=True, stderr=subprocess.DEVNULL) as server:
        try:
            for _ in range(480):
                with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/ping"):
                    break
                time.sleep(0.25)
            call = urllib.request.Request(
                f"http://127.0.0.1:{port}/invocations", asked, {"Content-Type": "application/json"}
            )
            with urllib.request.urlopen(call) as answer:
                made = json.load(answer)["predictions"]
        finally:
            os.killpg(server.pid, signal.SIGKILL)
    np.testing.assert_array_equal(made, gan.generate({2: 3}, random_state=7)[0])
