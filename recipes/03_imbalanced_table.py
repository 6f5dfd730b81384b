"""Few rare cases in a table of mixed columns: what to try first, by paired runs of two classifiers."""

# %% Real data: 442 diabetes patients, of whom those whose disease progressed most are the rare class
import argparse

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.datasets import load_diabetes

import ganaug

BMI = {"normal": 25, "overweight": 30, "obese": np.inf}


def make_data(n_rare):
    """Return the table and its labels.

    Made by us: the label (scikit-learn's target is a number, and `n_rare` patients have the highest), the
    three grades of the body mass index, the words for sex, and the gaps in the blood pressure.
    """
    X, progression = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
    rapid = progression.rank(method="first") > len(X) - n_rare
    y = pd.Series(np.where(rapid, "rapid", "slow"), name="course")
    X["age"] = X["age"].astype(int)
    X["sex"] = X["sex"].map({1.0: "one", 2.0: "other"})
    X["bmi"] = pd.cut(X["bmi"], [0, *BMI.values()], labels=list(BMI), right=False)
    X.loc[np.random.default_rng(0).random(len(X)) < 0.1, "bp"] = np.nan
    return X, y


# %% What to try, the cheapest first; the verdict is about the last one
ARMS = ["nothing", "class weights", "threshold", "smote", "gan"]

ADVICE = {
    "helps": "Take the generated rows, and look at result.per_class for what they cost the other class.",
    "no evidence": "Nothing shows that the generated rows help: take {best}, which trains no GAN.\n"
    "More rare cases or more seeds narrow the interval.",
    "hurts": "Leave the generated rows out, and take {best}.",
}


# %% The scores as a picture: how much single folds differ, beside the differences between the arms
def draw(results, path):
    """Draw the score of each arm in each fold, and their means."""
    fig = Figure(figsize=(7, 3), layout="constrained")
    for axes, (name, result) in zip(
        fig.subplots(1, 2, sharex=True, sharey=True), results.items(), strict=True
    ):
        for row, arm in enumerate(ARMS):
            scores = 100 * result.scores(arm)
            axes.plot(scores, np.full(len(scores), row), "|", color="0.5", markersize=11)
            colour = "#b4530a" if arm == result.primary else "#1d5f9e"
            axes.plot(scores.mean(), row, "D" if arm == result.primary else "o", color=colour, markersize=8)
        axes.axvline(50, color="0.4", linewidth=1, linestyle="--")
        axes.set_title(f"{name}: gan against {result.best_control}\n{told(result.gain)}", fontsize=10)
        axes.set_xlabel("balanced accuracy, %")
        axes.spines[["top", "right"]].set_visible(False)
    axes.set_yticks(range(len(ARMS)), ARMS)
    axes.set_ylim(len(ARMS) - 0.5, -0.5)
    fig.savefig(path, dpi=150)


def told(gain):
    """Return a gain with its 95 % interval, in points."""
    return f"{gain.mean:+.1f} points [{gain.low:+.1f}, {gain.high:+.1f}]"


# %% Two classifiers, each under every arm on the same folds
def main(quick: bool = False) -> None:
    """Print a table, the verdict and what follows from it for each classifier."""
    seeds, folds, train_images = (3, 3, 500) if quick else (10, 5, 200_000)
    X, y = make_data(n_rare=35)
    kinds = X.dtypes.astype(str).value_counts().to_dict()
    gaps = X["bp"].isna().sum()
    print(f"{len(X)} rows, {(y == 'rapid').sum()} of them rapid, {gaps} without blood pressure")
    print("columns: " + ", ".join(f"{n} {kind}" for kind, n in kinds.items()))
    results = {}
    for classifier in ("logistic", "boosting"):
        results[classifier] = result = ganaug.compare(
            X,
            y,
            classifier=classifier,
            arms=ARMS,
            seeds=seeds,
            folds=folds,
            train_images=train_images,
            n_jobs=1 if quick else 2,
        )
        print(f"\n{classifier}, {seeds // folds} times {folds} folds:")
        print(result.table.drop(columns=["role", "fit_seconds"]).round(2).to_string())
        print(f"Verdict: {result.sentence}")
        print(ADVICE[result.verdict].format(best=repr(result.best_control)))
    draw(results, "03_imbalanced_table.png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tiny budget, to see that it runs")
    main(parser.parse_args().quick)
