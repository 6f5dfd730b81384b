"""AugmentedDataset: real samples of a torch data set with synthetic ones mixed in."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ganaug._checks import number
from ganaug._random import Seed, as_seed, numpy_stream
from ganaug.bank import SampleBank
from ganaug.data.schema import Schema
from ganaug.data.sources import class_names, dataset_targets
from ganaug.errors import DataError
from ganaug.generator import ConditionalGAN
from ganaug.mixing.fill import Fill, fill_counts

__all__ = ["AugmentedDataset"]


class AugmentedDataset(Dataset[Any]):
    """A labelled map-style data set plus synthetic samples, for any DataLoader.

    Indices below ``len(real)`` are the real samples in their order; the filled ones follow, grouped
    by class. Every choice derives from (seed, epoch, index), so that the number of workers does not
    change what is drawn.

    Parameters
    ----------
    real : map-style data set of (x, label)
        Torchvision's, a Subset, a TensorDataset, or the user's own. Give augmentations to
        `transform` here instead, so that synthetic samples get them too.
    source : ConditionalGAN or SampleBank
        Where synthetic samples come from. A generator is drawn from once, at construction.
    fill : {"balance"}, float, dict, callable or None, default="balance"
        How many to add; see `ganaug.mixing.fill.fill_counts`. None adds nothing.
    swap : float, default=0.0
        Probability that a real sample is replaced by a synthetic one of its class, drawn anew each
        epoch.
    weight : float or None, default=None
        If given, items are (x, label, float32 weight): 1.0 for real samples, this for synthetic ones.
    real_only_from : int or None, default=None
        Epoch from which on the data set is the real one alone, for a final phase.
    transform, target_transform : callable or None
        Applied to every x, and to every label.
    random_state : int, RandomState, Generator or None, default=0
        Seed of drawing and swapping.

    Attributes
    ----------
    targets : list
        Labels by index in the current epoch, for samplers and stratified splits.
    classes : sequence of str or None
        Class names, as the real data set has them.

    Raises
    ------
    DataError
        If synthetic samples do not have the type, shape and dtype of the real ones, or the source
        has no sample of a class that is needed.
    ConfigError
        If `fill` or `swap` is out of range.

    Examples
    --------
    >>> from torch.utils.data import TensorDataset
    >>> X = torch.randn(30, 4); y = torch.tensor([0] * 24 + [1] * 6)
    >>> real = TensorDataset(X, y)
    >>> gan = ConditionalGAN(train_images=128, random_state=0).fit(real)
    >>> train = AugmentedDataset(real, gan)
    >>> len(train), train.origin(0), train.origin(47)
    (48, 'real', 'synthetic')
    """

    def __init__(
        self,
        real: Any,
        source: ConditionalGAN | SampleBank,
        *,
        fill: Fill | None = "balance",
        swap: float = 0.0,
        weight: float | None = None,
        real_only_from: int | None = None,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        random_state: Seed = 0,
    ):
        number("swap", swap, low=0, high=1)
        if weight is not None:
            number("weight", weight, low=0)
        self.real, self.swap, self.weight = real, swap, weight
        self.real_only_from = real_only_from
        self.transform, self.target_transform = transform, target_transform
        self.classes = class_names(real)
        self.seed = as_seed(random_state)
        self._real_targets = dataset_targets(real)
        added = {} if fill is None else fill_counts(self._real_targets, fill)
        self.bank = _bank(source, added, self._real_targets, swap, self.seed)
        real_x, real_y = real[0]
        if not np.array_equal(np.asarray(real_y), np.asarray(self._real_targets[0])):
            raise DataError(
                f"targets of the real data set must be its items' labels; item 0 has the label {real_y!r} "
                f"and the target {self._real_targets[0]!r}. Give target_transform to AugmentedDataset."
            )
        self._dress = _dress(real_x, self.bank)

        schema = self.bank.schema
        self._added_targets = [k for k, n in added.items() for _ in range(n)]
        mixed_in = [*added, *(set(self._real_targets) if swap else ())]
        self._labels = {k: _same_kind(k, real_y) for k in mixed_in}
        self._rows = np.argsort(self.bank.class_indices, kind="stable")  # by class, from _starts on
        self._sizes = np.bincount(self.bank.class_indices, minlength=len(schema.labels))
        self._starts = np.cumsum(self._sizes) - self._sizes
        self._real_classes = _classes(schema, self._real_targets if swap else [])
        self._added_classes = _classes(schema, self._added_targets)
        for key, size in zip(mixed_in, self._sizes[_classes(schema, mixed_in)], strict=True):
            if not size:
                raise DataError(f"the bank has no sample of class {key!r}, which is to be mixed in.")
        self._added_slots = np.array([slot for n in added.values() for slot in range(n)], np.int64)
        self._epoch = torch.zeros(1, dtype=torch.int64).share_memory_()
        self._planned = (-1, np.empty(0, np.int64))

    def set_epoch(self, epoch: int) -> None:
        """Tell the data set, and its workers, which epoch (from 0) comes next."""
        self._epoch[0] = epoch

    @property
    def epoch(self) -> int:
        """The current epoch, shared with worker processes."""
        return int(self._epoch.item())

    @property
    def real_only(self) -> bool:
        """Whether the current epoch is part of the real-only phase."""
        return self.real_only_from is not None and self.epoch >= self.real_only_from

    @property
    def targets(self) -> list[Any]:
        """Labels by index in the current epoch."""
        return self._real_targets + ([] if self.real_only else self._added_targets)

    def __len__(self) -> int:
        return len(self._plan())

    def origin(self, index: int) -> str:
        """Return "real" or "synthetic" for an index in the current epoch."""
        plan = self._plan()
        return "real" if plan[self._position(index, plan)] < 0 else "synthetic"

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        plan = self._plan()
        index = self._position(index, plan)
        row = plan[index]
        if row < 0:
            x, y = self.real[index]
        else:
            n_real = len(self._real_targets)
            y = self._real_targets[index] if index < n_real else self._added_targets[index - n_real]
            x, y = self._dress(self.bank.samples[row]), self._labels[y]
        if self.transform is not None:
            x = self.transform(x)
        if self.target_transform is not None:
            y = self.target_transform(y)
        if self.weight is None:
            return x, y
        return x, y, torch.tensor(1.0 if row < 0 else self.weight, dtype=torch.float32)

    def _position(self, index: int, plan: np.ndarray[Any, Any]) -> int:
        if not -len(plan) <= index < len(plan):
            raise IndexError(f"index must be within {len(plan)} samples; got {index}.")
        return index % len(plan)

    def _plan(self) -> np.ndarray[Any, Any]:
        """Return the row of the bank at each index of the current epoch, -1 for a real sample."""
        epoch = self.epoch
        if self._planned[0] != epoch:
            self._planned = (epoch, self._plan_epoch(epoch))
        return self._planned[1]

    def _plan_epoch(self, epoch: int) -> np.ndarray[Any, Any]:
        real = np.full(len(self._real_targets), -1, dtype=np.int64)
        if self.real_only:
            return real
        if self.swap:
            rng = numpy_stream(self.seed, "swap", epoch)
            swapped, uniform = rng.random(len(real)) < self.swap, rng.random(len(real))
            c = self._real_classes[swapped]
            real[swapped] = self._rows[self._starts[c] + (uniform[swapped] * self._sizes[c]).astype(int)]
        # each epoch goes on where the last one stopped, so that a larger bank is used in full
        c = self._added_classes
        slots = self._added_slots + epoch * np.bincount(c, minlength=len(self._sizes))[c]
        return np.concatenate([real, self._rows[self._starts[c] + slots % self._sizes[c]]])


def _classes(schema: Schema, labels: list[Any]) -> np.ndarray[Any, Any]:
    return schema.encode_y(np.array(labels) if labels else schema.labels[:0]).numpy()


def _same_kind(label: Any, like: Any) -> Any:
    """Return a label as tensor or numpy scalar where the real data set yields one."""
    if isinstance(like, Tensor):
        return torch.tensor(label, dtype=like.dtype)
    return like.dtype.type(label) if isinstance(like, np.generic) else label


def _bank(
    source: ConditionalGAN | SampleBank,
    added: dict[Any, int],
    targets: list[Any],
    swap: float,
    seed: int,
) -> SampleBank:
    """Return the source if it is a bank, else enough samples for one epoch of fill and swap."""
    if isinstance(source, SampleBank):
        return source
    counts = dict(added)
    if swap:
        labels, real_counts = np.unique(np.array(targets), return_counts=True)
        for label, n in zip(labels.tolist(), real_counts.tolist(), strict=True):
            counts[label] = max(counts.get(label, 0), n)
    return SampleBank.from_gan(source, counts, random_state=seed)


def _dress(real_x: Any, bank: SampleBank) -> Callable[[np.ndarray[Any, Any]], Any]:
    """Return the function that turns a row of the bank into what the real data set yields."""
    as_array = real_x.numpy() if isinstance(real_x, Tensor) else np.asarray(real_x)
    got, want = bank.samples, (as_array.shape, as_array.dtype)
    if (got.shape[1:], got.dtype) != want:
        raise DataError(
            f"synthetic samples must have the shape and dtype of the real ones, {want[0]} {want[1]}; "
            f"got {got.shape[1:]} {got.dtype}. Fit the generator on this data set, and give "
            "transforms to AugmentedDataset instead of the real data set."
        )
    if isinstance(real_x, Tensor):
        return _tensor
    return np.array if isinstance(real_x, np.ndarray) else _image


def _tensor(row: np.ndarray[Any, Any]) -> Tensor:
    return torch.from_numpy(np.array(row))


def _image(row: np.ndarray[Any, Any]) -> Any:
    from PIL import Image

    return Image.fromarray(np.asarray(row))
