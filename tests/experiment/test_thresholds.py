import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score

from ganaug.experiment.classifiers import Recipe
from ganaug.experiment.metrics import METRICS
from ganaug.experiment.thresholds import best_factors, tuned_factors

BALANCED = METRICS["balanced_accuracy"]


def skewed(n=400, seed=0):
    """Return two classes, 10 % of the second, and the probabilities that a classifier may give them."""
    rng = np.random.default_rng(seed)
    c = (rng.random(n) < 0.1).astype(int)
    p = (0.1 + 0.25 * c + 0.1 * rng.normal(size=n)).clip(0.01, 0.99)
    return c, np.stack([1 - p, p], axis=1)


def nothing_added(X, c):
    """Return a recipe of real samples alone."""
    return Recipe(
        X=X,
        x=torch.from_numpy(X),
        c=c,
        x_extra=None,
        extra_c=c[:0],
        used=torch.empty(0, dtype=torch.bool),
        class_weights=False,
        transform=None,
    )


def test_of_two_classes_the_threshold_with_the_best_metric_is_found():
    c, p = skewed()
    found = BALANCED(c, (p * best_factors(c, p, BALANCED)).argmax(1), p)
    thresholds = np.linspace(0, 1, 2001)
    best = max(balanced_accuracy_score(c, p[:, 1] > t) for t in thresholds)
    assert found == pytest.approx(best, abs=0.005)
    assert found > BALANCED(c, p.argmax(1), p) + 0.2


def test_where_one_in_a_thousand_is_positive_the_threshold_that_flags_as_many_is_found():
    rng = np.random.default_rng(0)
    c = np.zeros(20_000, int)
    c[:20] = 1
    p = np.where(c, rng.uniform(0.25, 0.3, len(c)), rng.beta(1, 40, len(c)) * 0.26)
    p = np.stack([1 - p, p], axis=1)
    macro_f1 = METRICS["macro_f1"]
    found = macro_f1(c, (p * best_factors(c, p, macro_f1)).argmax(1), p)
    best = max(macro_f1(c, (p[:, 1] > t).astype(int), p) for t in np.sort(p[:, 1])[-200:])
    assert best > 0.95
    assert found > best - 0.05


def test_nothing_is_changed_where_nothing_is_gained():
    c = np.array([0, 0, 1, 1])
    p = np.eye(2)[c] * 0.8 + 0.1
    assert best_factors(c, p, BALANCED).tolist() == [0.5, 0.5]
    more = np.eye(3)[[0, 0, 1, 2]]
    assert best_factors(np.array([0, 0, 1, 2]), more, BALANCED).tolist() == [1, 1, 1]


def test_of_more_classes_the_shares_are_divided_out_where_that_helps():
    rng = np.random.default_rng(0)
    c = rng.choice(3, 600, p=[0.8, 0.15, 0.05])
    likelihood = np.exp(1.2 * np.eye(3)[c] + 0.5 * rng.normal(size=(600, 3)))
    p = likelihood * [0.8, 0.15, 0.05]
    factors = best_factors(c, p, BALANCED)
    assert factors[2] > factors[1] > factors[0]
    assert BALANCED(c, (p * factors).argmax(1), p) > BALANCED(c, p.argmax(1), p) + 0.2


def test_where_groups_leave_a_fold_without_a_class_nothing_is_tuned():
    c = torch.tensor([1] * 30 + [0] * 30 + [1] + [0] * 10)
    groups = np.array([0] * 30 + [1] * 30 + [2] * 11)
    X = np.arange(len(c))[:, None]
    recipe = nothing_added(X, c)

    def fit(inner, rows):
        raise AssertionError(f"trained on {np.bincount(inner.c.numpy())}")

    assert tuned_factors(recipe, fit, BALANCED, seed=0, groups=groups).tolist() == [1, 1]


@pytest.mark.parametrize(("smallest", "n_folds"), [(2, 2), (4, 4), (30, 5)])
def test_each_training_sample_is_scored_once_by_a_classifier_that_did_not_see_it(smallest, n_folds):
    c = torch.tensor([0] * 40 + [1] * smallest)
    X = np.arange(len(c))[:, None]
    seen = []

    def fit(inner, rows):
        assert np.array_equal(inner.X[:, 0], inner.x[:, 0].numpy())
        assert torch.equal(inner.c, c[inner.X[:, 0]])
        assert not np.intersect1d(inner.X, rows).size
        seen.append((inner.X, rows))
        return None, np.stack([1 - rows[:, 0] / 100, rows[:, 0] / 100], axis=1)

    recipe = nothing_added(X, c)
    factors = tuned_factors(recipe, fit, BALANCED, seed=0)
    assert len(seen) == n_folds
    assert sorted(np.concatenate([rows for _, rows in seen])[:, 0]) == list(range(len(c)))
    assert 0.39 < factors[0] < 0.4  # the scores stay with their samples: the border is between 39 and 40
