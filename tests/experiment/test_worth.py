"""What an arm is worth in real samples, read off the learning curve of the oracles."""

import numpy as np
import pytest

from ganaug.experiment.contrasts import Contrasts
from ganaug.experiment.worth import worth

ADDED = {"nothing": 0, "quarter": 25, "half": 50, "reserve": 100}


def read_off(arm, curve, *, noise=0.0, seeds=5, added=ADDED, rng=None):
    """Return the worth of an arm with a mean score, by a curve of mean scores."""
    rng = rng or np.random.default_rng(0)
    means = {"gan": arm, **dict(zip(added, curve, strict=True))}
    scores = {name: mean + noise * rng.normal(size=seeds) for name, mean in means.items()}
    return worth(Contrasts(scores, resolution=1e-6), "gan", added)


LINEAR = (50, 52.5, 55, 60)


@pytest.mark.parametrize("gain", [0.3, 2.5, 4.0, 9.9])
def test_on_a_linear_curve_a_gain_is_worth_its_share_of_the_samples(gain):
    found = read_off(50 + gain, LINEAR)
    assert (found.samples, found.low, found.high, found.most) == (round(10 * gain),) * 3 + (100,)


def test_the_order_of_the_oracles_does_not_matter():
    turned = dict(reversed(ADDED.items()))
    assert read_off(53, LINEAR[::-1], added=turned) == read_off(53, LINEAR)


def test_a_gain_beyond_the_largest_oracle_is_more_than_it_added():
    found = read_off(61, LINEAR)
    assert (found.samples, found.low, found.high) == (None, None, None)
    assert str(found) == "> 100 [> 100, > 100]"


@pytest.mark.parametrize("gain", [0, -5])
def test_an_arm_that_gains_nothing_or_hurts_is_worth_none(gain):
    found = read_off(50 + gain, LINEAR)
    assert (found.samples, found.low, found.high) == (0, 0, 0)


@pytest.mark.parametrize("curve", [(50, 50, 50, 50), (50, 49, 48, 47)])
def test_where_real_samples_do_not_help_there_is_no_measure(curve):
    assert read_off(52, curve) is None
    assert read_off(52, (50,), added={"nothing": 0}) is None
    assert read_off(52, (), added={}) is None


def test_on_a_curve_that_falls_again_the_first_crossing_counts():
    assert read_off(52, (50, 54, 51, 60)).samples == 12 + 1  # half way to 54, and before it falls
    assert read_off(55, (50, 54, 51, 60)).samples == 73  # on the running maximum: past the fall


def test_an_end_of_the_interval_may_be_open_where_the_number_is_not():
    found = read_off(58, LINEAR, noise=2.0)
    assert found.samples is not None
    assert found.high is None
    assert str(found).endswith("> 100]")


@pytest.mark.parametrize("gain", np.linspace(-1, 11, 25))
@pytest.mark.parametrize("resolution", [1e-6, 0.1, 3.0])
@pytest.mark.parametrize("curve", [(50, 60), (50, 53, 60), (50, 61, 52, 60)])
def test_the_interval_holds_the_number_on_a_coarse_curve_too(gain, resolution, curve):
    added = {f"{n} real": n for n in (0, 10, 20, 30)[: len(curve)]}
    scores = {"gan": np.full(3, 50 + gain)} | {k: np.full(3, m) for k, m in zip(added, curve, strict=True)}
    found = worth(Contrasts(scores, resolution=resolution), "gan", added)
    low, number, high = (np.inf if n is None else n for n in (found.low, found.samples, found.high))
    assert low <= number <= high


def test_at_the_oracles_the_interval_agrees_with_the_gain_over_them():
    rng = np.random.default_rng(1)
    scores = {name: m + rng.normal(size=6) for name, m in zip(ADDED, LINEAR, strict=True)}
    contrasts = Contrasts({"gan": 54 + rng.normal(size=6), **scores}, resolution=0.01)
    found = worth(contrasts, "gan", ADDED)
    for name, n in ADDED.items():
        gain = contrasts.over("gan", name).gain()
        assert (gain.low > 0) <= (found.low is None or n < found.low)
        assert (gain.high >= 0) <= (found.high is None or n <= found.high)


def test_the_interval_holds_the_true_number_as_often_as_it_says():
    rng, true = np.random.default_rng(2), 30
    found = [read_off(50 + true / 10, LINEAR, noise=1.0, rng=rng) for _ in range(300)]
    held = [f.low is not None and f.low <= true and (f.high is None or true <= f.high) for f in found]
    assert np.mean(held) >= 0.92  # 300 draws at a rate of 0.95 have a standard error of 0.013
