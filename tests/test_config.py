"""GANConfig: plain values, checked when they are given."""

import json
from dataclasses import FrozenInstanceError, replace

import pytest

from ganaug.adversarial.losses import Hinge
from ganaug.adversarial.regularizers import R1
from ganaug.config import PRESETS, GANConfig, resolve_config
from ganaug.errors import ConfigError
from ganaug.networks import mlp
from ganaug.networks.conditioning import Auxiliary


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
        ("train_images", -1),
        ("width", 0),
        ("d_steps", True),
        ("lr_G", 0),
        ("lr_D", float("nan")),
        ("ema_halflife_images", "many"),
        ("betas", (0.0, 1.5)),
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
