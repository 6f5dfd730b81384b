"""Which game suits my data? Train a few for the same time, and an own loss beside them."""

# %% Real data: few digits to learn from, others to judge by
import argparse

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier

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


# %% An own loss is an object with two methods, elementwise, real before fake
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
    "style": {"network": "style"},
    "r3gan": {"network": "r3gan", "loss": "relativistic", "regularizers": ("r1", "r2")},
    "without lecam": {"regularizers": ("spectral-norm",)},
    "evolution": {"mutations": ("minimax", "heuristic", "least-squares"), "loss": "non-saturating"},
    "own loss": {"loss": Exponential()},
}


def main(minutes, quick):
    """Print how near each game's samples are, and what a classifier learns from them alone."""
    torch.set_num_threads(1)  # networks for 8 px only wait for a second thread
    X, y, X_judge, y_judge = make_data(seed=0)
    budget = {"train_images": 640} if quick else {"train_images": 10**9, "max_minutes": minutes}
    real = KNeighborsClassifier(1).fit(X.reshape(len(X), -1), y)
    print(f"{'game':16} {'images':>8} {'distance':>9} {'spread':>7} {'accuracy':>9}")
    for name, game in GAMES.items():
        config = ganaug.GANConfig(**game, **budget)
        gan = ganaug.ConditionalGAN(config=config, device="cpu", random_state=0).fit(X, y)
        X_new, y_new = gan.generate(100, random_state=0)
        learned = KNeighborsClassifier(1).fit(X_new.reshape(len(X_new), -1), y_new)
        score = 100 * learned.score(X_judge.reshape(len(X_judge), -1), y_judge)
        last = gan.history_[-1]
        print(
            f"{name:16} {last['images_seen']:8} {last['distance']:9.2f} {last['spread']:7.2f} {score:8.1f} %"
        )
    score = 100 * real.score(X_judge.reshape(len(X_judge), -1), y_judge)
    print(f"{'real samples':16} {'':8} {'':9} {'':7} {score:8.1f} %")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=0.5)
    parser.add_argument("--quick", action="store_true")
    main(**vars(parser.parse_args()))
