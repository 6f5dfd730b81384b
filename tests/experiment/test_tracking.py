import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from types import SimpleNamespace
from xml.etree import ElementTree

import mlflow
import numpy as np
import pytest
from sklearn.datasets import load_digits

from ganaug import GANConfig, compare
from ganaug.errors import ConfigError, GanaugWarning
from ganaug.experiment.metrics import METRICS
from ganaug.experiment.tracking import MLflowTracker, NullTracker, resolve_tracker

pixels, targets = load_digits(return_X_y=True)
IMAGES, DIGITS = pixels[targets < 3].reshape(-1, 8, 8)[:90], targets[targets < 3][:90]
TINY = GANConfig(width=4, z_dim=4, batch_size=16, train_images=32)
ARMS = ["nothing", "oversampling", "gan"]


def run(**settings):
    small = {"labelled_per_class": 5, "seeds": 3, "classifier": "forest", "arms": ARMS, "config": TINY}
    return compare(IMAGES, DIGITS, **{**small, "tracking": "mlflow", **settings})


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Make a real SQLite store the current one, with artifacts beside it."""
    folder = tmp_path_factory.mktemp("mlflow")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
    experiment = mlflow.create_experiment("ganaug-tests", artifact_location=(folder / "artifacts").as_uri())
    mlflow.set_experiment(experiment_id=experiment)
    yield mlflow.MlflowClient()
    mlflow.set_tracking_uri(before)


@pytest.fixture(scope="module")
def recorded(store):
    """Return a comparison and its parent run."""
    result = run(names=["zero", "on/e", "tw+o/"])
    assert mlflow.active_run() is None
    (parent,) = parents(store)
    return SimpleNamespace(result=result, parent=parent, client=store)


def runs(client, where):
    experiment = mlflow.get_experiment_by_name("ganaug-tests")
    return list(client.search_runs([experiment.experiment_id], where))


def parents(client):
    return runs(client, "tags.`ganaug.kind` = 'comparison'")


def children(client, parent):
    return runs(client, f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'")


def test_there_is_a_child_for_each_arm_and_seed_with_the_same_keys(recorded):
    found = children(recorded.client, recorded.parent)
    assert {(r.data.params["arm"], r.data.params["seed"]) for r in found} == {
        (arm, str(s)) for arm in ARMS for s in range(3)
    }
    assert len(found) == 9
    assert len({tuple(sorted(r.data.params)) for r in found}) == 1
    assert len({tuple(sorted(r.data.metrics)) for r in found}) == 1
    assert {r.info.status for r in found} == {"FINISHED"}


def test_a_child_holds_the_scores_of_its_cell(recorded):
    cells = {(c.arm, str(c.seed)): c for c in recorded.result.cells}
    for child in children(recorded.client, recorded.parent):
        cell = cells[child.data.params["arm"], child.data.params["seed"]]
        for metric in METRICS:
            assert child.data.metrics[metric] == pytest.approx(cell.score(metric))
        recalls = [child.data.metrics[f"recall/class_{name}"] for name in ("zero", "on_e", "tw_o_")]
        assert np.mean(recalls) == pytest.approx(cell.score("balanced_accuracy"))
        assert child.data.params["n_extra"] == str(cell.n_extra)
        assert child.data.tags["ganaug.pair_id"] == f"{recorded.parent.info.run_id}/{cell.seed}"
        assert child.info.run_name == f"{cell.arm}/seed={cell.seed}"


def test_the_parent_holds_settings_gain_and_verdict(recorded):
    parent, result = recorded.parent, recorded.result
    assert parent.info.status == "FINISHED"
    assert parent.data.tags["ganaug.verdict"] == result.verdict
    assert result.sentence in parent.data.tags["mlflow.note.content"]
    assert parent.data.metrics["gain/points"] == pytest.approx(result.gain.mean)
    assert parent.data.metrics["gain/low"] == pytest.approx(result.gain.low)
    assert parent.data.metrics["mean/gan"] == pytest.approx(result.scores("gan").mean())
    assert parent.data.params["gan.train_images"] == "32"
    assert parent.data.params["primary"] == "gan"
    assert parent.data.tags["ganaug.data_digest"] == result.settings["data_digest"]


def test_tables_record_and_picture_can_be_loaded(recorded):
    parent, result = recorded.parent, recorded.result
    table = mlflow.load_table("tables/arms.json", run_ids=[parent.info.run_id])
    assert table["arm"].tolist() == ARMS
    assert table["balanced_accuracy"].tolist() == pytest.approx(result.table["balanced_accuracy"].tolist())
    per_class = mlflow.load_table("tables/per_class.json", run_ids=[parent.info.run_id])
    assert per_class["class"].tolist() == ["zero", "on/e", "tw+o/"]
    root = parent.info.artifact_uri
    assert mlflow.artifacts.load_dict(f"{root}/comparison.json") == json.loads(json.dumps(result.to_dict()))
    assert mlflow.artifacts.load_image(f"{root}/samples.png").size == (82, 32)
    assert result.sentence.split(": ")[1][:20] in mlflow.artifacts.load_text(f"{root}/report.html")


def test_comparisons_go_below_an_active_run_and_leave_it_open(store):
    with mlflow.start_run(run_name="mine") as mine:
        mlflow.log_param("own", "kept")
        results = [run(), run(steps=6)]
        assert mlflow.active_run().info.run_id == mine.info.run_id
        assert store.get_run(mine.info.run_id).info.status == "RUNNING"
    assert store.get_run(mine.info.run_id).data.params == {"own": "kept"}
    below = sorted(children(store, mine), key=lambda r: r.info.start_time)
    assert [r.data.tags["ganaug.verdict"] for r in below] == [r.verdict for r in results]
    assert [r.data.params["steps"] for r in below] == [str(r.settings["steps"]) for r in results]
    assert [len(children(store, r)) for r in below] == [9, 9]


def fail(done, total):
    raise RuntimeError("stop here")


def test_a_run_that_it_opened_is_marked_as_failed(store):
    known = {r.info.run_id for r in parents(store)}
    with pytest.raises(RuntimeError, match="stop here"):
        run(on_cell=fail)
    (failed,) = [r for r in parents(store) if r.info.run_id not in known]
    assert failed.info.status == "FAILED"
    assert "ganaug.verdict" not in failed.data.tags
    assert mlflow.active_run() is None
    assert len(children(store, failed)) == 1  # the finished cell stays


def test_an_active_run_stays_open_when_a_comparison_fails(store):
    with mlflow.start_run() as mine:
        with pytest.raises(RuntimeError, match="stop here"):
            run(on_cell=fail)
        assert mlflow.active_run().info.run_id == mine.info.run_id
        assert store.get_run(mine.info.run_id).info.status == "RUNNING"


def test_the_parent_shows_each_arm_by_seed_and_has_the_keys_of_its_children(recorded):
    client, parent, result = recorded.client, recorded.parent, recorded.result
    for arm in ARMS:
        points = client.get_metric_history(parent.info.run_id, f"seeds/{arm}")
        found = {p.step: p.value for p in points}
        assert found == {s: pytest.approx(v) for s, v in enumerate(result.scores(arm))}
    for metric in METRICS:
        assert parent.data.metrics[metric] == pytest.approx(result.scores("gan", metric).mean())


def test_what_a_reader_of_the_list_sees_first_is_the_verdict_and_the_arms(recorded):
    parent = recorded.parent
    assert parent.info.run_name == f"{recorded.result.verdict}: gan"
    rows = [line for line in parent.data.tags["mlflow.note.content"].splitlines() if line.startswith("| ")]
    assert [row.split("|")[1].strip() for row in rows[2:]] == ARMS
    for child in children(recorded.client, parent):
        tags = child.data.tags
        assert tags["ganaug.kind"] == "cell"
        assert (tags["ganaug.primary"] == "yes") == (tags["ganaug.arm"] == "gan")
        assert tags["mlflow.user"] == parent.data.tags["mlflow.user"]


def test_the_figures_are_pictures_that_stand_alone(recorded):
    for name in ("gains", "recall"):
        text = mlflow.artifacts.load_text(f"{recorded.parent.info.artifact_uri}/figures/{name}.svg")
        picture = ElementTree.fromstring(text)
        assert picture.get("width").endswith("pt")
        used = set(re.findall(r"var\(--(\w+)\)", text))
        assert used <= set(re.findall(r"--(\w+):", text))


def test_the_data_is_an_input_of_each_child_too(recorded):
    for child in children(recorded.client, recorded.parent):
        (found,) = child.inputs.dataset_inputs
        assert found.dataset.digest == recorded.result.settings["data_digest"]


def test_the_data_is_an_input_of_the_run(recorded):
    (found,) = recorded.parent.inputs.dataset_inputs
    assert found.dataset.digest == recorded.result.settings["data_digest"]
    assert {t.value for t in found.tags} == {"comparison"}


BIRTH = """
import sys, mlflow
mlflow.set_tracking_uri(sys.argv[1])
from ganaug.experiment.mlflow_run import start_run
print("ready", flush=True)
sys.stdin.readline()
start_run("one of four", "ganaug")
mlflow.log_metric("gain", 1.0)
mlflow.end_run()
"""


@pytest.mark.slow
def test_four_processes_may_start_on_a_store_that_is_not_there_yet(tmp_path):
    uri = f"sqlite:///{tmp_path / 'new.db'}"
    code = [sys.executable, "-c", BIRTH, uri]
    plain = {k: v for k, v in os.environ.items() if k != "MLFLOW_EXPERIMENT_ID"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": tmp_path, "env": plain}
    four = [subprocess.Popen(code, **pipes) for _ in range(4)]
    for process in four:
        assert process.stdout.readline() == "ready\n"
    for process in four:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in four:
        process.communicate()
    assert [process.returncode for process in four] == [0] * 4
    client = mlflow.MlflowClient(uri)
    (experiment,) = [e for e in client.search_experiments() if e.name == "ganaug"]
    assert [r.data.metrics["gain"] for r in client.search_runs([experiment.experiment_id])] == [1.0] * 4


@pytest.mark.parametrize("uri", ["http://127.0.0.1:9", "sqlite:////dev/null/mlflow.db"])
def test_a_store_that_cannot_be_reached_ends_the_record_and_not_the_comparison(uri, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_EXPERIMENT_ID", raising=False)  # of the store of this file
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    try:
        with pytest.warns(GanaugWarning) as told:
            result = run()
    finally:
        mlflow.set_tracking_uri(before)
    assert mlflow.active_run() is None
    first, last = (str(w.message) for w in told if w.category is GanaugWarning)
    assert "MLflow cannot be written to" in first
    (path,) = tmp_path.glob("ganaug-comparison-*.json")
    assert str(path) in last
    assert json.loads(path.read_text())["sentence"] == result.sentence


def test_a_server_gets_the_same_runs_and_may_go_away(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("MLFLOW_EXPERIMENT_ID", raising=False)  # of the store of this file
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{tmp_path / 'server.db'}"]
    command += ["--artifacts-destination", str(tmp_path / "artifacts")]
    quiet = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    uri, before = f"http://127.0.0.1:{port}", mlflow.get_tracking_uri()
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, env=quiet, start_new_session=True, **silent) as server:
        try:
            for _ in range(240):
                with suppress(OSError), urllib.request.urlopen(f"{uri}/health") as answer:
                    if answer.read() == b"OK":
                        break
                time.sleep(0.25)
            mlflow.set_tracking_uri(uri)
            result = run(tracking=MLflowTracker("served"))
            client = mlflow.MlflowClient(uri)
            experiment = client.get_experiment_by_name("served")
            found = client.search_runs([experiment.experiment_id], "tags.`ganaug.kind` = 'comparison'")
            assert [r.data.tags["ganaug.verdict"] for r in found] == [result.verdict]
            assert len(children_of(client, experiment, found[0])) == 9
            shown = capsys.readouterr()
            assert (shown.out, found[0].info.run_id in shown.err) == ("", True)  # stdout is for results

            def gone(done, of):
                if done == 2:
                    os.killpg(server.pid, signal.SIGKILL)
                    server.wait()

            monkeypatch.chdir(tmp_path)
            with pytest.warns(GanaugWarning) as told:
                lost = run(tracking=MLflowTracker("served"), on_cell=gone)
            assert "MLflow cannot be written to" in str(told[0].message)
            assert mlflow.active_run() is None
            (path,) = tmp_path.glob("ganaug-comparison-*.json")
            assert json.loads(path.read_text())["sentence"] == lost.sentence
        finally:
            mlflow.set_tracking_uri(before)
            with suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)


def children_of(client, experiment, parent):
    where = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
    return client.search_runs([experiment.experiment_id], where)


def test_nothing_is_recorded_where_the_input_is_wrong(store):
    known = {r.info.run_id for r in parents(store)}
    with pytest.raises(ConfigError, match="metric"):
        run(metric="accuracies")
    assert {r.info.run_id for r in parents(store)} == known
    assert mlflow.active_run() is None


class Notebook:
    """A tracker of the user's own, that is its own record."""

    def __init__(self):
        self.events = []

    def comparison(self, settings, *, primary, metric, names):
        self.events.append(("open", primary, metric, tuple(names), settings["seeds"]))
        return self

    def __enter__(self):
        return self

    def cells(self, cells):
        self.events.append(("cells", [(c.arm, c.seed) for c in cells]))

    def result(self, result):
        self.events.append(("result", result.verdict))

    def models(self, gan, winner):
        self.events.append(("models", gan is not None))

    def __exit__(self, kind, error, trace):
        self.events.append(("close", kind))


def test_an_own_tracker_is_told_everything_once():
    notebook = Notebook()
    result = run(tracking=notebook)
    assert notebook.events == [
        ("open", "gan", "balanced_accuracy", ("0", "1", "2"), 3),
        *[("cells", [(arm, s)]) for s in range(3) for arm in ARMS],
        ("result", result.verdict),
        ("models", True),
        ("close", None),
    ]


def test_an_own_tracker_hears_of_a_failure():
    notebook = Notebook()
    with pytest.raises(RuntimeError, match="stop here"):
        run(tracking=notebook, on_cell=fail)
    assert notebook.events[-1] == ("close", RuntimeError)


def test_names_stand_for_trackers():
    assert isinstance(resolve_tracker("mlflow"), MLflowTracker)
    assert isinstance(resolve_tracker(None), NullTracker)
    with pytest.raises(ConfigError, match="Did you mean 'mlflow'"):
        resolve_tracker("ml-flow")
