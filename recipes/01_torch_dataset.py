"""Give a torch classifier more of its rare classes, through an ordinary DataLoader."""

# %% Real data: handwritten digits as a torchvision data set, in which odd digits are rare
import argparse

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import train_test_split
from torch import nn
from torch.utils.data import DataLoader
from torchvision.datasets import VisionDataset
from torchvision.transforms.functional import to_tensor

import ganaug

N_EVEN, N_ODD = 60, 8


class Digits(VisionDataset):
    """Grey 8x8 PIL images with the attributes of torchvision's own data sets."""

    classes = tuple(str(i) for i in range(10))

    def __init__(self, pixels, targets, transform=None):
        super().__init__(root=None, transform=transform)
        self.pixels, self.targets = pixels, targets.tolist()

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, index):
        image = Image.fromarray(self.pixels[index])
        return image if self.transform is None else self.transform(image), self.targets[index]


def make_data(seed):
    """Return a training part with 60 of each even and 8 of each odd digit, and a test part."""
    X, y = load_digits(return_X_y=True)
    pixels = (X.reshape(-1, 8, 8) * 255 / 16).astype(np.uint8)
    pool, X_test, y_pool, y_test = train_test_split(pixels, y, test_size=0.5, stratify=y, random_state=seed)
    rows = [np.flatnonzero(y_pool == k)[: N_ODD if k % 2 else N_EVEN] for k in range(10)]
    rows = np.concatenate(rows)
    return Digits(pool[rows], y_pool[rows]), Digits(X_test, y_test, transform=to_tensor)


# %% The classifier and its training loop: nothing in here knows of ganaug
def make_classifier():
    """Return a small convolutional network."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * 16, 10),
    )


def train(dataset, *, steps, seed):
    """Return the classifier after so many steps on batches of the data set, from two workers."""
    torch.manual_seed(seed)
    model = make_classifier()
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3)
    loader = DataLoader(dataset, batch_size=32, shuffle=True, num_workers=2, persistent_workers=True)
    epoch = step = 0
    while step < steps:
        if hasattr(dataset, "set_epoch"):
            dataset.set_epoch(epoch)
        for x, y in loader:
            optimiser.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimiser.step()
            step += 1
            if step == steps:
                break
        epoch += 1
    return model.eval()


@torch.no_grad()
def score(model, test):
    """Return the balanced accuracy on a test data set, in percent."""
    x, y = next(iter(DataLoader(test, batch_size=len(test))))
    return 100 * balanced_accuracy_score(y, model(x).argmax(1))


# %% Fit the generator on the training part, fill up the rare classes, compare
def main(quick: bool = False) -> None:
    """Print the class counts and the two accuracies of one seed."""
    seed, steps, train_images = (0, 20, 500) if quick else (0, 600, 60_000)
    real, test = make_data(seed)

    gan = ganaug.ConditionalGAN(train_images=train_images, random_state=seed).fit(real)
    augmented = ganaug.AugmentedDataset(real, gan, fill="balance", transform=to_tensor)
    baseline = Digits(real.pixels, np.array(real.targets), transform=to_tensor)

    print(f"real samples per class:      {np.bincount(real.targets).tolist()}")
    print(f"augmented samples per class: {np.bincount(augmented.targets).tolist()}")
    before = score(train(baseline, steps=steps, seed=seed), test)
    after = score(train(augmented, steps=steps, seed=seed), test)
    print(f"balanced accuracy on {len(test)} test digits, {steps} steps each, seed {seed}:")
    print(f"  without synthetic samples {before:.1f} %")
    print(f"  with synthetic samples    {after:.1f} % ({after - before:+.1f} points)")
    print("One seed proves nothing, and plain oversampling was not asked. For an answer to rely on,")
    print("run ganaug.compare: recipes/04_compare_and_mlflow.py.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tiny budget, to see that it runs")
    main(parser.parse_args().quick)
