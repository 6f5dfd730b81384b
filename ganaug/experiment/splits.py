"""Which samples train and which test, per seed, and how far the seeds depend on each other.

The interval of Nadeau and Bengio takes the scores of two seeds to correlate by ``rho``, and widens the
variance by ``rho / (1 - rho)``, here called the overlap. Their rho is the expected share of test samples
that two seeds have in common: ``n_test / n`` of random splits, ``1 / k`` of repeated k-fold, hence the
overlaps ``n_test / (n - n_test)`` and ``1 / (k - 1)``.

A `train_size` leaves the test parts as they are, and so this rho. What two seeds then share of their
training samples falls to ``train_size / n``: where that is at most rho, no mixture of the variances due
to training and test samples makes scores correlate by more than rho; where it is more, it is still less
than without `train_size`. ``n_test / train_size`` instead would grow without bound as seeds come to
share less. With a given test set the shared training samples are all that correlates: rho is
``train_size / n``; the verdict uses two levels there instead (`statistics.crossed_estimate`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.model_selection import (
    RepeatedStratifiedKFold,
    StratifiedGroupKFold,
    StratifiedKFold,
    StratifiedShuffleSplit,
)

from ganaug._checks import listed, number
from ganaug._random import derive, numpy_stream
from ganaug.errors import ConfigError, DataError

Labelled = int | Mapping[Any, int] | None
Rows = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Splits:
    """Rows of X per seed; `test` is None where the caller gave a test set."""

    train: list[np.ndarray[Any, Any]]
    test: list[np.ndarray[Any, Any]] | None
    overlap: float  # rho / (1 - rho) where seeds share samples, else 0
    note: str  # one sentence for the record
    reserve: list[Rows] | None = None  # rows of neither part for oracles, disjoint where the parts are

    def rest(self, seed: int, n: int) -> Rows:
        """Return those of the n rows of X that a seed neither trains nor tests on."""
        tested = [] if self.test is None else [self.test[seed]]
        return np.setdiff1d(np.arange(n), np.concatenate([self.train[seed], *tested]))

    @property
    def one_training_set(self) -> bool:
        """Whether every seed trains on the same samples, of which an interval then says nothing more."""
        return all(np.array_equal(self.train[0], rows) for rows in self.train)


def make_splits(
    y: np.ndarray[Any, Any],
    *,
    seeds: int,
    labelled_per_class: Labelled = None,
    test_size: float = 0.25,
    folds: int | None = None,
    train_size: int | None = None,
    n_given_test: int | None = None,
    groups: Rows | None = None,
    seed: int,
) -> Splits:
    """Return the splits of a comparison; the samples of a group (n,) go to one side together.

    With `labelled_per_class`, each seed gets its own share of the data, disjoint from the others',
    wherever there is enough: so many samples a class for training, and (without a given test set)
    the rest of the share for testing.
    """
    number("seeds", seeds, low=3, integer=True)
    ways = {"labelled_per_class": labelled_per_class, "folds": folds, "train_size": train_size}
    _apart(ways, "labelled_per_class", "folds")
    _apart(ways, "labelled_per_class", "train_size")
    _apart({**ways, "test": n_given_test}, "folds", "test")
    _apart({**ways, "groups": groups}, "labelled_per_class", "groups")
    if labelled_per_class is not None:
        return _labelled(y, seeds, labelled_per_class, n_given_test, seed)
    if n_given_test is not None:
        note = (
            "every seed trains on all of X and tests on the given test set; the interval is about new test "
            "samples and new random numbers, with these training samples"
        )
        whole = Splits([np.arange(len(y))] * seeds, None, n_given_test / len(y), note)
    elif folds is not None:
        whole = _folded(y, seeds, folds, groups, seed)
    else:
        whole = _random(y, seeds, test_size, groups, seed)
    return whole if train_size is None else _subsampled(y, whole, train_size, seed)


def _apart(given: dict[str, Any], first: str, second: str) -> None:
    if given[first] is not None and given[second] is not None:
        raise ConfigError(f"{first} and {second} cannot be combined; leave one of them out.")


def _random(y: Rows, seeds: int, test_size: float, groups: Rows | None, seed: int) -> Splits:
    number("test_size", test_size, low=0, high=0.9, open_low=True)
    if groups is not None:
        return _random_groups(y, seeds, test_size, groups, seed)
    splitter = StratifiedShuffleSplit(seeds, test_size=test_size, random_state=derive(seed, "splits"))
    try:
        pairs = list(splitter.split(y, y))
    except ValueError as error:
        raise DataError(f"X cannot be split with test_size={test_size}: {error}") from error
    train, test = [list(part) for part in zip(*pairs, strict=True)]
    return Splits(train, test, len(test[0]) / len(train[0]), f"{seeds} stratified random splits of X")


def _random_groups(y: Rows, seeds: int, test_size: float, groups: Rows, seed: int) -> Splits:
    """Return random splits of whole groups, as nearly stratified as the groups allow.

    Each is one fold, drawn at random, of a new stratified partition into ``1 / test_size`` folds, or all but
    one of a partition where the test part is the larger one. The first fold would hold the largest group.
    """
    n_folds = max(2, round(1 / min(test_size, 1 - test_size)))
    _enough_groups(y, groups, n_folds)
    pairs = []
    for s in range(seeds):
        folds = inner_folds(y, n_folds, groups=groups, seed=derive(seed, "splits", s))
        pairs.append(folds[int(numpy_stream(seed, "fold", s).integers(len(folds)))])
    pairs = [(b, a) for a, b in pairs] if test_size > 0.5 else pairs
    train, test = [list(part) for part in zip(*pairs, strict=True)]
    share = float(np.mean([len(part) for part in test])) / len(y)
    return Splits(train, test, share / (1 - share), f"{seeds} stratified random splits of X{_kept(groups)}")


def _enough_groups(y: Rows, groups: Rows, least: int) -> None:
    """Raise DataError where a class is in fewer groups than there are folds."""
    labels, counts = np.unique(y[_first_of_each(y, groups)], return_counts=True)
    if counts.min() < least:
        raise DataError(
            f"each class must be in at least {least} groups for {least} folds; "
            f"{listed(labels[counts < least])} is in fewer. Add groups, or take a larger test_size or "
            "fewer folds."
        )


def _first_of_each(y: Rows, groups: Rows) -> Rows:
    """Return a row for each group of each class."""
    pairs = np.column_stack([np.unique(v, return_inverse=True)[1] for v in (y, groups)])
    return np.unique(pairs, axis=0, return_index=True)[1]


def _kept(groups: Rows | None) -> str:
    return "" if groups is None else f", {len(np.unique(groups))} groups kept together"


def inner_folds(c: Rows, n_folds: int, *, groups: Rows | None = None, seed: int) -> list[tuple[Rows, Rows]]:
    """Return stratified folds (rows to train on, rows held out), of whole groups where there are groups.

    At most as many folds as the smallest class has samples, or is in groups; none where that is one.
    """
    units = c if groups is None else c[_first_of_each(c, groups)]
    n_folds = min(n_folds, int(np.unique(units, return_counts=True)[1].min()))
    if n_folds < 2:
        return []
    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    return list(kind(n_folds, shuffle=True, random_state=seed).split(c, c, groups))


def _folded(y: Rows, seeds: int, folds: int, groups: Rows | None, seed: int) -> Splits:
    number("folds", folds, low=2, integer=True)
    if seeds % folds:
        raise ConfigError(
            f"seeds must be a multiple of folds={folds}, a fold per seed; got {seeds}. "
            f"Use e.g. seeds={folds * (seeds // folds + 1)}."
        )
    labels, counts = np.unique(y, return_counts=True)
    if counts.min() < folds:
        raise DataError(
            f"each class must have at least {folds} samples for folds={folds}; "
            f"{listed(labels[counts < folds])} has fewer. Lower folds, or drop or merge the class."
        )
    repeats = seeds // folds
    if groups is None:
        random_state = derive(seed, "splits")
        splitter = RepeatedStratifiedKFold(n_splits=folds, n_repeats=repeats, random_state=random_state)
        pairs = list(splitter.split(y, y))
    else:
        _enough_groups(y, groups, folds)
        whole = [inner_folds(y, folds, groups=groups, seed=derive(seed, "splits", r)) for r in range(repeats)]
        pairs = [pair for repeat in whole for pair in repeat]
    train, test = [list(part) for part in zip(*pairs, strict=True)]
    note = f"{repeats} times stratified {folds}-fold cross-validation of X{_kept(groups)}"
    return Splits(train, test, 1 / (folds - 1), note)


def _subsampled(y: np.ndarray[Any, Any], whole: Splits, train_size: int, seed: int) -> Splits:
    """Return the splits with stratified subsamples of their training parts."""
    n_classes, n_train = len(np.unique(y)), min(map(len, whole.train))
    number("train_size", train_size, low=2 * n_classes, high=n_train, integer=True)
    train = [
        _stratified(y, rows, train_size, numpy_stream(seed, "train size", s))
        for s, rows in enumerate(whole.train)
    ]
    reserve = [np.setdiff1d(rows, own) for rows, own in zip(whole.train, train, strict=True)]
    note = f"{whole.note}, each seed trains on a stratified subsample of {train_size}"
    if whole.test is not None:
        return replace(whole, train=train, note=note, reserve=reserve)
    if train_size == len(y):
        return whole
    note = (
        f"each seed draws a stratified {train_size} samples of X to train on; one given test set; the "
        "interval is about new test samples, and new draws from X"
    )
    return Splits(train, None, train_size / (len(y) - train_size), note, reserve)


def _stratified(
    y: np.ndarray[Any, Any], rows: np.ndarray[Any, Any], size: int, stream: np.random.Generator
) -> np.ndarray[Any, Any]:
    """Return `size` of the rows in the shares of their classes, but at least 2 of each class."""
    labels, counts = np.unique(y[rows], return_counts=True)
    shares = counts * size / len(rows)
    wanted = np.maximum(np.floor(shares), np.minimum(counts, 2)).astype(int)
    while wanted.sum() < size:
        wanted[(shares - wanted).argmax()] += 1
    while wanted.sum() > size:
        wanted[wanted.argmax()] -= 1
    chosen = [
        stream.choice(rows[y[rows] == k], n, replace=False) for k, n in zip(labels, wanted, strict=True)
    ]
    return np.sort(np.concatenate(chosen))


def _labelled(
    y: np.ndarray[Any, Any],
    seeds: int,
    labelled: int | Mapping[Any, int],
    n_given_test: int | None,
    seed: int,
) -> Splits:
    labels, counts = np.unique(y, return_counts=True)
    sizes = dict(zip(labels.tolist(), counts.tolist(), strict=True))
    wanted = _per_class(labelled, sizes)
    reserve = 1 if n_given_test is None else 0
    most = min(sizes[k] // (n + reserve) for k, n in wanted.items())
    if most < seeds and n_given_test is None:
        raise DataError(
            f"X is too small for {seeds} seeds with their own {listed(set(wanted.values()))} training "
            f"samples per class and a test part; at most {most} seeds fit. Lower seeds or "
            "labelled_per_class, or leave it out to split all of X at random."
        )
    disjoint = most >= seeds
    train, rest = [], []
    for s in range(seeds):
        train_rows, rest_rows = [], []
        for label, n in wanted.items():
            stream = numpy_stream(seed, "splits", str(label), *([] if disjoint else [s]))
            rows = stream.permutation(np.flatnonzero(y == label))
            own = np.array_split(rows, seeds)[s] if disjoint else rows
            train_rows.append(own[:n])
            rest_rows.append(own[n:])
        train.append(np.sort(np.concatenate(train_rows)))
        rest.append(np.sort(np.concatenate(rest_rows)))
    if n_given_test is None:
        return Splits(train, rest, 0.0, "each seed has its own training and test samples")
    if disjoint:
        note = (
            "each seed has its own training samples; one given test set; the interval is about new samples "
            "of both kinds"
        )
        return Splits(train, None, 0.0, note, rest)
    note = (
        "training samples are drawn anew per seed and may be shared; one given test set; the interval is "
        "about new test samples, and new draws from X"
    )
    return Splits(train, None, n_given_test / len(train[0]), note, rest)


def _per_class(labelled: int | Mapping[Any, int], sizes: dict[Any, int]) -> dict[Any, int]:
    if not isinstance(labelled, Mapping):
        labelled = dict.fromkeys(sizes, labelled)
    if set(labelled) != set(sizes):
        raise ConfigError(
            f"labelled_per_class must have an entry for each of the classes {listed(sizes)}; got "
            f"{listed(labelled)}."
        )
    for label, n in labelled.items():
        number(f"labelled_per_class[{label!r}]", n, low=2, integer=True)
        if n > sizes[label]:
            raise DataError(
                f"labelled_per_class[{label!r}] must be at most {sizes[label]}, the samples there "
                f"are; got {n}."
            )
    return {label: int(labelled[label]) for label in sizes}
