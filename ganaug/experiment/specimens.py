"""Specimens: what a report shows of a generator beside scores, real and generated samples side by side."""

from dataclasses import asdict, dataclass, fields
from itertools import islice
from typing import Any

import numpy as np
import torch.nn.functional as F
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits
from torch import Tensor

from ganaug._random import derive, numpy_stream
from ganaug.data.cells import Cells, Floats
from ganaug.data.schema import Schema, take
from ganaug.data.tables import TableCodec
from ganaug.generator import ConditionalGAN

__all__ = ["ColumnShares", "Specimens", "specimens_of"]

Array = np.ndarray[Any, Any]

N_CLASSES = 10
N_PICTURES = 6
N_ROWS = 2
N_COLUMNS = 12
N_BINS = 16
N_LEVELS = 7
N_MAP = 150
N_CLOUD = 1000
N_USUAL = 300
N_SEARCHED = 20_000
SIDE_SHOWN = 48
SIDE_COMPARED = 16


@dataclass(frozen=True)
class ColumnShares:
    """How often the values of one column of a table occur, in percent of the rows that are not missing."""

    name: str
    numeric: bool
    ticks: tuple[str, ...]  # of a number the lowest and highest value drawn, of a category each level
    real: tuple[float, ...]  # of a number in bins of equal width; the last of many levels are one
    synthetic: tuple[float, ...]
    missing: tuple[float, float]  # of the real and of the generated rows, in percent


@dataclass(frozen=True, eq=False)
class Specimens:
    """Real and generated samples of one seed, none of them picked.

    Distances are between pictures shrunk to at most 16 pixels a side, or encoded rows. Pictures are uint8
    (n, height, width, channels), of images only; rows are text, of tables only.
    """

    real_class: Array  # (n_real,) class index of each real sample shown
    synthetic_class: Array  # (n_synthetic,)
    nearest_class: Array  # (n_synthetic,) of the real sample nearest to each generated one
    distance: Array  # (n_synthetic,) to it
    typical_distance: float  # median over real samples, each to the nearest other one
    n_searched: int  # real samples among which the nearest was looked for
    n_training: int
    map: Array  # (n, 2)
    map_class: Array  # (n,)
    map_synthetic: Array  # (n,) bool
    real_pictures: Array | None = None
    synthetic_pictures: Array | None = None
    nearest_pictures: Array | None = None
    column_names: tuple[str, ...] = ()
    synthetic_rows: tuple[tuple[str, ...], ...] = ()
    nearest_rows: tuple[tuple[str, ...], ...] = ()
    columns: tuple[ColumnShares, ...] = ()

    @property
    def kind(self) -> str:
        """Return "image" or "table"."""
        return "table" if self.real_pictures is None else "image"

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as arrays and plain values for JSON."""
        return {
            **{f.name: getattr(self, f.name) for f in fields(self)},
            "columns": [asdict(c) for c in self.columns],
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Specimens":
        """Return the specimens that `to_dict` described, also after JSON made lists of tuples."""
        columns = tuple(ColumnShares(**_with_tuples(c)) for c in values["columns"])
        return cls(**{**_with_tuples(values), "columns": columns})


def specimens_of(gan: ConditionalGAN, X: Any, y: Any, *, seed: int) -> Specimens:
    """Return what to show of a generator and the samples it was trained on.

    Parameters
    ----------
    gan : ConditionalGAN
        Fitted.
    X : array or DataFrame of shape (n, ...)
        The samples it was fitted to, in the form of then.
    y : array of shape (n,)
        Their labels.
    seed : int
        Which real samples are shown, and which are generated; the same seed gives the same specimens.

    Returns
    -------
    Specimens

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(n_class=3, return_X_y=True)
    >>> images, y = X[:90].reshape(-1, 8, 8), y[:90]
    >>> gan = ConditionalGAN(train_images=64, random_state=0).fit(images, y)
    >>> specimens_of(gan, images, y, seed=0).nearest_pictures.shape
    (18, 8, 8, 1)
    """
    schema = gan.schema_
    c = schema.encode_y(y).numpy()
    order = numpy_stream(seed, "specimens").permutation(len(c))[:N_SEARCHED]
    X, c_real, n_classes = take(X, order), c[order], len(schema.labels)
    shown = np.where(np.arange(n_classes) < N_CLASSES, N_PICTURES if schema.kind == "image" else N_ROWS, 0)
    cloud = np.bincount(c_real[:N_CLOUD] if schema.kind == "table" else c_real[:0], minlength=n_classes)
    mapped = np.bincount(
        c_real[_first(c_real, np.full(n_classes, max(1, N_MAP // n_classes)))[:N_MAP]], minlength=n_classes
    )
    wanted = np.maximum.reduce([shown, cloud, mapped])
    counts = {label: n for label, n in zip(schema.labels.tolist(), wanted.tolist(), strict=True) if n}
    drawn, y_drawn = gan.generate(counts, random_state=derive(seed, "specimens"))
    c_drawn = schema.encode_y(y_drawn).numpy()
    pairs, of_each = _first(c_drawn, shown), _first(c_real, shown)
    real, fake = _first(c_real, mapped), _first(c_drawn, mapped)
    features, features_drawn = features_of(schema, X), features_of(schema, drawn)
    with threadpool_limits(1):
        nearest, distance, typical = _nearest(features, features_drawn[pairs])
        places = _map(np.concatenate([features[real], features_drawn[fake]]))
    about: dict[str, Any] = {
        "real_class": c_real[of_each],
        "synthetic_class": c_drawn[pairs],
        "nearest_class": c_real[nearest],
        "distance": distance,
        "typical_distance": typical,
        "n_searched": len(c_real),
        "n_training": len(c),
        "map": places,
        "map_class": np.concatenate([c_real[real], c_drawn[fake]]),
        "map_synthetic": np.repeat([False, True], [len(real), len(fake)]),
    }
    if isinstance(schema.codec, TableCodec):
        rows = take(X, np.arange(len(X))[:N_CLOUD]), take(drawn, _first(c_drawn, cloud))
        return Specimens(
            **about,
            column_names=column_names(schema.codec)[:N_COLUMNS],
            synthetic_rows=texts_of(take(drawn, pairs)),
            nearest_rows=texts_of(take(X, nearest)),
            columns=_columns(schema.codec, *rows),
        )
    return Specimens(
        **about,
        real_pictures=pictures_of(schema.encode_X(take(X, of_each))),
        synthetic_pictures=pictures_of(schema.encode_X(take(drawn, pairs))),
        nearest_pictures=pictures_of(schema.encode_X(take(X, nearest))),
    )


def _first(c: Array, counts: Array) -> Array:
    """Return the rows (sorted) of the first `counts[k]` of each class k."""
    order = np.argsort(c, kind="stable")
    starts = np.cumsum(np.bincount(c, minlength=len(counts))) - np.bincount(c, minlength=len(counts))
    rank = np.empty(len(c), dtype=np.int64)
    rank[order] = np.arange(len(c)) - starts[c[order]]
    return np.flatnonzero(rank < counts[c])


def features_of(schema: Schema, X: Any) -> Array:
    """Return pictures shrunk, or encoded rows, as rows of numbers (n, d)."""
    pieces = []
    for start in range(0, len(X), N_CLOUD):
        x = schema.encode_X(take(X, np.arange(start, min(start + N_CLOUD, len(X)))))
        if x.ndim == 4 and max(x.shape[2:]) > SIDE_COMPARED:
            x = F.adaptive_avg_pool2d(x, SIDE_COMPARED)
        pieces.append(x.flatten(1).numpy())
    return np.concatenate(pieces)


def _nearest(real: Array, fake: Array) -> tuple[Array, Array, float]:
    """Return the row of the nearest real sample of each generated one, the distance, and a usual one."""
    search = NearestNeighbors(n_neighbors=2).fit(real)
    distance, rows = search.kneighbors(fake, n_neighbors=1)
    among_real, _ = search.kneighbors(real[:N_USUAL])
    return rows[:, 0], distance[:, 0], float(np.median(among_real[:, 1]))


def _map(features: Array) -> Array:
    """Return places (n, 2) in a plane: the first two principal components, which make no gap any wider."""
    places = PCA(min(2, *features.shape), svd_solver="full").fit_transform(features)
    return np.pad(places, ((0, 0), (0, 2 - places.shape[1]))).astype(np.float32)


def pictures_of(x: Tensor) -> Array:
    """Return encoded images as uint8 (n, height, width, channels), large ones shrunk."""
    scale = max(x.shape[2:]) / SIDE_SHOWN
    if scale > 1:
        x = F.interpolate(x, [max(1, round(side / scale)) for side in x.shape[2:]], mode="area")
    pictures: Array = ((x + 1) * 127.5).clamp(0, 255).round().byte().permute(0, 2, 3, 1).contiguous().numpy()
    return pictures


def texts_of(X: Any) -> tuple[tuple[str, ...], ...]:
    """Return the first columns of rows as text."""
    rows = (
        X.iloc[:, :N_COLUMNS].to_numpy(dtype=object) if hasattr(X, "iloc") else np.asarray(X)[:, :N_COLUMNS]
    )
    return tuple(tuple(_text(v) for v in row) for row in rows.tolist())


def _text(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def column_names(codec: TableCodec) -> tuple[str, ...]:
    names = range(len(codec.parts)) if codec.columns is None else codec.columns
    return tuple(str(name) for name in names)


def _columns(codec: TableCodec, real: Any, drawn: Any) -> tuple[ColumnShares, ...]:
    """Return the shares of the values of the first columns."""
    columns = zip(
        codec.parts, column_names(codec), codec.to_numbers(real).T, codec.to_numbers(drawn).T, strict=True
    )
    return tuple(_shares(part.cells, name, a, b) for part, name, a, b in islice(columns, N_COLUMNS))


def _shares(cells: Cells, name: str, real: Floats, drawn: Floats) -> ColumnShares:
    missing = (100 * float(np.isnan(real).mean()), 100 * float(np.isnan(drawn).mean()))
    real, drawn = real[np.isfinite(real)], drawn[np.isfinite(drawn)]
    if cells.kind == "category" or not len(real):
        counts = np.bincount(real.astype(np.int64))
        levels = np.argsort(-counts, kind="stable")[:N_LEVELS]
        ticks = [str(cells.categories[k]) for k in levels]
        shares = [[100 * float((v == k).sum()) / max(1, len(v)) for k in levels] for v in (real, drawn)]
        rest = [100 - sum(s) if len(v) else 0.0 for s, v in zip(shares, (real, drawn), strict=True)]
        if max(rest) > 1e-6:
            ticks, shares = [*ticks, "other"], [[*s, r] for s, r in zip(shares, rest, strict=True)]
        return ColumnShares(name, False, tuple(ticks), tuple(shares[0]), tuple(shares[1]), missing)
    low, high = np.quantile(real, [0.01, 0.99])
    edges = np.linspace(low, high if high > low else low + 1, N_BINS + 1)
    counted = [np.histogram(v.clip(edges[0], edges[-1]), edges)[0] for v in (real, drawn)]
    a, b = (tuple((100 * n / max(1, n.sum())).tolist()) for n in counted)
    ends = cells.cells(np.array([low, high]))
    return ColumnShares(name, True, tuple(_text(v) for v in ends.tolist()), a, b, missing)


def _with_tuples(values: dict[str, Any]) -> dict[str, Any]:
    def tuples(value: Any) -> Any:
        return tuple(map(tuples, value)) if isinstance(value, (list, tuple)) else value

    return {k: tuples(v) for k, v in values.items()}
