"""Convolution whose input channels are scaled per sample, by scaling activations, not weights."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganaug.networks.resample import up_conv


class ModulatedConv(nn.Module):
    """Convolve h (n, n_in, ...) with kernels scaled by the style w (n, n_style).

    Scaling the input channels before one ordinary convolution, and the output channels after it,
    equals the weights per sample of Karras et al. (1912.04958, equations 1 and 3).
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        n_style: int,
        *,
        kernel: int = 3,
        up: bool = False,
        demodulate: bool = True,
        gain: float = 1.0,
    ):
        super().__init__()
        self.up, self.demodulate, self.gain = up, demodulate, gain
        self.weight = nn.Parameter(torch.randn(n_out, n_in, kernel, kernel) * (n_in * kernel**2) ** -0.5)
        self.style = nn.Linear(n_style, n_in)
        nn.init.ones_(self.style.bias)

    def forward(self, h: Tensor, w: Tensor) -> Tensor:
        scale = self.style(w)
        h = h * scale[:, :, None, None]
        if self.up:
            h = up_conv(h, self.weight)
        else:
            h = F.conv2d(h, self.weight, padding=self.weight.shape[2] // 2)
        if not self.demodulate:
            return h
        variance = scale.float().square() @ self.weight.square().sum((2, 3)).T  # (n, n_out)
        demodulation = self.gain * (variance + 1e-8).rsqrt()
        demodulated: Tensor = h * demodulation.to(h.dtype)[:, :, None, None]
        return demodulated


class StyledLayer(nn.Module):
    """Modulated convolution, noise per pixel with a learned strength, bias and leaky ReLU."""

    def __init__(self, n_in: int, n_out: int, n_style: int, *, up: bool = False):
        super().__init__()
        self.conv = ModulatedConv(n_in, n_out, n_style, up=up, gain=2**0.5)  # leaky ReLU halves the variance
        self.strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(n_out))

    def forward(self, h: Tensor, w: Tensor) -> Tensor:
        h = self.conv(h, w)
        noise = torch.randn_like(h[:, :1])
        h = h.add_(self.bias[:, None, None]).add_(self.strength * noise)  # in place keeps bfloat16
        return F.leaky_relu(h, 0.2, inplace=True)
