"""Real samples to spare: what the arms would be worth in real samples."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from ganaug import GANConfig, compare
from ganaug.errors import ConfigError
from ganaug.experiment.arms import ARMS

TINY = GANConfig(width=4, z_dim=4, batch_size=16, train_images=32)
ORACLES = ["quarter of reserve", "half of reserve", "reserve"]
SEEN: list[tuple[set[float], set[float]]] = []


class Noting(LogisticRegression):
    """Notes the ids of the rows that it is trained and tested on."""

    def fit(self, X, y, sample_weight=None):
        self.trained_ = set(np.asarray(X)[:, 2])
        return super().fit(X, y, sample_weight)

    def predict(self, X):
        SEEN.append((self.trained_, set(np.asarray(X)[:, 2])))
        return super().predict(X)


def rows(n=400):
    """Two classes that overlap, and an id too small to matter."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, n)
    return np.column_stack([rng.normal(size=(n, 2)) + y[:, None], 1e-6 * np.arange(n)]), y


@pytest.mark.parametrize(
    "splits", [{"train_size": 40}, {"train_size": 40, "folds": 3}, {"labelled_per_class": 9}]
)
def test_an_oracle_adds_real_samples_of_neither_part(splits):
    X, y = rows()
    X_test, y_test = X[300:], y[300:]
    given = {"test": (X_test, y_test)} if "labelled_per_class" in splits else {}
    X, y = (X[:300], y[:300]) if given else (X, y)
    arms = ["nothing", "oversampling", "gan", *ORACLES]
    SEEN.clear()
    result = compare(X, y, classifier=Noting(), arms=arms, seeds=3, config=TINY, **splits, **given)
    assert result.roles["reserve"] == "oracle"
    n_reserve = result.settings["n_reserve"]
    assert n_reserve > 30
    for s in range(3):
        of = dict(zip(arms, SEEN[s * len(arms) : (s + 1) * len(arms)], strict=True))
        (own, tested), more = of["nothing"], [of[arm][0] - of["nothing"][0] for arm in ORACLES]
        assert all(not extra & tested for extra in more)
        assert more[0] < more[1] < more[2]
        counts = {c.arm: c.n_extra for c in result.cells if c.seed == s}
        assert [len(extra) for extra in more] == [counts[arm] for arm in ORACLES]
        assert all(own <= of[arm][0] for arm in ORACLES)
        assert counts["reserve"] == pytest.approx(n_reserve, abs=2)


def test_an_oracle_without_real_samples_to_spare_is_refused():
    X, y = rows(60)
    arms = ["nothing", "oversampling", "gan", "reserve"]
    for splits in ({}, {"folds": 3}, {"labelled_per_class": 4}):
        with pytest.raises(ConfigError, match=r"'reserve' add real samples .* set train_size"):
            compare(X, y, arms=arms, seeds=3, config=TINY, **splits)


def test_no_oracle_runs_by_default():
    assert {arm.role for arm in ARMS.values()} == {"control", "treatment", "oracle"}
    X, y = rows(60)
    result = compare(X, y, classifier="logistic", seeds=3, config=TINY)
    assert "oracle" not in result.roles.values()
