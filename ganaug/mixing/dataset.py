"""AugmentedDataset: real samples of a torch data set with synthetic ones mixed in."""

import copy
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from ganaug._checks import listed, number
from ganaug._random import Seed, as_seed, derive
from ganaug.bank import SampleBank
from ganaug.data.sources import class_names, dataset_targets, inherited
from ganaug.errors import ConfigError, DataError
from ganaug.generator import ConditionalGAN
from ganaug.mixing.fill import Fill, fill_counts
from ganaug.mixing.fresh import FreshBanks
from ganaug.mixing.likeness import Likeness, bank_classes
from ganaug.mixing.plan import Indices, MixingPlan, rows_by_class
from ganaug.mixing.transforms import item_transform

__all__ = ["AugmentedDataset"]

UNSET = -1
SPARE = 4.0
"""Standard deviations of the number of swaps above its mean for which samples are drawn."""


class AugmentedDataset(Dataset[Any]):
    """A labelled map-style data set plus synthetic samples, for any DataLoader.

    Indices below ``len(real)`` are the real samples in their order; the filled ones follow, grouped
    by class. Every choice derives from (seed, epoch, index), so that neither the number of workers nor an
    interruption changes what is drawn: call `set_epoch` before each epoch.

    Parameters
    ----------
    real : map-style data set of (x, label)
        Torchvision's, a Subset, a ConcatDataset, a TensorDataset, or the user's own. Give augmentations to
        `transform` here instead, so that synthetic samples get them too.
    source : ConditionalGAN or SampleBank
        Where synthetic samples come from. A generator is drawn from once, at construction, unless `fresh`.
        Of a bank with more samples than an epoch needs, each epoch takes the next ones; one with fewer
        repeats them.
    fill : {"balance"}, float, dict, callable or None, default="balance"
        How many to add; see `ganaug.mixing.fill.fill_counts`. None adds nothing.
    swap : float, default=0.0
        Probability that a real sample is replaced by a synthetic one of its class, drawn anew each
        epoch.
    fresh : bool, default=False
        Draw new samples from the generator for each epoch: `set_epoch` draws them, on the generator's
        device, to a temporary folder that workers read.
    weight : float or None, default=None
        If given, items are (x, label, float32 weight): 1.0 for real samples, this for synthetic ones.
    real_only_from : int or None, default=None
        Epoch from which on the data set is the real one alone, for a final phase; see Notes.
    transform, target_transform : callable or None
        Applied to every x, and to every label. A transform of albumentations is called with arrays.
    random_state : int, RandomState, Generator or None, default=0
        Seed of drawing, swapping and transforms.

    Attributes
    ----------
    targets : list
        Labels by index in the current epoch, for samplers. Split the real data set, not this one.
    classes : sequence of str or None
        Class names, as the real data set has them.
    class_to_idx : dict or None
        Labels by class name, as the real data set has them.

    Raises
    ------
    DataError
        If synthetic samples do not have the type, shape and dtype of the real ones, or the source
        has no sample of a class that is needed.
    ConfigError
        If `fill` or `swap` is out of range, or `fresh` is asked of a bank.

    Notes
    -----
    Classes are matched by name where the real data set and the source both name them, else by label.

    From the first `set_epoch` on, transforms that draw from torch's generator (torchvision's, but for
    ``RandomChoice`` and ``RandomOrder`` of v1) or that are albumentations' draw from (seed, epoch, index).
    Without it, they follow torch's generator, which a DataLoader seeds for each worker: they differ from
    epoch to epoch, and with the number of workers. An index that a sampler draws several times in an
    epoch is transformed in the same way each time: with a ``WeightedRandomSampler``, leave `set_epoch` out,
    or fill the rare classes instead. What draws from Python's or numpy's generator always does.

    In the real-only phase ``len`` and `targets` are those of the real data set. A sampler that keeps the
    length it was made for (a weighted or distributed one, a Subset of indices) gets a real sample of the same
    class in place of each added one. Only a DistributedSampler with ``drop_last=True`` refuses a new length:
    make it anew for the phase.

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
        fresh: bool = False,
        weight: float | None = None,
        real_only_from: int | None = None,
        transform: Callable[..., Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        random_state: Seed = 0,
    ):
        number("swap", swap, low=0, high=1)
        if weight is not None:
            number("weight", weight, low=0)
        if real_only_from is not None:
            number("real_only_from", real_only_from, low=0, integer=True)
        if not isinstance(source, (ConditionalGAN, SampleBank)):
            raise ConfigError(
                f"source must be a ConditionalGAN or a SampleBank; got {type(source).__name__}. Open a "
                "folder with ganaug.load or SampleBank.open."
            )
        self.real, self.swap, self.fresh, self.weight = real, swap, fresh, weight
        self.transform, self.target_transform = transform, target_transform
        self.classes: Sequence[str] | None = class_names(real)
        self.class_to_idx: Mapping[str, int] | None = inherited(real, "class_to_idx")
        self.seed = as_seed(random_state)
        self._real_targets = dataset_targets(real)
        real_x, real_y = _first(real, self._real_targets)
        added = {} if fill is None else fill_counts(self._real_targets, fill)
        labels = [*dict.fromkeys([*added, *(self._real_targets if swap else ())])]
        schema = source.schema if isinstance(source, SampleBank) else source.schema_
        classes = bank_classes(schema, labels, self._names())
        self._bank, self._fresh = self._open(source, added, classes)
        rows = rows_by_class(self._bank)
        self._plan = MixingPlan(
            self._real_targets,
            added,
            {label: rows[c] for label, c in classes.items()},
            swap=swap,
            real_only_from=real_only_from,
            seed=self.seed,
        )
        self._transform = item_transform(transform)
        self._likeness = Likeness(self._transform.input(real_x), real_y, self._bank, classes)
        self._weights = [torch.tensor(w or 0.0, dtype=torch.float32) for w in (1.0, weight)]
        self._epoch = torch.full((1,), UNSET).share_memory_()  # which workers read
        self._ready = UNSET - 1  # the epoch that the next two are of
        self._places, self._first_seed = np.empty(0, np.int32), 0

    def set_epoch(self, epoch: int) -> None:
        """Tell the data set, and its workers, which epoch (from 0) comes next."""
        number("epoch", epoch, low=0, integer=True)
        if self._fresh is not None and not self._plan.real_only(epoch):
            self._fresh.draw(epoch)
        self._epoch[0] = epoch

    @property
    def epoch(self) -> int:
        """The current epoch, shared with worker processes."""
        return max(0, int(self._epoch.item()))

    @property
    def real_only(self) -> bool:
        """Whether the current epoch is part of the real-only phase."""
        return self._plan.real_only(self.epoch)

    @property
    def bank(self) -> SampleBank:
        """Where the synthetic samples of the current epoch come from."""
        self._prepare()
        return self._bank

    @property
    def targets(self) -> list[Any]:
        """Labels by index in the current epoch."""
        added = {} if self.real_only else self._plan.added
        return self._real_targets + [label for label, n in added.items() for _ in range(n)]

    def __len__(self) -> int:
        return self._plan.n_real if self.real_only else self._plan.n

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return (self[i] for i in range(len(self)))

    def origin(self, index: int) -> str:
        """Return "real" or "synthetic" for an index in the current epoch."""
        self._prepare()
        return "real" if self._places[self._positions([index])].item() < 0 else "synthetic"

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[Any, ...]]:
        """Return the items of a batch; its synthetic samples are read at once."""
        self._prepare()
        positions = self._positions(indices)
        places = self._places[positions]
        synthetic = places >= 0
        real_items = map(tuple, _items(self.real, (~places[~synthetic]).tolist()))
        synthetic_items = iter(self._likeness.items(places[synthetic]) if synthetic.any() else ())
        origins = synthetic.tolist()
        items = [next(synthetic_items if origin else real_items) for origin in origins]
        if self.transform is not None:
            seeds = None if self._ready == UNSET else (self._first_seed + positions).tolist()
            samples = self._transform([x for x, _ in items], seeds)
            items = [(x, y) for x, (_, y) in zip(samples, items, strict=True)]
        if self.target_transform is not None:
            items = [(x, self.target_transform(y)) for x, y in items]
        if self.weight is None:
            return items
        return [(x, y, self._weights[origin]) for (x, y), origin in zip(items, origins, strict=True)]

    def __getstate__(self) -> dict[str, Any]:
        """Leave behind a fresh bank, which may be gone when the copy is made."""
        if self._fresh is None:
            return self.__dict__
        likeness = copy.copy(self._likeness)
        likeness.bank = None
        return {**self.__dict__, "_bank": None, "_likeness": likeness, "_ready": UNSET - 1}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._epoch.share_memory_()  # a copy has its own, which its own workers read

    def _prepare(self) -> None:
        """Get ready for the current epoch."""
        now = int(self._epoch.item())
        if now == self._ready:
            return
        self._places = self._plan.places(self.epoch)
        self._first_seed = derive(self.seed, "transform", self.epoch)
        if self._fresh is not None and not self.real_only:
            self._bank = self._fresh.bank(self.epoch)
            self._likeness.read_from(self._bank)
        self._ready = now

    def _positions(self, indices: Sequence[int]) -> Indices:
        """Return the indices as an array, counted from the front."""
        positions = np.asarray(indices)
        if not len(positions):
            return positions.astype(np.int64)
        if positions.dtype.kind not in "iu":
            raise IndexError(f"indices must be integers; got {listed(indices)}.")
        n, lowest = len(self), min(indices)
        if lowest < -n or max(indices) >= self._plan.n:
            raise IndexError(f"indices must be within {n} samples; got {listed(indices)}.")
        return np.where(positions < 0, positions + n, positions) if lowest < 0 else positions

    def _names(self) -> dict[Any, str]:
        """Return the names of classes by label, where the real data set tells them."""
        if self.class_to_idx is not None:
            return {label: str(name) for name, label in self.class_to_idx.items()}
        return dict(enumerate(map(str, self.classes or ())))

    def _open(
        self, source: ConditionalGAN | SampleBank, added: Mapping[Any, int], classes: Mapping[Any, int]
    ) -> tuple[SampleBank, FreshBanks | None]:
        """Return the bank to begin with, and where those of other epochs come from."""
        if isinstance(source, SampleBank):
            if self.fresh:
                raise ConfigError(
                    "fresh=True needs a ConditionalGAN to draw from; got a SampleBank. Leave it out: of a "
                    "bank that is larger than an epoch needs, each epoch takes the next samples."
                )
            return source, None
        needed = dict(added)
        for label, n in Counter(self._real_targets).items() if self.swap else ():
            swapped = self.swap * n + SPARE * math.sqrt(n * self.swap * (1 - self.swap))
            needed[label] = needed.get(label, 0) + min(n, math.ceil(swapped))
        labels = source.schema_.labels.tolist()
        counts = {labels[classes[label]]: n for label, n in needed.items()}
        if not self.fresh:
            return SampleBank.from_gan(source, counts, random_state=self.seed), None
        fresh = FreshBanks(source, counts, seed=self.seed)
        fresh.draw(0)
        return fresh.bank(0), fresh


def _first(real: Any, targets: list[Any]) -> tuple[Any, Any]:
    """Return the first item of the real data set, whose label must be its target."""
    if len(targets) != len(real):
        raise DataError(f"real must have a target per sample; got {len(targets)} for {len(real)} samples.")
    first = real[0]
    if not (isinstance(first, (tuple, list)) and len(first) == 2):
        raise DataError(f"items must be pairs (x, label); got {type(first).__name__}. Wrap the data set.")
    x, y = first
    if not np.array_equal(np.asarray(y), np.asarray(targets[0])):
        raise DataError(
            f"targets of the real data set must be its items' labels; item 0 has the label {y!r} "
            f"and the target {targets[0]!r}. Give target_transform to AugmentedDataset."
        )
    return x, y


def _items(dataset: Any, indices: list[int]) -> Iterable[Any]:
    """Return items of a data set, all at once where it can, as a DataLoader does."""
    if indices and callable(getattr(dataset, "__getitems__", None)):
        items: Iterable[Any] = dataset.__getitems__(indices)
        return items
    return [dataset[i] for i in indices]
