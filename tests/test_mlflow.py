"""Automatic records: a run for each training, wherever it happens, and nothing else changed."""

import mlflow
import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

import ganaug.mlflow
from ganaug import AugmentedClassifier, ConditionalGAN, DataError, GANConfig, GANOverSampler, compare

pixels, targets = load_digits(return_X_y=True)
IMAGES, DIGITS = pixels[targets < 3].reshape(-1, 8, 8)[:90], targets[targets < 3][:90]
RNG = np.random.default_rng(0)
ROWS, KINDS = RNG.normal(size=(60, 3)), np.repeat(["no", "yes"], [40, 20])
TINY = GANConfig(network="mlp", width=4, z_dim=4, batch_size=16, train_images=64, log_every_images=32)


@pytest.fixture
def new_runs(store):
    """Return a function that gives the runs of this test, the oldest first."""
    known = {r.info.run_id for r in store.client.search_runs([store.experiment])}

    def found():
        runs = store.client.search_runs([store.experiment], order_by=["start_time"])
        return [r for r in runs if r.info.run_id not in known]

    yield found
    ganaug.mlflow.autolog(disable=True)


def gan(**settings):
    return ConditionalGAN(config=TINY, random_state=0, **settings)


def test_a_training_is_recorded_with_its_model_and_is_the_same_as_without(new_runs):
    ganaug.mlflow.autolog()
    made = gan().fit(IMAGES, DIGITS)
    ganaug.mlflow.autolog(disable=True)
    unrecorded = gan().fit(IMAGES, DIGITS)
    (run,) = new_runs()
    assert (run.info.status, run.data.tags["ganaug.kind"]) == ("FINISHED", "fit")
    assert run.data.params["train_images"] == "64"
    assert run.data.metrics["loss/D"] == pytest.approx(made.history_[-1]["loss/D"])
    assert run.inputs.dataset_inputs
    assert mlflow.active_run() is None
    expected = unrecorded.generate(3)[0]
    np.testing.assert_array_equal(made.generate(3)[0], expected)
    opened = ganaug.load(f"runs:/{run.info.run_id}/generator")
    np.testing.assert_array_equal(opened.generate(3)[0], expected)


def test_trainings_inside_of_estimators_are_recorded_once_each(new_runs):
    ganaug.mlflow.autolog(log_models=False)
    ganaug.mlflow.autolog(log_models=False)  # asked twice, told once
    sampler = GANOverSampler(config=TINY, random_state=0)
    sampler.fit_resample(ROWS, KINDS)
    AugmentedClassifier(LogisticRegression(), sampler).fit(ROWS, KINDS)
    ganaug.SyntheticSwap(config=TINY).fit(ROWS, KINDS)
    runs = new_runs()
    assert [r.info.status for r in runs] == ["FINISHED"] * 3
    assert {r.data.params["class_sizes"] for r in runs} == {'{"no": 40, "yes": 20}'}
    assert "mlflow.parentRunId" not in runs[0].data.tags


def test_the_trainings_of_a_search_go_below_the_active_run(new_runs, store):
    ganaug.mlflow.autolog(log_models=False)
    model = AugmentedClassifier(LogisticRegression(), GANOverSampler(config=TINY, random_state=0))
    with mlflow.start_run() as mine:
        GridSearchCV(model, {"estimator__C": [0.1, 1.0]}, cv=2).fit(ROWS, KINDS)
        assert mlflow.active_run().info.run_id == mine.info.run_id
    parent, *below = new_runs()
    assert parent.info.run_id == mine.info.run_id
    assert store.client.get_run(mine.info.run_id).data.metrics == {}
    assert [r.data.tags["mlflow.parentRunId"] for r in below] == [mine.info.run_id] * 5


def test_what_is_no_training_is_not_recorded(new_runs):
    ganaug.mlflow.autolog()
    with pytest.raises(DataError):
        gan().fit(IMAGES, np.zeros(90))
    few = {"labelled_per_class": 5, "seeds": 3, "classifier": "forest", "config": TINY}
    compare(IMAGES, DIGITS, arms=["nothing", "oversampling", "gan"], **few)  # tracking=None
    assert new_runs() == []
    with pytest.raises(ZeroDivisionError):
        gan().fit(IMAGES, DIGITS, on_step=lambda seen: seen / 0)
    (run,) = new_runs()
    assert run.info.status == "FAILED"
    assert mlflow.active_run() is None
