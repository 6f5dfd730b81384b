"""Every entry of every table is trained for real, on ten classes of digits, and learns them."""

from dataclasses import replace

import pytest
import torch
from play import batches_of, fresh, play, small
from sklearn.datasets import load_digits
from torch import Tensor

from ganaug.adversarial.losses import LOSSES
from ganaug.adversarial.regularizers import R1, R2, REGULARIZERS
from ganaug.config import GANConfig
from ganaug.networks import CONDITIONING, NETWORKS
from ganaug.networks.conditioning import Auxiliary, Transitional
from ganaug.training.quality import Quality
from ganaug.training.state import GANState

BASE = small(
    width=24,
    z_dim=16,
    batch_size=32,
    train_images=6_400,
    log_every_images=3_200,
    ema_halflife_images=600,
    lr_G=1e-3,
    lr_D=1e-3,
    diffaugment=(),
)
FAST_D = {"lr_D": 3e-3}
CONVOLUTIONS = {"width": 12, "train_images": 6_400, **FAST_D}
PAIRED = {"loss": "relativistic", "regularizers": (R1(gamma=0.5), R2(gamma=0.5))}

ENTRIES: dict[str, dict] = {
    **{f"loss {name}": {"loss": name} for name in LOSSES},
    **{f"regularizer {name}": {"regularizers": (name,)} for name in REGULARIZERS},
    **{f"conditioning {name}": {"conditioning": name} for name in CONDITIONING},
    **{f"network {name}": {"network": name, **CONVOLUTIONS} for name in NETWORKS},
    "evolution": {"loss": "logistic", "mutations": ("minimax", "heuristic", "least-squares")},
    "adaptive augmentation": {"ada_target": 0.3, "ada_ramp_images": 5_000, "diffaugment": ("translation",)},
    "best snapshots": {"snapshot": "best"},
}
for name, changes in {
    "loss minimax": {"lr_D": 5e-4},
    "loss relativistic": PAIRED,
    "regularizer gradient-penalty": FAST_D,
    "regularizer dragan": {"loss": "non-saturating", **FAST_D},
    "conditioning concat": {"regularizers": ("r1",), "lr_D": 6e-3, "train_images": 12_800},
    "conditioning auxiliary": {"conditioning": Auxiliary(weight=0.5), **FAST_D, "train_images": 12_800},
    "conditioning transitional": {"conditioning": Transitional(start=1_000, end=4_000)},
    "network mlp": {"width": 24},
    "network resnet-attention": {"train_images": 8_000},
    "network r3gan": {"width": 8, **PAIRED},
    "network residual-mlp": {"width": 64, "lr_D": 1e-3, "train_images": 12_800},
    "network style": {"width": 8, "train_images": 9_600},
    "network style-growing": {"width": 8, "train_images": 9_600},
}.items():
    ENTRIES[name] |= changes


@pytest.fixture(scope="module")
def data() -> tuple[Tensor, Tensor]:
    source = load_digits()
    return torch.from_numpy(source.images).float()[:, None] / 8 - 1, torch.from_numpy(source.target)


def own_class_found(state: GANState, config: GANConfig, data: tuple[Tensor, Tensor]) -> float:
    """Return the share of samples that are nearest to the mean image of the class asked for."""
    x, c = data
    means = torch.stack([x[c == k].mean(0).flatten() for k in range(10)])
    asked = torch.arange(10).repeat_interleave(40)
    z = torch.randn(400, config.z_dim, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        made = state.G_ema(z, asked).flatten(1)
    return float((torch.cdist(made, means).argmin(1) == asked).float().mean())


LONG = {f"network {name}" for name in ("style-growing", "resnet-attention", "dcgan", "r3gan")}
"""What they are made of is in other entries."""


@pytest.mark.parametrize(
    "entry", [pytest.param(name, marks=pytest.mark.slow if name in LONG else ()) for name in ENTRIES]
)
def test_an_entry_learns_what_the_classes_look_like(entry: str, data) -> None:
    config = replace(BASE, **ENTRIES[entry])
    state = fresh(config, n_classes=10)
    quality = Quality(batches_of(config, data=data), z_dim=config.z_dim, interval=6_400, seed=1)
    untrained, _ = quality.measure(state)
    _, history = play(config, state=state, data=data)
    distance, spread = quality.measure(state)
    found = own_class_found(state, config, data)
    print(f"{untrained.mean():.1f} -> {distance.mean():.1f}, found {found:.2f}, spread {spread.min():.2f}")
    assert found > 0.4  # a tenth by chance
    assert distance.mean() < 0.5 * untrained.mean()
    assert spread.min() > 0.02
    assert "back" not in " ".join(line["health"] for line in history)
