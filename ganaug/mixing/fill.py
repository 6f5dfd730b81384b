"""How many samples a fill adds to each class."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from imblearn.utils import check_sampling_strategy

from ganaug._checks import known_name, listed
from ganaug.errors import ConfigError

STRATEGIES = ("auto", "minority", "not minority", "not majority", "all")
"""Words of imbalanced-learn's `sampling_strategy` for over-sampling."""

Fill = str | float | Mapping[Any, int] | Callable[[Any], Mapping[Any, int]]


def fill_counts(y: Any, fill: Fill) -> dict[Any, int]:
    """Return the number of new samples per class.

    Parameters
    ----------
    y : array of shape (n,)
        Labels of the real samples.
    fill : str, float, dict or callable
        ``"balance"`` lifts every class to the size of the largest; a number k of at least 1 lifts
        every class to k times the largest; anything else is imbalanced-learn's `sampling_strategy`
        (a dict holds wanted totals).

    Returns
    -------
    dict of {class: int}
        In the order of the labels, zeros left out.

    Raises
    ------
    ConfigError
        If a wanted total is below what is there, a class is unknown, or the word is.

    Examples
    --------
    >>> fill_counts([0, 0, 0, 1], "balance")
    {1: 2}
    >>> fill_counts([0, 0, 0, 1], 2)
    {0: 3, 1: 5}
    >>> fill_counts([0, 0, 0, 1], {1: 4})
    {1: 3}
    """
    if isinstance(fill, str):
        known_name("fill", fill, ["balance", *STRATEGIES])
    y = np.asarray(y)
    labels, counts = np.unique(y, return_counts=True)
    if isinstance(fill, (int, float, np.number)) and not isinstance(fill, bool) and 1 <= fill < np.inf:
        total = round(counts.max() * fill)
        wanted = {k: total - n for k, n in zip(labels.tolist(), counts.tolist(), strict=True)}
    else:
        strategy = "not majority" if fill == "balance" else fill
        try:
            checked = dict(check_sampling_strategy(strategy, y, "over-sampling"))
        except (ValueError, TypeError) as error:
            raise ConfigError(
                f"fill must be 'balance', a number of at least 1, or a sampling_strategy of "
                f"imbalanced-learn for the classes {listed(labels)}; got {fill!r}: {error}"
            ) from error
        wanted = {getattr(k, "item", lambda k=k: k)(): int(n) for k, n in checked.items()}
    return {k: n for k, n in wanted.items() if n}
