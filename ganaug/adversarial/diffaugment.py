"""DiffAugment: the same random, differentiable changes for real and fake (Zhao et al., 2006.10738).

Each function takes images x (n, channels, height, width) in [-1, 1] and a generator, draws one
change per image, and lets gradients through to x.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ganaug._checks import known_name

__all__ = ["POLICIES", "color", "cutout", "diff_augment", "translation"]


def color(x: Tensor, generator: torch.Generator) -> Tensor:
    """Shift brightness by up to a half; scale saturation by 0..2 and contrast by 0.5..1.5."""
    u = torch.rand(3, len(x), 1, 1, 1, generator=generator, device=x.device).to(x.dtype)
    x = x + (u[0] - 0.5)
    grey = x.mean(1, keepdim=True)
    x = (x - grey) * (2 * u[1]) + grey
    mean = x.mean((1, 2, 3), keepdim=True)
    return (x - mean) * (u[2] + 0.5) + mean


def translation(x: Tensor, generator: torch.Generator, *, ratio: float = 0.125) -> Tensor:
    """Shift by up to `ratio` of the height and of the width; what comes in from outside is 0."""
    n, _, height, width = x.shape
    reach = [int(side * ratio + 0.5) for side in (height, width)]
    shift = [torch.randint(-r, r + 1, (n, 1), generator=generator, device=x.device) for r in reach]
    rows = torch.arange(height, device=x.device) + reach[0] + shift[0]
    columns = torch.arange(width, device=x.device) + reach[1] + shift[1]
    padded = F.pad(x, (reach[1], reach[1], reach[0], reach[0]))
    image = torch.arange(n, device=x.device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[image, rows[:, :, None], columns[:, None]].permute(0, 3, 1, 2)


def cutout(x: Tensor, generator: torch.Generator, *, ratio: float = 0.5) -> Tensor:
    """Set a square of `ratio` of the sides to 0, anywhere, also partly outside."""
    n, _, height, width = x.shape
    inside = []
    for side in (height, width):
        size = int(side * ratio + 0.5)
        centre = torch.randint(0, side + (1 - size % 2), (n, 1), generator=generator, device=x.device)
        offset = torch.arange(side, device=x.device) - centre + size // 2
        inside.append((offset >= 0) & (offset < size))
    hole = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    return x.masked_fill(hole, 0)


POLICIES: dict[str, Callable[[Tensor, torch.Generator], Tensor]] = {
    "color": color,
    "translation": translation,
    "cutout": cutout,
}


def diff_augment(x: Tensor, policy: Sequence[str], generator: torch.Generator) -> Tensor:
    """Apply the named changes in order.

    Parameters
    ----------
    x : Tensor of shape (n, channels, height, width)
        Images in [-1, 1]; real ones and fake ones go through the same call.
    policy : sequence of {"color", "translation", "cutout"}
        What to do, in order; an empty sequence returns `x` itself.
    generator : torch.Generator
        Where the random numbers come from.

    Returns
    -------
    Tensor of shape (n, channels, height, width)

    Raises
    ------
    ConfigError
        If a name is not in `POLICIES`.

    Examples
    --------
    >>> x = torch.ones(2, 1, 8, 8)
    >>> diff_augment(x, ["cutout"], torch.Generator().manual_seed(0)).shape
    torch.Size([2, 1, 8, 8])
    """
    for name in policy:
        x = POLICIES[known_name("diffaugment", name, POLICIES)](x, generator)
    return x
