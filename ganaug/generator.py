"""ConditionalGAN: learn one generator per class from labelled data, and draw from it."""

import json
from collections.abc import Callable
from contextlib import closing, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from sklearn.base import BaseEstimator
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from ganaug._checks import empty_folder
from ganaug._random import Seed, as_seed
from ganaug.class_generators import ClassGenerator, ClassGenerators
from ganaug.config import GANConfig, resolve_config
from ganaug.data.schema import Schema, kind_of
from ganaug.data.sources import dataset_arrays, is_dataset
from ganaug.errors import ConfigError, TrainingDivergedError, TrainingInterrupted
from ganaug.evaluation.leak import Leak
from ganaug.shards import of_files
from ganaug.training.batches import BalancedBatches
from ganaug.training.drawing import Drawing
from ganaug.training.game import resolve_game
from ganaug.training.leaks import find_leaks
from ganaug.training.observers import Beginning, observed
from ganaug.training.ranks import Ranks
from ganaug.training.run import RunFolder, data_digest
from ganaug.training.saved import (
    GENERATOR,
    SavedGenerator,
    generator_folder,
    load_generator,
    save_generator,
)
from ganaug.training.session import begin_or_resume, run_training
from ganaug.training.state import GANState, new_state, torch_device

ALIKE = (
    "Start all of them alike. Trainings of their own, side by side, must not be tasks of one step of srun, "
    "or of one torchrun."
)

__all__ = ["ClassGenerator", "ConditionalGAN", "load"]


class ConditionalGAN(ClassGenerators, BaseEstimator):
    """A generator per class, learned from labelled images or table rows.

    All classes share one network, so that small classes borrow structure from large ones.

    Parameters
    ----------
    preset : {"quick", "default", "best"}, default="default"
        How long to train: 30,000, 150,000 or 1,000,000 images shown to the discriminator, or 100,000,
        300,000 or 2,000,000 rows of a table.
    config : GANConfig or None, default=None
        All settings at once; wins over `preset`, which gives what it leaves None.
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
        on_log: Callable[[dict[str, Any]], None] | None = None,
        on_step: Callable[[int], None] | None = None,
        fabric: Any = None,
    ) -> "ConditionalGAN":
        """Train on labelled samples.

        Parameters
        ----------
        X : array, tensor or DataFrame, or a map-style torch data set of (x, label)
            Images (n, height, width), (n, height, width, channels) or (n, channels, height, width)
            with sides of 8 to 128 and 1 or 3 channels, of any integer or float dtype; or rows
            (n, n_features) of numbers, categories, booleans, dates and missing cells, a DataFrame or array.
            Images in a memory-mapped ``.npy`` file, or in `ganaug.shards.Shards` of several, are read batch
            by batch, and need not fit in memory.
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
        fabric : lightning_fabric.Fabric or None
            A launched Fabric of several processes, all of which call `fit` with the same arguments: each
            trains on its part of every batch, `batch_size` is that of all together, the first one writes
            `out`, and all of them hold the same generator at the end. It decides on the device.

        Returns
        -------
        ConditionalGAN
            Itself.

        Raises
        ------
        DataError
            If labels are missing, there is one class only or a class with one sample, values of
            images are not finite or those of a table infinite, a column mixes types, or shapes do not fit.
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
        X = of_files(X)
        if resume and out is None:
            raise ConfigError("resume=True needs the folder of the run; got out=None.")
        ranks = Ranks(fabric)
        config = resolve_config(self.preset, self.config, self.train_images, kind=kind_of(X))
        resolve_game(config)
        ranks.require_parts(config.batch_size, config.pack)
        ranks.require_equal(
            lambda: {"out": str(out), "resume": str(resume), "seed": str(self.random_state)[:40]}, ALIKE
        )
        schema = Schema.fit(X, y, names=names, missing=config.missing)
        x, c = schema.pack_X(X), schema.encode_y(y)
        device = torch_device(self.device) if fabric is None else fabric.device
        seed = ranks.told(lambda: as_seed(self.random_state))
        state = new_state(
            config,
            shape=schema.codec.shape,
            n_classes=len(schema.labels),
            seed=seed,
            device=device,
            counts=torch.bincount(c, minlength=len(schema.labels)),
            blocks=schema.blocks or (),
            ranks=ranks,
        )
        drawing = partial(Drawing.of, state, config, schema.kind)
        self._set_fitted(config, schema, drawing(), seed)
        self.data_digest_: str | None = data_digest(x, c)
        ranks.require_equal(
            lambda: {
                "data": str(self.data_digest_),
                "settings": json.dumps([config.to_dict(), schema.to_dict()], default=str),
            },
            ALIKE,
        )
        self.history_: list[dict[str, Any]] = []
        run, sound = None, None
        if out is not None:
            counts = torch.bincount(c, minlength=len(schema.labels)).tolist()
            about = {
                "seed": seed,
                "config": config.to_dict(),
                "schema": schema.to_dict(),
                "counts": counts,
                "data": self.data_digest_,
            }
            run = RunFolder(out, about, keep=config.keep_checkpoints)
            fixed_seed = self.random_state is not None
            self.history_, sound = begin_or_resume(run, state, resume=resume, fixed_seed=fixed_seed)
            self.seed_ = run.about["seed"]
        self._drawing = drawing()
        beginning = Beginning(
            gan=self,
            data_digest=self.data_digest_,
            class_sizes=dict(zip(map(str, schema.labels.tolist()), c.bincount().tolist(), strict=True)),
            out=None if run is None else run.path,
            resumed=resume,
        )

        def log(state: GANState, line: dict[str, Any]) -> None:
            self._drawing = drawing()
            if run is not None:
                grid = self.sample_grid if schema.kind == "image" else None
                ranks.told(lambda: run.write(state, self.history_, grid))
            ended: TrainingInterrupted | None = None
            try:
                tell(line)
                if on_log is not None:
                    on_log(line)
            except TrainingInterrupted as wish:
                ended = wish
            if any(ranks.agree([], ended is not None)):
                raise ended or TrainingInterrupted(
                    f"a stop of another process after {state.images_seen} images"
                )

        batches = BalancedBatches(
            x.to(device),
            c,
            batch_size=config.batch_size,
            seed=self.seed_,
            unpack=schema.unpack_X,
            pack=config.pack,
            ranks=ranks,
        )
        endings = ranks.parting(TrainingDivergedError, TrainingInterrupted)
        observers = observed(beginning) if ranks.first else nullcontext(lambda line: None)
        with closing(batches), endings, observers as tell:
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
                    sound=sound,
                )
            except TrainingDivergedError as error:
                if error.images_kept is None:
                    del self.G_
                elif run is not None:
                    ranks.told(partial(self._save_generator, run.path))
                raise
            if run is not None:
                ranks.told(partial(self._save_generator, run.path))
        self.leaks_: dict[str, Leak] = {}
        if schema.kind == "image" and config.diffaugment:
            policy = config.diffaugment
            self.leaks_ = ranks.told(lambda: find_leaks(self._drawing, batches, policy, seed=self.seed_))
        return self

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
        >>> import tempfile, numpy as np
        >>> X = np.random.default_rng(0).normal(size=(40, 3)); y = np.repeat([0, 1], 20)
        >>> gan = ConditionalGAN(train_images=128, random_state=0).fit(X, y)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     gan.save(folder)
        ...     load(folder).generate(1)[0].shape
        (2, 3)
        """
        check_is_fitted(self, "G_")
        self._save_generator(empty_folder(path))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = tags.input_tags.string = True
        return tags

    def __getstate__(self) -> dict[str, Any]:
        """Return what a pickle holds: networks on the CPU, which every machine has."""
        state = dict(super().__getstate__())
        if "_drawing" in state:
            state["_drawing"] = drawing = self._drawing.on_cpu()
            state |= {"G_": drawing.G} if "G_" in state else {}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "_drawing" in state and torch.cuda.is_available():
            self._drawing.G.to(torch_device(self.device))

    def _set_fitted(self, config: GANConfig, schema: Schema, drawing: Drawing, seed: int) -> None:
        self.config_, self.schema_, self.seed_ = config, schema, seed
        self._drawing, self.G_ = drawing, drawing.G
        self.classes_ = schema.labels
        self._n_calls = 0

    def _save_generator(self, folder: Path) -> None:
        known = (self.config_, self.schema_, self.seed_, self.history_, self.data_digest_)
        save_generator(folder / GENERATOR, SavedGenerator(self._drawing, *known))


def load(
    path: str | Path, *, network: Any = None, conditioning: Any = None, device: str = "auto"
) -> ConditionalGAN:
    """Open a generator that `save` or ``ganaug fit`` wrote, or that is a model in MLflow.

    Parameters
    ----------
    path : str or Path
        The folder; or a model's URI, ``"models:/pets@champion"`` or ``"runs:/RUN_ID/generator"``. Only
        weights and JSON are read of it, no code is run.
    network : callable or None
        The function that built G and D, where the fit used the caller's own.
    conditioning : object or None
        Likewise, the caller's own conditioning.
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
    with generator_folder(path) as folder:
        saved = load_generator(folder / GENERATOR, network=network, conditioning=conditioning)
    where = torch_device(device)
    gan = ConditionalGAN(config=saved.config, device=device, random_state=saved.seed)
    saved.drawing.G.to(where)
    gan._set_fitted(saved.config, saved.schema, saved.drawing, saved.seed)
    gan.history_, gan.data_digest_ = saved.history, saved.data
    return gan
