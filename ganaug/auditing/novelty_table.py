"""What tells copies from new samples, a row per class and one for all of them together."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from ganaug.auditing.measures import LEAST, REAL
from ganaug.evaluation.neighbours import Neighbours
from ganaug.evaluation.novelty import (
    authenticity,
    data_copying,
    detectable_share,
    exact_duplicates,
    holdout_shift,
    near_duplicates,
    nearer_to_training,
)
from ganaug.experiment.statistics import holm

__all__ = ["ALL", "ALPHA", "novelty_table"]

ALL = "overall"
ALPHA = 0.05
"""The chance that a generator which copies nothing is said to copy, in any class."""


def novelty_table(classes: Sequence[Neighbours | None], names: Sequence[str], *, seed: int) -> pd.DataFrame:
    """Return a row per class, nan where it has too few samples, and a last one for all classes together.

    `p_value` is the chance that a generator which copies nothing gives as much evidence. Two kinds of it
    count, hence twice the smaller: near duplicates of training rather than of held-out samples; and C_T
    together with the nearest real samples, which both have to tell. Without a hold-out it is that of near
    duplicates alone. `p_holm` is adjusted for the number of rows. Where `identical` is above
    `identical_limit`, that alone is evidence.
    """
    told = [c for c in classes if c is not None]
    groups: list[list[Neighbours]] = [[] if c is None else [c] for c in classes]
    rows = [_row(group, len(told) + 1, seed) for group in [*groups, told]]
    table = pd.DataFrame(rows, index=pd.Index([*names, ALL], name="class"))
    if "p_value" in table:
        table["p_holm"] = holm(table["p_value"].tolist())
    return table


def _row(group: list[Neighbours], n_tests: int, seed: int) -> dict[str, Any]:
    if not group:
        return {}
    near, fresh = near_duplicates(group), authenticity(group)
    same = exact_duplicates(group)
    row: dict[str, Any] = {
        "identical": same.share,
        f"identical{REAL}": same.reference,
        "identical_limit": same.limit,
        "near_duplicates": near.share,
        f"near_duplicates{REAL}": near.reference,
        "authenticity": fresh.share,
        f"authenticity{REAL}": fresh.reference,
    }
    compared = [c for c in group if c.n_holdout >= LEAST]
    if not compared:
        return row | {"p_value": near.p_value}
    close = nearer_to_training(compared, near=True, seed=seed)
    copying, nearer = data_copying(compared), nearer_to_training(compared, seed=seed)
    n_fake, n_holdout = (
        sum(map(len, d)) for d in zip(*((c.distance, c.holdout_distance) for c in compared), strict=True)
    )
    return row | {
        "nearer_to_training": nearer.share,
        "expected": nearer.expected,
        "expected_low": nearer.low,
        "expected_high": nearer.high,
        "copied": nearer.copied,
        "C_T": copying.z,
        "holdout_shift": holdout_shift(compared),
        "p_value": min(1.0, 2 * min(close.p_value, max(copying.p_value, nearer.p_value))),
        "detectable": detectable_share(n_fake, n_holdout, alpha=ALPHA / 2 / n_tests),
    }
