"""Samples as files hold them, 8-bit pictures or typed columns, and back to what a bank holds."""

from typing import Any

import numpy as np
import torch

from ganaug.data.cells import Cells, Floats
from ganaug.data.columns import Column
from ganaug.data.images import ImageCodec
from ganaug.data.schema import Schema
from ganaug.data.storage import Array
from ganaug.data.tables import TableCodec
from ganaug.errors import DataError

LEVELS = 255


def bank_values(schema: Schema, X: Any) -> Array:
    """Return samples as one array of numbers; the columns of a table may differ in dtype."""
    codec = schema.codec
    if not isinstance(codec, TableCodec):
        return np.asarray(X)
    return np.asarray(X, np.result_type(*codec.dtypes)) if codec.numeric else codec.to_numbers(X)


def fits_8_bits(codec: ImageCodec) -> bool:
    """Return whether pictures keep all values of such images."""
    return codec.levels is not None and codec.levels <= LEVELS


def pictures(codec: ImageCodec, X: Array) -> Array:
    """Return images as bytes (n, height, width[, 3]), from black to white."""
    pixels = codec.encode(X).float().add(1).mul(LEVELS / 2).round().clamp(0, LEVELS).byte()
    images = pixels.permute(0, 2, 3, 1).numpy()
    return images[..., 0] if images.shape[-1] == 1 else images


def of_pictures(codec: ImageCodec, images: Array) -> Array:
    """Return the images that `pictures` was given, where they fit 8 bits."""
    nhwc = images[..., None] if images.ndim == 3 else images
    channels, height, width = codec.shape
    if nhwc.shape[1:] != (height, width, channels):
        raise DataError(
            f"images must have (height, width, channels) {(height, width, channels)} as the manifest says; "
            f"got {nhwc.shape[1:]}."
        )
    x = torch.from_numpy(np.moveaxis(nhwc, -1, 1).astype(np.float64))
    return codec.decode(x / (LEVELS / 2) - 1)


def frame(schema: Schema, X: Array, c: Array, names: list[str]) -> Any:
    """Return rows of a bank as a DataFrame with the dtypes of the fit, the labels in its last column."""
    import pandas as pd

    codec = schema.codec
    assert isinstance(codec, TableCodec)  # only tables have rows
    if codec.numeric:
        columns = [pd.Series(x.astype(dtype)) for x, dtype in zip(X.T, codec.dtypes, strict=True)]
    else:
        rows = pd.DataFrame(codec.from_numbers(X))
        columns = [rows.iloc[:, j] for j in range(rows.shape[1])]
        if codec.columns is None:
            columns = [column.infer_objects() for column in columns]
    found = pd.DataFrame(dict(enumerate([*columns, pd.Series(schema.labels[c])])))
    return found.set_axis(names, axis=1)


def of_frame(schema: Schema, rows: Any) -> Array:
    """Return the rows of a bank out of a DataFrame with the dtypes of the fit."""
    codec = schema.codec
    assert isinstance(codec, TableCodec)
    named = rows if codec.columns is None else rows.set_axis(range(rows.shape[1]), axis=1)
    if codec.numeric:
        return np.asarray(named, np.result_type(*codec.dtypes))
    columns = zip(codec.parts, (named.iloc[:, j] for j in range(named.shape[1])), strict=True)
    return np.stack([part.cells.numbers(j, column) for j, (part, column) in enumerate(columns)], axis=1)


def of_texts(schema: Schema, rows: Any) -> Array:
    """Return the rows of a bank out of a DataFrame of texts, None where a cell is missing."""
    codec = schema.codec
    assert isinstance(codec, TableCodec)
    texts = [rows.iloc[:, j] for j in range(rows.shape[1])]
    if codec.numeric:
        columns = [_numeric(t, dtype) for t, dtype in zip(texts, codec.dtypes, strict=True)]
        return np.stack(columns, axis=1).astype(np.result_type(*codec.dtypes))
    return np.stack([_numbers(part, t) for part, t in zip(codec.parts, texts, strict=True)], axis=1)


def _numeric(texts: Any, dtype: str) -> Array:
    if np.dtype(dtype).kind == "b":
        texts = texts.map({"True": True, "False": False})
    return np.asarray(texts.astype(float if np.dtype(dtype).kind == "f" else dtype))


def _numbers(part: Column, texts: Any) -> Floats:
    """Return what `Cells.numbers` says of cells that were written as text."""
    import pandas as pd

    cells = part.cells
    if cells.kind == "category":
        places = {str(v): float(place) for place, v in enumerate(cells.categories)}
        texts = texts if part.missing or "" not in places else texts.fillna("")
        numbers: Floats = np.asarray(texts.map(places), np.float64)
        unknown = texts[np.isnan(numbers) & texts.notna().to_numpy()]
        if len(unknown):
            raise ValueError(f"{unknown.iloc[0]!r} is none of the categories in the manifest")
        return numbers
    if cells.kind == "float":
        width = next((w for w in ("16", "32") if w in cells.storage.dtype), "64")
        return np.asarray(texts.astype(f"float{width}"), np.float64)
    if cells.kind == "integer":
        return cells.numbers("", pd.Series(pd.array(texts.map(int, na_action="ignore"), dtype="Int64")))
    return cells.numbers("", _times(cells, texts))


def _times(cells: Cells, texts: Any) -> Any:
    import pandas as pd

    if cells.kind == "duration":
        return pd.to_timedelta(texts)
    zone = None
    if cells.storage.extension:
        dtype = pd.api.types.pandas_dtype(cells.storage.dtype)
        zone = getattr(dtype, "tz", None) or getattr(getattr(dtype, "pyarrow_dtype", None), "tz", None)
    times = pd.to_datetime(texts, format="ISO8601", utc=zone is not None)
    return times if zone is None else times.dt.tz_convert(zone)
