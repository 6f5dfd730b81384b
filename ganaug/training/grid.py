"""A picture of samples, a row per class, from the same noise each time."""

from typing import Any

import torch

from ganaug._random import derive
from ganaug.training.drawing import Drawing

ROWS = 16


def sample_grid(drawing: Drawing, *, n_classes: int, columns: int, seed: int) -> Any:
    """Return a PIL image of samples of the first 16 classes."""
    from PIL import Image
    from torchvision.utils import make_grid

    stream = derive(seed, "grid")
    rows = range(min(n_classes, ROWS))
    x = torch.cat([piece for k in rows for piece in drawing.pieces(k, columns, stream=stream)])
    grid = make_grid((x + 1) / 2, nrow=columns, padding=2)
    return Image.fromarray(grid.clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).numpy())
