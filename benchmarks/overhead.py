"""What does AugmentedDataset cost a DataLoader? Batches/s against the bare data set, 0 and 2 workers.

The bare data set has as many samples as the augmented one (half real, half from a bank on disk), of the
same kind; epochs alternate, medians over the repeats and the median of the ratios are kept. The epoch is
told to the augmented one, so that its transforms draw from (seed, epoch, index). Fresh samples, from a small
generator, are compared with as many from a bank.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import pandas as pd
import torch
from albumentations.pytorch import ToTensorV2
from common import keep, markdown
from PIL import Image
from torch.utils.data import DataLoader, Dataset, TensorDataset
from torchvision.datasets import ImageFolder
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
    """Yield (kind, bare loader, augmented loader) for data sets of 32 px."""
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (n, 32, 32, 3), dtype=np.uint8)
    y = np.repeat([0, 1], n // 2)
    half = np.arange(0, n, 2)
    pair = partial(loader_pair, n=n, workers=workers, folder=folder)
    crop = [RandomCrop(32, padding=4), ToImage(), ToDtype(torch.float32, scale=True)]

    tensors, labels = torch.from_numpy(X).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(y)
    some = TensorDataset(tensors[half], labels[half])
    yield "tensors", *pair(TensorDataset(tensors, labels), some)
    yield "tensors, weights", *pair(TensorDataset(tensors, labels, torch.ones(n)), some, weight=0.5)
    pictures, cropped = Pictures(X[half], y[half]), Compose(crop)
    yield "PIL images, v2 crop", *pair(Pictures(X, y, cropped), pictures, cropped)

    strong = A.Compose([A.PadIfNeeded(40, 40), A.RandomCrop(32, 32), A.HorizontalFlip(), ToTensorV2()])
    whole = Pictures(X, y, lambda image: strong(image=np.array(image))["image"])
    yield "PIL images, albumentations", *pair(whole, pictures, strong)

    to_tensor = Compose(crop[1:])
    for name, rows in (("whole", np.arange(n)), ("half", half)):
        for i in rows if not Path(folder, name).exists() else ():
            file = Path(folder, name, str(y[i]), f"{i}.png")
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(X[i]).save(file)
    files = ImageFolder(f"{folder}/whole", to_tensor), ImageFolder(f"{folder}/half")
    yield "folder of PNG", *pair(*files, to_tensor)
    bank, fresh = (pair(files[0], files[1], to_tensor, fresh=k)[1] for k in (False, True))
    yield "folder of PNG, fresh against a bank", bank, fresh


def loader_pair(
    bare: Any,
    real: Any,
    transform: Any = None,
    *,
    n: int,
    workers: int,
    folder: str,
    fresh: bool = False,
    **kwargs: Any,
) -> tuple[DataLoader[Any], DataLoader[Any]]:
    """Return loaders of the bare data set and of the augmented one, which are of one length."""
    tiny = ganaug.GANConfig(width=4, train_images=64)
    gan = ganaug.ConditionalGAN(config=tiny, random_state=0).fit(real)
    source = gan if fresh else ganaug.SampleBank.from_gan(gan, n // 4).save(tempfile.mkdtemp(dir=folder))
    mixed = ganaug.AugmentedDataset(real, source, fill=2, transform=transform, fresh=fresh, **kwargs)
    options: dict[str, Any] = {
        "batch_size": BATCH,
        "shuffle": True,
        "num_workers": workers,
        "persistent_workers": workers > 0,
    }
    return DataLoader(bare, **options), DataLoader(mixed, **options)


def seconds(loader: DataLoader[Any], epoch: int) -> float:
    """Return the time of one epoch."""
    begun = time.perf_counter()
    if isinstance(loader.dataset, ganaug.AugmentedDataset):
        loader.dataset.set_epoch(epoch)
    for _ in loader:
        pass
    return time.perf_counter() - begun


def main(n: int, repeats: int) -> None:
    """Time all loaders, keep the figures, and print the table."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for workers in (0, 2):
            for kind, bare, augmented in loaders(n, workers, folder):
                seconds(bare, 0), seconds(augmented, 0)
                pairs = [(seconds(bare, k), seconds(augmented, k)) for k in range(1, repeats + 1)]
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
