"""A training in MLflow: its settings, its figures by images seen, its pictures; and how it ended."""

import json
import os
import re
import shutil
import signal
import sqlite3
import threading
import time
from dataclasses import replace
from importlib.metadata import version
from types import SimpleNamespace

import mlflow
import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits
from typer.testing import CliRunner

import ganaug
from ganaug import GANConfig, cli
from ganaug.errors import GanaugWarning, TrainingDivergedError, TrainingInterrupted
from ganaug.experiment.fit_tracking import FitTracker
from ganaug.networks.mlp import mlp
from ganaug.training.checkpoint import load_tensors
from ganaug.training.state import GANState

pixels, targets = load_digits(return_X_y=True)
IMAGES, DIGITS = pixels[targets < 3].reshape(-1, 8, 8)[:90], targets[targets < 3][:90]
TINY = GANConfig(network="mlp", width=4, z_dim=4, batch_size=16, train_images=96, log_every_images=32)


def runs(store, experiment=None):
    return store.client.search_runs([experiment or store.experiment], "tags.`ganaug.kind` = 'fit'")


def new_run(store, known):
    (run,) = [r for r in runs(store) if r.info.run_id not in known]
    return run


def fit(out, config=TINY, *, tracker=None, **options):
    with (tracker or FitTracker(data_name="digits")).recording():
        return ganaug.ConditionalGAN(config=config, random_state=0).fit(IMAGES, DIGITS, out=out, **options)


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
    sizes = {str(k): int((k == DIGITS).sum()) for k in range(3)}
    facts = {"seed": 0, "device": "auto", "kind": "image", "n_samples": 90, "n_classes": 3}
    told = {**recorded.gan.config_.to_dict(), **facts, "class_sizes": json.dumps(sizes)}
    assert data.params == {k: str(v) for k, v in told.items()}
    assert data.tags["ganaug.health"] == recorded.gan.history_[-1]["health"] == "good"
    assert data.tags["torch.version"] == version("torch")
    assert recorded.run.info.status == "FINISHED"


def test_the_data_is_an_input(recorded):
    (found,) = recorded.run.inputs.dataset_inputs
    checkpoint = max((recorded.out / "checkpoints").iterdir())
    assert found.dataset.digest == load_tensors(checkpoint)[1]["data"]
    assert found.dataset.name == "digits"
    assert {t.value for t in found.tags} == {"training"}


def test_samples_have_a_step_each_and_curves_are_artifacts(store, recorded):
    run_id = recorded.run.info.run_id
    names = {a.path for a in store.client.list_artifacts(run_id)}
    assert names == {"curves.png", "history.jsonl", "images"}
    pictures = [a.path for a in store.client.list_artifacts(run_id, "images") if a.path.endswith(".png")]
    by_step = {int(re.search(r"samples\+step\+(\d+)\+", path)[1]): path for path in pictures}
    assert set(by_step) == {32, 64, 96}
    for step, path in by_step.items():
        kept = Image.open(recorded.out / "samples" / f"{step:09d}.png")
        shown = Image.open(mlflow.artifacts.download_artifacts(f"runs:/{run_id}/{path}"))
        np.testing.assert_array_equal(np.asarray(shown), np.asarray(kept))
    lines = mlflow.artifacts.load_text(f"runs:/{run_id}/history.jsonl").splitlines()
    assert [json.loads(line) for line in lines] == recorded.gan.history_


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


def test_a_fit_that_fails_is_recorded_as_failed(store, tmp_path):
    known = {r.info.run_id for r in runs(store)}

    def fail(images_seen):
        raise RuntimeError("stop here")

    with pytest.raises(RuntimeError, match="stop here"):
        fit(tmp_path / "run", on_step=fail)
    assert new_run(store, known).info.status == "FAILED"
    assert mlflow.active_run() is None


def test_figures_that_are_no_numbers_do_not_stop_the_record(store, monkeypatch):
    known = {r.info.run_id for r in runs(store)}
    took = GANState.take_means
    monkeypatch.setattr(GANState, "take_means", lambda self: {**took(self), "loss/G": float("nan")})
    with FitTracker().recording(), pytest.raises(TrainingDivergedError):
        ganaug.ConditionalGAN(config=TINY, random_state=0).fit(IMAGES, DIGITS)
    run = new_run(store, known)
    assert run.info.status == "FAILED"
    assert "not finite: loss/G" in run.data.tags["ganaug.health"]
    assert np.isfinite(run.data.metrics["distance"])
    assert not mlflow.search_logged_models(
        [store.experiment], filter_string=f"source_run_id = '{run.info.run_id}'", output_format="list"
    )  # there is no sound generator


# --- a record that breaks off, and one that goes on -----------------------------------------------


def test_a_store_that_breaks_in_the_middle_ends_the_record_and_not_the_training(
    store, empty_store, tmp_path, monkeypatch
):
    monkeypatch.delenv("MLFLOW_EXPERIMENT_ID")  # of the store of this file
    broken = shutil.copy(empty_store, tmp_path / "broken.db")
    mlflow.set_tracking_uri(f"sqlite:///{broken}")

    def spoil(images_seen):
        if images_seen == 48:
            with sqlite3.connect(broken) as database:
                database.execute("DROP TABLE metrics")

    try:
        with pytest.warns(GanaugWarning, match="MLflow cannot be written to; the training goes on") as told:
            gan = fit(tmp_path / "run", tracker=FitTracker(experiment="x"), on_step=spoil)
        assert len([w for w in told if w.category is GanaugWarning]) == 1
        assert mlflow.active_run() is None
    finally:
        mlflow.set_tracking_uri(store.uri)
    assert [line["images_seen"] for line in gan.history_] == [32, 64, 96]
    unrecorded = ganaug.ConditionalGAN(config=TINY, random_state=0).fit(IMAGES, DIGITS)
    np.testing.assert_array_equal(
        ganaug.load(tmp_path / "run").generate(2)[0], unrecorded.generate(2)[0]
    )  # recording draws no random number either


def test_a_server_that_is_not_there_costs_a_training_nothing(store, tmp_path):
    mlflow.set_tracking_uri("http://127.0.0.1:9")
    try:
        with pytest.warns(GanaugWarning, match="the training goes on without it"):
            fit(tmp_path / "run")
    finally:
        mlflow.set_tracking_uri(store.uri)
    assert (tmp_path / "run" / "generator.safetensors").is_file()


@pytest.fixture(scope="module")
def halted(store, tmp_path_factory):
    """Return the folder and run of a training that was interrupted after its first interval."""
    out = tmp_path_factory.mktemp("halted") / "run"
    known = {r.info.run_id for r in runs(store)}
    with pytest.raises(TrainingInterrupted):
        fit(out, on_step=terminate)
    return SimpleNamespace(out=out, run=new_run(store, known))


def steps(store, run_id):
    return sorted(p.step for p in store.client.get_metric_history(run_id, "loss/D"))


@pytest.mark.parametrize("why", ["another budget", "deleted", "damaged"])
def test_where_it_cannot_go_on_a_resumed_training_has_a_run_with_all_of_its_figures(
    store, halted, tmp_path, why
):
    config, run_id = TINY, halted.run.info.run_id
    shutil.copytree(halted.out, tmp_path / "run")
    file = tmp_path / "run" / "mlflow.json"
    if why == "another budget":
        config = replace(TINY, train_images=64)
    elif why == "deleted":
        store.client.delete_run(run_id)
    else:
        file.write_text("[]")
    known = {r.info.run_id for r in runs(store)}
    fit(tmp_path / "run", config, tracker=FitTracker(log_models=False), resume=True)
    if why == "deleted":
        store.client.restore_run(run_id)
        known.add(run_id)
    again = new_run(store, known).info.run_id
    assert steps(store, again) == list(range(32, config.train_images + 1, 32))
    assert json.loads(file.read_text()) == {"run_id": again}


def test_a_resumed_training_goes_on_in_its_run(store, halted):
    known, run_id = {r.info.run_id for r in runs(store)}, halted.run.info.run_id
    assert (halted.run.info.status, steps(store, run_id)) == ("KILLED", [32])
    kept = {a.path for a in store.client.list_artifacts(run_id)}
    assert kept == {"curves.png", "history.jsonl", "images"}  # what it had, and no generator
    gan = fit(halted.out, resume=True)
    assert {r.info.run_id for r in runs(store)} == known
    assert steps(store, run_id) == [32, 64, 96]
    assert store.client.get_run(run_id).info.status == "FINISHED"
    model = mlflow.pyfunc.load_model(f"runs:/{run_id}/generator")
    made = model.predict({"class": ["1"], "n": [3], "seed": [4]})
    np.testing.assert_array_equal(made, gan.generate({1: 3}, random_state=4)[0])


def test_what_was_not_recorded_before_is_recorded_when_it_goes_on(store, tmp_path):
    with pytest.raises(TrainingInterrupted):
        ganaug.ConditionalGAN(config=TINY, random_state=0).fit(
            IMAGES, DIGITS, out=tmp_path / "run", on_step=terminate
        )
    known = {r.info.run_id for r in runs(store)}
    fit(tmp_path / "run", tracker=FitTracker(log_models=False), resume=True)
    assert steps(store, new_run(store, known).info.run_id) == [32, 64, 96]


def test_figures_of_the_machine_come_where_asked_and_end_with_the_run(store, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.05")

    def monitors():
        return [t for t in threading.enumerate() if t.name == "SystemMetricsMonitor"]

    for asked in (True, False):
        known = {r.info.run_id for r in runs(store)}

        def stop(images_seen):
            if images_seen == 48:
                deadline = time.monotonic() + 20
                while monitors() and time.monotonic() < deadline:
                    if store.client.get_run(new_run(store, known).info.run_id).data.metrics.get(  # noqa: B023
                        "system/cpu_utilization_percentage"
                    ):
                        break
                terminate(images_seen)

        with pytest.raises(TrainingInterrupted):
            fit(tmp_path / str(asked), tracker=FitTracker(system_metrics=asked), on_step=stop)
        assert not monitors()
        run = new_run(store, known)
        assert run.info.status == "KILLED"
        assert any(name.startswith("system/") for name in run.data.metrics) == asked


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
    with pytest.warns(GanaugWarning, match=r"generator is not kept as a model.*network"):
        fit(tmp_path / "run", config=config)
    kept = {a.path for a in store.client.list_artifacts(new_run(store, known).info.run_id)}
    assert "generator.safetensors" in kept
