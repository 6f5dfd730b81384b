"""The words of an audit, what they rest on, and the sentences that say it."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ganaug.auditing.measures import LEAST, REAL, SPACES
from ganaug.auditing.novelty_table import ALL, ALPHA

__all__ = ["VERDICTS", "sentences", "worst", "words"]

VERDICTS = ("copies", "poor", "collapsed", "cannot be told", "sound")
"""From the worst to the best."""

HALF = 0.5
SURE = 3.0
N_NAMED = 6
MEND = {
    "copies": "Do not hand these samples out in the place of the real ones; train for less long, on more samples "
    "or with more augmentation.",
    "poor": "Train longer, or leave the generated samples of these classes out.",
    "collapsed": "Train longer, or with pack=2 or another loss, and do not fill these classes far up.",
}


def low(table: pd.DataFrame, measure: str) -> pd.Series:
    """Return where a share is below half of what as many real samples reach, by more than luck explains.

    That is by more than three standard deviations of a difference between two shares of that many.
    """
    value, real = table[measure], table[measure + REAL]
    mean = (value + real) / 2
    luck = SURE * (2 * mean * (1 - mean) / table["n_compared"].clip(lower=1)) ** 0.5
    told = table["n_compared"] >= LEAST
    return told & (value < HALF * real) & (real - value > luck)


def findings(table: pd.DataFrame, novelty: pd.DataFrame) -> pd.DataFrame:
    """Return which of the words are true of each class, and, for copies, of all of them together."""
    thin = np.logical_or.reduce(
        [table[f"spread_ratio/{s}"] < HALF * table[f"spread_ratio/{s}{REAL}"] for s in SPACES]
    )
    unlike = np.logical_or.reduce([low(table, f"precision/{s}") for s in SPACES])
    unlike |= low(table, "recognised") | low(table, "accuracy")
    alike = np.logical_or.reduce([low(table, f"recall/{s}") for s in SPACES]) & (thin | ~unlike)
    copied = novelty["p_holm"] < ALPHA if "p_holm" in novelty else pd.Series(False, novelty.index)
    told = novelty["C_T"].notna() if "C_T" in novelty else pd.Series(False, novelty.index)
    found = {
        "poor": unlike & ~alike,
        "collapsed": alike,
        "cannot be told": (table["n_compared"] < LEAST) | ~told.drop(ALL),
    }
    return pd.DataFrame({"copies": copied, **found}).reindex(novelty.index).fillna(False).astype(bool)


def words(found: pd.DataFrame) -> list[str]:
    """Return the worst word that is true of each class, and of all together."""
    return [next((w for w in VERDICTS[:-1] if row[w]), "sound") for row in found.to_dict("records")]


def worst(found: Sequence[str]) -> str:
    """Return the worst of some words."""
    return min(found, key=VERDICTS.index)


def sentences(
    table: pd.DataFrame, novelty: pd.DataFrame, found: pd.DataFrame, verdict: str, *, n_holdout: int
) -> list[str]:
    """Return what was found, in plain words: what is wrong with which class, what to do, what is not known."""
    said = []
    classes = found.drop(ALL)
    names = {word: list(classes.index[classes[word]]) for word in found}
    if verdict == "copies":
        said.append(_copies(novelty, names["copies"]))
    if names["poor"]:
        said.append(_poor(table, names["poor"]))
    if names["collapsed"]:
        said.append(_collapsed(table, names["collapsed"]))
    told = [n for n in classes.index if n not in names["cannot be told"]]
    if verdict == "sound":
        said.append(
            f"Generated samples of {'all' if len(told) > 2 else 'both'} {len(told)} classes resemble real ones, "
            f"and are no nearer to the training samples than {n_holdout:,} held-out ones are."
        )
    if told:
        within = novelty.loc[told, "detectable"].max()
        said.append(
            f"Looser copies than near duplicates would be found where they are about "
            f"{_percent(novelty.loc[ALL, 'detectable'])} of all samples"
            + (f", or {_percent(within)} of those of one class." if within <= 1 else ".")
        )
    if n_holdout == 0:
        said.append(
            "Whether the samples are new cannot be told without real samples that the generator has not seen, "
            "only near duplicates can. Train with ganaug fit DATA --holdout 0.2, or name such samples (holdout=, "
            "--holdout)."
        )
    elif names["cannot be told"]:
        said.append(
            f"Cannot be told of {_listed(names['cannot be told'])}: each class needs {LEAST} training, held-out "
            "and generated samples."
        )
    return said


def _copies(novelty: pd.DataFrame, names: list[str]) -> str:
    shown = novelty.loc[names or [ALL]].sort_values("p_holm").head(N_NAMED)
    facts = []
    for name, row in shown.iterrows():
        text = f"{'all classes together' if name == ALL else name}: {_percent(row['near_duplicates'])} are nearly a training sample"
        text += f" (real ones: {_percent(row[f'near_duplicates{REAL}'])})"
        if row.get("copied", np.nan) == row.get("copied", np.nan):
            text += f", nearest to training as if {_percent(max(0.0, row['copied']))} were copies"
        facts.append(text)
    more = f"; and {len(names) - N_NAMED} more" if len(names) > N_NAMED else ""
    return f"Copies of training samples in {'; '.join(facts)}{more}. {MEND['copies']}"


def _poor(table: pd.DataFrame, names: list[str]) -> str:
    facts = []
    for name in names[:N_NAMED]:
        row = table.loc[name]
        reasons = [
            f"{text} {_percent(row[measure])} (real ones: {_percent(row[measure + REAL])})"
            for measure, text in (
                ("recognised", "recognised as their class"),
                ("precision/random", "within the real ones by random features"),
                ("precision/classifier", "within the real ones by the classifier's features"),
                ("accuracy", "of the real ones found after training on generated ones"),
            )
            if bool(low(table.loc[[name]], measure).iloc[0])
        ]
        other = ""
        if row["mistaken_for"] != name and reasons[0].startswith("recognised"):
            other = f", mostly taken for {row['mistaken_for']}"
        facts.append(f"{name}: {reasons[0]}{other}")
    more = f"; and {len(names) - N_NAMED} more" if len(names) > N_NAMED else ""
    return f"Unlike real samples are {'; '.join(facts)}{more}. {MEND['poor']}"


def _collapsed(table: pd.DataFrame, names: list[str]) -> str:
    facts = []
    for name in names[:N_NAMED]:
        recall = {s: table.loc[name, f"recall/{s}"] for s in SPACES}
        space = min(recall, key=lambda s: recall[s])
        facts.append(
            f"{name} (recall {recall[space]:.2f}, real ones {table.loc[name, f'recall/{space}{REAL}']:.2f})"
        )
    more = f" and {len(names) - N_NAMED} more" if len(names) > N_NAMED else ""
    return f"Too much alike are the samples of {', '.join(facts)}{more}. {MEND['collapsed']}"


def _listed(names: list[str]) -> str:
    return ", ".join(names[:N_NAMED]) + (f" and {len(names) - N_NAMED} more" if len(names) > N_NAMED else "")


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %" if share < 0.1 else f"{100 * share:.0f} %"
