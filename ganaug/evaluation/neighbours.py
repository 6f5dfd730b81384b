"""The real samples nearest to generated ones, class by class: what novelty is told from."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.neighbors import NearestNeighbors

from ganaug.errors import DataError

__all__ = ["LEAST_DISTINCT", "NEAR", "Neighbours", "neighbours"]

Array = np.ndarray[Any, Any]

NEAR = 0.5
SAME = 0.01
LEAST_DISTINCT = 3


@dataclass(frozen=True, eq=False)
class Neighbours:
    """How far samples of one class are from the nearest real ones, as `neighbours` found it."""

    n_train: int
    n_holdout: int
    distance: Array  # (n_fake,) to the nearest training sample
    row: Array  # (n_fake,) which one
    own: Array  # (n_fake,) distance from that one to the nearest other training sample that differs from it
    identical: Array  # (n_fake,) bool, at distance 0, or less than a hundredth of `own`
    holdout_distance: Array  # the same four for held-out samples (n_holdout,), where there are any
    holdout_own: Array
    holdout_identical: Array
    train_distance: Array  # (n_train,) from each training sample to the nearest other one
    train_near: Array  # (n_train,) bool, near duplicates of another training sample
    nearest_of_all: Array  # (n_train + n_holdout,) for each real sample: how many fakes are nearest to it
    near_of_all: Array  # the same, of those that nearly are that sample


def neighbours(train: Array, fake: Array, holdout: Array | None = None) -> Neighbours:
    """Find the nearest real samples of one class, by Euclidean distance.

    Equal training samples count as one neighbour.

    Parameters
    ----------
    train : ndarray of shape (n_train, d)
        Features of the training samples, at least three different ones.
    fake : ndarray of shape (n_fake, d)
        Features of generated samples.
    holdout : ndarray of shape (n_holdout, d) or None
        Features of real samples of the same class that the generator has not seen.

    Returns
    -------
    Neighbours

    Raises
    ------
    DataError
        If the arrays differ in width, or fewer than three training samples are different.

    Examples
    --------
    >>> train = np.array([[0.0], [1.0], [3.0]])
    >>> found = neighbours(train, np.array([[2.8], [1.0]]))
    >>> found.distance.round(1).tolist(), found.row.tolist(), found.own.tolist(), found.identical.tolist()
    ([0.2, 0.0], [2, 1], [2.0, 1.0], [False, True])
    """
    train, fake = np.asarray(train, np.float64), np.asarray(fake, np.float64)
    holdout = train[:0] if holdout is None else np.asarray(holdout, np.float64)
    if (
        not train.ndim == fake.ndim == holdout.ndim == 2
        or len({a.shape[1] for a in (train, fake, holdout)}) > 1
    ):
        shapes = ", ".join(str(a.shape) for a in (train, fake, holdout))
        raise DataError(f"train, fake and holdout must be features (n, d) with the same d; got {shapes}.")
    distinct, first, which, counts = np.unique(
        train, axis=0, return_index=True, return_inverse=True, return_counts=True
    )
    if len(distinct) < LEAST_DISTINCT:
        raise DataError(f"train must hold {LEAST_DISTINCT} different samples; got {len(distinct)}.")
    search = NearestNeighbors(n_neighbors=2, algorithm="brute").fit(distinct)
    among, other = search.kneighbors()
    row, distance = _nearest(search, distinct, fake)
    held_row, held_distance = _nearest(search, distinct, holdout)
    nearest_of_all, near_of_all = _shared(train, holdout, fake)
    return Neighbours(
        n_train=len(train),
        n_holdout=len(holdout),
        distance=distance,
        row=first[row],
        own=among[row, 0],
        identical=distance < SAME * among[row, 0],
        holdout_distance=held_distance,
        holdout_own=among[held_row, 0],
        holdout_identical=held_distance < SAME * among[held_row, 0],
        train_distance=np.where(counts > 1, 0, among[:, 0])[which.reshape(-1)],
        train_near=_near_in_training(among, other, counts)[which.reshape(-1)],
        nearest_of_all=nearest_of_all,
        near_of_all=near_of_all,
    )


def _nearest(search: Any, points: Array, queries: Array) -> tuple[Array, Array]:
    """Return which point is nearest to each query, and how far it is; exactly 0 where they are equal."""
    if not len(queries):
        return np.zeros(0, np.int64), np.zeros(0)
    rows = search.kneighbors(queries, n_neighbors=1, return_distance=False)[:, 0]
    return rows, np.linalg.norm(queries - points[rows], axis=1)


def _near_in_training(among: Array, other: Array, counts: Array) -> Array:
    """Return which distinct training samples are near duplicates of what is left without (one of) them."""
    nearest = other[:, 0]
    mutual = other[nearest, 0] == np.arange(len(counts))
    own = np.where(mutual, among[nearest, 1], among[nearest, 0])
    return np.asarray((counts > 1) | (among[:, 0] < NEAR * own))


def _shared(train: Array, holdout: Array, fake: Array) -> tuple[Array, Array]:
    """Return for each real sample how many fakes it is nearest to, and of these how many nearly are it.

    Equal samples share what they are nearest to.
    """
    if not len(holdout):
        return np.zeros(0), np.zeros(0)
    points, which = np.unique(np.concatenate([train, holdout]), axis=0, return_inverse=True)
    which = which.reshape(-1)
    search = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(points)
    own = search.kneighbors()[0][:, 0]
    rows, distance = _nearest(search, points, fake)
    alike = np.bincount(which, minlength=len(points))

    def share(rows: Array) -> Array:
        return np.asarray((np.bincount(rows, minlength=len(points)) / alike)[which])

    return share(rows), share(rows[distance < NEAR * own[rows]])
