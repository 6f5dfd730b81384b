from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from ganaug.experiment.bootstrap import resample_counts, sample_df
from ganaug.experiment.recalls import harm_p_values, recall_gains
from ganaug.experiment.statistics import (
    MANY,
    CrossedEstimate,
    against_best_control,
    corrected_gain,
    crossed_estimate,
    gain_over_best_control,
)


def test_the_interval_is_the_one_computed_by_hand():
    gain = corrected_gain([1.0, 2.0, 3.0, 6.0])
    # mean 3, variance 14/3, standard error sqrt(14/12), t quantile of 3 degrees of freedom 3.18245
    assert gain.mean == pytest.approx(3.0)
    assert gain.high - gain.mean == pytest.approx(3.18245 * np.sqrt(14 / 12), rel=1e-5)
    assert gain.mean - gain.low == pytest.approx(gain.high - gain.mean)


@pytest.mark.parametrize("n", [3, 6, 20])
def test_without_overlap_it_is_the_paired_t_test_of_scipy(n):
    rng = np.random.default_rng(n)
    treatment, control = rng.normal(0.3, 1, n), rng.normal(0, 1, n)
    expected = stats.ttest_rel(treatment, control)
    interval = expected.confidence_interval(0.95)
    gain = corrected_gain(treatment - control)
    assert gain.p_value == pytest.approx(expected.pvalue)
    assert (gain.low, gain.high) == pytest.approx((interval.low, interval.high))


@pytest.mark.parametrize("overlap", [0.1, 1 / 3, 2.0])
def test_overlap_widens_the_interval_by_the_known_factor(overlap):
    differences = np.random.default_rng(0).normal(1, 1, 7)
    plain, corrected = corrected_gain(differences), corrected_gain(differences, overlap=overlap)
    factor = (corrected.high - corrected.low) / (plain.high - plain.low)
    assert factor == pytest.approx(np.sqrt(1 + 7 * overlap))
    assert corrected.mean == plain.mean
    assert corrected.p_value > plain.p_value


@pytest.mark.parametrize(
    ("differences", "verdict"),
    [
        ([4.0, 5.0, 6.0], "helps"),
        ([-4.0, -5.0, -6.0], "hurts"),
        ([-1.0, 1.0, 0.5], "no evidence"),
        ([0.0, 0.0, 0.0], "no evidence"),
    ],
)
def test_the_verdict_says_on_which_side_of_zero_the_interval_lies(differences, verdict):
    gain = corrected_gain(differences)
    assert gain.verdict == verdict
    assert (gain.p_value < 0.05) == (verdict != "no evidence")


def test_a_smaller_level_gives_a_shorter_interval():
    narrow, wide = (corrected_gain([1.0, 2.0, 4.0], level=level) for level in (0.5, 0.99))
    assert wide.low < narrow.low < narrow.high < wide.high


def test_the_interval_covers_the_true_gain_in_95_of_100_comparisons():
    differences = np.random.default_rng(1).normal(0.7, 2.0, (3000, 6))
    gains = [corrected_gain(d) for d in differences]
    covered = np.mean([g.low <= 0.7 <= g.high for g in gains])
    assert 0.93 <= covered <= 0.97


def _scores(n_repeats, n_seeds, *, better=0.0):
    """Return scores (repeats, 1 treatment + 4 controls, seeds) with luck that a seed's arms share."""
    rng = np.random.default_rng(n_seeds)
    shared = rng.normal(0, 0.03, (n_repeats, 1, n_seeds))
    scores = 0.8 + shared + rng.normal(0, 0.02, (n_repeats, 5, n_seeds))
    scores[:, 0] += better
    return 100 * scores


def _controls(scores):
    return dict(zip("abcd", scores[1:], strict=True))


@pytest.mark.parametrize("n_seeds", [3, 5, 6])
def test_an_arm_like_its_controls_seldom_gets_a_verdict(n_seeds):
    verdicts = [
        gain_over_best_control(s[0], _controls(s)).verdict for s in _scores(1500, n_seeds)
    ]  # 1500 draws at a rate of 0.025 have a standard error of 0.004
    assert verdicts.count("helps") / len(verdicts) <= 0.035
    assert verdicts.count("hurts") / len(verdicts) <= 0.035


def test_the_choice_on_other_seeds_is_fair_where_the_best_mean_is_not():
    scores = _scores(1500, 5)
    naive = [s[0].mean() - s[1:].mean(axis=1).max() for s in scores]
    crossed = [against_best_control(s[0], _controls(s))[0].mean() for s in scores]
    spread = np.std(crossed) / np.sqrt(len(crossed))
    assert np.mean(naive) < -0.7
    assert abs(np.mean(crossed)) < 4 * spread
    assert spread < 0.05


def test_the_choice_alone_would_give_too_narrow_an_interval():
    scores = _scores(1500, 6)
    narrow = [corrected_gain(against_best_control(s[0], _controls(s))[0]) for s in scores]
    assert np.mean([g.verdict != "no evidence" for g in narrow]) > 0.08


def test_a_far_better_treatment_is_found_and_a_far_worse_one_too():
    for better, verdict in ((0.12, "helps"), (-0.12, "hurts")):
        found = [gain_over_best_control(s[0], _controls(s)).verdict for s in _scores(200, 6, better=better)]
        assert found.count(verdict) / len(found) > 0.95


def test_one_control_that_is_as_good_denies_the_gain():
    rng = np.random.default_rng(0)
    treatment = 90 + rng.normal(0, 1, 6)
    weak, equal = treatment - 10 + rng.normal(0, 1, 6), treatment + np.array([1, -1, 2, -2, 0.5, -0.5])
    assert gain_over_best_control(treatment, {"weak": weak}).verdict == "helps"
    assert gain_over_best_control(treatment, {"weak": weak, "equal": equal}).verdict == "no evidence"


def test_with_a_single_control_it_is_the_corrected_gain():
    treatment, control = np.random.default_rng(3).normal(size=(2, 6))
    gain = gain_over_best_control(treatment, {"only": control}, overlap=0.25)
    expected = corrected_gain(treatment - control, overlap=0.25)
    assert (gain.mean, gain.low, gain.high) == pytest.approx((expected.mean, expected.low, expected.high))
    assert gain.p_value == pytest.approx(expected.p_value)


@pytest.mark.parametrize("better", [-0.05, 0.0, 0.05])
def test_mean_interval_and_p_value_tell_one_story(better):
    for s in _scores(100, 5, better=better):
        gain = gain_over_best_control(s[0], _controls(s))
        assert gain.low <= gain.mean <= gain.high
        assert (gain.p_value < 0.05) == (gain.verdict != "no evidence")


def test_a_control_is_not_chosen_by_its_score_in_the_same_seed():
    scores = _scores(1, 5)[0]
    _, chosen = against_best_control(scores[0], _controls(scores))
    for seed in range(5):
        for control in range(1, 5):
            for luck in (-1000.0, 1000.0):
                changed = scores.copy()
                changed[control, seed] += luck
                assert against_best_control(changed[0], _controls(changed))[1][seed] == chosen[seed]


def test_the_difference_is_to_the_chosen_control_of_the_same_seed():
    differences, chosen = against_best_control([5, 5, 5], {"a": [1, 1, 9], "b": [2, 2, 2]})
    assert chosen == ["a", "a", "b"]
    assert differences.tolist() == [4, 4, 3]


# --- one small test set for all seeds -----------------------------------------------------------------


def _crossed(rng, y_true, counts, test_df, n_seeds=5):
    """Return an estimate from classifiers that are right where chance, seed and sample say so."""
    sample = rng.normal(0, 0.7, (2, 1, len(y_true)))
    right = sample + rng.normal(0, 0.7, (2, n_seeds, len(y_true))) > -0.5
    difference = right[0].astype(float) - right[1]
    return crossed_estimate(
        difference.mean(axis=1),
        difference @ counts.T / counts[0].sum(),
        resolution=1 / len(y_true),
        test_df=test_df,
    )


def test_the_interval_on_a_small_given_test_set_covers_the_truth():
    rng, y_true = np.random.default_rng(0), np.repeat([0, 1], 4)
    counts = resample_counts(y_true, within_classes=True)
    known = sample_df(y_true, within_classes=True)
    estimates = [_crossed(rng, y_true, counts, known) for _ in range(1500)]
    gains = [e.gain() for e in estimates]
    covered = np.mean([g.low <= 0 <= g.high for g in gains])
    without = [replace(e, test_df=MANY).gain() for e in estimates]
    assert 0.93 <= covered <= 0.985
    assert np.mean([g.low <= 0 <= g.high for g in without]) < covered - 0.01


def test_the_variance_over_resamples_is_that_of_the_mean():
    rng, y_true = np.random.default_rng(0), np.zeros(4)
    counts = resample_counts(y_true, within_classes=True, n_resamples=20_000)
    values = rng.normal(size=4)
    assert (counts @ values / 3).var() == pytest.approx(values.var(ddof=1) / 4, rel=0.03)


def test_degrees_of_freedom_of_the_test_samples_are_those_of_its_classes():
    assert sample_df(np.repeat([0, 1, 2], 5), within_classes=True) == pytest.approx(12)
    assert sample_df(np.repeat([0, 1, 2], 5), within_classes=False) == 14
    rare = sample_df(np.repeat([0, 1], [5, 5000]), within_classes=True)
    assert rare == pytest.approx(4, abs=0.1)


@pytest.mark.parametrize("share", [0.95, 0.8, 0.5, 0.2])
def test_the_sum_of_few_seeds_and_many_samples_covers_the_truth(share):
    rng = np.random.default_rng(0)  # the part of the seeds, with 2 degrees of freedom, and a known one
    parts, means = 3 * share * rng.chisquare(2, 8000) / 2, rng.normal(size=8000)
    gains = [CrossedEstimate(m, 3, p, 1 - share).gain() for m, p in zip(means, parts, strict=True)]
    assert 0.93 <= np.mean([g.low <= 0 <= g.high for g in gains]) <= 0.965


# --- classes that suffer ------------------------------------------------------------------------------


def _flags(n_controls, n_seeds, *, loss=0.0, repeats=300):
    """Return how often any of 2 classes, and the first one, is called harmed against the best control."""
    rng, y_true = np.random.default_rng(n_seeds), np.repeat([0, 1], 30)
    found, forgotten = [], []
    for _ in range(repeats):
        habits = rng.normal(0, 1, (n_controls + 1, 60))
        right = habits[:, None] + rng.normal(0, 0.5, (n_controls + 1, n_seeds, 60)) > -0.5
        right[0] &= ~((y_true == 0) & (rng.random((n_seeds, 60)) < loss))
        said = np.where(right, y_true, 1 - y_true)
        best = 1 + int(right[1:].mean(axis=(1, 2)).argmax())
        parts = [(y_true, said[0, s], said[best, s]) for s in range(n_seeds)]
        gains = recall_gains(parts, 2, given_test=True, overlap=0.0)
        found.append([p < 0.05 for p in harm_p_values(gains, n_controls)])
        forgotten.append(any(p < 0.05 for p in harm_p_values(gains, 1)))
    return np.mean([any(f) for f in found]), np.mean([f[0] for f in found]), np.mean(forgotten)


@pytest.mark.parametrize("n_controls", [1, 6])
def test_no_class_is_called_harmed_where_none_is(n_controls):
    wrongly, _, forgotten = _flags(n_controls, 5)
    assert wrongly <= 0.085  # 300 draws at a rate of 0.05 have a standard error of 0.013
    if n_controls > 1:
        assert forgotten > 0.1  # the choice of the control would make false flags


def test_a_class_that_loses_much_is_called_harmed():
    assert _flags(6, 5, loss=0.7, repeats=60)[1] > 0.8


@pytest.mark.parametrize("n_test", [1, 4])
def test_a_class_with_few_samples_in_a_given_test_set_has_no_interval_and_no_flag(n_test):
    y_true = np.array([0] * 20 + [1] * n_test)
    part = (y_true, np.zeros(20 + n_test, int), y_true)
    gains = recall_gains([part] * 5, 2, given_test=True, overlap=0.0)
    assert gains[1].mean == -100
    assert np.isnan(gains[1].low)
    assert np.isnan(harm_p_values(gains, 6)[1])
