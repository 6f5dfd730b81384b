"""Parts that several image networks share: their sizes, conditional norm, residual blocks."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganaug.errors import ConfigError
from ganaug.networks.resample import DownConv, UpConv, halved


def channels(shape: tuple[int, ...], width: int) -> list[int]:
    """Return the channels from full resolution down to the stem, whose shorter side is 4 to 7."""
    if len(shape) != 3:
        raise ConfigError(
            f"shape must be (channels, height, width) for an image network; got {tuple(shape)}. "
            "Use network 'residual-mlp' or 'mlp' for tables."
        )
    n_halvings = max(1, int(math.log2(min(shape[1:]) / 4)))
    return [width * min(2**level, 4) for level in range(n_halvings + 1)]


def stem_sides(shape: tuple[int, ...], n_halvings: int) -> tuple[int, int]:
    """Return height and width after the halvings, each rounded up."""
    height, width = (math.ceil(side / 2**n_halvings) for side in shape[1:])
    return height, width


def cropped(h: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return the centre of the maps, as large as an image of `shape`."""
    height, width = shape[1:]
    top, left = (h.shape[2] - height) // 2, (h.shape[3] - width) // 2
    return h[:, :, top : top + height, left : left + width]


class ConditionalNorm(nn.Module):
    """Batch norm whose scale and shift come from the condition w: (n, channels, ...) -> same."""

    def __init__(self, n_channels: int, n_condition: int):
        super().__init__()
        self.norm = nn.BatchNorm2d(n_channels, affine=False)
        self.modulation = nn.Linear(n_condition, 2 * n_channels)
        nn.init.normal_(self.modulation.weight, std=0.02)
        nn.init.zeros_(self.modulation.bias)

    def forward(self, h: Tensor, w: Tensor) -> Tensor:
        scale, shift = self.modulation(w)[:, :, None, None].chunk(2, dim=1)
        return torch.addcmul(shift, self.norm(h), 1 + scale)


class UpBlock(nn.Module):
    """Residual block of G that doubles both sides."""

    def __init__(self, n_in: int, n_out: int, n_condition: int):
        super().__init__()
        self.norm1, self.norm2 = (ConditionalNorm(n, n_condition) for n in (n_in, n_out))
        self.conv1 = UpConv(n_in, n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=1)
        self.skip = nn.Conv2d(n_in, n_out, 1)

    def forward(self, h: Tensor, w: Tensor) -> Tensor:
        skip = F.interpolate(self.skip(h), scale_factor=2.0)
        h = self.conv1(F.relu(self.norm1(h, w), inplace=True))
        out: Tensor = self.conv2(F.relu(self.norm2(h, w), inplace=True)) + skip
        return out


class DownBlock(nn.Module):
    """Residual block of D that halves both sides, rounding up; `first` skips the leading ReLU."""

    def __init__(self, n_in: int, n_out: int, *, first: bool = False, halve: bool = True):
        super().__init__()
        self.first, self.halve = first, halve
        self.conv1 = nn.Conv2d(n_in, n_out, 3, padding=1)
        self.conv2 = DownConv(n_out, n_out) if halve else nn.Conv2d(n_out, n_out, 3, padding=1)
        self.skip = nn.Conv2d(n_in, n_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(x if self.first else F.relu(x))
        h = self.conv2(F.relu(h, inplace=True))
        out: Tensor = h + self.skip(halved(x) if self.halve else x)
        return out
