"""Recipes: what each arm feeds the classifier, made of one training part."""

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganaug._checks import finite
from ganaug._random import derive
from ganaug.data.schema import take
from ganaug.data.tables import TableCodec
from ganaug.errors import ConfigError
from ganaug.experiment.arms import Arm, TrainingPart
from ganaug.experiment.classic import COMPOSES, BatchTransform, classic_transform
from ganaug.experiment.classifiers import Labels, Recipe, Teacher
from ganaug.experiment.judges import out_of_fold_judges
from ganaug.experiment.order import mixed_rows, swap_mask
from ganaug.experiment.plan import Plan
from ganaug.experiment.samples import copied_rows
from ganaug.mixing.complement import ComplementGenerator, shuffled
from ganaug.mixing.gate import GATES, Admitted, Guard, admit, agreement

SMOOTH = 0.1


class Recipes:
    """Makes recipes of a training part; what it needs a trained classifier for, it asks of `taught`."""

    def __init__(
        self,
        plan: Plan,
        part: TrainingPart,
        *,
        groups: np.ndarray[Any, Any] | None,
        taught: Callable[[Recipe], Teacher],
    ):
        self.plan, self.part, self.groups, self.taught = plan, part, groups, taught
        self._guards: dict[tuple[str | None, Arm], Guard | None] = {}  # by gate and what judges train on
        self._teachers: dict[Arm, Teacher] = {}

    def recipe(self, name: str, arm: Arm) -> Recipe:
        """Return what an arm, of this name in messages, feeds the classifier."""
        part, extra_c = self.part, self._wanted(arm)
        made, admitted = self._made(name, arm, extra_c)
        doses = torch.tensor(arm.doses, dtype=torch.float64).expand(len(part.schema.labels))
        recipe = Recipe(
            X=part.X,
            x=part.x,
            c=part.c,
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
            n_pace=len(part.extra_c),
            x_unlabelled=part.unlabelled,
            complement=self._complement(arm),
            complement_weight=arm.complement_weight,
            admitted=admitted,
        )
        return recipe if arm.place == "fill" else self._standing_in(recipe, doses, even=arm.place == "even")

    def _standing_in(self, recipe: Recipe, doses: Tensor, *, even: bool) -> Recipe:
        """Return the recipe in which added samples stand in for real ones, and for copies of them."""
        c, seed = recipe.c, self.part.seed
        copied = copied_rows(c, self.part.extra_c, seed=seed) if even else recipe.copied
        chance = doses[torch.cat([c, c[copied]])].numpy()
        recipe = replace(recipe, swap=chance, copied=copied)
        first = mixed_rows(recipe, swap_mask(chance, seed=seed)) - len(c)
        used = torch.zeros(len(recipe.extra_c), dtype=torch.bool)
        used[first[first >= 0]] = True
        return replace(recipe, used=used)

    def _complement(self, arm: Arm) -> Callable[[Any, Tensor], ComplementGenerator] | None:
        if arm.complement is None:
            return None
        codec = self.part.schema.codec
        fakes: Any = arm.complement
        if fakes == "mixes" and isinstance(codec, TableCodec):  # a column may have several blocks
            fakes = partial(shuffled, widths=codec.widths)
        return partial(
            ComplementGenerator,
            fakes=fakes,
            batch_size=self.plan.batch_size,
            transform=self._transform(arm, "unlabelled"),
            blocks=self.part.schema.blocks or (),
            random_state=derive(self.part.seed, "complement"),
        )

    def _made(self, name: str, arm: Arm, extra_c: Tensor) -> tuple[Any, tuple[Admitted, ...]]:
        """Return the samples that an arm adds, or None, and what its gate says of them."""
        if arm.extra is None or not max(arm.doses):
            return None, ()
        make = arm.extra

        def drawn(c: Tensor, number: int) -> Any:
            seed = derive(self.part.seed, "draw", number) if number else self.part.seed
            part = replace(self._copy(c), seed=seed, snapshot=arm.snapshot)
            return make(replace(part, teacher=partial(self.teacher, name, arm)))

        guard = None if arm.gate is None or not len(extra_c) else self.guard(name, arm)
        if guard is None:
            return drawn(extra_c, 0), ()

        def draw(c: Tensor, number: int) -> Tensor:
            return self._encoded(name, drawn(c, number), len(c))

        return admit(draw, guard, extra_c, n_classes=len(self.part.schema.labels))

    def guard(self, name: str, arm: Arm) -> Guard | None:
        """Return what stands at an arm's gate, made when a candidate first asks for it; None lets all in."""
        key = arm.gate, arm.with_nothing_added
        if key not in self._guards:
            make = None if arm.gate is None else GATES[arm.gate]
            if make is not None:
                self._guards[key] = make(self.part.x, self.part.c)
            else:
                recipe = self.recipe(name, key[1])
                judges = out_of_fold_judges(recipe, self.taught, seed=self.part.seed, groups=self.groups)
                self._guards[key] = agreement(judges) if judges else None
        return self._guards[key]

    def _wanted(self, arm: Arm) -> Tensor:
        """Return the classes of what an arm makes: of a fill, of what it stands in for, or of the reserve."""
        part = self.part
        if arm.place == "swap":
            return part.c.sort().values
        if arm.place == "even":
            return torch.cat([part.c, part.extra_c]).sort().values
        if arm.role == "oracle" and part.reserve is not None:
            return part.reserve[1].sort().values
        return part.extra_c

    def _copy(self, extra_c: Tensor) -> TrainingPart:
        """Return the part with other classes wanted, in copies, for an arm may write to what it is given."""
        part = self.part
        return replace(
            part,
            X=_copied(part.X),
            x=part.x.clone(),
            c=part.c.clone(),
            extra_c=extra_c.clone(),
            reserve=part.reserve and (_copied(part.reserve[0]), part.reserve[1].clone()),
            unlabelled=None if part.unlabelled is None else part.unlabelled.clone(),
        )

    def _transform(self, arm: Arm, *stream: str) -> BatchTransform | None:
        """Return what an arm does to each batch, of its own samples or of those of a named stream."""
        if not arm.classic:
            return None
        own = COMPOSES.get(str(arm.classic))
        compose = copy.deepcopy(self.plan.classic) if own is None else own(self.part.x)
        seed = derive(self.part.seed, *stream) if stream else self.part.seed
        return classic_transform(self.part.x, seed=seed, compose=compose)

    def teacher(self, name: str, arm: Arm) -> Teacher:
        """Return the class probabilities by the arm with copies, which sees real samples alone."""
        like = arm.with_copies
        if like not in self._teachers:
            self._teachers[like] = self.taught(self.recipe(name, like))
        return self._teachers[like]

    def _labels(self, name: str, arm: Arm) -> Labels | None:
        """Return what the labels of added samples are, where these are not their classes."""
        if arm.labels == "teacher":
            teacher = self.teacher(name, arm)
            return lambda samples, c: teacher(samples)
        n_classes = len(self.part.schema.labels)
        if arm.labels == "smooth":
            return lambda samples, c: torch.full((len(c), n_classes), SMOOTH / n_classes).scatter_add_(
                1, c[:, None], torch.full((len(c), 1), 1 - SMOOTH)
            )
        return None

    def _encoded(self, arm: str, made: Any, n: int) -> Tensor:
        """Return the n samples that an arm made, encoded, after checking them."""
        part, encoded = self.part, isinstance(made, Tensor)
        wanted = (n, *(part.x if encoded else part.X).shape[1:])
        if tuple(getattr(made, "shape", ())) != wanted:
            raise ConfigError(
                f"extra of arm {arm!r} must return a tensor of samples {(n, *part.x.shape[1:])}, or rows "
                f"{(n, *part.X.shape[1:])} in the form of X; got {type(made).__name__} "
                f"{tuple(getattr(made, 'shape', ()))}."
            )
        x_extra: Tensor = made.to(part.x.dtype) if encoded else part.schema.encode_X(made)
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
