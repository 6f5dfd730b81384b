"""Images that stay in their files: packed when they are read, a batch at a time."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ganaug.data.images import ImageCodec
from ganaug.shards import Chosen, Rows, Shards

CPU = torch.device("cpu")


@dataclass(frozen=True)
class StoredImages:
    """What `ImageCodec.pack` would give of images in files, row by row (n, channels, height, width)."""

    images: Shards | Chosen
    codec: ImageCodec
    device: torch.device = CPU

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return 4

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, rows: Rows | slice) -> Tensor:
        """Return packed images, channels last in memory."""
        return self.codec.pack(self.images[rows]).to(self.device)

    def to(self, device: torch.device) -> "StoredImages":
        """Return the same images, to be read for another device."""
        return replace(self, device=device)
