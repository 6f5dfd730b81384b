"""The loop: repeatable, logged when it says, and it learns the classes."""

import hashlib
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from ganaug.adversarial.diffaugment import diff_augment
from ganaug.adversarial.losses import Hinge
from ganaug.config import GANConfig
from ganaug.errors import ConfigError, TrainingDivergedError
from ganaug.generator import ConditionalGAN
from ganaug.training.loop import check_names, train
from ganaug.training.state import GANState, new_state

CPU = torch.device("cpu")
CONFIG = GANConfig(
    network="mlp",
    width=4,
    z_dim=8,
    train_images=64,
    batch_size=16,
    log_every_images=32,
    precision="float32",
)


def two_classes(shape: tuple[int, ...] = (1, 8, 8)) -> tuple[Tensor, Tensor]:
    """Return dark samples of class 0 and bright ones of class 1."""
    c = torch.arange(60) % 2
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(60, *shape, generator=generator) * 0.05
    return x + (c * 1.2 - 0.6).reshape(-1, *[1] * len(shape)), c


def trained(config: GANConfig, *, seed: int = 0, shape: tuple[int, ...] = (1, 8, 8)) -> GANState:
    state = new_state(config, shape=shape, n_classes=2, seed=seed, device=CPU)
    train(state, *two_classes(shape), config, seed=seed, on_log=lambda *_: None)
    return state


def digest(state: GANState) -> str:
    content = hashlib.sha256()
    for name, value in sorted(state.tensors().items()):
        content.update(name.encode() + value.contiguous().numpy().tobytes())
    return content.hexdigest()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"network": "resnet"},
        {"d_steps": 2, "diffaugment": ("color", "cutout")},
        {"precision": "bfloat16"},
    ],
)
def test_the_same_seed_gives_the_same_bytes_whatever_the_global_seed(changes: dict) -> None:
    config = replace(CONFIG, **changes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        first = digest(trained(config))
        torch.manual_seed(2)
        assert digest(trained(config)) == first
    assert digest(trained(config, seed=1)) != first


def test_training_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    trained(CONFIG)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_run_in_two_parts_equals_one_run() -> None:
    config = replace(CONFIG, train_images=96)
    half = new_state(config, shape=(1, 8, 8), n_classes=2, seed=0, device=CPU)
    train(half, *two_classes(), replace(config, train_images=48), seed=0, on_log=lambda *_: None)
    rest = new_state(config, shape=(1, 8, 8), n_classes=2, seed=99, device=CPU)
    rest.load_tensors(half.tensors(), origin="memory")
    rest.images_seen = half.images_seen
    train(rest, *two_classes(), config, seed=0, on_log=lambda *_: None)
    assert digest(rest) == digest(trained(config))


@pytest.mark.parametrize(
    ("train_images", "log_every", "d_steps", "expected"),
    [
        (128, 32, 1, [32, 64, 96, 128]),
        (128, 50, 1, [64, 112, 128]),
        (100, 1000, 1, [112]),
        (64, 1, 1, [16, 32, 48, 64]),
        (128, 64, 2, [64, 128]),
    ],
)
def test_the_log_is_called_at_each_interval_and_at_the_end(
    train_images, log_every, d_steps, expected
) -> None:
    config = replace(
        CONFIG, network="mlp", train_images=train_images, log_every_images=log_every, d_steps=d_steps
    )
    state = new_state(config, shape=(3,), n_classes=2, seed=0, device=CPU)
    calls = []
    train(
        state,
        *two_classes((3,)),
        config,
        seed=0,
        on_log=lambda s, stats: calls.append((s.images_seen, stats)),
    )
    assert [seen for seen, _ in calls] == expected
    assert set(calls[0][1]) == {"loss/D", "loss/G", "logits/real", "logits/fake"}


def test_each_class_moves_to_its_own_kind_of_sample() -> None:
    config = replace(CONFIG, network="resnet", width=8, train_images=1600, ema_halflife_images=300)
    state = trained(config)
    z = torch.randn(100, 8, generator=torch.Generator().manual_seed(5))
    dark, bright = (state.G_ema(z, torch.full((100,), k)).mean((1, 2, 3)) for k in (0, 1))
    assert (dark < 0).float().mean() > 0.9
    assert (bright > 0).float().mean() > 0.9
    assert bright.mean() - dark.mean() > 0.5


def test_a_table_is_trained_without_image_augmentation() -> None:
    assert digest(trained(replace(CONFIG, diffaugment=("color",)), shape=(3,))) == digest(
        trained(CONFIG, shape=(3,))
    )


class NaNLoss(Hinge):
    def generator(self, fake_logits: Tensor) -> Tensor:
        return fake_logits * float("nan")


def test_a_loss_that_is_no_number_stops_the_training_before_the_log() -> None:
    config = replace(CONFIG, loss=NaNLoss())
    state = new_state(config, shape=(1, 8, 8), n_classes=2, seed=0, device=CPU)
    calls = []
    with pytest.raises(TrainingDivergedError, match=r"by 32 images: .*'loss/G': nan.*Lower lr_G"):
        train(state, *two_classes(), config, seed=0, on_log=lambda *a: calls.append(a))
    assert calls == []


def test_unknown_names_are_found_before_training() -> None:
    with pytest.raises(ConfigError, match=r"loss must be one of .*Did you mean 'hinge'\?"):
        check_names(GANConfig(loss="hing"))
    with pytest.raises(ConfigError, match=r"diffaugment must be one of .*Did you mean 'cutout'\?"):
        check_names(GANConfig(diffaugment=("cutut",)))
    with pytest.raises(ConfigError, match=r"network must be one of .*Did you mean 'resnet'\?"):
        trained(GANConfig(network="resnt"))
    with pytest.raises(ConfigError, match="network for a table must be one of 'mlp'"):
        trained(GANConfig(network="resnet"), shape=(3,))


def test_real_and_fake_both_go_through_diffaugment(monkeypatch, digits) -> None:
    calls = []

    def noted(x: Tensor, policy: tuple[str, ...], generator: torch.Generator) -> Tensor:
        calls.append((len(x), policy))
        return diff_augment(x, policy, generator)

    monkeypatch.setattr("ganaug.training.loop.diff_augment", noted)
    config = GANConfig(
        network="mlp", width=4, z_dim=8, batch_size=16, train_images=16, diffaugment=("cutout",)
    )
    plain = GANConfig(network="mlp", width=4, z_dim=8, batch_size=16, train_images=16, diffaugment=())
    weights = []
    for each in (config, plain):
        gan = ConditionalGAN(config=each, random_state=0).fit(*digits)
        weights.append(torch.cat([p.flatten() for p in gan.G_.parameters()]))
    assert calls[:2] == [(32, ("cutout",)), (16, ("cutout",))]  # D sees real and fake at once, then G
    assert not torch.equal(*weights)
