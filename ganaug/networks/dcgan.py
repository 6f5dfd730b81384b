"""Plain convolutional pair for images of any height and width, in the line of DCGAN."""

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganaug.networks.blocks import channels, cropped, stem_sides
from ganaug.networks.conditioning import PROJECTION, Answer, Conditioning


class DCGANGenerator(nn.Module):
    """Map noise z (n, z_dim) and classes c (n,) to images (n, channels, height, width)."""

    def __init__(
        self, *, shape: tuple[int, ...], n_classes: int, z_dim: int, width: int, conditioning: Conditioning
    ):
        super().__init__()
        self.shape = tuple(shape)
        sizes = channels(shape, width)[::-1]
        self.stem_shape = (sizes[0], *stem_sides(shape, len(sizes) - 1))
        self.embed = conditioning.embedding(n_classes, z_dim)
        self.stem = nn.Linear(2 * z_dim, math.prod(self.stem_shape), bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(n) for n in sizes)
        self.ups = nn.ModuleList(
            nn.ConvTranspose2d(a, b, 4, stride=2, padding=1, bias=False) for a, b in pairwise(sizes)
        )
        self.to_image = nn.Conv2d(sizes[-1], shape[0], 3, padding=1)
        for layer in (self.stem, *self.ups, self.to_image):
            nn.init.normal_(layer.weight, std=0.02)

    def forward(self, z: Tensor, c: Tensor) -> Tensor:
        h = self.stem(torch.cat([z, self.embed(c)], dim=1)).unflatten(1, self.stem_shape)
        h = F.relu(self.norms[0](h.contiguous(memory_format=torch.channels_last)), inplace=True)
        for up, norm in zip(self.ups, self.norms[1:], strict=True):
            h = F.relu(norm(up(h)), inplace=True)
        x: Tensor = self.to_image(cropped(h, self.shape)).tanh()
        return x


class DCGANDiscriminator(nn.Module):
    """Map images (n, channels, height, width) and classes c (n,) to the answer of the head."""

    def __init__(self, *, shape: tuple[int, ...], n_classes: int, width: int, conditioning: Conditioning):
        super().__init__()
        sizes = channels(shape, width)
        layers = [nn.Conv2d(shape[0], sizes[0], 3, padding=1)]
        for level, (a, b) in enumerate(pairwise(sizes)):
            height, width = stem_sides(shape, level)
            padding = 1 + height % 2, 1 + width % 2  # one more zero, so that odd sides round up
            layers.append(nn.Conv2d(a, b, 4, stride=2, padding=padding))
        layers.append(nn.Conv2d(sizes[-1], sizes[-1], stem_sides(shape, len(sizes) - 1)))
        self.layers = nn.ModuleList(layers)
        self.head = conditioning.head(sizes[-1], n_classes)

    def forward(self, x: Tensor, c: Tensor) -> Tensor | Answer:
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.2, inplace=True)
        answer: Tensor | Answer = self.head(x.flatten(1), c)
        return answer


def dcgan(
    *,
    shape: tuple[int, ...],
    n_classes: int,
    z_dim: int,
    width: int | None = None,
    conditioning: Conditioning = PROJECTION,
) -> tuple[nn.Module, nn.Module]:
    """Return a DCGAN pair (Radford et al., 1511.06434), its class told to both players.

    Transposed convolutions and batch norm in G, strided convolutions and leaky ReLU in D. As in
    the plain networks of Miyato et al. (1802.05957), one more convolution works at full resolution,
    and D has no batch norm.

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

    Returns
    -------
    G, D : Module
        G(z, c) in [-1, 1]; D(x, c) logits.

    Examples
    --------
    >>> import torch
    >>> G, D = dcgan(shape=(1, 28, 20), n_classes=3, z_dim=16, width=8)
    >>> D(G(torch.zeros(2, 16), torch.tensor([0, 2])), torch.tensor([0, 2])).shape
    torch.Size([2])
    """
    width = width or 32
    return (
        DCGANGenerator(shape=shape, n_classes=n_classes, z_dim=z_dim, width=width, conditioning=conditioning),
        DCGANDiscriminator(shape=shape, n_classes=n_classes, width=width, conditioning=conditioning),
    )
