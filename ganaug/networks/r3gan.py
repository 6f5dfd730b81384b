"""Residual pair without any norm, in the line of R3GAN."""

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganaug.networks.blocks import channels, cropped, stem_sides
from ganaug.networks.conditioning import PROJECTION, Answer, Conditioning
from ganaug.networks.resample import halved


class ResidualBlock(nn.Module):
    """Add a grouped 3x3 convolution between two 1x1 convolutions; adds next to nothing at first.

    The first scale is that of Fixup (Zhang et al., 1901.09321): two convolutions shrink with the
    number of blocks, the last is close to zero, though not zero, which spectral norm cannot divide by.
    """

    def __init__(self, n_channels: int, *, n_blocks: int):
        super().__init__()
        inner = 2 * n_channels
        self.conv1 = nn.Conv2d(n_channels, inner, 1)
        self.conv2 = nn.Conv2d(inner, inner, 3, padding=1, groups=math.gcd(inner, max(inner // 16, 1)))
        self.conv3 = nn.Conv2d(inner, n_channels, 1, bias=False)
        for layer in (self.conv1, self.conv2):
            nn.init.kaiming_normal_(layer.weight, a=0.2)
            layer.weight.data.mul_(n_blocks**-0.25)
        nn.init.normal_(self.conv3.weight, std=0.01 * inner**-0.5)
        for bias in (p for p in self.parameters() if p.ndim == 1):
            nn.init.zeros_(bias)

    def forward(self, h: Tensor) -> Tensor:
        inner = F.leaky_relu(self.conv1(h), 0.2, inplace=True)
        inner = F.leaky_relu(self.conv2(inner), 0.2, inplace=True)
        out: Tensor = h + self.conv3(inner)
        return out


def to_channels(n_in: int, n_out: int) -> nn.Module:
    """Return a 1x1 convolution that keeps the variance, or nothing where none is needed."""
    if n_in == n_out:
        return nn.Identity()
    layer = nn.Conv2d(n_in, n_out, 1, bias=False)
    nn.init.normal_(layer.weight, std=n_in**-0.5)
    return layer


class R3GANGenerator(nn.Module):
    """Map noise z (n, z_dim) and classes c (n,) to images (n, channels, height, width)."""

    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        n_classes: int,
        z_dim: int,
        width: int,
        conditioning: Conditioning,
        depth: int,
    ):
        super().__init__()
        self.shape = tuple(shape)
        sizes = channels(shape, width)[::-1]
        n_blocks = depth * len(sizes)
        self.embed = conditioning.embedding(n_classes, z_dim)
        self.stem = nn.Linear(2 * z_dim, sizes[0], bias=False)
        nn.init.normal_(self.stem.weight, std=(2 * z_dim) ** -0.5)
        self.basis = nn.Parameter(torch.randn(1, sizes[0], *stem_sides(shape, len(sizes) - 1)))
        self.stages = nn.ModuleList(
            nn.Sequential(*(ResidualBlock(n, n_blocks=n_blocks) for _ in range(depth))) for n in sizes
        )
        self.transitions = nn.ModuleList(to_channels(a, b) for a, b in pairwise(sizes))
        self.to_image = nn.Conv2d(sizes[-1], shape[0], 1)
        nn.init.normal_(self.to_image.weight, std=sizes[-1] ** -0.5)

    def forward(self, z: Tensor, c: Tensor) -> Tensor:
        w = torch.cat([z, self.embed(c)], dim=1)
        scale = self.stem(w)[:, :, None, None]
        h = self.stages[0](self.basis.to(scale.dtype) * scale)
        for transition, stage in zip(self.transitions, self.stages[1:], strict=True):
            h = F.interpolate(transition(h), scale_factor=2.0, mode="bilinear")
            h = stage(h)
        x: Tensor = self.to_image(cropped(h, self.shape)).tanh()
        return x


class R3GANDiscriminator(nn.Module):
    """Map images (n, channels, height, width) and classes c (n,) to the answer of the head."""

    def __init__(
        self, *, shape: tuple[int, ...], n_classes: int, width: int, conditioning: Conditioning, depth: int
    ):
        super().__init__()
        sizes = channels(shape, width)
        n_blocks = depth * len(sizes)
        self.from_image = nn.Conv2d(shape[0], sizes[0], 1)
        self.stages = nn.ModuleList(
            nn.Sequential(*(ResidualBlock(n, n_blocks=n_blocks) for _ in range(depth))) for n in sizes
        )
        self.transitions = nn.ModuleList(to_channels(a, b) for a, b in pairwise(sizes))
        sides = stem_sides(shape, len(sizes) - 1)
        self.last = nn.Conv2d(sizes[-1], sizes[-1], sides, groups=sizes[-1], bias=False)
        self.head = conditioning.head(sizes[-1], n_classes)

    def forward(self, x: Tensor, c: Tensor) -> Tensor | Answer:
        h = self.stages[0](self.from_image(x))
        for transition, stage in zip(self.transitions, self.stages[1:], strict=True):
            h = stage(transition(halved(h)))
        answer: Tensor | Answer = self.head(self.last(h).flatten(1), c)
        return answer


def r3gan(
    *,
    shape: tuple[int, ...],
    n_classes: int,
    z_dim: int,
    width: int | None = None,
    conditioning: Conditioning = PROJECTION,
    depth: int = 1,
) -> tuple[nn.Module, nn.Module]:
    """Return a norm-free residual pair (R3GAN, Huang et al., 2501.05441), small.

    It is meant to be trained with the relativistic loss and the R1 and R2 penalties.

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
    depth : int, default=1
        Residual blocks per resolution (2 in the paper).

    Returns
    -------
    G, D : Module
        G(z, c) in [-1, 1]; D(x, c) logits.

    Examples
    --------
    >>> import torch
    >>> G, D = r3gan(shape=(1, 28, 20), n_classes=3, z_dim=16, width=8)
    >>> D(G(torch.zeros(2, 16), torch.tensor([0, 2])), torch.tensor([0, 2])).shape
    torch.Size([2])
    """
    width = width or 32
    return (
        R3GANGenerator(
            shape=shape, n_classes=n_classes, z_dim=z_dim, width=width, conditioning=conditioning, depth=depth
        ),
        R3GANDiscriminator(
            shape=shape, n_classes=n_classes, width=width, conditioning=conditioning, depth=depth
        ),
    )
