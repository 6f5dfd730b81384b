"""How near a cloud of generated samples is to the real one: pure functions of feature arrays."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from ganaug._checks import number
from ganaug.errors import DataError

__all__ = [
    "Coverage",
    "PrecisionRecall",
    "density_coverage",
    "kernel_distance",
    "per_class",
    "precision_recall",
    "spread",
    "spread_ratio",
]

CHUNK = 1024


class PrecisionRecall(NamedTuple):
    """Shares of samples that lie in the other cloud."""

    precision: float  # of the fake ones: are they good?
    recall: float  # of the real ones: are they all there?


class Coverage(NamedTuple):
    """Precision and recall's sturdier kin."""

    density: float
    coverage: float


def kernel_distance(real: Tensor, fake: Tensor) -> float:
    """Return the unbiased squared maximum mean discrepancy with the kernel (a·b / d + 1)³.

    The kernel inception distance (1801.01401) on features of one's own choice. Unlike the Fréchet
    distance it does not grow as samples get fewer; for equal distributions its mean is 0, so half of the
    values are slightly negative.

    Parameters
    ----------
    real : Tensor of shape (n_real, d)
        Features of at least two real samples.
    fake : Tensor of shape (n_fake, d)
        Features of at least two generated samples.

    Returns
    -------
    float

    Examples
    --------
    >>> real, fake = torch.tensor([[-1.0], [1.0]]), torch.tensor([[-2.0], [2.0]])
    >>> kernel_distance(real, fake)  # 0 + (-3)³ - 2 · ((-1)³ + 3³) / 2
    -53.0
    """
    _need_two(real, fake)
    return (
        _mean_kernel(real, real, paired=True)
        + _mean_kernel(fake, fake, paired=True)
        - 2 * _mean_kernel(real, fake, paired=False)
    )


def precision_recall(real: Tensor, fake: Tensor, *, k: int = 3) -> PrecisionRecall:
    """Return improved precision and recall (1904.06991).

    A cloud is the union of balls around its points, each reaching to the k-th nearest other point of
    that cloud. Precision is the share of fake points in the real cloud, recall the reverse.

    Parameters
    ----------
    real : Tensor of shape (n_real, d)
        Features of at least two real samples.
    fake : Tensor of shape (n_fake, d)
        Features of at least two generated samples.
    k : int, default=3
        Neighbours that a ball reaches; lowered to n - 1 where a cloud has fewer.

    Returns
    -------
    PrecisionRecall

    Examples
    --------
    >>> real = torch.arange(10.0)[:, None]
    >>> precision_recall(real, real[:3])
    PrecisionRecall(precision=1.0, recall=0.5)
    """
    _need_two(real, fake)
    return PrecisionRecall(
        float((_balls_hit(real, fake, k) > 0).double().mean()),
        float((_balls_hit(fake, real, k) > 0).double().mean()),
    )


def density_coverage(real: Tensor, fake: Tensor, *, k: int = 5) -> Coverage:
    """Return density and coverage (2002.09797), which one outlier cannot inflate.

    Density is the mean number of real balls that a fake point lies in, divided by k: 1 for equal
    distributions, and it may exceed 1. Coverage is the share of real balls that hold a fake point.

    Parameters
    ----------
    real : Tensor of shape (n_real, d)
        Features of at least two real samples.
    fake : Tensor of shape (n_fake, d)
        Features of at least two generated samples.
    k : int, default=5
        Neighbours that a ball reaches; lowered to n_real - 1 where there are fewer.

    Returns
    -------
    Coverage

    Examples
    --------
    >>> real = torch.arange(10.0)[:, None]
    >>> density_coverage(real, real[:5], k=1)
    Coverage(density=2.8, coverage=0.6)
    """
    _need_two(real, fake)
    k = min(k, len(real) - 1)
    covered = _nearest(real, fake, 1) <= _nearest(real, real, k + 1)
    return Coverage(float(_balls_hit(real, fake, k).double().mean() / k), float(covered.double().mean()))


def spread(features: Tensor) -> float:
    """Return the trace of the covariance of features (n, d): the mean squared distance to the centroid.

    Divided by n - 1, so that small and large sets compare. For what it is used, see `spread_ratio`.

    Examples
    --------
    >>> spread(torch.tensor([[0.0, 0.0], [2.0, 0.0], [1.0, 3.0]]))
    4.0
    """
    return float(features.double().var(0).sum())


def spread_ratio(real: Tensor, fake: Tensor) -> float:
    """Return the spread of the fake samples over that of the real ones: near 0, G has collapsed.

    Parameters
    ----------
    real : Tensor of shape (n_real, d)
        Features of at least two real samples.
    fake : Tensor of shape (n_fake, d)
        Features of at least two generated samples.

    Returns
    -------
    float
        nan where the real samples are all alike.

    Examples
    --------
    >>> real = torch.arange(10.0)[:, None]
    >>> spread_ratio(real, real / 2)
    0.25
    """
    _need_two(real, fake)
    width = spread(real)
    return spread(fake) / width if width > 0 else float("nan")


def per_class(
    real: Tensor, c_real: Tensor, fake: Tensor, c_fake: Tensor, n_classes: int
) -> dict[str, Tensor]:
    """Return each measure within each class: a good whole may hide a class that has collapsed.

    Parameters
    ----------
    real : Tensor of shape (n_real, d)
        Features of real samples.
    c_real : Tensor of shape (n_real,)
        Their class indices.
    fake : Tensor of shape (n_fake, d)
        Features of generated samples.
    c_fake : Tensor of shape (n_fake,)
        Their class indices.
    n_classes : int
        Number of classes.

    Returns
    -------
    dict of str to Tensor of shape (n_classes,)
        "kernel_distance", "precision", "recall" and "spread_ratio", in float64; nan for a class with
        fewer than two real or two generated samples.

    Examples
    --------
    >>> x, c = torch.arange(10.0)[:, None], torch.tensor([0] * 5 + [1] * 5)
    >>> per_class(x, c, x[:5], c[:5], n_classes=2)["spread_ratio"]
    tensor([1., nan], dtype=torch.float64)
    """
    names = ("kernel_distance", "precision", "recall", "spread_ratio")
    values = torch.full((len(names), n_classes), torch.nan, dtype=torch.float64)
    for k in range(n_classes):
        a, b = real[c_real == k], fake[c_fake == k]
        if min(len(a), len(b)) >= 2:
            row = (kernel_distance(a, b), *precision_recall(a, b), spread_ratio(a, b))
            values[:, k] = torch.tensor(row, dtype=torch.float64)
    return dict(zip(names, values, strict=True))


def _need_two(real: Tensor, fake: Tensor) -> None:
    """Raise unless both are matrices of the same width with two rows or more."""
    if real.ndim != 2 or real.shape[1:] != fake.shape[1:] or min(len(real), len(fake)) < 2:
        raise DataError(
            "real and fake must be features of shape (n, d), the same d and n of at least 2; "
            f"got {tuple(real.shape)} and {tuple(fake.shape)}."
        )


def _mean_kernel(a: Tensor, b: Tensor, *, paired: bool) -> float:
    """Return the mean of the cubic kernel over all pairs; `paired` leaves out a sample with itself."""
    a, b = a.double(), b.double()
    total = sum(float((rows @ b.T / a.shape[1] + 1).pow(3).sum()) for rows in a.split(CHUNK))
    if not paired:
        return total / (len(a) * len(b))
    itself = float(((a * b).sum(1) / a.shape[1] + 1).pow(3).sum())
    return (total - itself) / (len(a) * (len(a) - 1))


def _distances(a: Tensor, b: Tensor) -> Iterator[Tensor]:
    """Yield the distances from a's rows to all of b, by chunks; equal rows are at exactly 0."""
    for rows in a.double().split(CHUNK):
        yield torch.cdist(rows, b.double(), compute_mode="donot_use_mm_for_euclid_dist")


def _nearest(a: Tensor, b: Tensor, k: int) -> Tensor:
    """Return the distance (n_a,) from each of a's rows to the k-th nearest of b's."""
    return torch.cat([d.kthvalue(k, 1).values for d in _distances(a, b)])


def _balls_hit(centres: Tensor, points: Tensor, k: int) -> Tensor:
    """Return for each point how many of the balls it lies in; a ball reaches its centre's k-th neighbour."""
    number("k", k, low=1, integer=True)
    radii = _nearest(centres, centres, min(k, len(centres) - 1) + 1)
    return torch.cat([(d <= radii).sum(1) for d in _distances(points, centres)])
