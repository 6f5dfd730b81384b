"""The classical fully connected pair, for tables and for small images."""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from ganaug.networks.conditioning import PROJECTION, Answer, Conditioning
from ganaug.networks.rows import RowHead


class MLPGenerator(nn.Module):
    """Map noise z (n, z_dim) and classes c (n,) to samples (n, *shape) in [-1, 1]."""

    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        n_classes: int,
        z_dim: int,
        width: int,
        conditioning: Conditioning,
        blocks: tuple[int, ...],
    ):
        super().__init__()
        self.shape = tuple(shape)
        sizes = [2 * z_dim, width, 2 * width, 4 * width]
        self.embed = conditioning.embedding(n_classes, z_dim)
        self.hidden = nn.Sequential(
            *(
                nn.Sequential(nn.Linear(a, b), nn.BatchNorm1d(b), nn.LeakyReLU(0.2))
                for a, b in pairwise(sizes)
            )
        )
        self.out = nn.Linear(sizes[-1], math.prod(self.shape))
        self.row_head = RowHead(blocks or [1] * math.prod(self.shape))

    def forward(self, z: Tensor, c: Tensor) -> Tensor:
        h = self.hidden(torch.cat([z, self.embed(c)], dim=1))
        x: Tensor = self.row_head(self.out(h)).unflatten(1, self.shape)
        return x


class MLPDiscriminator(nn.Module):
    """Map samples (n, *shape) and classes c (n,) to the answer of the head."""

    def __init__(self, *, shape: tuple[int, ...], n_classes: int, width: int, conditioning: Conditioning):
        super().__init__()
        sizes = [math.prod(shape), 4 * width, 2 * width, width]
        self.hidden = nn.Sequential(
            *(nn.Sequential(nn.Linear(a, b), nn.LeakyReLU(0.2)) for a, b in pairwise(sizes))
        )
        self.head = conditioning.head(width, n_classes)

    def forward(self, x: Tensor, c: Tensor) -> Tensor | Answer:
        answer: Tensor | Answer = self.head(self.hidden(x.flatten(1)), c)
        return answer


def mlp(
    *,
    shape: tuple[int, ...],
    n_classes: int,
    z_dim: int,
    width: int | None = None,
    conditioning: Conditioning = PROJECTION,
    blocks: tuple[int, ...] = (),
) -> tuple[nn.Module, nn.Module]:
    """Return the 256-512-1024 pair (Goodfellow et al., 1406.2661, as commonly taught).

    Parameters
    ----------
    shape : tuple of int
        Shape of one sample: (n_features,) or (channels, height, width).
    n_classes : int
        Number of classes.
    z_dim : int
        Length of the noise vector, and of the class embedding.
    width : int, default=256
        First hidden layer of G; the next two are twice and four times as wide, D mirrors it.
    conditioning : Conditioning, default=Projection()
        How the class enters both players.
    blocks : tuple of int, default=()
        Widths of the blocks of a table's row, see `RowHead`; () is scalars throughout.

    Returns
    -------
    G, D : Module
        G(z, c) in [-1, 1]; D(x, c) logits.

    Examples
    --------
    >>> G, D = mlp(shape=(5,), n_classes=2, z_dim=8)
    >>> sum(p.numel() for p in G.parameters()) > 500_000
    True
    """
    width = width or 256
    return (
        MLPGenerator(
            shape=shape,
            n_classes=n_classes,
            z_dim=z_dim,
            width=width,
            conditioning=conditioning,
            blocks=tuple(blocks),
        ),
        MLPDiscriminator(shape=shape, n_classes=n_classes, width=width, conditioning=conditioning),
    )
