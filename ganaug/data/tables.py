"""Table codec: numeric columns to [-1, 1] by their own quantiles, and back."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganaug._checks import finite, listed
from ganaug.errors import DataError

N_KNOTS = 257


@dataclass(frozen=True, kw_only=True)
class TableCodec:
    """Each column goes through its own piecewise linear distribution function to [-1, 1].

    Heavy tails become even, which a generator with a bounded output can reach; integers and
    booleans come back as such; a constant column comes back constant. Values outside the range
    of the fit are cut to it.

    Examples
    --------
    >>> X = np.array([[1.0, 5], [2.0, 5], [100.0, 5]])
    >>> codec = TableCodec.fit(X)
    >>> codec.encode(X)[:, 0].tolist()
    [-1.0, 0.0, 1.0]
    >>> codec.decode(codec.encode(X)).tolist()
    [[1.0, 5.0], [2.0, 5.0], [100.0, 5.0]]
    """

    columns: tuple[Any, ...] | None  # names, where X was a DataFrame
    dtypes: tuple[str, ...]  # numpy name per column
    knots: tuple[tuple[float, ...], ...]  # increasing values per column, at even steps of [-1, 1]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of an encoded row: (n_features,)."""
        return (len(self.knots),)

    @classmethod
    def fit(cls, X: Any) -> "TableCodec":
        """Return the codec of a numeric array (n, n_features) or DataFrame."""
        if not X.shape[1]:
            raise DataError("X must have at least one column; got none.")
        columns = tuple(X.columns) if hasattr(X, "columns") else None
        if columns is not None and len(set(columns)) < len(columns):
            twice = sorted({str(c) for c in columns if columns.count(c) > 1})
            raise DataError(f"column names must be unique; got {listed(twice)} more than once.")
        dtypes = [getattr(d, "numpy_dtype", d) for d in getattr(X, "dtypes", [])]  # of pandas' nullable ones
        dtypes = dtypes or [X.dtype] * X.shape[1]
        wrong = [i for i, d in enumerate(dtypes) if getattr(d, "kind", "O") not in "uifb"]
        if wrong:
            names = [columns[i] if columns else i for i in wrong]
            raise DataError(
                f"columns must be numeric or boolean; {listed(names)} are not "
                f"(dtype {dtypes[wrong[0]]}). Encode them first, e.g. with sklearn's OrdinalEncoder."
            )
        values = _values(X)
        finite("X", values)
        steps = np.linspace(0, 1, min(len(values), N_KNOTS))
        knots = (np.unique(np.quantile(column, steps)) for column in values.T)
        return cls(
            columns=columns,
            dtypes=tuple(np.dtype(str(d)).name for d in dtypes),
            knots=tuple(tuple(k.tolist()) for k in knots),
        )

    def encode(self, X: Any) -> Tensor:
        """Return (n, n_features) in [-1, 1], float64."""
        names = tuple(X.columns) if hasattr(X, "columns") else self.columns
        if self.columns is not None and names != self.columns:
            raise DataError(f"columns must be {listed(self.columns)} as in fit; got {listed(names or ())}.")
        values = _values(X)
        if values.shape[1:] != self.shape:
            raise DataError(f"X must have {self.shape[0]} columns as in fit; got {values.shape[1]}.")
        columns = [
            np.interp(v, k, np.linspace(-1, 1, len(k))) if len(k) > 1 else np.zeros(len(v))
            for v, k in zip(values.T, self.knots, strict=True)
        ]
        return torch.from_numpy(np.stack(columns, axis=1))

    def decode(self, x: Tensor) -> Any:
        """Return rows in the caller's dtypes: an array, or a DataFrame where X was one."""
        columns = []
        for v, k, dtype in zip(x.detach().cpu().double().numpy().T, self.knots, self.dtypes, strict=True):
            column = np.interp(v, np.linspace(-1, 1, len(k)), k)
            columns.append((column if np.dtype(dtype).kind == "f" else np.rint(column)).astype(dtype))
        if self.columns is None:
            return np.stack(columns, axis=1)
        import pandas as pd

        frame = pd.DataFrame(dict(enumerate(columns)))
        frame.columns = pd.Index(self.columns)
        return frame

    def pack(self, X: Any) -> Tensor:
        """Return encoded rows (n, n_features), float32."""
        return self.encode(X).float()

    def unpack(self, packed: Tensor) -> Tensor:
        """Return packed rows as they are."""
        return packed

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"columns": self.columns, "dtypes": self.dtypes, "knots": self.knots}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "TableCodec":
        """Return the codec that `to_dict` described."""
        columns = values["columns"]
        return cls(
            columns=None if columns is None else tuple(columns),
            dtypes=tuple(values["dtypes"]),
            knots=tuple(tuple(k) for k in values["knots"]),
        )


def _values(X: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    if hasattr(X, "to_numpy"):
        X = X.to_numpy(np.float64, na_value=np.nan)
    return np.asarray(X, dtype=np.float64)
