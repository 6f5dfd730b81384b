"""Where labelled data comes from: files named on the command line, and torch data sets."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import ConcatDataset

from ganaug._checks import did_you_mean, listed
from ganaug.data.image_folder import read_image_folder
from ganaug.data.memory import require_memory
from ganaug.data.npz import array_names, read_arrays
from ganaug.data.shard_data import holds_shards, read_shards
from ganaug.errors import DataError
from ganaug.formats import OPENERS
from ganaug.shards import Shards

__all__ = ["Source", "dataset_arrays", "dataset_targets", "open_data", "open_unlabelled"]


@dataclass(frozen=True)
class Source:
    """A labelled data set, as it was stored: in memory, or images in files as `Shards`."""

    name: str
    X: Any
    y: Any
    class_names: tuple[str, ...] | None = None
    test: tuple[Any, np.ndarray[Any, Any]] | None = None  # where the file has a test part
    labelled_per_class: int | None = None  # where a comparison should use a small part only
    groups: np.ndarray[Any, Any] | None = None  # of samples that belong together


def open_data(
    data: str | Path,
    *,
    target: str = "target",
    groups: str | None = None,
    image_size: int | None = None,
    on_image: Callable[[int, int], None] | None = None,
    stored: bool = False,
) -> Source:
    """Open a data set by name or path.

    Parameters
    ----------
    data : str or Path
        ``"digits"`` (1,797 handwritten digits of 8x8 pixels, part of scikit-learn), an image folder
        (``root/class/*.png|jpg``), a folder of arrays (``x*.npy`` and ``y*.npy``), an ``.npz`` with arrays
        ``x*`` and ``y*``, a ``.csv``, a ``.parquet`` (a table, or the columns image and label), or a
        WebDataset ``.tar`` (``.png`` and ``.cls``).
    target : str, default="target"
        Name of the label column of a ``.csv`` or ``.parquet``.
    groups : str or None, default=None
        Name of a column of a ``.csv`` or an array of an ``.npz`` that tells which samples belong together
        (patient, site, day); it is taken out of ``X``.
    image_size : int or None, default=None
        Side in pixels (8 to 128) to which the images of a folder are scaled and cut; None takes images of one
        size as they are. Decoded pixels are kept in a cache, see `read_image_folder`.
    on_image : callable or None
        Called with (images decoded, images in all) while a folder is read.
    stored : bool, default=False
        Whether the samples of a folder of arrays may stay in their files, as `Shards`.

    Returns
    -------
    Source
        With ``X``, ``y``, and where known ``class_names``, ``test`` and ``groups``.

    Raises
    ------
    DataError
        If there is no such data, or it cannot be read; the file at fault is named.

    Examples
    --------
    >>> source = open_data("digits")
    >>> source.X.shape, source.X.dtype
    ((1797, 8, 8), dtype('uint8'))
    """
    path = Path(data)
    if groups is not None and path.suffix not in (".csv", ".npz"):
        raise DataError(f"groups must be a column of a .csv or an array of an .npz; {data} has neither.")
    if image_size is not None and (path.is_file() or str(data) == "digits"):
        raise DataError(f"image_size is for image folders; {data} is none. Leave it (--image-size) out.")
    if str(data) == "digits":
        from sklearn.datasets import load_digits

        digits = load_digits()
        return Source("digits", digits.images.astype(np.uint8), digits.target, labelled_per_class=10)
    if path.is_dir() and holds_shards(path):
        X, y = read_shards(path)
        return Source(path.name, X if stored else _in_memory(path, X), y)
    if path.is_dir():
        return Source(path.name, *read_image_folder(path, image_size=image_size, on_image=on_image))
    if not path.is_file():
        near = did_you_mean(path.name, ["digits", *(p.name for p in _siblings(path))])
        raise DataError(
            f"DATA must be 'digits', an image folder, an .npz or a .csv; there is no {str(data)!r}.{near}"
        )
    if path.suffix == ".npz":
        return _npz(path, groups)
    if path.suffix == ".csv":
        return _csv(path, target, groups)
    if path.suffix in OPENERS:
        return Source(path.stem, *OPENERS[path.suffix](path, target))
    raise DataError(
        f"{path} must be an image folder, an .npz, .parquet or .tar, or a .csv; got {path.suffix!r}."
    )


def open_unlabelled(
    data: str | Path, *, target: str = "target", groups: str | None = None, image_size: int | None = None
) -> Any:
    """Open samples whose labels nobody asks for.

    Parameters
    ----------
    data : str or Path
        A folder of images, or with folders of them (``root/[any/]*.png|jpg``), an ``.npz`` with an array
        ``x``, ``X``, ``x_train`` or ``X_train``, or a ``.csv``, of which a column of labels is left out; or
        any other data set that `open_data` opens, without its labels.
    target : str, default="target"
        Name of the label column of a file that has one.
    groups : str or None, default=None
        Name of a column of a ``.csv`` that is left out too.
    image_size : int or None, default=None
        As in `open_data`.

    Returns
    -------
    array or DataFrame
        Samples (n, ...).

    Raises
    ------
    DataError
        If there is no such data, or it cannot be read.

    Examples
    --------
    >>> open_unlabelled("digits").shape
    (1797, 8, 8)
    """
    path = Path(data)
    if path.suffix == ".csv" and path.is_file():
        return _frame(path).drop(columns=[target, groups or target], errors="ignore")
    if path.suffix == ".npz" and path.is_file():
        wanted = [name for name in ("x", "X", "x_train", "X_train") if name in array_names(path)]
        if not wanted:
            raise DataError(f"{path} must hold samples as an array x; it has {listed(array_names(path))}.")
        return read_arrays(path, wanted[:1])[wanted[0]]
    if path.is_dir():
        return read_image_folder(path, image_size=image_size, flat=True)[0]
    if not path.exists() and str(data) != "digits":
        raise DataError(
            f"unlabelled must be 'rest', a file or a folder; there is no {str(data)!r}."
            f"{did_you_mean(path.name, ['rest', 'digits', *(p.name for p in _siblings(path))])}"
        )
    return open_data(data, target=target, image_size=image_size).X


def is_dataset(X: Any) -> bool:
    """Return whether X is a map-style torch data set, rather than an array or a list."""
    return (
        hasattr(X, "__getitem__")
        and hasattr(X, "__len__")
        and not (hasattr(X, "dtype") or hasattr(X, "dtypes") or isinstance(X, (list, tuple, str)))
    )


def dataset_targets(dataset: Any) -> list[Any]:
    """Return the label of each item of a map-style torch data set, without loading items if it can."""
    targets = getattr(dataset, "targets", None)
    if targets is None and hasattr(dataset, "indices") and hasattr(dataset, "dataset"):
        inner = dataset_targets(dataset.dataset)
        return [inner[i] for i in dataset.indices]
    if targets is None and isinstance(dataset, ConcatDataset):
        return [target for part in dataset.datasets for target in dataset_targets(part)]
    if targets is None and hasattr(dataset, "tensors"):
        targets = dataset.tensors[1]
    if targets is None:
        targets = [dataset[i][1] for i in range(len(dataset))]
    if isinstance(targets, (Tensor, np.ndarray)):
        targets = targets.tolist()
    return [t.item() if isinstance(t, (Tensor, np.generic)) else t for t in targets]


def dataset_arrays(dataset: Any) -> tuple[Any, np.ndarray[Any, Any], Sequence[str] | None]:
    """Return (X, y, class names) of a map-style torch data set; X is a tensor if its items are.

    Raises DataError where an item is not a pair, or items differ in shape.
    """
    if not len(dataset):
        raise DataError("the data set must have samples; got an empty one.")
    first = dataset[0]
    if not (isinstance(first, (tuple, list)) and len(first) == 2):
        raise DataError(f"items must be pairs (x, label); got {type(first).__name__}.")
    tensors = isinstance(first[0], Tensor)
    like = _pixels(first[0])
    X: Any = np.empty((len(dataset), *like.shape), like.dtype)
    labels = []
    for i in range(len(dataset)):
        x, label = dataset[i]
        row = _pixels(x)
        if row.shape != like.shape:
            shapes = listed(sorted({row.shape, like.shape}))
            raise DataError(f"samples must have one shape; got {shapes}. Resize images first.")
        if row.dtype != X.dtype:
            X = X.astype(np.result_type(row.dtype, X.dtype), copy=False)
        X[i] = row
        labels.append(label.item() if isinstance(label, (Tensor, np.generic)) else label)
    if tensors:
        import torch

        X = torch.from_numpy(X)
    kinds = sorted({type(label).__name__ for label in labels})
    if len(kinds) > 1:
        raise DataError(f"labels must be of one type; got {listed(kinds)}.")
    y = np.array(labels)
    return X, y, class_names(dataset)


def _pixels(x: Any) -> np.ndarray[Any, Any]:
    return x.detach().cpu().numpy() if isinstance(x, Tensor) else np.asarray(x)


def class_names(dataset: Any) -> Sequence[str] | None:
    """Return the names of the classes, also through a Subset or a ConcatDataset, or None."""
    found: Sequence[str] | None = inherited(dataset, "classes")
    return found


def inherited(dataset: Any, name: str) -> Any:
    """Return an attribute of a data set, or of the ones it is made of where these agree; else None."""
    if hasattr(dataset, name):
        return getattr(dataset, name)
    if isinstance(dataset, ConcatDataset):
        found = [inherited(part, name) for part in dataset.datasets]
    else:
        found = [inherited(dataset.dataset, name)] if hasattr(dataset, "dataset") else []
    return found[0] if found and all(value == found[0] for value in found[1:]) else None


def _in_memory(path: Path, X: Shards) -> Any:
    require_memory(path, X.nbytes)
    return X[:]


def _siblings(path: Path) -> list[Path]:
    return list(path.parent.iterdir()) if path.parent.is_dir() else []


def _npz(path: Path, groups: str | None) -> Source:
    names = array_names(path)
    arrays = read_arrays(path, [n for n in names if n[:1] in "xXy" or n in ("classes", groups)])
    train = _pair(arrays, ("", "_train"))
    if train is None:
        raise DataError(f"{path} must hold arrays x and y (or x_train and y_train); it has {listed(names)}.")
    if groups is not None and groups not in arrays:
        raise DataError(f"{path} has no array {groups!r} of groups; it has {listed(names)}.")
    classes = arrays.get("classes")
    if classes is not None and classes.ndim != 1:
        raise DataError(
            f"{path} must hold the names of classes as a list, 'classes' of shape (n,); got {classes.shape}."
        )
    return Source(
        path.stem,
        *train,
        class_names=None if classes is None else tuple(str(c) for c in classes),
        test=_pair(arrays, ("_test",)),
        groups=None if groups is None else arrays[groups],
    )


def _pair(arrays: dict[str, Any], endings: tuple[str, ...]) -> tuple[Any, Any] | None:
    for ending in endings:
        for x, y in ((f"x{ending}", f"y{ending}"), (f"X{ending}", f"y{ending}")):
            if x in arrays and y in arrays:
                return arrays[x], arrays[y]
    return None


def _frame(path: Path) -> Any:
    """Return the rows of a CSV file with a name for each column."""
    import pandas as pd

    require_memory(path, path.stat().st_size)
    try:
        header = pd.read_csv(path, header=None, nrows=1, dtype=str, keep_default_na=False).iloc[0]
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(path, index_col=False, low_memory=False)
    except pd.errors.ParserWarning as error:
        raise DataError(
            f"{path} must have as many cells in a row as in its header; got rows that have more cells than "
            "the header. Name all columns, or remove the one without a name."
        ) from error
    except (ValueError, OSError) as error:  # pandas' parser errors are ValueErrors
        raise DataError(f"{path} cannot be read as CSV: {error}") from error
    twice = sorted(set(header[header.duplicated() & (header != "")]))
    if twice:
        raise DataError(
            f"{path} must name each column once; got {listed(twice)} more than once. Rename them."
        )
    if not len(frame):
        raise DataError(f"{path} must hold rows under its header; got none.")
    return frame


def _csv(path: Path, target: str, groups: str | None) -> Source:
    frame = _frame(path)
    for column, option in ((target, "--target"), (groups, "--groups")):
        if column is not None and column not in frame.columns:
            what = "label column" if option == "--target" else "column of groups"
            raise DataError(
                f"{path} has no column {column!r}; it has {listed(frame.columns)}. "
                f"Name the {what} with {option}.{did_you_mean(column, frame.columns)}"
            )
    if groups == target:
        raise DataError(f"{path}: the column of groups must not be that of labels; got {groups!r} for both.")
    y = frame.pop(target)
    return Source(path.stem, frame, y, groups=None if groups is None else frame.pop(groups).to_numpy())
