"""Simulated comparisons whose truth is known: classifiers of Gaussian data, on real splits.

Every arm is a nearest-mean classifier that sees its own columns of the data, so that arms differ as real ones
do: what one of them makes of a sample is the same in every split. Arms with the same shift between classes
are worth the same. With two classes the accuracy of a trained rule is known in closed form.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from ganaug.experiment.bootstrap import sample_df
from ganaug.experiment.splits import make_splits
from ganaug.experiment.statistics import Estimate, crossed_estimate, paired_estimate

Array = np.ndarray[Any, Any]

COLUMNS = 5
SPLITS: dict[str, dict[str, Any]] = {"folds": {"folds": 5}, "random splits": {"test_size": 0.25}}
KINDS = ("own samples", "given test", "given test, one pool", *SPLITS)


@dataclass(frozen=True)
class Sizes:
    """Samples of each class."""

    train: int = 20
    test: int = 100  # of a given test set; `train` of the seeds' own
    pool: int = 100


@dataclass(frozen=True)
class World:
    """One simulated comparison."""

    parts: list[tuple[Array, Array]]  # of each seed: true classes (n,), what the arms say (n, arms)
    truth: Array  # true accuracy (arms,) in points, where there are two classes
    overlap: float
    given: bool

    def scores(self) -> Array:
        """Return the accuracy (arms, seeds) in points; classes are of one size, so it is the balanced one."""
        return np.array([100 * (said == y[:, None]).mean(0) for y, said in self.parts]).T

    def resampled(self, counts: Array) -> Array:
        """Return the accuracy (arms, seeds, resamples) on resampled test samples."""
        right = np.stack([said == y[:, None] for y, said in self.parts], axis=2).astype(np.float32)
        flat = counts @ right.reshape(len(right), -1) / counts.sum(axis=1, keepdims=True)
        return 100 * flat.T.reshape(*right.shape[1:], -1)


class Judge:
    """Estimates of differences between the arms of a world, as `Comparison` makes them."""

    def __init__(self, world: World, counts: Array) -> None:
        self.world, self.scores = world, world.scores()
        self.drawn = world.resampled(counts) if world.given else None
        self.step = 100 / len(world.parts[0][0])
        self.test_df = sample_df(world.parts[0][0], within_classes=True)

        self.against: dict[tuple[int, int], Estimate] = {}

    def estimate(self, arm: int, control: int) -> Estimate:
        """Return the estimate of an arm against a control."""
        if (arm, control) not in self.against:
            self.against[arm, control] = self.estimate_over(arm, [control] * self.scores.shape[1])
        return self.against[arm, control]

    def estimate_over(self, arm: int, control: Sequence[int]) -> Estimate:
        """Return the estimate of an arm against the control of each seed."""
        seeds = np.arange(self.scores.shape[1])
        differences = self.scores[arm] - self.scores[control, seeds]
        if self.drawn is None:
            return paired_estimate(differences, overlap=self.world.overlap, resolution=self.step)
        drawn = self.drawn[arm] - self.drawn[control, seeds]
        return crossed_estimate(differences, drawn, resolution=self.step, test_df=self.test_df)


def simulated(
    kind: str,
    seeds: int,
    shifts: Array,
    rng: np.random.Generator,
    *,
    n_classes: int = 2,
    sizes: Sizes = Sizes(),
) -> World:
    """Return a comparison of arms with these distances of class means."""
    given, overlap = kind.startswith("given"), 0.0
    parts, fitted = [], []
    if given:
        X_test, y_test = drawn(sizes.test, n_classes, shifts, rng)
    if kind in ("own samples", "given test"):
        for _ in range(seeds):
            X, y = drawn(sizes.train, n_classes, shifts, rng)
            X_new, y_new = (X_test, y_test) if given else drawn(sizes.train, n_classes, shifts, rng)
            fitted.append(rule(X, y))
            parts.append((y_new, said(fitted[-1], X_new)))
    elif given:
        X, y = drawn(sizes.pool, n_classes, shifts, rng)
        for s in range(seeds + 100):  # what the pool teaches on average is what the interval is about
            rows = [rng.choice(np.flatnonzero(y == k), sizes.train, False) for k in range(n_classes)]
            fitted.append(rule(X[np.concatenate(rows)], y[np.concatenate(rows)]))
            if s < seeds:
                parts.append((y_test, said(fitted[-1], X_test)))
        fitted = fitted[seeds:]
    else:
        X, y = drawn(sizes.pool, n_classes, shifts, rng)
        splits = make_splits(y, seeds=seeds, seed=int(rng.integers(2**31)), **SPLITS[kind])
        overlap = splits.overlap
        for train, test in zip(splits.train, splits.test or [], strict=True):
            fitted.append(rule(X[train], y[train]))
            parts.append((y[test], said(fitted[-1], X[test])))
    truth = np.array([accuracies(r, shifts) for r in fitted]).mean(0) if n_classes == 2 else np.zeros(0)
    return World(parts, 100 * truth, overlap, given)


def drawn(n: int, n_classes: int, shifts: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return samples (n per class, arms, columns) in the order of their classes, whose means stand apart."""
    y = np.repeat(np.arange(n_classes), n)
    X = rng.normal(size=(len(y), len(shifts), max(COLUMNS, n_classes)))
    return X + shifts[:, None] * centres(n_classes)[y][:, None], y


def centres(n_classes: int) -> Array:
    """Return the class means (classes, columns) at a shift of 1."""
    if n_classes == 2:
        return np.stack([np.zeros(COLUMNS), np.full(COLUMNS, np.sqrt(0.5))])
    return np.eye(n_classes)


def rule(X: Array, y: Array) -> Array:
    """Return the class means (classes, arms, columns) of training samples."""
    return np.stack([X[y == k].mean(0) for k in np.unique(y)])


def said(means: Array, X: Array) -> Array:
    """Return the nearest mean (n, arms)."""
    near: Array = (np.einsum("nac,kac->nak", X, means) - (means**2).sum(-1).T / 2).argmax(-1)
    return near


def accuracies(means: Array, shifts: Array) -> Array:
    """Return the true accuracy of each arm's rule (arms,), for two classes."""
    w, threshold = means[1] - means[0], ((means[1] - means[0]) * (means[1] + means[0]) / 2).sum(-1)
    length, reach = np.linalg.norm(w, axis=-1), (w * centres(2)[1]).sum(-1) * shifts
    right: Array = (special.ndtr(threshold / length) + special.ndtr((reach - threshold) / length)) / 2
    return right
