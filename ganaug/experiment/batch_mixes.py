"""Batches whose samples are mixed in pairs, and their labels with them, by torchvision."""

from collections.abc import Callable

from torch import Tensor

BatchMix = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]

MIXES = {"mixup": ("MixUp", 0.2), "cutmix": ("CutMix", 1.0)}
"""The transform of torchvision by name, and the parameter of its Beta distribution: those of the papers."""


def batch_mix(name: str, n_classes: int) -> BatchMix:
    """Return what mixes a batch: samples (n, *shape), and classes (n,) or probabilities (n, n_classes).

    It draws from torch's global generator, and returns probabilities.
    """
    from torchvision.transforms import v2

    kind, alpha = MIXES[name]
    transform = getattr(v2, kind)(alpha=alpha, num_classes=n_classes)

    def mix(batch: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        images = batch if batch.ndim == 4 else batch.reshape(len(batch), -1, 1, 1)
        mixed, probabilities = transform(images, target)
        return mixed.reshape(batch.shape), probabilities

    return mix
