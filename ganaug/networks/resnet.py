"""Residual pair for images of any height and width, in the line of SNGAN and BigGAN."""

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganaug.networks.attention import SelfAttention, nearest_to_16
from ganaug.networks.blocks import DownBlock, UpBlock, channels, cropped, stem_sides
from ganaug.networks.conditioning import PROJECTION, Answer, Conditioning


class ResNetGenerator(nn.Module):
    """Map noise z (n, z_dim) and classes c (n,) to images (n, channels, height, width)."""

    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        n_classes: int,
        z_dim: int,
        width: int,
        conditioning: Conditioning,
        attention: bool,
    ):
        super().__init__()
        self.shape = tuple(shape)
        sizes = channels(shape, width)[::-1]
        sides = stem_sides(shape, len(sizes) - 1)
        self.stem_shape = (sizes[0], *sides)
        self.embed = conditioning.embedding(n_classes, z_dim)
        self.stem = nn.Linear(2 * z_dim, math.prod(self.stem_shape))
        self.blocks = nn.ModuleList(UpBlock(a, b, 2 * z_dim) for a, b in pairwise(sizes))
        self.mix = nn.ModuleList(nn.Identity() for _ in self.blocks)
        if attention:
            level = nearest_to_16([min(sides) * 2 ** (index + 1) for index in range(len(self.mix))])
            self.mix[level] = SelfAttention(sizes[level + 1])
        self.to_image = nn.Sequential(
            nn.BatchNorm2d(sizes[-1]),
            nn.ReLU(inplace=True),
            nn.Conv2d(sizes[-1], shape[0], 3, padding=1),
        )

    def forward(self, z: Tensor, c: Tensor) -> Tensor:
        w = torch.cat([z, self.embed(c)], dim=1)
        h = self.stem(w).unflatten(1, self.stem_shape).contiguous(memory_format=torch.channels_last)
        for block, mix in zip(self.blocks, self.mix, strict=True):
            h = mix(block(h, w))
        x: Tensor = self.to_image(cropped(h, self.shape)).tanh()
        return x


class ResNetDiscriminator(nn.Module):
    """Map images (n, channels, height, width) and classes c (n,) to the answer of the head."""

    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        n_classes: int,
        width: int,
        conditioning: Conditioning,
        attention: bool,
    ):
        super().__init__()
        sizes = channels(shape, width)
        blocks: list[nn.Module] = [
            DownBlock(shape[0], sizes[0], first=True),
            *(DownBlock(a, b) for a, b in pairwise(sizes[:-1])),
            DownBlock(sizes[-2], sizes[-1], halve=False),
        ]
        if attention:
            level = nearest_to_16([min(stem_sides(shape, index + 1)) for index in range(len(sizes) - 1)])
            blocks.insert(level + 1, SelfAttention(sizes[level]))
        self.blocks = nn.Sequential(*blocks)
        self.last = nn.Conv2d(sizes[-1], sizes[-1], 1)
        self.head = conditioning.head(sizes[-1], n_classes)

    def forward(self, x: Tensor, c: Tensor) -> Tensor | Answer:
        h = F.relu(self.last(F.relu(self.blocks(x))), inplace=True)
        answer: Tensor | Answer = self.head(h.sum((2, 3)), c)
        return answer


def resnet(
    *,
    shape: tuple[int, ...],
    n_classes: int,
    z_dim: int,
    width: int | None = None,
    conditioning: Conditioning = PROJECTION,
    attention: bool = False,
) -> tuple[nn.Module, nn.Module]:
    """Return a residual pair: conditional norm, skip-z and a shared class embedding in G.

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
    conditioning : Conditioning, default=Projection()
        How the class enters both players.
    attention : bool, default=False
        Whether both players attend over the feature map nearest to 16 pixels (1805.08318).

    Returns
    -------
    G, D : Module
        G(z, c) in [-1, 1]; D(x, c) logits.

    References
    ----------
    Miyato and Koyama, 1802.05637; Brock et al., 1809.11096; Zhang et al., 1805.08318.

    Examples
    --------
    >>> import torch
    >>> G, D = resnet(shape=(1, 28, 20), n_classes=3, z_dim=16, width=8)
    >>> G(torch.zeros(2, 16), torch.tensor([0, 2])).shape
    torch.Size([2, 1, 28, 20])
    """
    width = width or 32
    return (
        ResNetGenerator(
            shape=shape,
            n_classes=n_classes,
            z_dim=z_dim,
            width=width,
            conditioning=conditioning,
            attention=attention,
        ),
        ResNetDiscriminator(
            shape=shape, n_classes=n_classes, width=width, conditioning=conditioning, attention=attention
        ),
    )
