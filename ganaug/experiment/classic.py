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


def _default_compose(x: Tensor) -> Any:
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # its import asks the network otherwise
    import albumentations as A
    import cv2

    colour = x.shape[1] == 3
    edge = torch.cat([x[..., 0, :], x[..., -1, :], x[..., :, 0], x[..., :, -1]], dim=-1)
    background = float((edge.median() + 1) / 2)
    affine = A.Affine(
        scale=(0.9, 1.1),
        translate_percent=(-0.1, 0.1),
        rotate=(-15, 15),
        shear=(-8, 8),
        border_mode=cv2.BORDER_REFLECT_101 if colour else cv2.BORDER_CONSTANT,
        fill=background,
        p=0.9,
    )
    if not colour:
        return A.Compose([affine])
    jitter = A.ColorJitter(
        brightness=(0.8, 1.2), contrast=(0.8, 1.2), saturation=(0.8, 1.2), hue=(0, 0), p=0.5
    )
    return A.Compose([A.HorizontalFlip(p=0.5), affine, jitter])
