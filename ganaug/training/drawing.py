"""Drawing samples from a trained G: each class from the snapshot that serves it."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from ganaug._random import derive, seeded, torch_stream
from ganaug.config import GANConfig
from ganaug.training.checkpoint import sha256_of
from ganaug.training.snapshots import Snapshots
from ganaug.training.state import GANState, set_progress

PIECES = {"image": 256, "table": 4096}
"""Samples drawn at a time, by kind of data; part of what a seed means."""


@dataclass
class Drawing:
    """The averaged G, its snapshots, and the length of its noise vector."""

    G: nn.Module
    z_dim: int
    snapshots: Snapshots = field(default_factory=Snapshots)
    piece: int = PIECES["image"]
    snapshot: str = "best"  # as in the config: of "both", the last average is drawn from unless asked
    _at_moment: dict[int, nn.Module] = field(default_factory=dict)

    @classmethod
    def of(cls, state: GANState, config: GANConfig, kind: str) -> "Drawing":
        """Return the drawing from a state of training, by kind of data."""
        return cls(state.G_ema, config.z_dim, state.snapshots, PIECES[kind], config.snapshot)

    def on_cpu(self) -> "Drawing":
        """Return the same drawing with its networks on the CPU, and nothing but what it needs."""
        on_cpu = next(self.G.parameters()).device.type == "cpu"
        return replace(self, G=self.G if on_cpu else copy.deepcopy(self.G).cpu(), _at_moment={})

    def generator_of(self, class_index: int, snapshot: str | None = None) -> nn.Module:
        """Return the G that serves a class: the "last" average, or the class's own, "best" snapshot."""
        if (snapshot or self.snapshot) != "best" or not len(self.snapshots):
            return self.G
        moment = int(self.snapshots.choice[class_index])
        if moment not in self._at_moment:
            G = copy.deepcopy(self.G)
            G.load_state_dict(self.snapshots.weights[moment])
            set_progress(G, moment)
            self._at_moment[moment] = G
        return self._at_moment[moment]

    @torch.no_grad()
    def pieces(
        self,
        class_index: int,
        n: int,
        *,
        stream: int,
        first: int = 0,
        truncation: float | None = None,
        snapshot: str | None = None,
    ) -> Iterator[Tensor]:
        """Yield n samples of a class in pieces of at most `piece`, from the piece numbered `first` on.

        A piece is the same for the same stream and number, whatever was drawn before it.
        """
        G = self.generator_of(class_index, snapshot)
        device = next(G.parameters()).device
        for number, start in enumerate(range(0, n, self.piece), first):
            size = min(self.piece, n - start)
            noise = torch_stream(stream, "class", class_index, number)
            z = _noise(size, self.z_dim, noise, truncation)
            c = torch.full((size,), class_index, device=device)
            with seeded(derive(stream, "modules", class_index, number), device):
                x: Tensor = G(z.to(device), c)
            yield x.float().cpu()

    def digest(self, about: str) -> str:
        """Return the sha256 of the weights, the snapshots that serve, and a text."""
        tensors = {f"G.{key}": value for key, value in self.G.state_dict().items()}
        if self.snapshot == "best":
            tensors |= {f"snapshots.{key}": value for key, value in self.snapshots.tensors().items()}
        return sha256_of(tensors, f"{self.z_dim} {self.piece} {self.snapshot} {about}")

    @torch.no_grad()
    def mixed(self, c: Tensor, *, stream: int) -> Tensor:
        """Return a sample of each of the classes c (n,), all in one go where one G serves them all."""
        if self.snapshot == "best" and len(self.snapshots):
            served = c.unique().tolist()
            pieces = {k: torch.cat(list(self.pieces(k, int((c == k).sum()), stream=stream))) for k in served}
            x = torch.empty(len(c), *next(iter(pieces.values())).shape[1:])
            for k in served:
                x[c == k] = pieces[k]
            return x
        device = next(self.G.parameters()).device
        z = _noise(len(c), self.z_dim, torch_stream(stream, "mixed"), None)
        with seeded(derive(stream, "modules"), device):
            parts = [
                self.G(z_i.to(device), c_i.to(device)).float().cpu()
                for z_i, c_i in zip(z.split(self.piece), c.split(self.piece), strict=True)
            ]
        return torch.cat(parts)


def _noise(n: int, z_dim: int, generator: torch.Generator, truncation: float | None) -> Tensor:
    """Return standard normal noise (n, z_dim), cut at +-truncation without rejection."""
    if truncation is None:
        return torch.randn(n, z_dim, generator=generator)
    tail = torch.special.ndtr(torch.tensor(-truncation, dtype=torch.float64))
    u = torch.rand(n, z_dim, generator=generator, dtype=torch.float64)
    z: Tensor = torch.special.ndtri(tail + u * (1 - 2 * tail)).float()
    return z
