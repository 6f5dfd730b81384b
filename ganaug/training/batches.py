"""Class-balanced batches, as a pure function of the step."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ganaug._random import numpy_stream
from ganaug.data.stored import StoredImages
from ganaug.training.ahead import Ahead
from ganaug.training.ranks import Ranks


def as_it_is(x: Tensor) -> Tensor:
    """Return the samples themselves."""
    return x


class BalancedBatches:
    """Draw each class equally often, and within a class each sample with equal chance.

    Samples x (n, ...) may be packed, and images may stay in their files: `unpack` sees only the rows of a
    batch, and those in files are read before they are needed. The cost of a batch does not depend on the
    number of classes or samples. Each `pack` samples in a row are of one class.
    """

    def __init__(
        self,
        x: Tensor | StoredImages,
        c: Tensor,
        *,
        batch_size: int,
        seed: int,
        unpack: Callable[[Tensor], Tensor] = as_it_is,
        pack: int = 1,
        ranks: Ranks | None = None,
    ):
        self.ranks = ranks or Ranks()
        self.batch_size, self.seed, self.unpack, self.pack = batch_size, seed, unpack, pack
        self.images = x.ndim == 4
        self.rows = _InMemory(x) if isinstance(x, Tensor) else x
        self._read = self._load if isinstance(x, Tensor) else Ahead(self._load, batch_size)
        labels = c.cpu().numpy()
        self.order = np.argsort(labels, kind="stable")
        self.counts = np.bincount(labels)
        self.starts = np.cumsum(self.counts) - self.counts

    @property
    def class_counts(self) -> Tensor:
        """Number of samples of each class, int64 (n_classes,), where the samples are."""
        return torch.from_numpy(self.counts).to(self.rows.device)

    def indices(self, images_seen: int) -> tuple[np.ndarray, np.ndarray]:
        """Return rows of x and their classes for the step that starts at `images_seen`."""
        rng = numpy_stream(self.seed, "batch", images_seen)
        c = rng.integers(len(self.counts), size=self.batch_size // self.pack).repeat(self.pack)
        within = (rng.random(self.batch_size) * self.counts[c]).astype(np.int64)
        return self.order[self.starts[c] + within], c

    def __call__(self, images_seen: int) -> tuple[Tensor, Tensor]:
        """Return this rank's samples x, images channels last in memory, and their classes c."""
        packed, c = self._read(images_seen)
        return self.unpack(packed), c

    def close(self) -> None:
        """End the reading ahead; nothing is drawn for a step any more."""
        if isinstance(self._read, Ahead):
            self._read.close()

    def sample(self, n: int) -> tuple[Tensor, Tensor]:
        """Return n samples drawn with their own frequencies, and their classes, always the same."""
        rng = numpy_stream(self.seed, "sample")
        n_all = len(self.order)
        places = rng.permutation(n_all)[:n] if n < n_all else np.arange(n_all)
        c = np.searchsorted(self.starts, places, side="right") - 1
        return self.unpack(self.rows[self.order[places]]).cpu(), torch.from_numpy(c)

    def sample_per_class(self, n: int) -> tuple[Tensor, Tensor]:
        """Return at most n samples of each class, and their classes, always the same."""
        rng = numpy_stream(self.seed, "sample per class")
        picked = [
            self.order[start + rng.permutation(count)[:n]]
            for start, count in zip(self.starts, self.counts, strict=True)
        ]
        c = np.repeat(np.arange(len(picked)), [len(rows) for rows in picked])
        return self.unpack(self.rows[np.concatenate(picked)]).cpu(), torch.from_numpy(c)

    def _load(self, images_seen: int) -> tuple[Tensor, Tensor]:
        rows, c = self.indices(images_seen)
        mine = self.ranks.mine(len(rows))
        return self.rows[rows[mine]], torch.from_numpy(c[mine]).to(self.rows.device)


class _InMemory:
    """Packed samples (n, ...) in one tensor; those of a batch are copied in one go."""

    def __init__(self, x: Tensor):
        self.ndim, self.device = x.ndim, x.device
        x = x.permute(0, 2, 3, 1) if x.ndim == 4 else x
        self.row_shape = x.shape[1:]
        self.rows = x.contiguous().flatten(1)

    def __getitem__(self, rows: np.ndarray) -> Tensor:
        """Return packed samples, images channels last in memory."""
        x = self.rows.index_select(0, torch.from_numpy(rows).to(self.device)).view(-1, *self.row_shape)
        return x.permute(0, 3, 1, 2) if self.ndim == 4 else x
