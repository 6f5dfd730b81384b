"""The marks that augmentations leave on single images: a blank square, a blank border, odd colours, a mirror.

Each function takes real and generated images (n, channels, height, width) in [-1, 1] and tells which of
either carry the mark. A mark must survive that a generator never hits 0 exactly, and must not be what an
ordinary flaw of a generator, blur or noise or collapse, leaves as well.
"""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from torch import Tensor

from ganaug._random import torch_stream
from ganaug.adversarial.diffaugment import color

__all__ = ["MARKS"]

BLANK = 0.15  # a patch is blank if its distance from 0 is below this share of its image's mean distance
MIRRORED = 0.1  # by how much, relatively, a mirrored real image has to be nearer than any real one
COPIES = 3  # copies of the real images, flawed, that teach which colours mean nothing
USUAL, MISSED = 0.95, 0.3  # shares of images that colour must leave unmarked: of the usual, of the changed

Marks = tuple[Tensor, Tensor]  # bool (n_real,) and (n_fake,)


def cutout_marks(x: Tensor, x_fake: Tensor) -> Marks:
    """Mark a blank square of a quarter of the sides (at least 3 pixels): what a hole in a corner shows."""
    window = [min(side, max(3, side // 4)) for side in x.shape[2:]]

    def marked(x: Tensor) -> Tensor:
        return F.avg_pool2d(_contrast(x), window, stride=1).flatten(1).amin(1) < BLANK

    return marked(x), marked(x_fake)


def translation_marks(x: Tensor, x_fake: Tensor) -> Marks:
    """Mark a blank first or last row or column."""

    def marked(x: Tensor) -> Tensor:
        size = _contrast(x)[:, 0]
        borders = [size[:, 0], size[:, -1], size[:, :, 0], size[:, :, -1]]
        return torch.stack([border.mean(1) for border in borders]).amin(0) < BLANK

    return marked(x), marked(x_fake)


def color_marks(x: Tensor, x_fake: Tensor) -> Marks:
    """Mark colours that a classifier takes for those of tinted real images rather than of real ones.

    It learns from copies with blur and noise too, and sees every set relative to its own median: what all
    images of a generator have in common is a flaw, a leak makes them differ.
    """
    generator = torch_stream(0, "colour marks")
    usual = [x, *(_flawed(x, generator) for _ in range(COPIES))]
    changed = [color(part, generator).clamp(-1, 1) for part in usual]
    features = np.concatenate([_colours(part) for part in usual + changed])
    is_changed = np.repeat([0, 1], len(features) // 2)
    image = np.tile(np.arange(len(x)), 2 * len(usual))
    model = make_pipeline(StandardScaler(), PolynomialFeatures(2), LogisticRegression(C=0.1, max_iter=1000))
    odds = cross_val_predict(
        model, features, is_changed, groups=image, cv=GroupKFold(3), method="decision_function"
    )
    limit = max(np.quantile(odds[is_changed == 0], USUAL), np.quantile(odds[is_changed == 1], MISSED))
    fake_odds = model.fit(features, is_changed).decision_function(_colours(x_fake))
    return torch.from_numpy(odds[: len(x)] > limit), torch.from_numpy(fake_odds > limit)


def flip_marks(x: Tensor, x_fake: Tensor) -> Marks:
    """Mark images that are nearer to a mirrored real image than to any real one, itself left out.

    Where the data have no left and right, as most photographs do, no image is marked more than another and
    mirroring does no harm either.
    """
    factor = max(1, min(x.shape[2:]) // 16)
    real, mirror, fake = (F.avg_pool2d(part, factor).flatten(1) for part in (x, x.flip(3), x_fake))
    itself = torch.arange(len(x))

    def marked(part: Tensor, excluded: Tensor | None) -> Tensor:
        near, far = torch.cdist(part, real), torch.cdist(part, mirror)
        if excluded is not None:
            near[excluded, excluded] = far[excluded, excluded] = torch.inf
        d, d_mirror = near.amin(1), far.amin(1)
        return d - d_mirror > MIRRORED * (d + d_mirror)

    return marked(real, itself), marked(fake, None)


MARKS: dict[str, Callable[[Tensor, Tensor], Marks]] = {
    "color": color_marks,
    "translation": translation_marks,
    "cutout": cutout_marks,
    "flip": flip_marks,
}


def _contrast(x: Tensor) -> Tensor:
    """Return each pixel's distance from 0 over its image's mean distance, (n, 1, height, width)."""
    size = x.abs().amax(1, keepdim=True)
    return size / size.mean((2, 3), keepdim=True).clamp(min=1e-6)


def _flawed(x: Tensor, generator: torch.Generator) -> Tensor:
    """Return the images as a middling generator might have them: some blurred, some noisy, some both."""
    amount = torch.rand(2, len(x), 1, 1, 1, generator=generator)
    amount *= torch.rand(2, len(x), 1, 1, 1, generator=generator) < 0.6
    kernel = torch.tensor([0.25, 0.5, 0.25])
    kernel = (kernel[:, None] * kernel).expand(x.shape[1], 1, 3, 3)
    blurred = F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), kernel, groups=x.shape[1])
    x = x + amount[0] * (blurred - x)
    return (x + 0.12 * amount[1] * torch.randn(x.shape, generator=generator)).clamp(-1, 1)


def _colours(x: Tensor) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Return brightness, contrast and saturation of each image, less the median of all: (n, 7 or 10)."""
    grey = x.mean(1, keepdim=True)
    light = grey.flatten(1).double()
    levels = torch.tensor([0.05, 0.25, 0.5, 0.75, 0.95], dtype=torch.float64)
    features = [light.mean(1), light.std(1, correction=0).clamp(min=0.01).log(), *light.quantile(levels, 1)]
    if x.shape[1] > 1:
        saturation = (x - grey).square().mean(1).sqrt().flatten(1).double()
        features += saturation.quantile(levels[2::2], 1).clamp(min=0.03).log()
        features += [saturation.mean(1).clamp(min=0.03).log()]
    table = torch.stack(features, 1)
    return (table - table.median(0).values).numpy()
