"""Residual pair for images of any height and width, in the line of SNGAN and BigGAN."""

import math
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from ganaug.networks.blocks import DownBlock, ProjectionHead, UpBlock, conv, one_condition


def _channels(shape: tuple[int, ...], width: int) -> list[int]:
    """Return the channels from full resolution down to the stem, whose shorter side is 4 to 7."""
    n_halvings = max(1, int(math.log2(min(shape[1:]) / 4)))
    return [width * min(2**level, 4) for level in range(n_halvings + 1)]


class ResNetGenerator(nn.Module):
    """Map noise z (n, z_dim) and classes c (n,) to images (n, channels, height, width)."""

    def __init__(self, *, shape: tuple[int, ...], n_classes: int, z_dim: int, width: int):
        super().__init__()
        n_channels, self.height, self.width = shape
        sizes = _channels(shape, width)[::-1]
        self.stem_shape = (
            sizes[0],
            *(math.ceil(side / 2 ** (len(sizes) - 1)) for side in shape[1:]),
        )
        self.embed = nn.Embedding(n_classes, z_dim)
        self.stem = nn.Linear(2 * z_dim, math.prod(self.stem_shape))
        self.blocks = nn.ModuleList(UpBlock(a, b, 2 * z_dim) for a, b in pairwise(sizes))
        self.to_image = nn.Sequential(
            nn.BatchNorm2d(sizes[-1]),
            nn.ReLU(),
            nn.Conv2d(sizes[-1], n_channels, 3, padding=1),
        )

    def forward(self, z: Tensor, c: Tensor) -> Tensor:
        w = one_condition(z, c, self.embed)
        h = self.stem(w).unflatten(1, self.stem_shape)
        for block in self.blocks:
            h = block(h, w)
        top, left = (h.shape[2] - self.height) // 2, (h.shape[3] - self.width) // 2
        h = h[:, :, top : top + self.height, left : left + self.width]
        x: Tensor = self.to_image(h).tanh()
        return x


class ResNetDiscriminator(nn.Module):
    """Map images (n, channels, height, width) and classes c (n,) to logits (n,)."""

    def __init__(self, *, shape: tuple[int, ...], n_classes: int, width: int):
        super().__init__()
        sizes = _channels(shape, width)
        self.blocks = nn.Sequential(
            DownBlock(shape[0], sizes[0], first=True),
            *(DownBlock(a, b) for a, b in pairwise(sizes[:-1])),
            DownBlock(sizes[-2], sizes[-1], halve=False),
        )
        self.last = conv(sizes[-1], sizes[-1], 1)
        self.head = ProjectionHead(sizes[-1], n_classes)

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        h = F.relu(self.last(F.relu(self.blocks(x))))
        logits: Tensor = self.head(h.sum((2, 3)), c)
        return logits


def resnet(
    *, shape: tuple[int, ...], n_classes: int, z_dim: int, width: int | None = None
) -> tuple[nn.Module, nn.Module]:
    """Return a residual pair: conditional norm and skip-z in G, spectral norm and projection in D.

    Parameters
    ----------
    shape : tuple of int
        Shape of one image: (channels, height, width), sides of at least 8.
    n_classes : int
        Number of classes.
    z_dim : int
        Length of the noise vector, and of the class embedding.
    width : int, default=32
        Channels at full resolution; they double at each halving, up to four times.

    Returns
    -------
    G, D : Module
        G(z, c) in [-1, 1]; D(x, c) logits.

    References
    ----------
    Miyato and Koyama, 1802.05637; Brock et al., 1809.11096.

    Examples
    --------
    >>> import torch
    >>> G, D = resnet(shape=(1, 28, 20), n_classes=3, z_dim=16, width=8)
    >>> G(torch.zeros(2, 16), torch.tensor([0, 2])).shape
    torch.Size([2, 1, 28, 20])
    """
    width = width or 32
    return (
        ResNetGenerator(shape=shape, n_classes=n_classes, z_dim=z_dim, width=width),
        ResNetDiscriminator(shape=shape, n_classes=n_classes, width=width),
    )
