"""Which samples train and which test, per seed, and how far the seeds depend on each other."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.model_selection import StratifiedShuffleSplit

from ganaug._checks import listed, number
from ganaug._random import derive, numpy_stream
from ganaug.errors import ConfigError, DataError

Labelled = int | Mapping[Any, int] | None


@dataclass(frozen=True)
class Splits:
    """Rows of X per seed; `test` is None where the caller gave a test set."""

    train: list[np.ndarray[Any, Any]]
    test: list[np.ndarray[Any, Any]] | None
    overlap: float  # n_test / n_train where seeds share training samples, else 0
    note: str  # one sentence for the record


def make_splits(
    y: np.ndarray[Any, Any],
    *,
    seeds: int,
    labelled_per_class: Labelled,
    test_size: float,
    n_given_test: int | None,
    seed: int,
) -> Splits:
    """Return the splits of a comparison.

    With `labelled_per_class`, each seed gets its own share of the data, disjoint from the others',
    wherever there is enough: so many samples a class for training, and (without a given test set)
    the rest of the share for testing.
    """
    number("seeds", seeds, low=3, integer=True)
    labels, counts = np.unique(y, return_counts=True)
    sizes = dict(zip(labels.tolist(), counts.tolist(), strict=True))
    if labelled_per_class is None:
        if n_given_test is not None:
            return Splits(
                [np.arange(len(y))] * seeds,
                None,
                n_given_test / len(y),
                "every seed trains on all of X and tests on the given test set",
            )
        number("test_size", test_size, low=0, high=0.9, open_low=True)
        splitter = StratifiedShuffleSplit(seeds, test_size=test_size, random_state=derive(seed, "splits"))
        try:
            pairs = list(splitter.split(np.zeros(len(y)), y))
        except ValueError as error:
            raise DataError(f"X cannot be split with test_size={test_size}: {error}") from error
        train, test = [list(part) for part in zip(*pairs, strict=True)]
        share = len(test[0]) / len(train[0])
        return Splits(train, test, share, f"{seeds} stratified random splits of X")

    wanted = _per_class(labelled_per_class, sizes)
    reserve = 1 if n_given_test is None else 0
    most = min(sizes[k] // (n + reserve) for k, n in wanted.items())
    if most < seeds and n_given_test is None:
        raise DataError(
            f"X is too small for {seeds} seeds with their own {listed(set(wanted.values()))} training "
            f"samples per class and a test part; at most {most} seeds fit. Lower seeds or "
            "labelled_per_class, or leave it out to split all of X at random."
        )
    disjoint = most >= seeds
    train, test = [], []
    for s in range(seeds):
        train_rows, test_rows = [], []
        for label, n in wanted.items():
            stream = numpy_stream(seed, "splits", str(label), *([] if disjoint else [s]))
            rows = stream.permutation(np.flatnonzero(y == label))
            own = np.array_split(rows, seeds)[s] if disjoint else rows
            train_rows.append(own[:n])
            test_rows.append(own[n:])
        train.append(np.sort(np.concatenate(train_rows)))
        test.append(np.sort(np.concatenate(test_rows)))
    if n_given_test is None:
        return Splits(train, test, 0.0, "each seed has its own training and test samples")
    if disjoint:
        note = "each seed has its own training samples; the interval holds for the given test set"
        return Splits(train, None, 0.0, note)
    note = "training samples are drawn anew per seed and may be shared; one given test set"
    return Splits(train, None, n_given_test / len(train[0]), note)


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
