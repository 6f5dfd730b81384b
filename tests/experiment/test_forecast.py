import json
import sys
from types import SimpleNamespace

import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from torch import nn

from ganaug import ConditionalGAN, GANConfig, compare
from ganaug.errors import ConfigError, DataError
from ganaug.experiment.arms import ARMS, Arm, copies, tuned
from ganaug.experiment.forecast import Forecast, forecast

pixels, targets = load_digits(return_X_y=True)
IMAGES, DIGITS = pixels[targets < 3].reshape(-1, 8, 8), targets[targets < 3]
TINY = GANConfig(width=4, z_dim=4, batch_size=16, train_images=32)
SETTINGS = {"labelled_per_class": 6, "seeds": 3, "steps": 2, "batch_size": 8, "config": TINY}


@pytest.fixture
def counted(monkeypatch):
    """Count the classifiers and generators that are trained."""
    trained = {"classifiers": 0, "generators": 0}

    def build():
        trained["classifiers"] += 1
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 3))

    fit = ConditionalGAN.fit

    def count_fit(self, *args, **kwargs):
        trained["generators"] += 1
        return fit(self, *args, **kwargs)

    monkeypatch.setattr(ConditionalGAN, "fit", count_fit)
    return trained, build


@pytest.mark.parametrize(
    ("arms", "spared"),
    [
        (["nothing", "class weights", "oversampling", "gan"], 0),
        (["nothing", "threshold", "teacher on copies", "gan + teacher"], 0),
        (["nothing", "tuned oversampling", "tuned gan"], 0),
        (["nothing", "oversampling + gate", "gan + gate"], 0),
        # judges, where no gate is chosen
        pytest.param(["nothing", "chosen oversampling", "chosen gan"], 2 * 3 * 3, marks=pytest.mark.slow),
    ],
)
def test_as_many_classifiers_and_generators_are_trained_as_was_said(counted, arms, spared):
    trained, build = counted
    plan = forecast(IMAGES, DIGITS, classifier=build, arms=arms, **SETTINGS)
    trained.update(classifiers=0, generators=0)
    compare(IMAGES, DIGITS, classifier=build, arms=arms, **SETTINGS)
    checks = 2  # modules that are built to be looked at before anything is trained
    assert plan.fits - spared <= trained["classifiers"] - checks <= plan.fits
    assert trained["generators"] == plan.generators


def test_no_treatment_is_run():
    def refuse(part):
        raise AssertionError("a treatment was looked at")

    arms = {
        "nothing": ARMS["nothing"],
        "copies": ARMS["oversampling"],
        "mine": Arm(role="treatment", extra=refuse),
    }
    plan = forecast(IMAGES, DIGITS, classifier="logistic", arms=arms, **SETTINGS)
    assert plan.pilot == ("copies", "nothing")
    assert plan.gan_seconds == plan.generators == 0


def plan_of(arms, *, seeds, jobs, max_minutes=None):
    settings = {"seeds": seeds, "splits": "some", "n_train": 9, "n_test": 9, "classifier": "own"}
    chosen = {name: ARMS[name] for name in arms}
    seconds = dict.fromkeys(arms, 2.0)
    return Forecast(chosen, {}, arms[-1], settings, jobs, max_minutes, seconds, 10.0, (), ())


def test_the_cost_is_that_of_waves_of_seeds():
    arms = ["nothing", "oversampling", "gan"]
    assert plan_of(arms, seeds=4, jobs=1).wall_seconds == 4 * (10 + 3 * 2)
    assert plan_of(arms, seeds=4, jobs=2).wall_seconds == 2 * (10 + 3 * 2)
    assert plan_of(arms, seeds=5, jobs=2).wall_seconds == 2 * (10 + 3 * 2) + (10 + 3)
    assert plan_of(arms, seeds=4, jobs=2).computing_seconds == 4 * (10 + 3 * 2)


def test_no_wave_begins_that_would_end_after_the_time_limit_but_three_seeds_do():
    arms = ["nothing", "oversampling", "gan"]  # 16 seconds a seed
    plan = plan_of(arms, seeds=400, jobs=1, max_minutes=0.02)
    assert (plan.seeds, plan.cells, plan.fits, plan.generators, plan.wall_seconds) == (3, 9, 9, 3, 3 * 16)
    assert "3 paired seeds (of 400; no more begin in 0.02 min)" in str(plan)
    assert plan_of(arms, seeds=400, jobs=1, max_minutes=2).wall_seconds == 7 * 16
    assert plan_of(arms, seeds=400, jobs=2, max_minutes=0).seeds == 4  # two waves
    assert plan_of(arms, seeds=5, jobs=1, max_minutes=2).seeds == 5


def test_the_time_limit_is_that_of_compare():
    settings = {**SETTINGS, "seeds": 20, "max_minutes": 0, "classifier": "logistic"}
    plan = forecast(IMAGES, DIGITS, arms=["nothing", "oversampling", "gan"], **settings)
    assert (plan.seeds, plan.fits) == (3, 9)


class Rows(GaussianNB):
    """A classifier whose training takes as long as it has rows."""

    fitted = 0

    def fit(self, X, y, sample_weight=None):
        Rows.fitted += len(X)
        return super().fit(X, y, sample_weight=sample_weight)


@pytest.fixture
def row_clock(monkeypatch):
    """Let a row of training take a millisecond, and all else no time."""
    monkeypatch.setattr(Rows, "fitted", 0)
    clock = SimpleNamespace(perf_counter=lambda: Rows.fitted * ROW_SECONDS)
    monkeypatch.setattr("ganaug.experiment.pilot.time", clock)


ROW_SECONDS = 1e-3


@pytest.mark.parametrize(
    ("arms", "settings", "tolerance"),
    [
        (["nothing", "oversampling", "gan", "half of reserve", "reserve"], {"train_size": 20}, 1e-6),
        (["nothing", "oversampling", "gan"], {"labelled_per_class": 6, "fill": 20.0}, 1e-6),
        (["nothing", "classic", "oversampling", "gan", "gan + classic"], {"labelled_per_class": 6}, 1e-6),
        (["nothing", "oversampling + gate", "gan + gate"], {"labelled_per_class": 6}, 1e-6),
        (
            ["nothing", "oversampling", "tuned oversampling", "gan", "tuned gan"],
            {"train_size": 20},
            0.9,
        ),  # a choice: at most
    ],
)
def test_the_cost_of_every_arm_is_its_own(row_clock, arms, settings, tolerance):
    settings = {"arms": arms, "classifier": Rows(), "seeds": 3, "config": TINY, **settings}
    said = forecast(IMAGES, DIGITS, primary="gan + gate" if "gan + gate" in arms else "gan", **settings)
    Rows.fitted = 0
    compare(IMAGES, DIGITS, primary=said.primary, **settings)
    assert said.wall_seconds == pytest.approx(Rows.fitted * ROW_SECONDS, rel=tolerance)
    assert said.wall_seconds >= Rows.fitted * ROW_SECONDS * (1 - 1e-6)


def test_an_arm_that_chooses_is_timed_by_its_dearest_candidate(row_clock):
    arms = ["nothing", "oversampling", "tuned oversampling", "gan", "tuned gan"]
    settings = {"arms": arms, "classifier": Rows(), "labelled_per_class": 6, "config": TINY}
    plan = forecast(IMAGES, DIGITS, primary="gan", seeds=3, **settings)
    dearest = pytest.approx(plan.fit_seconds["oversampling"])
    assert plan.fit_seconds["tuned oversampling"] == plan.fit_seconds["tuned gan"] == dearest


def test_arms_beyond_the_time_for_them_are_charged_the_mean_and_named(row_clock, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "ROW_SECONDS", 1.0)
    arms = ["nothing", "oversampling", "gan", "half of reserve", "reserve"]
    plan = forecast(IMAGES, DIGITS, arms=arms, classifier=Rows(), train_size=20, seeds=3, config=TINY)
    assert plan.timed == ("nothing", "oversampling", "half of reserve")
    timed = [plan.fit_seconds[name] for name in plan.timed]
    assert plan.fit_seconds["reserve"] == pytest.approx(sum(timed) / 3)
    assert plan.fit_seconds["gan"] == plan.fit_seconds["oversampling"]
    said = "Timed: nothing, oversampling, half of reserve; charged like their twins: gan; not timed, charged"
    assert f"{said} the mean: reserve." in str(plan)


def test_no_number_of_jobs_ends_before_the_longest_cell():
    plan = plan_of(["nothing", "tuned oversampling", "tuned gan"], seeds=3, jobs=100)
    assert plan.fits == 3 * (1 + 13 + 13)
    assert plan.generators == 3 * 4
    assert plan.wall_seconds == 10 + 13 * 2 + 3 * 10


def test_controls_that_differ_more_show_less():
    def noise(part):
        own = torch.Generator().manual_seed(part.seed)
        return torch.rand(len(part.extra_c), *part.x.shape[1:], generator=own) * 2 - 1

    def shown(extra):
        arms = {"nothing": ARMS["nothing"], "twin": Arm(role="control", extra=extra), "gan": ARMS["gan"]}
        plan = forecast(IMAGES, DIGITS, classifier="logistic", arms=arms, **SETTINGS)
        assert plan.pilot == ("twin", "nothing")
        return plan.power.smallest_gain

    assert shown(noise) > 1.5 * shown(copies)


def test_one_control_tells_no_power():
    plan = forecast(IMAGES, DIGITS, classifier="logistic", arms=["oversampling", "gan"], **SETTINGS)
    assert plan.power is None
    assert "Power: not known; it takes two controls that differ" in str(plan)


def test_controls_that_say_the_same_tell_no_power():
    arms = {"nothing": Arm(role="control"), "same": Arm(role="control"), "gan": ARMS["gan"]}
    plan = forecast(IMAGES, DIGITS, classifier=LogisticRegression(), arms=arms, **SETTINGS)
    assert plan.power is None


def test_a_classifier_that_fails_has_no_cost_and_no_power():
    class Broken(LogisticRegression):
        def fit(self, X, y, sample_weight=None):
            raise ValueError("no")

    plan = forecast(IMAGES, DIGITS, classifier=Broken(), arms=["nothing", "oversampling", "gan"], **SETTINGS)
    assert plan.power is None
    assert "unknown time" in str(plan)


def test_what_compare_refuses_is_refused():
    with pytest.raises(ConfigError, match="Did you mean 'accuracy'"):
        forecast(IMAGES, DIGITS, metric="acuracy")
    with pytest.raises(DataError, match="too small for 300 seeds"):
        forecast(IMAGES, DIGITS, labelled_per_class=6, seeds=300)
    with pytest.raises(TypeError, match="colour"):
        forecast(IMAGES, DIGITS, colour="red")


def test_the_plan_is_plain_json():
    plan = forecast(
        IMAGES, DIGITS, classifier="logistic", arms=["nothing", "oversampling", "gan"], **SETTINGS
    )
    record = json.loads(json.dumps(plan.to_dict()))
    assert record["cells"] == 9
    assert record["twins"] == {"gan": "oversampling"}
    assert record["wall_seconds"] > 0
    assert record["arms"]["gan"]["role"] == "treatment"


def test_a_choice_of_doses_counts_each_candidate_in_each_fold():
    arm = tuned(Arm(role="control", extra=copies, labels="teacher"))
    arms = {"nothing": ARMS["nothing"], "mine": arm}
    settings = {"seeds": 1, "splits": "", "n_train": 0, "n_test": 0, "classifier": ""}
    plan = Forecast(arms, {}, "mine", settings, 1, None, {"nothing": 1.0, "mine": 1.0}, 0.0, (), ())
    assert plan.fits == 1 + 3 * (1 + 2 + 2 + 2) + 2
