"""Likeness: rows of a bank turned into items like those of the real data set."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganaug._checks import listed
from ganaug.bank import SampleBank
from ganaug.data.schema import Schema
from ganaug.errors import DataError
from ganaug.shards import Rows, Shards, resident


class Likeness:
    """Synthetic (x, label) of the types that the real data set yields.

    Parameters
    ----------
    real_x, real_y : sample and label
        An item of the real data set.
    bank : SampleBank
        Where synthetic ones are read from.
    classes : dict of {label: int}
        Classes of the bank by the labels that the real data set has for them.
    """

    def __init__(self, real_x: Any, real_y: Any, bank: SampleBank, classes: Mapping[Any, int]):
        real = real_x.detach().numpy() if isinstance(real_x, Tensor) else np.asarray(real_x)
        want, got = (real.shape, real.dtype), (bank.samples.shape[1:], bank.samples.dtype)
        if got != want:
            raise DataError(
                f"synthetic samples must have the shape and dtype of the real ones, {want[0]} {want[1]}; "
                f"got {got[0]} {got[1]}. Fit the generator on this data set, and give "
                "transforms to AugmentedDataset instead of the real data set."
            )
        self._samples = _samples_like(real_x)
        self._labels = {c: _label_like(real_y, label) for label, c in classes.items()}
        self.read_from(bank)

    def read_from(self, bank: SampleBank) -> None:
        """Take synthetic samples from this bank from now on."""
        self.bank: SampleBank | None = bank
        self._opened: tuple[Rows | Shards, Rows] | None = None

    def items(self, rows: Rows) -> list[tuple[Any, Any]]:
        """Return (x, label) for rows (n,) of the bank, which are read at once."""
        if self._opened is None and self.bank is not None:
            self._opened = resident(self.bank.samples), np.asarray(self.bank.class_indices)
        assert self._opened is not None  # `read_from` comes first
        samples, class_indices = self._opened
        labels = [self._labels[c] for c in class_indices[rows].tolist()]
        return list(zip(self._samples(samples[rows]), labels, strict=True))

    def __getstate__(self) -> dict[str, Any]:
        """Leave behind what was read: a worker opens the bank itself."""
        return {**self.__dict__, "_opened": None}


def bank_classes(schema: Schema, labels: Sequence[Any], names: Mapping[Any, str]) -> dict[Any, int]:
    """Return the class of a bank for each label of a data set: the one of its name where both have names."""
    texts = any(isinstance(label, str) for label in labels) or not set(labels) <= names.keys()
    named = schema.labels.dtype.kind in "UO" or [*map(str, schema.labels.tolist())] != [*schema.names]
    if texts or not named:
        return dict(zip(labels, schema.encode_y(np.array(labels)).tolist() if labels else [], strict=True))
    classes = {name: c for c, name in enumerate(schema.names)}
    unknown = [names[label] for label in labels if names[label] not in classes]
    if unknown:
        raise DataError(
            f"the source must have a class of each name; it has none of {listed(unknown)}, but "
            f"{listed(classes)}. Fit the generator on this data set."
        )
    return {label: classes[names[label]] for label in labels}


def _samples_like(real_x: Any) -> Callable[[Rows], Sequence[Any]]:
    """Return the function that turns rows (n, ...) into n samples."""
    if type(real_x).__module__.startswith("torchvision.tv_tensors"):
        return partial(_tv_tensors, like=real_x)
    if isinstance(real_x, Tensor):
        return _tensors
    if isinstance(real_x, np.ndarray):
        return list
    if type(real_x).__module__.startswith("PIL"):
        return _images
    raise DataError(f"items must be tensors, arrays or PIL images; got {type(real_x).__name__}.")


def _tensors(rows: Rows) -> Sequence[Tensor]:
    return torch.from_numpy(rows).unbind()


def _tv_tensors(rows: Rows, *, like: Any) -> Sequence[Any]:
    from torchvision.tv_tensors import wrap

    return [wrap(x, like=like) for x in _tensors(rows)]


def _images(rows: Rows) -> Sequence[Any]:
    from PIL import Image

    return [Image.fromarray(row) for row in rows]


def _label_like(real_y: Any, label: Any) -> Any:
    """Return a label as tensor or numpy scalar where the real data set yields one."""
    if isinstance(real_y, Tensor):
        return torch.full_like(real_y, label)
    return real_y.dtype.type(label) if isinstance(real_y, np.generic) else label
