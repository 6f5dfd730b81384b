"""Search the parameters of a generator and a classifier together, without training a generator twice."""

# %% Real data: breast cancer, with the malignant cases made rare
import argparse
import tempfile
from collections import Counter

import numpy as np
from imblearn.over_sampling import SMOTE, RandomOverSampler
from imblearn.pipeline import Pipeline
from matplotlib.figure import Figure
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, RepeatedStratifiedKFold, cross_validate
from sklearn.preprocessing import StandardScaler

import ganaug
from ganaug.experiment.statistics import corrected_gain

STRENGTHS = [0.1, 1.0, 10.0]  # of the classifier


def make_data(n_malignant):
    """Return the benign cases and a few malignant ones; label 1 is malignant."""
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    malignant = 1 - y
    kept = np.r_[np.flatnonzero(malignant == 0), np.flatnonzero(malignant == 1)[:n_malignant]]
    return X.iloc[kept].reset_index(drop=True), malignant.iloc[kept].reset_index(drop=True)


# %% What to try: rows as they are, copies, SMOTE, and generators by their training
def make_grid(budgets):
    """Return the candidates without a generator, and those with one."""
    classifier = {"classify__C": STRENGTHS}
    gan = ganaug.GANOverSampler(random_state=0)  # without a number each fit is another, and none is reused
    plain = ["passthrough", RandomOverSampler(random_state=0), SMOTE(random_state=0)]
    return {"sample": plain, **classifier}, {"sample": [gan], "sample__train_images": budgets, **classifier}


def label(candidate):
    """Return what a candidate does about the rare class, in words."""
    if "sample__train_images" in candidate:
        return f"GAN, {candidate['sample__train_images']:,} rows shown"
    sampler = candidate["sample"]
    return "nothing" if sampler == "passthrough" else type(sampler).__name__


# %% Whatever learns from data stands inside the pipeline, so that no row it is judged by leaks
def make_search(grid, folder, folds):
    """Return the search; its pipeline keeps in a folder what the steps before the classifier made."""
    steps = [
        ("scale", StandardScaler()),
        ("sample", "passthrough"),
        ("classify", LogisticRegression(max_iter=2000)),
    ]
    pipeline = Pipeline(steps, memory=folder)
    return GridSearchCV(pipeline, grid, scoring="balanced_accuracy", cv=folds, error_score="raise")


def draw(found, path):
    """Draw the score of each candidate, a mean over all folds of all searches."""
    rows = list(dict.fromkeys(label(candidate) for candidate, _ in found))
    table = np.zeros((len(rows), len(STRENGTHS)))
    for candidate, score in found:
        table[rows.index(label(candidate)), STRENGTHS.index(candidate["classify__C"])] = score
    fig = Figure(figsize=(7, 3), layout="constrained")
    axes = fig.add_subplot()
    image = axes.imshow(table, cmap="cividis", aspect="auto")
    for (row, column), score in np.ndenumerate(table):
        dark = score < (table.min() + table.max()) / 2
        axes.text(column, row, f"{score:.1f}", ha="center", va="center", color="white" if dark else "black")
    axes.set_xticks(range(len(STRENGTHS)), STRENGTHS)
    axes.set_yticks(range(len(rows)), rows)
    axes.set_xlabel("C of the logistic regression")
    fig.colorbar(image, label="balanced accuracy, %")
    fig.savefig(path, dpi=130)


# %% Search with and without generators to choose from, in the same outer folds
def main(quick: bool = False) -> None:
    """Print what was chosen, and what it is worth on rows that no search has seen."""
    budgets, folds, repeats = ([200], 2, 1) if quick else ([10_000, 40_000], 3, 2)
    X, y = make_data(n_malignant=30)
    plain, generated = make_grid(budgets)
    outer = RepeatedStratifiedKFold(n_splits=folds, n_repeats=repeats, random_state=0)
    options = {"cv": outer, "scoring": "balanced_accuracy", "n_jobs": 1 if quick else 2}
    scores, searches = {}, {}
    with tempfile.TemporaryDirectory(dir=".") as folder:
        for name, grid in (("without", plain), ("with", [plain, generated])):
            done = cross_validate(make_search(grid, folder, folds), X, y, return_estimator=True, **options)
            scores[name], searches[name] = 100 * done["test_score"], done["estimator"]

    candidates = searches["with"][0].cv_results_["params"]
    means = np.mean([search.cv_results_["mean_test_score"] for search in searches["with"]], axis=0)
    seconds = np.mean([search.cv_results_["mean_fit_time"] for search in searches["with"]], axis=0)
    draw(list(zip(candidates, 100 * means, strict=True)), "05_sklearn_search.png")
    last = label(candidates[-1])
    fits = [t for candidate, t in zip(candidates, seconds, strict=True) if label(candidate) == last]
    chosen = Counter(label(search.best_params_) for search in searches["with"])
    print(f"{len(y)} rows, {y.sum()} of them malignant; {len(candidates)} candidates, {folds} inner folds")
    print(f"{last}: first fit {fits[0]:.2f} s, with another C {np.mean(fits[1:]):.2f} s")
    print("chosen: " + ", ".join(f"{name} ({n} of {folds * repeats})" for name, n in chosen.most_common()))
    gain = corrected_gain(scores["with"] - scores["without"], overlap=1 / (folds - 1))
    for name, found in scores.items():
        print(f"{name:8} generators to choose from: balanced accuracy {found.mean():.1f} %")
    print(f"gain {gain.mean:+.2f} points [{gain.low:+.2f}, {gain.high:+.2f}] on {len(found)} outer folds")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tiny budget, to see that it runs")
    main(parser.parse_args().quick)
