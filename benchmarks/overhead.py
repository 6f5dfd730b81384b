"""What does AugmentedDataset cost a DataLoader? Batches/s against the bare data set, 0 and 2 workers.

The bare data set has as many samples as the augmented one (half real, half from a bank on disk), of the
same kind; epochs alternate, medians over the repeats and the median of the ratios are kept.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import torch
from common import keep, markdown
from PIL import Image
from torch.utils.data import DataLoader, Dataset, TensorDataset
from torchvision.transforms.v2 import Compose, RandomCrop, ToDtype, ToImage

import ganaug

BATCH = 64


class Pictures(Dataset[Any]):
    """PIL images in memory, as torchvision's data sets yield them."""

    def __init__(self, X: np.ndarray[Any, Any], y: np.ndarray[Any, Any], transform: Any = None):
        self.X, self.targets, self.transform = X, y.tolist(), transform

    def __len__(self) -> int:
        return len(self.X)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        image: Any = Image.fromarray(self.X[index])
        return (image if self.transform is None else self.transform(image)), self.targets[index]


def loaders(n: int, workers: int, folder: str) -> Iterator[tuple[str, DataLoader[Any], DataLoader[Any]]]:
    """Yield (kind, bare loader, augmented loader) for tensors and for pictures of 32 px."""
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (n, 32, 32, 3), dtype=np.uint8)
    y = np.repeat([0, 1], n // 2)
    half = np.arange(0, n, 2)
    options: dict[str, Any] = {
        "batch_size": BATCH,
        "shuffle": True,
        "num_workers": workers,
        "persistent_workers": workers > 0,
    }
    tiny = ganaug.GANConfig(width=4, train_images=64)

    tensors, labels = torch.from_numpy(X).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(y)
    real: Any = TensorDataset(tensors[half], labels[half])
    gan = ganaug.ConditionalGAN(config=tiny, random_state=0).fit(real)
    bank = ganaug.SampleBank.from_gan(gan, n // 4).save(f"{folder}/tensors-{workers}")
    augmented = ganaug.AugmentedDataset(real, bank, fill=2)
    bare = TensorDataset(tensors, labels)
    yield "tensors", DataLoader(bare, **options), DataLoader(augmented, **options)

    transform = Compose([RandomCrop(32, padding=4), ToImage(), ToDtype(torch.float32, scale=True)])
    pictures = Pictures(X[half], y[half])
    gan = ganaug.ConditionalGAN(config=tiny, random_state=0).fit(pictures)
    bank = ganaug.SampleBank.from_gan(gan, n // 4).save(f"{folder}/pictures-{workers}")
    augmented = ganaug.AugmentedDataset(pictures, bank, fill=2, transform=transform)
    whole = Pictures(X, y, transform)
    yield "PIL images, crop", DataLoader(whole, **options), DataLoader(augmented, **options)


def seconds(loader: DataLoader[Any]) -> float:
    """Return the time of one epoch."""
    begun = time.perf_counter()
    for _ in loader:
        pass
    return time.perf_counter() - begun


def main(n: int, repeats: int) -> None:
    """Time all loaders, keep the figures, and print the table."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for workers in (0, 2):
            for kind, bare, augmented in loaders(n, workers, folder):
                seconds(bare), seconds(augmented)
                pairs = [(seconds(bare), seconds(augmented)) for _ in range(repeats)]
                n_batches = len(bare)
                rows.append(
                    {
                        "samples": kind,
                        "workers": workers,
                        "bare batches/s": n_batches / statistics.median(b for b, _ in pairs),
                        "augmented batches/s": n_batches / statistics.median(a for _, a in pairs),
                        "time ratio (median)": statistics.median(a / b for b, a in pairs),
                        "ratio min": min(a / b for b, a in pairs),
                        "ratio max": max(a / b for b, a in pairs),
                    }
                )
    keep("overhead", {"n_samples": n, "batch_size": BATCH, "repeats": repeats, "rows": rows})
    print(markdown(pd.DataFrame(rows).set_index("samples")))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=9)
    main(**vars(parser.parse_args()))
