import datetime

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from ganaug import DataError
from ganaug.experiment.preprocessing import TableFrame, has_categories, table_pipeline

ESTIMATORS = [
    LogisticRegression(max_iter=2000),
    RandomForestClassifier(20, random_state=0),
    HistGradientBoostingClassifier(random_state=0, min_samples_leaf=5),
]


def mixed(n=120, seed=0):
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(
        {
            "size": rng.normal(size=n) * 1e6,
            "count": rng.integers(0, 9, n),
            "flag": rng.random(n) < 0.5,
            "city": rng.choice(["Ulm", "Bonn", "Jena"], n),
            "kind": pd.Categorical(rng.choice(["u", "v"], n)),
            "day": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, n), unit="D"),
            "grade": pd.array(rng.integers(0, 5, n), dtype="Int64"),
            "nothing": np.full(n, np.nan),
        }
    )
    for column in ("size", "city", "kind", "day", "grade"):
        X.loc[rng.choice(n, 10, replace=False), column] = None
    return X


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("signal", ["size", "city", "kind", "day", "flag", "count", "missing"])
def test_each_kind_of_column_can_be_learned_from(estimator, signal):
    X = mixed()
    of = {
        "size": X["size"] > 0,
        "day": X["day"] > "2021-03-01",
        "city": X["city"] == "Bonn",
        "kind": X["kind"] == "u",
        "flag": X["flag"],
        "count": X["count"] > 4,
        "missing": X["size"].isna(),
    }
    y = np.where(of[signal], "yes", "no")
    found = table_pipeline(estimator).fit(X, y)
    assert found.score(X, y) > 0.9


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)
def test_categories_and_missing_cells_that_fit_never_saw_are_no_harm(estimator):
    X, new = mixed(), mixed(seed=1)
    new["city"] = new["city"].replace("Ulm", "Kiel")
    new.loc[:20, "count"] = np.nan
    new["nothing"] = 1.0
    y = np.where(X["count"] > 4, "yes", "no")
    assert table_pipeline(estimator).fit(X, y).predict(new).shape == (120,)


def test_plain_arrays_are_taken_as_numbers():
    X = np.random.default_rng(0).normal(size=(60, 3))
    y = X[:, 0] > 0
    frame = TableFrame().fit(X).transform(X)
    assert np.array_equal(frame.to_numpy(), X)
    assert table_pipeline(LogisticRegression()).fit(X, y).score(X, y) > 0.9


def test_numbers_and_dates_outside_of_the_range_of_fit_stay_as_they_are():
    days = pd.to_datetime(["2020-01-02", "2020-01-01"]).to_series()
    frame = TableFrame().fit(pd.DataFrame({"n": [1, 2], "d": days.array}))
    found = frame.transform(pd.DataFrame({"n": [-7], "d": pd.to_datetime(["2020-01-05"])}))
    assert found.to_numpy().tolist() == [[-7.0, pd.Timestamp("2020-01-05").timestamp()]]


def test_dates_as_python_objects_are_dates():
    X = pd.DataFrame({"d": [datetime.date(1970, 1, 2), None]})
    found = TableFrame().fit(X).transform(X)["d"].tolist()
    assert found[0] == 86_400
    assert np.isnan(found[1])


def test_rare_and_unseen_categories_share_a_code_and_missing_ones_have_none():
    X = pd.DataFrame({"c": ["a"] * 3 + ["b"] * 2 + ["x", "y", None]})
    frame = TableFrame(max_categories=2).fit(X)
    new = pd.DataFrame({"c": ["b", "a", "x", "z", None]})
    assert frame.transform(new)["c"].cat.codes.tolist() == [1, 0, 2, 2, -1]


def test_a_boolean_is_a_category_and_a_number_is_none():
    assert has_categories(pd.DataFrame({"a": [1.0, 2.0], "b": [True, False]}))
    assert has_categories(np.array([["a"], ["b"]], dtype=object))
    assert not has_categories(pd.DataFrame({"a": [1.0, None], "b": pd.to_datetime(["2020-01-01", None])}))
    assert not has_categories(np.zeros((2, 3)))


class TestSetOutput:
    @pytest.mark.parametrize("output", ["default", "pandas"])
    def test_names_and_index_stay(self, output):
        X = mixed().set_axis(range(7, 127))
        frame = TableFrame().set_output(transform=output)
        found = frame.fit_transform(X)
        assert found.columns.tolist() == frame.get_feature_names_out().tolist() == list(X.columns)
        assert found.index.equals(X.index)
        kinds = {str(dtype) for dtype in found.dtypes}
        assert kinds == {"float64", "category"}
        pd.testing.assert_frame_equal(found, TableFrame().fit(X).transform(X))

    @pytest.mark.parametrize("names", [[0, 1], [0, "a"], ["a", "a"], [("a", 1), ("a", 2)]])
    def test_columns_without_a_name_of_their_own_are_numbered(self, names):
        X = pd.DataFrame({"n": [1.0, 2.0], "w": ["u", "v"]}).set_axis(names, axis=1)
        for output in ("default", "pandas"):
            found = TableFrame().set_output(transform=output).fit_transform(X)
            assert found.columns.tolist() == ["x0", "x1"]
            assert found.to_numpy().tolist() == [[1.0, 0], [2.0, 1]]
        assert list(X.columns) == list(pd.DataFrame(columns=names).columns)

    def test_other_columns_are_refused(self):
        X = mixed()
        frame = TableFrame().fit(X)
        with pytest.raises(DataError, match="feature names should match"):
            frame.transform(X.rename(columns={"city": "town"}))
        with pytest.raises(DataError, match="expecting 8 features"):
            TableFrame().fit(np.zeros((4, 8))).transform(np.zeros((4, 3)))
        with pytest.raises(DataError, match="X must be a table"):
            TableFrame().fit(np.zeros((4, 8, 8)))
