"""What a fitted GAN can do: draw from the generator of each class."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from ganaug._checks import known_name, number
from ganaug._random import Seed, as_seed, derive
from ganaug.data.schema import Schema
from ganaug.errors import ConfigError
from ganaug.training.drawing import Drawing
from ganaug.training.grid import sample_grid

GRID_COLUMNS = 8


class ClassGenerators:
    """One generator per class, sharing a network; `ConditionalGAN` adds how they are learned."""

    schema_: Schema
    classes_: np.ndarray[Any, Any]
    seed_: int
    _drawing: Drawing
    _n_calls: int

    def generate(
        self,
        counts: int | Mapping[Any, int],
        *,
        truncation: float | None = None,
        random_state: Seed = None,
        snapshot: str | None = None,
    ) -> tuple[Any, Any]:
        """Draw an exact number of samples per class.

        Parameters
        ----------
        counts : int or dict of {class: int}
            How many, per class; a class is given by its label, the text of it, or its name.
        truncation : float or None
            Cut the noise at so many standard deviations: below about 1 samples become more typical and
            less diverse (Brock et al., 1809.11096).
        random_state : int, RandomState, Generator or None
            None continues the generator's own stream: each call draws new samples, and the n-th call
            after `fit` or `load` always draws the same. A seed makes the call repeatable.
        snapshot : {"last", "best"} or None
            Draw from the last average, or for each class from its best snapshot; None is as the config says.

        Returns
        -------
        X_new : array, tensor or DataFrame
            Samples in the container, dtype, layout and range of the X of `fit`; images of a data set
            of PIL images come as uint8 arrays.
        y_new : array, tensor or Series
            Their labels, grouped by class in the order of `counts`.

        Raises
        ------
        KeyError
            If a class is unknown; the nearest name is suggested.
        ConfigError
            If a count is negative or no integer, a class is named twice, or the training kept no snapshots.

        Examples
        --------
        >>> from ganaug import ConditionalGAN
        >>> X = np.random.default_rng(0).normal(size=(40, 3)); y = np.repeat(["no", "yes"], 20)
        >>> gan = ConditionalGAN(train_images=128, random_state=0).fit(X, y)
        >>> gan.generate({"yes": 2})[1].tolist()
        ['yes', 'yes']
        """
        wanted, stream = self.order(counts, truncation, random_state)
        if snapshot is not None:
            known_name("snapshot", snapshot, ["last", "best"])
        if snapshot == "best" and self._drawing.snapshot == "last":
            raise ConfigError(
                "snapshot='best' needs a training that kept snapshots; config.snapshot was 'last'. Fit with "
                "GANConfig(snapshot='both')."
            )
        parts = [self._draw(k, n, stream, truncation, snapshot) for k, n in wanted]
        x = torch.cat([torch.empty(0, *self.schema_.codec.shape), *parts])
        c = np.repeat([k for k, _ in wanted], [n for _, n in wanted]).astype(np.int64)
        return self.schema_.decode_X(x), self.schema_.decode_y(c)

    def stream(
        self,
        counts: int | Mapping[Any, int],
        *,
        truncation: float | None = None,
        random_state: Seed = None,
    ) -> Iterator[tuple[Any, np.ndarray[Any, Any]]]:
        """Return an iterator over what `generate` returns, in pieces of a few hundred.

        Nothing is held, so that any number of samples can be written as they come.

        Parameters
        ----------
        counts, truncation, random_state
            As in `generate`; the same seed gives the same samples.

        Returns
        -------
        iterator of (X_new, class_indices)
            At most 256 images or 4,096 rows of one class, and its index in `classes_`, (n,).

        Examples
        --------
        >>> from ganaug import ConditionalGAN
        >>> X = np.random.default_rng(0).normal(size=(40, 3)); y = np.repeat([0, 1], 20)
        >>> gan = ConditionalGAN(train_images=128, random_state=0).fit(X, y)
        >>> [len(X_new) for X_new, _ in gan.stream({1: 5000})]
        [4096, 904]
        """
        wanted, seed = self.order(counts, truncation, random_state)
        return (
            (X, np.full(len(X), k, dtype=np.int64))
            for k, n in wanted
            for X in self.draw(k, n, seed=seed, truncation=truncation)
        )

    def draw(
        self, class_index: int, n: int, *, seed: int, first: int = 0, truncation: float | None = None
    ) -> Iterator[Any]:
        """Yield samples of a class in pieces of `piece_rows`, from the piece numbered `first` on.

        A piece depends on its number, not on what was drawn before, so that any part can be drawn alone.
        """
        for x in self._drawing.pieces(class_index, n, stream=seed, first=first, truncation=truncation):
            yield self.schema_.decode_X(x)

    @property
    def piece_rows(self) -> int:
        """Samples that are drawn at a time."""
        return self._drawing.piece

    def digest(self) -> str:
        """Return the sha256 of all that decides what is drawn: weights, snapshots, and the schema."""
        check_is_fitted(self, "G_")
        return self._drawing.digest(json.dumps(self.schema_.to_dict()))

    def __getitem__(self, key: Any) -> "ClassGenerator":
        """Return the generator of one class, given by label, its text, or its name."""
        check_is_fitted(self, "G_")
        return ClassGenerator(self, self.schema_.class_index(key))

    def sample_grid(self, *, columns: int = GRID_COLUMNS) -> Any:
        """Return a PIL image with a row of samples for each of the first 16 classes.

        The noise is the same in each call, so that pictures of one run can be compared.

        Parameters
        ----------
        columns : int, default=8
            Samples per class.

        Returns
        -------
        PIL.Image.Image

        Raises
        ------
        DataError
            If the generator makes table rows.

        Examples
        --------
        >>> from ganaug import ConditionalGAN
        >>> from sklearn.datasets import load_digits
        >>> X, y = load_digits(return_X_y=True)
        >>> gan = ConditionalGAN(train_images=64, random_state=0).fit(X.reshape(-1, 8, 8), y)
        >>> gan.sample_grid().size
        (82, 102)
        """
        check_is_fitted(self, "G_")
        return sample_grid(self._drawing, n_classes=len(self.classes_), columns=columns, seed=self.seed_)

    def order(
        self, counts: int | Mapping[Any, int], truncation: float | None, random_state: Seed
    ) -> tuple[list[tuple[int, int]], int]:
        """Return (class index, number) in the order of `counts`, and the seed of this call."""
        check_is_fitted(self, "G_")
        wanted = self.schema_.index_counts(counts)
        if truncation is not None:
            number("truncation", truncation, low=0, open_low=True)
        if random_state is not None:
            return wanted, as_seed(random_state)
        self._n_calls += 1
        return wanted, derive(self.seed_, "generate", self._n_calls - 1)

    def _draw(
        self, class_index: int, n: int, stream: int, truncation: float | None, snapshot: str | None
    ) -> Tensor:
        empty = torch.empty(0, *self.schema_.codec.shape)
        pieces = self._drawing.pieces(class_index, n, stream=stream, truncation=truncation, snapshot=snapshot)
        return torch.cat([empty, *pieces])


class ClassGenerator:
    """The generator of one class of a fitted ConditionalGAN."""

    def __init__(self, gan: ClassGenerators, class_index: int):
        self._gan = gan
        self._class_index = class_index
        self.label = gan.schema_.labels.tolist()[class_index]
        self.name = gan.schema_.names[class_index]

    def generate(self, n: int, *, random_state: Seed = None) -> Any:
        """Return `n` new samples of this class, as `ConditionalGAN.generate` does."""
        return self._gan.generate({self.label: n}, random_state=random_state)[0]

    def __repr__(self) -> str:
        return f"ClassGenerator({self.label!r})"
