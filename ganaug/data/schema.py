"""What the caller's X and y look like, and the way from there to tensors and back."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganaug._checks import did_you_mean, known_name, listed, number
from ganaug.data.images import ImageCodec
from ganaug.data.storage import Storage, known_dtype, plain, read
from ganaug.data.stored import StoredImages
from ganaug.data.tables import MISSING, TableCodec, known_names, odd_names
from ganaug.errors import ConfigError, DataError
from ganaug.shards import Chosen, Shards

CONTAINERS = ("numpy", "torch", "pandas")
MAX_LABEL_BYTES = 1 << 28

CODECS: dict[str, type[ImageCodec] | type[TableCodec]] = {"image": ImageCodec, "table": TableCodec}


@dataclass(frozen=True, kw_only=True, eq=False)
class Schema:
    """Codec, labels and containers of a labelled data set."""

    codec: ImageCodec | TableCodec
    labels: np.ndarray[Any, Any]  # (n_classes,), sorted, in the caller's dtype
    names: tuple[str, ...]  # class names, by which classes may be asked for too
    x_container: str  # "numpy", "torch" or "pandas"
    y_container: str
    y_name: Hashable = None  # name of the Series, where y was one
    y_storage: Storage | None = None  # how labels were written, where that is one of pandas' own ways

    @property
    def kind(self) -> str:
        """Return "image" or "table"."""
        return "image" if isinstance(self.codec, ImageCodec) else "table"

    @property
    def blocks(self) -> tuple[int, ...] | None:
        """Widths of the blocks of an encoded row, 1 for a scalar and more for a one-hot; None for images."""
        return None if isinstance(self.codec, ImageCodec) else self.codec.blocks

    @classmethod
    def fit(cls, X: Any, y: Any, *, names: Sequence[str] | None = None, missing: str = "keep") -> "Schema":
        """Return the schema of X and y after checking both; all mistakes raise DataError.

        Missing cells of a table are learned, or filled with other cells of their column: "keep", "fill".
        """
        if y is None:
            raise DataError(
                "y must hold a label per sample; got None. ganaug learns per class: y should be a 1d array."
            )
        if isinstance(y, str):
            raise DataError(
                f"y must hold a label per sample; got the text {y!r}. Where that is a column of X, pass "
                f"X.drop(columns={y!r}) and X[{y!r}]."
            )
        X_array, y_array = as_array(X), label_array(y)
        if X_array.ndim not in (2, 3, 4):
            raise DataError(
                "X must be a table (n, n_features) or images (n, height, width[, channels]); got "
                f"shape {X_array.shape}."
            )
        if y_array.ndim != 1 or len(y_array) != len(X_array):
            raise DataError(
                f"y must have one label for each of the {len(X_array)} samples; got shape {y_array.shape}."
            )
        labels = _labels(y_array)
        known_name("missing", missing, MISSING)
        table = X_array.ndim == 2
        codec = TableCodec.fit(in_memory(X_array), missing=missing) if table else ImageCodec.fit(X_array)
        extension = hasattr(y, "iloc") and not isinstance(y.dtype, np.dtype)
        own_names = tuple(str(n) for n in names) if names is not None else None
        if own_names is not None and len(own_names) != len(labels):
            own_names = _names_of(labels, own_names)
        return cls(
            codec=codec,
            labels=labels,
            names=own_names or tuple(str(v) for v in labels.tolist()),
            x_container=_container(X),
            y_container=_container(y),
            y_name=_series_name(y) if _container(y) == "pandas" else None,
            y_storage=read("y", y).storage if extension else None,
        )

    def encode_X(self, X: Any) -> Tensor:
        """Return X as float32 tensor (n, *shape)."""
        return self.codec.encode(in_memory(as_array(X))).float()

    def pack_X(self, X: Any) -> Tensor | StoredImages:
        """Return X in few bytes: images as uint8 where they have up to 256 levels, else float32.

        Images (n, *shape) lie channels last in memory, or stay in their files; a row of a table has a number
        per block. Only data that `fit` saw may be packed.
        """
        array = as_array(X)
        if isinstance(array, Shards | Chosen) and isinstance(self.codec, ImageCodec):
            return StoredImages(array, self.codec)
        return self.codec.pack(in_memory(array))

    def unpack_X(self, packed: Tensor) -> Tensor:
        """Return rows of what `pack_X` gave as float32 (n, *shape), equal to those of `encode_X`."""
        return self.codec.unpack(packed)

    def encode_y(self, y: Any) -> Tensor:
        """Return class indices (n,); a label that fit did not see raises DataError."""
        y_array = label_array(y)
        c = np.searchsorted(self.labels, y_array).clip(max=len(self.labels) - 1)
        unknown = np.unique(y_array[self.labels[c] != y_array])
        if len(unknown):
            raise DataError(f"y must hold labels seen in fit ({listed(self.labels)}); got {listed(unknown)}.")
        return torch.from_numpy(c.astype(np.int64))

    def decode_X(self, x: Tensor) -> Any:
        """Return encoded samples in the caller's container, dtype and layout."""
        X = self.codec.decode(x)
        return torch.from_numpy(X) if self.x_container == "torch" else X

    def decode_y(self, c: Any) -> Any:
        """Return labels in the caller's container and dtype."""
        y = self.labels[np.asarray(c)]
        if self.y_container == "torch":
            return torch.from_numpy(y)
        if self.y_container == "pandas":
            import pandas as pd

            if self.y_storage is not None:
                y = self.y_storage.write(y, np.zeros(len(y), dtype=bool))
            return pd.Series(y, name=self.y_name, dtype=y.dtype)
        return y

    def index_counts(self, counts: int | Mapping[Any, int]) -> list[tuple[int, int]]:
        """Return (class index, number) in the order of `counts`; an int means as many of each class."""
        if not isinstance(counts, Mapping):
            counts = dict.fromkeys(self.labels.tolist(), counts)
        wanted = [(self.class_index(key), n) for key, n in counts.items()]
        if len({k for k, _ in wanted}) < len(wanted):
            raise ConfigError(f"counts must name each class once; got {listed(counts)}.")
        for key, n in counts.items():
            number(f"counts[{key!r}]", n, low=0, integer=True)
        return wanted

    def class_index(self, key: Any) -> int:
        """Return the index of a class given by its label, the text of it, or its name."""
        key = key.item() if isinstance(key, np.generic) else key
        labels = self.labels.tolist()
        numeric = isinstance(key, (int, float)) and not isinstance(key, bool)
        same = {int, float} if numeric else {type(key)}
        for candidates in (labels, self.names, [str(v) for v in labels]):
            matches = [i for i, v in enumerate(candidates) if type(v) in same and v == key]
            if matches:
                return matches[0]
        known = [*map(str, self.labels.tolist()), *self.names]
        raise KeyError(f"no class {key!r}; the classes are {listed(self.labels)}.{did_you_mean(key, known)}")

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "kind": self.kind,
            "codec": self.codec.to_dict(),
            "labels": self.labels.tolist(),
            "label_dtype": self.labels.dtype.str,
            "names": list(self.names),
            "x_container": self.x_container,
            "y_container": self.y_container,
            "y_name": self.y_name,
            "y_storage": None if self.y_storage is None else self.y_storage.to_dict(),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Schema":
        """Return the schema that `to_dict` described; an error of any kind if it cannot be one."""
        dtype = known_dtype(values["label_dtype"])
        if len(values["labels"]) * dtype.itemsize > MAX_LABEL_BYTES:
            raise DataError(f"labels must take at most {MAX_LABEL_BYTES} bytes; got dtype {dtype}.")
        schema = cls(
            codec=CODECS[values["kind"]].from_dict(values["codec"]),
            labels=np.array(values["labels"], dtype=dtype),
            names=tuple(values["names"]),
            x_container=known_name("x_container", values["x_container"], CONTAINERS),
            y_container=known_name("y_container", values["y_container"], CONTAINERS),
            y_name=known_names([values["y_name"]])[0],
            y_storage=None if values["y_storage"] is None else Storage.from_dict(values["y_storage"]),
        )
        n = len(schema.labels)
        if not np.array_equal(checked_labels(schema.labels)[0], schema.labels):
            raise DataError(f"labels must be sorted and distinct; got {listed(schema.labels)}.")
        if len(schema.names) != n or not all(isinstance(name, str) for name in schema.names):
            raise DataError(f"names must be {n} texts; got {listed(schema.names)}.")
        schema.decode_y(np.arange(n))
        schema.decode_X(schema.codec.examples())
        return schema


def kind_of(X: Any) -> str:
    """Return "table" for rows (n, n_features), else "image"."""
    return "table" if as_array(X).ndim == 2 else "image"


def take(X: Any, rows: np.ndarray[Any, Any]) -> Any:
    """Return the given rows of an array or DataFrame, or of images in files, which stay there."""
    if isinstance(X, Shards):
        return Chosen(X, rows)
    return X.iloc[rows] if hasattr(X, "iloc") else X[rows]


def stack(first: Any, second: Any) -> Any:
    """Return two arrays, tensors or DataFrames of the same kind, one above the other."""
    if hasattr(first, "iloc"):
        import pandas as pd

        return pd.concat([first, second], ignore_index=True)
    if isinstance(first, Tensor):
        return torch.cat([first, second])
    return np.concatenate([first, second])


def as_array(values: Any) -> Any:
    """Return an array, keeping a DataFrame as it is so that its columns keep their dtypes, and rows in files.

    Lists of rows that hold text become an array of objects, so that their numbers stay numbers.
    """
    if isinstance(values, Tensor):
        return values.detach().cpu().numpy()
    if isinstance(values, Shards | Chosen) or (hasattr(values, "iloc") and hasattr(values, "columns")):
        return values
    if hasattr(values, "toarray"):
        raise DataError(
            f"X and y must be dense; got a sparse {type(values).__name__}. Densify it with .toarray()."
        )
    try:
        array = np.asarray(values)
        text = array.ndim == 2 and array.dtype.kind in "US" and not hasattr(values, "dtype")
        return np.asarray(values, dtype=object) if text else array
    except ValueError as error:  # nested sequences of different lengths
        raise DataError(f"X and y must be arrays of one shape: {error}") from error


def in_memory(values: Any) -> Any:
    """Return rows in files as an array; whatever else comes as it is."""
    return np.asarray(values) if isinstance(values, Shards | Chosen) else values


def _container(values: Any) -> str:
    if isinstance(values, Tensor):
        return "torch"
    return "pandas" if hasattr(values, "iloc") else "numpy"


def _series_name(y: Any) -> Hashable:
    (name,) = known_names([getattr(y, "name", None)])
    return str(name) if odd_names([name]) else name


def label_array(y: Any) -> np.ndarray[Any, Any]:
    """Return labels as an array, in which objects of numpy's types are Python's."""
    array = np.asarray(as_array(y))
    return np.asarray(np.frompyfunc(plain, 1, 1)(array)) if array.dtype == object else array


def checked_labels(y: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return the labels of an array (n,), sorted, and their counts; bad labels raise DataError."""
    numbers = y
    if y.dtype.kind not in "biufOU":
        raise DataError(f"labels must be numbers, booleans or text; got dtype {y.dtype}.")
    if y.dtype == object:
        import pandas as pd

        _require_labels(int(pd.isna(y).sum()))
        kinds = sorted({type(v).__name__ for v in y})
        if len(kinds) > 1:
            raise DataError(f"labels must be of one type; got {listed(kinds)}.")
        if not set(kinds) <= {"str", "bool", "int", "float"}:
            raise DataError(f"labels must be numbers, booleans or text; got {listed(kinds)}.")
        numbers = y.astype(np.float64) if kinds == ["float"] else y
    if numbers.dtype.kind == "f":
        _require_labels(int((~np.isfinite(numbers)).sum()))
        if np.any(numbers % 1):
            raise DataError(
                "y must hold class labels; got fractional numbers, as of a continuous target. ganaug "
                "classifies only."
            )
    labels, counts = np.unique(y, return_counts=True)
    if len(labels) < 2:
        got = f"1 class: {listed(labels)}" if len(labels) else "no labels"
        raise DataError(f"y must have at least two classes; got {got}.")
    return labels, counts


def _require_labels(missing: int) -> None:
    if missing:
        raise DataError(f"y must have a label per sample; {missing} labels are missing. Drop those samples.")


def _labels(y: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    labels, counts = checked_labels(y)
    if counts.min() < 2:
        raise DataError(
            f"each class must have at least 2 samples; {listed(labels[counts < 2])} has 1. "
            "Add samples, or drop or merge the class."
        )
    return labels


def _names_of(labels: np.ndarray[Any, Any], names: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return the names of the labels that occur, where labels index a longer list of names."""
    if labels.dtype.kind in "ui" and labels[0] >= 0 and labels[-1] < len(names):
        return tuple(names[i] for i in labels.tolist())
    raise DataError(f"names must have one entry per class ({len(labels)}); got {len(names)}.")
