"""AugmentedClassifier: any sampler behind a plain scikit-learn classifier."""

import numpy as np
import pandas as pd
import pytest
from imblearn.combine import SMOTEENN
from imblearn.over_sampling import SMOTE, RandomOverSampler
from imblearn.under_sampling import RandomUnderSampler
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_iris
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression, Perceptron
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_validate
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags

from ganaug import AugmentedClassifier, ConfigError, DataError, GANConfig, GANOverSampler, SyntheticSwap

CONFIG = GANConfig(width=8, z_dim=4, batch_size=16, train_images=64)


def augmented(estimator=None, sampler=None, **kwargs):
    estimator = LogisticRegression() if estimator is None else estimator
    return AugmentedClassifier(estimator, sampler, config=CONFIG, **{"random_state": 0, **kwargs})


@pytest.fixture(scope="module")
def rare_iris():
    X, y = load_iris(return_X_y=True)
    rows = np.random.default_rng(0).permutation(np.r_[0:50, 50:70, 100:108])
    return StandardScaler().fit_transform(X[rows]), y[rows]


class Recorder(ClassifierMixin, BaseEstimator):
    """Remembers what it was fitted on."""

    def fit(self, X, y, sample_weight=None):
        self.X_, self.y_, self.sample_weight_ = X, y, sample_weight
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])


class TestFit:
    def test_the_classifier_gets_the_real_rows_and_then_the_synthetic_ones(self, rare_iris):
        X, y = rare_iris
        model = augmented(Recorder()).fit(X, y)
        inner = model.estimator_
        assert np.array_equal(inner.X_[:78], X)
        assert np.array_equal(inner.y_[:78], y)
        assert np.bincount(inner.y_).tolist() == [50, 50, 50]
        assert model.n_synthetic_ == 72
        assert inner.sample_weight_ is None

    def test_the_given_objects_are_not_touched(self, rare_iris):
        estimator, sampler = Recorder(), GANOverSampler(config=CONFIG, random_state=0)
        before = vars(estimator).copy(), vars(sampler).copy()
        model = augmented(estimator, sampler).fit(*rare_iris)
        assert (vars(estimator), vars(sampler)) == before
        assert model.estimator is estimator
        assert model.sampler is sampler

    @pytest.mark.parametrize(
        ("sampler", "n_rows"),
        [
            (SMOTE(random_state=0), 150),
            (RandomOverSampler(random_state=0), 150),
            (GANOverSampler(config=CONFIG, sampling_strategy={2: 30}), 100),
            (SyntheticSwap(config=CONFIG, p=0.5), 78),
            (RandomUnderSampler(random_state=0), 24),
        ],
    )
    def test_any_sampler_will_do(self, rare_iris, sampler, n_rows):
        model = augmented(Recorder(), sampler).fit(*rare_iris)
        assert len(model.estimator_.X_) == n_rows
        assert type(model.sampler_) is type(sampler)

    def test_a_swap_counts_what_it_replaced(self, rare_iris):
        X, y = rare_iris
        model = augmented(Recorder(), SyntheticSwap(config=CONFIG, p=0.5, random_state=0)).fit(X, y)
        changed = (model.estimator_.X_ != X).any(axis=1)
        assert model.n_synthetic_ == changed.sum()
        assert 0 < changed.sum() < 78
        assert np.array_equal(model.estimator_.y_, y)

    def test_own_settings_reach_the_default_sampler(self, rare_iris):
        one, two, other = (
            augmented(Recorder(), random_state=s, train_images=t).fit(*rare_iris).estimator_.X_
            for s, t in ((1, 32), (1, 32), (1, 64))
        )
        assert np.array_equal(one, two)
        assert not np.array_equal(one, other)

    def test_data_frames(self, rare_iris):
        X, y = rare_iris
        frame = pd.DataFrame(X, columns=list("abcd"))
        model = augmented().fit(frame, pd.Series(np.array(["se", "ve", "vi"])[y]))
        assert model.feature_names_in_.tolist() == list("abcd")
        assert set(model.predict(frame)) <= {"se", "ve", "vi"}

    @pytest.mark.parametrize("sampler", [None, SyntheticSwap(config=CONFIG, random_state=0)])
    def test_data_frames_of_mixed_columns(self, rare_iris, sampler):
        X, y = rare_iris
        frame = pd.DataFrame({"size": pd.Categorical(np.array(["S", "M", "L"])[y]), "length": X[:, 0]})
        frame.loc[::5, "length"] = np.nan
        trees = HistGradientBoostingClassifier(max_iter=5, categorical_features="from_dtype")
        model = augmented(trees, sampler)
        assert get_tags(model).input_tags.allow_nan
        assert model.fit(frame, y).score(frame, y) > 0.7

    def test_data_frames_without_a_common_dtype(self, rare_iris):
        X, y = rare_iris
        frame = pd.DataFrame({"size": pd.Categorical(np.array(["S", "M", "L"])[y]), "wide": X[:, 3] > 1})
        trees = HistGradientBoostingClassifier(max_iter=5, categorical_features="from_dtype")
        labels = pd.Series(pd.Categorical(y == 0))
        assert set(augmented(trees).fit(frame, labels).predict(frame).tolist()) == {True, False}


class TestWeight:
    def test_synthetic_rows_weigh_less(self, rare_iris):
        model = augmented(Recorder(), synthetic_weight=0.25).fit(*rare_iris)
        assert model.estimator_.sample_weight_.tolist() == [1.0] * 78 + [0.25] * 72

    def test_of_a_swap(self, rare_iris):
        X, y = rare_iris
        swap = SyntheticSwap(config=CONFIG, p=0.5, random_state=0)
        model = augmented(Recorder(), swap, synthetic_weight=0.5).fit(X, y)
        changed = (model.estimator_.X_ != X).any(axis=1)
        assert np.array_equal(model.estimator_.sample_weight_, np.where(changed, 0.5, 1.0))

    def test_weight_zero_is_the_classifier_alone(self, rare_iris):
        alone = LogisticRegression().fit(*rare_iris)
        weightless = augmented(synthetic_weight=0).fit(*rare_iris)
        np.testing.assert_allclose(weightless.estimator_.coef_, alone.coef_, atol=1e-3)
        assert not np.allclose(augmented().fit(*rare_iris).estimator_.coef_, alone.coef_, atol=1e-3)

    @pytest.mark.parametrize(
        "estimator", [KNeighborsClassifier(), make_pipeline(StandardScaler(), KNeighborsClassifier())]
    )
    def test_a_classifier_that_takes_none(self, rare_iris, estimator):
        with pytest.raises(ConfigError, match=r"whose fit takes no sample_weight; got synthetic_weight=0\.5"):
            augmented(estimator, synthetic_weight=0.5).fit(*rare_iris)
        augmented(estimator).fit(*rare_iris)

    @pytest.mark.parametrize("sampler", [SMOTEENN(random_state=0), RandomUnderSampler(random_state=0)])
    def test_a_sampler_that_removes_rows(self, rare_iris, sampler):
        with pytest.raises(ConfigError, match="removes or reorders rows"):
            augmented(Recorder(), sampler, synthetic_weight=0.5).fit(*rare_iris)

    @pytest.mark.parametrize("weight", [-1, float("nan"), "half"])
    def test_out_of_range(self, rare_iris, weight):
        with pytest.raises(ConfigError, match="synthetic_weight must be a number"):
            augmented(synthetic_weight=weight).fit(*rare_iris)


class TestPredict:
    @pytest.mark.parametrize(
        ("estimator", "methods"),
        [
            (LogisticRegression(), {"predict_proba", "decision_function"}),
            (GaussianNB(), {"predict_proba"}),
            (Perceptron(), {"decision_function"}),
            (Recorder(), set()),
        ],
    )
    def test_methods_are_those_of_the_classifier(self, rare_iris, estimator, methods):
        X, y = rare_iris
        model = augmented(estimator)
        for stage in (model, model.fit(X, y)):
            found = {m for m in ("predict_proba", "decision_function") if hasattr(stage, m)}
            assert found == methods
        for method in {*methods, "predict"}:
            expected = getattr(model.estimator_, method)(X)
            assert np.array_equal(getattr(model, method)(X), expected)


class TestModelSelection:
    folds = StratifiedKFold(3)

    def test_grid_search_over_classifier_and_sampler(self, rare_iris):
        model = augmented(sampler=GANOverSampler(config=CONFIG, random_state=0))
        grid = {"estimator__C": [0.1, 10], "sampler__train_images": [16, 32]}
        search = GridSearchCV(model, grid, cv=self.folds, error_score="raise").fit(*rare_iris)
        best = search.best_estimator_
        assert search.best_params_["estimator__C"] == best.estimator_.C
        assert best.sampler_.gan_.config_.train_images == search.best_params_["sampler__train_images"]
        assert len(search.cv_results_["params"]) == 4

    def test_grid_search_over_samplers(self, rare_iris):
        samplers = [SMOTE(k_neighbors=2, random_state=0), SyntheticSwap(config=CONFIG, random_state=0), None]
        grid = {"sampler": samplers, "synthetic_weight": [0.5, 1]}
        search = GridSearchCV(augmented(), grid, cv=self.folds, error_score="raise").fit(*rare_iris)
        assert search.best_score_ > 0.5

    def test_a_poisoned_validation_fold_changes_nothing_fitted(self, rare_iris):
        X, y = rare_iris
        train, test = next(iter(self.folds.split(X, y)))
        poisoned = X.copy()
        poisoned[test] = 1e6
        coefs = [
            cross_validate(
                augmented(), data, y, cv=[(train, test)], return_estimator=True, error_score="raise"
            )["estimator"][0].estimator_.coef_
            for data in (X, poisoned)
        ]
        assert coefs[0].tobytes() == coefs[1].tobytes()


def test_data_that_cannot_be_learned_from(rare_iris):
    X, y = rare_iris
    with pytest.raises(DataError, match="infinity"):
        augmented().fit(np.where(X.max() == X, np.inf, X), y)
    with pytest.raises(ValueError, match="LogisticRegression does not accept missing values"):
        augmented().fit(np.where(X.max() == X, np.nan, X), y)
    with pytest.raises(ValueError, match="at least two classes; got 1 class"):
        augmented().fit(X, np.zeros(len(y)))
