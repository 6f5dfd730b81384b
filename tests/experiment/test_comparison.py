import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import load_wine

from ganaug import compare
from ganaug.experiment.bootstrap import RESAMPLED, resample_counts, resampled_scores
from ganaug.experiment.cells import Cell, FailedCell
from ganaug.experiment.comparison import Comparison
from ganaug.experiment.held_out import Tried
from ganaug.experiment.metrics import METRICS, calibration_error
from ganaug.experiment.power import power
from ganaug.experiment.result_sentences import points
from ganaug.experiment.statistics import crossed_estimate, gain_over_all, holm, paired_estimate

N_CLASSES = 3


def outcome(rng, y_true, right):
    """Return classes and probabilities that are right with a chance for each class."""
    wrong = (y_true + rng.integers(1, N_CLASSES, len(y_true))) % N_CLASSES
    y_pred = np.where(rng.random(len(y_true)) < np.asarray(right)[y_true], y_true, wrong)
    y_score = rng.dirichlet(np.ones(N_CLASSES), len(y_true)).astype(np.float32)
    rows, top = np.arange(len(y_true)), y_score.argmax(1)
    y_score[rows, top], y_score[rows, y_pred] = y_score[rows, y_pred], y_score[rows, top]
    return y_pred, y_score


def made(chances, *, seeds=5, given_test=True, n=300, absent=(), **fields):
    """Return a comparison of arms with the chance to be right of each class; the first is the primary."""
    rng = np.random.default_rng(0)
    cells = []
    for s in range(seeds):
        y_true = np.sort(rng.permutation(n) % N_CLASSES)
        y_true = y_true[~np.isin(y_true, absent)] if s < 3 else y_true
        for arm, right in chances.items():
            y_pred, y_score = outcome(rng, y_true, right)
            cells.append(Cell(arm, s, y_true, y_pred, y_score, 30, 0, 0.1, 0.0))
    return Comparison(
        cells=tuple(cells),
        roles={arm: "treatment" if arm.startswith("gan") else "control" for arm in chances},
        primary=next(iter(chances)),
        metric="balanced_accuracy",
        overlap=0.0,
        class_names=("a", "b", "c"),
        settings={},
        wall_seconds=1.0,
        given_test=given_test,
        **fields,
    )


@pytest.mark.parametrize("given_test", [False, True])
def test_only_arms_that_say_the_same_are_known_not_to_differ(given_test):
    right = {"gan": 0.7, "copies": 0.7}
    result = made({k: [v] * N_CLASSES for k, v in right.items()}, given_test=given_test, n=30)
    cells = {(c.arm, c.seed): c for c in result.cells}
    ones = [cells["gan", s] for s in range(5)]
    same = [replace(c, arm="copies") for c in ones]
    assert replace(result, cells=(*ones, *same)).gain.high == 0
    unsure = [replace(c, y_score=c.y_score * 0.9 + 0.01) for c in same]  # the same classes, other scores
    other = replace(result, cells=(*ones, *unsure)).gain
    assert (other.mean, other.verdict) == (0, "no evidence")
    assert other.low < 0 < other.high
    chose = [replace(c, tried=(Tried(1.0, 0.5),)) for c in same]  # as the others did, this time
    assert replace(result, cells=(*ones, *chose)).gain.high > 0
    blind = [replace(c, y_score=None) for c in (*ones, *same)]
    assert replace(result, cells=tuple(blind)).gain.high > 0


def test_resamples_without_a_score_are_left_out_and_not_taken_for_no_variance():
    rng = np.random.default_rng(0)
    drawn = rng.normal(size=(1, 400)) + 0.01 * rng.normal(size=(5, 400))
    whole = crossed_estimate(np.zeros(5) + 0.1 * rng.normal(size=5), drawn)
    drawn[:, :40] = np.nan
    assert crossed_estimate(np.zeros(5), drawn).floor == pytest.approx(whole.floor, rel=0.2)


# --- resampled test samples ---------------------------------------------------------------------------


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_resampled_metric_is_that_of_sklearn_on_the_repeated_samples(metric, n_classes):
    rng = np.random.default_rng(1)
    y_true, y_pred = rng.integers(0, n_classes, (2, 60))
    y_score = rng.integers(1, 6, (60, n_classes)) / 5  # with equal scores
    counts = resample_counts(y_true, within_classes=False, n_resamples=10)
    found = resampled_scores(metric, counts, y_true, y_pred, y_score)
    for n, score in zip(counts.astype(int), found, strict=True):
        rows = np.repeat(np.arange(60), n)
        assert score == pytest.approx(METRICS[metric](y_true[rows], y_pred[rows], y_score[rows]), abs=1e-5)


def test_every_metric_can_be_resampled():
    assert list(RESAMPLED) == list(METRICS)


def test_resamples_within_classes_have_one_sample_less_of_each():
    y_true = np.array([0] * 5 + [1] * 20 + [2])
    counts = resample_counts(y_true, within_classes=True)
    assert (counts[:, :5].sum(1) == 4).all()
    assert (counts[:, 5:25].sum(1) == 19).all()
    assert (counts[:, 25] == 1).all()


# --- one test set for all seeds -----------------------------------------------------------------------


def crossed_draws(rng, n_seeds, n_test, *, sd_seed, sd_test, sd_both):
    """Return differences of seeds and resampled ones, from the three parts of the variance."""
    found = (
        rng.normal(0, sd_seed, (n_seeds, 1))
        + rng.normal(0, sd_test, n_test)
        + rng.normal(0, sd_both, (n_seeds, n_test))
    )
    counts = rng.multinomial(n_test, np.full(n_test, 1 / n_test), size=200)
    return found.mean(axis=1), found @ counts.T / n_test


@pytest.mark.parametrize("n_seeds", [3, 5, 10])
@pytest.mark.parametrize(("sd_seed", "sd_test"), [(0.5, 0.5), (0.1, 5.0), (0.5, 5.0)])
def test_the_interval_of_crossed_seeds_and_samples_covers_the_truth(n_seeds, sd_seed, sd_test):
    rng = np.random.default_rng(n_seeds)
    gains = [
        crossed_estimate(
            *crossed_draws(rng, n_seeds, 100, sd_seed=sd_seed, sd_test=sd_test, sd_both=2.0)
        ).gain()
        for _ in range(600)
    ]  # 600 draws at a rate of 0.95 have a standard error of 0.009
    covered = np.mean([g.low <= 0 <= g.high for g in gains])
    assert 0.925 <= covered <= 0.99


def test_the_plain_t_interval_over_seeds_forgets_the_test_samples():
    rng = np.random.default_rng(0)
    draws = [crossed_draws(rng, 10, 100, sd_seed=0.1, sd_test=5.0, sd_both=2.0) for _ in range(300)]
    gains = [paired_estimate(values).gain() for values, _ in draws]
    assert np.mean([g.low <= 0 <= g.high for g in gains]) < 0.7


def test_a_gain_in_every_seed_is_seen_on_a_large_given_test_set():
    result = made({"gan": (0.9, 0.9, 0.9), "nothing": (0.86, 0.86, 0.86)}, n=6000, seeds=6)
    assert result.verdict == "helps"
    assert replace(result, given_test=False, overlap=6000 / 300).verdict == "no evidence"


# --- several treatments, classes, equivalence ---------------------------------------------------------


def test_holm_is_what_its_paper_says():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    with_gap = holm([0.01, float("nan"), 0.04])
    assert with_gap[0] == pytest.approx(0.02)
    assert np.isnan(with_gap[1])


def test_each_treatment_has_a_verdict_and_the_primary_its_own():
    better, same = (0.9,) * 3, (0.6,) * 3
    result = made({"gan": better, "gan too": same, "gan worse": (0.3,) * 3, "nothing": same, "copies": same})
    table = result.treatments
    assert list(table.index) == ["gan", "gan too", "gan worse"]
    assert table["verdict"].to_dict() == {"gan": "helps", "gan too": "no evidence", "gan worse": "hurts"}
    assert table.loc["gan", "verdict"] == result.verdict
    assert table["p_holm"].to_list() == pytest.approx(holm(table["p_value"].to_list()))


def test_a_class_that_suffers_is_named():
    result = made({"gan": (0.95, 0.9, 0.5), "nothing": (0.9, 0.9, 0.9)}, n=900)
    assert result.harmed == ("c",)
    row = result.per_class.loc["c"]
    assert row["low"] < -40 < row["high"] < -20
    assert row["difference"] == pytest.approx(row["gan"] - row["nothing"])


def test_a_class_that_few_seeds_test_has_no_interval_and_harms_nothing():
    result = made({"gan": (0.9,) * 3, "nothing": (0.9,) * 3}, given_test=False, absent=(2,))
    assert np.isnan(result.per_class.loc["c", "low"])
    assert not result.per_class.loc["c", "harmed"]
    assert not result.per_class.loc[["a", "b"], "p_holm"].isna().any()
    json.dumps(result.to_dict(), allow_nan=False)


def test_no_difference_is_said_only_where_the_interval_lies_within_the_region():
    result = made({"gan": (0.8,) * 3, "nothing": (0.8,) * 3}, n=3000)
    wide, narrow = replace(result, rope=20.0), replace(result, rope=0.1)
    assert wide.sentence.startswith("no difference larger than 20 points: gan")
    assert narrow.sentence.startswith("no evidence of gain: gan")


@pytest.mark.parametrize("given_test", [True, False])
def test_the_record_holds_everything_as_plain_json(given_test):
    result = made({"gan": (0.8,) * 3, "nothing": (0.7,) * 3}, given_test=given_test)
    record = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert record["treatments"][0]["arm"] == "gan"
    assert record["harmed"] == list(result.harmed)
    assert record["power"]["smallest_gain"] == result.power.smallest_gain
    assert record["per_class"][0]["difference"] == result.per_class["difference"].iloc[0]
    assert 0 < record["cells"][0]["calibration_error"] < 1


# --- twins --------------------------------------------------------------------------------------------

GOOD, FAIR, BAD = (0.9,) * 3, (0.7,) * 3, (0.5,) * 3
TWINS = {"twins": {"gan": "copies"}, "n": 1500}


def test_the_gain_over_the_twin_is_that_over_this_one_control():
    result = made({"gan": GOOD, "nothing": BAD, "copies": FAIR}, **TWINS)
    gain = result.gain_over("gan", "copies")
    assert result.twin_gain == gain
    row = result.treatments.loc["gan"]
    assert row["twin"] == "copies"
    assert (row["over_twin"], row["twin_low"], row["twin_high"]) == (gain.mean, gain.low, gain.high)
    record = result.to_dict()
    assert record["twins"] == {"gan": "copies"}
    assert record["twin_gain"]["mean"] == gain.mean


@pytest.mark.parametrize(
    ("gan", "copies", "other", "verdict", "start"),
    [
        (GOOD, FAIR, FAIR, "helps", "The gain is the generator's own: gan against its twin (copies)"),
        (FAIR, BAD, GOOD, "hurts", "The generator adds to its recipe, but is not surely better than every"),
        (GOOD, GOOD, FAIR, "no evidence", "It is the recipe that helps, with no evidence that the generator"),
        (FAIR, GOOD, FAIR, "hurts", "Worse than without the generator: gan against its twin (copies)"),
        (BAD, BAD, FAIR, "hurts", "No evidence that the generator adds anything: "),
        (
            BAD,
            (0.3,) * 3,
            BAD,
            "no evidence",
            "Better than without the generator, but with no evidence of a gain over",
        ),
    ],
)
def test_what_is_the_generators_own_is_said_apart_from_the_verdict(gan, copies, other, verdict, start):
    result = made({"gan": gan, "nothing": BAD, "copies": copies, "other": other}, **TWINS)
    assert result.verdict == verdict
    assert result.twin_sentence.startswith(start)


@pytest.mark.parametrize(
    ("copies", "start"),
    [
        (BAD, "Better than without the generator, but surely worse than nothing: gan against its twin"),
        (FAIR, "No evidence that the generator adds anything, and surely worse than nothing: gan against"),
        (GOOD, "Worse than without the generator: gan against its twin (copies)"),
    ],
)
def test_a_treatment_that_is_surely_worse_than_nothing_is_said_to_be_so(copies, start):
    result = made({"gan": FAIR, "nothing": GOOD, "copies": copies}, **TWINS)
    assert result.verdict == result.gain_over("gan", "nothing").verdict == "hurts"
    assert result.twin_sentence.startswith(start)
    assert "no evidence of a gain over" not in result.twin_sentence


def test_a_gain_that_neither_recipe_nor_generator_can_be_given_is_said_to_be_so():
    chances = {"gan": (0.76,) * 3, "nothing": FAIR, "copies": (0.74,) * 3}
    result = made(chances, n=900, twins={"gan": "copies"})
    assert result.gain_over("gan", "nothing").verdict == "helps"
    assert {result.twin_gain.verdict, result.gain_over("copies", "nothing").verdict} == {"no evidence"}
    assert result.twin_sentence.startswith("Better than nothing, but with no evidence that the generator")


def test_a_twin_that_failed_is_missing_and_said():
    result = made({"gan": GOOD, "nothing": BAD, "copies": FAIR}, **TWINS)
    failed = tuple(FailedCell("copies", s, "ValueError: no") for s in range(3))
    cells = tuple(c for c in result.cells if c.arm != "copies" or c.seed > 2)
    left = replace(result, cells=cells, failed=failed).without_failures()
    assert left.twin_gain is None
    assert left.treatments.loc["gan", "twin"] == ""
    assert "is not known: its twin (copies) failed too often" in left.twin_sentence
    assert left.gain.verdict == "helps"
    json.dumps(left.to_dict(), allow_nan=False)


def test_nothing_helps_where_a_control_is_lost_and_the_sentence_says_why():
    result = made({"gan": GOOD, "nothing": BAD, "copies": GOOD}, **TWINS)
    assert result.verdict == "no evidence"
    failed = tuple(FailedCell("copies", s, "ValueError: no") for s in range(3))
    cells = tuple(c for c in result.cells if c.arm != "copies" or c.seed > 2)
    left = replace(result, cells=cells, failed=failed).without_failures()
    assert left.gain.verdict == "helps"  # than what is left
    assert left.verdict == "no evidence" == left.treatments.loc["gan", "verdict"]
    assert left.sentence.endswith("Not compared with copies, which failed: it may be the better control.")


def test_a_seed_that_is_left_out_is_said():
    result = made({"gan": GOOD, "nothing": BAD, "copies": FAIR}, **TWINS)
    cells = tuple(c for c in result.cells if c.arm != "copies" or c.seed)
    failed = (FailedCell("copies", 0, "ValueError: no"),)
    left = replace(result, cells=cells, failed=failed).without_failures()
    assert left.verdict == "helps"
    assert left.sentence.endswith("are resampled. 1 seed is left out, in which copies failed.")
    assert repr(left) == f"<Comparison: {left.sentence}>"


# --- worth in real samples ----------------------------------------------------------------------------


def test_a_treatment_between_oracles_is_worth_a_number_of_real_samples_between_theirs():
    arms = {"gan": (0.75,) * 3, "nothing": BAD, "few": FAIR, "many": GOOD}
    result = made(arms, n=6000, twins={"gan": "nothing"}, learning_curve=("nothing", "few", "many"))
    added = {"few": 40, "many": 120}
    roles = {arm: "oracle" if arm in added else role for arm, role in result.roles.items()}
    cells = tuple(replace(c, n_extra=added.get(c.arm, 0)) for c in result.cells)
    result = replace(result, roles=roles, cells=cells)
    assert result.real_samples_added == {"nothing": 0, "few": 40, "many": 120}
    assert result.worth.samples == pytest.approx(60, abs=8)
    assert 40 < result.worth.low <= result.worth.samples <= result.worth.high < 90
    assert (
        f"on top of the 30 there are, gan is worth about {result.worth.samples} (95 %"
        in result.worth_sentence
    )
    assert "its twin (nothing) none (95 % interval 0 to " in result.worth_sentence
    assert result.treatments.loc["gan", "worth"] == str(result.worth)
    assert result.to_dict()["worth"]["gan"] == vars(result.worth)
    assert result.table.loc[["few", "many"], "over nothing"].str.startswith("+").all()
    without = replace(result, roles={k: v for k, v in roles.items() if k != "nothing"})
    assert without.worth is None


def test_without_an_oracle_the_worth_is_not_known_and_the_reason_is_said():
    result = made({"gan": GOOD, "nothing": BAD})
    assert result.worth is None
    assert result.worth_sentence == "What it is worth in real samples is not known: no oracle was compared."
    assert "worth" not in result.treatments
    flat = made({"gan": GOOD, "nothing": FAIR, "reserve": BAD}, learning_curve=("nothing", "reserve"))
    cells = tuple(replace(c, n_extra=50 * (c.arm == "reserve")) for c in flat.cells)
    flat = replace(flat, cells=cells, roles={**flat.roles, "reserve": "oracle"})
    assert flat.worth is None
    assert flat.worth_sentence.endswith("not known: up to 50 more real samples did not help.")
    assert flat.treatments.loc["gan", "worth"] == ""


def test_compare_names_twins_and_learning_curve_and_whether_seeds_train_on_the_same(tiny):
    X, y = load_wine(return_X_y=True)
    test = X[::3], y[::3]
    arms = ["nothing", "oversampling", "gan", "half of reserve", "reserve"]
    settings = {"arms": arms, "classifier": "logistic", "seeds": 3, "config": tiny, "test": test}
    own = np.arange(len(y)) % 3 > 0
    result = compare(X[own], y[own], train_size=20, **settings)
    assert result.twins == {"gan": "oversampling"}
    assert result.learning_curve == ("nothing", "half of reserve", "reserve")
    assert result.real_samples_added["reserve"] == own.sum() - 20
    assert not result.one_training_set
    whole = compare(X[own], y[own], **{**settings, "arms": arms[:3], "fill": 2.0})
    assert whole.one_training_set
    assert "with these training samples" in whole.sentence


# --- the sentence -------------------------------------------------------------------------------------


def test_a_number_that_is_not_zero_is_never_written_as_zero():
    assert [points(v) for v in (0.0, -0.0, -1e-15, 0.004, -0.0021, -0.005, 2.0)] == [
        "+0.00", "+0.00", "+0.00", "+0.004", "-0.002", "-0.01", "+2.00"
    ]  # fmt: skip


def test_one_training_set_is_said_in_the_verdict():
    result = made({"gan": FAIR, "nothing": FAIR})
    assert "5 paired seeds on one test set, whose samples are resampled." in result.sentence
    result = replace(result, one_training_set=True)
    assert "5 paired seeds with these training samples on one test set, whose" in result.sentence
    assert made({"gan": FAIR, "nothing": FAIR}, given_test=False).sentence.endswith("5 paired seeds.")


def test_names_with_commas_are_quoted_and_one_point_is_singular():
    result = made({"gan, mine": FAIR, "nothing": FAIR}, n=60_000, rope=1.0, given_test=False)
    assert result.sentence.startswith("no difference larger than 1 point: 'gan, mine' against the best")
    better = made({"gan": (0.72,) * 3, "nothing": FAIR}, n=60_000, rope=5.0, given_test=False)
    assert better.sentence.startswith("helps, by less than 5 points: gan")


# --- the best of several controls ---------------------------------------------------------------------


@pytest.mark.parametrize("n_seeds", [3, 5])
def test_the_interval_over_the_best_of_equal_controls_covers_zero(n_seeds):
    rng = np.random.default_rng(n_seeds)
    found = []
    for _ in range(1000):
        scores = rng.normal(size=(7, n_seeds))
        found.append(gain_over_all(0.0, [paired_estimate(scores[0] - c) for c in scores[1:]]))
    assert np.mean([g.low > 0 for g in found]) <= 0.035
    assert np.mean([g.high < 0 for g in found]) <= 0.035


# --- power --------------------------------------------------------------------------------------------


def test_a_floor_under_the_variance_may_leave_no_number_of_seeds():
    found = power(paired_estimate([5.0, -5.0, 4.0, -3.0], overlap=1 / 3), gain=1.0)
    assert found.seeds is None
    assert "No number of seeds" in str(found)
    assert found.least_gain < found.smallest_gain


# --- calibration --------------------------------------------------------------------------------------


def test_calibration_error_is_the_gap_of_confidence_and_accuracy():
    y_score = np.tile([0.8, 0.2], (10, 1))
    assert calibration_error(np.array([0] * 8 + [1] * 2), y_score) == pytest.approx(0, abs=1e-9)
    assert calibration_error(np.zeros(10, int), y_score) == pytest.approx(0.2)
    assert calibration_error(np.ones(10, int), y_score) == pytest.approx(0.8)


def test_scores_that_are_no_probabilities_have_no_calibration_error():
    assert np.isnan(calibration_error(np.zeros(3, int), np.full((3, 2), 3.0)))
    assert np.isnan(calibration_error(np.zeros(3, int), None))
