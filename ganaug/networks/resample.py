"""Halving and doubling fused with a 3x3 convolution: the same numbers from 4/9 of the work."""

import torch.nn.functional as F
from torch import Tensor, nn


def blurred(weight: Tensor) -> Tensor:
    """Return 3x3 kernels (n_out, n_in, 3, 3) after a 2x2 box of ones: (n_out, n_in, 4, 4)."""
    return F.avg_pool2d(F.pad(weight, (1, 1, 1, 1)), 2, stride=1, divisor_override=1)


def up_conv(h: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return nearest-neighbour doubling followed by a 3x3 convolution, as one transposed convolution."""
    kernel = blurred(weight).flip(2, 3).transpose(0, 1)
    return F.conv_transpose2d(h, kernel, bias, stride=2, padding=1)


def halved(x: Tensor) -> Tensor:
    """Return the averages of 2x2 windows; an odd side is rounded up."""
    return F.avg_pool2d(x, 2, ceil_mode=True)


class UpConv(nn.Conv2d):
    """Convolution at doubled resolution: (n, n_in, h, w) -> (n, n_out, 2 h, 2 w)."""

    def __init__(self, n_in: int, n_out: int):
        super().__init__(n_in, n_out, 3, padding=1)

    def forward(self, h: Tensor) -> Tensor:
        return up_conv(h, self.weight, self.bias)


class DownConv(nn.Conv2d):
    """Convolution, then halving: (n, n_in, h, w) -> (n, n_out, ceil(h / 2), ceil(w / 2))."""

    def __init__(self, n_in: int, n_out: int):
        super().__init__(n_in, n_out, 3, padding=1)

    def forward(self, h: Tensor) -> Tensor:
        if h.shape[2] % 2 or h.shape[3] % 2:  # windows at the border average fewer values
            return halved(super().forward(h))
        return F.conv2d(h, blurred(self.weight) / 4, self.bias, stride=2, padding=1)
