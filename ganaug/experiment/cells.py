"""One seed of a comparison: one split, one generator, and the classifier once per arm."""

import hashlib
import io
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ganaug._checks import finite
from ganaug._random import derive
from ganaug.config import GANConfig
from ganaug.data.schema import Schema, take
from ganaug.errors import ConfigError
from ganaug.experiment.arms import Arm, TrainingPart
from ganaug.experiment.classic import classic_transform
from ganaug.experiment.classifiers import Recipe, build_classifier, train_and_predict
from ganaug.experiment.comparison import Cell
from ganaug.experiment.metrics import METRICS
from ganaug.experiment.thresholds import tuned_factors
from ganaug.generator import ConditionalGAN
from ganaug.mixing.fill import Fill, fill_counts


@dataclass(frozen=True)
class Plan:
    """What every seed shares; travels to worker processes."""

    classifier: Any
    arms: dict[str, Arm]
    metric: str
    fill: Fill
    steps: int
    batch_size: int
    config: GANConfig
    device: str
    classic: Any
    names: Sequence[str] | None
    random_state: int


def run_seed(plan: Plan, s: int, X: Any, y: Any, X_test: Any, y_test: Any) -> tuple[list[Cell], bytes | None]:
    """Return the cells of one seed; everything is fitted on X and y, the training part."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _run_arms(plan, s, X, y, X_test, y_test)
    finally:
        torch.set_num_threads(threads)


def _run_arms(
    plan: Plan, s: int, X: Any, y: Any, X_test: Any, y_test: Any
) -> tuple[list[Cell], bytes | None]:
    seed = derive(plan.random_state, "seed", s)
    schema = replace(Schema.fit(X, y), names=tuple(plan.names or ()))
    x, c = schema.encode_X(X), schema.encode_y(y)
    c_test = schema.encode_y(y_test).numpy()
    added = fill_of(y, plan.fill)
    extra_c = torch.tensor(
        sorted(schema.class_index(k) for k, n in added.items() for _ in range(n)), dtype=torch.int64
    )

    @cache
    def fitted_gan() -> ConditionalGAN:
        gan = ConditionalGAN(config=plan.config, device=plan.device, random_state=derive(seed, "gan"))
        return gan.fit(X, y, names=schema.names)

    digests = set()

    def trained(recipe: Recipe, rows: Any) -> tuple[np.ndarray[Any, Any], Any]:
        model = build_classifier(plan.classifier, schema, seed=seed)
        digests.add(_weights_digest(model))
        if len(digests) > 1:
            raise ConfigError(
                "classifier must build modules with weights of the same seed for every arm; one of them "
                "started from other weights. Draw them from torch's global generator, and build "
                "a new module at each call."
            )
        return train_and_predict(
            model, recipe, rows, schema, steps=plan.steps, batch_size=plan.batch_size, seed=seed
        )

    cells, gan_seconds = [], 0.0
    for name, arm in plan.arms.items():
        asked, begun = fitted_gan.cache_info(), time.perf_counter()
        # an arm may write to what it is given
        own = take(X, np.arange(len(X))), x.clone(), c.clone(), extra_c.clone()
        part = TrainingPart(*own, schema, seed, fitted_gan)
        made = None if arm.extra is None else arm.extra(part)
        uses_gan = fitted_gan.cache_info() != asked
        if fitted_gan.cache_info().misses > asked.misses:
            gan_seconds = time.perf_counter() - begun
        X_extra = None if isinstance(made, Tensor) else made
        x_extra = None if arm.extra is None else _encoded(name, made, x, X, len(extra_c), schema)
        recipe = Recipe(
            X=X,
            x=x,
            c=c,
            X_extra=X_extra,
            x_extra=x_extra,
            extra_c=extra_c,
            class_weights=arm.class_weights,
            transform=classic_transform(x, seed=seed, compose=plan.classic) if arm.classic else None,
        )
        begun = time.perf_counter()
        y_pred, y_score = trained(recipe, X_test)
        if arm.tune_threshold:
            factors = tuned_factors(recipe, trained, METRICS[plan.metric], seed=seed)
            y_pred = (y_score * factors).argmax(1)
        cells.append(
            Cell(
                arm=name,
                seed=s,
                y_true=c_test,
                y_pred=y_pred,
                y_score=y_score,
                n_train=len(c),
                n_extra=0 if x_extra is None else len(x_extra),
                fit_seconds=time.perf_counter() - begun,
                gan_seconds=gan_seconds if uses_gan else 0.0,
            )
        )
    has_gan = fitted_gan.cache_info().currsize > 0
    return cells, _grid(fitted_gan()) if s == 0 and has_gan else None


def _encoded(arm: str, made: Any, x: Tensor, X: Any, n: int, schema: Schema) -> Tensor:
    """Return the samples that an arm made, encoded, after checking them."""
    encoded = isinstance(made, Tensor)
    wanted = (n, *(x if encoded else X).shape[1:])
    if tuple(getattr(made, "shape", ())) != wanted:
        raise ConfigError(
            f"extra of arm {arm!r} must return a tensor of samples {(n, *x.shape[1:])}, or rows "
            f"{(n, *X.shape[1:])} in the form of X; got {type(made).__name__} "
            f"{tuple(getattr(made, 'shape', ()))}."
        )
    x_extra = made.to(x.dtype) if encoded else schema.encode_X(made)
    finite(f"extra of arm {arm!r}", x_extra.numpy())
    return x_extra


def _weights_digest(model: Any) -> str:
    """Return a fingerprint of a module's weights; an estimator has none before its fit."""
    if not isinstance(model, nn.Module):
        return "estimator"
    content = hashlib.sha256()
    for value in model.state_dict().values():
        content.update(value.numpy().tobytes())
    return content.hexdigest()


def fill_of(y: np.ndarray[Any, Any], fill: Fill) -> dict[Any, int]:
    """Return the samples that the arms of a seed add per class, for its training labels."""
    if fill == "auto":
        counts = np.unique(y, return_counts=True)[1]
        fill = 2.0 if counts.max() <= 1.5 * counts.min() else "balance"
    return fill_counts(y, fill)


def _grid(gan: ConditionalGAN) -> bytes | None:
    if gan.schema_.kind != "image":
        return None
    png = io.BytesIO()
    gan.sample_grid().save(png, format="PNG")
    return png.getvalue()
