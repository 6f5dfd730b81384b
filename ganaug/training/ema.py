"""The running average of G's weights, with a half-life counted in images."""

import torch
from torch import nn


def ema_decay(images_seen: int, *, batch_size: int, halflife: float, rampup: float) -> float:
    """Return the share of the old average that one step keeps (Karras et al., 2006.06676)."""
    return float(0.5 ** (batch_size / max(min(halflife, rampup * images_seen), 1e-8)))


@torch.no_grad()
def update_ema(average: nn.Module, module: nn.Module, decay: float) -> None:
    """Move the average towards the module; buffers are copied."""
    for old, new in zip(average.parameters(), module.parameters(), strict=True):
        old.lerp_(new, 1 - decay)
    for kept, now in zip(average.buffers(), module.buffers(), strict=True):
        kept.copy_(now)
