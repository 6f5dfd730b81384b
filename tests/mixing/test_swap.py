"""SyntheticSwap: rows are replaced while fitting, never added, and never at predict time."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ganaug import ConditionalGAN, ConfigError, DataError, GANConfig, SyntheticSwap
from ganaug.experiment.preprocessing import TableFrame

CONFIG = GANConfig(width=8, z_dim=4, batch_size=16, train_images=64)


def swap(**kwargs):
    return SyntheticSwap(config=CONFIG, **{"random_state": 0, "p": 0.4, **kwargs})


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))
    return X[order], y[order]


class TestFitTransform:
    def test_rows_that_are_not_marked_stay_as_they_were(self, iris):
        X, y = iris
        before = X.copy()
        swapper = swap()
        X_mixed = swapper.fit_transform(X, y)
        assert X_mixed.shape == X.shape
        assert np.array_equal((X_mixed != X).any(axis=1), swapper.swapped_)
        assert np.array_equal(X, before)

    def test_the_share_is_about_p(self):
        n = 2000
        X = np.random.default_rng(0).normal(size=(n, 2))
        swapper = swap(p=0.3)
        swapper.fit_transform(X, np.arange(n) % 2)
        assert abs(swapper.swapped_.mean() - 0.3) < 0.04  # four standard deviations

    @pytest.mark.parametrize("p", [0, 1])
    def test_nothing_and_everything(self, iris, p):
        X, y = iris
        X_mixed = swap(p=p).fit_transform(X, y)
        assert (X_mixed == X).all(axis=1).mean() == 1 - p

    def test_each_row_is_replaced_by_one_of_its_own_class(self, iris, monkeypatch):
        X, y = iris[0] + np.random.default_rng(0).normal(size=iris[0].shape), iris[1]  # no two rows alike
        generate = ConditionalGAN.generate
        labels = {}

        def spy(gan, counts, **kwargs):
            X_new, y_new = generate(gan, counts, **kwargs)
            labels.update(zip(map(tuple, X_new), y_new, strict=True))
            return X_new, y_new

        monkeypatch.setattr(ConditionalGAN, "generate", spy)
        swapper = swap()
        X_mixed = swapper.fit_transform(X, y)
        rows = np.flatnonzero(swapper.swapped_)
        assert len(labels) == len(rows)  # each generated row is used, and once
        assert [labels[tuple(X_mixed[i])] for i in rows] == y[rows].tolist()

    def test_same_seed_same_rows(self, iris):
        one, two, other = (swap(random_state=s).fit_transform(*iris) for s in (1, 1, 2))
        assert np.array_equal(one, two)
        assert not np.array_equal(one, other)

    def test_transform_is_the_identity(self, iris):
        X, y = iris
        swapper = swap().fit(X, y)
        assert np.array_equal(swapper.transform(X), X)
        assert np.array_equal(swapper.transform(X[:1]), X[:1])
        assert not hasattr(swapper, "swapped_")


class TestInAPipeline:
    def pipe(self, **kwargs):
        return make_pipeline(StandardScaler(), swap(**kwargs), LogisticRegression())

    def test_cross_validate(self, iris):
        scores = cross_validate(self.pipe(), *iris, cv=3, error_score="raise")["test_score"]
        assert scores.mean() > 0.6  # a third is chance: labels still belong to their rows

    def test_predicting_is_that_of_the_classifier_alone(self, iris):
        X, y = iris
        pipe = self.pipe().fit(X, y)
        expected = pipe[-1].predict_proba(pipe[0].transform(X))
        assert np.array_equal(pipe.predict_proba(X), expected)

    def test_none_replaced_is_the_pipeline_without_it(self, iris):
        plain = make_pipeline(StandardScaler(), LogisticRegression()).fit(*iris)
        assert np.array_equal(self.pipe(p=0).fit(*iris)[-1].coef_, plain[-1].coef_)
        assert not np.array_equal(self.pipe().fit(*iris)[-1].coef_, plain[-1].coef_)

    def test_a_memory_of_the_pipeline_keeps_the_swap(self, iris, tmp_path):
        pipes = [self.pipe(), *(self.pipe().set_params(memory=str(tmp_path)) for _ in range(2))]
        coefs = [pipe.fit(*iris)[-1].coef_.tobytes() for pipe in pipes]
        assert len(set(coefs)) == 1
        assert len(list(tmp_path.rglob("output.pkl"))) == 2  # the scaler's and the swap's

    def test_a_poisoned_test_fold_changes_nothing_fitted(self, iris):
        X, y = iris
        split = next(iter(StratifiedKFold(3).split(X, y)))
        poisoned = X.copy()
        poisoned[split[1]] = 1e6
        coefs = [
            cross_validate(self.pipe(), data, y, cv=[split], return_estimator=True)["estimator"][0][-1].coef_
            for data in (X, poisoned)
        ]
        assert coefs[0].tobytes() == coefs[1].tobytes()


class TestContainers:
    def test_data_frame_keeps_columns_index_and_dtypes(self, iris):
        X, y = iris
        frame = pd.DataFrame(
            {
                "length": X[:, 0].astype("float32"),
                "mm": (10 * X[:, 1]).astype("int16"),
                "wide": X[:, 3] > 1,
                "width": X[:, 3],
            },
            index=range(500, 650),
        )
        before = frame.copy()
        swapper = swap()
        mixed = swapper.fit_transform(frame, pd.Series(y, index=frame.index))
        assert mixed.dtypes.equals(frame.dtypes)
        assert mixed.index.equals(frame.index)
        kept = ~swapper.swapped_
        pd.testing.assert_frame_equal(mixed[kept], frame[kept])
        assert (mixed["width"] != frame["width"])[swapper.swapped_].mean() > 0.5
        pd.testing.assert_frame_equal(frame, before)
        pd.testing.assert_frame_equal(swapper.transform(frame), frame)
        assert swapper.get_feature_names_out().tolist() == list(frame.columns)

    def test_a_frame_of_mixed_columns(self, iris):
        X, y = iris
        n = np.arange(150)
        frame = pd.DataFrame(
            {
                "length": np.where(n % 5, X[:, 0], np.nan),
                "count": pd.array(np.where(n % 7, n, np.nan), dtype="Int64"),
                "kind": pd.Series(np.array(["a", "b", None], dtype=object)[n % 3], dtype=object),
                "text": pd.Series(np.array(["a", "b"])[n % 2], dtype="string"),
                "size": pd.Categorical(
                    np.array(["S", "M", "L"])[y], categories=["S", "M", "L"], ordered=True
                ),
                "day": pd.Timestamp("2020") + pd.to_timedelta(n, unit="D"),
                "zone": pd.Timestamp("2020", tz="Europe/Berlin") + pd.to_timedelta(n, unit="h"),
            },
            index=range(500, 650),
        )
        swapper = swap()
        mixed = swapper.fit_transform(frame, y)
        assert mixed.dtypes.equals(frame.dtypes)
        kept = ~swapper.swapped_
        pd.testing.assert_frame_equal(mixed[kept], frame[kept])
        assert (mixed["zone"] != frame["zone"])[swapper.swapped_].mean() > 0.5
        pd.testing.assert_frame_equal(swapper.transform(frame), frame)

    @pytest.mark.parametrize("shape", [(8, 8), (3, 8, 9), (9, 8, 1)])
    def test_images(self, shape):
        X = np.random.default_rng(0).integers(0, 256, (30, *shape), dtype=np.uint8)
        swapper = swap()
        mixed = swapper.fit_transform(X, np.repeat(["a", "b"], 15))
        assert (mixed.shape, mixed.dtype) == (X.shape, X.dtype)
        assert np.array_equal(mixed[~swapper.swapped_], X[~swapper.swapped_])
        assert swapper.swapped_.any()

    def test_tensors(self):
        X = torch.rand(30, 1, 8, 8)
        y = torch.arange(30) % 2
        swapper = swap()
        mixed = swapper.fit_transform(X, y)
        assert isinstance(mixed, torch.Tensor)
        assert mixed.dtype == X.dtype
        assert torch.equal((mixed != X).flatten(1).any(1), torch.from_numpy(swapper.swapped_))
        assert swapper.transform(X) is X


@pytest.mark.parametrize(
    "columns",
    [
        {"clone": np.arange(60) / 7, "day": pd.date_range("2020", periods=60, tz="Europe/Berlin")},
        {"flag": [True, False] * 30, "word": pd.Categorical(["u", "v"] * 30)},
        {"n": pd.array([None, *range(59)], dtype="Int64"), "time": pd.to_timedelta(np.arange(60), unit="h")},
    ],
)
def test_frames_of_columns_without_a_common_dtype(columns):
    X, y = pd.DataFrame(columns), pd.Series(pd.Categorical([True, False] * 30))
    swapper = swap()
    X_mixed = swapper.fit_transform(X, y)
    assert X_mixed.dtypes.equals(X.dtypes)
    kept = ~swapper.swapped_
    pd.testing.assert_frame_equal(X_mixed[kept], X[kept])
    pd.testing.assert_frame_equal(swapper.transform(X), X)
    with pytest.raises(DataError, match="feature names should match"):
        swapper.transform(X.rename(columns=str.upper))


class TestSetOutput:
    def mixed(self, columns=("length", "size", "n", "flag", "day")):
        n = np.arange(60)
        values = [
            (n / 7).astype("float32"),
            pd.Categorical(np.array(["S", "M"])[n % 2], categories=["S", "M", "L"]),
            pd.array([None, *range(59)], dtype="Int64"),
            n % 3 == 0,
            pd.Timestamp("2020", tz="Europe/Berlin") + pd.to_timedelta(n, unit="D"),
        ]
        X = pd.concat([pd.Series(v) for v in values], axis=1)
        return X.set_axis(list(columns), axis=1).set_axis(range(100, 160)), pd.Series(
            n % 2, index=range(100, 160)
        )

    @pytest.mark.parametrize("output", ["default", "pandas"])
    def test_frames_keep_columns_index_and_dtypes(self, output):
        X, y = self.mixed()
        swapper = swap().set_output(transform=output)
        mixed = swapper.fit_transform(X, y)
        assert mixed.dtypes.equals(X.dtypes)
        assert mixed.columns.equals(X.columns)
        assert mixed.index.equals(X.index)
        pd.testing.assert_frame_equal(mixed[~swapper.swapped_], X[~swapper.swapped_])
        pd.testing.assert_frame_equal(swapper.transform(X), X)

    def test_the_names_of_the_callers_own_columns_stay(self):
        X, y = self.mixed(columns=range(5))
        swapper = swap().set_output(transform="pandas").fit(X, y)
        assert swapper.transform(X).columns.tolist() == ["x0", "x1", "x2", "x3", "x4"]
        assert X.columns.tolist() == [0, 1, 2, 3, 4]  # scikit-learn renames those of what it is given

    def test_arrays_become_frames_of_their_dtype(self, iris):
        X, y = iris[0].astype("float32"), iris[1]
        swapper = swap().set_output(transform="pandas")
        for found in (swapper.fit_transform(X, y), swapper.transform(X)):
            assert found.columns.tolist() == ["x0", "x1", "x2", "x3"]
            assert set(found.dtypes) == {np.dtype("float32")}
            assert found.index.equals(pd.RangeIndex(150))
        assert np.array_equal(found, X)

    def test_in_pipelines(self):
        X, y = self.mixed()
        pipe = make_pipeline(swap(), TableFrame()).set_output(transform="pandas")
        for found in (pipe.fit_transform(X, y), pipe.transform(X)):
            assert found.columns.tolist() == list(X.columns) == pipe.get_feature_names_out().tolist()
            assert found.index.equals(X.index)
        pd.testing.assert_frame_equal(pipe.transform(X), pipe[-1].transform(X))

    def test_images_cannot_become_a_frame(self):
        X = np.zeros((20, 8, 8), dtype=np.uint8)
        X[:, 0, 0] = np.arange(20)
        with pytest.raises(ValueError, match="2-d input"):
            swap().set_output(transform="pandas").fit_transform(X, np.arange(20) % 2)


class TestMistakes:
    def test_labels_missing(self, iris):
        for call in (swap().fit, swap().fit_transform):
            with pytest.raises(DataError, match="requires y"):
                call(iris[0])
        with pytest.raises(DataError, match="requires y"):
            make_pipeline(swap(), StandardScaler()).fit_transform(iris[0])

    @pytest.mark.parametrize("p", [-0.1, 1.1, "half", None, float("nan"), True])
    def test_p_out_of_range(self, iris, p):
        with pytest.raises(ConfigError, match="p must be a number of at least 0 and at most 1"):
            swap(p=p).fit(*iris)

    def test_other_columns_at_predict_time(self, iris):
        swapper = swap().fit(*iris)
        with pytest.raises(DataError, match="expecting 4 features"):
            swapper.transform(iris[0][:, :3])

    def test_infinite_values(self, iris):
        X, y = iris
        with pytest.raises(DataError, match="infinity"):
            swap().fit(np.where(X.max() == X, np.inf, X), y)
