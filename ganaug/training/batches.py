"""Class-balanced batches, as a pure function of the step."""

import numpy as np
import torch
from torch import Tensor

from ganaug._random import numpy_stream


class BalancedBatches:
    """Draw each class equally often, and within a class each sample with equal chance.

    The cost of a batch does not depend on the number of classes or samples.
    """

    def __init__(self, x: Tensor, c: Tensor, *, batch_size: int, seed: int):
        self.x, self.batch_size, self.seed = x, batch_size, seed
        labels = c.cpu().numpy()
        self.order = np.argsort(labels, kind="stable")
        self.counts = np.bincount(labels)
        self.starts = np.cumsum(self.counts) - self.counts

    def indices(self, images_seen: int) -> tuple[np.ndarray, np.ndarray]:
        """Return rows of x and their classes for the step that starts at `images_seen`."""
        rng = numpy_stream(self.seed, "batch", images_seen)
        c = rng.integers(len(self.counts), size=self.batch_size)
        within = (rng.random(self.batch_size) * self.counts[c]).astype(np.int64)
        return self.order[self.starts[c] + within], c

    def __call__(self, images_seen: int) -> tuple[Tensor, Tensor]:
        """Return samples x and classes c, each with `batch_size` rows."""
        rows, c = self.indices(images_seen)
        device = self.x.device
        return self.x[torch.from_numpy(rows).to(device)], torch.from_numpy(c).to(device)
