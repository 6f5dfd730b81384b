"""Small labelled data sets for the tests of AugmentedDataset, and a generator fitted on one."""

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset, TensorDataset
from torchvision.datasets import VisionDataset

from ganaug import ConditionalGAN, GANConfig, SampleBank

CONFIG = GANConfig(width=4, z_dim=4, batch_size=16, train_images=64)


class Drawings(VisionDataset):
    """PIL images of three classes, 8, 4 and 2 of them; the class is the brightness."""

    classes = ("dark", "grey", "light")
    targets = (0,) * 8 + (1,) * 4 + (2,) * 2

    def __init__(self, mode="L", **kwargs):
        super().__init__(root=None, **kwargs)
        self.mode = mode

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, index):
        if not 0 <= index < len(self):
            raise IndexError(index)
        channels = 3 if self.mode == "RGB" else 1
        pixels = np.full((8, 8, channels), 100 * self.targets[index] + index, dtype=np.uint8)
        image = Image.fromarray(pixels if channels == 3 else pixels[..., 0])
        x, y = image, self.targets[index]
        return (x, y) if self.transforms is None else self.transforms(x, y)


def fitted(real):
    return ConditionalGAN(config=CONFIG, random_state=0).fit(real)


class Pairs(Dataset):
    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index]


def numbered_table():
    """Return rows [2i, 2i + 1] of three classes, 12, 6 and 2 of them."""
    X = torch.arange(40, dtype=torch.float32).reshape(20, 2)
    return TensorDataset(X, torch.tensor([0] * 12 + [1] * 6 + [2] * 2))


def numbered_bank(table):
    """Return a bank whose samples tell their class and number: 1000 * (1 + class) + number."""
    classes = np.repeat([0, 1, 2], 30)
    numbers = 1000.0 * (1 + classes) + np.tile(np.arange(30), 3)
    return SampleBank(np.stack([numbers, numbers], axis=1).astype(np.float32), classes, fitted(table).schema_)
