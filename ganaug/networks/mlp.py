"""The classical fully connected pair, for tables and for small images."""

import math
from itertools import pairwise

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from ganaug.networks.blocks import ProjectionHead, one_condition


class MLPGenerator(nn.Module):
    """Map noise z (n, z_dim) and classes c (n,) to samples (n, *shape) in [-1, 1]."""

    def __init__(self, *, shape: tuple[int, ...], n_classes: int, z_dim: int, width: int):
        super().__init__()
        self.shape = tuple(shape)
        sizes = [2 * z_dim, width, 2 * width, 4 * width]
        self.embed = nn.Embedding(n_classes, z_dim)
        self.hidden = nn.Sequential(
            *(
                nn.Sequential(nn.Linear(a, b), nn.BatchNorm1d(b), nn.LeakyReLU(0.2))
                for a, b in pairwise(sizes)
            )
        )
        self.out = nn.Linear(sizes[-1], math.prod(self.shape))

    def forward(self, z: Tensor, c: Tensor) -> Tensor:
        h = self.hidden(one_condition(z, c, self.embed))
        x: Tensor = self.out(h).tanh().unflatten(1, self.shape)
        return x


class MLPDiscriminator(nn.Module):
    """Map samples (n, *shape) and classes c (n,) to logits (n,)."""

    def __init__(self, *, shape: tuple[int, ...], n_classes: int, width: int):
        super().__init__()
        sizes = [math.prod(shape), 4 * width, 2 * width, width]
        self.hidden = nn.Sequential(
            *(nn.Sequential(spectral_norm(nn.Linear(a, b)), nn.LeakyReLU(0.2)) for a, b in pairwise(sizes))
        )
        self.head = ProjectionHead(width, n_classes)

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        logits: Tensor = self.head(self.hidden(x.flatten(1)), c)
        return logits


def mlp(
    *, shape: tuple[int, ...], n_classes: int, z_dim: int, width: int | None = None
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

    Returns
    -------
    G, D : Module
        G(z, c) in [-1, 1]; D(x, c) logits, spectrally normalised, with a projection head.

    Examples
    --------
    >>> G, D = mlp(shape=(5,), n_classes=2, z_dim=8)
    >>> sum(p.numel() for p in G.parameters()) > 500_000
    True
    """
    width = width or 256
    return (
        MLPGenerator(shape=shape, n_classes=n_classes, z_dim=z_dim, width=width),
        MLPDiscriminator(shape=shape, n_classes=n_classes, width=width),
    )
