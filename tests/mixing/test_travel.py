"""Fitted estimators copied, pickled, and opened where nothing but the file is known."""

import copy
import json
import os
import pickle
import subprocess
import sys

import cloudpickle
import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from ganaug import AugmentedClassifier, ConditionalGAN, GANConfig, GANOverSampler, SyntheticSwap
from ganaug.adversarial.regularizers import R1
from ganaug.experiment.preprocessing import TableFrame

CONFIG = GANConfig(width=8, z_dim=4, batch_size=16, train_images=32, regularizers=(R1(gamma=0.1),))
SETTINGS = {"config": CONFIG, "random_state": 0}
ESTIMATORS = {
    "gan": ConditionalGAN(**SETTINGS),
    "sampler": GANOverSampler(**SETTINGS),
    "swap": SyntheticSwap(**SETTINGS),
    "classifier": AugmentedClassifier(LogisticRegression(), **SETTINGS),
    "classifier with a swap": AugmentedClassifier(LogisticRegression(), SyntheticSwap(**SETTINGS)),
}


def rows(n=78):
    X = StandardScaler().fit_transform(np.random.default_rng(0).normal(size=(n, 4)))
    return X, (np.arange(n) % 4 == 0).astype(int)


def fitted(estimator, X, y):
    estimator = clone(estimator)
    if hasattr(estimator, "fit_resample"):
        estimator.fit_resample(X, y)
        return estimator
    return estimator.fit(X, y)


def works(estimator):
    """Return the next that an estimator draws, or what it predicts."""
    found = estimator
    for inner in ("sampler_", "gan_"):
        found = getattr(found, inner, found)
    drawn = found.generate(2)[0].tolist()
    predicted = estimator.predict(rows()[0]).tolist() if hasattr(estimator, "predict") else None
    return [drawn, predicted]


@pytest.fixture(scope="module")
def all_fitted():
    return {name: fitted(estimator, *rows()) for name, estimator in ESTIMATORS.items()}


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))])
def test_a_copy_goes_on_where_the_original_was_and_on_its_own(all_fitted, name, way):
    original = copy.deepcopy(all_fitted[name])
    other = way(original)
    first = works(original)
    if way is not copy.copy or name == "gan":  # a shallow copy shares what is inside, as it should
        assert works(other) == first
        assert works(other) == works(original) != first


@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_clone_has_the_settings_alone(all_fitted, name):
    estimator = all_fitted[name]
    other = clone(estimator)
    assert other.get_params(deep=False).keys() == estimator.get_params(deep=False).keys()
    assert other.get_params()["config"] == CONFIG or name == "classifier with a swap"
    assert not [k for k in vars(other) if k.endswith("_") and not k.startswith("_")]
    assert works(fitted(other, *rows())) == works(copy.deepcopy(estimator))


OPENS = """
import json, pathlib, pickle, sys
import joblib, numpy as np
from sklearn.preprocessing import StandardScaler

def opened(file):
    return joblib.load(file) if file.suffix == ".joblib" else pickle.loads(file.read_bytes())

X = np.load(sys.argv[1] + "/X.npy")
found = {}
for file in pathlib.Path(sys.argv[1]).glob("*.*l*"):
    estimator = opened(file)
    inner = getattr(estimator, "sampler_", estimator)
    drawn = getattr(inner, "gan_", inner).generate(2)[0].tolist()
    found[file.name] = [drawn, estimator.predict(X).tolist() if hasattr(estimator, "predict") else None]
print(json.dumps(found))
"""


def test_another_process_opens_them_and_goes_on_the_same(all_fitted, tmp_path):
    np.save(tmp_path / "X.npy", rows()[0])
    for name, estimator in all_fitted.items():
        (tmp_path / f"{name}.pkl").write_bytes(pickle.dumps(estimator))
        (tmp_path / f"{name}.cloudpickle").write_bytes(cloudpickle.dumps(estimator))
        joblib.dump(estimator, tmp_path / f"{name}.joblib", compress=3)
    run = subprocess.run([sys.executable, "-c", OPENS, tmp_path], capture_output=True, text=True, check=True)
    found = json.loads(run.stdout)
    assert len(found) == 3 * len(ESTIMATORS)
    for name, estimator in all_fitted.items():
        expected = works(copy.deepcopy(estimator))
        for ending in ("pkl", "cloudpickle", "joblib"):
            assert found[f"{name}.{ending}"] == expected


@pytest.mark.parametrize("name", ESTIMATORS)
def test_no_training_row_travels_along(all_fitted, name):
    whole = pickle.dumps(all_fitted[name])
    found = [x.tobytes() in whole for x in rows()[0]]
    assert not any(found)
    more = pickle.dumps(fitted(ESTIMATORS[name], *rows(20_000)))
    assert len(more) - len(whole) < 40_000  # of 640,000 bytes; which rows were swapped is a byte each


def test_what_was_only_drawn_for_does_not_travel():
    config = GANConfig(width=8, z_dim=4, batch_size=16, train_images=64, log_every_images=32, snapshot="best")
    gan = ConditionalGAN(config=config, random_state=0).fit(*rows())
    before = len(pickle.dumps(gan))
    gan.generate(2)
    assert abs(len(pickle.dumps(gan)) - before) < 100
    assert np.array_equal(pickle.loads(pickle.dumps(gan)).generate(3)[0], gan.generate(3)[0])


def test_frames_and_images_travel_too():
    X, y = rows()
    frame = pd.DataFrame({"length": X[:, 0], "word": np.where(X[:, 1] > 0, "u", "v"), "wide": X[:, 3] > 0})
    images = np.random.default_rng(0).integers(0, 256, (78, 3, 8, 8), dtype=np.uint8)
    for data in (frame, images):
        gan = ConditionalGAN(config=CONFIG, random_state=0).fit(data, y)
        X_new = pickle.loads(pickle.dumps(gan)).generate(4)[0]
        assert type(X_new) is type(data)
        assert np.array_equal(X_new, gan.generate(4)[0])
    table = TableFrame().fit(frame)
    pd.testing.assert_frame_equal(pickle.loads(pickle.dumps(table)).transform(frame), table.transform(frame))


def test_a_pickle_from_an_accelerator_holds_networks_on_the_cpu(all_fitted):
    gan = copy.deepcopy(all_fitted["gan"])
    expected = gan.generate(2, random_state=0)[0]
    state = gan.__getstate__()
    assert {p.device.type for p in state["G_"].parameters()} == {"cpu"}
    assert state["G_"] is state["_drawing"].G  # opened, the two are one network still
    opened = pickle.loads(pickle.dumps(gan))
    assert opened.G_ is opened._drawing.G
    assert np.array_equal(opened.generate(2, random_state=0)[0], expected)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_what_was_fitted_on_a_gpu_opens_without_one(tmp_path):
    gan = ConditionalGAN(device="cuda", **SETTINGS).fit(*rows())
    file = tmp_path / "gan.pkl"
    file.write_bytes(pickle.dumps(gan))
    opens = f"import pickle; print(pickle.load(open({str(file)!r}, 'rb')).generate(2)[0].shape)"
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    run = subprocess.run([sys.executable, "-c", opens], capture_output=True, text=True, env=environment)
    assert run.stdout.strip() == "(4, 4)", run.stderr
    assert next(pickle.loads(pickle.dumps(gan)).G_.parameters()).is_cuda
