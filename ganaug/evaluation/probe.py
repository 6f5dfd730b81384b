"""The small classifier that judges samples, and the accuracy it reaches when it only saw generated ones."""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganaug._checks import number
from ganaug._random import derive, torch_stream

__all__ = ["Accuracy", "Probe", "classification_accuracy_score", "train_probe"]

LEARNING_RATE = 3e-3
BATCH_SIZE = 64
CHUNK = 512


class Probe(nn.Module):
    """A small classifier: `body` gives 64 features, `head` the logits."""

    def __init__(self, shape: tuple[int, ...], n_classes: int) -> None:
        super().__init__()
        layers = _image_layers(shape[0]) if len(shape) == 3 else _row_layers(int(np.prod(shape)))
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(64, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (n, n_classes)."""
        logits: Tensor = self.head(self.body(x))
        return logits

    @torch.no_grad()
    def embed(self, x: Tensor) -> Tensor:
        """Return the features (n, 64) before the head, batch by batch."""
        self.eval()
        return torch.cat([self.body(chunk.float()) for chunk in x.split(CHUNK)])

    @torch.no_grad()
    def predict(self, x: Tensor) -> Tensor:
        """Return class indices (n,)."""
        logits: Tensor = self.head(self.embed(x))
        return logits.argmax(1)


def _image_layers(channels: int) -> list[nn.Module]:
    """Return three convolutional stages that each halve the sides, for any size from 2 pixels."""

    def stage(n_in: int, n_out: int) -> list[nn.Module]:
        convolution = nn.Conv2d(n_in, n_out, 3, padding=1, bias=False)
        return [convolution, nn.BatchNorm2d(n_out), nn.GELU(), nn.MaxPool2d(2, ceil_mode=True)]

    pooled = [nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(64 * 4, 64), nn.GELU()]
    return [*stage(channels, 16), *stage(16, 32), *stage(32, 64), *pooled]


def _row_layers(n_features: int) -> list[nn.Module]:
    """Return two hidden layers for a table's rows."""
    return [nn.Flatten(), nn.Linear(n_features, 64), nn.GELU(), nn.Linear(64, 64), nn.GELU()]


def train_probe(x: Tensor, c: Tensor, n_classes: int, *, steps: int = 400, seed: int = 0) -> Probe:
    """Return a probe trained for `steps` batches, drawn with replacement; repeatable in `seed`."""
    number("steps", steps, low=1, integer=True)
    batches = torch_stream(seed, "probe batches")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "probe"))
        probe = Probe(tuple(x.shape[1:]), n_classes)
    optimiser = torch.optim.AdamW(probe.parameters(), lr=LEARNING_RATE, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=steps)
    probe.train()
    for _ in range(steps):
        rows = torch.randint(len(x), (BATCH_SIZE,), generator=batches)
        loss = F.cross_entropy(probe(x[rows].float()), c[rows])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
    return probe.eval()


class Accuracy(NamedTuple):
    """How often a classifier is right."""

    overall: float
    per_class: Tensor  # (n_classes,), nan for a class without test samples


def classification_accuracy_score(
    x_fake: Tensor,
    c_fake: Tensor,
    x_test: Tensor,
    c_test: Tensor,
    n_classes: int,
    *,
    seed: int = 0,
    steps: int = 400,
) -> Accuracy:
    """Train a classifier on generated samples alone and test it on real ones.

    The classification accuracy score of Ravuri and Vinyals (1905.10887). With the same call the other
    way round, real samples first, it tells how many generated samples look like their class (GAN-test).

    Parameters
    ----------
    x_fake : Tensor of shape (n_fake, *shape)
        Generated samples: images (channels, height, width) in [-1, 1], or rows (n_features,).
    c_fake : Tensor of shape (n_fake,)
        Class indices, int64.
    x_test : Tensor of shape (n_test, *shape)
        Real samples that the generator has not seen.
    c_test : Tensor of shape (n_test,)
        Class indices, int64.
    n_classes : int
        Number of classes, also where some have no sample here.
    seed : int, default=0
        The classifier's weights and batches depend on it alone.
    steps : int, default=400
        Number of batches of 64.

    Returns
    -------
    Accuracy
        The share of right answers, overall and per class (n_classes,).

    Examples
    --------
    >>> x, c = torch.tensor([[-1.0], [1.0]]).repeat(20, 1), torch.tensor([0, 1]).repeat(20)
    >>> classification_accuracy_score(x, c, x, c, n_classes=3, steps=20).per_class
    tensor([1., 1., nan])
    """
    right = train_probe(x_fake, c_fake, n_classes, steps=steps, seed=seed).predict(x_test) == c_test
    per_class = torch.stack([right[c_test == k].float().mean() for k in range(n_classes)])
    return Accuracy(float(right.float().mean()), per_class)
