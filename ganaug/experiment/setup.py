"""Setup: a comparison that has been checked, before anything is trained."""

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

import numpy as np
import torch

from ganaug._checks import known_name, listed, number
from ganaug._random import Seed, as_seed
from ganaug.config import GANConfig, resolve_config
from ganaug.data.schema import Schema, take
from ganaug.data.sources import dataset_arrays, is_dataset
from ganaug.errors import ConfigError, GanaugWarning
from ganaug.experiment.arm import Arm, described
from ganaug.experiment.classifiers import default_classifier
from ganaug.experiment.inputs import (
    as_rows,
    check_classifier,
    check_fill,
    check_parts,
    check_reserve,
    check_test_sizes,
    fitting_arms,
    given_groups,
    given_test_set,
    resolve_arms,
    shared_samples,
    treatments_of,
)
from ganaug.experiment.jobs import Part
from ganaug.experiment.metrics import METRICS
from ganaug.experiment.plan import Plan, resolve_fill
from ganaug.experiment.splits import Labelled, Splits, make_splits
from ganaug.experiment.twins import twin_of
from ganaug.experiment.unlabelled import Unlabelled, given_unlabelled
from ganaug.mixing.fill import Fill
from ganaug.training.game import resolve_game
from ganaug.training.run import data_digest
from ganaug.training.state import torch_device


@dataclass(frozen=True)
class Setup:
    """What all seeds share, and the parts of each."""

    X: Any
    y: np.ndarray[Any, Any]
    schema: Schema
    plan: Plan
    splits: Splits
    primary: str
    rope: float  # points
    given_test: tuple[Any, np.ndarray[Any, Any]] | None
    groups: np.ndarray[Any, Any] | None
    settings: dict[str, Any]  # for the record
    unlabelled: Unlabelled | None = None

    @property
    def seeds(self) -> int:
        """How many paired repetitions there are."""
        return len(self.splits.train)

    @property
    def twins(self) -> dict[str, str]:
        """The control of each treatment that differs from it in the added samples only."""
        arms = self.plan.arms
        return {name: twin_of(name, arms) for name, arm in arms.items() if arm.role == "treatment"}

    @property
    def _unlabelled_digest(self) -> str | None:
        given = self.unlabelled
        if given is None or given.X is self.X:
            return None if given is None else "rest"
        return data_digest(self.schema.encode_X(given.X), torch.zeros(len(given.X), dtype=torch.int64))

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the cells; a comparison goes on only where all of it is as it was."""
        rows = hashlib.sha256()
        for part in [*self.splits.train, *(self.splits.test or []), self.groups]:
            rows.update(np.ascontiguousarray(part).tobytes() if part is not None else b"")
        test = self.given_test
        return {
            **self.settings,
            "arms": [[name, arm.to_dict()] for name, arm in self.plan.arms.items()],
            "metric": self.plan.metric,
            "primary": self.primary,  # named before any score is seen
            "rope": self.rope,
            "classic": None if self.plan.classic is None else repr(self.plan.classic),
            "rows of the splits": rows.hexdigest()[:16],
            "test": test and data_digest(self.schema.encode_X(test[0]), self.schema.encode_y(test[1])),
            "unlabelled rows": self._unlabelled_digest,
        }

    def part(self, seed: int) -> Part:
        """Return the samples of one seed."""
        X, y, splits, rows = self.X, self.y, self.splits, self.splits.train[seed]
        tests = splits.test or []
        X_test, y_test = self.given_test or (take(X, tests[seed]), y[tests[seed]])
        groups = None if self.groups is None else self.groups[rows]
        reserve = None
        if splits.reserve is not None and any(arm.role == "oracle" for arm in self.plan.arms.values()):
            reserve = take(X, splits.reserve[seed]), y[splits.reserve[seed]]
        given = self.unlabelled
        unlabelled = None if given is None else take(given.X, given.rows[seed])
        return Part(seed, take(X, rows), y[rows], X_test, y_test, groups, reserve, unlabelled)


def set_up(
    X: Any,
    y: Any,
    *,
    classifier: Any,
    arms: Sequence[str] | Mapping[str, Arm] | None,
    primary: str | None,
    seeds: int,
    metric: str,
    rope: float,
    fill: Fill,
    labelled_per_class: Labelled,
    test: Any,
    test_size: float,
    folds: int | None,
    train_size: int | None,
    groups: Any,
    unlabelled: Any,
    steps: int,
    batch_size: int,
    classic: Any,
    names: Sequence[str] | None,
    preset: str,
    config: GANConfig | None,
    train_images: int | None,
    device: str,
    random_state: Seed,
) -> Setup:
    """Check the arguments of `compare`, and split the samples."""
    if y is None and is_dataset(X):
        X, y, found = dataset_arrays(X)
        names = names if names is not None else found
    schema = Schema.fit(X, y, names=names)
    X, y = as_rows(X), np.asarray(y)
    more = unlabelled is not None
    chosen, _ = resolve_arms(arms, primary, kind=schema.kind, unlabelled=more)
    known_name("metric", metric, METRICS)
    number("rope", rope, low=0)
    number("steps", steps, low=1, integer=True)
    number("batch_size", batch_size, low=1, integer=True)
    if classic is not None and not hasattr(classic, "set_random_seed"):
        raise ConfigError(f"classic must be an albumentations Compose; got {type(classic).__name__}.")
    resolved = resolve_config(preset, config, train_images, kind=schema.kind)
    resolve_game(resolved)
    torch_device(device)
    seed = as_seed(random_state)
    given_test = None if test is None else given_test_set(test, schema)
    if given_test is not None:
        check_test_sizes(schema.encode_y(given_test[1]).numpy(), schema.names, metric)
    groups = None if groups is None else given_groups(groups, len(y))
    splits = make_splits(
        y,
        seeds=seeds,
        labelled_per_class=labelled_per_class,
        test_size=test_size,
        folds=folds,
        train_size=train_size,
        n_given_test=len(given_test[1]) if given_test else None,
        groups=groups,
        seed=seed,
    )
    check_parts(y, splits)
    encoded = (Schema.fit(take(X, rows), y[rows]) for rows in splits.train)
    parts = [schema] if schema.kind == "image" else encoded
    model = check_classifier(classifier, schema, parts, metric=metric, seed=seed)
    chosen = fitting_arms(chosen, model, schema, X, metric=metric, named=arms is not None, unlabelled=more)
    primary = known_name("primary", primary or treatments_of(chosen)[-1], treatments_of(chosen))
    there = given_unlabelled(unlabelled, schema, X, splits, given_test and given_test[0])
    if there is not None and not any(chosen[name].uses_unlabelled for name in treatments_of(chosen)):
        warnings.warn(
            "unlabelled samples are used by controls at most, and by none of the treatments "
            f"({listed(treatments_of(chosen))}). Those that use them, such as 'pseudo-labels + complement', "
            "need a torch classifier that ends in a Linear layer, e.g. 'mlp'.",
            GanaugWarning,
            stacklevel=3,
        )
    if there is not None:
        splits = replace(splits, note=f"{splits.note}; {there.note}")
    check_reserve(splits, [name for name, arm in chosen.items() if arm.role == "oracle"])
    together = y[np.concatenate(splits.train)]
    resolved_fill = resolve_fill(together, fill, seeds=seeds, n_unlabelled=0 if there is None else len(there))
    check_fill(y, splits, resolved_fill)
    plan = Plan(
        classifier=classifier,
        arms=chosen,
        metric=metric,
        fill=resolved_fill,
        steps=steps,
        batch_size=batch_size,
        config=resolved,
        device=device,
        classic=classic,
        names=schema.names,
        random_state=seed,
    )
    settings = {
        "classifier": described(default_classifier(schema) if classifier is None else classifier),
        "seeds": seeds,
        "random_state": seed,
        "steps": steps,
        "batch_size": batch_size,
        "fill": fill if isinstance(fill, (str, int, float)) else described(fill),
        "n_train": len(splits.train[0]),
        "n_test": len(given_test[1] if given_test else (splits.test or [])[0]),
        "labelled_per_class": str(labelled_per_class),
        "folds": folds,
        "train_size": train_size,
        "splits": splits.note,
        "gan": resolved.to_dict(),
        "data_digest": data_digest(schema.encode_X(X), schema.encode_y(y)),
        "n_reserve": 0 if splits.reserve is None else len(splits.reserve[0]),
        "groups": None if groups is None else len(np.unique(groups)),
        "unlabelled": None if there is None else len(there),
        "test_samples_in_training": shared_samples(schema, X, splits, given_test),
        "versions": {n: version(n) for n in ("ganaug", "torch", "scikit-learn", "numpy")},
    }
    if given_test and settings["test_samples_in_training"]:
        warnings.warn(
            f"{settings['test_samples_in_training']} samples of the test set are training samples too, "
            "which makes every arm look better than it is. Take them out of one of the two.",
            GanaugWarning,
            stacklevel=3,
        )
    return Setup(X, y, schema, plan, splits, primary, rope, given_test, groups, settings, there)
