"""compare: the same classifier under every arm, paired by seed, with nothing fitted outside training."""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ganaug._checks import number
from ganaug._random import Seed
from ganaug.config import GANConfig
from ganaug.errors import ConfigError
from ganaug.experiment.arms import Arm
from ganaug.experiment.cell_folder import CellFolder
from ganaug.experiment.cells import Cell, FailedCell
from ganaug.experiment.comparison import Comparison
from ganaug.experiment.jobs import Trained, check_start, grid_png
from ganaug.experiment.kept_comparison import keep_comparison
from ganaug.experiment.schedule import run_cells
from ganaug.experiment.setup import Setup, set_up
from ganaug.experiment.specimens import specimens_of
from ganaug.experiment.splits import Labelled
from ganaug.experiment.tracking import Tracker, resolve_tracker
from ganaug.experiment.twins import learning_curve
from ganaug.experiment.winner import winner
from ganaug.mixing.fill import Fill

__all__ = ["compare"]


def compare(
    X: Any,
    y: Any = None,
    *,
    classifier: Any = None,
    arms: Sequence[str] | Mapping[str, Arm] | None = None,
    primary: str | None = None,
    seeds: int = 5,
    metric: str = "balanced_accuracy",
    rope: float = 0.5,
    fill: Fill = "auto",
    labelled_per_class: Labelled = None,
    test: Any = None,
    test_size: float = 0.25,
    folds: int | None = None,
    train_size: int | None = None,
    steps: int = 400,
    batch_size: int = 64,
    classic: Any = None,
    names: Sequence[str] | None = None,
    tracking: str | Tracker | None = None,
    n_jobs: int | None = None,
    groups: Any = None,
    unlabelled: Any = None,
    out: str | Path | None = None,
    resume: bool = False,
    max_minutes: float | None = None,
    on_cell: Callable[[int, int], None] | None = None,
    preset: str = "default",
    config: GANConfig | None = None,
    train_images: int | None = None,
    device: str = "cpu",
    random_state: Seed = 0,
) -> Comparison:
    """Find out whether synthetic samples improve a classifier, by paired runs.

    Each seed draws a split, trains its own generator on the training part alone, and then the same
    classifier once per arm: same training part and test part and, for a torch module, the same number of
    optimiser steps, initial weights and order of real samples.

    Parameters
    ----------
    X : array or DataFrame, or a map-style torch data set of (x, label)
        As in `ConditionalGAN.fit`.
    y : array of shape (n,) or None
        Labels; left out where X is a data set.
    classifier : str, scikit-learn classifier, callable or None, default=None
        A name in `CLASSIFIERS` ("cnn", "mlp", "logistic", "forest", "boosting"; with what they need
        for a table of mixed columns, see `table_pipeline`) or of a torchvision model, which is built
        untrained; an estimator (gets rows in the caller's own form, images flattened); or a function
        that builds a torch module from (n, *shape) in [-1, 1], channels first, to logits (n, n_classes),
        without arguments or of (shape, n_classes); for a table take the latter, for the width of encoded
        rows differs by seed. None is "cnn" for images and "mlp" for tables.
    arms : sequence of str, dict of {name: Arm} or None, default=None
        Names in `ARMS`, or own arms by name, with a twin among the controls for each treatment. Oracles add
        real samples that `train_size` or `labelled_per_class` with a given test set leave over. None is
        `DEFAULT_ARMS` of the kind of data, less those that cannot apply to the table or classifier.
    primary : str or None, default=None
        The treatment that the verdict is about; None is the last treatment of `arms`.
    seeds : int, default=5
        Paired repetitions, at least 3.
    metric : {"balanced_accuracy", "accuracy", "macro_f1", "average_precision"}, default="balanced_accuracy"
        What is compared. "average_precision" is that of the second of two classes in sorted order, or
        the mean of one class against the rest.
    rope : float, default=0.5
        Region of practical equivalence, in points: a smaller difference is of no interest to you.
    fill : {"auto", "balance"}, float, dict or callable, default="auto"
        How many samples arms add, see `ganaug.mixing.fill.fill_counts`. "auto" is
        settled once, by the training parts of all seeds: it balances classes, and doubles all of them
        where they are within 1.5 times of each other already; with unlabelled samples it lifts smaller
        classes to as many as there are of these per class, at most 1,000.
    labelled_per_class : int, dict of {class: int} or None, default=None
        Train on so few only, with samples of their own for each seed. None trains on all of a split.
    test : tuple of (X_test, y_test), data set or None, default=None
        A given test set; None tests on samples left out.
    test_size : float, default=0.25
        Share of the samples to test on, where neither of the two above nor `folds` is given.
    folds : int or None, default=None
        Repeated stratified cross-validation with so many folds instead of random splits, a fold per
        seed; `seeds` is a multiple of it.
    train_size : int or None, default=None
        Train on a stratified subsample of so many samples of each training part (at least 2 of each
        class), and test on the whole test part.
    steps, batch_size : int, default=400 and 64
        Optimiser steps of a torch classifier in every arm, and samples per step.
    classic : albumentations.Compose or None, default=None
        Classic augmentation of images (float32 in [0, 1]); None is a default by kind of data.
    names : sequence of str or None
        Class names, in the order of the labels.
    tracking : {"mlflow"}, Tracker or None, default=None
        Where runs are recorded; "mlflow" uses the active run, tracking URI and experiment if set.
    n_jobs : int or None, default=None
        Jobs at a time, as in joblib, on its backend of the moment (`joblib.parallel_config`). A job is the
        generator of a seed, or one arm in one seed; each uses one thread, and an
        estimator's own jobs run one after the other, so that no result depends on it. Threads of one process
        take turns: only processes are faster.
    groups : array of shape (n,) or None, default=None
        Samples of the same group (patient, site, day) go to the training or the test part together,
        also where choices are made within a training part. Not with `labelled_per_class`.
    unlabelled : array, DataFrame, data set, "rest" or None, default=None
        More samples, whose labels nobody knows, for the arms that use them ("pseudo-labels", "mixes",
        "complement"); "rest" are all samples of X that a seed neither trains nor tests on, without their
        labels: there are such with `train_size` or `labelled_per_class`. Those equal to a training or test
        sample of a seed are left out there; `groups` does not know of them.
    out : str, Path or None, default=None
        A new folder, in which each finished cell and generator is kept, and the result for ``ganaug report``.
    resume : bool, default=False
        Go on with the comparison in `out`: only what is missing is run.
    max_minutes : float or None, default=None
        Begin no further seeds that would end later, after the first three; all arms of a seed are run.
    on_cell : callable or None
        Called with (cells done, cells in all).
    preset, config, train_images, device
        Of the generator, see `ConditionalGAN`.
    random_state : int, RandomState, Generator or None, default=0
        Seed of everything.

    Returns
    -------
    Comparison
        With ``verdict``, ``gain``, ``table``, ``per_class``.

    Raises
    ------
    DataError
        If X or y cannot be learned from, or is too small for the seeds, or a given test set for the metric.
    ConfigError
        If a name is unknown or a number out of range, or an arm failed so often that there is nothing to
        compare, or an arm or classifier raises it in the first seed. A cell that fails otherwise is kept in
        ``failed``, and its seed left out of the verdict.
    CheckpointError
        If `resume` is True and `out` holds no comparison, or one of other data or settings.
    OutputExistsError
        If `out` is not empty and `resume` is False.

    Warns
    -----
    GanaugWarning
        If samples of a given test set are training samples too.

    References
    ----------
    Nadeau and Bengio, Machine Learning 52 (2003): the interval where seeds share samples.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> X, y = load_wine(return_X_y=True)
    >>> result = compare(X, y, classifier="forest", seeds=3, train_images=256)
    >>> list(result.table.columns[:2])
    ['role', 'balanced_accuracy']
    """
    started = time.perf_counter()
    if n_jobs == 0:
        raise ConfigError("n_jobs must be a number of jobs, -1 for one per processor, or None; got 0.")
    tracker = resolve_tracker(tracking)
    if resume and out is None:
        raise ConfigError("resume=True needs the folder of the comparison; got out=None.")
    if max_minutes is not None:
        number("max_minutes", max_minutes, low=0)
    setup = set_up(
        X,
        y,
        classifier=classifier,
        arms=arms,
        primary=primary,
        seeds=seeds,
        metric=metric,
        rope=rope,
        fill=fill,
        labelled_per_class=labelled_per_class,
        test=test,
        test_size=test_size,
        folds=folds,
        train_size=train_size,
        groups=groups,
        unlabelled=unlabelled,
        steps=steps,
        batch_size=batch_size,
        classic=classic,
        names=names,
        preset=preset,
        config=config,
        train_images=train_images,
        device=device,
        random_state=random_state,
    )
    plan, schema, chosen, settings = setup.plan, setup.schema, setup.plan.arms, setup.settings

    folder = None
    cells: list[Cell] = []
    if out is not None:
        folder = CellFolder(out, plan, setup.identity)
        if resume:
            cells = folder.restore()
        else:
            folder.begin()
    failed: list[FailedCell] = []
    first = folder.generator(0) if folder is not None and resume else None

    def on_generator(trained: Trained) -> None:
        nonlocal first
        first = trained if trained.seed == 0 else first

    with tracker.comparison(settings, primary=setup.primary, metric=metric, names=schema.names) as record:
        if cells:
            record.cells(cells)
        running = run_cells(
            plan,
            setup.part,
            seeds,
            done={(c.arm, c.seed) for c in cells},
            folder=folder,
            n_jobs=n_jobs,
            max_minutes=max_minutes,
            on_generator=on_generator,
        )
        for cell in running:
            if isinstance(cell, FailedCell):
                failed.append(cell)
            else:
                cells.append(cell)
                check_start(cells)
                record.cells([cell])
            if on_cell is not None:
                on_cell(len(cells) + len(failed), seeds * len(chosen))
        result = _comparison(setup, cells, failed, first, seconds=time.perf_counter() - started)
        if folder is not None:
            keep_comparison(folder.path, result)
        record.result(result)
        record.models(None if first is None else first.gan, partial(winner, result, plan, setup.part, first))
    return result


def _comparison(
    setup: Setup, cells: list[Cell], failed: list[FailedCell], first: Trained | None, *, seconds: float
) -> Comparison:
    """Return what the cells say, with samples of the first seed's generator."""
    order = list(setup.plan.arms)
    gan, part = None if first is None else first.gan, setup.part(0)
    return Comparison(
        cells=tuple(sorted(cells, key=lambda c: (c.seed, order.index(c.arm)))),
        failed=tuple(sorted(failed, key=lambda c: (c.seed, order.index(c.arm)))),
        roles={name: arm.role for name, arm in setup.plan.arms.items()},
        primary=setup.primary,
        metric=setup.plan.metric,
        overlap=setup.splits.overlap,
        given_test=setup.given_test is not None,
        one_training_set=setup.splits.one_training_set,
        twins=setup.twins,
        learning_curve=learning_curve(setup.plan.arms),
        rope=setup.rope,
        class_names=setup.schema.names,
        settings=setup.settings,
        wall_seconds=seconds,
        sample_grid=grid_png(gan) if gan is not None and setup.schema.kind == "image" else None,
        specimens=specimens_of(gan, part.X, part.y, seed=setup.plan.random_state)
        if gan is not None
        else None,
    ).without_failures()
