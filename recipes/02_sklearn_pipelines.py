"""Three ways to put synthetic rows into scikit-learn, beside doing nothing and plain copies."""

# %% Real data: breast cancer, with the malignant cases made rare
import argparse

import numpy as np
from imblearn.over_sampling import RandomOverSampler
from imblearn.pipeline import make_pipeline as make_sampling_pipeline
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import ganaug

SCORES = ("balanced_accuracy", "average_precision")


def make_data(n_malignant):
    """Return the benign cases and a few malignant ones; label 1 is malignant."""
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    malignant = 1 - y
    kept = np.r_[np.flatnonzero(malignant == 0), np.flatnonzero(malignant == 1)[:n_malignant]]
    return X.iloc[kept].reset_index(drop=True), malignant.iloc[kept].reset_index(drop=True)


# %% The five ways; whatever learns from data stands inside the pipeline, so no test row leaks
def make_ways(train_images):
    """Return estimators by name, all around the same classifier."""

    def classifier():
        return LogisticRegression(max_iter=2000)

    budget = {"train_images": train_images, "random_state": 0}
    search = GridSearchCV(
        ganaug.AugmentedClassifier(classifier(), **budget),
        {"synthetic_weight": [0.3, 1.0]},
        scoring="balanced_accuracy",
        cv=2,
    )
    return {
        "nothing": make_pipeline(StandardScaler(), classifier()),
        "RandomOverSampler": make_sampling_pipeline(
            StandardScaler(), RandomOverSampler(random_state=0), classifier()
        ),
        "GANOverSampler": make_sampling_pipeline(
            StandardScaler(), ganaug.GANOverSampler(**budget), classifier()
        ),
        "SyntheticSwap": make_pipeline(StandardScaler(), ganaug.SyntheticSwap(p=0.3, **budget), classifier()),
        "AugmentedClassifier in GridSearchCV": make_pipeline(StandardScaler(), search),
    }


# %% Score them on the same folds
def main(quick: bool = False) -> None:
    """Print mean scores over the folds, in percent."""
    train_images = 500 if quick else 60_000
    X, y = make_data(n_malignant=30)
    folds = StratifiedKFold(n_splits=3, shuffle=True, random_state=0)
    print(f"{len(y)} rows, {int(y.sum())} of them malignant; means over 3 folds, in percent")
    print(f"{'':36}" + "".join(f"{name:>20}" for name in SCORES))
    for name, way in make_ways(train_images).items():
        found = cross_validate(way, X, y, cv=folds, scoring=SCORES, error_score="raise")
        means = (100 * found[f"test_{score}"].mean() for score in SCORES)
        print(f"{name:36}" + "".join(f"{mean:20.1f}" for mean in means))
    print("Three folds, 10 rare cases in each: a point is within luck. Ask ganaug.compare for an interval.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tiny budget, to see that it runs")
    main(parser.parse_args().quick)
