"""Arms of one recipe: twins, and the arms of a learning curve."""

from dataclasses import replace

import pytest

from ganaug.errors import ConfigError
from ganaug.experiment.arms import (
    ARMS,
    Arm,
    copies,
    hard_copies,
    near_boundary,
    noisy_copies,
    synthetic,
    tuned,
)
from ganaug.experiment.twins import learning_curve, twin_of

TREATMENTS = [name for name, arm in ARMS.items() if arm.role == "treatment"]


@pytest.mark.parametrize("name", TREATMENTS)
def test_in_the_table_each_treatment_has_a_twin_with_copies_of_real_samples_at_the_same_dose(name):
    treatment, twin = ARMS[name], ARMS[twin_of(name, ARMS)]

    def with_copies(arm):
        swapped = copies if arm.asks_generator and arm.extra else arm.extra
        swapped = hard_copies if arm.extra is near_boundary else swapped
        among = tuple(dict.fromkeys(map(with_copies, arm.among)))  # copies have no snapshots
        fakes = arm.complement and "mixes"
        return replace(
            arm, role="control", extra=swapped, among=among, snapshot=None, generative=None, complement=fakes
        )

    assert twin == with_copies(treatment)


def test_the_twins_of_the_table_are_these():
    assert {name: twin_of(name, ARMS) for name in TREATMENTS} == {
        "gan": "oversampling",
        "gan + classic": "classic",
        "gan + mixup": "oversampling + mixup",
        "gan swap": "oversampling swap",
        "gan + teacher": "teacher on copies",
        "gan + classic + teacher": "teacher on classic",
        "pretrain on gan": "pretrain on copies",
        "gan + real last": "oversampling + real last",
        "smooth gan": "smooth copies",
        "lighter gan": "lighter copies",
        "even gan": "even oversampling",
        "gan near boundary": "oversampling near boundary",
        "gan of all snapshots": "oversampling",
        "tuned gan": "tuned oversampling",
        "tuned gan by class": "tuned oversampling by class",
        "gan + gate": "oversampling + gate",
        "gan + realism": "oversampling + realism",
        "gan + novelty": "oversampling + novelty",
        "chosen gan": "chosen oversampling",
        "complement": "mixes",
        "oversampling + complement": "oversampling + mixes",
        "threshold + complement": "threshold + mixes",
        "classic + complement": "classic + mixes",
        "elastic + complement": "elastic + mixes",
        "pseudo-labels + complement": "pseudo-labels + mixes",
        "classic + pseudo-labels + complement": "classic + pseudo-labels + mixes",
    }


def test_of_several_twins_copies_come_before_other_samples_and_these_before_none():
    arms = {
        "nothing": Arm(role="control"),
        "noisy": Arm(role="control", extra=noisy_copies),
        "few": Arm(role="control", extra=copies, dose=0.5),
        "all": Arm(role="control", extra=copies),
        "own": Arm(role="treatment", extra=synthetic),
    }
    for expected in ("all", "few", "noisy", "nothing"):
        assert twin_of("own", arms) == expected
        del arms[expected]
    with pytest.raises(ConfigError, match="control that differs from 'own' in the added samples only"):
        twin_of("own", arms)


@pytest.mark.parametrize(
    "lever",
    [
        {"mix": "mixup"},
        {"mix": "cutmix"},
        {"labels": "teacher"},
        {"place": "swap"},
        {"phases": "pretrain"},
        {"phases": "real last"},
        {"classic": True},
        {"classic": "randaugment"},
        {"class_weights": True},
        {"gate": "agreement"},
        {"gate": "realism"},
        {"labels": "smooth"},
        {"place": "even"},
        {"weight": 0.5},
        {"complement": "generator"},
    ],
)
def test_a_control_without_the_lever_of_the_treatment_is_no_twin(lever):
    gan = Arm(role="treatment", extra=synthetic, **lever)
    for treatment in (gan, tuned(gan)):
        plain = Arm(role="control", extra=copies)
        arms = {"plain": plain, "tuned": tuned(plain), "nothing": Arm(role="control"), "gan": treatment}
        with pytest.raises(ConfigError, match="differs from 'gan' in the added samples only"):
            twin_of("gan", arms)


def test_a_twin_plays_the_game_at_the_same_weight():
    light = replace(ARMS["complement"], complement_weight=0.2)
    with pytest.raises(ConfigError, match="complement and its weight"):
        twin_of("light", {"mixes": ARMS["mixes"], "light": light})
    mixes = replace(ARMS["mixes"], complement_weight=0.2)
    assert twin_of("light", {"mixes": ARMS["mixes"], "light mixes": mixes, "light": light}) == "light mixes"


def test_a_twin_may_have_fewer_candidates_but_none_of_other_levers():
    arms = {"tuned": ARMS["tuned oversampling"], "chosen gan": ARMS["chosen gan"]}
    with pytest.raises(ConfigError, match="gate and candidates"):
        twin_of("chosen gan", arms)
    chosen = ARMS["chosen oversampling"]
    assert len(chosen.among) < len(arms["chosen gan"].among)
    assert twin_of("chosen gan", {**arms, "chosen": chosen}) == "chosen"
    with pytest.raises(ConfigError, match="'tuned gan'"):
        twin_of("tuned gan", {"chosen": chosen, "tuned gan": ARMS["tuned gan"]})


def test_an_oracle_is_nobodys_twin():
    arms = {"reserve": ARMS["reserve"], "gan": ARMS["gan"]}
    with pytest.raises(ConfigError, match="differs from 'gan'"):
        twin_of("gan", arms)


def test_a_learning_curve_holds_arms_that_differ_in_the_number_of_real_samples_only():
    assert learning_curve(ARMS) == ("nothing", "quarter of reserve", "half of reserve", "reserve")
    with_classic = {"nothing": ARMS["nothing"], "more": replace(ARMS["reserve"], classic=True)}
    assert learning_curve(with_classic) == ()
    with_weights = {"class weights": ARMS["class weights"], "reserve": ARMS["reserve"]}
    assert learning_curve(with_weights) == ()
    assert learning_curve({name: ARMS[name] for name in ("nothing", "oversampling", "gan")}) == ()
