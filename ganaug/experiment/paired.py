"""compare: the same classifier under every arm, paired by seed, with nothing fitted outside training."""

import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

import joblib
import numpy as np

from ganaug._checks import known_name, number
from ganaug._random import Seed, as_seed
from ganaug.config import GANConfig, resolve_config
from ganaug.data.schema import Schema, take
from ganaug.data.sources import dataset_arrays, is_dataset
from ganaug.errors import ConfigError
from ganaug.experiment.arms import Arm
from ganaug.experiment.bench import Plan, fill_of
from ganaug.experiment.cells import run_seed
from ganaug.experiment.classifiers import default_classifier
from ganaug.experiment.comparison import Cell, Comparison
from ganaug.experiment.inputs import (
    as_rows,
    check_classifier,
    check_parts,
    fitting_arms,
    given_test_set,
    resolve_arms,
)
from ganaug.experiment.metrics import METRICS
from ganaug.experiment.splits import Labelled, make_splits
from ganaug.experiment.tracking import Tracker, resolve_tracker
from ganaug.mixing.fill import Fill
from ganaug.training.game import resolve_game
from ganaug.training.run import data_digest
from ganaug.training.state import torch_device

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
    on_seed: Callable[[int, int], None] | None = None,
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
        for a table of mixed columns, see `table_pipeline`), an estimator (gets rows in the caller's
        own form, images flattened), or a function without arguments that builds a torch module from
        (n, *shape) in [-1, 1], channels first, to logits (n, n_classes). None is "cnn" for images and
        "mlp" for tables.
    arms : sequence of str, dict of {name: Arm} or None, default=None
        Names in `ARMS`, or own arms by name, with a twin among the controls for each treatment. None is
        `DEFAULT_ARMS` of the kind of data, less those that cannot apply to the table or classifier.
    primary : str or None, default=None
        The treatment that the verdict is about; None is the last treatment of `arms`.
    seeds : int, default=5
        Paired repetitions, at least 3.
    metric : {"balanced_accuracy", "accuracy", "macro_f1", "average_precision"}, default="balanced_accuracy"
        What is compared. "average_precision" is that of the second of two classes in sorted order, or
        the mean of one class against the rest.
    fill : {"auto", "balance"}, float, dict or callable, default="auto"
        How many samples arms add, see `ganaug.mixing.fill.fill_counts`. "auto" balances classes,
        and doubles all of them where they are within 1.5 times of each other already.
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
        Seeds at a time, as in joblib. The result does not depend on it: each seed uses one thread.
    on_seed : callable or None
        Called with (seeds done, seeds in all).
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
        If X or y cannot be learned from, or is too small for the seeds.
    ConfigError
        If a name is unknown or a number out of range.

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
    if y is None and is_dataset(X):
        X, y, found = dataset_arrays(X)
        names = names if names is not None else found
    schema = Schema.fit(X, y, names=names)
    X, y = as_rows(X), np.asarray(y)
    chosen, primary = resolve_arms(arms, primary, kind=schema.kind)
    known_name("metric", metric, METRICS)
    number("steps", steps, low=1, integer=True)
    number("batch_size", batch_size, low=1, integer=True)
    if n_jobs == 0:
        raise ConfigError("n_jobs must be a number of seeds, -1 for one per processor, or None; got 0.")
    if classic is not None and not hasattr(classic, "set_random_seed"):
        raise ConfigError(f"classic must be an albumentations Compose; got {type(classic).__name__}.")
    tracker = resolve_tracker(tracking)
    resolved = resolve_config(preset, config, train_images, kind=schema.kind)
    resolve_game(resolved)
    torch_device(device)
    seed = as_seed(random_state)
    given_test = () if test is None else given_test_set(test, schema)
    model = check_classifier(classifier, schema, metric=metric, seed=seed)
    chosen = fitting_arms(chosen, model, schema, X, metric=metric, named=arms is not None)
    splits = make_splits(
        y,
        seeds=seeds,
        labelled_per_class=labelled_per_class,
        test_size=test_size,
        folds=folds,
        train_size=train_size,
        n_given_test=len(given_test[1]) if given_test else None,
        seed=seed,
    )
    check_parts(y, splits)
    if not fill_of(y[splits.train[0]], fill):
        raise ConfigError(
            f"fill must add samples, else there is nothing to compare; got {fill!r} for classes that are "
            "balanced already. A number lifts all of them, e.g. fill=2."
        )
    plan = Plan(
        classifier=classifier,
        arms=chosen,
        metric=metric,
        fill=fill,
        steps=steps,
        batch_size=batch_size,
        config=resolved,
        device=device,
        classic=classic,
        names=schema.names,
        random_state=seed,
    )

    def part(s: int) -> tuple[Any, Any, Any, Any]:
        X_train, y_train = take(X, splits.train[s]), y[splits.train[s]]
        if splits.test is None:
            return X_train, y_train, *given_test
        return X_train, y_train, take(X, splits.test[s]), y[splits.test[s]]

    settings = {
        "classifier": _describe(default_classifier(schema) if classifier is None else classifier),
        "seeds": seeds,
        "random_state": seed,
        "steps": steps,
        "batch_size": batch_size,
        "fill": fill if isinstance(fill, (str, int, float)) else _describe(fill),
        "n_train": len(splits.train[0]),
        "n_test": len(part(0)[3]),
        "labelled_per_class": str(labelled_per_class),
        "folds": folds,
        "train_size": train_size,
        "splits": splits.note,
        "gan": plan.config.to_dict(),
        "data_digest": data_digest(schema.encode_X(X), schema.encode_y(y)),
        "versions": {n: version(n) for n in ("ganaug", "torch", "scikit-learn", "numpy")},
    }

    with tracker.comparison(settings, primary=primary, metric=metric, names=schema.names) as record:
        cells: list[Cell] = []
        grid = None
        jobs = (joblib.delayed(run_seed)(plan, s, *part(s)) for s in range(seeds))
        results = joblib.Parallel(n_jobs=n_jobs, return_as="generator_unordered")(jobs)
        for done, (found_cells, found_grid) in enumerate(results, start=1):
            cells += found_cells
            grid = found_grid if found_cells[0].seed == 0 else grid
            record.cells(found_cells)
            if on_seed is not None:
                on_seed(done, seeds)
        order = list(chosen)
        result = Comparison(
            cells=tuple(sorted(cells, key=lambda c: (c.seed, order.index(c.arm)))),
            roles={name: arm.role for name, arm in chosen.items()},
            primary=primary,
            metric=metric,
            overlap=splits.overlap,
            class_names=schema.names,
            settings=settings,
            wall_seconds=time.perf_counter() - started,
            sample_grid=grid,
        )
        record.result(result)
    return result


def _describe(thing: Any) -> str:
    return thing if isinstance(thing, str) else getattr(thing, "__qualname__", repr(thing))
