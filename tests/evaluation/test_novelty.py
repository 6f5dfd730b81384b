"""Novelty: copies are found, whatever else is wrong with a generator is not taken for copying."""

from functools import partial

import numpy as np
import pytest
from scipy.stats import fisher_exact, hypergeom, mannwhitneyu

from ganaug.errors import DataError
from ganaug.evaluation import novelty
from ganaug.evaluation.neighbours import neighbours
from ganaug.evaluation.novelty import (
    authenticity,
    data_copying,
    detectable_share,
    exact_duplicates,
    holdout_shift,
    near_duplicates,
    nearer_to_training,
)


def cloud(n, d=6, *, seed=0, scale=1.0):
    return np.random.default_rng(seed).normal(scale=scale, size=(n, d))


TRAIN, HOLDOUT, NEW = cloud(120), cloud(40, seed=1), cloud(100, seed=2)


def found(fake, train=TRAIN, holdout=HOLDOUT):
    return [neighbours(train, fake, holdout)]


def p_values(classes):
    tests = (near_duplicates, data_copying, nearer_to_training, partial(nearer_to_training, near=True))
    return [test(classes).p_value for test in tests]


def test_the_nearest_neighbour_is_the_one_that_a_double_loop_finds():
    (got,) = found(NEW)
    distances = np.linalg.norm(NEW[:, None] - TRAIN, axis=2)
    among = np.linalg.norm(TRAIN[:, None] - TRAIN, axis=2) + np.diag(np.full(len(TRAIN), np.inf))
    assert got.row.tolist() == distances.argmin(1).tolist()
    np.testing.assert_allclose(got.distance, distances.min(1))
    np.testing.assert_allclose(got.own, among.min(1)[got.row])
    held = np.linalg.norm(HOLDOUT[:, None] - TRAIN, axis=2)
    np.testing.assert_allclose(got.holdout_distance, held.min(1))
    union = np.concatenate([TRAIN, HOLDOUT])
    nearest = np.linalg.norm(NEW[:, None] - union, axis=2).argmin(1)
    np.testing.assert_array_equal(got.nearest_of_all, np.bincount(nearest, minlength=len(union)))
    apart = np.linalg.norm(union[:, None] - union, axis=2) + np.diag(np.full(len(union), np.inf))
    near = np.linalg.norm(NEW - union[nearest], axis=1) < 0.5 * apart.min(1)[nearest]
    np.testing.assert_array_equal(got.near_of_all, np.bincount(nearest[near], minlength=len(union)))


def test_c_t_is_the_mann_whitney_statistic_and_over_classes_van_elterens():
    one, other = found(NEW), found(cloud(30, seed=5) * 1.2, cloud(50, seed=6), cloud(20, seed=7))
    for classes in (one, other):
        (c,) = classes
        n, m = len(c.distance), len(c.holdout_distance)
        u = mannwhitneyu(c.distance, c.holdout_distance).statistic
        assert data_copying(classes).z == pytest.approx((u - n * m / 2) / (n * m * (n + m + 1) / 12) ** 0.5)
    a, b = data_copying(one).z, data_copying(other).z
    size = [(len(c.distance), len(c.holdout_distance)) for c in (*one, *other)]
    weights = [(n * m / (n + m + 1)) ** 0.5 for n, m in size]  # of the z of each class
    expected = (weights[0] * a + weights[1] * b) / (weights[0] ** 2 + weights[1] ** 2) ** 0.5
    assert data_copying([*one, *other]).z == pytest.approx(expected)


@pytest.mark.parametrize("noise", [0.0, 1e-6, 0.05])
def test_copies_are_found_by_every_statistic(noise):
    copies = TRAIN + noise * cloud(120, seed=9)
    classes = found(copies)
    assert data_copying(classes).z < -8
    nearer = nearer_to_training(classes)
    assert (nearer.share, nearer.copied) == (1.0, 1.0)
    assert nearer.expected == 0.75
    assert authenticity(classes).share < 0.02
    assert near_duplicates(classes).share > 0.98
    assert exact_duplicates(classes).share == (noise < 0.05)
    assert max(p_values(classes)) < 1e-4


def test_new_samples_look_as_held_out_ones_do():
    classes = found(NEW)
    assert abs(data_copying(classes).z) < 2.5
    nearer, fresh, near = nearer_to_training(classes), authenticity(classes), near_duplicates(classes)
    assert nearer.low < nearer.share < nearer.high
    assert nearer.low < nearer.expected == 0.75 < nearer.high
    assert abs(fresh.share - fresh.reference) < 3 * (0.25 / 100 + 0.25 / 40) ** 0.5
    assert near.share == pytest.approx(near.reference, abs=0.04)
    assert exact_duplicates(classes) == (0, 0, 0.1)


def test_the_tests_keep_their_level_also_with_ties_and_heavy_tails(monkeypatch):
    monkeypatch.setattr(novelty, "N_RELABELLED", 499)
    below = np.zeros(4)
    n = 120
    for seed in range(n):
        rng = np.random.default_rng(seed)
        grid = rng.choice([0, 2])
        parts = [rng.standard_t(4, size=(size, 2)) for size in (60, 20, 60)]
        train, holdout, fake = (np.round(grid * p) / grid if grid else p for p in parts)
        below += np.array(p_values(found(fake, train, holdout))) < 0.05
    assert (below / n < 0.05 + 3 * (0.05 * 0.95 / n) ** 0.5).all(), below / n


def test_typical_samples_have_a_low_c_t_and_are_not_accused():
    typical = 0.3 * NEW
    classes = found(typical)
    assert data_copying(classes).z < -3  # which is why it takes a second witness
    assert nearer_to_training(classes).p_value > 0.05
    assert near_duplicates(classes).p_value > 0.05


def test_a_generator_that_repeats_one_new_sample_is_no_copy_and_one_training_sample_is():
    mean = np.repeat(TRAIN.mean(0)[None], 100, axis=0)
    assert nearer_to_training(found(mean)).p_value > 0.05
    assert near_duplicates(found(mean)).share == 0
    assert np.isnan(nearer_to_training(found(mean), near=True).share)
    assert nearer_to_training(found(mean), near=True).p_value == 1
    one = np.repeat(TRAIN[:1], 100, axis=0)
    assert nearer_to_training(found(one)).p_value > 0.05  # a single neighbour may be luck,
    assert near_duplicates(found(one)).p_value < 1e-6  # being equal to it is not


def test_samples_where_near_duplicates_are_common_are_not_accused_once_there_is_a_holdout():
    rng = np.random.default_rng(0)

    def mixed(n, flat):
        """Return rows in space, and a share of them in a plane, where neighbours are nearer."""
        return rng.normal(size=(n, 6)) * np.where(rng.random((n, 1)) < flat, [1, 1, 0, 0, 0, 0], 1)

    classes = found(mixed(300, 1.0), mixed(300, 0.3), mixed(150, 0.3))
    assert near_duplicates(classes).p_value < 0.001
    assert nearer_to_training(classes, near=True).p_value > 0.05


def test_the_range_of_luck_is_that_of_random_exchanges():
    fake, train, holdout = NEW, TRAIN[:8], HOLDOUT[:4]
    result = nearer_to_training(found(fake, train, holdout))
    union, shares = np.concatenate([train, holdout]), []
    rng = np.random.default_rng(0)
    nearest = np.linalg.norm(fake[:, None] - union, axis=2).argmin(1)
    for _ in range(4000):
        chosen = rng.permutation(12)[:8]
        shares.append(np.isin(nearest, chosen).mean())
    assert result.expected == pytest.approx(np.mean(shares), abs=0.01)
    assert (result.low, result.high) == pytest.approx(np.quantile(shares, [0.025, 0.975]), abs=0.03)
    assert result.p_value == pytest.approx(np.mean(np.array(shares) >= result.share), abs=0.03)


def test_near_duplicates_of_one_class_are_fishers_and_of_several_the_convolution():
    def counted(c):
        hits = int((c.distance < 0.5 * c.own).sum())
        real = int((c.holdout_distance < 0.5 * c.holdout_own).sum() + -(-c.train_near.sum() // 2))
        return hits, len(c.distance) - hits, real, c.n_train // 2 + c.n_holdout - real

    fakes = [np.concatenate([TRAIN[:6], NEW[:60]]), np.concatenate([TRAIN[:3], NEW[:30]])]
    one, two = ([neighbours(TRAIN, fake, HOLDOUT)] for fake in fakes)
    for classes in (one, two):
        a, b, c, d = counted(classes[0])
        exact = fisher_exact([[a, b], [c, d]], alternative="greater").pvalue
        assert near_duplicates(classes).p_value == pytest.approx(exact)
    laws = []
    for (c,) in (one, two):
        a, b, r, rest = counted(c)
        laws.append(hypergeom(a + b + r + rest, a + r, a + b))
    hits = sum(counted(c[0])[0] for c in (one, two))
    by_sum = sum(laws[0].pmf(i) * laws[1].pmf(j) for i in range(70) for j in range(40) if i + j >= hits)
    assert near_duplicates([*one, *two]).p_value == pytest.approx(by_sum)


def test_rows_that_real_samples_repeat_too_are_no_copies():
    rng = np.random.default_rng(0)
    train, holdout, fake = (rng.integers(0, 2, size=(n, 4)).astype(float) for n in (80, 40, 80))
    classes = found(fake, train, holdout)
    same = exact_duplicates(classes)
    assert min(same.share, same.reference) > 0.9
    assert same.limit > 1
    assert exact_duplicates([neighbours(train, fake)]).limit > 1
    assert min(p_values(classes)) > 0.05
    alone = [neighbours(train, fake)]
    assert near_duplicates(alone).p_value > 0.05


@pytest.mark.parametrize("n", [1, 6])
def test_copies_of_a_few_training_samples_pass_the_limit_of_exact_ones_though_no_exchange_tells_them(n):
    fake = np.concatenate([TRAIN[np.arange(50) % n], NEW[:50]])
    for holdout in (HOLDOUT, None):
        same = exact_duplicates(found(fake, holdout=holdout))
        assert same.share == 0.5 > same.limit == 0.1
    few = exact_duplicates(found(fake, TRAIN[:10], HOLDOUT[:10]))
    assert few.limit == 5 / 21
    if n == 1:
        assert nearer_to_training(found(fake), near=True).p_value > 0.05


def test_equal_training_samples_count_as_one_neighbour():
    twice = np.concatenate([TRAIN, TRAIN])
    (once,), (doubled,) = found(NEW), found(NEW, twice)
    np.testing.assert_allclose(doubled.own, once.own)
    assert near_duplicates(found(TRAIN, twice)).share == 1
    assert doubled.train_near.all()
    assert once.train_near.mean() < 0.1


def test_a_training_sample_is_judged_as_a_new_one_is_beside_the_others():
    train = np.concatenate([np.round(cloud(60, 2, seed=3)), cloud(60, 2, seed=4)])
    judged = []
    for i in range(len(train)):
        (one,) = found(train[i : i + 1], np.delete(train, i, axis=0), HOLDOUT[:, :2])
        judged.append(one.distance[0] < 0.5 * one.own[0])
    assert found(NEW[:, :2], train, HOLDOUT[:, :2])[0].train_near.tolist() == judged
    assert 0.1 < np.mean(judged) < 0.9


def test_without_a_holdout_near_duplicates_are_still_told_and_the_tests_say_what_they_need():
    alone = [neighbours(TRAIN, TRAIN + 1e-3)]
    assert near_duplicates(alone).p_value < 1e-9
    assert np.isnan(authenticity(alone).reference)
    for test in (data_copying, nearer_to_training):
        with pytest.raises(DataError, match=r"got 120 and 0. Hold some real samples out"):
            test(alone)


def test_a_share_of_copies_that_is_said_to_be_found_is_found_in_four_of_five_cases():
    share = detectable_share(100, 40, alpha=0.05)
    hits = []
    for seed in range(150):
        train, holdout, new = (cloud(n, seed=10 * seed + i) for i, n in enumerate((100, 40, 100)))
        n_copies = round(share * 100)
        fake = np.concatenate([train[:n_copies], new[n_copies:]])
        hits.append(data_copying(found(fake, train, holdout)).p_value < 0.05)
    assert np.mean(hits) == pytest.approx(0.8, abs=0.12)
    assert detectable_share(100, 0, alpha=0.05) == float("inf")


def test_a_holdout_of_another_kind_is_noticed_and_a_random_one_is_not():
    z = [holdout_shift(found(NEW, cloud(60, seed=i), cloud(30, seed=500 + i))) for i in range(100)]
    assert abs(np.mean(z)) < 0.4
    assert np.std(z) < 1.5
    assert max(z) < 4
    assert holdout_shift(found(NEW, TRAIN, HOLDOUT + 1)) > 3
    repeated = np.concatenate([TRAIN, TRAIN[:30]])
    assert (found(NEW, repeated)[0].train_distance[:30] == 0).all()


def test_errors_say_what_came():
    with pytest.raises(DataError, match=r"3 different samples; got 2"):
        neighbours(np.array([[0.0], [1.0], [1.0]]), NEW[:, :1])
    with pytest.raises(DataError, match=r"got \(120, 6\), \(100, 5\), \(40, 6\)"):
        neighbours(TRAIN, NEW[:, :5], HOLDOUT)
