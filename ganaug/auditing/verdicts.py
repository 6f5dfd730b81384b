"""The words of an audit, what they rest on, and the sentences that say it."""

import operator
from collections.abc import Iterable, Sequence
from functools import reduce

import numpy as np
import pandas as pd

from ganaug.auditing.measures import LEAST, REAL, SPACES
from ganaug.auditing.novelty_table import ALL, ALPHA

__all__ = ["VERDICTS", "findings", "sentences", "words", "worst"]

VERDICTS = ("copies", "poor", "collapsed", "cannot be told", "sound")
"""From the worst to the best."""

HALF = 0.5
SURE = 3.0
SHIFTED = 3.0
N_NAMED = 6
UNLIKE = {
    "recognised": "recognised as their class",
    "precision/random": "among the real ones by random features",
    "precision/classifier": "among the real ones by the classifier's features",
}
MEND = {
    "copies": "Do not hand these samples out in place of the real ones. Train for less long, on more "
    "samples, or with more augmentation.",
    "poor": "Train longer, or leave generated samples of these classes out.",
    "collapsed": "Train longer, with pack=2 or with another loss, and do not fill these classes far up.",
}


def low(table: pd.DataFrame, measure: str) -> pd.Series:
    """Return where a share is below half of what as many real samples reach, by more than luck explains.

    That is by more than three standard deviations of the difference between two shares of that many.
    """
    value, real = table[measure], table[measure + REAL]
    mean = (value + real) / 2
    luck = SURE * (2 * mean * (1 - mean) / table["n_compared"].clip(lower=1)) ** 0.5
    return (table["n_compared"] >= LEAST) & (value < HALF * real) & (real - value > luck)


def findings(table: pd.DataFrame, novelty: pd.DataFrame) -> pd.DataFrame:
    """Return which of the words, but for "sound", are true of each class, and of all of them together.

    Of all together: copies by the pooled tests, and poor by the mean accuracy score; that of single classes
    is arbitrary where classes overlap.
    """
    thin = _any(table[f"spread_ratio/{s}"] < HALF * table[f"spread_ratio/{s}{REAL}"] for s in SPACES)
    unlike = _any(low(table, measure) for measure in UNLIKE)
    off = reduce(operator.and_, (low(table, f"precision/{s}") for s in SPACES))
    narrow = thin & ~low(table, "recognised") & ~off
    alike = _any(low(table, f"recall/{s}") for s in SPACES) & (narrow | ~unlike)
    has_p, has_z = ("p_holm" in novelty, "C_T" in novelty)
    untold = novelty["C_T"].isna() if has_z else pd.Series(True, novelty.index)
    untold |= shifted(novelty)
    copied = pd.Series(False, novelty.index)
    if has_p:  # without a hold-out, only where near duplicates are the rule, and no luck of the data
        excess = novelty["near_duplicates"] - novelty["near_duplicates" + REAL]
        copied = (novelty["p_holm"] < ALPHA) & (~untold | (excess > HALF))
        copied |= (novelty["identical"] > novelty["identical_limit"]) & (novelty.index != ALL)
    found = {
        "poor": unlike & ~alike,
        "collapsed": alike,
        "cannot be told": (table["n_compared"] < LEAST) | untold.drop(ALL),
    }
    whole = pd.DataFrame({"copies": copied, **found}).reindex(novelty.index).fillna(False).astype(bool)
    whole.loc[ALL, "poor"] = bool(low(_mean(table), "accuracy").iloc[0])
    return whole


def shifted(novelty: pd.DataFrame) -> bool:
    """Return whether held-out samples are of another kind than the training samples, and so no yardstick."""
    return "holdout_shift" in novelty and bool(novelty["holdout_shift"][ALL] > SHIFTED)


def words(found: pd.DataFrame) -> list[str]:
    """Return the worst word that is true of each class, and of all together."""
    return [next((w for w in VERDICTS[:-1] if row[w]), "sound") for row in found.to_dict("records")]


def worst(found: Sequence[str]) -> str:
    """Return the worst of some words."""
    return min(found, key=VERDICTS.index)


def sentences(
    table: pd.DataFrame, novelty: pd.DataFrame, found: pd.DataFrame, *, n_holdout: int
) -> Iterable[str]:
    """Yield what was found in plain words: what is wrong with which class, what to do, what is not known."""
    verdict = worst(words(found))
    copied, poor, collapsed, untold = (
        list(found.index[found[word] & (found.index != ALL)]) for word in VERDICTS[:-1]
    )
    told = [name for name in table.index if name not in untold]
    if verdict == "copies":
        shown = novelty.loc[copied or [ALL]].sort_values("near_duplicates", ascending=False)
        facts = _listed([_copies(str(name), row) for name, row in shown.iterrows()], "; ")
        yield f"Copies of training samples: {facts}. {MEND['copies']}"
    if poor:
        facts = _listed([_poor(table.loc[[name]]) for name in poor], "; ")
        yield f"Unlike real samples: {facts}. {MEND['poor']}"
    if found.loc[ALL, "poor"]:
        after, real = (
            _percent(float(value)) for value in _mean(table)[["accuracy", "accuracy" + REAL]].iloc[0]
        )
        yield (
            f"A classifier that learned from generated samples finds {after} of the real ones, averaged over "
            f"classes; after as many real ones {real}."
        )
    if collapsed:
        facts = _listed([_collapsed(name, table.loc[name]) for name in collapsed], "; ")
        yield f"Too much alike: {facts}. {MEND['collapsed']}"
    if verdict == "sound":
        yield (
            f"The generated samples of each of the {len(table)} classes resemble real ones, and are no "
            f"nearer to the training samples than {n_holdout:,} held-out ones are, as far as can be told."
        )
    if told and verdict != "copies":
        overall, within = float(novelty["detectable"][ALL]), float(novelty["detectable"][told].max())
        exact = float(novelty["identical_limit"][told].max())
        yield (
            "Samples that are copies, but not near ones, each of another training sample, would be noticed "
            f"if they were about {_percent(overall)} of all"
            + (f", or {_percent(within)} of one class" if within <= 1 else "")
            + (
                f"; exact ones, even of one and the same, above {_percent(exact)} of a class."
                if exact < 1
                else "."
            )
        )
    if n_holdout == 0:
        yield (
            "Whether the samples are new cannot be told without real samples that the generator has not "
            "seen, only near duplicates can. Train with ganaug fit DATA --holdout 0.2, or give such samples "
            "(holdout=)."
        )
    elif shifted(novelty):
        yield (
            "The held-out samples are farther from the training samples than these are from each other, so "
            "that they cannot tell copies. Hold samples out at random, as ganaug fit DATA --holdout 0.2 does."
        )
    elif untold:
        yield (
            f"Cannot be told of {_listed(untold, ', ')}: a class needs {LEAST} training, held-out and "
            "generated samples."
        )


def _any(conditions: Iterable[pd.Series]) -> pd.Series:
    return reduce(operator.or_, conditions)


def _mean(table: pd.DataFrame) -> pd.DataFrame:
    """Return the accuracy score averaged over classes, in one row."""
    scores = table[["accuracy", "accuracy" + REAL]].mean().to_frame().T
    return scores.assign(n_compared=table["n_compared"].sum())


def _copies(name: str, row: pd.Series) -> str:
    near, real, same = (_percent(row[n]) for n in ("near_duplicates", "near_duplicates" + REAL, "identical"))
    text = f"{'all classes' if name == ALL else name}, {near} nearly (of real ones {real}), {same} exactly"
    if row["identical" + REAL] >= 0:
        text += f" (of real ones {_percent(row['identical' + REAL])})"
    nearer = row.get("copied", np.nan)
    return (
        text if np.isnan(nearer) else f"{text}, nearest to them as if {_percent(max(0, nearer))} were copies"
    )


def _poor(row: pd.DataFrame) -> str:
    values = row.iloc[0]
    measure = next(m for m in UNLIKE if low(row, m).iloc[0])
    text = f"{row.index[0]}: {_percent(values[measure])} {UNLIKE[measure]} (of real ones "
    text += f"{_percent(values[measure + REAL])})"
    return text + (f", mostly taken for {values['mistaken_for']}" if measure == "recognised" else "")


def _collapsed(name: str, row: pd.Series) -> str:
    space = min(SPACES, key=lambda s: float(row[f"recall/{s}"]))
    return f"{name} (recall {row[f'recall/{space}']:.2f}, of real ones {row[f'recall/{space}{REAL}']:.2f})"


def _listed(facts: Sequence[str], separator: str) -> str:
    more = len(facts) - N_NAMED
    return separator.join(facts[:N_NAMED]) + (f"{separator}and {more} more" if more > 0 else "")


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.0f} %"
