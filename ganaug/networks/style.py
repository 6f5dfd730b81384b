"""Style-based pair in the line of StyleGAN2, small, at a fixed or a growing resolution."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganaug._checks import number
from ganaug.networks.blocks import channels, cropped, stem_sides
from ganaug.networks.conditioning import PROJECTION, Answer, Conditioning
from ganaug.networks.modulated import ModulatedConv, StyledLayer
from ganaug.networks.resample import DownConv, halved


def opacities(n_levels: int, images_seen: int, grow_images: int | None) -> list[float]:
    """Return how far each level, from the stem to full resolution, has faded in.

    The stem and the level above it are there from the start; each further one follows in turn.
    """
    if grow_images is None:
        return [1.0] * n_levels
    return [
        min(max(images_seen / grow_images - (level - 2), 0.0), 1.0) if level > 1 else 1.0
        for level in range(n_levels)
    ]


def dense(n_in: int, n_out: int) -> nn.Module:
    """Return one layer of the mapping network, which keeps the variance."""
    linear = nn.Linear(n_in, n_out)
    nn.init.kaiming_normal_(linear.weight, a=0.2)
    return nn.Sequential(linear, nn.LeakyReLU(0.2))


class StyleGenerator(nn.Module):
    """Map noise z (n, z_dim) and classes c (n,) to images (n, channels, height, width)."""

    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        n_classes: int,
        z_dim: int,
        width: int,
        conditioning: Conditioning,
        grow_images: int | None,
    ):
        super().__init__()
        self.shape, self.grow_images = tuple(shape), grow_images
        sizes = channels(shape, width)[::-1]
        n_style = 4 * width
        self.opacity = opacities(len(sizes), 0, None)
        self.embed = conditioning.embedding(n_classes, z_dim)
        self.mapping = nn.Sequential(*(dense(a, n_style) for a in (2 * z_dim, n_style, n_style)))
        self.constant = nn.Parameter(torch.randn(1, sizes[0], *stem_sides(shape, len(sizes) - 1)))
        self.first = nn.ModuleList(
            StyledLayer(a, b, n_style, up=level > 0)
            for level, (a, b) in enumerate(pairwise([sizes[0], *sizes]))
        )
        self.second = nn.ModuleList(StyledLayer(n, n, n_style) for n in sizes)
        self.to_image = nn.ModuleList(
            ModulatedConv(n, shape[0], n_style, kernel=1, demodulate=False) for n in sizes
        )
        self.bias = nn.Parameter(torch.zeros(shape[0], 1, 1))

    def at(self, images_seen: int) -> None:
        """Set how far each resolution has faded in at this point of the training."""
        self.opacity = opacities(len(self.opacity), images_seen, self.grow_images)

    def forward(self, z: Tensor, c: Tensor) -> Tensor:
        z = z * (z.square().mean(1, keepdim=True) + 1e-8).rsqrt()
        w = self.mapping(torch.cat([z, self.embed(c)], dim=1))
        h = self.constant.expand(len(z), -1, -1, -1)
        image: Tensor = self.bias
        levels = zip(self.opacity, self.first, self.second, self.to_image, strict=True)
        for level, (opacity, first, second, to_image) in enumerate(levels):
            if level:
                image = F.interpolate(image, scale_factor=2.0)
            if opacity:
                h = second(first(h, w), w)
                image = torch.add(image, to_image(h, w), alpha=opacity)
        x: Tensor = cropped(image, self.shape).tanh()
        return x


class StyleDownBlock(nn.Module):
    """Residual block of D that halves both sides, rounding up."""

    def __init__(self, n_in: int, n_out: int):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(n_in, n_in, 3, padding=1), DownConv(n_in, n_out)
        self.skip = nn.Conv2d(n_in, n_out, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        h = F.leaky_relu(self.conv1(x), 0.2, inplace=True)
        h = F.leaky_relu(self.conv2(h), 0.2, inplace=True)
        out: Tensor = (h + self.skip(halved(x))).mul_(0.5**0.5)
        return out


def with_batch_deviation(h: Tensor) -> Tensor:
    """Append a map of the mean deviation within groups of consecutive samples (1710.10196).

    A group holds the most samples, up to 4, that divide half of the batch (the batch, if odd), so
    none straddles the real and the fake half.
    """
    half = len(h) // 2 if len(h) % 2 == 0 else len(h)
    size = next(size for size in (4, 3, 2, 1) if half % size == 0)
    groups = h.float().unflatten(0, (-1, size))
    deviation = (groups.float().var(1, correction=0) + 1e-8).sqrt().mean((1, 2, 3)).repeat_interleave(size)
    maps = deviation.to(h.dtype)[:, None, None, None].expand(-1, 1, *h.shape[2:])
    return torch.cat([h, maps], dim=1)


class StyleDiscriminator(nn.Module):
    """Map images (n, channels, height, width) and classes c (n,) to the answer of the head."""

    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        n_classes: int,
        width: int,
        conditioning: Conditioning,
        grow_images: int | None,
    ):
        super().__init__()
        self.grow_images = grow_images
        sizes = channels(shape, width)
        self.opacity = opacities(len(sizes), 0, None)
        self.from_image = nn.ModuleList(nn.Conv2d(shape[0], n, 1) for n in sizes)
        self.blocks = nn.ModuleList(StyleDownBlock(a, b) for a, b in pairwise(sizes))
        self.mix = nn.Conv2d(sizes[-1] + 1, sizes[-1], 3, padding=1)
        self.last = nn.Conv2d(sizes[-1], sizes[-1], stem_sides(shape, len(sizes) - 1))
        self.head = conditioning.head(sizes[-1], n_classes)

    def at(self, images_seen: int) -> None:
        """Set how far each resolution has faded in at this point of the training."""
        self.opacity = opacities(len(self.opacity), images_seen, self.grow_images)

    def forward(self, x: Tensor, c: Tensor) -> Tensor | Answer:
        unseen = self.opacity.count(0.0)
        for _ in range(unseen):
            x = halved(x)
        h = self.from_image[unseen](x)
        rest = slice(unseen, None)
        for opacity, block, from_image in zip(
            self.opacity[:0:-1][rest], self.blocks[rest], self.from_image[1:][rest], strict=True
        ):
            x = halved(x)
            h = torch.add(from_image(x), block(h), alpha=opacity)
        h = F.leaky_relu(self.mix(with_batch_deviation(h)), 0.2, inplace=True)
        h = F.leaky_relu(self.last(h), 0.2, inplace=True)
        answer: Tensor | Answer = self.head(h.flatten(1), c)
        return answer


def style(
    *,
    shape: tuple[int, ...],
    n_classes: int,
    z_dim: int,
    width: int | None = None,
    conditioning: Conditioning = PROJECTION,
    grow_images: int | None = None,
) -> tuple[nn.Module, nn.Module]:
    """Return a style-based pair (StyleGAN2, Karras et al., 1912.04958), small.

    A mapping network, a learned constant, modulated convolutions with noise and skip-to-image
    outputs in G; residual blocks with image skips and the deviation within groups of samples in D.

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
    grow_images : int, optional
        Images over which each resolution above 8 to 15 pixels fades in (1710.10196) once both
        players are told `at(images_seen)`; without it the full resolution is trained from the start.

    Returns
    -------
    G, D : Module
        G(z, c) in [-1, 1], with noise from the global generator; D(x, c) logits.

    Examples
    --------
    >>> import torch
    >>> G, D = style(shape=(1, 28, 20), n_classes=3, z_dim=16, width=8)
    >>> D(G(torch.zeros(2, 16), torch.tensor([0, 2])), torch.tensor([0, 2])).shape
    torch.Size([2])
    """
    if grow_images is not None:
        number("grow_images", grow_images, low=1, integer=True)
    width = width or 32
    return (
        StyleGenerator(
            shape=shape,
            n_classes=n_classes,
            z_dim=z_dim,
            width=width,
            conditioning=conditioning,
            grow_images=grow_images,
        ),
        StyleDiscriminator(
            shape=shape, n_classes=n_classes, width=width, conditioning=conditioning, grow_images=grow_images
        ),
    )
