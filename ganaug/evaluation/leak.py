"""Whether a generator learned the augmentation of its training, and not only the data."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from scipy.stats import norm
from torch import Tensor

from ganaug._checks import known_name
from ganaug.errors import DataError
from ganaug.evaluation.marks import MARKS

__all__ = ["Leak", "augmentation_leak"]

LEAST_EXCESS = 0.05
ALPHA = 0.001
LEAST_IMAGES = 10


class Leak(NamedTuple):
    """How many images carry the mark of one augmentation."""

    share_real: float
    share_fake: float
    p_value: float  # one-sided: is the share larger among the generated images?
    leaked: bool


@torch.no_grad()
def augmentation_leak(
    x: Tensor,
    x_fake: Tensor,
    policy: Sequence[str] = ("color", "translation", "cutout"),
    *,
    c: Tensor | None = None,
    c_fake: Tensor | None = None,
) -> dict[str, Leak]:
    """Tell for each augmentation whether generated images show it more often than real ones do.

    Augmentation of the discriminator's input can leak: G then draws the shifts and holes themselves
    (2006.06676, 2006.10738). Each augmentation leaves a mark that is looked for in every image; it has
    leaked if the share of marked images is larger by 0.05 or more and a Cochran-Mantel-Haenszel test with
    continuity correction gives p < 0.001. With classes, real shares are weighted as the generated classes
    are, and the test compares within classes.

    Parameters
    ----------
    x : Tensor of shape (n, channels, height, width)
        Real images in [-1, 1]; some hundreds, ten at least.
    x_fake : Tensor of shape (n_fake, channels, height, width)
        Generated images.
    policy : sequence of {"color", "translation", "cutout", "flip"}
        What to look for. "flip" finds mirrored copies where left and right differ, as in digits.
    c : Tensor of shape (n,), optional
        Class indices of the real images.
    c_fake : Tensor of shape (n_fake,), optional
        Class indices of the generated images; both or neither.

    Returns
    -------
    dict of str to Leak

    Raises
    ------
    DataError
        If these are not images of one shape, ten of each at least and with a class in common.
    ConfigError
        If a name is not in `MARKS`.

    Notes
    -----
    A mark that the data have themselves hides a leak: holes cannot be seen before a mid-grey background,
    nor a tint among images of any colour. With 500 images of either kind a leak into one image of five
    shows in digits; in photographs a tint has to reach every second one. Copies of few images (a collapsed
    generator) are not independent, as the test assumes, and may raise a false alarm.

    Examples
    --------
    >>> x = torch.rand(100, 1, 8, 8, generator=torch.Generator().manual_seed(0)) - 1
    >>> holed = x.clone()
    >>> holed[:30, :, 2:6, 2:6] = 0
    >>> augmentation_leak(x[:50], holed[:50], ["cutout"])["cutout"].leaked
    True
    """
    if x.ndim != 4 or x.shape[1:] != x_fake.shape[1:] or min(len(x), len(x_fake)) < LEAST_IMAGES:
        raise DataError(
            f"x and x_fake must be images (n, channels, height, width) of one shape, {LEAST_IMAGES} of each "
            f"at least; got {tuple(x.shape)} and {tuple(x_fake.shape)}."
        )
    if c is None or c_fake is None:
        c, c_fake = torch.zeros(len(x)).long(), torch.zeros(len(x_fake)).long()
    counts = _counts(c, c_fake)
    if not (counts.amin(0) > 0).any():
        raise DataError("c and c_fake must have a class in common; got none.")
    found = {}
    for name in policy:
        real, fake = MARKS[known_name("policy", name, MARKS)](x.float(), x_fake.float())
        found[name] = _judge(counts, _counts(c[real], c_fake[fake], counts.shape[1]))
    return found


def _counts(c: Tensor, c_fake: Tensor, n_classes: int = 0) -> Tensor:
    """Return how many real and generated images each class has, (2, n_classes)."""
    n_classes = n_classes or int(torch.cat([c, c_fake]).max()) + 1
    return torch.stack([torch.bincount(labels, minlength=n_classes) for labels in (c, c_fake)]).double()


def _judge(counts: Tensor, marked: Tensor) -> Leak:
    """Compare the marked shares within the classes that both have."""
    both = counts.amin(0) > 0
    (n, n_fake), (m, m_fake) = counts[:, both], marked[:, both]
    weight = n_fake / n_fake.sum()
    share_real, share_fake = float((weight * m / n).sum()), float((weight * m_fake / n_fake).sum())
    total, hits = n + n_fake, m + m_fake
    excess = float((m_fake - n_fake * hits / total).sum())
    variance = float((n * n_fake * hits * (total - hits) / (total**2 * (total - 1))).sum())
    p_value = float(norm.sf((excess - 0.5) / variance**0.5)) if variance > 0 else 1.0
    return Leak(share_real, share_fake, p_value, share_fake - share_real >= LEAST_EXCESS and p_value < ALPHA)
