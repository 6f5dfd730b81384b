"""Everything that changes while a GAN trains, named and plain."""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ganaug._checks import known_name
from ganaug._random import derive
from ganaug.config import GANConfig
from ganaug.errors import CheckpointError, ConfigError
from ganaug.networks import NETWORKS


@dataclass
class GANState:
    """Both players, their optimisers, the running average of G, and the images seen so far."""

    G: nn.Module
    D: nn.Module
    G_ema: nn.Module
    opt_G: torch.optim.Optimizer
    opt_D: torch.optim.Optimizer
    images_seen: int = 0
    bfloat16: bool = False  # whether forward passes run in bfloat16

    def autocast(self) -> torch.autocast:
        """Return the context that forward passes run in."""
        device = next(self.G.parameters()).device
        return torch.autocast(device.type, torch.bfloat16, enabled=self.bfloat16)

    def tensors(self) -> dict[str, Tensor]:
        """Return every tensor of the state under a dotted name."""
        flat = {
            f"{name}.{key}": value
            for name in ("G", "D", "G_ema")
            for key, value in getattr(self, name).state_dict().items()
        }
        for name in ("opt_G", "opt_D"):
            for index, moments in getattr(self, name).state_dict()["state"].items():
                flat |= {f"{name}.{index}.{key}": value for key, value in moments.items()}
        return flat

    def load_tensors(self, flat: dict[str, Tensor], *, origin: Path) -> None:
        """Restore what `tensors` returned; names or shapes that differ raise CheckpointError."""
        groups: dict[str, dict[str, Tensor]] = {}
        for dotted, value in flat.items():
            name, key = dotted.split(".", 1)
            groups.setdefault(name, {})[key] = value
        for name in ("G", "D", "G_ema"):
            load_weights(getattr(self, name), groups.get(name, {}), origin=origin)
        for name in ("opt_G", "opt_D"):
            optimiser = getattr(self, name)
            weights = [p for group in optimiser.param_groups for p in group["params"]]
            moments: dict[int, dict[str, Tensor]] = {}
            for key, value in groups.get(name, {}).items():
                index, moment = key.split(".", 1)
                if value.shape == weights[int(index)].shape:
                    # a fused step pairs weights and moments by memory order, which files do not keep
                    value = torch.empty_like(weights[int(index)]).copy_(value)
                moments.setdefault(int(index), {})[moment] = value
            groups_of = optimiser.state_dict()["param_groups"]
            optimiser.load_state_dict({"state": moments, "param_groups": groups_of})


def load_weights(module: nn.Module, weights: dict[str, Tensor], *, origin: Path) -> None:
    """Load weights strictly; a mismatch raises CheckpointError that lists each difference."""
    wanted = {k: tuple(v.shape) for k, v in module.state_dict().items()}
    found = {k: tuple(v.shape) for k, v in weights.items()}
    if wanted != found:
        differing = sorted(k for k in wanted.keys() | found.keys() if wanted.get(k) != found.get(k))
        lines = "; ".join(f"{k}: expected {wanted.get(k)}, got {found.get(k)}" for k in differing[:6])
        raise CheckpointError(f"{origin}: {len(differing)} weights do not fit the network: {lines}.")
    module.load_state_dict(weights)


def build_networks(
    config: GANConfig, *, shape: tuple[int, ...], n_classes: int, seed: int
) -> tuple[nn.Module, nn.Module]:
    """Return G and D with initial weights that depend on `seed` alone."""
    name = config.network
    if name == "auto":
        name = "resnet" if len(shape) == 3 else "mlp"
    pair = name if callable(name) else NETWORKS[known_name("network", name, NETWORKS)]
    if pair is NETWORKS["resnet"] and len(shape) != 3:
        known_name("network for a table", name, ["mlp"])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "weights"))
        G, D = pair(shape=shape, n_classes=n_classes, z_dim=config.z_dim, width=config.width)
    return G, D


def new_state(
    config: GANConfig, *, shape: tuple[int, ...], n_classes: int, seed: int, device: torch.device
) -> GANState:
    """Return the state before the first step."""
    G, D = build_networks(config, shape=shape, n_classes=n_classes, seed=seed)
    layout: dict[str, Any] = {"memory_format": torch.channels_last} if len(shape) == 3 else {}
    G, D = G.to(device, **layout), D.to(device, **layout)
    return GANState(
        G=G,
        D=D,
        G_ema=copy.deepcopy(G).eval().requires_grad_(False),
        opt_G=torch.optim.Adam(G.parameters(), lr=config.lr_G, betas=config.betas, fused=True),
        opt_D=torch.optim.Adam(D.parameters(), lr=config.lr_D, betas=config.betas, fused=True),
        bfloat16=_uses_bfloat16(config.precision, device),
    )


def _uses_bfloat16(precision: str, device: torch.device) -> bool:
    known_name("precision", precision, ["auto", "float32", "bfloat16"])
    if precision != "auto":
        return precision == "bfloat16"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    capabilities: dict[str, Any] = getattr(
        torch.cpu, "get_capabilities", dict
    )()  # new in recent versions of torch
    return device.type == "cpu" and bool(capabilities.get("avx512_bf16"))


def torch_device(name: str) -> torch.device:
    """Return the device a name stands for; "auto" is the GPU where there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"device must be 'auto' or one that torch can use here; got {name!r} ({reason})."
        ) from error
    return torch.device(name)
