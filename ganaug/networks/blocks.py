"""Parts that several networks share: spectral norm, the projection head, conditional norm."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm


def conv(n_in: int, n_out: int, kernel: int = 3) -> nn.Module:
    """Return a size-preserving convolution with spectral norm (Miyato et al., 1802.05957)."""
    return spectral_norm(nn.Conv2d(n_in, n_out, kernel, padding=kernel // 2))


class ProjectionHead(nn.Module):
    """Logit of features h and class c: w.h + embed(c).h (Miyato and Koyama, 1802.05637)."""

    def __init__(self, n_features: int, n_classes: int):
        super().__init__()
        self.linear = spectral_norm(nn.Linear(n_features, 1))
        self.embed = spectral_norm(nn.Embedding(n_classes, n_features))

    def forward(self, h: Tensor, c: Tensor) -> Tensor:
        logits: Tensor = self.linear(h).squeeze(1) + (self.embed(c) * h).sum(1)
        return logits


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
        modulated: Tensor = self.norm(h) * (1 + scale) + shift
        return modulated


class UpBlock(nn.Module):
    """Residual block of G that doubles both sides."""

    def __init__(self, n_in: int, n_out: int, n_condition: int):
        super().__init__()
        self.norm1, self.norm2 = (ConditionalNorm(n, n_condition) for n in (n_in, n_out))
        self.conv1 = nn.Conv2d(n_in, n_out, 3, padding=1)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=1)
        self.skip = nn.Conv2d(n_in, n_out, 1)

    def forward(self, h: Tensor, w: Tensor) -> Tensor:
        skip = F.interpolate(self.skip(h), scale_factor=2.0)
        h = F.interpolate(F.relu(self.norm1(h, w)), scale_factor=2.0)
        out: Tensor = self.conv2(F.relu(self.norm2(self.conv1(h), w))) + skip
        return out


class DownBlock(nn.Module):
    """Residual block of D that halves both sides, rounding up; `first` skips the leading ReLU."""

    def __init__(self, n_in: int, n_out: int, *, first: bool = False, halve: bool = True):
        super().__init__()
        self.first, self.halve = first, halve
        self.conv1, self.conv2 = conv(n_in, n_out), conv(n_out, n_out)
        self.skip = conv(n_in, n_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(x if self.first else F.relu(x))
        h = self.conv2(F.relu(h))
        out: Tensor = self._pool(h) + self.skip(self._pool(x))
        return out

    def _pool(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, 2, ceil_mode=True) if self.halve else x


def one_condition(z: Tensor, c: Tensor, embed: nn.Embedding) -> Tensor:
    """Return noise and class embedding side by side, the condition of every layer of G."""
    return torch.cat([z, embed(c)], dim=1)
