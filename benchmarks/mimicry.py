"""torch-mimicry's conditional GAN: its own networks and its own train steps, as they are.

pip install --no-deps torch-mimicry      # the package's top module needs tensorflow and tensorboard;
                                         # networks and steps do not, so only they are imported here
"""

import functools
import importlib.util
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

PARTS = ("", "nets", "training")


@functools.cache
def load() -> tuple[dict[int, tuple[Any, Any]], Any]:
    """Return the cGAN-PD classes (G, D) by image side, and the log object their steps write to."""
    spec = importlib.util.find_spec("torch_mimicry")
    if spec is None or spec.origin is None:
        raise SystemExit("pip install --no-deps torch-mimicry")
    root = Path(spec.origin).parent
    for part in PARTS:
        name = ".".join(filter(None, ("torch_mimicry", part)))
        package = types.ModuleType(name)
        package.__path__ = [str(root / part)]
        sys.modules.setdefault(name, package)
    nets = importlib.import_module
    by_side = {}
    for side in (32, 128):
        module = nets(f"torch_mimicry.nets.cgan_pd.cgan_pd_{side}")
        by_side[side] = (
            getattr(module, f"CGANPDGenerator{side}"),
            getattr(module, f"CGANPDDiscriminator{side}"),
        )
    return by_side, nets("torch_mimicry.training.metric_log").MetricLog


class MimicryTraining:
    """One cGAN-PD in training: hinge loss, Adam 2e-4 (0, 0.9), `d_steps` D steps per G step."""

    def __init__(
        self,
        x: Tensor,
        c: Tensor,
        *,
        side: int,
        ngf: int,
        ndf: int,
        n_classes: int,
        d_steps: int,
        batch_size: int = 64,
        seed: int = 0,
        device: str = "cpu",
    ):
        by_side, self.new_log = load()
        G, D = by_side[side]
        torch.manual_seed(seed)
        self.G = G(num_classes=n_classes, ngf=ngf).to(device)
        self.D = D(num_classes=n_classes, ndf=ndf).to(device)
        self.opt_G = torch.optim.Adam(self.G.parameters(), 2e-4, betas=(0.0, 0.9))
        self.opt_D = torch.optim.Adam(self.D.parameters(), 2e-4, betas=(0.0, 0.9))
        self.x, self.c, self.d_steps, self.batch_size, self.device = x, c, d_steps, batch_size, device
        self.per_round = d_steps * batch_size

    def round(self) -> None:
        """Take `d_steps` D steps and a G step, as its trainer does."""
        log = self.new_log()
        for _ in range(self.d_steps):
            rows = torch.randint(len(self.x), (self.batch_size,))
            batch = (self.x[rows].to(self.device), self.c[rows].to(self.device))
            self.D.train_step(
                real_batch=batch, netG=self.G, optD=self.opt_D, log_data=log, device=self.device
            )
        self.G.train_step(real_batch=batch, netD=self.D, optG=self.opt_G, log_data=log, device=self.device)

    @torch.no_grad()
    def generate(self, c: Tensor) -> Tensor:
        """Return images of classes c in [-1, 1], G in evaluation mode."""
        self.G.eval()
        parts = [
            self.G(torch.randn(len(c_i), self.G.nz, device=self.device), c_i.to(self.device)).cpu()
            for c_i in c.split(256)
        ]
        self.G.train()
        return torch.cat(parts)


def as_network(side: int, ndf: int) -> Callable[..., tuple[nn.Module, nn.Module]]:
    """Return mimicry's pair as a network for ganaug: its ngf is the width, its ndf fixed."""
    by_side, _ = load()
    G, D = by_side[side]

    class Flat(nn.Module):
        def __init__(self, n_classes: int):
            super().__init__()
            self.inner = D(num_classes=n_classes, ndf=ndf)

        def forward(self, x: Tensor, c: Tensor) -> Tensor:
            logits: Tensor = self.inner(x, c).squeeze(1)
            return logits

    def mimicry(
        *, shape: tuple[int, ...], n_classes: int, z_dim: int, width: int | None
    ) -> tuple[nn.Module, nn.Module]:
        return G(num_classes=n_classes, nz=z_dim, ngf=width or 64), Flat(n_classes)

    return mimicry
