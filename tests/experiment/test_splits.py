from itertools import combinations

import numpy as np
import pytest

from ganaug.errors import ConfigError, DataError
from ganaug.experiment.splits import make_splits

y = np.random.default_rng(0).permutation(np.repeat(["cat", "dog", "owl"], [60, 40, 50]))


def split(labels=y, **kwargs):
    settings = {"seeds": 4, "labelled_per_class": None, "test_size": 0.25, "n_given_test": None, "seed": 0}
    return make_splits(labels, **{**settings, **kwargs})


def counts(rows):
    labels, n = np.unique(y[rows], return_counts=True)
    return dict(zip(labels.tolist(), n.tolist(), strict=True))


@pytest.mark.parametrize("labelled", [None, 5, {"cat": 8, "dog": 2, "owl": 3}])
def test_training_and_test_part_of_a_seed_share_no_sample(labelled):
    splits = split(labelled_per_class=labelled)
    for train, test in zip(splits.train, splits.test, strict=True):
        assert len(np.intersect1d(train, test)) == 0
        assert len(np.unique(train)) == len(train) > 0
        assert len(np.unique(test)) == len(test) > 0
        assert set(counts(test)) == {"cat", "dog", "owl"}


@pytest.mark.parametrize("labelled", [5, {"cat": 8, "dog": 2, "owl": 3}])
def test_labelled_seeds_share_no_sample_at_all(labelled):
    splits = split(labelled_per_class=labelled)
    wanted = labelled if isinstance(labelled, dict) else dict.fromkeys(("cat", "dog", "owl"), labelled)
    used = [np.union1d(a, b) for a, b in zip(splits.train, splits.test, strict=True)]
    assert all(len(np.intersect1d(a, b)) == 0 for a, b in combinations(used, 2))
    assert sorted(np.concatenate(used)) == list(range(len(y)))
    assert all(counts(train) == wanted for train in splits.train)
    assert splits.overlap == 0


def test_labelled_counts_hold_up_to_the_last_sample():
    splits = split(seeds=6, labelled_per_class={"cat": 9, "dog": 5, "owl": 7})
    assert all(counts(train) == {"cat": 9, "dog": 5, "owl": 7} for train in splits.train)
    assert min(min(counts(test).values()) for test in splits.test) >= 1


def test_too_many_seeds_are_refused_with_the_number_that_fits():
    with pytest.raises(DataError, match=r"at most 3 seeds fit") as caught:
        split(seeds=4, labelled_per_class={"cat": 10, "dog": 10, "owl": 10})
    assert "Lower seeds" in str(caught.value)
    assert len(split(seeds=3, labelled_per_class=10).train) == 3


def test_random_splits_are_stratified_and_declare_their_overlap():
    splits = split()
    for train, test in zip(splits.train, splits.test, strict=True):
        assert counts(train) == {"cat": 45, "dog": 30, "owl": 37}
        assert len(train) + len(test) == len(y)
    assert splits.overlap == len(splits.test[0]) / len(splits.train[0])
    assert len({tuple(train) for train in splits.train}) == 4


def test_a_given_test_set_leaves_all_samples_for_training():
    splits = split(n_given_test=75)
    assert splits.test is None
    assert all(np.array_equal(train, np.arange(len(y))) for train in splits.train)
    assert splits.overlap == 75 / len(y)


def test_a_given_test_set_with_few_labels_uses_own_samples_where_there_are_enough():
    apart = split(n_given_test=75, labelled_per_class=10)
    assert apart.test is None
    assert all(len(np.intersect1d(a, b)) == 0 for a, b in combinations(apart.train, 2))
    assert apart.overlap == 0
    shared = split(n_given_test=75, labelled_per_class=30)
    assert all(counts(train) == {"cat": 30, "dog": 30, "owl": 30} for train in shared.train)
    assert len({tuple(train) for train in shared.train}) == 4
    assert shared.overlap == 75 / 90


@pytest.mark.parametrize("labelled", [None, 5])
def test_splits_depend_on_the_seed_alone(labelled):
    first, again, other = (split(labelled_per_class=labelled, seed=s) for s in (7, 7, 8))
    for one, two, three in zip(first.train, again.train, other.train, strict=True):
        assert np.array_equal(one, two)
        assert not np.array_equal(one, three)
    assert all(np.array_equal(a, b) for a, b in zip(first.test, again.test, strict=True))


@pytest.mark.parametrize(
    ("labelled", "error", "message"),
    [
        ({"cat": 5, "dog": 5}, ConfigError, "each of the classes 'cat', 'dog', 'owl'"),
        ({"cat": 5, "dog": 5, "owl": 5, "fox": 5}, ConfigError, "'fox'"),
        (1, ConfigError, "labelled_per_class.*at least 2"),
        (2.5, ConfigError, "labelled_per_class.*integer"),
        (41, DataError, r"labelled_per_class\['dog'\] must be at most 40"),
    ],
)
def test_a_wrong_number_of_labelled_samples_is_refused(labelled, error, message):
    with pytest.raises(error, match=message):
        split(labelled_per_class=labelled)


@pytest.mark.parametrize("seeds", [0, 2, 3.0, True])
def test_fewer_than_three_seeds_are_refused(seeds):
    with pytest.raises(ConfigError, match="seeds must be an integer of at least 3"):
        split(seeds=seeds)


@pytest.mark.parametrize("test_size", [0, -0.1, 0.95, float("nan")])
def test_a_test_part_of_nothing_or_nearly_all_is_refused(test_size):
    with pytest.raises(ConfigError, match="test_size"):
        split(test_size=test_size)


def test_data_too_small_to_be_split_is_refused():
    with pytest.raises(DataError, match="test_size"):
        split(np.array([0, 0, 1, 1]), test_size=0.25)
