"""Everything that changes while a GAN trains, named and plain."""

import copy
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from ganaug._checks import described, known_name, listed
from ganaug._random import derive
from ganaug.adversarial.regularizers import resolve_regularizer
from ganaug.config import GANConfig
from ganaug.errors import CheckpointError, ConfigError
from ganaug.networks import NETWORKS, TABLE_NETWORKS
from ganaug.networks.conditioning import CONDITIONING
from ganaug.networks.packed import Packed
from ganaug.training.checkpoint import sha256_of
from ganaug.training.ranks import Ranks
from ganaug.training.snapshots import Snapshots

LEAST_BFLOAT16 = 16
"""Batch from which "auto" takes bfloat16 on a processor that has it."""


@dataclass
class GANState:
    """Both players, their optimisers, the running average of G, and what a game keeps count of."""

    G: nn.Module
    D: nn.Module
    G_ema: nn.Module
    opt_G: torch.optim.Optimizer
    opt_D: torch.optim.Optimizer
    images_seen: int = 0
    bfloat16: bool = False  # whether forward passes run in bfloat16
    n_chunks: int = 1  # pieces a batch is cut into, to save memory
    lr_scale: float = 1.0  # halved by each rollback
    n_rollbacks: int = 0
    n_skipped: int = 0  # steps without a finite gradient since the last log
    n_skipped_in_a_row: int = 0
    n_collapsed: int = 0  # intervals in a row with a class that collapsed
    n_flat: int = 0  # intervals in a row with a class that has no spread
    n_won: int = 0  # intervals in a row in which D was right on everything and G learned nothing
    logit_means: Tensor = field(default_factory=lambda: torch.zeros(2))
    """Running means of real and of fake logits."""
    sign_mean: Tensor = field(default_factory=lambda: torch.zeros(()))
    """Running mean of sign(D(x)) on real samples."""
    augment_p: Tensor = field(default_factory=lambda: torch.zeros(()))
    """Chance of each augmentation, where it adapts."""
    began: Tensor = field(default_factory=lambda: torch.tensor(torch.inf))
    """Kernel distance of the untrained G's samples."""
    best_spread: Tensor = field(default_factory=lambda: torch.zeros(0))
    """Largest spread of each class so far, over that of its real samples."""
    sums: dict[str, Tensor] = field(default_factory=dict)  # figures of the steps since the last log
    snapshots: Snapshots = field(default_factory=Snapshots)
    ranks: Ranks = field(default_factory=Ranks)  # who trains these players

    def __post_init__(self) -> None:
        self.learning = [p for p in self.D.parameters() if p.requires_grad]
        self.growing = [part for player in (self.G, self.D, self.G_ema) for part in _growing(player)]
        self.statistics = [s for player in (self.G, self.D) for s in _batch_statistics(player)]

    @property
    def pack(self) -> int:
        """Samples that D judges together."""
        return getattr(self.D, "pack", 1)

    def share_shortage(self) -> None:
        """After memory ran out in a rank, cut batches in all of them, and take over the first one's buffers.

        More pieces are more forward passes, by which buffers move that no sample moves (spectral norm).
        """
        self.n_chunks = self.ranks.largest(self.n_chunks)
        buffers = [b for player in (self.G, self.D) for b in player.buffers()]
        of_first = self.ranks.told(lambda: [b.cpu() for b in buffers])
        for buffer, value in zip(buffers, of_first, strict=True):
            buffer.copy_(value)

    def let_D_learn(self, learns: bool) -> None:
        """Let D's weights take gradients or not; those that were frozen from the start stay so."""
        for weight in self.learning:
            weight.requires_grad_(learns)

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
        flat |= {
            f"counts.{name}": torch.tensor(float(getattr(self, name)), dtype=torch.float64) for name in COUNTS
        }
        flat |= {f"running.{name}": getattr(self, name) for name in RUNNING}
        flat |= {f"sums.{name}": value for name, value in self.sums.items()}
        flat |= {f"snapshots.{key}": value for key, value in self.snapshots.tensors().items()}
        return flat

    def digests(self) -> dict[str, str]:
        """Return a fingerprint of each weight, statistic and moment."""
        players = ("G", "D", "G_ema", "opt_G", "opt_D")
        return {
            name: sha256_of({name: value.detach()}, "")
            for name, value in self.tensors().items()
            if name.partition(".")[0] in players
        }

    def add_figures(self, figures: Mapping[str, Tensor]) -> None:
        """Add the figures of one step to the sums since the last log."""
        for name, value in figures.items():
            self.sums[name] = self.sums[name] + value if name in self.sums else value.clone()
            self.sums[f"n/{name}"] = self.sums.get(f"n/{name}", torch.zeros_like(value)) + 1

    def take_means(self) -> dict[str, float]:
        """Return the mean figures since the last log, and start anew."""
        sums, self.sums = self.sums, {}
        return {k: float(sums[k] / sums[f"n/{k}"]) for k in sorted(sums) if not k.startswith("n/")}

    def at(self, images_seen: int) -> None:
        """Tell the parts that change with progress (fading resolution, growing condition) where it is."""
        for part in self.growing:
            part.at(images_seen)

    def load_tensors(self, flat: dict[str, Tensor], *, origin: Path) -> None:
        """Restore what `tensors` returned; what differs in name or shape raises CheckpointError."""
        groups: dict[str, dict[str, Tensor]] = {}
        for dotted, value in flat.items():
            name, key = dotted.split(".", 1)
            groups.setdefault(name, {})[key] = value.clone()
        if not self._holds(groups):
            raise CheckpointError(f"{origin} holds tensors of other shapes than this training.")
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
        for name in (n for n in COUNTS if n in groups["counts"]):
            kind = type(getattr(self, name))
            setattr(self, name, kind(groups["counts"][name].item()))
        device = self.logit_means.device
        for name in (n for n in RUNNING if n in groups["running"]):
            setattr(self, name, groups["running"][name].to(device))
        self.sums = {name: value.to(device) for name, value in groups.get("sums", {}).items()}
        self.snapshots = Snapshots.from_tensors(groups.get("snapshots", {}))
        for kept in self.snapshots.weights.values():
            require_weights(self.G_ema, kept, origin=origin)

    def require(self, n_classes: int) -> None:
        """Raise ValueError unless what is kept by class is of so many classes."""
        self.snapshots.require(n_classes)
        if self.best_spread.shape not in ((0,), (n_classes,)):
            raise ValueError(f"its spreads are not those of {n_classes} classes")

    def _holds(self, groups: Mapping[str, Mapping[str, Tensor]]) -> bool:
        """Whether moments, counts and running figures have the shapes of those in this state."""
        for name in ("opt_G", "opt_D"):
            weights = [p for group in getattr(self, name).param_groups for p in group["params"]]
            moments = {f"{i}.{m}": w.shape for i, w in enumerate(weights) for m in ("exp_avg", "exp_avg_sq")}
            moments |= {f"{i}.step": torch.Size() for i in range(len(weights))}
            found = {key: v.shape for key, v in groups.get(name, {}).items()}
            if found and found != moments:
                return False
        settled = {k: v for k, v in groups["running"].items() if k in RUNNING and k != "best_spread"}
        sums = groups.get("sums", {})
        singles = [*groups["counts"].values(), *sums.values()]
        if {name for name in sums if not name.startswith("n/")} != {k[2:] for k in sums if k[:2] == "n/"}:
            return False
        return all(v.shape == getattr(self, k).shape for k, v in settled.items()) and all(
            v.numel() == 1 for v in singles
        )


COUNTS = (
    "images_seen",
    "n_chunks",
    "lr_scale",
    "n_rollbacks",
    "n_skipped",
    "n_skipped_in_a_row",
    "n_collapsed",
    "n_flat",
    "n_won",
)
RUNNING = ("logit_means", "sign_mean", "augment_p", "began", "best_spread")


def set_progress(network: nn.Module, images_seen: int) -> None:
    """Call `at(images_seen)` of each part of a network that has it."""
    for part in _growing(network):
        part.at(images_seen)


def _growing(network: nn.Module) -> list[Any]:
    return [part for part in network.modules() if callable(getattr(part, "at", None))]


def _batch_statistics(network: nn.Module) -> Iterator[Tensor]:
    for part in network.modules():
        if isinstance(part, _NormBase) and part.running_mean is not None and part.running_var is not None:
            yield from (part.running_mean, part.running_var)


def load_weights(module: nn.Module, weights: dict[str, Tensor], *, origin: Path) -> None:
    """Load weights strictly; a mismatch raises CheckpointError that lists each difference."""
    require_weights(module, weights, origin=origin)
    module.load_state_dict(weights)


def require_weights(module: nn.Module, weights: dict[str, Tensor], *, origin: Path) -> None:
    """Raise CheckpointError that lists each difference unless the weights have the module's shapes."""
    wanted = {k: tuple(v.shape) for k, v in module.state_dict().items()}
    found = {k: tuple(v.shape) for k, v in weights.items()}
    if wanted != found:
        differing = sorted(k for k in wanted.keys() | found.keys() if wanted.get(k) != found.get(k))
        lines = "; ".join(f"{k}: expected {wanted.get(k)}, got {found.get(k)}" for k in differing[:6])
        raise CheckpointError(f"{origin}: {len(differing)} weights do not fit the network: {lines}.")


def build_networks(
    config: GANConfig, *, shape: tuple[int, ...], n_classes: int, seed: int, blocks: tuple[int, ...] = ()
) -> tuple[nn.Module, nn.Module]:
    """Return G and D with initial weights that depend on `seed` alone; `blocks` is the layout of a row."""
    name = config.network
    if name == "auto":
        name = "resnet" if len(shape) == 3 else "residual-mlp"
    pair = name if callable(name) else NETWORKS[known_name("network", name, NETWORKS)]
    if len(shape) != 3 and isinstance(name, str):
        known_name("network for a table", name, TABLE_NETWORKS)
    takes = inspect.signature(pair).parameters.keys()
    wanted: dict[str, Any] = {}
    if {"conditioning", "kwargs"} & takes:
        wanted["conditioning"] = resolve_conditioning(config.conditioning)
    elif config.conditioning != "projection":
        raise ConfigError(
            f"conditioning={config.conditioning!r} needs a network that takes `conditioning`; "
            f"{pair!r} does not. Add the argument, or leave conditioning at 'projection'."
        )
    if {"blocks", "kwargs"} & takes:
        wanted["blocks"] = blocks
    elif any(width > 1 for width in blocks):
        raise ConfigError(
            f"a table with categories needs a network that takes `blocks`; {pair!r} does not. Add the "
            "argument, and let G end in ganaug.networks.RowHead(blocks)."
        )

    def build(shape: tuple[int, ...]) -> tuple[nn.Module, nn.Module]:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(seed, "weights"))
            return pair(shape=shape, n_classes=n_classes, z_dim=config.z_dim, width=config.width, **wanted)

    G, D = build(shape)
    if config.pack > 1:
        D = Packed(build((config.pack * shape[0], *shape[1:]))[1], config.pack)
    return G, D


def resolve_conditioning(conditioning: Any) -> Any:
    """Return the conditioning a name stands for, one described by its type and fields, or the object."""
    if isinstance(conditioning, str):
        return CONDITIONING[known_name("conditioning", conditioning, CONDITIONING)]
    if isinstance(conditioning, Mapping):
        return described("conditioning", conditioning, CONDITIONING)
    if not (hasattr(conditioning, "embedding") and hasattr(conditioning, "head")):
        raise ConfigError(
            f"conditioning must be one of {listed(CONDITIONING)} or an object with the methods "
            f"`embedding` and `head`; got {conditioning!r}."
        )
    return conditioning


def new_state(
    config: GANConfig,
    *,
    shape: tuple[int, ...],
    n_classes: int,
    seed: int,
    device: torch.device,
    counts: Tensor | None = None,
    blocks: tuple[int, ...] = (),
    ranks: Ranks | None = None,
) -> GANState:
    """Return the state before the first step; `counts` (n_classes,) is the size of each class."""
    ranks = ranks or Ranks()
    G, D = build_networks(config, shape=shape, n_classes=n_classes, seed=seed, blocks=blocks)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "regularizers"))
        for regularizer in config.regularizers:
            resolve_regularizer(regularizer).prepare(D)
    for part in G.modules():
        set_class_counts = getattr(part, "set_class_counts", None)
        if counts is not None and callable(set_class_counts):
            set_class_counts(counts)
    layout: dict[str, Any] = {"memory_format": torch.channels_last} if len(shape) == 3 else {}
    G, D = G.to(device, **layout), D.to(device, **layout)
    state = GANState(
        G=G,
        D=D,
        G_ema=copy.deepcopy(G).eval().requires_grad_(False),
        opt_G=_adam(G, config.lr_G, config.betas),
        opt_D=_adam(D, config.lr_D, config.betas),
        bfloat16=uses_bfloat16(config.precision, device, config.batch_size // config.pack // ranks.size),
        ranks=ranks,
    )
    for name in RUNNING:
        setattr(state, name, getattr(state, name).to(device))
    return state


def _adam(player: nn.Module, lr: float, betas: tuple[float, float]) -> torch.optim.Adam:
    """Return an optimiser whose moments exist from the start, so that a child can inherit them."""
    optimiser = torch.optim.Adam(player.parameters(), lr=lr, betas=betas, fused=True)
    for weight in player.parameters():
        optimiser.state[weight] = {
            "step": torch.zeros((), device=weight.device),
            "exp_avg": torch.zeros_like(weight, memory_format=torch.preserve_format),
            "exp_avg_sq": torch.zeros_like(weight, memory_format=torch.preserve_format),
        }
    return optimiser


def uses_bfloat16(precision: str, device: torch.device, batch_size: int) -> bool:
    """Return whether forward passes are in bfloat16.

    On processors with AMX, oneDNN's convolutions give wrong second derivatives for batches of 12 and fewer
    (torch 2.14: 78 % off), which penalties on slopes need: "auto" leaves small batches in float32.
    """
    known_name("precision", precision, ["auto", "float32", "bfloat16"])
    if precision != "auto":
        return precision == "bfloat16"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    capabilities: dict[str, Any] = getattr(
        torch.cpu, "get_capabilities", dict
    )()  # new in recent versions of torch
    return device.type == "cpu" and bool(capabilities.get("avx512_bf16")) and batch_size >= LEAST_BFLOAT16


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
