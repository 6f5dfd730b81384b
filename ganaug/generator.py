"""ConditionalGAN: learn one generator per class from labelled data, and draw from it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from ganaug._checks import empty_folder, listed, number
from ganaug._random import Seed, as_seed, derive, torch_stream
from ganaug.config import GANConfig, resolve_config
from ganaug.data.schema import Schema
from ganaug.data.sources import dataset_arrays, is_dataset
from ganaug.errors import ConfigError, TrainingDivergedError
from ganaug.training.loop import check_names, train
from ganaug.training.run import RunFolder, data_digest
from ganaug.training.saved import GENERATOR, SavedGenerator, load_generator, save_generator
from ganaug.training.state import GANState, new_state, torch_device

__all__ = ["ClassGenerator", "ConditionalGAN", "load"]

GENERATE_BATCH = 256
GRID_ROWS, GRID_COLUMNS = 16, 8

OnLog = Callable[[dict[str, float]], None]


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
            Called between steps, each `log_every_images` and at the end, with losses and
            ``images_seen``.

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
            If a loss stops being finite.
        """
        if y is None and is_dataset(X):
            X, y, found = dataset_arrays(X)
            names = names if names is not None else found
        config = resolve_config(self.preset, self.config, self.train_images)
        check_names(config)
        if resume and out is None:
            raise ConfigError("resume=True needs the folder of the run; got out=None.")
        schema = Schema.fit(X, y, names=names)
        x, c = schema.encode_X(X), schema.encode_y(y)
        device, seed = torch_device(self.device), as_seed(self.random_state)
        n_classes = len(schema.labels)
        state = new_state(config, shape=schema.codec.shape, n_classes=n_classes, seed=seed, device=device)
        self._set_fitted(config, schema, state.G_ema, seed, device)
        self.history_: list[dict[str, float]] = []
        run = None
        if out is not None:
            about = {"seed": seed, "config": config.to_dict(), "schema": schema.to_dict()}
            run = RunFolder(out, {**about, "data": data_digest(x, c)})
            if resume:
                self.history_ = run.restore(state, fixed_seed=self.random_state is not None)
                self.seed_ = run.about["seed"]
            else:
                run.begin(state)

        def log(state: GANState, stats: dict[str, float]) -> None:
            self.history_.append({"images_seen": state.images_seen, **stats})
            if run is not None:
                run.write(state, self.history_, self.sample_grid if schema.kind == "image" else None)
            if on_log is not None:
                on_log(self.history_[-1])

        x = x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x
        try:
            train(state, x.to(device), c, config, seed=self.seed_, on_log=log)
        except TrainingDivergedError:
            del self.G_
            raise
        if run is not None:
            self._save_generator(run.path)
        return self

    def generate(self, counts: int | Mapping[Any, int], *, random_state: Seed = None) -> tuple[Any, Any]:
        """Draw an exact number of samples per class.

        Parameters
        ----------
        counts : int or dict of {class: int}
            How many, per class; a class is given by its label, the text of it, or its name.
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
        check_is_fitted(self, "G_")
        if not isinstance(counts, Mapping):
            counts = dict.fromkeys(self.schema_.labels.tolist(), counts)
        wanted = [(self.schema_.class_index(key), n) for key, n in counts.items()]
        if len({k for k, _ in wanted}) < len(wanted):
            raise ConfigError(f"counts must name each class once; got {listed(counts)}.")
        for key, n in counts.items():
            number(f"counts[{key!r}]", n, low=0, integer=True)
        if random_state is None:
            stream = derive(self.seed_, "generate", self._n_calls)
            self._n_calls += 1
        else:
            stream = as_seed(random_state)
        x = torch.cat(
            [torch.empty(0, *self.schema_.codec.shape)] + [self._draw(k, n, stream) for k, n in wanted]
        )
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

    @torch.no_grad()
    def _draw(self, class_index: int, n: int, stream: int) -> Tensor:
        noise = torch_stream(stream, "class", class_index)
        z = torch.randn(n, self.config_.z_dim, generator=noise)
        c = torch.full((n,), class_index)
        parts = [
            self.G_(zs.to(self.device_), cs.to(self.device_)).float().cpu()
            for zs, cs in zip(z.split(GENERATE_BATCH), c.split(GENERATE_BATCH), strict=True)
        ]
        return torch.cat(parts) if n else torch.empty(0, *self.schema_.codec.shape)

    def _set_fitted(
        self, config: GANConfig, schema: Schema, G: nn.Module, seed: int, device: torch.device
    ) -> None:
        self.config_, self.schema_, self.G_, self.seed_, self.device_ = (
            config,
            schema,
            G,
            seed,
            device,
        )
        self.classes_ = schema.labels
        self._n_calls = 0

    def _save_generator(self, folder: Path) -> None:
        saved = SavedGenerator(self.G_, self.config_, self.schema_, self.seed_, self.history_)
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
        from PIL import Image
        from torchvision.utils import make_grid

        check_is_fitted(self, "G_")
        rows = range(min(len(self.classes_), GRID_ROWS))
        stream = derive(self.seed_, "grid")
        x = torch.cat([self._draw(k, columns, stream) for k in rows])
        grid = make_grid((x + 1) / 2, nrow=columns, padding=2)
        pixels = grid.clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).numpy()
        return Image.fromarray(pixels)


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
    gan._set_fitted(saved.config, saved.schema, saved.G.to(where), saved.seed, where)
    gan.history_ = saved.history
    return gan
