"""Unlabelled samples of a comparison, and which of them each seed may see."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ganaug._checks import known_name
from ganaug.data.schema import Schema, take
from ganaug.data.sources import dataset_arrays, is_dataset
from ganaug.errors import ConfigError, DataError
from ganaug.experiment.equals import among
from ganaug.experiment.inputs import as_rows, check_like
from ganaug.experiment.splits import Splits


@dataclass(frozen=True)
class Unlabelled:
    """Samples, and of each seed the rows that it neither trains nor tests on, nor others equal to these."""

    X: Any
    rows: list[np.ndarray[Any, Any]]
    note: str  # for the record

    def __len__(self) -> int:
        """Return how many a seed has at least."""
        return min(map(len, self.rows))


def given_unlabelled(
    given: Any, schema: Schema, X: Any, splits: Splits, X_test: Any = None
) -> Unlabelled | None:
    """Return unlabelled samples, or those of X that "rest" stands for, after checking them.

    Parameters
    ----------
    given : array, DataFrame, data set, "rest" or None
        None are no samples.
    schema : Schema
        Of X.
    X : array or DataFrame
        Samples of which the seeds train, and test where there is no `X_test`.
    splits : Splits
        Of X.
    X_test : array, DataFrame or None
        The given test samples.

    Returns
    -------
    Unlabelled or None

    Raises
    ------
    ConfigError
        If a seed has no such sample.
    DataError
        If they are not like those of X.
    """
    if given is None:
        return None
    rest = isinstance(given, str)
    if rest:
        known_name("unlabelled", given, ["rest"])
    else:
        given = _like(given, schema)
    there = X if rest else given
    known = np.zeros(len(there), dtype=bool) if X_test is None else among(schema, there, X_test)
    rows = []
    for s, train in enumerate(splits.train):
        own = take(X, train if splits.test is None else np.concatenate([train, splits.test[s]]))
        offered = splits.rest(s, len(there)) if rest else np.arange(len(there))
        rows.append(offered[~known[offered] & ~among(schema, take(there, offered), own)])
    least, most = min(map(len, rows)), max(map(len, rows))
    if not least and rest:
        raise ConfigError(
            "unlabelled='rest' takes the samples that are in neither part, nor equal to one that is, and "
            "there are none; set train_size or labelled_per_class."
        )
    if not least:
        raise ConfigError(
            f"unlabelled must have samples that no seed trains or tests on; all {len(there)} are equal to "
            "samples of X or of the test set. Take them out of X, or set unlabelled='rest'."
        )
    n = str(least) if least == most else f"{least} to {most}"
    note = f"{n} unlabelled samples in each seed, many or all of them the same: the interval is about these"
    return Unlabelled(there, rows, note)


class _Alike:
    """The samples of a data set, whose items may be samples alone, with a label that nobody asks for."""

    def __init__(self, dataset: Any):
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, i: int) -> tuple[Any, int]:
        item = self.dataset[i]
        pair = isinstance(item, (tuple, list)) and len(item) < 3 and hasattr(item[0], "shape")
        return (item[0] if pair else item), 0


def _like(given: Any, schema: Schema) -> Any:
    try:
        X = as_rows(dataset_arrays(_Alike(given))[0] if is_dataset(given) else given)
    except ValueError as error:
        reason = str(error).rstrip(".")
        raise DataError(f"unlabelled must be samples without labels, or 'rest'; {reason}.") from error
    if not np.ndim(X) or not len(X):
        raise DataError(f"unlabelled must be samples like those of X, or 'rest'; got {given!r}.")
    check_like("unlabelled", X, schema)
    return X
