"""Give a torch classifier more of its rare classes, through an ordinary DataLoader."""

# %% Real data: handwritten digits as a torchvision data set, from 80 zeros down to 5 nines
import argparse
from itertools import count, islice

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import train_test_split
from torch import nn
from torch.utils.data import DataLoader, WeightedRandomSampler
from torchvision.datasets import VisionDataset
from torchvision.transforms import Compose, RandomAffine, ToTensor

import ganaug
from ganaug.experiment.statistics import corrected_gain

SIZES = np.geomspace(80, 5, 10).round().astype(int)
AUGMENT = Compose([RandomAffine(8, translate=(0.1, 0.1)), ToTensor()])


class Digits(VisionDataset):
    """Grey 8x8 PIL images, as torchvision's own data sets yield them."""

    def __init__(self, pixels, targets, transform=None):
        super().__init__(root=None, transform=transform)
        self.pixels, self.targets = pixels, targets.tolist()

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, index):
        image = Image.fromarray(self.pixels[index])
        return image if self.transform is None else self.transform(image), self.targets[index]


def make_data(seed):
    """Return an imbalanced part to train on, and half of all digits, with all classes, to test on."""
    X, y = load_digits(return_X_y=True)
    pixels = (X.reshape(-1, 8, 8) * 255 / 16).astype(np.uint8)
    pool, X_test, y_pool, y_test = train_test_split(pixels, y, test_size=0.5, stratify=y, random_state=seed)
    rows = np.concatenate([np.flatnonzero(y_pool == k)[:n] for k, n in enumerate(SIZES)])
    return pool[rows], y_pool[rows], Digits(X_test, y_test, transform=ToTensor())


# %% The classifier and its training loop: of ganaug they know `set_epoch` alone
def make_classifier():
    """Return a small convolutional network."""
    return nn.Sequential(
        *(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(32 * 16, 10)),
    )


def epochs(loader):
    """Yield batches without end, and tell the data set where a new epoch begins."""
    for epoch in count():
        if hasattr(loader.dataset, "set_epoch"):
            loader.dataset.set_epoch(epoch)
        yield from loader


def train(dataset, *, steps, seed, sampler=None):
    """Return the classifier after so many steps on batches of the data set, from two workers."""
    torch.manual_seed(seed)
    model = make_classifier()
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3)
    order = {"sampler": sampler, "shuffle": sampler is None}
    loader = DataLoader(dataset, batch_size=32, num_workers=2, persistent_workers=True, **order)
    for x, y in islice(epochs(loader), steps):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimiser.step()
    return model.eval()


@torch.no_grad()
def score(model, test):
    """Return the balanced accuracy on a test data set, in percent."""
    x, y = next(iter(DataLoader(test, batch_size=len(test))))
    return 100 * balanced_accuracy_score(y, model(x).argmax(1))


# %% Fit the generator on the training part alone, fill up the rare classes, train three times
def run_seed(seed, *, steps, train_images):
    """Return three scores, the generator, and the data set without and with what it made."""
    pixels, targets, test = make_data(seed)
    real = Digits(pixels, targets)  # without a transform: `AugmentedDataset` gives it to both origins
    gan = ganaug.ConditionalGAN(train_images=train_images, random_state=seed).fit(real)
    augmented = ganaug.AugmentedDataset(real, gan, fill="balance", transform=AUGMENT, random_state=seed)
    plain = Digits(pixels, targets, transform=AUGMENT)
    copies = WeightedRandomSampler(1 / np.bincount(targets)[targets], len(targets))
    scores = {
        "nothing": score(train(plain, steps=steps, seed=seed), test),
        "oversampling": score(train(plain, steps=steps, seed=seed, sampler=copies), test),
        "GAN": score(train(augmented, steps=steps, seed=seed), test),
    }
    return scores, gan, real, augmented


def draw(scores, gan, real, path):
    """Draw real digits above generated ones, and the scores of each seed."""
    fig = Figure(figsize=(7, 3.2), layout="constrained")
    left, right = fig.subplots(1, 2, width_ratios=[2.4, 1])
    X_new, y_new = gan.generate(3, random_state=0)
    y = np.array(real.targets)
    columns = [np.concatenate([real.pixels[y == k][:3], X_new[y_new == k]]) for k in range(10)]
    padded = np.pad(np.stack(columns), ((0, 0), (0, 0), (1, 1), (1, 1)))
    left.imshow(np.hstack([np.vstack(column) for column in padded]), cmap="gray_r", extent=(0, 10, 6, 0))
    left.axhline(3, color="0.6", linewidth=1)
    left.set_xticks(np.arange(10) + 0.5, [f"{n}\n+{max(SIZES) - n}" for n in SIZES], fontsize=9)
    left.set_yticks([1.5, 4.5], ["real", "generated"], rotation=90, va="center")
    left.set_xlabel("samples per class: real, and generated ones added")
    for row in zip(*scores.values(), strict=True):
        right.plot(range(3), row, color="0.75", linewidth=1, marker="o", markersize=3)
    right.plot(range(3), [np.mean(s) for s in scores.values()], "D", color="#1d5f9e", markersize=7)
    right.set_xticks(range(3), scores, rotation=20)
    right.set(ylabel="balanced accuracy, %", xlim=(-0.4, 2.4), xlabel="a line per seed, and means")
    right.spines[["top", "right"]].set_visible(False)
    fig.savefig(path, dpi=110)


def main(quick: bool = False) -> None:
    """Print class sizes, scores, and what the generator changed."""
    torch.set_num_threads(1)  # networks for 8 px only wait for a second thread
    seeds, steps, train_images = (2, 10, 200) if quick else (5, 600, 60_000)
    runs = [run_seed(seed, steps=steps, train_images=train_images) for seed in range(seeds)]
    _, gan, real, augmented = runs[0]
    print(f"real samples per class:      {np.bincount(real.targets).tolist()}")
    print(f"augmented samples per class: {np.bincount(augmented.targets).tolist()}")
    scores = {name: [found[name] for found, *_ in runs] for name in runs[0][0]}
    draw(scores, gan, real, "01_imbalanced_images.png")
    for name, values in scores.items():
        print(f"{name:14} balanced accuracy {np.mean(values):.1f} %")
    for control in ("nothing", "oversampling"):
        differences = np.subtract(scores["GAN"], scores[control])
        gain = corrected_gain(differences, overlap=1.0)  # test / rest: each seed halves the same digits
        figures = f"{gain.mean:+.2f} points [{gain.low:+.2f}, {gain.high:+.2f}]"
        print(f"GAN against {control}: {figures}, {gain.verdict} ({seeds} paired seeds, 95 % interval)")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tiny budget, to see that it runs")
    main(parser.parse_args().quick)
