from collections import defaultdict

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import average_precision_score
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier
from threadpoolctl import threadpool_limits

from ganaug import ConditionalGAN, GANConfig, compare
from ganaug.errors import ConfigError
from ganaug.experiment import bench, thresholds
from ganaug.experiment.arms import ARMS, DEFAULT_ARMS, Arm
from ganaug.experiment.splits import make_splits

TINY = GANConfig(network="mlp", width=4, z_dim=4, batch_size=16, train_images=256)
TABLE = DEFAULT_ARMS["table"]
MIXED = tuple(name for name in TABLE if name != "borderline smote")


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Keep the threads of BLAS and OpenMP out of each other's way."""
    with threadpool_limits(1):
        yield


def numeric(n=160):
    rng = np.random.default_rng(0)
    y = np.repeat(["no", "yes"], [n - n // 4, n // 4])
    return rng.normal(size=(n, 4)) + (y == "yes")[:, None], y


def three_classes():
    X, y = numeric()
    return X, np.where(np.arange(len(y)) % 3 == 0, "maybe", y)


def mixed(n=160):
    rng = np.random.default_rng(0)
    values, y = numeric(n)
    X = pd.DataFrame(values[:, :2], columns=["size", "weight"])
    X["count"] = rng.integers(0, 40, n)
    X["city"] = np.where(rng.random(n) < 0.7, np.where(y == "yes", "Ulm", "Bonn"), "Jena")
    X["kind"] = pd.Categorical(rng.choice(["u", "v"], n))
    X["flag"] = rng.random(n) < 0.5
    X["day"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, n), unit="D")
    for column in ("size", "city", "day"):
        X.loc[rng.choice(n, 12, replace=False), column] = None
    return X, y


def run(data, **settings):
    return compare(*data, **{"classifier": "boosting", "seeds": 3, "steps": 4, "config": TINY, **settings})


def predictions(result):
    return {(c.arm, c.seed): c.y_pred.tolist() for c in result.cells}


class Rows(DecisionTreeClassifier):
    """Keeps the rows it was fitted on, and takes numbers of them alone."""

    def fit(self, X, y):
        type(self).seen.append(X)
        return super().fit(self._numbers(X), y)

    def predict(self, X):
        return super().predict(self._numbers(X))

    def predict_proba(self, X):
        return super().predict_proba(self._numbers(X))

    def _numbers(self, X):
        return X[["size", "weight"]] if hasattr(X, "columns") else X


class Decider(ClassifierMixin, BaseEstimator):
    """Decides, and says nothing of how sure it is."""

    def fit(self, X, y):
        self.first_ = y[0]
        return self

    def predict(self, X):
        return np.repeat(self.first_, len(X))


@pytest.mark.parametrize("classifier", ["logistic", "mlp", "forest", "boosting"])
def test_each_named_classifier_takes_part_on_a_mixed_table_with_missing_cells(classifier):
    result = run(mixed(), classifier=classifier)
    assert tuple(result.roles) == MIXED
    assert result.verdict in ("helps", "no evidence", "hurts")
    assert (result.table["balanced_accuracy"] > 50).mean() > 0.5 or classifier == "mlp"
    for cell in result.cells:
        assert cell.y_score.shape == (len(cell.y_true), 2)
        assert cell.y_score.dtype == np.float32
        assert cell.y_score.sum(1) == pytest.approx(1, abs=1e-5)


def test_on_a_table_of_numbers_all_arms_for_tables_take_part():
    result = run(numeric())
    assert tuple(result.roles) == TABLE
    added = {c.arm: c.n_extra for c in result.cells}
    assert {arm for arm, n in added.items() if not n} == {"nothing", "class weights", "threshold"}
    assert len({n for n in added.values() if n}) == 1


def test_the_verdict_can_be_about_average_precision_and_then_no_threshold_is_tuned():
    result = run(numeric(), metric="average_precision")
    assert "threshold" not in result.roles
    for cell in result.cells:
        expected = average_precision_score(cell.y_true, cell.y_score[:, 1])
        assert cell.score("average_precision") == pytest.approx(expected)
    assert "points of average precision" in result.sentence


def test_an_own_estimator_gets_the_callers_columns_and_what_smote_adds_in_their_form():
    X, y = mixed()
    Rows.seen = []
    run((X, y), classifier=Rows(), arms=["nothing", "smote", "noisy copies", "gan"])
    dtypes = [rows.dtypes.astype(str).tolist() for rows in Rows.seen]
    assert dtypes == [X.dtypes.astype(str).tolist()] * 12
    assert [len(rows) for rows in Rows.seen[:4]] == [120, 180, 180, 180]
    assert not Rows.seen[1].iloc[120:].isna().any().any()


def test_smote_keeps_its_fractions_on_the_way_to_an_estimator():
    X, y = numeric()
    Rows.seen = []
    run((np.rint(X), y), classifier=Rows(), arms=["nothing", "smote", "gan"])
    assert (Rows.seen[1][120:] % 1 != 0).any()
    assert np.array_equal(Rows.seen[1][:120], Rows.seen[0])


# --- nothing leaks --------------------------------------------------------------------------------


@pytest.fixture
def tuned_on(monkeypatch):
    """Return a function that runs a comparison and tells what each seed's threshold was tuned on."""
    found = []

    def noted(c, y_score, metric):
        factors = thresholds_of(c, y_score, metric)
        found.append((c.tobytes(), y_score.tobytes(), factors.tolist()))
        return factors

    thresholds_of = thresholds.best_factors
    monkeypatch.setattr(thresholds, "best_factors", noted)

    def tuned(X, y, **settings):
        found.clear()
        return run((X, y), arms=["nothing", "threshold", "gan"], **settings), list(found)

    return tuned


@pytest.mark.parametrize("train_size", [60, pytest.param(None, marks=pytest.mark.slow)])
def test_a_threshold_sees_training_samples_alone(tuned_on, train_size):
    X, y = numeric()
    splits = make_splits(y, seeds=3, train_size=train_size, seed=0)
    clean, fitted = tuned_on(X, y, train_size=train_size)
    everyone = np.arange(len(y))
    for s in range(3):
        poisoned = X.copy()
        others = np.setdiff1d(everyone, splits.train[s])
        poisoned[others] = 9 - 3 * poisoned[others]
        result, refitted = tuned_on(poisoned, y, train_size=train_size)
        assert refitted[s] == fitted[s]
        assert predictions(result)["threshold", s] != predictions(clean)["threshold", s]
    touched = X.copy()
    touched[splits.train[1][0]] += 5
    _, refitted = tuned_on(touched, y, train_size=train_size)
    assert refitted[1] != fitted[1]


def test_a_threshold_changes_decisions_as_tuned_and_no_scores(tuned_on):
    result, fitted = tuned_on(*numeric(), random_state=2)
    scores = {(c.arm, c.seed): c.y_score for c in result.cells}
    for s, (*_, factors) in enumerate(fitted):
        assert np.array_equal(scores["threshold", s], scores["nothing", s])
        expected = (scores["nothing", s] * factors).argmax(1)
        assert predictions(result)["threshold", s] == expected.tolist()
    assert predictions(result)["threshold", 0] != predictions(result)["nothing", 0]


def test_arms_see_the_subsample_of_their_seed_and_nothing_else(monkeypatch):
    X, y = numeric()
    parts = defaultdict(list)

    def noted(arm):
        def extra(part):
            parts[part.seed].append(part.X.copy())
            return arm.extra(part)

        return Arm(role=arm.role, extra=extra)

    names = ["oversampling", "noisy copies", "smote", "borderline smote", "gan"]
    run((X, y), arms={"nothing": ARMS["nothing"], **{n: noted(ARMS[n]) for n in names}}, train_size=60)
    splits = make_splits(y, seeds=3, train_size=60, seed=0)
    for rows, seen in zip(splits.train, parts.values(), strict=True):
        assert len(seen) == 5
        assert all(np.array_equal(part, X[rows]) for part in seen)


def test_an_arm_that_writes_to_its_rows_harms_no_other_arm():
    def spoil(part):
        rows = part.X.iloc[: len(part.extra_c)].copy()
        part.X.iloc[:, 0] = 0.0
        return rows

    alone = {"nothing": ARMS["nothing"], "smote": ARMS["smote"], "gan": ARMS["gan"]}
    after, before = (
        predictions(run(mixed(), arms=arms))
        for arms in ({"spoil": Arm(role="treatment", extra=spoil), **alone}, alone)
    )
    assert {key: after[key] for key in before} == before


# --- folds and sizes ------------------------------------------------------------------------------


def test_with_folds_each_sample_is_tested_once_per_repeat():
    X, y = numeric()
    result = run((X, y), seeds=8, folds=4, train_size=40, arms=["nothing", "gan"])
    tested = [c.y_true for c in result.cells if c.arm == "nothing"]
    for repeat in (tested[:4], tested[4:]):
        assert np.bincount(np.concatenate(repeat)).tolist() == [120, 40]
    assert {c.n_train for c in result.cells} == {40}
    assert result.overlap == pytest.approx(1 / 3)
    assert result.settings["folds"] == 4
    assert result.settings["train_size"] == 40


def test_classes_of_two_samples_go_through_all_arms():
    X, _ = numeric()
    y = np.repeat([0, 1, 2], [100, 57, 3])
    result = run((X, y), train_size=30)
    assert tuple(result.roles) == TABLE
    assert {c.n_train for c in result.cells} == {30}


def test_a_given_test_set_of_mixed_columns_may_have_missing_cells_and_new_categories():
    X, y = mixed()
    X_test, y_test = X[::3].copy(), y[::3]
    X_test.loc[X_test.index[:9], "city"] = "Kiel"
    rest = np.arange(len(y)) % 3 > 0
    for classifier in ("boosting", "mlp"):
        result = run(
            (X[rest], y[rest]), classifier=classifier, arms=["nothing", "gan"], test=(X_test, y_test),
            train_size=50,
        )  # fmt: skip
        assert all(len(c.y_true) == len(y_test) and c.n_train == 50 for c in result.cells)


# --- what cannot apply ----------------------------------------------------------------------------


def test_what_a_classifier_cannot_do_is_left_out():
    assert "threshold" not in run(numeric(), classifier=LinearSVC()).roles
    left = run(numeric(), classifier=Decider()).roles
    assert [name for name in TABLE if name not in left] == ["class weights", "threshold"]


@pytest.mark.parametrize(
    ("data", "settings", "message"),
    [
        (mixed, {"arms": ["nothing", "borderline smote", "gan"]}, "'borderline smote' needs data of kind"),
        (numeric, {"arms": ["nothing", "classic", "gan"]}, "'classic' needs data of kind 'image'"),
        (
            numeric,
            {"arms": ["nothing", "threshold", "gan"], "classifier": LinearSVC()},
            "'threshold' needs a classifier with predict_proba; LinearSVC has none",
        ),
        (
            numeric,
            {"arms": ["nothing", "threshold", "gan"], "metric": "average_precision"},
            "'threshold' needs a metric of decisions; average_precision",
        ),
        (
            three_classes,
            {"classifier": SVC(decision_function_shape="ovo"), "metric": "average_precision"},
            "SVC scores each pair. Set decision_function_shape='ovr'",
        ),
        (
            numeric,
            {"classifier": Decider(), "metric": "average_precision"},
            "needs a classifier with predict_proba or decision_function; Decider has neither",
        ),
        (
            numeric,
            {"arms": {"tuned": Arm(role="control", tune_threshold=True), "gan": ARMS["gan"]}},
            "differs from 'gan' in the added samples only",
        ),
        (numeric, {"folds": 2}, "seeds must be a multiple of folds=2"),
    ],
)
def test_what_cannot_apply_is_refused_before_anything_is_trained(monkeypatch, data, settings, message):
    monkeypatch.setattr(ConditionalGAN, "fit", lambda *_, **__: pytest.fail("a generator was trained"))
    monkeypatch.setattr(bench, "train_and_predict", lambda *_, **__: pytest.fail("a classifier was trained"))
    with pytest.raises(ConfigError, match=message):
        run(data(), **settings)


def test_images_keep_their_arms_and_have_no_smote():
    X = np.random.default_rng(0).integers(0, 255, (40, 8, 8)).astype(np.uint8)
    y = np.repeat([0, 1], 20)
    config = GANConfig(width=4, z_dim=4, batch_size=16, train_images=32)
    arms = ["nothing", "threshold", "noisy copies", "gan"]
    assert list(run((X, y), arms=arms, config=config).roles) == arms
    with pytest.raises(ConfigError, match="'smote' needs data of kind 'table'; got 'image'"):
        run((X, y), arms=["nothing", "smote", "gan"], config=config)
