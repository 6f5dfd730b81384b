"""One training part on the bench: its schema and generator, and the classifier under every arm."""

import copy
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganaug._checks import finite
from ganaug._random import derive
from ganaug.data.schema import Schema, take
from ganaug.errors import ConfigError
from ganaug.experiment.arms import Arm, TrainingPart
from ganaug.experiment.classic import COMPOSES, BatchTransform, classic_transform
from ganaug.experiment.classifiers import (
    Labels,
    Recipe,
    Teacher,
    build_classifier,
    class_probabilities,
    train,
    train_and_predict,
)
from ganaug.experiment.fitted import FittedClassifier
from ganaug.experiment.held_out import HeldOut, Outcome, Tried
from ganaug.experiment.judges import out_of_fold_judges
from ganaug.experiment.metrics import METRICS
from ganaug.experiment.order import mixed_rows, swap_mask
from ganaug.experiment.plan import Plan
from ganaug.experiment.samples import copied_rows
from ganaug.experiment.splits import inner_folds
from ganaug.experiment.starts import same_start, weights_digest
from ganaug.experiment.thresholds import tuned_factors
from ganaug.generator import ConditionalGAN
from ganaug.mixing.complement import ComplementGenerator
from ganaug.mixing.fill import fill_counts
from ganaug.mixing.gate import GATES, Admitted, Guard, admit, agreement
from ganaug.training.observers import observers

__all__ = ["Bench", "Plan"]

INNER_FOLDS = 3
SMOOTH = 0.1


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
        self.schema = schema or replace(Schema.fit(X, y), names=tuple(plan.names))
        self.x, self.c = self.schema.encode_X(X), self.schema.encode_y(y)
        self.unlabelled = unlabelled  # samples of neither part, without labels
        there = unlabelled is not None and len(unlabelled) > 0
        self.x_unlabelled = self.schema.encode_X(unlabelled) if there else None
        added = fill_counts(y, plan.fill)
        classes = sorted(self.schema.class_index(k) for k, n in added.items() for _ in range(n))
        self.extra_c = torch.tensor(classes, dtype=torch.int64)
        self.gan: ConditionalGAN | None = None
        self.gan_seconds = 0.0
        self._gan_asked, self._fit_seconds = False, 0.0
        self._admitted: tuple[Admitted, ...] = ()
        self._guards: dict[
            tuple[str | None, Arm], Guard | None
        ] = {}  # by gate and what judges are trained as
        self._teachers: dict[Arm, Teacher] = {}
        self.start = ""

    def outcome(self, name: str, arm: Arm, X_test: Any) -> Outcome:
        """Return what the classifier says of test samples when it is trained as the arm wants."""
        if arm.among:
            return self._of_the_best(name, arm, X_test)
        self._gan_asked, self._fit_seconds, self._admitted = False, 0.0, ()
        recipe = self._recipe(name, arm)
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
            admitted=self._admitted,
        )

    def fitted(self, name: str, arm: Arm) -> FittedClassifier:
        """Return the classifier with which an arm, no choice among others, gets its outcome."""
        recipe = self._recipe(name, arm)
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

    def _teacher(self, name: str, arm: Arm) -> Teacher:
        """Return the class probabilities by the arm with copies, which sees real samples alone."""
        like = arm.with_copies
        if like not in self._teachers:
            self._teachers[like] = self._taught(self._recipe(name, like))
        return self._teachers[like]

    def _labels(self, name: str, arm: Arm) -> Labels | None:
        """Return what the labels of added samples are, where these are not their classes."""
        if arm.labels == "teacher":
            teacher = self._teacher(name, arm)
            return lambda samples, c: teacher(samples)
        n_classes = len(self.schema.labels)
        if arm.labels == "smooth":
            return lambda samples, c: torch.full((len(c), n_classes), SMOOTH / n_classes).scatter_add_(
                1, c[:, None], torch.full((len(c), 1), 1 - SMOOTH)
            )
        return None

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

    def _recipe(self, name: str, arm: Arm) -> Recipe:
        """Return what the arm feeds the classifier."""
        extra_c = self._wanted(arm)
        made = self._made(name, arm, extra_c)
        doses = torch.tensor(arm.doses, dtype=torch.float64).expand(len(self.schema.labels))
        recipe = Recipe(
            X=self.X,
            x=self.x,
            c=self.c,
            X_extra=None if isinstance(made, Tensor) else made,
            x_extra=None if made is None else self._encoded(name, made, len(extra_c)),
            extra_c=extra_c,
            used=_first(extra_c, 0 * doses if made is None else doses),
            class_weights=arm.class_weights,
            transform=self._transform(arm),
            phases=arm.phases,
            mix=arm.mix,
            labels=self._labels(name, arm),
            weight=arm.weight,
            n_pace=len(self.extra_c),
            x_unlabelled=self.x_unlabelled,
            complement=self._complement(arm),
            complement_weight=arm.complement_weight,
        )
        return recipe if arm.place == "fill" else self._standing_in(recipe, doses, even=arm.place == "even")

    def _standing_in(self, recipe: Recipe, doses: Tensor, *, even: bool) -> Recipe:
        """Return the recipe in which added samples stand in for real ones, and for copies of them."""
        copied = recipe.copied
        if even:
            copied = copied_rows(self.c, self.extra_c, seed=self.seed)
        chance = doses[torch.cat([self.c, self.c[copied]])].numpy()
        recipe = replace(recipe, swap=chance, copied=copied)
        first = mixed_rows(recipe, swap_mask(chance, seed=self.seed)) - len(self.c)
        used = torch.zeros(len(recipe.extra_c), dtype=torch.bool)
        used[first[first >= 0]] = True
        return replace(recipe, used=used)

    def _complement(self, arm: Arm) -> Callable[[Any, Tensor], ComplementGenerator] | None:
        if arm.complement is None:
            return None
        return partial(
            ComplementGenerator,
            fakes=arm.complement,
            batch_size=self.plan.batch_size,
            transform=self._transform(arm, "unlabelled"),
            blocks=self.schema.blocks or (),
            random_state=derive(self.seed, "complement"),
        )

    def _made(self, name: str, arm: Arm, extra_c: Tensor) -> Any:
        """Return the samples that an arm adds, those that its gate lets in, or nothing."""
        if arm.extra is None or not max(arm.doses):
            return None
        make = arm.extra

        def drawn(c: Tensor, number: int) -> Any:
            seed = derive(self.seed, "draw", number) if number else self.seed
            part = replace(self._part(c), seed=seed, snapshot=arm.snapshot)
            return make(replace(part, teacher=partial(self._teacher, name, arm)))

        guard = None if arm.gate is None or not len(extra_c) else self._guard(name, arm)
        if guard is None:
            return drawn(extra_c, 0)

        def draw(c: Tensor, number: int) -> Tensor:
            return self._encoded(name, drawn(c, number), len(c))

        made, self._admitted = admit(draw, guard, extra_c, n_classes=len(self.schema.labels))
        return made

    def _guard(self, name: str, arm: Arm) -> Guard | None:
        """Return what stands at an arm's gate, made when a candidate first asks for it; None lets all in."""
        key = arm.gate, arm.with_nothing_added
        if key not in self._guards:
            make = None if arm.gate is None else GATES[arm.gate]
            if make is not None:
                self._guards[key] = make(self.x, self.c)
            else:
                recipe = self._recipe(name, key[1])
                judges = out_of_fold_judges(recipe, self._taught, seed=self.seed, groups=self.groups)
                self._guards[key] = agreement(judges) if judges else None
        return self._guards[key]

    def _wanted(self, arm: Arm) -> Tensor:
        """Return the classes of what an arm makes: of a fill, of what it stands in for, or of the reserve."""
        if arm.place == "swap":
            return self.c.sort().values
        if arm.place == "even":
            return torch.cat([self.c, self.extra_c]).sort().values
        if arm.role == "oracle" and self.reserve is not None:
            return self.schema.encode_y(self.reserve[1]).sort().values
        return self.extra_c

    def _part(self, extra_c: Tensor) -> TrainingPart:
        """Return this part in copies, for an arm may write to what it is given."""
        own = _copied(self.X), self.x.clone(), self.c.clone(), extra_c.clone()
        reserve = self.reserve and (_copied(self.reserve[0]), self.schema.encode_y(self.reserve[1]))
        unlabelled = None if self.x_unlabelled is None else self.x_unlabelled.clone()
        return TrainingPart(
            *own, self.schema, self.seed, self.fitted_gan, reserve=reserve, unlabelled=unlabelled
        )

    def _transform(self, arm: Arm, *stream: str) -> BatchTransform | None:
        """Return what an arm does to each batch, of its own samples or of those of a named stream."""
        if not arm.classic:
            return None
        own = COMPOSES.get(str(arm.classic))
        compose = copy.deepcopy(self.plan.classic) if own is None else own(self.x)
        seed = derive(self.seed, *stream) if stream else self.seed
        return classic_transform(self.x, seed=seed, compose=compose)

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

    def _encoded(self, arm: str, made: Any, n: int) -> Tensor:
        """Return the n samples that an arm made, encoded, after checking them."""
        encoded = isinstance(made, Tensor)
        wanted = (n, *(self.x if encoded else self.X).shape[1:])
        if tuple(getattr(made, "shape", ())) != wanted:
            raise ConfigError(
                f"extra of arm {arm!r} must return a tensor of samples {(n, *self.x.shape[1:])}, or rows "
                f"{(n, *self.X.shape[1:])} in the form of X; got {type(made).__name__} "
                f"{tuple(getattr(made, 'shape', ()))}."
            )
        x_extra: Tensor = made.to(self.x.dtype) if encoded else self.schema.encode_X(made)
        finite(f"extra of arm {arm!r}", x_extra.numpy())
        return x_extra


def _copied(X: Any) -> Any:
    return take(X, np.arange(len(X)))


def _first(extra_c: Tensor, doses: Tensor) -> Tensor:
    """Return which of the added samples (n_extra,) are used: of each class the first ones, by its dose."""
    used = torch.zeros(len(extra_c), dtype=torch.bool)
    for k in extra_c.unique():
        rows = (extra_c == k).nonzero().flatten()
        used[rows[: round(float(doses[k]) * len(rows))]] = True
    return used
