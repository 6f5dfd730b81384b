"""A training in MLflow: its settings, its figures by images seen, its pictures; and how it ended."""

import os
import signal
from dataclasses import replace
from types import SimpleNamespace

import mlflow
import numpy as np
import pytest
from sklearn.datasets import load_digits
from typer.testing import CliRunner

import ganaug
from ganaug import GANConfig, cli
from ganaug.errors import GanaugWarning, TrainingInterrupted
from ganaug.experiment.fit_tracking import MLflowFit
from ganaug.networks.mlp import mlp

pixels, targets = load_digits(return_X_y=True)
IMAGES, DIGITS = pixels[targets < 3].reshape(-1, 8, 8)[:90], targets[targets < 3][:90]
TINY = GANConfig(network="mlp", width=4, z_dim=4, batch_size=16, train_images=96, log_every_images=32)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Make a real SQLite store the current one, with artifacts beside it."""
    folder = tmp_path_factory.mktemp("mlflow")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
    experiment = mlflow.create_experiment("fits", artifact_location=(folder / "artifacts").as_uri())
    mlflow.set_experiment(experiment_id=experiment)
    yield SimpleNamespace(client=mlflow.MlflowClient(), experiment=experiment)
    mlflow.set_tracking_uri(before)


def runs(store, experiment=None):
    return store.client.search_runs([experiment or store.experiment], "tags.`ganaug.kind` = 'fit'")


def new_run(store, known):
    (run,) = [r for r in runs(store) if r.info.run_id not in known]
    return run


def fit(out, config=TINY, **options):
    with MLflowFit(config, out) as record:
        gan = ganaug.ConditionalGAN(config=config, random_state=0)
        return gan.fit(IMAGES, DIGITS, out=out, on_log=record, **options)


@pytest.fixture(scope="module")
def recorded(store, tmp_path_factory):
    out = tmp_path_factory.mktemp("fit") / "run"
    known = {r.info.run_id for r in runs(store)}
    gan = fit(out)
    assert mlflow.active_run() is None
    return SimpleNamespace(gan=gan, out=out, run=new_run(store, known))


def test_figures_are_recorded_by_images_seen(store, recorded):
    history = recorded.gan.history_
    figures = {k for k, v in history[0].items() if isinstance(v, float)}
    assert {"loss/D", "loss/G", "distance", "spread", "gradient/G", "right/fake"} <= figures
    for name in figures:
        points = store.client.get_metric_history(recorded.run.info.run_id, name)
        assert [(p.step, p.value) for p in points] == [
            (line["images_seen"], pytest.approx(line[name])) for line in history
        ]
    assert set(recorded.run.data.metrics) == figures
    assert [line["images_seen"] for line in history] == [32, 64, 96]


def test_settings_are_parameters_and_health_is_a_tag(recorded):
    data = recorded.run.data
    assert data.params == {k: str(v) for k, v in TINY.to_dict().items()}
    assert data.tags["ganaug.health"] == recorded.gan.history_[-1]["health"] == "good"
    assert recorded.run.info.status == "FINISHED"


def test_pictures_and_curves_are_artifacts(store, recorded):
    run_id = recorded.run.info.run_id
    names = {a.path for a in store.client.list_artifacts(run_id)}
    assert names == {"curves.png", "history.jsonl", "samples"}
    pictures = {a.path for a in store.client.list_artifacts(run_id, "samples")}
    assert pictures == {f"samples/{n:09d}.png" for n in (32, 64, 96)}


def test_the_generator_is_a_model_with_the_figures_of_its_last_interval(store, recorded):
    model = mlflow.pyfunc.load_model(f"runs:/{recorded.run.info.run_id}/generator")
    made = model.predict({"class": ["0", "1", "2"], "n": [2, 2, 2], "seed": [0, 0, 0]})
    np.testing.assert_array_equal(made, recorded.gan.generate(2, random_state=0)[0])
    figures = {m.key: m.value for m in mlflow.get_logged_model(model.model_id).metrics}
    last = recorded.gan.history_[-1]
    assert figures == {k: pytest.approx(v) for k, v in last.items() if isinstance(v, float)}


def test_a_fit_goes_below_an_active_run_and_leaves_it_open(store, tmp_path):
    known = {r.info.run_id for r in runs(store)}
    with mlflow.start_run() as mine:
        fit(tmp_path / "run")
        assert mlflow.active_run().info.run_id == mine.info.run_id
        assert store.client.get_run(mine.info.run_id).info.status == "RUNNING"
    assert new_run(store, known).data.tags["mlflow.parentRunId"] == mine.info.run_id


def terminate(images_seen):
    if images_seen == 48:
        os.kill(os.getpid(), signal.SIGTERM)


def test_an_interrupted_fit_is_recorded_as_killed_with_what_it_had(store, tmp_path):
    known = {r.info.run_id for r in runs(store)}
    with pytest.raises(TrainingInterrupted):
        fit(tmp_path / "run", on_step=terminate)
    run = new_run(store, known)
    assert run.info.status == "KILLED"
    assert mlflow.active_run() is None
    assert {a.path for a in store.client.list_artifacts(run.info.run_id)} == {
        "curves.png", "history.jsonl", "samples"
    }  # fmt: skip
    assert [p.step for p in store.client.get_metric_history(run.info.run_id, "loss/D")] == [32]


def test_a_fit_that_fails_is_recorded_as_failed(store, tmp_path):
    known = {r.info.run_id for r in runs(store)}

    def fail(images_seen):
        raise RuntimeError("stop here")

    with pytest.raises(RuntimeError, match="stop here"):
        fit(tmp_path / "run", on_step=fail)
    assert new_run(store, known).info.status == "FAILED"
    assert mlflow.active_run() is None


def test_figures_that_are_no_numbers_do_not_stop_the_record(store, tmp_path):
    known = {r.info.run_id for r in runs(store)}
    with MLflowFit(TINY, tmp_path) as record:
        record({"images_seen": 5, "health": "not finite: loss/D", "loss/D": float("nan"), "distance": 1.0})
    run = new_run(store, known)
    assert run.data.tags["ganaug.health"] == "not finite: loss/D"
    assert run.data.metrics["distance"] == 1.0


# --- ganaug fit --track ---------------------------------------------------------------------------


def command(store, monkeypatch, *args):
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", store.experiment)
    return CliRunner().invoke(cli.app, ["fit", *map(str, args), "--device", "cpu", "--track"])


@pytest.fixture
def rows(tmp_path):
    np.savez(tmp_path / "d.npz", x=IMAGES, y=DIGITS)
    return tmp_path / "d.npz"


def test_the_command_records_where_it_is_asked(store, rows, tmp_path, monkeypatch):
    known = {r.info.run_id for r in runs(store)}
    done = command(store, monkeypatch, rows, "--out", tmp_path / "run", "--train-images", 128)
    assert done.exit_code == 0, done.output
    run = new_run(store, known)
    assert run.data.params["train_images"] == "128"
    assert run.info.status == "FINISHED"
    assert run.data.metrics["spread"] > 0
    model = mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/generator")
    assert len(model.predict({"class": ["1"], "n": [2]})) == 2


def test_the_command_that_is_interrupted_records_that(store, rows, tmp_path, monkeypatch):
    known = {r.info.run_id for r in runs(store)}
    original = ganaug.training.loop.update_ema

    def signalled(*args):
        os.kill(os.getpid(), signal.SIGTERM)
        return original(*args)

    monkeypatch.setattr(ganaug.training.loop, "update_ema", signalled)
    done = command(store, monkeypatch, rows, "--out", tmp_path / "run", "--train-images", 6400)
    assert done.exit_code == 75
    assert new_run(store, known).info.status == "KILLED"


def test_a_folder_that_is_in_use_is_not_recorded_as_a_training(store, rows, tmp_path, monkeypatch):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "curves.png").write_bytes(b"of another training")
    known = {r.info.run_id for r in runs(store)}
    done = command(store, monkeypatch, rows, "--out", tmp_path / "run", "--train-images", 128)
    assert done.exit_code == 1
    for run in runs(store):
        if run.info.run_id not in known:
            assert list(store.client.list_artifacts(run.info.run_id)) == []


def test_nothing_is_recorded_where_it_is_not_asked(store, rows, tmp_path):
    known = {r.info.run_id for r in runs(store)}
    args = ["fit", str(rows), "--out", str(tmp_path / "run"), "--train-images", "64", "--device", "cpu"]
    assert CliRunner().invoke(cli.app, args).exit_code == 0
    assert {r.info.run_id for r in runs(store)} == known


def own_network(*, shape, n_classes, z_dim, width):
    return mlp(shape=shape, n_classes=n_classes, z_dim=z_dim, width=width)


def test_a_generator_with_an_own_network_stays_a_file(store, tmp_path):
    known = {r.info.run_id for r in runs(store)}
    config = replace(TINY, network=own_network)
    with pytest.warns(GanaugWarning, match=r"no model in MLflow, but a file.*network"):
        fit(tmp_path / "run", config=config)
    kept = {a.path for a in store.client.list_artifacts(new_run(store, known).info.run_id)}
    assert "generator.safetensors" in kept
