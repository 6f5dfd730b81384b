"""How near the averaged G is to the training data while it trains, class by class."""

import math

import torch
from torch import Tensor

from ganaug._random import seeded, torch_stream
from ganaug.evaluation.features import RandomFeatures
from ganaug.evaluation.fidelity import kernel_distance, spread_ratio
from ganaug.training.batches import BalancedBatches
from ganaug.training.state import GANState

MAX_CLASSES = 100
MAX_PER_CLASS, MIN_PER_CLASS = 64, 8
SHARE_OF_INTERVAL = 0.1


class Quality:
    """Kernel distance and spread of each class's samples, in the features of a fixed random network.

    Beyond `MAX_CLASSES` classes all are measured as one, and the samples of a measurement are at most
    a tenth of the images between two measurements, so that the cost does not grow with the classes.
    """

    def __init__(self, batches: BalancedBatches, *, z_dim: int, interval: int, seed: int):
        counts = batches.counts
        self.n_classes = len(counts)
        self.n_groups = self.n_classes if self.n_classes <= MAX_CLASSES else 1
        room = int(interval * SHARE_OF_INTERVAL) // self.n_groups
        n = max(MIN_PER_CLASS, min(room, MAX_PER_CLASS if self.n_groups > 1 else 16 * MAX_PER_CLASS))
        if self.n_groups > 1:
            x, c = batches.sample_per_class(n)
        else:
            x, c = batches.sample(n)
        self.c = torch.arange(self.n_classes).repeat_interleave(n) if self.n_groups > 1 else c
        self.z = torch.randn(len(self.c), z_dim, generator=torch_stream(seed, "quality"))
        self.features = RandomFeatures(tuple(x.shape[1:]))
        real = self.features(x)
        self.real = [real[c == k] for k in range(self.n_classes)] if self.n_groups > 1 else [real]

    @torch.no_grad()
    def measure(self, state: GANState) -> tuple[Tensor, Tensor]:
        """Return kernel distance, and spread over real spread, of each class (n_classes,)."""
        device = state.logit_means.device
        n = max(1, 256 // state.n_chunks)
        pieces = zip(self.z.split(n), self.c.split(n), strict=True)
        with seeded(0, device), state.autocast():
            parts = [state.G_ema(z.to(device), c.to(device)).float().cpu() for z, c in pieces]
        groups = self.features(torch.cat(parts)).chunk(self.n_groups)
        pairs = list(zip(self.real, groups, strict=True))
        distance = torch.tensor([kernel_distance(real, fake) for real, fake in pairs])
        ratio = torch.tensor([_ratio(real, fake) for real, fake in pairs])
        return distance.expand(self.n_classes), ratio.expand(self.n_classes)


def _ratio(real: Tensor, fake: Tensor) -> float:
    """Return the spread ratio; 1 where the real samples are all alike, for there is nothing to lose."""
    ratio = spread_ratio(real, fake)
    return 1.0 if math.isnan(ratio) and bool(torch.isfinite(fake).all()) else ratio
