"""Are generated samples new, or copies of training samples: pure functions of feature arrays.

The statistics take the neighbours of the classes they are about, one or several.
"""

from collections.abc import Sequence
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import hypergeom, norm, rankdata

from ganaug._random import numpy_stream
from ganaug.errors import DataError
from ganaug.evaluation.neighbours import NEAR, Neighbours

__all__ = [
    "Authenticity",
    "DataCopying",
    "ExactDuplicates",
    "NearDuplicates",
    "NearerToTraining",
    "authenticity",
    "data_copying",
    "detectable_share",
    "exact_duplicates",
    "holdout_shift",
    "near_duplicates",
    "nearer_to_training",
]

Array = np.ndarray[Any, Any]

N_RELABELLED = 19_999
LEAST_COPIED = 0.1
TIMES_REAL = 5


class DataCopying(NamedTuple):
    """The data-copying test."""

    z: float  # far below 0: nearer to training samples than unseen samples are
    p_value: float  # of being as near by luck


class NearerToTraining(NamedTuple):
    """How many generated samples have a training sample as their nearest real one."""

    share: float
    expected: float  # without copying
    low: float  # 95 % of shares without copying lie between
    high: float
    p_value: float

    @property
    def copied(self) -> float:
        """Return the share of copies that would explain it: 0 without copying, 1 if all are."""
        return (self.share - self.expected) / (1 - self.expected)


class NearDuplicates(NamedTuple):
    """Samples that are nearly a training sample."""

    share: float
    reference: float  # the same of real samples
    p_value: float


class ExactDuplicates(NamedTuple):
    """Samples that equal a training sample."""

    share: float
    reference: float  # the same of held-out real samples; nan without
    limit: float  # a share above it is no chance


class Authenticity(NamedTuple):
    """Samples that are farther from the nearest training sample than that one is from its own nearest."""

    share: float
    reference: float  # the same of held-out real samples; nan without


def data_copying(classes: Sequence[Neighbours]) -> DataCopying:
    """Test whether generated samples are nearer to training samples than held-out ones are.

    The data-copying test C_T (Meehan et al., 2004.05675) with classes for cells: the Mann-Whitney z of the
    distances to the nearest training sample. Over several classes it is van Elteren's: each class is ranked
    for itself and weighs 1 / (n_fake + n_holdout + 1).

    Samples that are merely typical, as a blurred or a collapsed generator's are, are near training samples
    too and give a low z without being copies: `nearer_to_training` tells these apart.

    Parameters
    ----------
    classes : sequence of Neighbours
        One or several, each with held-out samples.

    Returns
    -------
    DataCopying
        Standard normal z without copying, far below 0 with it, far above 0 where samples are unlike the
        training samples; and the one-sided p value.

    Examples
    --------
    >>> from ganaug.evaluation.neighbours import neighbours
    >>> rng = np.random.default_rng(0)
    >>> train, holdout = rng.normal(size=(2, 100, 5))
    >>> data_copying([neighbours(train, train + 0.01, holdout)]).z < -8
    True
    """
    z = _van_elteren([(c.distance, c.holdout_distance) for c in classes])
    return DataCopying(z, float(norm.cdf(z)))


def holdout_shift(classes: Sequence[Neighbours]) -> float:
    """Return how much farther held-out samples are from training samples than these are from each other.

    The same statistic as C_T: about standard normal if which samples were held out does not matter, as
    every test with held-out samples takes for granted; far above 0 where these are of another kind, time or
    place.

    Examples
    --------
    >>> from ganaug.evaluation.neighbours import neighbours
    >>> rng = np.random.default_rng(0)
    >>> train, holdout = rng.normal(size=(2, 100, 5))
    >>> [holdout_shift([neighbours(train, train, h)]) > 4 for h in (holdout, holdout + 2)]
    [False, True]
    """
    return _van_elteren([(c.holdout_distance, c.train_distance) for c in classes])


def _van_elteren(classes: Sequence[tuple[Array, Array]]) -> float:
    """Return the z of Mann and Whitney over classes: far below 0 where the first values are smaller."""
    z, variance = 0.0, 0.0
    for first, second in classes:
        n, m = len(first), len(second)
        _need_holdout(n, m)
        u = rankdata(np.concatenate([first, second]))[:n].sum() - n * (n + 1) / 2
        z += (u - n * m / 2) / (n + m + 1)
        variance += n * m / 12 / (n + m + 1)
    return float(z / variance**0.5)


def nearer_to_training(
    classes: Sequence[Neighbours], *, near: bool = False, seed: int = 0
) -> NearerToTraining:
    """Test whether the real sample nearest to a generated one is a training sample too often.

    If the generator knows no more of training than of held-out samples, which of them are which does not
    matter: a training sample is the nearest with the share n_train / (n_train + n_holdout), one half for
    equal numbers. The p value and the range come from 19,999 random exchanges of training and held-out
    samples within the classes, and so hold for generated samples of any kind: all alike, typical, or far
    from any.

    Parameters
    ----------
    classes : sequence of Neighbours
        One or several, each with held-out samples.
    near : bool, default=False
        Whether to count only generated samples that nearly are a real one: less than half as far from it as
        the real sample nearest to that is.
    seed : int, default=0
        The exchanges depend on it alone.

    Returns
    -------
    NearerToTraining
        Share and expectation over the generated samples that count, nan if none do, and the one-sided p
        value.

    Examples
    --------
    >>> from ganaug.evaluation.neighbours import neighbours
    >>> rng = np.random.default_rng(0)
    >>> train, holdout, new = rng.normal(size=(3, 100, 5))
    >>> copies = nearer_to_training([neighbours(train, train, holdout)])
    >>> copies.share, copies.expected, copies.copied, copies.p_value
    (1.0, 0.5, 1.0, 5e-05)
    >>> nearer_to_training([neighbours(train, new, holdout)]).p_value > 0.05
    True
    """
    stream = numpy_stream(seed, "exchanges")
    found, expected, n_fake, drawn = 0.0, 0.0, 0.0, np.zeros(N_RELABELLED)
    for c in classes:
        _need_holdout(len(c.distance), c.n_holdout)
        counted = c.near_of_all if near else c.nearest_of_all
        values, counts = np.unique(counted, return_counts=True)
        drawn += stream.multivariate_hypergeometric(counts, c.n_train, size=N_RELABELLED) @ values
        found += float(counted[: c.n_train].sum())
        expected += float(counted.mean() * c.n_train)
        n_fake += float(counted.sum())
    n_fake = round(n_fake) or float("nan")
    low, high = np.quantile(drawn, [0.025, 0.975]) / n_fake
    as_many = int((drawn > found - 1e-9).sum())
    return NearerToTraining(
        found / n_fake, expected / n_fake, float(low), float(high), (1 + as_many) / (1 + N_RELABELLED)
    )


def near_duplicates(classes: Sequence[Neighbours]) -> NearDuplicates:
    """Test whether more generated samples are nearly a training sample than real samples are.

    Nearly means: less than half as far from it as the nearest other training sample is. The real samples are
    those held out, and each training sample beside the others. The p value is Fisher's exact one, over
    several classes the exact conditional one of the sum. It takes the generated samples to be like the real
    ones but for copies: where near duplicates are common by chance, others may have more of them. With
    held-out samples, `nearer_to_training` with ``near=True`` needs no such thing.

    Parameters
    ----------
    classes : sequence of Neighbours
        One or several; held-out samples are not needed.

    Returns
    -------
    NearDuplicates

    Examples
    --------
    >>> from ganaug.evaluation.neighbours import neighbours
    >>> rng = np.random.default_rng(0)
    >>> train, new = rng.normal(size=(2, 100, 5))
    >>> near_duplicates([neighbours(train, np.concatenate([train[:5], new[:45]]))]).share >= 0.1
    True
    """
    chances, hits, n, reference, n_real = [np.ones(1)], 0, 0, 0, 0
    for c in classes:
        fake = int((c.distance < NEAR * c.own).sum())
        among = -(-int(c.train_near.sum()) // 2)  # two that are near each other are one event
        real = int((c.holdout_distance < NEAR * c.holdout_own).sum()) + among
        known, drawn = c.n_train // 2 + c.n_holdout, len(c.distance)
        chances.append(hypergeom.pmf(np.arange(drawn + 1), known + drawn, fake + real, drawn))
        hits, n, reference, n_real = hits + fake, n + drawn, reference + real, n_real + known
    p_value = float(reduce(np.convolve, chances)[hits:].sum())
    return NearDuplicates(hits / n, reference / n_real, min(1.0, p_value))


def exact_duplicates(classes: Sequence[Neighbours]) -> ExactDuplicates:
    """Return the share of generated, and of held-out, samples that equal a training sample.

    Equal, but for rounding: less than a hundredth as far from it as the nearest other training sample is.
    The limit is 10 %, and five times (k + 1) / (n + 1), where k of n real samples equal a training sample:
    those held out, and each training sample beside the others. So it is never passed where real samples
    repeat each other, as the rows of tables of few values do. Unlike the exchanges of `nearer_to_training`,
    it tells copies also of a few training samples, or of one.

    Parameters
    ----------
    classes : sequence of Neighbours
        One or several; held-out samples are not needed.

    Returns
    -------
    ExactDuplicates

    Examples
    --------
    >>> from ganaug.evaluation.neighbours import neighbours
    >>> rng = np.random.default_rng(0)
    >>> train, new = rng.normal(size=(2, 100, 5))
    >>> found = exact_duplicates([neighbours(train, np.concatenate([train[[7] * 50], new[:50]]))])
    >>> found.share, found.limit
    (0.5, 0.1)
    """
    fake, held = (
        np.concatenate([getattr(c, name) for c in classes]) for name in ("identical", "holdout_identical")
    )
    real = np.concatenate([held, *(c.train_distance == 0 for c in classes)])
    limit = max(LEAST_COPIED, TIMES_REAL * (int(real.sum()) + 1) / (len(real) + 1))
    return ExactDuplicates(float(fake.mean()), float(held.mean()) if len(held) else float("nan"), limit)


def authenticity(classes: Sequence[Neighbours]) -> Authenticity:
    """Return the share of samples farther from their nearest training sample than that is from its own.

    Authenticity (Alaa et al., 2102.08921); equal training samples count as one. Copies have 0; real samples
    have about one half, which the held-out ones show.

    Parameters
    ----------
    classes : sequence of Neighbours
        One or several.

    Returns
    -------
    Authenticity

    Examples
    --------
    >>> from ganaug.evaluation.neighbours import neighbours
    >>> train = np.array([[0.0], [1.0], [3.0]])
    >>> authenticity([neighbours(train, np.array([[2.8], [9.0], [1.0]]))]).share.__round__(3)
    0.333
    """
    fake = np.concatenate([c.distance > c.own for c in classes])
    held = np.concatenate([c.holdout_distance > c.holdout_own for c in classes])
    return Authenticity(float(fake.mean()), float(held.mean()) if len(held) else float("nan"))


def detectable_share(n_fake: int, n_holdout: int, *, alpha: float) -> float:
    """Return the share of copies that `data_copying` finds in four of five cases, at most about.

    A share s of copies among samples that are else as new as held-out ones moves the Mann-Whitney statistic
    by s / 2. Above 1, not even copies throughout are found that surely.

    Examples
    --------
    >>> round(detectable_share(200, 40, alpha=0.025), 2)
    0.28
    """
    sd = ((n_fake + n_holdout + 1) / (12 * n_fake * n_holdout)) ** 0.5 if n_holdout else float("inf")
    return float(2 * sd * (norm.isf(alpha) + norm.isf(0.2)))


def _need_holdout(n_fake: int, n_holdout: int) -> None:
    if not n_fake or not n_holdout:
        raise DataError(
            f"the test needs generated and held-out samples; got {n_fake} and {n_holdout}. Hold some real "
            "samples out of the generator's training."
        )
