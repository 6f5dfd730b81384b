from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch

from ganaug import ConditionalGAN, GANConfig
from ganaug._random import derive
from ganaug.data.schema import Schema
from ganaug.errors import ConfigError
from ganaug.experiment.arms import (
    ARMS,
    DEFAULT_ARMS,
    Arm,
    TrainingPart,
    copies,
    near_boundary,
    noisy_copies,
    real_samples,
    synthetic,
    tuned,
)

TINY = GANConfig(width=4, z_dim=4, batch_size=16, train_images=32)


@pytest.fixture(autouse=True)
def one_thread():
    """Run as `compare` does."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def training_part(extra_c, *, seed=0):
    rng = np.random.default_rng(0)
    y = np.repeat(["a", "b", "c"], [6, 4, 5])
    X = rng.normal(size=(15, 3))
    schema = Schema.fit(X, y)
    return TrainingPart(
        X=X,
        x=schema.encode_X(X),
        c=schema.encode_y(y),
        extra_c=torch.tensor(extra_c, dtype=torch.int64),
        schema=schema,
        seed=seed,
        fitted_gan=cache(lambda: ConditionalGAN(config=TINY, random_state=seed).fit(X, y)),
    )


def classes_of(rows, part):
    """Return the class of each row by looking it up among the real ones."""
    return [int(part.c[(part.x == row).all(1).nonzero()[0, 0]]) for row in rows]


def test_copies_are_real_samples_of_the_wanted_classes():
    wanted = [0] * 20 + [1] * 3 + [2] * 20
    part = training_part(wanted)
    rows = copies(part)
    assert classes_of(rows, part) == wanted
    assert len(rows[:20].unique(dim=0)) > 3


def test_copies_depend_on_the_seed_alone():
    wanted = [0] * 20 + [2] * 20
    first, again, other = (copies(training_part(wanted, seed=s)) for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_synthetic_samples_come_in_the_wanted_classes_and_order():
    part = training_part([0] * 2 + [2] * 5)
    rows = synthetic(part)
    gan = ConditionalGAN(config=TINY, random_state=0).fit(part.X, part.schema.labels[part.c])
    seed = derive(part.seed, "synthetic")
    expected, labels = gan.generate({"a": 2, "c": 5}, random_state=seed)
    assert labels.tolist() == ["a"] * 2 + ["c"] * 5
    assert torch.equal(rows, part.schema.encode_X(expected))
    assert rows.abs().max() <= 1


def test_the_generator_is_fitted_once_and_all_arms_of_a_seed_get_the_same_samples():
    part = training_part([0, 1, 2])
    first = synthetic(part)
    assert torch.equal(synthetic(part), first)
    assert part.fitted_gan.cache_info().misses == 1


@pytest.mark.parametrize("extra", [copies, noisy_copies, synthetic])
def test_where_nothing_is_wanted_nothing_is_made(extra):
    assert extra(training_part([])).shape == (0, 3)


def with_columns(X, wanted):
    """Return a training part of other rows with the same labels."""
    part = training_part(wanted)
    schema = Schema.fit(X, np.repeat(["a", "b", "c"], [6, 4, 5]))
    return replace(part, X=X, x=schema.encode_X(X), schema=schema)


def test_noisy_copies_are_copies_with_noise_of_a_tenth_of_a_columns_deviation():
    part = training_part([0] * 2000 + [2] * 2000)
    noise = (noisy_copies(part) - copies(part))[(copies(part).abs() < 0.8).all(1)]
    assert torch.allclose(noise.std(0) / part.x.std(0), torch.full((3,), 0.1), atol=0.01)
    assert torch.allclose(noise.mean(0), torch.zeros(3), atol=0.01)
    assert noisy_copies(part).abs().max() <= 1


def test_noisy_copies_leave_categories_as_they_are():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"city": rng.choice(["Ulm", "Bonn", None], 15), "size": rng.normal(size=15)})
    part = with_columns(X, [0] * 30 + [1] * 20)
    blocks = torch.tensor(part.schema.codec.blocks)
    scalar = (blocks == 1).repeat_interleave(blocks)
    rows, copied = noisy_copies(part), copies(part)
    assert torch.equal(rows[:, ~scalar], copied[:, ~scalar])
    assert (rows[:, scalar] != copied[:, scalar]).float().mean() > 0.8
    assert set(rows[:, ~scalar].unique().tolist()) == {0, 1}


def test_the_default_arms_of_each_kind_of_data_apply_to_it():
    assert {ARMS[name].data for name in DEFAULT_ARMS["image"]} == {"any", "image"}
    assert {ARMS[name].data for name in DEFAULT_ARMS["table"]} == {"any", "table", "numeric table"}


def test_a_threshold_is_not_tuned_on_samples_that_added_ones_may_be_copies_of():
    with pytest.raises(ConfigError, match="tune_threshold must have no extra"):
        Arm(role="control", tune_threshold=True, extra=copies)


def test_the_table_of_arms_tells_controls_from_treatments():
    treatments = {name: arm for name, arm in ARMS.items() if arm.role == "treatment"}
    assert {"gan", "gan + classic", "gan swap", "gan + teacher", "pretrain on gan", "tuned gan"} <= {
        *treatments
    }
    assert ARMS["nothing"] == Arm(role="control")
    for arm in treatments.values():
        assert all(
            a.extra in (synthetic, near_boundary) or a.complement == "generator"
            for a in arm.among[1:] or (arm,)
        )
    for arm in (a for a in ARMS.values() if a.role != "treatment"):
        assert not any(
            a.extra in (synthetic, near_boundary) or a.complement == "generator" for a in arm.among or (arm,)
        )
    assert [name for name, arm in ARMS.items() if arm.class_weights] == ["class weights"]
    tuned = [name for name, arm in ARMS.items() if arm.tune_threshold]
    assert tuned == ["threshold", *(f"threshold + {rest}" for rest in ("entropy", "mixes", "complement"))]
    assert {name for name, arm in ARMS.items() if arm.role == "oracle"} == {
        name for name, arm in ARMS.items() if arm.extra is real_samples
    }


@pytest.mark.parametrize("lever", [{"labels": "teacher"}, {"place": "swap"}, {"phases": "pretrain"}])
def test_what_is_said_of_added_samples_needs_some(lever):
    with pytest.raises(
        ConfigError, match="labels, place, phases, weight or a gate of added samples must have extra"
    ):
        Arm(role="control", **lever)
    arm = Arm(role="control", extra=copies, class_weights=True, mix="mixup", **lever)
    assert arm.with_nothing_added == Arm(role="control", class_weights=True, mix="mixup")
    assert tuned(arm).among[0] == arm.with_nothing_added


@pytest.mark.parametrize(
    ("lever", "message"),
    [
        ({"mix": "mixupp"}, "mix must be one of.*Did you mean 'mixup'"),
        ({"labels": "soft"}, "labels must be one of 'hard', 'smooth', 'teacher'"),
        ({"place": "swop"}, "Did you mean 'swap'"),
        ({"phases": "last"}, "phases must be one of 'mixed', 'pretrain', 'real last'"),
        ({"classic": "rand"}, "classic must be one of 'randaugment'"),
        ({"complement_weight": 0.2}, "a complement_weight must have a complement"),
        ({"complement": "mixes", "complement_weight": 0}, "complement_weight must be"),
    ],
)
def test_an_unknown_setting_is_refused_with_the_known_ones(lever, message):
    with pytest.raises(ConfigError, match=message):
        Arm(role="control", extra=copies, **lever)


def with_reserve(wanted):
    part = training_part(wanted)
    X = 100 + np.arange(36).reshape(12, 3)
    return replace(part, reserve=(X, torch.tensor([0, 1, 2, 2] * 3)))


def test_the_oracle_draws_from_the_reserve_alone_and_each_sample_at_most_once():
    part = with_reserve([0] * 3 + [2] * 5)
    rows = real_samples(part)
    places = (rows[:, 0] - 100) // 3
    assert part.reserve[1][places].tolist() == [0] * 3 + [2] * 5
    assert len(set(places)) == 8
    assert set(map(tuple, rows)) <= set(map(tuple, part.reserve[0]))


def test_an_oracle_that_the_reserve_cannot_serve_says_what_is_missing():
    with pytest.raises(ConfigError, match="needs real samples set aside"):
        real_samples(training_part([0]))
    with pytest.raises(ConfigError, match="needs 4 real samples of class 'b' set aside; there are 3"):
        real_samples(with_reserve([1] * 4))


def test_a_record_of_an_arm_is_as_it_was_before_it_had_more_settings():
    older = {"weight", "complement", "by_class"}
    assert not older & {*Arm(role="control", extra=copies, place="swap", dose=0.5).to_dict()}
    assert {*Arm(role="control", extra=copies, weight=0.5, complement="mixes").to_dict()} >= {
        "weight",
        "complement",
    }
