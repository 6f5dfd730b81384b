"""GANConfig: plain values, checked when they are given."""

import json
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

from ganaug.adversarial.losses import Hinge
from ganaug.adversarial.regularizers import R1
from ganaug.config import PRESETS, GANConfig, resolve_config
from ganaug.errors import ConfigError
from ganaug.networks import mlp
from ganaug.networks.conditioning import Auxiliary
from ganaug.training.game import resolve_game


def test_a_config_cannot_change_and_takes_keywords_only() -> None:
    config = GANConfig()
    with pytest.raises(FrozenInstanceError):
        config.width = 3
    with pytest.raises(TypeError):
        GANConfig("mlp")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("z_dim", 0),
        ("batch_size", 1.5),
        ("batch_size", 1),
        ("train_images", -1),
        ("width", 0),
        ("d_steps", True),
        ("lr_G", 0),
        ("lr_D", float("nan")),
        ("ema_halflife_images", "many"),
        ("betas", (0.0, 1.5)),
        ("betas", (0.0, 1.0)),
        ("betas", (-0.1, 0.9)),
        ("betas", (0.9,)),
        ("betas", (0.0, 0.9, 0.99)),
        ("betas", 3),
        ("ada_target", 1.5),
        ("ada_ramp_images", 0),
        ("max_minutes", 0),
        ("max_minutes", float("inf")),
        ("target_distance", float("nan")),
        ("lr_decay_from", 1.1),
        ("clip_norm", 0),
        ("keep_checkpoints", 0),
        ("diversity_weight", -0.1),
        ("log_every_images", 0),
    ],
)
def test_a_number_outside_its_range_is_named(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=rf"{name}.* must be .*; got"):
        GANConfig(**{name: value})


def test_a_config_survives_json() -> None:
    config = GANConfig(width=12, betas=(0.5, 0.99), diffaugment=("color",), loss="non-saturating")
    assert GANConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_every_field_survives_json() -> None:
    config = GANConfig(
        network="style",
        conditioning="transitional",
        loss="logistic",
        regularizers=("r1", "r2"),
        mutations=("heuristic",),
        diversity_weight=0.5,
        ada_target=0.6,
        ada_ramp_images=7,
        max_minutes=3.5,
        target_distance=-0.5,
        lr_decay_from=0.25,
        clip_norm=1.0,
        d_steps=2,
        snapshot="best",
        keep_checkpoints=1,
    )
    assert GANConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_own_numbers_of_a_regularizer_or_a_conditioning_are_written() -> None:
    config = GANConfig(regularizers=("r2", R1(gamma=3.0, every=16)), conditioning=Auxiliary(weight=0.5))
    values = json.loads(json.dumps(config.to_dict()))
    assert values["regularizers"] == [
        "r2",
        {"type": "ganaug.adversarial.regularizers:R1", "every": 16, "gamma": 3.0},
    ]
    assert values["conditioning"] == {"type": "ganaug.networks.conditioning:Auxiliary", "weight": 0.5}


@pytest.mark.parametrize("name", ["regularizers", "mutations", "diffaugment"])
def test_one_name_where_several_may_stand_is_answered_with_a_tuple(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"{name} must be a tuple of names; got 'r1'\. Write \('r1',\)\."):
        GANConfig(**{name: "r1"})


def test_numpy_numbers_and_lists_become_plain_ones() -> None:
    config = GANConfig(
        batch_size=np.int64(16),
        lr_G=np.float32(0.5),
        ada_target=np.float64(0.5),
        betas=[np.float32(0.5), np.float64(0.75)],
        regularizers=["r1", "r2"],
        diffaugment=["color"],
    )
    plain = GANConfig(
        batch_size=16,
        lr_G=0.5,
        ada_target=0.5,
        betas=(0.5, 0.75),
        regularizers=("r1", "r2"),
        diffaugment=("color",),
    )
    assert config == plain
    assert hash(config) == hash(plain)
    assert [type(v) for v in (config.batch_size, config.lr_G, config.ada_target)] == [int, float, float]
    assert json.loads(json.dumps(config.to_dict())) == json.loads(json.dumps(plain.to_dict()))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("regularizers", ("r1", "r1")),
        ("regularizers", (R1(gamma=3), "r2", R1(gamma=3))),
        ("mutations", ("heuristic", "heuristic")),
        ("diffaugment", ["color", "color"]),
    ],
)
def test_a_name_that_comes_twice_is_refused(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"{name} must name each entry once"):
        GANConfig(loss="logistic", **{name: value})


def test_two_strengths_of_one_penalty_are_two_entries() -> None:
    assert len(GANConfig(regularizers=(R1(gamma=3), R1(gamma=3, every=16))).regularizers) == 2


def test_a_target_for_the_augmentation_needs_an_augmentation() -> None:
    with pytest.raises(ConfigError, match="diffaugment, which is empty"):
        GANConfig(ada_target=0.6, diffaugment=())


@pytest.mark.parametrize("loss", ["wasserstein", "relativistic"])
def test_a_target_for_the_augmentation_needs_a_loss_that_says_what_is_right(loss: str) -> None:
    with pytest.raises(ConfigError, match=f"ada_target reads how often D is right.*'{loss}'"):
        resolve_game(GANConfig(loss=loss, ada_target=0.6))


@pytest.mark.parametrize("loss", ["hinge", "least-squares", "wasserstein", "relativistic"])
def test_mutations_need_a_loss_of_log_odds(loss: str) -> None:
    with pytest.raises(ConfigError, match=f"mutations read D's logits as log-odds.*'{loss}'.*'logistic'"):
        GANConfig(loss=loss, mutations=("heuristic",))


def test_an_unknown_kind_of_snapshot_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"snapshot must be one of 'last', 'best'; got 'bset'"):
        GANConfig(snapshot="bset")


def test_own_objects_are_written_by_their_names() -> None:
    values = GANConfig(network=mlp, loss=Hinge()).to_dict()
    assert values["network"] == "ganaug.networks.mlp:mlp"
    assert values["loss"] == "ganaug.adversarial.losses:Hinge"


def test_an_unknown_field_is_named_with_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match=r"no field 'batchsize'.*Did you mean 'batch_size'\?"):
        GANConfig.from_dict({"batchsize": 3})


def test_presets_are_budgets_in_rising_order() -> None:
    budgets = [PRESETS[name].train_images for name in ("quick", "default", "best")]
    assert budgets == sorted(set(budgets))


def test_a_config_wins_over_the_preset_and_a_budget_over_both() -> None:
    config = GANConfig(train_images=5, width=3)
    assert resolve_config("quick", None, None) == PRESETS["quick"]
    assert resolve_config("quick", config, None) is config
    assert resolve_config("quick", config, 7) == replace(config, train_images=7)


def test_wrong_presets_and_configs_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"Did you mean 'quick'\?"):
        resolve_config("quik", None, None)
    with pytest.raises(ConfigError, match="config must be a GANConfig or None; got dict"):
        resolve_config("quick", {"width": 3}, None)
