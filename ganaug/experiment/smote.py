"""SMOTE as an arm: rows between neighbours of one class, made by imbalanced-learn in the caller's units."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from imblearn.over_sampling import SMOTE, SMOTEN, SMOTENC, BorderlineSMOTE
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from ganaug._random import derive
from ganaug.data.cells import Cells, Floats
from ganaug.experiment.preprocessing import columns_of

if TYPE_CHECKING:
    from ganaug.experiment.samples import TrainingPart

__all__ = ["borderline_smote", "pixel_smote", "smote"]

K_NEIGHBORS, M_NEIGHBORS = 5, 10  # imbalanced-learn's own defaults
GAP = -1.0
"""Place of a missing cell among the categories of a column."""

Flags = np.ndarray[Any, np.dtype[np.bool_]]
Build = Callable[[dict[str, Any], Flags], Any]
"""Returns a sampler of imbalanced-learn from its settings and which columns hold categories."""


def smote(part: "TrainingPart") -> Any:
    """Return rows between a row and one of its 5 neighbours of the same class (SMOTE).

    Numbers are standardised first; categories, if there are any, are those of most neighbours (SMOTENC).
    A missing cell is a category of its own; of numbers it is imputed with the median, so that no added row
    misses one. A class of fewer than 6 rows has all its other rows for neighbours.
    """
    return _rows_like(part.X, lambda numbers, flags: _oversampled(part, numbers, flags, [_plain]))


def borderline_smote(part: "TrainingPart") -> Any:
    """Return rows as `smote` does, around rows near the border to other classes where a class has such."""
    m_neighbors = min(M_NEIGHBORS, len(part.c) - 1)

    def border(settings: dict[str, Any], is_category: Flags) -> Any:
        return BorderlineSMOTE(m_neighbors=m_neighbors, **settings)

    return _rows_like(part.X, lambda numbers, flags: _oversampled(part, numbers, flags, [border, _plain]))


def pixel_smote(part: "TrainingPart") -> Tensor:
    """Return images between an image and one of its 5 neighbours of the same class, pixel by pixel."""
    flat = part.x.flatten(1).numpy().astype(np.float64)
    made = _oversampled(part, flat, np.zeros(flat.shape[1], dtype=bool), [_plain])
    return torch.from_numpy(made).to(part.x.dtype).reshape(-1, *part.x.shape[1:])


def _plain(settings: dict[str, Any], is_category: Flags) -> Any:
    if is_category.all():
        return SMOTEN(**settings)
    places = np.flatnonzero(is_category).tolist()
    return SMOTENC(places, **settings) if places else SMOTE(**settings)


def _oversampled(part: "TrainingPart", rows: Floats, is_category: Flags, builds: list[Build]) -> Floats:
    """Return rows of the wanted classes from the first of the samplers that makes enough of them."""
    c = part.c.numpy()
    added = [rows[:0]]
    for k, n in zip(*np.unique(part.extra_c.numpy(), return_counts=True), strict=True):
        size = int((c == k).sum())
        settings = {
            "sampling_strategy": {k: size + int(n)},
            "k_neighbors": min(K_NEIGHBORS, size - 1),
            "random_state": derive(part.seed, "smote", int(k)),
        }
        for build in builds:
            found = build(settings, is_category).fit_resample(rows, c)[0][len(rows) :]
            if len(found) == n:
                break
        added.append(found)
    return np.concatenate(added)


def _rows_like(X: Any, make: Callable[[Floats, Flags], Floats]) -> Any:
    """Return rows in the form of X, made of X as numbers: standardised ones, and places of categories."""
    columns = [
        (replace(Cells.fit(name, column), decimals=None), name, column) for name, column in columns_of(X)
    ]
    rows = np.stack([cells.numbers(name, column) for cells, name, column in columns], axis=1)
    is_category = np.array([cells.kind == "category" for cells, *_ in columns])
    if not is_category.all():
        imputer = SimpleImputer(strategy="median", keep_empty_features=True)
        rows[:, ~is_category] = imputer.fit_transform(rows[:, ~is_category])
    rows[np.isnan(rows)] = GAP
    scaler = StandardScaler().fit(rows)
    mean, scale = np.where(is_category, 0, scaler.mean_), np.where(is_category, 1, scaler.scale_)
    made = make((rows - mean) / scale, is_category) * scale + mean
    made[(made == GAP) & is_category] = np.nan
    written = [cells.cells(column) for (cells, *_), column in zip(columns, made.T, strict=True)]
    if not hasattr(X, "iloc"):
        return np.stack(written, axis=1)
    import pandas as pd

    series = {j: pd.Series(cells, dtype=cells.dtype) for j, cells in enumerate(written)}
    return pd.DataFrame(series).set_axis(X.columns, axis=1)
