"""Classic augmentation of images by albumentations, as a function of a batch."""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganaug._random import derive

BatchTransform = Callable[[Tensor], Tensor]


def classic_transform(x: Tensor, *, seed: int, compose: Any = None) -> BatchTransform:
    """Return a seeded transform of images (n, channels, height, width) in [-1, 1] like `x`.

    Images go through `compose`, an albumentations Compose on float32 images in [0, 1], or through a
    default one: small affine changes, and for colour images a horizontal flip and colour jitter.
    """
    pipeline = _default_compose(x) if compose is None else compose
    pipeline.set_random_seed(derive(seed, "classic"))

    def transform(batch: Tensor) -> Tensor:
        if not len(batch):
            return batch
        images = batch.add(1).div(2).permute(0, 2, 3, 1).contiguous().numpy()
        changed = np.stack([pipeline(image=image)["image"] for image in images])
        return torch.from_numpy(changed).permute(0, 3, 1, 2).mul(2).sub(1).to(batch.dtype)

    return transform


def randaugment(x: Tensor) -> Any:
    """Return two operations of a list, anew for each image, none of which mirrors a grey image.

    After RandAugment (Cubuk et al., 2020), by albumentations and with its magnitudes drawn, not searched.
    """
    A = _albumentations()
    operations = [
        A.Affine(rotate=(-30, 30), **_border(x)),
        A.Affine(shear={"x": (-17, 17), "y": (0, 0)}, **_border(x)),
        A.Affine(shear={"x": (0, 0), "y": (-17, 17)}, **_border(x)),
        A.Affine(translate_percent={"x": (-0.15, 0.15), "y": (0, 0)}, **_border(x)),
        A.Affine(translate_percent={"x": (0, 0), "y": (-0.15, 0.15)}, **_border(x)),
        A.RandomBrightnessContrast(brightness_limit=0.3, contrast_limit=0, p=1),
        A.RandomBrightnessContrast(brightness_limit=0, contrast_limit=0.5, p=1),
        A.Sharpen(alpha=(0.1, 0.5), p=1),
        A.Posterize(num_bits=(4, 7), p=1),
        A.NoOp(p=1),
    ]
    if x.shape[1] == 3:
        colour = A.ColorJitter(brightness=(1, 1), contrast=(1, 1), saturation=(0.5, 1.5), hue=(0, 0), p=1)
        return A.Compose([A.HorizontalFlip(p=0.5), A.SomeOf([*operations, colour], n=2, p=1)])
    return A.Compose([A.SomeOf(operations, n=2, p=1)])


def elastic(x: Tensor) -> Any:
    """Return a smooth random warp of half of the images, before the default augmentation."""
    A = _albumentations()
    side = min(x.shape[2:])
    warp = A.ElasticTransform(alpha=1.2 * side, sigma=0.15 * side, **{**_border(x), "p": 0.5})
    return A.Compose([warp, *_default_compose(x).transforms])


COMPOSES: dict[str, Callable[[Tensor], Any]] = {"randaugment": randaugment, "elastic": elastic}
"""Classic augmentation by name, other than the default or the caller's own."""


def _default_compose(x: Tensor) -> Any:
    A = _albumentations()
    affine = A.Affine(
        scale=(0.9, 1.1),
        translate_percent=(-0.1, 0.1),
        rotate=(-15, 15),
        shear=(-8, 8),
        **{**_border(x), "p": 0.9},
    )
    if x.shape[1] != 3:
        return A.Compose([affine])
    jitter = A.ColorJitter(
        brightness=(0.8, 1.2), contrast=(0.8, 1.2), saturation=(0.8, 1.2), hue=(0, 0), p=0.5
    )
    return A.Compose([A.HorizontalFlip(p=0.5), affine, jitter])


def _border(x: Tensor) -> dict[str, Any]:
    """Return what fills the border: colour images are reflected, others have their median there."""
    import cv2

    edge = torch.cat([x[..., 0, :], x[..., -1, :], x[..., :, 0], x[..., :, -1]], dim=-1)
    mode = cv2.BORDER_REFLECT_101 if x.shape[1] == 3 else cv2.BORDER_CONSTANT
    return {"border_mode": mode, "fill": float((edge.median() + 1) / 2), "p": 1.0}


def _albumentations() -> Any:
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # its import asks the network otherwise
    import albumentations

    return albumentations
