"""Fixtures shared by all tests: real digits, a fast config, and a quiet environment."""

import os

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
os.environ["GANAUG_CACHE"] = "off"  # pixels of image folders; tests of the cache name a folder
os.environ["OMP_NUM_THREADS"] = "1"  # here and in child processes: small networks only wait for threads

import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.datasets import load_digits

from ganaug.config import GANConfig

PACKAGE = Path(__file__).parents[1] / "ganaug"


@pytest.fixture(scope="session")
def package() -> Path:
    """Folder of the package's sources."""
    return PACKAGE


@pytest.fixture(scope="session")
def digits() -> tuple[np.ndarray, np.ndarray]:
    """Return three classes of 8x8 digits, 30 of each, as uint8 images 0..16 and integer labels."""
    source = load_digits()
    rows = np.concatenate([np.flatnonzero(source.target == k)[:30] for k in (1, 4, 7)])
    return source.images[rows].astype(np.uint8), source.target[rows]


@pytest.fixture(scope="session")
def table() -> tuple[np.ndarray, np.ndarray]:
    """Return two separated clouds of 40 rows with three columns each, and labels "no" and "yes"."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 3)) + np.repeat([[-4.0], [4.0]], 40, axis=0)
    return X, np.repeat(["no", "yes"], 40)


@pytest.fixture(scope="session")
def tiny() -> GANConfig:
    """Return a config whose training takes a fraction of a second."""
    return GANConfig(
        network="mlp",
        width=4,
        z_dim=8,
        train_images=64,
        batch_size=16,
        log_every_images=32,
        precision="float32",
    )


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a SQLite store of MLflow without runs, for copies: its tables take seconds to make."""
    import mlflow

    before, file = mlflow.get_tracking_uri(), tmp_path_factory.mktemp("empty") / "mlflow.db"
    mlflow.set_tracking_uri(f"sqlite:///{file}")
    mlflow.search_experiments()
    mlflow.set_tracking_uri(before)
    return file


@pytest.fixture(scope="module")
def store(empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """Make a real SQLite store of this file's own the current one, with artifacts beside it."""
    import mlflow

    folder, before = tmp_path_factory.mktemp("mlflow"), mlflow.get_tracking_uri()
    uri = f"sqlite:///{shutil.copy(empty_store, folder / 'mlflow.db')}"
    mlflow.set_tracking_uri(uri)
    experiment = mlflow.create_experiment("tests", artifact_location=(folder / "artifacts").as_uri())
    mlflow.set_experiment(experiment_id=experiment)
    yield SimpleNamespace(client=mlflow.MlflowClient(), experiment=experiment, uri=uri)
    mlflow.set_tracking_uri(before)
