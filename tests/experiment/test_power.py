import numpy as np
import pytest
from scipy import stats

from ganaug.experiment.power import power, power_of
from ganaug.experiment.statistics import CrossedEstimate, Estimate, paired_estimate


def test_with_many_seeds_the_power_is_that_of_the_t_test():
    n, gain = 2000, 0.06
    noncentral = stats.nct.sf(stats.t.ppf(0.975, n - 1), n - 1, gain * np.sqrt(n))
    assert power_of(Estimate(0.0, n, spread=1.0), gain) == pytest.approx(noncentral, abs=0.003)


def test_with_few_seeds_it_is_the_average_over_the_posterior_of_the_variance():
    variances = 2.0 * 4 / np.random.default_rng(0).chisquare(4, 20_000)
    shifts = 3.0 / np.sqrt(variances / 5)
    expected = stats.nct.sf(stats.t.ppf(0.975, 4), 4, shifts).mean()
    assert power_of(Estimate(0.0, 5, spread=2.0), 3.0) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("overlap", [0.0, 1 / 3])
@pytest.mark.parametrize("n_seeds", [3, 5, 10])
def test_a_gain_said_to_be_found_in_80_of_100_comparisons_is(n_seeds, overlap):
    rng = np.random.default_rng(n_seeds)
    share = overlap / (1 + overlap)  # of the variance, common to all seeds
    values = rng.normal(0, np.sqrt(share), (4000, 1)) + rng.normal(0, np.sqrt(1 - share), (4000, n_seeds))
    unit = power(Estimate(0.0, n_seeds, 1.0, overlap)).smallest_gain  # it grows with the deviation
    found = [
        paired_estimate(again, overlap=overlap).gain().low + unit * first.std(ddof=1) > 0
        for first, again in zip(values[::2], values[1::2], strict=True)
    ]
    assert 0.76 <= np.mean(found) <= 0.84  # 2000 draws at a rate of 0.8 have a standard error of 0.009


def test_the_smallest_gain_grows_with_the_deviation():
    one, three = (power(Estimate(0.0, 5, v, v / 3)).smallest_gain for v in (1.0, 9.0))
    assert three == pytest.approx(3 * one, rel=1e-4)


@pytest.mark.parametrize("n_seeds", [3, 5])
def test_the_seeds_that_a_gain_needs_find_it_in_80_of_100_comparisons(n_seeds):
    rng = np.random.default_rng(n_seeds)
    found = []
    for _ in range(250):
        needed = power(paired_estimate(rng.normal(size=n_seeds)), gain=0.5).seeds
        found.append(paired_estimate(rng.normal(0.5, 1, needed)).gain().low > 0)
    assert 0.72 <= np.mean(found) <= 0.9  # 250 draws have a standard error of 0.025


def test_the_spread_seen_in_3_seeds_taken_for_the_true_one_would_promise_too_much():
    rng = np.random.default_rng(0)
    plain = 5.6535 / np.sqrt(
        3
    )  # deviations that 3 seeds find in 80 % of comparisons, were the deviation known
    found = [
        paired_estimate(rng.normal(size=3)).gain().low + plain * rng.normal(size=3).std(ddof=1) > 0
        for _ in range(1000)
    ]
    assert np.mean(found) < 0.7
    assert power(Estimate(0.0, 3, spread=1.0)).smallest_gain > 1.4 * plain


def test_fewer_seeds_that_saw_the_same_spread_promise_less():
    needed = [power(Estimate(0.0, n, spread=4.0)).seeds for n in (3, 5, 10, 100)]
    assert needed == sorted(needed, reverse=True)
    assert needed[-1] == 34  # the textbook number of pairs for half a deviation
    assert "say little" in str(power(Estimate(0.0, 3, spread=4.0)))
    assert "say little" not in str(power(Estimate(0.0, 10, spread=4.0)))


def test_the_smallest_gain_has_the_power_it_is_said_to_have():
    for estimate in (Estimate(0.0, 5, 2.0, 0.5), CrossedEstimate(0.0, 5, 2.0, 0.5)):
        assert power_of(estimate, power(estimate).smallest_gain) == pytest.approx(0.8, abs=1e-4)


def test_seeds_do_not_average_out_the_samples_of_one_test_set():
    found = power(CrossedEstimate(0.0, 10, spread=0.01, floor=1.0))
    assert found.seeds is None
    assert found.least_gain == pytest.approx(1.96 + 0.8416, abs=0.01)


def test_differences_that_are_all_zero_need_the_fewest_seeds():
    assert power(Estimate(0.0, 5, spread=0.0)).seeds == 3


def test_advice_is_about_what_the_data_can_give():
    folds = str(power(Estimate(0.0, 5, 4.0, floor=1.0), gain=0.5))
    assert "but more data might" in folds
    given = str(power(CrossedEstimate(0.0, 5, 4.0, floor=1.0), gain=0.5))
    assert "but a test set more than " in given
    least = power(CrossedEstimate(0.0, 5, 4.0, floor=1.0)).least_gain
    assert "a test set that is larger might" in str(
        power(CrossedEstimate(0.0, 5, 4.0, floor=1.0), gain=least)
    )


def test_the_number_of_seeds_is_searched_to_its_limit():
    assert 6_144 < power(Estimate(0.0, 30, 3.4**2), gain=0.12).seeds < 10_000
