"""Classification models of torchvision by name, untrained, for images of any size."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

LEAST_SIDE = 64  # pixels; these networks halve an image five times
FIXED_SIDE = 224  # pixels; what models for images of one size were made for


def torchvision_names() -> Sequence[str]:
    """Return the names of the classification models."""
    from torchvision import models

    names: Sequence[str] = models.list_models(module=models)
    return names


def torchvision_model(name: str, shape: tuple[int, ...], n_classes: int) -> nn.Module:
    """Return a model for images (1 or 3 channels, height, width), with weights from torch's global generator.

    Images are repeated to 3 channels, and scaled up until their shorter side has 64 pixels, or as many as
    the model needs; to 224 x 224 where it takes no other size.
    """
    from torchvision import models

    least = max(models.get_model_weights(name).DEFAULT.meta["min_size"])
    factor = max(1.0, max(least, LEAST_SIDE) / min(shape[1:]))
    size = tuple(round(factor * side) for side in shape[1:])
    plain = {"aux_logits": False, "init_weights": True} if name in ("googlenet", "inception_v3") else {}
    model = models.get_model(name, weights=None, num_classes=n_classes, **plain)
    return nn.Sequential(Fitted((FIXED_SIDE, FIXED_SIDE) if least >= FIXED_SIDE else size), model)


class Fitted(nn.Module):
    """Images (n, 1 or 3, height, width) with 3 channels in another size."""

    def __init__(self, size: tuple[int, ...]):
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        x = x.expand(-1, 3, -1, -1)
        if x.shape[2:] == self.size:
            return x
        return F.interpolate(x, self.size, mode="bilinear", align_corners=False, antialias=True)
