"""Numbers of a table: as positions between quantiles, even or normal, or as modes of a mixture.

Needs GANAUG_DATA with the folder `tables`.
    python benchmarks/representation.py    # about 10 minutes on 2 cores
"""

import argparse
import time
import warnings
from dataclasses import dataclass, fields
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import torch
from common import keep, markdown
from joblib import Parallel, delayed
from scipy.stats import ks_2samp, norm
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import balanced_accuracy_score
from sklearn.mixture import BayesianGaussianMixture
from sklearn.model_selection import train_test_split
from tables import TABLES, sizes, table

import ganaug
from ganaug.data.columns import Column
from ganaug.data.schema import Schema
from ganaug.experiment.classifiers import build_classifier

TAIL = 0.002


@dataclass(frozen=True, kw_only=True)
class ModalColumn(Column):
    """The rival of quantiles: a mode of a Gaussian mixture, and the distance from its mean.

    Xu et al., 1907.00503 (CTGAN).
    """

    modes: tuple[tuple[float, float, float], ...]  # weight, mean, standard deviation

    @classmethod
    def of(cls, column: Column, numbers: np.ndarray) -> Column:
        """Return the column with modes in place of quantiles, where it has quantiles."""
        if not column.knots:
            return column
        rest = numbers[np.isfinite(numbers) & ~np.isin(numbers, column.atoms)][:, None]
        centre, scale = rest.mean(), max(rest.std(), 1e-12)  # the mixture's priors suit numbers of order 1
        mixture = BayesianGaussianMixture(
            n_components=min(10, len(rest)), weight_concentration_prior=0.001, random_state=0
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            mixture.fit((rest[:5000] - centre) / scale)
        means = centre + scale * mixture.means_[:, 0]
        deviations = scale * np.sqrt(mixture.covariances_[:, 0, 0])
        found = zip(mixture.weights_, means, deviations, strict=True)
        modes = tuple((float(w), float(m), float(d)) for w, m, d in found if w > 0.005)
        return cls(**{f.name: getattr(column, f.name) for f in fields(column)}, modes=modes)

    @property
    def blocks(self) -> tuple[int, ...]:  # type: ignore[override]
        """Widths: the scalar, and the modes followed by the atoms."""
        places = len(self.modes) + len(self.atoms) + self.missing
        return (1, places) if places > 1 else (1,)

    def blocks_of(self, numbers: np.ndarray) -> list[np.ndarray]:
        """Return scalars, and places; the mode of a number is drawn by its chances, as CTGAN does."""
        weight, mean, deviation = (np.array(v) for v in zip(*self.modes, strict=True))
        filled = np.where(np.isfinite(numbers), numbers, mean[0])
        away = (filled[:, None] - mean) / deviation
        score = np.log(weight / deviation) - away**2 / 2
        mode = (score + np.random.default_rng(0).gumbel(size=score.shape)).argmax(1)
        scalar = np.clip(away[np.arange(len(mode)), mode] / 4, -1, 1)
        places = super().blocks_of(numbers)
        place = places[1] if len(places) > 1 else np.zeros(len(numbers))
        both = [np.where(place == 0, scalar, 0), np.where(place == 0, mode, place + len(self.modes) - 1)]
        return both[: len(self.blocks)]

    def numbers(self, blocks: list[np.ndarray], n: int) -> np.ndarray:
        """Return the cells (n,) as numbers."""
        _, mean, deviation = (np.array(v) for v in zip(*self.modes, strict=True))
        place = blocks[1].astype(np.int64) if len(blocks) > 1 else np.zeros(n, dtype=np.int64)
        mode = place.clip(max=len(mean) - 1)
        values = (mean[mode] + 4 * deviation[mode] * blocks[0]).clip(self.knots[0], self.knots[-1])
        atoms = np.array([*([np.nan] if self.missing else []), *self.atoms, np.nan])
        return np.where(place < len(mean), values, atoms[(place - len(mean)).clip(min=0)])


@dataclass(frozen=True, kw_only=True)
class NormalColumn(Column):
    """Positions between quantiles, spread like a normal distribution instead of evenly."""

    def blocks_of(self, numbers: np.ndarray) -> list[np.ndarray]:
        """Return what `Column` does, the scalar as the normal quantile of its position."""
        blocks = super().blocks_of(numbers)
        return [norm.ppf(0.5 + blocks[0] * (0.5 - TAIL)) / norm.ppf(1 - TAIL), *blocks[1:]]

    def numbers(self, blocks: list[np.ndarray], n: int) -> np.ndarray:
        """Return the cells (n,) as numbers."""
        position = (norm.cdf(blocks[0] * norm.ppf(1 - TAIL)) - 0.5) / (0.5 - TAIL)
        return super().numbers([position, *blocks[1:]], n)


def as_modes(cells: Any, numbers: np.ndarray) -> Column:
    """Return the column with the modes of its numbers."""
    return ModalColumn.of(AS_QUANTILES(cells, numbers), numbers)


def as_normal(cells: Any, numbers: np.ndarray) -> Column:
    """Return the column with normal positions."""
    column = AS_QUANTILES(cells, numbers)
    values = {f.name: getattr(column, f.name) for f in fields(column)}
    return NormalColumn(**values) if column.knots else column


AS_QUANTILES = Column.fit
REPRESENTATIONS = {"quantiles": AS_QUANTILES, "normal quantiles": as_normal, "modes": as_modes}


def represented(name: str, size: int, seed: int) -> list[dict[str, Any]]:
    """Return what rows teach, and how their numbers are spread, with each representation of numbers."""
    torch.set_num_threads(1)
    X, y = table(name)
    n_train = min(size, int(0.8 * len(X)))
    X, X_test, y, y_test = train_test_split(X, y, train_size=n_train, stratify=y, random_state=seed)
    learnable = y.value_counts().loc[lambda n: n > 1].index  # a generator needs two rows of a class
    X, y = X[y.isin(learnable)], y[y.isin(learnable)]
    X_test, y_test = X_test[y_test.isin(learnable)], y_test[y_test.isin(learnable)]
    rows = []
    for what, fit in REPRESENTATIONS.items():
        with mock.patch.object(Column, "fit", fit):
            start = time.perf_counter()
            Schema.fit(X, y)
            setup = time.perf_counter() - start
            gan = ganaug.ConditionalGAN(device="cpu", random_state=seed).fit(X, y)
        counts = y.value_counts()
        X_new, y_new = gan.generate(counts.to_dict(), random_state=seed)
        fill = {k: int(counts.max() - v) for k, v in counts.items() if v < counts.max()}
        row: dict[str, Any] = {
            "table": name,
            "size": size,
            "seed": seed,
            "numbers as": what,
            "set-up s": setup,
        }
        parts = {"rows alone": (X_new, pd.Series(y_new))}
        if fill:
            X_fill, y_fill = gan.generate(fill, random_state=seed)
            parts["fill"] = (
                pd.concat([X, X_fill], ignore_index=True),
                pd.concat([y, pd.Series(y_fill)], ignore_index=True),
            )
        for part, (X_part, y_part) in parts.items():
            schema = Schema.fit(X_part, y_part)
            for classifier in ("logistic", "boosting"):
                model = build_classifier(classifier, schema, seed=0).fit(X_part, y_part)
                score = balanced_accuracy_score(y_test, model.predict(X_test))
                row[f"{part}, {classifier}"] = 100 * score
        numbers = [k for k in X if X[k].dtype.kind in "iuf"]
        row["KS distance"] = float(
            np.mean([ks_2samp(X_test[k].dropna(), X_new[k].dropna()).statistic for k in numbers])
        )
        rows.append(row)
    return rows


def representation(seeds: int, jobs: int) -> dict[str, Any]:
    """Compare them at 300 rows, and at 5,000 or all where there are fewer, on so many splits each."""
    cases = [
        (name, size, seed)
        for name in TABLES
        for size in (300, 5000)
        for seed in range(seeds)
        if size == 5000 or 300 in sizes(len(table(name)[0]))
    ]
    found = Parallel(n_jobs=jobs)(delayed(represented)(*case) for case in cases)
    frame = pd.DataFrame([row for rows in found for row in rows])
    figures = list(frame.columns.difference(["table", "size", "seed", "numbers as"], sort=False))
    mean = frame.groupby(["table", "size", "numbers as"], sort=False)[figures].mean()
    wide = mean.unstack("numbers as")
    rows = []
    for figure in figures:
        row: dict[str, Any] = {"figure": figure, "cases": len(wide[figure].dropna())}
        row |= {what: round(wide[figure, what].mean(), 3) for what in REPRESENTATIONS}
        for what in list(REPRESENTATIONS)[1:]:
            more = wide[figure, what] - wide[figure, "quantiles"]
            row[f"{what}: above / below quantiles"] = f"{(more > 0).sum()}/{(more < 0).sum()}"
        rows.append(row)
    return {"rows": rows, "seeds": seeds, "cells": frame.round(4).to_dict("records")}


def main(seeds: int, jobs: int) -> None:
    """Compare them and keep the figures."""
    start = time.perf_counter()
    found = representation(seeds, jobs)
    keep("representation", found | {"wall_seconds": round(time.perf_counter() - start)})
    print(markdown(pd.DataFrame(found["rows"]).set_index("figure")))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--jobs", type=int, default=2)
    main(**vars(parser.parse_args()))
