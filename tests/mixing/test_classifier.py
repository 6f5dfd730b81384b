"""AugmentedClassifier: any sampler behind a plain scikit-learn classifier."""

import numpy as np
import pandas as pd
import pytest
from imblearn.combine import SMOTEENN
from imblearn.over_sampling import SMOTE, RandomOverSampler
from imblearn.pipeline import make_pipeline as make_sampling_pipeline
from imblearn.under_sampling import RandomUnderSampler
from scipy.sparse import csr_array
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.datasets import load_iris
from sklearn.ensemble import AdaBoostClassifier, BaggingClassifier, HistGradientBoostingClassifier
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.linear_model import LogisticRegression, Perceptron
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_validate
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.tree import DecisionTreeClassifier
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


class TestSampleWeight:
    weight = 1 + np.arange(78) % 3

    def test_real_rows_keep_theirs_and_added_ones_have_the_mean_of_their_class(self, rare_iris):
        X, y = rare_iris
        for beside in (1, 0.5):
            model = augmented(Recorder(), synthetic_weight=beside).fit(X, y, sample_weight=self.weight)
            found, labels = model.estimator_.sample_weight_, model.estimator_.y_
            assert np.array_equal(found[:78], self.weight)
            for k in np.unique(labels[78:]):
                mean = self.weight[y == k].mean()
                np.testing.assert_allclose(found[78:][labels[78:] == k], beside * mean)

    def test_the_share_of_each_class_in_the_weight_is_that_of_its_rows(self, rare_iris):
        X, y = rare_iris
        by_class = np.array([3.0, 2.0, 10.0])[y]
        model = augmented(Recorder()).fit(X, y, sample_weight=by_class)
        totals = np.bincount(model.estimator_.y_, weights=model.estimator_.sample_weight_)
        np.testing.assert_allclose(totals / totals.sum(), np.array([3, 2, 10]) / 15)  # as many rows of each

    def test_a_replacing_row_takes_that_of_the_row_it_replaces(self, rare_iris):
        X, y = rare_iris
        swap = SyntheticSwap(config=CONFIG, p=0.5, random_state=0)
        model = augmented(Recorder(), swap, synthetic_weight=0.5).fit(X, y, sample_weight=self.weight)
        replaced = (model.estimator_.X_ != X).any(axis=1)
        expected = np.where(replaced, 0.5, 1) * self.weight
        assert np.array_equal(model.estimator_.sample_weight_, expected)

    @pytest.mark.parametrize("frame", [np.asarray, lambda X: pd.DataFrame(X, index=range(100, 178))])
    def test_a_row_of_weight_zero_is_not_there(self, rare_iris, frame):
        X, y = frame(rare_iris[0]), rare_iris[1]
        weight = np.where(np.arange(78) % 5, self.weight, 0)
        there = np.flatnonzero(weight)
        poisoned = np.array(X)
        poisoned[weight == 0] = 1e6
        rows = X.iloc[there] if hasattr(X, "iloc") else X[there]
        models = [
            augmented().fit(*args, sample_weight=w)
            for *args, w in ((X, y, weight), (rows, y[there], weight[there]), (frame(poisoned), y, weight))
        ]
        assert len({model.estimator_.coef_.tobytes() for model in models}) == 1

    def test_ones_change_nothing_but_that_weights_are_passed(self, rare_iris):
        one, two = (augmented(Recorder()).fit(*rare_iris, sample_weight=w) for w in (None, np.ones(78)))
        assert np.array_equal(one.estimator_.X_, two.estimator_.X_)
        assert one.estimator_.sample_weight_ is None
        assert two.estimator_.sample_weight_.tolist() == [1] * 150

    def test_in_a_pipeline_they_reach_its_last_step(self, rare_iris):
        X, y = rare_iris
        pipe = make_pipeline(StandardScaler(), Recorder())
        model = augmented(pipe, synthetic_weight=0.5).fit(X, y, sample_weight=self.weight)
        direct = augmented(Recorder(), synthetic_weight=0.5).fit(X, y, sample_weight=self.weight)
        assert np.array_equal(model.estimator_[-1].sample_weight_, direct.estimator_.sample_weight_)

    def test_in_cross_validation_and_searches(self, rare_iris):
        settings, params = {"cv": 2, "error_score": "raise"}, {"sample_weight": self.weight}
        model = augmented(Recorder())
        found = cross_validate(model, *rare_iris, params=params, return_estimator=True, **settings)
        for (train, _), model in zip(StratifiedKFold(2).split(*rare_iris), found["estimator"], strict=True):
            assert np.array_equal(model.estimator_.sample_weight_[: len(train)], self.weight[train])
        grid = {"synthetic_weight": [0.5, 1]}
        GridSearchCV(augmented(), grid, **settings).fit(*rare_iris, sample_weight=self.weight)

    def test_routed_as_metadata(self, rare_iris):
        with config_context(enable_metadata_routing=True):
            scaler, recorder = StandardScaler(), Recorder().set_fit_request(sample_weight=True)
            pipe = make_pipeline(scaler.set_fit_request(sample_weight=False), recorder)
            settings = {"params": {"sample_weight": self.weight}, "cv": 2, "error_score": "raise"}
            for inner in (Recorder(), pipe):
                model = augmented(inner).set_fit_request(sample_weight=True)
                model.set_score_request(sample_weight=False)
                found = cross_validate(model, *rare_iris, return_estimator=True, **settings)
                fitted = found["estimator"][0].estimator_
                fitted = fitted[-1] if inner is pipe else fitted
                assert np.array_equal(fitted.sample_weight_[:39], self.weight[self.first_half(rare_iris)])
            half_set = augmented(make_pipeline(Recorder())).set_fit_request(sample_weight=True)
            for unset in (augmented(), half_set.set_score_request(sample_weight=False)):
                with pytest.raises(UnsetMetadataPassedError):
                    cross_validate(unset, *rare_iris, **settings)

    def first_half(self, data):
        return next(iter(StratifiedKFold(2).split(*data)))[0]

    def test_under_boosting_and_bagging(self, rare_iris):
        X, y = rare_iris
        stump = augmented(DecisionTreeClassifier(max_depth=1))
        boosted, bagged = (
            ensemble(stump, n_estimators=3, random_state=0).fit(X, y)
            for ensemble in (AdaBoostClassifier, BaggingClassifier)
        )
        for model in (boosted, bagged):
            assert model.score(X, y) > 0.6
            assert len({part.random_state for part in model.estimators_}) == len(model.estimators_) > 1

    @pytest.mark.parametrize(
        ("weight", "message"),
        [
            (np.ones(77), r"one number for each of the 78 samples; got shape \(77,\)"),
            (np.ones((78, 1)), r"got shape \(78, 1\)"),
            (1.0, r"got shape \(\)"),
            (np.r_[-1, np.ones(77)], "at least 0"),
            (np.r_[np.nan, np.ones(77)], "finite"),
            (np.zeros(78), "not all of them zero"),
            (["heavy"] * 78, "sample_weight must hold numbers"),
        ],
    )
    def test_that_cannot_be_used(self, rare_iris, weight, message):
        with pytest.raises(DataError, match=message):
            augmented().fit(*rare_iris, sample_weight=weight)

    @pytest.mark.parametrize("ordered", [False, True])
    @pytest.mark.parametrize("sampler", [SMOTEENN(random_state=0), RandomUnderSampler(random_state=0)])
    def test_a_sampler_that_removes_rows(self, rare_iris, sampler, ordered):
        order = np.argsort(rare_iris[1]) if ordered else np.arange(78)
        with pytest.raises(ConfigError, match="removes or reorders rows, such as"):
            augmented(Recorder(), sampler).fit(*(a[order] for a in rare_iris), sample_weight=self.weight)

    def test_a_sampler_that_keeps_missing_cells_and_text(self, rare_iris):
        X, y = rare_iris
        cells = X.astype(object)
        cells[::7, 0], cells[:, 1] = np.nan, np.where(X[:, 1] > 0, "u", "v")
        for rows in (cells, pd.DataFrame(cells)):
            model = augmented(Recorder(), RandomOverSampler(random_state=0)).fit(
                rows, y, sample_weight=self.weight
            )
            assert np.array_equal(model.estimator_.sample_weight_[:78], self.weight)


SMALL = GANConfig(network="mlp", width=4, z_dim=4, batch_size=16, train_images=32)


class TestImages:
    X = np.random.default_rng(0).integers(0, 256, (40, 1, 8, 8), dtype=np.uint8)
    y = np.repeat(["rare", "often"], [10, 30])

    def flat(self):
        return make_pipeline(FunctionTransformer(_flattened), LogisticRegression(max_iter=1000))

    @pytest.mark.parametrize("shape", [(8, 8), (1, 8, 8), (8, 8, 1)])
    @pytest.mark.parametrize("sampler", [None, SyntheticSwap(config=SMALL, random_state=0)])
    def test_of_each_layout(self, shape, sampler):
        X = self.X.reshape(40, *shape)
        model = augmented(self.flat(), sampler, synthetic_weight=0.5).set_params(config=SMALL)
        assert get_tags(model).input_tags.three_d_array is False  # the classifier inside takes rows
        scores = cross_validate(model, X, self.y, cv=2, error_score="raise")["test_score"]
        assert scores.shape == (2,)
        model.fit(X, self.y, sample_weight=np.arange(40))
        assert model.predict_proba(X).shape == (40, 2)
        assert model.predict_log_proba(X).shape == (40, 2)

    @pytest.mark.parametrize("shape", [(8, 8), (1, 8, 8), (8, 8, 1)])
    def test_in_pipelines_of_both_libraries(self, shape):
        X = self.X.reshape(40, *shape)
        sampler = GANOverSampler(config=SMALL, random_state=0)
        swap = SyntheticSwap(config=SMALL, random_state=0)
        for pipe in (
            make_sampling_pipeline(sampler, _Shape(), self.flat()),
            make_sampling_pipeline(swap, sampler, _Shape(), self.flat()),
            make_pipeline(swap, _Shape(), self.flat()),
        ):
            cross_validate(pipe, X, self.y, cv=2, error_score="raise")
            n_rows = 40 if pipe[0] is swap and len(pipe) == 3 else 60
            fitted = pipe.fit(X, self.y)
            assert fitted[-2].shape_ == (n_rows, *shape)
            assert fitted[-2].dtype_ == np.uint8
            assert fitted.predict(X).shape == (40,)


def _flattened(images):
    return images.reshape(len(images), -1) / 255


class _Shape(TransformerMixin, BaseEstimator):
    """Remembers the shape of what comes by."""

    def fit(self, X, y=None):
        self.shape_, self.dtype_ = X.shape, X.dtype
        return self

    def transform(self, X):
        return X


class TestPredict:
    @pytest.mark.parametrize(
        ("estimator", "methods"),
        [
            (LogisticRegression(), {"predict_proba", "predict_log_proba", "decision_function"}),
            (GaussianNB(), {"predict_proba", "predict_log_proba"}),
            (Perceptron(), {"decision_function"}),
            (Recorder(), set()),
        ],
    )
    def test_methods_are_those_of_the_classifier(self, rare_iris, estimator, methods):
        X, y = rare_iris
        model = augmented(estimator)
        for stage in (model, model.fit(X, y)):
            names = ("predict_proba", "predict_log_proba", "decision_function", "partial_fit", "transform")
            found = {m for m in names if hasattr(stage, m)}
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
    with pytest.raises(
        DataError, match=r"shape \(78, 2\)\. Multilabel and multioutput targets are not supported"
    ):
        augmented().fit(X, np.c_[y, y])
    for sampler in (None, RandomUnderSampler()):
        with pytest.raises(DataError, match=r"inconsistent numbers of samples: \[77, 78\]"):
            augmented(sampler=sampler).fit(X[:-1], y)
    with pytest.raises(DataError, match="toarray"):
        augmented().fit(csr_array(X), y)
    with pytest.raises(DataError, match="infinity"):
        augmented().fit(np.where(X.max() == X, np.inf, X), y)
    with pytest.raises(ValueError, match="LogisticRegression does not accept missing values"):
        augmented().fit(np.where(X.max() == X, np.nan, X), y)
    with pytest.raises(ValueError, match="at least two classes; got 1 class"):
        augmented().fit(X, np.zeros(len(y)))


def test_a_transformer_that_swaps_nothing_is_no_sampler(rare_iris):
    with pytest.raises(ConfigError, match=r"StandardScaler changes the rows of fit alone"):
        AugmentedClassifier(LogisticRegression(), StandardScaler()).fit(*rare_iris)
