"""Self-attention over the positions of a feature map."""

import math

import torch
from torch import Tensor, nn


class SelfAttention(nn.Module):
    """Add to each position what it attends to, scaled by a gain from zero (SAGAN, 1805.08318)."""

    def __init__(self, n_channels: int):
        super().__init__()
        n_key, n_value = max(n_channels // 8, 1), max(n_channels // 2, 1)
        self.query, self.key = (nn.Conv2d(n_channels, n_key, 1) for _ in range(2))
        self.value = nn.Conv2d(n_channels, n_value, 1)
        self.out = nn.Conv2d(n_value, n_channels, 1)
        self.gain = nn.Parameter(torch.zeros(()))

    def forward(self, h: Tensor) -> Tensor:
        query, key, value = (layer(h).flatten(2) for layer in (self.query, self.key, self.value))
        attention = (query.transpose(1, 2) @ key).softmax(dim=-1)  # (n, position, attended position)
        mixed = (value @ attention.transpose(1, 2)).unflatten(2, h.shape[2:])
        out: Tensor = h + self.gain * self.out(mixed)
        return out


def nearest_to_16(sides: list[int]) -> int:
    """Return the index of the side that is the fewest halvings away from 16."""
    return min(range(len(sides)), key=lambda index: abs(math.log2(sides[index] / 16)))
