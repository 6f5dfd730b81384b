"""GANConfig: plain values, checked when they are given."""

import json
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

from ganaug.adversarial.losses import Hinge
from ganaug.adversarial.matching import Moments
from ganaug.adversarial.regularizers import R1
from ganaug.config import PRESETS, GANConfig, resolve_config
from ganaug.errors import ConfigError
from ganaug.networks import mlp
from ganaug.networks.conditioning import Auxiliary
from ganaug.training.game import resolve_game

LEFT = ("train_images", "log_every_images", "ema_halflife_images", "width", "lr_G", "lr_D")


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
        ("pack", 0),
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
        matching=("moments", "correlations"),
        diversity_weight=0.5,
        ada_target=0.6,
        ada_ramp_images=7,
        max_minutes=3.5,
        target_distance=-0.5,
        lr_decay_from=0.25,
        clip_norm=1.0,
        d_steps=2,
        pack=2,
        missing="fill",
        snapshot="best",
        keep_checkpoints=1,
    )
    assert GANConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_own_numbers_of_an_own_part_are_written() -> None:
    config = GANConfig(
        regularizers=("r2", R1(gamma=3.0, every=16)),
        conditioning=Auxiliary(weight=0.5),
        matching=(Moments(weight=2.0),),
    )
    values = json.loads(json.dumps(config.to_dict()))
    assert values["regularizers"] == [
        "r2",
        {"type": "ganaug.adversarial.regularizers:R1", "every": 16, "gamma": 3.0},
    ]
    assert values["conditioning"] == {"type": "ganaug.networks.conditioning:Auxiliary", "weight": 0.5}
    assert values["matching"] == [{"type": "ganaug.adversarial.matching:Moments", "weight": 2.0}]


@pytest.mark.parametrize("name", ["regularizers", "mutations", "matching", "diffaugment"])
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
        ("matching", ("moments", "moments")),
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
    with pytest.raises(ConfigError, match=r"snapshot must be one of 'last', 'best', 'both'; got 'bset'"):
        GANConfig(snapshot="bset")


def test_an_unknown_treatment_of_missing_cells_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"missing must be one of 'keep', 'fill'; got 'fil'"):
        GANConfig(missing="fil")


def test_a_batch_is_a_number_of_whole_packs() -> None:
    assert GANConfig(pack=4, batch_size=32).batch_size == 32
    with pytest.raises(ConfigError, match=r"batch_size must be a multiple of pack=5.*got 32"):
        GANConfig(pack=5, batch_size=32)


@pytest.mark.parametrize("kind", ["image", "table"])
def test_the_batch_of_a_kind_is_a_number_of_whole_packs_too(kind: str) -> None:
    batch_size = PRESETS["default"][kind].batch_size
    assert resolve_config("default", GANConfig(pack=2), None, kind=kind).batch_size == batch_size
    with pytest.raises(ConfigError, match=f"batch_size must be a multiple of pack=7.*got {batch_size}"):
        resolve_config("default", GANConfig(pack=7), None, kind=kind)


def test_own_objects_are_written_by_their_names() -> None:
    values = GANConfig(network=mlp, loss=Hinge()).to_dict()
    assert values["network"] == "ganaug.networks.mlp:mlp"
    assert values["loss"] == "ganaug.adversarial.losses:Hinge"


def test_an_unknown_field_is_named_with_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match=r"no field 'batchsize'.*Did you mean 'batch_size'\?"):
        GANConfig.from_dict({"batchsize": 3})


@pytest.mark.parametrize("kind", ["image", "table"])
def test_presets_are_budgets_in_rising_order(kind: str) -> None:
    budgets = [PRESETS[name][kind].train_images for name in ("quick", "default", "best")]
    assert budgets == sorted(set(budgets))


@pytest.mark.parametrize(
    ("preset", "train_images"), [("quick", 30_000), ("default", 150_000), ("best", 1_000_000)]
)
def test_images_are_trained_by_these_numbers(preset: str, train_images: int) -> None:
    config = resolve_config(preset, None, None, kind="image")
    assert (config.train_images, config.batch_size, config.log_every_images) == (train_images, 64, 10_000)
    assert config.ema_halflife_images == (20_000 if preset == "best" else 5_000)
    assert config.width == (64 if preset == "best" else None)
    assert (config.lr_G, config.lr_D) == (2e-4, 8e-4)


@pytest.mark.parametrize("kind", ["image", "table"])
@pytest.mark.parametrize("preset", PRESETS)
def test_what_a_config_leaves_none_comes_from_the_preset_of_the_kind(preset: str, kind: str) -> None:
    base = PRESETS[preset][kind]
    found = resolve_config(preset, GANConfig(loss="logistic", batch_size=10), None, kind=kind)
    assert (found.loss, found.batch_size) == ("logistic", 10)
    assert found == replace(GANConfig(loss="logistic", batch_size=10), **{n: getattr(base, n) for n in LEFT})
    assert [name for name in ("batch_size", *LEFT) if getattr(base, name) is None] in ([], ["width"])


def test_evolution_and_matching_do_not_go_together() -> None:
    with pytest.raises(ConfigError, match="matching is no part of the fitness"):
        GANConfig(mutations=("heuristic",), loss="logistic", matching=("moments",))


def test_a_config_wins_over_the_preset_and_a_budget_over_both() -> None:
    config = GANConfig(train_images=5, width=3)
    for kind in ("image", "table"):
        assert resolve_config("quick", None, None, kind=kind) == PRESETS["quick"][kind]
        found = resolve_config("quick", config, None, kind=kind)
        assert (found.train_images, found.width) == (5, 3)
        assert resolve_config("quick", found, None, kind=kind) == found
        assert resolve_config("quick", config, 7, kind=kind) == replace(found, train_images=7)


def test_wrong_presets_and_configs_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"Did you mean 'quick'\?"):
        resolve_config("quik", None, None, kind="image")
    with pytest.raises(ConfigError, match="config must be a GANConfig or None; got dict"):
        resolve_config("quick", {"width": 3}, None, kind="image")
