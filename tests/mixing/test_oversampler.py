"""GANOverSampler: imbalanced-learn's contract, and nothing of a test fold in anything fitted."""

from collections import Counter

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from imblearn.pipeline import make_pipeline
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_validate
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from ganaug import ConditionalGAN, ConfigError, DataError, GANConfig, GANOverSampler

CONFIG = GANConfig(width=8, z_dim=4, batch_size=16, train_images=64)


def sampler(**kwargs):
    return GANOverSampler(config=CONFIG, **{"random_state": 0, **kwargs})


@pytest.fixture
def rare_iris():
    """Iris with 50, 20 and 6 flowers, in mixed order."""
    X, y = load_iris(return_X_y=True)
    rows = np.random.default_rng(0).permutation(np.r_[0:50, 50:70, 100:106])
    return X[rows], y[rows]


DAYS = pd.Timestamp("2020") + pd.to_timedelta(np.arange(76), unit="D")
FLAGS = np.arange(76) % 2 == 0
WORDS = np.array(["u", "v"])[np.arange(76) % 2]
FRAMES = {  # columns of which numpy knows no common dtype, or whose own is not theirs
    "numbers and dates": {"x": np.arange(76) / 7, "d": DAYS},
    "booleans and categories": {"b": FLAGS, "c": pd.Categorical(WORDS)},
    "integers and categories": {"n": pd.array([None, *range(75)], dtype="Int64"), "c": pd.Categorical(WORDS)},
    "booleans and dates with a zone": {"b": FLAGS, "d": DAYS.tz_localize("Europe/Berlin")},
    "numbers and durations": {"x": np.arange(76) / 7, "t": pd.to_timedelta(np.arange(76), unit="s")},
    "no date at all": {"x": np.arange(76) / 7, "d": [pd.NaT] * 76},
    "Arrow": {
        "s": pd.array(WORDS, dtype=pd.ArrowDtype(pa.string())),
        "n": pd.array(range(76), dtype="int64[pyarrow]"),
    },
    "names like methods": {"clone": np.arange(76) / 7, "copy": np.arange(76), "iloc": WORDS},
}


@pytest.fixture(params=FRAMES)
def odd_frame(request):
    return pd.DataFrame(FRAMES[request.param], index=range(100, 176))


@pytest.fixture
def mixed(rare_iris):
    """Return the same flowers in columns of all kinds, with missing cells."""
    X, y = rare_iris
    sizes = pd.CategoricalDtype(["S", "M", "L", "XL"], ordered=True)
    frame = pd.DataFrame(
        {
            "length": np.where(np.arange(76) % 5, X[:, 0], np.nan),
            "count": pd.array(np.where(np.arange(76) % 7, 10 * X[:, 1], np.nan).round(), dtype="Int64"),
            "kind": pd.Series(np.array(["a", "b", None], dtype=object)[np.arange(76) % 3], dtype=object),
            "size": pd.Categorical(np.array(["S", "M", "L"])[y], dtype=sizes),
            "day": pd.Timestamp("2020") + pd.to_timedelta((1000 * X[:, 2]).round(), unit="D"),
            "zone": pd.Timestamp("2020", tz="UTC") + pd.to_timedelta((1000 * X[:, 3]).round(), unit="h"),
            "wide": X[:, 3] > 1,
        },
        index=range(100, 176),
    )
    return frame, pd.Series(np.array(["se", "ve", "vi"])[y], name="flower", index=frame.index)


def weights_of(gan):
    return b"".join(w.numpy().tobytes() for w in gan.G_.state_dict().values())


class TestRows:
    def test_given_rows_come_first_and_unchanged(self, rare_iris):
        X, y = rare_iris
        before = X.copy(), y.copy()
        X_res, y_res = sampler().fit_resample(X, y)
        assert np.array_equal(X_res[:76], X)
        assert np.array_equal(y_res[:76], y)
        assert np.array_equal(X, before[0])
        assert np.array_equal(y, before[1])
        assert Counter(y_res.tolist()) == {0: 50, 1: 50, 2: 50}

    def test_added_rows_are_new_and_within_what_was_seen(self, rare_iris):
        X, y = rare_iris
        X_new = sampler().fit_resample(X, y)[0][76:]
        assert not {tuple(row) for row in X} & {tuple(row) for row in X_new}
        assert (X_new >= X.min(0)).all()
        assert (X_new <= X.max(0)).all()

    @pytest.mark.parametrize(
        ("strategy", "expected"),
        [
            ("auto", {0: 50, 1: 50, 2: 50}),
            ("not majority", {0: 50, 1: 50, 2: 50}),
            ("not minority", {0: 50, 1: 50, 2: 6}),
            ("minority", {0: 50, 1: 20, 2: 50}),
            ("all", {0: 50, 1: 50, 2: 50}),
            ({0: 60, 2: 6}, {0: 60, 1: 20, 2: 6}),
            (lambda y: {1: 2 * int((y == 1).sum())}, {0: 50, 1: 40, 2: 6}),
        ],
    )
    def test_sampling_strategy(self, rare_iris, strategy, expected):
        _, y_res = sampler(sampling_strategy=strategy).fit_resample(*rare_iris)
        assert Counter(y_res.tolist()) == expected

    def test_a_share_for_two_classes(self, rare_iris):
        X, y = rare_iris
        two = y != 1
        _, y_res = sampler(sampling_strategy=0.5).fit_resample(X[two], y[two])
        assert Counter(y_res.tolist()) == {0: 50, 2: 25}

    @pytest.mark.parametrize("strategy", ["balance", {0: 10}, {7: 99}, 0.5, "majority"])
    def test_a_strategy_that_cannot_be_met(self, rare_iris, strategy):
        with pytest.raises(ValueError, match=r"sampling_strategy|ratio|number of samples|target class"):
            sampler(sampling_strategy=strategy).fit_resample(*rare_iris)

    def test_the_numbers_of_new_rows_and_the_names_of_columns_are_said(self, rare_iris):
        oversampler = sampler(sampling_strategy={1: 20, 2: 9})
        oversampler.fit_resample(*rare_iris)
        assert oversampler.sampling_strategy_ == {1: 0, 2: 3}
        assert oversampler.get_feature_names_out().tolist() == ["x0", "x1", "x2", "x3"]
        oversampler.fit_resample(pd.DataFrame(rare_iris[0], columns=list("abcd")), rare_iris[1])
        assert oversampler.get_feature_names_out().tolist() == list("abcd")

    def test_nothing_to_add_trains_nothing(self):
        X, y = load_iris(return_X_y=True)
        oversampler = sampler()
        X_res, y_res = oversampler.fit_resample(X, y)
        assert np.array_equal(X_res, X)
        assert np.array_equal(y_res, y)
        assert not hasattr(oversampler, "gan_")
        X_res[0] = -1
        assert X[0, 0] != -1

    def test_a_generator_of_an_earlier_fit_does_not_stay(self, rare_iris):
        oversampler = sampler()
        oversampler.fit_resample(*rare_iris)
        assert hasattr(oversampler, "gan_")
        oversampler.fit_resample(*load_iris(return_X_y=True))
        assert not hasattr(oversampler, "gan_")


class TestContainers:
    @pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int64", "int32", "uint8"])
    @pytest.mark.parametrize("labels", [np.arange(3), np.arange(3, dtype="int8"), np.array(["a", "bb", "c"])])
    def test_dtypes_are_kept(self, rare_iris, dtype, labels):
        X, y = (10 * rare_iris[0]).astype(dtype), labels[rare_iris[1]]
        X_res, y_res = sampler(sampling_strategy="minority").fit_resample(X, y)
        assert (X_res.dtype, y_res.dtype) == (X.dtype, y.dtype)
        assert len(X_res) == len(y_res) == 76 + 44

    def test_data_frame(self, rare_iris):
        X, y = rare_iris
        frame = pd.DataFrame(
            {"length": X[:, 0], "mm": (10 * X[:, 1]).astype("int32"), "wide": X[:, 3] > 1},
            index=range(100, 176),
        )
        series = pd.Series(np.array(["se", "ve", "vi"])[y], name="kind", index=frame.index)
        X_res, y_res = sampler().fit_resample(frame, series)
        assert list(X_res.columns) == ["length", "mm", "wide"]
        assert X_res.dtypes.equals(frame.dtypes)
        assert y_res.name == "kind"
        assert X_res.index.equals(pd.RangeIndex(150))
        pd.testing.assert_frame_equal(X_res.iloc[:76], frame.reset_index(drop=True))
        assert Counter(y_res) == {"se": 50, "ve": 50, "vi": 50}

    def test_columns_of_a_frame_are_learned_as_what_they_are(self):
        # cut to an array they would be floats, and 0.3 as a boolean is True
        n = 60
        frame = pd.DataFrame({"number": np.linspace(0, 1, n), "flag": np.arange(n) % 10 == 0})
        oversampler = sampler()
        oversampler.fit_resample(frame, np.arange(n) % 3 == 0)
        assert oversampler.gan_.schema_.codec.dtypes == ("float64", "bool")

    @pytest.mark.parametrize("strategy", ["auto", {"vi": 6}])
    def test_a_frame_of_mixed_columns(self, mixed, strategy):
        X, y = mixed
        X_res, y_res = sampler(sampling_strategy=strategy).fit_resample(X, y)
        assert X_res.dtypes.equals(X.dtypes)
        assert list(X_res.columns) == list(X.columns)
        pd.testing.assert_frame_equal(X_res.iloc[:76], X.reset_index(drop=True))
        assert Counter(y_res) == ({"se": 50, "ve": 50, "vi": 50} if strategy == "auto" else Counter(y))
        new = X_res.iloc[76:]
        assert set(new["kind"].dropna()) <= set(X["kind"].dropna())
        assert (new["day"].dt.normalize() == new["day"]).all()

    def test_frames_of_columns_without_a_common_dtype(self, odd_frame):
        X_res, y_res = sampler().fit_resample(odd_frame, np.repeat([0, 1], [50, 26]))
        assert X_res.dtypes.equals(odd_frame.dtypes)
        pd.testing.assert_frame_equal(X_res.iloc[:76], odd_frame.reset_index(drop=True))
        assert np.bincount(y_res).tolist() == [50, 50]

    @pytest.mark.parametrize("strategy", ["auto", {1: 50}])
    @pytest.mark.parametrize(
        ("labels", "dtype"),
        [
            ([False, True], "category"),
            ([False, True], "boolean"),
            ([False, True], "bool[pyarrow]"),
            ([0, 1], "Int64"),
            (["a", "b"], "category"),
            (["a", "b"], object),
        ],
    )
    def test_a_series_of_labels_keeps_its_dtype(self, rare_iris, strategy, labels, dtype):
        y = pd.Series(np.repeat(labels, [50, 26])).astype(dtype)
        if strategy != "auto":
            strategy = {labels[1]: 50}
        _, y_res = sampler(sampling_strategy=strategy).fit_resample(pd.DataFrame(rare_iris[0]), y)
        assert y_res.dtype == y.dtype
        pd.testing.assert_series_equal(y_res[:76], y)
        assert y_res[76:].tolist() == [labels[1]] * 24

    @pytest.mark.parametrize("kind", [list, np.asarray])
    def test_rows_of_objects(self, mixed, kind):
        X, y = mixed
        rows = X[["kind", "length"]].astype(object).to_numpy()
        X_res, _ = sampler().fit_resample(kind(rows), y)
        assert isinstance(X_res, list) == (kind is list)
        X_res = np.array(X_res, dtype=object)
        pd.testing.assert_frame_equal(pd.DataFrame(X_res[:76]), pd.DataFrame(rows))
        assert {type(v) for v in X_res[:, 1]} == {float}

    @pytest.mark.parametrize("shape", [(8, 8), (1, 8, 9), (9, 8, 3)])
    def test_images(self, shape):
        X = np.random.default_rng(0).integers(0, 256, (20, *shape), dtype=np.uint8)
        y = np.repeat([0, 1], [15, 5])
        X_res, y_res = sampler().fit_resample(X, y)
        assert (X_res.shape, X_res.dtype) == ((30, *shape), np.uint8)
        assert np.array_equal(X_res[:20], X)
        assert y_res.tolist() == [0] * 15 + [1] * 15

    def test_images_in_a_pipeline(self):
        X = np.random.default_rng(0).random((30, 1, 8, 8)).astype("float32")
        y = np.repeat([0, 1], [20, 10])
        flatten = FunctionTransformer(lambda images: images.reshape(len(images), -1))
        pipe = make_pipeline(sampler(), flatten, LogisticRegression()).fit(X, y)
        assert pipe.predict(X).shape == (30,)

    @pytest.mark.parametrize("strategy", ["auto", {0: 50}])
    def test_tensors_come_back_as_arrays(self, rare_iris, strategy):
        X, y = (torch.from_numpy(a) for a in rare_iris)
        X_res, y_res = sampler(sampling_strategy=strategy).fit_resample(X, y)
        assert (type(X_res), type(y_res)) == (np.ndarray, np.ndarray)
        assert np.array_equal(X_res[:76], rare_iris[0])

    def test_one_hot_labels_as_imbalanced_learn(self, rare_iris):
        X, y = rare_iris
        _, y_res = sampler().fit_resample(X, np.eye(3, dtype=int)[y])
        assert y_res.shape == (150, 3)
        assert y_res.sum(0).tolist() == [50, 50, 50]


class TestSeeds:
    def test_same_seed_same_bytes(self, rare_iris):
        one, two, other = (sampler(random_state=s).fit_resample(*rare_iris)[0] for s in (1, 1, 2))
        assert one.tobytes() == two.tobytes()
        assert one.tobytes() != other.tobytes()

    def test_no_global_seed_is_read_or_set(self, rare_iris):
        torch.manual_seed(1)
        np.random.seed(1)  # noqa: NPY002 - the global state is what is tested
        states = torch.get_rng_state(), np.random.get_state()[1]  # noqa: NPY002
        one = sampler().fit_resample(*rare_iris)[0]
        assert torch.equal(states[0], torch.get_rng_state())
        assert np.array_equal(states[1], np.random.get_state()[1])  # noqa: NPY002
        torch.manual_seed(2)
        assert np.array_equal(one, sampler().fit_resample(*rare_iris)[0])

    def test_clone_starts_anew(self, rare_iris):
        first = sampler()
        X_res, _ = first.fit_resample(*rare_iris)
        second = clone(first)
        assert not hasattr(second, "gan_")
        assert second.get_params() == first.get_params()
        assert np.array_equal(second.fit_resample(*rare_iris)[0], X_res)


@pytest.fixture
def seen(monkeypatch):
    """Rows that each generator was trained on, in order, with the generator."""
    calls = []
    fit = ConditionalGAN.fit

    def spy(gan, X, y=None, **kwargs):
        fitted = fit(gan, X, y, **kwargs)
        calls.append((np.array(X), np.array(y), fitted))
        return fitted

    monkeypatch.setattr(ConditionalGAN, "fit", spy)
    return calls


class TestNothingLeaks:
    folds = StratifiedKFold(3, shuffle=True, random_state=0)

    def pipe(self):
        return make_pipeline(StandardScaler(), sampler(), LogisticRegression())

    def test_each_generator_sees_the_training_rows_of_its_fold_alone(self, rare_iris, seen):
        X, y = rare_iris
        scores = cross_validate(self.pipe(), X, y, cv=self.folds, error_score="raise")
        assert scores["test_score"].shape == (3,)
        splits = list(self.folds.split(X, y))
        assert len(seen) == len(splits)
        for (X_seen, y_seen, _), (train, _) in zip(seen, splits, strict=True):
            assert np.array_equal(X_seen, StandardScaler().fit_transform(X[train]))
            assert np.array_equal(y_seen, y[train])

    def test_a_poisoned_test_fold_changes_nothing_fitted(self, rare_iris, seen):
        X, y = rare_iris
        train, test = next(iter(self.folds.split(X, y)))
        poisoned = X.copy()
        poisoned[test] = 1e6 * (1 + np.arange(len(test)))[:, None]
        fitted = [
            cross_validate(
                self.pipe(), data, y, cv=[(train, test)], return_estimator=True, error_score="raise"
            )["estimator"][0]
            for data in (X, poisoned)
        ]
        assert weights_of(seen[0][2]) == weights_of(seen[1][2])
        assert fitted[0][-1].coef_.tobytes() == fitted[1][-1].coef_.tobytes()

    def test_a_poisoned_training_row_does_change_it(self, rare_iris, seen):
        X, y = rare_iris
        poisoned = X.copy()
        poisoned[0] = 1e6
        for data in (X, poisoned):
            self.pipe().fit(data, y)
        assert weights_of(seen[0][2]) != weights_of(seen[1][2])

    def test_predicting_adds_no_rows(self, rare_iris, seen):
        X, y = rare_iris
        pipe = self.pipe().fit(X, y)
        assert len(pipe.predict(X)) == len(X)
        assert len(seen) == 1

    def test_grid_search_over_the_budget(self, rare_iris, seen):
        grid = {"ganoversampler__train_images": np.array([16, 32])}
        search = GridSearchCV(self.pipe(), grid, cv=self.folds, error_score="raise").fit(*rare_iris)
        assert search.best_params_["ganoversampler__train_images"] in (16, 32)
        budgets = [gan.train_images for *_, gan in seen]
        assert sorted(budgets[:6]) == [16] * 3 + [32] * 3
        assert len(budgets) == 7


class TestMistakes:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda X, y: (np.where(X.max() == X, np.inf, X), y), "infinity"),
            (lambda X, y: (X[:-1], y), "inconsistent numbers of samples"),
            (lambda X, y: (X, np.r_[y[:-1], 9]), "at least 2 samples"),
            (lambda X, y: (X[:, :, None, None, None], y), "table|images"),
            (lambda X, y: (np.array([["a"]] * len(X)), y), "nothing to learn"),
            (lambda X, y: (X.astype(complex), y), "Complex data not supported"),
            (lambda X, y: (csr_array(X), y), "dense data is required. Use .*toarray"),
            (
                lambda X, y: (
                    pd.DataFrame(X, columns=list("abcd")).assign(w="a").replace(X.max(), np.inf),
                    y,
                ),
                "must be finite",
            ),
            (
                lambda X, y: (pd.DataFrame(X, columns=list("abcd")).assign(w=[1] + ["a"] * 75), y),
                "'w' must hold cells of one type",
            ),
        ],
    )
    def test_data_that_cannot_be_learned_from(self, rare_iris, change, message):
        with pytest.raises(DataError, match=message):
            sampler().fit_resample(*change(*rare_iris))

    @pytest.mark.parametrize(
        ("y", "message"),
        [
            (None, "y must|requires y"),
            (np.r_[np.nan, np.ones(40), np.zeros(35)], "1 labels are missing"),
            (np.array([None, *"ab" * 37, "a"], dtype=object), "1 labels are missing"),
            (pd.Series([None, *[1, 2] * 37, 1], dtype="Int64"), "1 labels are missing"),
            (pd.Series(pd.cut(np.arange(76), 2)), "numbers, booleans or text; got 'Interval'"),
            (np.array(["a", 1] * 38, dtype=object), "labels must be of one type; got 'int', 'str'"),
            (np.linspace(0, 1, 76), "y must hold class labels; got fractional numbers"),
            (np.zeros(76), "at least two classes; got 1 class: 0.0"),
            (np.array([True, False] * 38, dtype=object), r"bool as Python objects.* np.array\(list\(y\)\)"),
        ],
    )
    def test_labels_that_cannot_be_learned_from(self, rare_iris, y, message):
        for X in (rare_iris[0], pd.DataFrame(rare_iris[0])):
            with pytest.raises(DataError, match=message):
                sampler().fit_resample(X, y)

    def test_frames_that_scikit_learn_would_refuse(self, rare_iris):
        X, y = pd.DataFrame(rare_iris[0]), rare_iris[1]
        with pytest.raises(DataError, match="all input features have string names"):
            sampler().fit_resample(X.rename(columns={0: "a"}), y)
        with pytest.raises(DataError, match="inconsistent numbers of samples"):
            sampler().fit_resample(X[:-1], y)
        with pytest.raises(DataError, match="X must have at least 2 rows; got 0"):
            sampler().fit_resample(X[:0], y)

    def test_settings(self, rare_iris):
        with pytest.raises(ConfigError, match="preset must be one of"):
            GANOverSampler(preset="fast").fit_resample(*rare_iris)
        with pytest.raises(ValueError, match="'config' parameter"):
            GANOverSampler(config={"width": 4}).fit_resample(*rare_iris)
