"""From a comparison to a classifier in use, through MLflow: judge, record, register, load, predict."""

# %% Real data: digits to compare with, others that stand for the day after; a network of one's own
import argparse
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from sklearn.datasets import load_digits
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import train_test_split
from torch import nn

import ganaug
from ganaug.experiment.arms import ARMS, Arm

HERE, NAME = Path("recipe-06"), "digits-classifier"


def make_classifier():
    """Return a new network; called once for each arm and seed, always with the same weights."""
    return nn.Sequential(
        *(nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(16 * 16, 64), nn.ReLU(), nn.Linear(64, 10)),
    )


# %% An arm of one's own: what else could be added instead of generated samples?
def blends(part):
    """Return samples between two real ones of the wanted class, as MixUp does within a class."""
    rng = np.random.default_rng(part.seed)
    pairs = np.stack([rng.choice(np.flatnonzero(part.c == k), 2) for k in part.extra_c])
    share = torch.from_numpy(rng.random((len(pairs), 1, 1, 1))).float()
    return share * part.x[pairs[:, 0]] + (1 - share) * part.x[pairs[:, 1]]


def make_arms():
    """Return three controls and the treatment."""
    own = {"blends": Arm(role="control", extra=blends)}
    return {**{name: ARMS[name] for name in ("nothing", "oversampling")}, **own, "gan": ARMS["gan"]}


# %% Record it in a SQLite file; with a server, its address would stand here
def use_mlflow():
    """Set the store, and an experiment whose files lie beside it."""
    HERE.mkdir(exist_ok=True)
    mlflow.set_tracking_uri(f"sqlite:///{HERE / 'mlflow.db'}")
    if mlflow.get_experiment_by_name("digits") is None:
        mlflow.create_experiment("digits", artifact_location=(HERE / "artifacts").resolve().as_uri())
    mlflow.set_experiment("digits")


# %% The day after, in another process: all that is needed is in the store
def newest_comparison():
    """Return the newest comparison and a table of its runs, one for each arm and seed."""
    newest = "tags.`ganaug.kind` = 'comparison'"
    parent = mlflow.search_runs(filter_string=newest, max_results=1, output_format="list")[0]
    return parent, mlflow.search_runs(filter_string=f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'")


def register(run):
    """Give the recommended classifier a name and an alias, and return it as it is opened by these."""
    version = mlflow.register_model(f"runs:/{run.info.run_id}/classifier", NAME)
    mlflow.MlflowClient().set_registered_model_alias(NAME, "in-use", version.version)
    return mlflow.pyfunc.load_model(f"models:/{NAME}@in-use")


def draw(scores, images, labels, path):
    """Draw the scores by arm, and generated digits under what the classifier takes them for."""
    fig = Figure(figsize=(7, 3), layout="constrained")
    left, right = fig.subplots(1, 2, width_ratios=[1, 1.25])
    for column, (arm, found) in enumerate(scores.items()):
        left.plot(np.full(len(found), column), found, "_", color="0.5", markersize=14)
        colour, marker = ("#b4530a", "D") if arm == "gan" else ("#1d5f9e", "o")
        left.plot(column, np.mean(found), marker, color=colour, markersize=8)
    left.set_xticks(range(len(scores)), scores, rotation=20)
    left.set(ylabel="balanced accuracy, %", xlim=(-0.5, len(scores) - 0.5))
    left.spines[["top", "right"]].set_visible(False)
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    right.imshow(np.hstack([np.vstack(padded[i : i + 5]) for i in range(0, 50, 5)]), cmap="gray_r")
    for i, label in enumerate(labels):
        if label != i // 5:
            corner = 10 * (i // 5) + 0.2, 10 * (i % 5) + 0.2
            right.add_patch(Rectangle(corner, 8.6, 8.6, fill=False, edgecolor="#b4530a", linewidth=2))
    right.set(
        xticks=4.5 + 10 * np.arange(10),
        yticks=[],
        xticklabels=range(10),
        xlabel="generated digits; boxed: taken for another",
    )
    fig.savefig(path, dpi=130)


def main(quick: bool = False) -> None:
    """Print the verdict, what MLflow holds, and what the models do that it gives back."""
    seeds, steps, train_images = (3, 5, 100) if quick else (5, 400, 30_000)
    X, y = load_digits(return_X_y=True)
    X, X_later, y, y_later = train_test_split(
        X.reshape(-1, 8, 8), y, test_size=300, stratify=y, random_state=0
    )
    use_mlflow()
    result = ganaug.compare(
        X,
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
    print(f"Verdict: {result.sentence}")

    run, cells = newest_comparison()
    print(f"MLflow: verdict {run.data.tags['ganaug.verdict']!r}, {len(cells)} child runs")
    by_arm = {arm: cells[cells["tags.ganaug.arm"] == arm] for arm in make_arms()}
    scores = {arm: 100 * found["metrics.balanced_accuracy"] for arm, found in by_arm.items()}
    for arm, found in scores.items():
        print(f"  {arm:14} {found.mean():.2f} from {len(found)} runs")

    classifier = register(run)
    later = 100 * balanced_accuracy_score(y_later, classifier.predict(X_later))
    arm = run.data.tags["ganaug.classifier_arm"]
    print(f"{NAME}@in-use, trained with {arm!r}: {later:.2f} on {len(X_later)} new digits")

    generator = mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/generator")
    wanted = pd.DataFrame({"class": [str(k) for k in range(10)], "n": 5, "seed": 0})
    images = generator.predict(wanted)
    labels = classifier.predict(images)
    right = np.mean(labels == np.repeat(range(10), 5))
    print(
        f"generator: {len(images)} digits, {right:.0%} of which that classifier takes for what they should be"
    )
    draw(scores, images, labels, "06_mlflow_comparison.png")
    print(f"See it with: mlflow ui --backend-store-uri {mlflow.get_tracking_uri()}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tiny budget, to see that it runs")
    main(parser.parse_args().quick)
