"""Judge your own classifier and your own control arm, and read the record back from MLflow."""

# %% Real data, and a classifier of one's own
import argparse
from pathlib import Path

import mlflow
import numpy as np
import torch
from mlflow import MlflowClient
from sklearn.datasets import load_digits
from torch import nn

import ganaug
from ganaug.experiment.arms import ARMS, Arm

HERE = Path("recipe-04")


def make_classifier():
    """Return a new network; called once for each arm and seed, always with the same weights."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * 16, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )


# %% An arm of one's own: what else could be added instead of synthetic samples?
def blends(part):
    """Return samples between two real ones of the wanted class, as MixUp does within a class."""
    rng = np.random.default_rng(part.seed)
    pairs = np.stack([rng.choice(np.flatnonzero(part.c == k), 2) for k in part.extra_c])
    share = torch.from_numpy(rng.random((len(pairs), 1, 1, 1))).float()
    return share * part.x[pairs[:, 0]] + (1 - share) * part.x[pairs[:, 1]]


def make_arms():
    """Return three controls and the treatment."""
    return {
        "nothing": ARMS["nothing"],
        "oversampling": ARMS["oversampling"],
        "blends": Arm(role="control", extra=blends),
        "gan": ARMS["gan"],
    }


# %% Compare, and record it in a SQLite file
def main(quick: bool = False) -> None:
    """Print the table and the verdict, then what MLflow holds."""
    seeds, steps, train_images = (3, 20, 300) if quick else (5, 400, 30_000)
    HERE.mkdir(exist_ok=True)
    mlflow.set_tracking_uri(f"sqlite:///{HERE / 'mlflow.db'}")
    if mlflow.get_experiment_by_name("digits") is None:
        mlflow.create_experiment("digits", artifact_location=(HERE / "artifacts").resolve().as_uri())
    mlflow.set_experiment("digits")

    X, y = load_digits(return_X_y=True)
    result = ganaug.compare(
        X.reshape(-1, 8, 8),
        y,
        classifier=make_classifier,
        arms=make_arms(),
        seeds=seeds,
        labelled_per_class=10,
        steps=steps,
        train_images=train_images,
        n_jobs=1 if quick else 2,
        tracking="mlflow",
    )
    print(result.table.drop(columns=["fit_seconds", "gan_seconds"]).round(2).to_string())
    print(f"Verdict: {result.sentence}")

    # %% Read it back: a parent run with the verdict, and a child for each arm and seed
    client = MlflowClient()
    experiment = client.get_experiment_by_name("digits").experiment_id
    parent = client.search_runs([experiment], "tags.`ganaug.kind` = 'comparison'", max_results=1)[0]
    children = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'")
    print(f"MLflow: verdict {parent.data.tags['ganaug.verdict']!r}, {len(children)} child runs")
    for arm in make_arms():
        runs = [run for run in children if run.data.tags["ganaug.arm"] == arm]
        scores = [100 * run.data.metrics["balanced_accuracy"] for run in runs]
        print(f"  {arm:14} {np.mean(scores):.2f} from {len(runs)} runs")
    print(f"See it with: mlflow ui --backend-store-uri {mlflow.get_tracking_uri()}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tiny budget, to see that it runs")
    main(parser.parse_args().quick)
