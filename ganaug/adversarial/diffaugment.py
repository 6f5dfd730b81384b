"""DiffAugment: the same random, differentiable changes for real and fake (Zhao et al., 2006.10738).

Each function takes images x (n, channels, height, width) in [-1, 1] and a generator, draws one
change per image, and lets gradients through to x.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ganaug._checks import known_name

__all__ = ["POLICIES", "color", "cutout", "diff_augment", "flip", "translation"]


def color(x: Tensor, generator: torch.Generator) -> Tensor:
    """Shift brightness by up to a half; scale saturation by 0..2 and contrast by 0.5..1.5."""
    u = torch.rand(3, len(x), 1, 1, 1, generator=generator, device=x.device).to(x.dtype)
    x = x + (u[0] - 0.5)
    grey = x.mean(1, keepdim=True)
    x = (x - grey) * (2 * u[1]) + grey
    mean = x.mean((1, 2, 3), keepdim=True)
    return (x - mean) * (u[2] + 0.5) + mean


class _Windows(torch.autograd.Function):
    """Take window (top, left) of each image padded by `reach`; the gradient goes the same way back.

    Indexing would scatter the gradient into every possible window; it is a shift by the opposite.
    """

    @staticmethod
    def forward(x: Tensor, top: Tensor, left: Tensor, reach: tuple[int, int]) -> Tensor:
        n, _, height, width = x.shape
        padded = F.pad(x, (reach[1], reach[1], reach[0], reach[0]))
        windows = padded.unfold(2, height, 1).unfold(3, width, 1)
        return windows[torch.arange(n, device=x.device), :, top, left]

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[1:3])
        ctx.reach = inputs[3]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        back = (2 * r - start for r, start in zip(ctx.reach, ctx.saved_tensors, strict=True))
        shifted: Tensor = _Windows.apply(grad, *back, ctx.reach)
        return shifted, None, None, None


def translation(x: Tensor, generator: torch.Generator, *, ratio: float = 0.125) -> Tensor:
    """Shift by up to `ratio` of the height and of the width; what comes in from outside is 0."""
    reach = tuple(int(side * ratio + 0.5) for side in x.shape[2:])
    start = [r + torch.randint(-r, r + 1, (len(x),), generator=generator, device=x.device) for r in reach]
    moved: Tensor = _Windows.apply(x, *start, reach)
    return moved


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


def flip(x: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror left and right with chance 1/2; not for characters, or whatever else has a reading side."""
    return torch.where(_chosen(0.5, x, generator), x.flip(3), x)


POLICIES: dict[str, Callable[[Tensor, torch.Generator], Tensor]] = {
    "color": color,
    "translation": translation,
    "cutout": cutout,
    "flip": flip,
}


def diff_augment(
    x: Tensor, policy: Sequence[str], generator: torch.Generator, p: Tensor | float = 1.0
) -> Tensor:
    """Apply the named changes in order, each to every image or with a chance of its own.

    Parameters
    ----------
    x : Tensor of shape (n, channels, height, width)
        Images in [-1, 1]; real ones and fake ones go through the same call.
    policy : sequence of {"color", "translation", "cutout", "flip"}
        What to do, in order; an empty sequence returns `x` itself.
    generator : torch.Generator
        Where the random numbers come from.
    p : Tensor of shape () or float, default=1.0
        Chance of each change for each image, as `adapt_probability` moves it. The float 1.0 draws
        no chance at all.

    Returns
    -------
    Tensor of shape (n, channels, height, width)

    Raises
    ------
    ConfigError
        If a name is not in `POLICIES`.

    References
    ----------
    Zhao et al., 2006.10738; the chance `p`: Karras et al., 2006.06676.

    Examples
    --------
    >>> x = torch.ones(2, 1, 8, 8)
    >>> diff_augment(x, ["cutout"], torch.Generator().manual_seed(0)).shape
    torch.Size([2, 1, 8, 8])
    """
    always = not isinstance(p, Tensor) and p == 1
    for name in policy:
        changed = POLICIES[known_name("diffaugment", name, POLICIES)](x, generator)
        x = changed if always else torch.where(_chosen(p, x, generator), changed, x)
    return x


def _chosen(p: Tensor | float, x: Tensor, generator: torch.Generator) -> Tensor:
    """Return True for a share p of the images, shaped to select among them."""
    return torch.rand(len(x), 1, 1, 1, generator=generator, device=x.device) < p
