"""ConditionalGAN: learn one generator per class from labelled data, and draw from it."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from ganaug._checks import empty_folder, listed, number
from ganaug._random import Seed, as_seed, derive
from ganaug.config import GANConfig, resolve_config
from ganaug.data.schema import Schema
from ganaug.data.sources import dataset_arrays, is_dataset
from ganaug.errors import ConfigError, TrainingDivergedError
from ganaug.evaluation.leak import Leak
from ganaug.training.batches import BalancedBatches
from ganaug.training.drawing import Drawing
from ganaug.training.game import resolve_game
from ganaug.training.grid import sample_grid
from ganaug.training.leaks import find_leaks
from ganaug.training.run import RunFolder, data_digest
from ganaug.training.saved import GENERATOR, SavedGenerator, load_generator, save_generator
from ganaug.training.session import run_training
from ganaug.training.state import GANState, new_state, torch_device

__all__ = ["ClassGenerator", "ConditionalGAN", "load"]

GRID_COLUMNS = 8

OnLog = Callable[[dict[str, Any]], None]


class ConditionalGAN(BaseEstimator):
    """A generator per class, learned from labelled images or table rows.

    All classes share one network, so that small classes borrow structure from large ones.

    Parameters
    ----------
    preset : {"quick", "default", "best"}, default="default"
        How long to train: 30,000, 150,000 or 1,000,000 images shown to the discriminator.
    config : GANConfig or None, default=None
        All settings at once; wins over `preset`.
    train_images : int or None, default=None
        Overrides the budget of the preset or config.
    device : str, default="auto"
        A torch device; "auto" is the GPU where there is one.
    random_state : int, RandomState, Generator or None, default=None
        Same seed, data, thread count and versions: same result, bit for bit on a CPU.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted.
    history_ : list of dict
        Mean losses and logits of each interval of training, by ``images_seen``.

    References
    ----------
    Miyato and Koyama, 1802.05637 (projection); Lim and Ye, 1705.02894 (hinge); Zhao et al.,
    2006.10738 (DiffAugment); Karras et al., 2006.06676 (average by images).

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(return_X_y=True)
    >>> images = X[:200].reshape(-1, 8, 8)
    >>> gan = ConditionalGAN(train_images=256, random_state=0).fit(images, y[:200])
    >>> X_new, y_new = gan.generate({7: 3, 1: 2})
    >>> X_new.shape, y_new.tolist()
    ((5, 8, 8), [7, 7, 7, 1, 1])
    >>> gan["7"].generate(10).shape
    (10, 8, 8)
    """

    def __init__(
        self,
        *,
        preset: str = "default",
        config: GANConfig | None = None,
        train_images: int | None = None,
        device: str = "auto",
        random_state: Seed = None,
    ):
        self.preset = preset
        self.config = config
        self.train_images = train_images
        self.device = device
        self.random_state = random_state

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        names: Any = None,
        out: str | Path | None = None,
        resume: bool = False,
        on_log: OnLog | None = None,
        on_step: Callable[[int], None] | None = None,
    ) -> "ConditionalGAN":
        """Train on labelled samples.

        Parameters
        ----------
        X : array, tensor or DataFrame, or a map-style torch data set of (x, label)
            Images (n, height, width), (n, height, width, channels) or (n, channels, height, width)
            with sides of 8 to 64 and 1 or 3 channels, of any integer or float dtype; or rows
            (n, n_features) of numbers.
        y : array, tensor or Series of shape (n,)
            Labels; left out where X is a data set.
        names : sequence of str or None
            Names of the classes in the order of their labels, for ``gan["name"]``.
        out : str, Path or None
            A new folder for the run: checkpoint, losses and a grid of samples at each interval, and
            the generator at the end. Nothing is written before the data has been checked.
        resume : bool
            Go on from the checkpoint in `out`; the result equals an uninterrupted run.
        on_log : callable or None
            Called between steps, each `log_every_images` and at the end, with losses, quality,
            ``health`` and ``images_seen``.
        on_step : callable or None
            Called after each step with the images seen so far.

        Returns
        -------
        ConditionalGAN
            Itself.

        Raises
        ------
        DataError
            If labels are missing, there is one class only or a class with one sample, values are
            not finite, or shapes do not fit.
        OutputExistsError
            If `out` is not empty and `resume` is False.
        CheckpointError
            If `resume` is True and the checkpoint is missing, damaged, or of other data or settings.
        TrainingDivergedError
            If training goes wrong (not finite, exploding, collapsed) again after each step back to a
            sound state with lower rates. The last sound generator stays, here and in `out`.
        TrainingInterrupted
            With `out`: on SIGINT or SIGTERM, after the step is finished and a checkpoint written.

        Warns
        -----
        GanaugWarning
            If generated images show the augmentation of the training more often than real ones do, or
            a damaged checkpoint was passed over.
        """
        if y is None and is_dataset(X):
            X, y, found = dataset_arrays(X)
            names = names if names is not None else found
        config = resolve_config(self.preset, self.config, self.train_images)
        resolve_game(config)
        if resume and out is None:
            raise ConfigError("resume=True needs the folder of the run; got out=None.")
        schema = Schema.fit(X, y, names=names)
        x, c = schema.pack_X(X), schema.encode_y(y)
        device, seed = torch_device(self.device), as_seed(self.random_state)
        counts = torch.bincount(c, minlength=len(schema.labels))
        state = new_state(
            config,
            shape=schema.codec.shape,
            n_classes=len(schema.labels),
            seed=seed,
            device=device,
            counts=counts,
        )
        self._set_fitted(config, schema, Drawing(state.G_ema, config.z_dim, state.snapshots), seed)
        self.history_: list[dict[str, Any]] = []
        run = None
        if out is not None:
            about = {"seed": seed, "config": config.to_dict(), "schema": schema.to_dict()}
            run = RunFolder(out, {**about, "data": data_digest(x, c)}, keep=config.keep_checkpoints)
            if resume:
                self.history_ = run.restore(state, fixed_seed=self.random_state is not None)
                self.seed_ = run.about["seed"]
            else:
                run.begin(state)

        def log(state: GANState, line: dict[str, Any]) -> None:
            self._drawing = Drawing(state.G_ema, config.z_dim, state.snapshots)
            if run is not None:
                run.write(state, self.history_, self.sample_grid if schema.kind == "image" else None)
            if on_log is not None:
                on_log(line)

        batches = BalancedBatches(
            x.to(device), c, batch_size=config.batch_size, seed=self.seed_, unpack=schema.unpack_X
        )
        try:
            run_training(
                state,
                batches,
                config,
                seed=self.seed_,
                history=self.history_,
                run=run,
                on_log=log,
                on_step=on_step,
            )
        except TrainingDivergedError as error:
            if error.images_kept is None:
                del self.G_
            elif run is not None:
                self._save_generator(run.path)
            raise
        if run is not None:
            self._save_generator(run.path)
        self.leaks_: dict[str, Leak] = {}
        if schema.kind == "image" and config.diffaugment:
            self.leaks_ = find_leaks(self._drawing, batches, config.diffaugment, seed=self.seed_)
        return self

    def generate(
        self,
        counts: int | Mapping[Any, int],
        *,
        truncation: float | None = None,
        random_state: Seed = None,
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
            If a count is negative or no integer, or a class is named twice.

        Examples
        --------
        >>> X = np.random.default_rng(0).normal(size=(40, 3)); y = np.repeat(["no", "yes"], 20)
        >>> gan = ConditionalGAN(train_images=128, random_state=0).fit(X, y)
        >>> gan.generate({"yes": 2})[1].tolist()
        ['yes', 'yes']
        """
        wanted, stream = self._order(counts, truncation, random_state)
        parts = [self._draw(k, n, stream, truncation) for k, n in wanted]
        x = torch.cat([torch.empty(0, *self.schema_.codec.shape), *parts])
        c = np.repeat([k for k, _ in wanted], [n for _, n in wanted]).astype(np.int64)
        return self.schema_.decode_X(x), self.schema_.decode_y(c)

    def __getitem__(self, key: Any) -> "ClassGenerator":
        """Return the generator of one class, given by label, its text, or its name."""
        check_is_fitted(self, "G_")
        return ClassGenerator(self, self.schema_.class_index(key))

    def save(self, path: str | Path) -> None:
        """Write the fitted generator to a new folder (safetensors and JSON, no pickle).

        Parameters
        ----------
        path : str or Path
            A new or empty folder.

        Raises
        ------
        OutputExistsError
            If the folder is not empty.

        Examples
        --------
        >>> import tempfile
        >>> X = np.random.default_rng(0).normal(size=(40, 3)); y = np.repeat([0, 1], 20)
        >>> gan = ConditionalGAN(train_images=128, random_state=0).fit(X, y)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     gan.save(folder)
        ...     load(folder).generate(1)[0].shape
        (2, 3)
        """
        check_is_fitted(self, "G_")
        self._save_generator(empty_folder(path))

    def stream(
        self,
        counts: int | Mapping[Any, int],
        *,
        truncation: float | None = None,
        random_state: Seed = None,
    ) -> Iterator[tuple[Any, np.ndarray[Any, Any]]]:
        """Yield what `generate` returns in pieces of a few hundred, as pairs of samples and class indices.

        Nothing but the noise is held, so that any number of samples can be written as they come.

        Parameters
        ----------
        counts, truncation, random_state
            As in `generate`; the same seed gives the same samples.

        Yields
        ------
        X_new : array, tensor or DataFrame
            At most 256 samples of one class.
        class_indices : ndarray of shape (n,)
            Index of that class in `classes_`.

        Examples
        --------
        >>> X = np.random.default_rng(0).normal(size=(40, 3)); y = np.repeat([0, 1], 20)
        >>> gan = ConditionalGAN(train_images=128, random_state=0).fit(X, y)
        >>> [len(X_new) for X_new, _ in gan.stream({1: 300})]
        [256, 44]
        """
        wanted, stream = self._order(counts, truncation, random_state)
        for k, n in wanted:
            for x in self._drawing.pieces(k, n, stream=stream, truncation=truncation):
                yield self.schema_.decode_X(x), np.full(len(x), k, dtype=np.int64)

    def _order(
        self, counts: int | Mapping[Any, int], truncation: float | None, random_state: Seed
    ) -> tuple[list[tuple[int, int]], int]:
        """Return (class index, number) in the order of `counts`, and the seed of this call."""
        check_is_fitted(self, "G_")
        if not isinstance(counts, Mapping):
            counts = dict.fromkeys(self.schema_.labels.tolist(), counts)
        wanted = [(self.schema_.class_index(key), n) for key, n in counts.items()]
        if len({k for k, _ in wanted}) < len(wanted):
            raise ConfigError(f"counts must name each class once; got {listed(counts)}.")
        for key, n in counts.items():
            number(f"counts[{key!r}]", n, low=0, integer=True)
        if truncation is not None:
            number("truncation", truncation, low=0, open_low=True)
        if random_state is not None:
            return wanted, as_seed(random_state)
        self._n_calls += 1
        return wanted, derive(self.seed_, "generate", self._n_calls - 1)

    def _draw(self, class_index: int, n: int, stream: int, truncation: float | None = None) -> Tensor:
        empty = torch.empty(0, *self.schema_.codec.shape)
        pieces = self._drawing.pieces(class_index, n, stream=stream, truncation=truncation)
        return torch.cat([empty, *pieces])

    def _set_fitted(self, config: GANConfig, schema: Schema, drawing: Drawing, seed: int) -> None:
        self.config_, self.schema_, self.seed_ = config, schema, seed
        self._drawing, self.G_ = drawing, drawing.G
        self.classes_ = schema.labels
        self._n_calls = 0

    def _save_generator(self, folder: Path) -> None:
        saved = SavedGenerator(self._drawing, self.config_, self.schema_, self.seed_, self.history_)
        save_generator(folder / GENERATOR, saved)

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
        >>> from sklearn.datasets import load_digits
        >>> X, y = load_digits(return_X_y=True)
        >>> gan = ConditionalGAN(train_images=64, random_state=0).fit(X.reshape(-1, 8, 8), y)
        >>> gan.sample_grid().size
        (82, 102)
        """
        check_is_fitted(self, "G_")
        return sample_grid(self._drawing, n_classes=len(self.classes_), columns=columns, seed=self.seed_)


class ClassGenerator:
    """The generator of one class of a fitted ConditionalGAN."""

    def __init__(self, gan: ConditionalGAN, class_index: int):
        self._gan = gan
        self._class_index = class_index
        self.label = gan.schema_.labels.tolist()[class_index]
        self.name = gan.schema_.names[class_index]

    def generate(self, n: int, *, random_state: Seed = None) -> Any:
        """Return `n` new samples of this class, as `ConditionalGAN.generate` does."""
        return self._gan.generate({self.label: n}, random_state=random_state)[0]

    def __repr__(self) -> str:
        return f"ClassGenerator({self.label!r})"


def load(path: str | Path, *, network: Any = None, device: str = "auto") -> ConditionalGAN:
    """Open a generator that `save` or ``ganaug fit`` wrote.

    Parameters
    ----------
    path : str or Path
        The folder.
    network : callable or None
        The function that built G and D, where the fit used the caller's own.
    device : str, default="auto"
        A torch device.

    Returns
    -------
    ConditionalGAN
        Fitted, ready to generate.

    Raises
    ------
    CheckpointError
        If a file is missing, damaged, or of another format.

    Examples
    --------
    >>> load("no/such/run")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ganaug.errors.CheckpointError: no/such/run/generator.safetensors must be a file ...
    """
    saved = load_generator(Path(path) / GENERATOR, network=network)
    where = torch_device(device)
    gan = ConditionalGAN(config=saved.config, device=device, random_state=saved.seed)
    saved.drawing.G.to(where)
    gan._set_fitted(saved.config, saved.schema, saved.drawing, saved.seed)
    gan.history_ = saved.history
    return gan
