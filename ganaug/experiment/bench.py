"""One training part on the bench: its schema and generator, and the classifier under every arm."""

import time
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch

from ganaug._random import derive
from ganaug.data.schema import Schema, take
from ganaug.experiment.arms import Arm, TrainingPart
from ganaug.experiment.classifiers import (
    Recipe,
    Teacher,
    build_classifier,
    class_probabilities,
    train,
    train_and_predict,
)
from ganaug.experiment.fitted import FittedClassifier
from ganaug.experiment.held_out import HeldOut, Outcome, Tried
from ganaug.experiment.metrics import METRICS
from ganaug.experiment.plan import Plan
from ganaug.experiment.recipes import Recipes
from ganaug.experiment.splits import inner_folds
from ganaug.experiment.starts import same_start, weights_digest
from ganaug.experiment.thresholds import tuned_factors
from ganaug.generator import ConditionalGAN
from ganaug.mixing.fill import fill_counts
from ganaug.training.observers import observers

__all__ = ["Bench", "Plan"]

INNER_FOLDS = 3


class Bench:
    """One training part: its schema and generator, fitted to nothing else, and the classifier under test."""

    def __init__(
        self,
        plan: Plan,
        X: Any,
        y: Any,
        seed: int,
        *,
        groups: np.ndarray[Any, Any] | None = None,
        reserve: tuple[Any, Any] | None = None,
        unlabelled: Any = None,
        schema: Schema | None = None,
    ):
        self.plan, self.X, self.y, self.seed, self.groups = plan, X, y, seed, groups
        self.reserve = reserve  # samples and labels that are neither in this part nor tested on
        self.unlabelled = unlabelled  # samples of neither part, without labels
        self.schema = schema or replace(Schema.fit(X, y), names=tuple(plan.names))
        self.x, self.c = self.schema.encode_X(X), self.schema.encode_y(y)
        self.gan: ConditionalGAN | None = None
        self.gan_seconds = 0.0
        self._gan_asked, self._fit_seconds = False, 0.0
        added = fill_counts(y, plan.fill)
        classes = sorted(self.schema.class_index(k) for k, n in added.items() for _ in range(n))
        there = unlabelled is not None and len(unlabelled) > 0
        self.part = TrainingPart(
            X=X,
            x=self.x,
            c=self.c,
            extra_c=torch.tensor(classes, dtype=torch.int64),
            schema=self.schema,
            seed=seed,
            fitted_gan=self.fitted_gan,
            reserve=reserve and (reserve[0], self.schema.encode_y(reserve[1])),
            unlabelled=self.schema.encode_X(unlabelled) if there else None,
        )
        self.recipes = Recipes(plan, self.part, groups=groups, taught=self._taught)
        self.start = ""

    def outcome(self, name: str, arm: Arm, X_test: Any) -> Outcome:
        """Return what the classifier says of test samples when it is trained as the arm wants."""
        if arm.among:
            return self._of_the_best(name, arm, X_test)
        self._gan_asked, self._fit_seconds = False, 0.0
        recipe = self.recipes.recipe(name, arm)
        y_pred, y_score = self.trained(recipe, X_test)
        factors = self._factors(recipe, arm)
        if factors is not None:
            y_pred = (y_score * factors).argmax(1)
        return Outcome(
            y_pred=y_pred,
            y_score=y_score,
            n_extra=recipe.n_used,
            fit_seconds=self._fit_seconds,
            gan_seconds=self.gan_seconds if self._gan_asked else 0.0,
            start=self.start,
            admitted=recipe.admitted,
        )

    def fitted(self, name: str, arm: Arm) -> FittedClassifier:
        """Return the classifier with which an arm, no choice among others, gets its outcome."""
        recipe = self.recipes.recipe(name, arm)
        model, factors = self._trained_model(recipe), self._factors(recipe, arm)
        return FittedClassifier(model, self.schema, factors, getattr(self.X, "dtypes", None))

    def _factors(self, recipe: Recipe, arm: Arm) -> np.ndarray[Any, Any] | None:
        """Return the factors of the class probabilities, where the arm tunes them."""
        if not arm.tune_threshold:
            return None
        metric = METRICS[self.plan.metric]
        return tuned_factors(recipe, self.trained, metric, seed=self.seed, groups=self.groups)

    def trained(self, recipe: Recipe, rows: Any) -> tuple[np.ndarray[Any, Any], Any]:
        """Train a new classifier, always from the same weights; return classes and scores of rows."""
        begun = time.perf_counter()
        found = train_and_predict(self._new_classifier(), recipe, rows, self.schema, **self._settings)
        self._fit_seconds += time.perf_counter() - begun
        return found

    def _taught(self, recipe: Recipe) -> Teacher:
        """Return the class probabilities by a new classifier that is trained on a recipe."""
        return partial(class_probabilities, self._trained_model(recipe), schema=self.schema)

    def _trained_model(self, recipe: Recipe) -> Any:
        """Return a new classifier, trained from always the same weights."""
        begun = time.perf_counter()
        model = self._new_classifier()
        train(model, recipe, self.schema, **self._settings)
        self._fit_seconds += time.perf_counter() - begun
        return model

    def _new_classifier(self) -> Any:
        model = build_classifier(self.plan.classifier, self.schema, seed=self.seed)
        self.start = same_start(self.start, weights_digest(model))
        return model

    @property
    def _settings(self) -> dict[str, int]:
        return {"steps": self.plan.steps, "batch_size": self.plan.batch_size, "seed": self.seed}

    def fitted_gan(self) -> ConditionalGAN:
        """Return the generator of this part, trained when first asked for."""
        self._gan_asked = True
        if self.gan is None:
            begun = time.perf_counter()
            config, device = self.plan.gan_config, self.plan.device
            gan = ConditionalGAN(config=config, device=device, random_state=derive(self.seed, "gan"))
            with observers():  # a comparison has a record of its own
                self.gan = gan.fit(self.X, self.y, names=self.schema.names)
            self.gan_seconds = time.perf_counter() - begun
        return self.gan

    def held_out(self, name: str, arm: Arm) -> HeldOut:
        """Return what each candidate of an arm does on samples held out of this part; the encoding stays."""
        truth: list[np.ndarray[Any, Any]] = []
        outcomes: list[list[Outcome]] = [[] for _ in arm.among]
        for inner, X_rest, c_rest in self._inner:
            truth.append(c_rest)
            for candidate, found in zip(arm.among, outcomes, strict=True):
                found.append(inner.outcome(name, candidate, X_rest))
        return HeldOut(truth, outcomes)

    def _of_the_best(self, name: str, arm: Arm, X_test: Any) -> Outcome:
        """Return the outcome of the candidate with the best metric on samples held out of the part."""
        held_out = self.held_out(name, arm)
        metric = METRICS[self.plan.metric]
        best = self._best_of(arm, held_out)
        final = self.outcome(name, best, X_test)
        return replace(
            final,
            doses=best.doses if arm.by_class and held_out.truth else (),
            tried=tuple(
                Tried(0.0 if a.extra is None else max(a.doses), score, a.gate, a.snapshot)
                for a, score in zip(arm.among, held_out.scores(metric), strict=False)
            ),
            fit_seconds=final.fit_seconds + held_out.fit_seconds,
            gan_seconds=final.gan_seconds + held_out.gan_seconds,
        )

    def _best_of(self, arm: Arm, held_out: HeldOut) -> Arm:
        """Return the candidate with the best metric, or, by class, one with the best dose of each."""
        if not arm.by_class or not held_out.truth:
            return arm.among[held_out.best(METRICS[self.plan.metric])]
        doses = [0.0 if a.extra is None else a.doses[0] for a in arm.among]
        best = held_out.best_by_class(len(self.schema.labels))
        return arm.with_doses(tuple(doses[k] for k in best))

    @cached_property
    def _inner(self) -> list[tuple["Bench", Any, np.ndarray[Any, Any]]]:
        """Training parts within this one, and what is held out of each; none where a class is too small."""
        c = self.c.numpy()
        folds = inner_folds(c, INNER_FOLDS, groups=self.groups, seed=derive(self.seed, "choice"))
        if any(np.bincount(c[rows], minlength=c.max() + 1).min() < 2 for rows, _ in folds):
            return []
        return [
            (
                Bench(
                    self.plan.within(self.y[rows]),
                    take(self.X, rows),
                    self.y[rows],
                    derive(self.seed, "choice", k),
                    groups=None if self.groups is None else self.groups[rows],
                    reserve=self.reserve,
                    unlabelled=self.unlabelled,
                    schema=self.schema,  # encoded as here, so that a module of the caller's own fits
                ),
                take(self.X, rest),
                c[rest],
            )
            for k, (rows, rest) in enumerate(folds)
        ]
