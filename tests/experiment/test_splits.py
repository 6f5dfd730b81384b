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


def test_repeated_folds_test_each_sample_once_per_repeat():
    splits = split(seeds=15, folds=5)
    for repeat in range(3):
        tested = np.concatenate(splits.test[5 * repeat : 5 * repeat + 5])
        assert sorted(tested) == list(range(len(y)))
    for train, test in zip(splits.train, splits.test, strict=True):
        assert sorted(np.concatenate([train, test])) == list(range(len(y)))
        assert counts(test) == {"cat": 12, "dog": 8, "owl": 10}
    assert len({tuple(test) for test in splits.test}) == 15
    assert splits.overlap == 1 / 4
    assert splits.note == "3 times stratified 5-fold cross-validation of X"


@pytest.mark.parametrize("folds", [None, 4])
def test_a_training_size_draws_from_each_training_part_and_leaves_the_test_part(folds):
    whole, part = split(folds=folds), split(folds=folds, train_size=30)
    for all_rows, rows in zip(whole.train, part.train, strict=True):
        assert set(rows) < set(all_rows)
        assert len(set(rows)) == 30
        assert counts(rows) == {"cat": 12, "dog": 8, "owl": 10}
    assert all(np.array_equal(a, b) for a, b in zip(whole.test, part.test, strict=True))
    assert part.overlap == whole.overlap
    again, other = (split(folds=folds, train_size=30, seed=s) for s in (0, 1))
    assert all(np.array_equal(a, b) for a, b in zip(part.train, again.train, strict=True))
    assert not np.array_equal(part.train[0], other.train[0])


def test_a_small_training_size_keeps_two_of_each_class():
    labels = np.repeat([0, 1, 2, 3], [900, 80, 16, 4])
    for size, expected in ((8, [2, 2, 2, 2]), (30, [24, 2, 2, 2]), (100, [88, 8, 2, 2])):
        for rows in split(labels, train_size=size).train:
            assert np.bincount(labels[rows]).tolist() == expected


def test_with_a_given_test_set_a_training_size_is_drawn_anew_per_seed():
    splits = split(n_given_test=75, train_size=50)
    assert splits.test is None
    assert all(counts(train) == {"cat": 20, "dog": 13, "owl": 17} for train in splits.train)
    assert len({tuple(train) for train in splits.train}) == 4
    assert splits.overlap == 50 / 100


@pytest.mark.parametrize("train_size", [30, 100])
def test_the_overlap_covers_the_correlation_of_scores_that_share_samples(train_size):
    """Scores of a training and a test part add up from samples, in whatever proportion."""
    splits = make_splits(np.repeat([0, 1], 200), seeds=400, test_size=0.5, train_size=train_size, seed=0)
    rng = np.random.default_rng(0)
    correlations = []
    for weight in (0.0, 1.0):  # of the test part
        scores = np.stack(
            [
                (1 - weight) * values[splits.train].mean(axis=1) + weight * values[splits.test].mean(axis=1)
                for values in rng.normal(size=(300, 400))
            ]
        )
        within = scores.var(axis=1, ddof=1).mean()
        correlations.append(1 - within / scores.var())
    rho = splits.overlap / (1 + splits.overlap)
    assert rho == pytest.approx(0.5)
    assert max(correlations) < rho + 0.06


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


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"folds": 1}, ConfigError, "folds must be an integer of at least 2"),
        ({"folds": 3}, ConfigError, "seeds must be a multiple of folds=3.*got 4.*seeds=6"),
        ({"folds": 4, "labelled_per_class": 5}, ConfigError, "labelled_per_class and folds cannot"),
        ({"folds": 4, "n_given_test": 9}, ConfigError, "folds and test cannot"),
        (
            {"train_size": 30, "labelled_per_class": 5},
            ConfigError,
            "labelled_per_class and train_size cannot",
        ),
        ({"train_size": 5}, ConfigError, "train_size must be an integer of at least 6 and at most 112"),
        ({"train_size": 113}, ConfigError, "train_size must be an integer of at least 6 and at most 112"),
        ({"folds": 50, "seeds": 50}, DataError, "at least 50 samples for folds=50; 'dog' has fewer"),
    ],
)
def test_splits_that_cannot_be_made_are_refused(settings, error, message):
    with pytest.raises(error, match=message):
        split(**settings)


def test_one_training_set_is_what_all_seeds_have_on_a_given_test_set_alone():
    y = np.arange(40) % 2
    assert make_splits(y, seeds=3, n_given_test=10, seed=0).one_training_set
    assert make_splits(y, seeds=3, n_given_test=10, labelled_per_class=20, seed=0).one_training_set
    assert not make_splits(y, seeds=3, n_given_test=10, train_size=30, seed=0).one_training_set
    assert not make_splits(y, seeds=3, seed=0).one_training_set


def test_every_group_comes_to_be_tested_and_trained_on_however_large_it_is():
    groups = np.repeat(np.arange(20), [60, 40] + [12] * 18)
    labels = np.random.default_rng(0).integers(0, 2, len(groups))
    splits = make_splits(labels, seeds=60, groups=groups, seed=0)
    tested = np.array([np.isin(np.arange(20), groups[rows]) for rows in splits.test]).mean(axis=0)
    assert tested.min() > 0.05
    assert tested.max() < 0.6
