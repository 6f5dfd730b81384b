import numpy as np
import pytest
from scipy import stats

from ganaug.experiment.statistics import against_best_control, corrected_gain, gain_over_best_control


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
