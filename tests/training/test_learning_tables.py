"""A generator of rows learns what is in a table: shares, spikes, gaps, and how columns go together."""

import numpy as np
import pandas as pd
import pytest

import ganaug

N = 2000


def table() -> tuple[pd.DataFrame, np.ndarray]:
    """Return rows whose columns depend on the class and on each other, and classes, a tenth of them 1."""
    rng = np.random.default_rng(0)
    y = (rng.random(N) < 0.1).astype(int)
    town = np.where(rng.random(N) < np.where(y == 1, 0.7, 0.2), "north", "south")
    income = np.where(rng.random(N) < 0.6, 0.0, np.exp(rng.normal(3 + y, 0.5, N)).round(2))
    age = pd.array(rng.integers(20, 80, N), dtype="Int64")
    age[rng.random(N) < 0.15] = pd.NA
    heat = np.where(town == "north", -1.0, 1.0) + rng.normal(0, 0.3, N)
    return pd.DataFrame({"town": town, "income": income, "age": age, "heat": heat}), y


@pytest.fixture(scope="module")
def learned() -> tuple[pd.DataFrame, np.ndarray, pd.DataFrame, np.ndarray]:
    X, y = table()
    config = ganaug.GANConfig(train_images=150_000, width=64)
    gan = ganaug.ConditionalGAN(config=config, device="cpu", random_state=0).fit(X, y)
    X_new, y_new = gan.generate({0: 2000, 1: 2000}, random_state=1)
    return X, y, X_new, np.asarray(y_new)


def test_rows_have_the_types_and_range_of_the_table(learned) -> None:
    X, _, X_new, _ = learned
    assert (X_new.dtypes == X.dtypes).all()
    assert set(X_new["town"]) == {"north", "south"}
    assert X_new["income"].between(0, X["income"].max()).all()


@pytest.mark.parametrize("k", [0, 1])
def test_shares_of_categories_spikes_and_gaps_are_those_of_the_class(learned, k: int) -> None:
    X, y, X_new, y_new = learned
    for share in (
        lambda t: (t["town"] == "north").mean(),
        lambda t: (t["income"] == 0).mean(),
        lambda t: t["age"].isna().mean(),
    ):
        assert share(X_new[y_new == k]) == pytest.approx(share(X[y == k]), abs=0.15)


def test_columns_go_together_as_they_do(learned) -> None:
    _, _, X_new, _ = learned
    north = X_new["town"] == "north"
    assert X_new["heat"][north].median() < -0.5
    assert X_new["heat"][~north].median() > 0.5


def test_a_class_of_few_rows_has_its_own_values(learned) -> None:
    X, y, X_new, y_new = learned
    medians = [np.median(v[v > 0]) for v in (X_new["income"][y_new == k] for k in (0, 1))]
    real = [np.median(v[v > 0]) for v in (X["income"][y == k] for k in (0, 1))]
    assert medians[1] > 1.5 * medians[0]
    assert medians == pytest.approx(real, rel=0.5)


def test_a_spread_is_kept(learned) -> None:
    X, _, X_new, y_new = learned
    for k in (0, 1):
        assert X_new["heat"][y_new == k].std() > 0.5 * X["heat"].std()
        assert len(X_new[y_new == k].drop_duplicates()) > 1000
