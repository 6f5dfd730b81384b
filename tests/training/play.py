"""What the tests of the engine share: a small game of two classes, its pieces, and digests."""

import hashlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ganaug.config import GANConfig
from ganaug.training.batches import BalancedBatches
from ganaug.training.loop import train
from ganaug.training.ranks import Ranks
from ganaug.training.state import GANState, new_state

CPU = torch.device("cpu")
Line = dict[str, Any]


def small(**changes: Any) -> GANConfig:
    """Return a config whose training takes a fraction of a second."""
    values = {"network": "mlp", "width": 4, "z_dim": 8, "train_images": 64, "batch_size": 16}
    settled = {"log_every_images": 32, "ema_halflife_images": 5000, "lr_G": 2e-4, "lr_D": 8e-4}
    return GANConfig(**{**values, **settled, "precision": "float32", **changes})


def two_classes(shape: tuple[int, ...] = (1, 8, 8)) -> tuple[Tensor, Tensor]:
    """Return dark samples of class 0 and bright ones of class 1."""
    c = torch.arange(60) % 2
    x = torch.randn(60, *shape, generator=torch.Generator().manual_seed(0)) * 0.05
    return x + (c * 1.2 - 0.6).reshape(-1, *[1] * len(shape)), c


def batches_of(
    config: GANConfig,
    *,
    seed: int = 0,
    shape: tuple[int, ...] = (1, 8, 8),
    data: Any = None,
    ranks: Ranks | None = None,
) -> BalancedBatches:
    x, c = data or two_classes(shape)
    return BalancedBatches(x, c, batch_size=config.batch_size, seed=seed, pack=config.pack, ranks=ranks)


def fresh(
    config: GANConfig,
    *,
    seed: int = 0,
    shape: tuple[int, ...] = (1, 8, 8),
    n_classes: int = 2,
    blocks: tuple[int, ...] = (),
    ranks: Ranks | None = None,
) -> GANState:
    return new_state(
        config, shape=shape, n_classes=n_classes, seed=seed, device=CPU, blocks=blocks, ranks=ranks
    )


def play(
    config: GANConfig,
    *,
    seed: int = 0,
    shape: tuple[int, ...] = (1, 8, 8),
    state: GANState | None = None,
    data: Any = None,
    **options: Any,
) -> tuple[GANState, list[Line]]:
    """Train, from the first step or from a state, and return the state and the history."""
    state = fresh(config, seed=seed, shape=shape) if state is None else state
    history = options.pop("history", [])
    batches = batches_of(config, seed=seed, shape=shape, data=data, ranks=state.ranks)
    options = {"on_log": lambda *_: None, **options}
    train(state, batches, config, seed=seed, history=history, **options)
    return state, history


def digest(tensors: GANState | Mapping[str, Tensor]) -> str:
    """Return a sha256 of names and bytes."""
    tensors = tensors.tensors() if isinstance(tensors, GANState) else tensors
    content = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        content.update(name.encode() + value.detach().contiguous().numpy().tobytes())
    return content.hexdigest()


def identity(x: Tensor) -> Tensor:
    return x


def copied(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def moved(module: nn.Module, before: Mapping[str, Tensor]) -> set[str]:
    return {name for name, value in module.state_dict().items() if not torch.equal(value, before[name])}
