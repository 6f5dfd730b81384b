"""The audit: is a generator any good, and does it copy."""

import warnings
from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from ganaug._checks import number
from ganaug._random import Seed, as_seed, derive, numpy_stream, torch_stream
from ganaug.auditing.measures import LEAST, Samples, class_measures
from ganaug.auditing.novelty_table import ALL, novelty_table
from ganaug.auditing.pairs import Pairs
from ganaug.auditing.result import Audit
from ganaug.auditing.verdicts import findings, sentences, words, worst
from ganaug.bank import SampleBank
from ganaug.data.schema import Schema
from ganaug.data.sources import dataset_arrays, is_dataset
from ganaug.data.tables import TableCodec
from ganaug.errors import DataError, GanaugWarning
from ganaug.evaluation.neighbours import LEAST_DISTINCT, Neighbours, neighbours
from ganaug.experiment.specimens import features_of
from ganaug.training.run import data_digest

if TYPE_CHECKING:
    from ganaug.generator import ConditionalGAN

__all__ = ["audit", "same_data"]

Rows = np.ndarray[Any, Any]


def audit(
    source: "ConditionalGAN | SampleBank",
    X: Any,
    y: Any = None,
    *,
    holdout: Any = None,
    samples: int = 200,
    random_state: Seed = None,
) -> Audit:
    """Measure how good generated samples are, and whether they are copies of the training samples.

    Every measure stands beside what real samples reach that the generator has not seen, for no number
    means anything by itself. A class is

    - *copies*, if those of its samples that nearly are a real one are so too often a training one, or if
      they are nearer to training samples than held-out ones are (the test C_T) while their nearest real
      sample is too often a training one; at an error of 5 % over all classes (Holm). Without a hold-out, if
      near duplicates of training samples are more than half of them beyond those of real samples. With or
      without, if more than 10 % of them equal a training sample, and more than five times as many as of
      real samples (``identical_limit``);
    - *poor*, if the share of its samples that lie among real ones (precision), or that a classifier
      recognises, is below half of that of real samples, by more than three standard deviations of luck;
      all classes together, if the accuracy score is;
    - *collapsed*, likewise by recall, where samples are not poor, or recognised, among real ones in one
      space at least, and of less than half the spread;
    - *sound*, if there is none of that, and it could have been seen;
    - *cannot be told*, with fewer than 10 training, held-out or generated samples.

    Parameters
    ----------
    source : ConditionalGAN or SampleBank
        A fitted generator, or samples of one.
    X : array, tensor or DataFrame, or a map-style torch data set of (x, label)
        The training samples: what the generator was fitted to, all of it.
    y : array, tensor or Series of shape (n,)
        Their labels; left out where X is a data set.
    holdout : tuple of (X, y), a data set, or None
        Real samples of the same kind that the generator has not seen. Without them nothing but near
        duplicates can tell copies, and no class is called sound.
    samples : int, default=200
        Generated samples per class; of a bank at most those that it holds.
    random_state : int, RandomState, Generator or None
        Same seed, same result.

    Returns
    -------
    Audit
        Verdict, sentences, tables, picture and report.

    Raises
    ------
    DataError
        If the samples or labels do not fit those of the generator, or too few of them do.

    Warns
    -----
    GanaugWarning
        If X is not what the generator was fitted to.

    Notes
    -----
    Distances of novelty are between images shrunk to at most 16 pixels a side, or encoded rows, within
    classes. Copies that are mirrored or shifted look new.

    References
    ----------
    Meehan et al., 2004.05675 (C_T); Alaa et al., 2102.08921 (authenticity); Kynkäänniemi et al.,
    1904.06991 (precision and recall); Naeem et al., 2002.09797 (density and coverage); Bińkowski et al.,
    1801.01401 (kernel distance); Ravuri and Vinyals, 1905.10887 (accuracy score).

    Examples
    --------
    >>> from ganaug import ConditionalGAN
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat([0, 1], 100); X = rng.normal(size=(200, 4)) + 3 * y[:, None]
    >>> gan = ConditionalGAN(train_images=256, random_state=0).fit(X[::2], y[::2])
    >>> result = audit(gan, X[::2], y[::2], holdout=(X[1::2], y[1::2]), samples=50, random_state=0)
    >>> result.verdict in ("copies", "poor", "collapsed", "cannot be told", "sound")
    True
    >>> result.novelty.shape[0], list(result.table.index)
    (3, ['0', '1', 'overall'])
    """
    number("samples", samples, low=LEAST, integer=True)
    seed = as_seed(random_state)
    schema = source.schema if isinstance(source, SampleBank) else source.schema_
    X, y = _labelled(X, y)
    known = None if isinstance(source, SampleBank) else same_data(source, X, y)
    if known is False:
        warnings.warn(
            "X is not the data that the generator was fitted to: whether it copies what it has seen besides "
            "cannot be known. Give all of the training samples as X.",
            GanaugWarning,
            stacklevel=2,
        )
    train = Samples(schema.encode_X(X), schema.encode_y(y))
    fake_X, fake_c = _drawn(source, schema, samples, seed)
    fake = Samples(schema.encode_X(fake_X), torch.from_numpy(fake_c))
    drawn, held = {"train": (X, train), "fake": (fake_X, fake)}, None
    if holdout is not None:
        held_X, held_y = _labelled(*holdout) if isinstance(holdout, tuple) else _labelled(holdout, None)
        held = Samples(schema.encode_X(held_X), schema.encode_y(held_y))
        drawn["holdout"] = held_X, held
    classes, rows = _searched(schema, drawn)
    standard, unseen = _halves(train, seed) if held is None else (train, held)
    names = _distinct(schema.names)
    table = class_measures(standard, unseen, fake, len(names), seed=derive(seed, "measures"))
    table["mistaken_for"] = [names[k] for k in table["mistaken_for"]]
    table.index = pd.Index(names, name="class")
    novelty = novelty_table(classes, names, seed=derive(seed, "novelty"))
    found = findings(table, novelty)
    said = words(found)
    n_holdout = 0 if held is None else len(held.c)
    parts = {"n_train": train, "n_holdout": held, "n_generated": fake}
    counts = {name: [0] * len(names) if p is None else p.counts(len(names)) for name, p in parts.items()}
    return Audit(
        verdict=worst(said),
        sentences=tuple(sentences(table, novelty, found, n_holdout=n_holdout)),
        table=_with_means(table, counts).assign(verdict=[*said[:-1], worst(said)]),
        novelty=novelty,
        pairs=Pairs.of(schema, classes, (fake_X, rows["fake"]), (X, rows["train"])),
        settings={
            "kind": schema.kind,
            "samples": samples,
            "seed": seed,
            "training_data_recognised": known,
            "versions": {name: version(name) for name in ("ganaug", "torch", "numpy")},
        },
    )


def same_data(gan: "ConditionalGAN", X: Any, y: Any) -> bool | None:
    """Return whether a generator was fitted to exactly these samples; None where it does not remember."""
    if gan.data_digest_ is None:
        return None
    try:
        return data_digest(gan.schema_.pack_X(X), gan.schema_.encode_y(y)) == gan.data_digest_
    except (DataError, ValueError, IndexError):  # only what was fitted can be packed for sure
        return False


def _labelled(X: Any, y: Any) -> tuple[Any, Any]:
    if y is None and is_dataset(X):
        X, y, _ = dataset_arrays(X)
    if y is None or len(X) != len(y):
        got = "none" if y is None else f"{len(X)} samples and {len(y)} labels"
        raise DataError(f"X and holdout need a label for each sample; got {got}.")
    return X, y


def _drawn(source: Any, schema: Schema, samples: int, seed: int) -> tuple[Any, Rows]:
    """Return generated samples, at most so many per class, in the caller's form, and their class indices."""
    if not isinstance(source, SampleBank):
        X, y = source.generate(samples, random_state=derive(seed, "audit"))
        return X, schema.encode_y(y).numpy()
    order = numpy_stream(seed, "audit").permutation(len(source))
    c = np.asarray(source.class_indices)[order]
    rows = np.sort(np.concatenate([order[c == k][:samples] for k in range(len(schema.labels))]))
    X = source.samples[rows]
    if isinstance(schema.codec, TableCodec) and not schema.codec.numeric:
        X = schema.codec.from_numbers(X)
    return X, np.asarray(source.class_indices)[rows]


def _halves(train: Samples, seed: int) -> tuple[Samples, Samples]:
    """Return two halves of the samples of each class."""
    counts = [n // 2 for n in torch.bincount(train.c).tolist()]
    order = torch.randperm(len(train.c), generator=torch_stream(seed, "halves"))
    c = train.c[order]
    first = torch.cat([order[c == k][:n] for k, n in enumerate(counts)])
    second = torch.ones(len(train.c), dtype=torch.bool)
    second[first] = False
    return train.take(second.nonzero().flatten()), train.take(first.sort().values)


def _searched(
    schema: Schema, parts: dict[str, tuple[Any, Samples]]
) -> tuple[list[Neighbours | None], dict[str, list[Rows]]]:
    """Return the neighbours of each class, None where it has too few samples, and the rows of its samples."""
    n_classes = len(schema.labels)
    features = {name: features_of(schema, X) for name, (X, _) in parts.items()}
    rows = {name: [part.rows(k).numpy() for k in range(n_classes)] for name, (_, part) in parts.items()}
    found: list[Neighbours | None] = []
    for k in range(n_classes):
        of = {name: features[name][rows[name][k]] for name in parts}
        enough = min(len(of["train"]), len(of["fake"])) >= LEAST
        different = enough and len(np.unique(of["train"], axis=0)) >= LEAST_DISTINCT
        found.append(neighbours(of["train"], of["fake"], of.get("holdout")) if different else None)
    return found, rows


def _distinct(names: Sequence[str]) -> list[str]:
    """Return the names of the classes, changed where two are alike or one is that of the last row."""
    taken = [ALL]
    for name in names:
        while name in taken:
            name += "'"
        taken.append(name)
    return taken[1:]


def _with_means(table: pd.DataFrame, counts: dict[str, list[int]]) -> pd.DataFrame:
    """Return the table with the numbers of samples before it, and a row of means over classes below it."""
    numbers = pd.DataFrame(counts, index=table.index)
    means = table.drop(columns="mistaken_for").mean().to_frame(ALL).T
    sums = numbers.sum().to_frame(ALL).T
    whole = pd.concat([pd.concat([numbers, sums]), pd.concat([table, means])], axis=1)
    first = ["verdict", *counts]
    whole["verdict"], whole["mistaken_for"] = "", whole["mistaken_for"].fillna("")
    return whole.rename_axis("class")[[*first, *(c for c in whole.columns if c not in first)]]
