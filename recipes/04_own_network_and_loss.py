"""Bring your own network and your own loss, beside the ones that ganaug has by name."""

# %% Real data: few digits to learn from, others to judge by
import argparse
import tempfile
import time

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from torch import nn

import ganaug


def make_data(seed):
    """Return 20 digits of each class to learn from, and 1,000 others."""
    X, y = load_digits(return_X_y=True)
    images = X.reshape(-1, 8, 8).astype(np.uint8)
    rest, X_judge, y_rest, y_judge = train_test_split(
        images, y, test_size=1000, stratify=y, random_state=seed
    )
    rows = np.concatenate([np.flatnonzero(y_rest == k)[:20] for k in range(10)])
    return rest[rows], y_rest[rows], X_judge, y_judge


# %% An own network: a function of plain sizes that returns G(z, c) and D(x, c), as those in `NETWORKS`
class Painter(nn.Module):
    """Map noise z (n, z_dim) and classes c (n,) to images in [-1, 1]: a dense layer, and pixels shuffled."""

    def __init__(self, shape, n_classes, z_dim, width, conditioning):
        super().__init__()
        self.side = shape[1] // 2
        self.embed = conditioning.embedding(n_classes, z_dim)
        self.stem = nn.Linear(2 * z_dim, 4 * width * self.side**2)
        self.body = nn.Sequential(
            *(nn.BatchNorm2d(4 * width), nn.ReLU(), nn.PixelShuffle(2)),
            *(nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()),
            *(nn.Conv2d(width, shape[0], 3, padding=1), nn.Tanh()),
        )

    def forward(self, z, c):
        """Return images."""
        h = self.stem(torch.cat([z, self.embed(c)], dim=1))
        return self.body(h.unflatten(1, (-1, self.side, self.side)))


class Critic(nn.Module):
    """Map images and their classes to a logit; the head is what `conditioning` of the config says."""

    def __init__(self, shape, n_classes, width, conditioning):
        super().__init__()
        self.body = nn.Sequential(
            *(nn.Conv2d(shape[0], width, 3, padding=1), nn.LeakyReLU(0.2)),
            *(nn.Conv2d(width, 2 * width, 4, stride=2, padding=1), nn.LeakyReLU(0.2)),
            *(nn.Conv2d(2 * width, 4 * width, 4, stride=2, padding=1), nn.LeakyReLU(0.2), nn.Flatten()),
        )
        self.head = conditioning.head(4 * width * (shape[1] // 4) ** 2, n_classes)

    def forward(self, x, c):
        """Return logits (n,)."""
        return self.head(self.body(x), c)


def shuffled(*, shape, n_classes, z_dim, width, conditioning):
    """Return the pair for square images; `width` is None unless the config sets it."""
    width = width or 24
    return (
        Painter(shape, n_classes, z_dim, width, conditioning),
        Critic(shape, n_classes, width, conditioning),
    )


# %% An own loss: an object with two methods, elementwise, real before fake
class Exponential:
    """Exponential loss on the margin, as in boosting, kept finite."""

    def discriminator(self, real_logits, fake_logits):
        """Return what D minimises."""
        return torch.exp(-real_logits.clamp(-4, 4)) + torch.exp(fake_logits.clamp(-4, 4))

    def generator(self, real_logits, fake_logits):
        """Return what G minimises."""
        return F.softplus(-fake_logits)


GAMES = {
    "default": {},
    "r3gan": {"network": "r3gan", "loss": "relativistic", "regularizers": ("r1", "r2")},
    "own loss": {"loss": Exponential()},
    "own network": {"network": shuffled},
    "own both": {"network": shuffled, "loss": Exponential()},
}


# %% Judge each by what a classifier learns from its samples alone
def accuracy(X, y, X_judge, y_judge):
    """Return the accuracy of a nearest neighbour that knows (X, y) alone, in percent."""
    nearest = KNeighborsClassifier(1).fit(X.reshape(len(X), -1), y)
    return 100 * nearest.score(X_judge.reshape(len(X_judge), -1), y_judge)


def main(quick: bool = False) -> None:
    """Print what each game's samples teach, and open the own network again from its file."""
    torch.set_num_threads(1)  # networks for 8 px only wait for a second thread
    seeds, train_images = (1, 320) if quick else (3, 20_000)
    scores, rows, seconds = {"real": []}, {}, {"real": 0.0}
    for seed in range(seeds):
        X, y, *judge = make_data(seed)
        scores["real"].append(accuracy(X, y, *judge))
        rows.setdefault("real", X[np.searchsorted(y, range(10))])
        for name, game in GAMES.items():
            config = ganaug.GANConfig(**game, train_images=train_images)
            started = time.process_time()
            gan = ganaug.ConditionalGAN(config=config, device="cpu", random_state=seed).fit(X, y)
            seconds[name] = time.process_time() - started
            X_new, y_new = gan.generate(100, random_state=seed)
            scores.setdefault(name, []).append(accuracy(X_new, y_new, *judge))
            rows.setdefault(name, X_new[::100])  # the first of each class, none picked
    fig = Figure(figsize=(7, 0.62 * len(rows)), layout="constrained")
    for axes, (name, images) in zip(fig.subplots(len(rows), 1), rows.items(), strict=True):
        axes.imshow(np.hstack(np.pad(images, ((0, 0), (0, 0), (1, 1)))), cmap="gray_r", vmin=0, vmax=16)
        axes.set(xticks=[], yticks=[])
        axes.set_ylabel(f"{name}\n{np.mean(scores[name]):.1f} %", rotation=0, ha="right", va="center")
    fig.savefig("04_own_network_and_loss.png", dpi=150)

    with tempfile.TemporaryDirectory(dir=".") as folder:  # a file holds weights and settings, not your code
        gan.save(folder)
        opened = ganaug.load(folder, network=shuffled)
    same = np.array_equal(gan.generate(5, random_state=1)[0], opened.generate(5, random_state=1)[0])
    print(f"'own both', saved and opened with its function, draws the same digits again: {same}")
    print(
        f"Accuracy of what learned from generated digits alone, {seeds} seeds, {train_images:,} images shown:"
    )
    for name, found in scores.items():
        span = f"from {min(found):.1f} to {max(found):.1f}"
        print(f"{name:12} {np.mean(found):5.1f} %, {span}, trained in {seconds[name]:.0f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tiny budget, to see that it runs")
    main(parser.parse_args().quick)
