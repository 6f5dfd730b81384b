"""The classifier under test: a scikit-learn estimator, or a torch module in one fixed loop."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from inspect import signature
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import has_fit_parameter
from torch import Tensor, nn

from ganaug._checks import known_name
from ganaug._random import derive
from ganaug.data.schema import Schema, stack, take
from ganaug.errors import ConfigError
from ganaug.experiment.classic import BatchTransform
from ganaug.experiment.order import mixed_rows, swap_mask
from ganaug.experiment.preprocessing import table_pipeline
from ganaug.experiment.torch_loop import balanced_weights, train_module
from ganaug.experiment.torchvision_models import torchvision_model, torchvision_names
from ganaug.mixing.complement import ComplementGenerator
from ganaug.mixing.gate import Admitted

__all__ = ["CLASSIFIERS", "Recipe", "train", "train_and_predict"]


Rows = np.ndarray[Any, Any]
Teacher = Callable[[Any], Tensor]
"""Returns class probabilities (n, n_classes) of samples: encoded ones as a tensor, or rows."""

Labels = Callable[[Any, Tensor], Tensor]
"""Returns class probabilities (n, n_classes) to train on, of samples and their classes (n,)."""


@dataclass(frozen=True)
class Recipe:
    """What an arm feeds the classifier."""

    X: Any  # (n, ...) real samples as the caller has them
    x: Tensor  # (n, *shape) the same, encoded
    c: Tensor
    x_extra: Tensor | None  # (n_extra, *shape), or None for an arm that adds nothing
    extra_c: Tensor  # (n_extra,), sorted, also where nothing is added
    class_weights: bool
    transform: BatchTransform | None
    used: Tensor  # (n_extra,) bool, which of the added samples are trained on
    X_extra: Any = None  # (n_extra, ...) added samples as the caller has them, where the arm made such
    swap: Rows | None = None  # (n + n_copied,) chance that an added sample stands in; None puts all on top
    copied: Rows = field(default_factory=lambda: np.empty(0, np.int64))  # rows of real samples seen again
    phases: str = "mixed"
    mix: str | None = None
    labels: Labels | None = None  # of added samples; None is their classes
    weight: float = 1.0  # of an added sample beside a real one
    n_pace: int | None = None  # added samples that pace the order of real ones; None is n_extra
    x_unlabelled: Tensor | None = None  # (n_unlabelled, *shape)
    complement: Callable[[nn.Module, Tensor], ComplementGenerator] | None = None
    """Returns what plays against a classifier with samples (n, *shape) whose labels it does not know."""
    complement_weight: float = 1.0  # of its loss beside that on labelled samples
    admitted: tuple[Admitted, ...] = ()  # of each class, what a gate let in

    @property
    def n_classes(self) -> int:
        """How many classes there are."""
        return int(self.c.max()) + 1

    @property
    def pace(self) -> int:
        """How many places the order of training has between real samples, the same in every arm."""
        return len(self.extra_c) if self.n_pace is None else self.n_pace

    @property
    def n_used(self) -> int:
        """How many added samples are trained on."""
        return int(self.used.sum())


def cnn(shape: tuple[int, ...], n_classes: int) -> nn.Module:
    """Return a small convolutional network for images (channels, height, width)."""

    def block(n_in: int, n_out: int) -> list[nn.Module]:
        return [nn.Conv2d(n_in, n_out, 3, padding=1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU()]

    network = nn.Sequential(
        *block(shape[0], 16),
        *block(16, 16),
        nn.MaxPool2d(2, ceil_mode=True),
        *block(16, 32),
        *block(32, 32),
        nn.MaxPool2d(2, ceil_mode=True),
        *block(32, 64),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(64 * 4, n_classes),
    )
    return network.to(memory_format=torch.channels_last)  # a fifth to two fifths faster on processors


def mlp(shape: tuple[int, ...], n_classes: int) -> nn.Module:
    """Return a fully connected network with two hidden layers of 64."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(int(np.prod(shape)), 64),
        nn.ReLU(),
        nn.Linear(64, 64),
        nn.ReLU(),
        nn.Linear(64, n_classes),
    )


def _sklearn(module: str, name: str, **params: Any) -> Callable[[tuple[int, ...], int], Any]:
    def build(shape: tuple[int, ...], n_classes: int) -> Any:
        from importlib import import_module

        return getattr(import_module(f"sklearn.{module}"), name)(**params)

    return build


CLASSIFIERS: dict[str, Callable[[tuple[int, ...], int], Any]] = {
    "cnn": cnn,
    "mlp": mlp,
    "logistic": _sklearn("linear_model", "LogisticRegression", max_iter=2000),
    "forest": _sklearn("ensemble", "RandomForestClassifier"),
    "boosting": _sklearn("ensemble", "HistGradientBoostingClassifier"),
}


def default_classifier(schema: Schema) -> str:
    """Return the name of the classifier for a kind of data."""
    return "cnn" if schema.kind == "image" else "mlp"


def build_classifier(classifier: Any, schema: Schema, *, seed: int) -> Any:
    """Return a fresh estimator or module; weights depend on `seed` alone."""
    if classifier is None:
        classifier = default_classifier(schema)
    if isinstance(classifier, nn.Module):
        raise ConfigError(
            "classifier must be a function that builds a torch module, so that each run starts from "
            "its own weights; got a module. Pass e.g. lambda: make_model()."
        )
    if hasattr(classifier, "fit") and not isinstance(classifier, type):
        model = clone(classifier)
    else:
        shape, n_classes = schema.codec.shape, len(schema.labels)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(seed, "classifier"))
            if isinstance(classifier, str):
                model = _named(classifier, schema.kind)(shape, n_classes)
                if schema.kind == "table" and not isinstance(model, nn.Module):
                    model = table_pipeline(model)
            elif callable(classifier):
                model = classifier(*_arguments(classifier, shape, n_classes))
            else:
                raise ConfigError(
                    "classifier must be a name, a scikit-learn classifier, or a function that builds "
                    f"a torch module; got {type(classifier).__name__}."
                )
    if hasattr(model, "get_params"):  # the steps of a pipeline draw random numbers too
        names = [p for p in model.get_params() if p == "random_state" or p.endswith("__random_state")]
        model.set_params(**dict.fromkeys(names, derive(seed, "classifier")))
    return model


def _arguments(build: Callable[..., Any], *offered: Any) -> tuple[Any, ...]:
    """Return what a function of the caller's own is called with: nothing, or shape and classes."""
    for arguments in ((), offered):
        with suppress(TypeError):
            signature(build).bind(*arguments)
            return arguments
    raise ConfigError(
        "classifier must be a function without arguments, or of (shape, n_classes), that builds a torch "
        f"module; got one of {signature(build)}. Write e.g. lambda shape, n_classes: make_model(shape[0])."
    )


def _named(name: str, kind: str) -> Callable[[tuple[int, ...], int], Any]:
    if name not in CLASSIFIERS:
        known_name("classifier", name, [*CLASSIFIERS, *torchvision_names()])
    if kind == "table":
        known_name("classifier of a table", name, sorted({*CLASSIFIERS} - {"cnn"}))
    return CLASSIFIERS.get(name) or partial(torchvision_model, name)


def train_and_predict(
    model: Any, recipe: Recipe, X_test: Any, schema: Schema, *, steps: int, batch_size: int, seed: int
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any] | None]:
    """Train the classifier on the recipe; return class indices and class scores of the test samples.

    The scores (n_test, n_classes) are probabilities where there are any, None where there are no scores.
    """
    train(model, recipe, schema, steps=steps, batch_size=batch_size, seed=seed)
    return class_predictions(model, X_test, schema)


def class_predictions(
    model: Any, X_test: Any, schema: Schema
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any] | None]:
    """Return class indices and class scores of samples by a trained classifier."""
    if isinstance(model, nn.Module):
        logits = _module_logits(model, schema.encode_X(X_test))
        return logits.argmax(1).numpy(), logits.softmax(1).float().numpy()
    rows = _rows(X_test, schema)
    return schema.encode_y(model.predict(rows)).numpy(), _estimator_scores(model, rows, schema)


def train(model: Any, recipe: Recipe, schema: Schema, *, steps: int, batch_size: int, seed: int) -> None:
    """Train the classifier on the recipe, a torch module for a number of steps.

    A torch module sees encoded samples; an estimator sees the caller's own rows, and added ones decoded.
    """
    if isinstance(model, nn.Module):
        train_module(model, recipe, steps=steps, batch_size=batch_size, seed=seed)
        return
    X, c, shares = _estimator_rows(recipe, schema, seed=seed)
    fit_params = {}
    if (recipe.class_weights or shares is not None) and (name := weight_parameter(model)):
        shares = torch.ones(len(c)) if shares is None else shares
        weights = shares * balanced_weights(c, shares)[c] if recipe.class_weights else shares
        fit_params[name] = weights.numpy()
    labels = schema.labels if schema.labels.dtype != object else np.array(schema.labels.tolist())
    model.fit(X, labels[c.numpy()], **fit_params)


def class_probabilities(model: Any, samples: Any, schema: Schema) -> Tensor:
    """Return the probabilities of samples by a trained classifier, as a `Teacher` does."""
    if isinstance(model, nn.Module):
        return _module_logits(model, samples).softmax(1).float()
    rows = schema.codec.decode(samples) if isinstance(samples, Tensor) else samples
    return torch.from_numpy(_estimator_scores(model, _rows(rows, schema), schema))


def _estimator_rows(recipe: Recipe, schema: Schema, *, seed: int) -> tuple[Any, Tensor, Tensor | None]:
    """Return what an estimator is fitted on: rows, their classes, and their shares where these differ.

    Of an added sample there is a row for each class that a teacher deems possible.
    """
    X, c, n = _rows(recipe.X, schema), recipe.c, len(recipe.c)
    if recipe.swap is None and not recipe.n_used:
        return X, c, None
    if recipe.x_extra is not None and recipe.n_used:
        X = stack(X, _added_rows(recipe, recipe.x_extra, schema))
        c = torch.cat([c, recipe.extra_c[recipe.used]])
    rows = np.arange(len(c))
    if recipe.swap is not None:
        rows = mixed_rows(recipe, swap_mask(recipe.swap, seed=seed))
        there = np.concatenate([np.arange(n), n - 1 + recipe.used.numpy().cumsum()])
        X, c = take(X, there[rows]), c[there[rows]]
    if recipe.labels is None and recipe.weight == 1:
        return X, c, None
    shares, added = F.one_hot(c, recipe.n_classes).float(), np.flatnonzero(rows >= n)
    if recipe.labels is not None:
        shares[added] = recipe.labels(take(X, added), c[added])
    shares[added] *= recipe.weight
    where, classes = shares.nonzero(as_tuple=True)
    return take(X, where.numpy()), classes, shares[where, classes]


def _added_rows(recipe: Recipe, x_extra: Tensor, schema: Schema) -> Any:
    if recipe.X_extra is not None and recipe.transform is None:
        return _rows(take(recipe.X_extra, recipe.used.numpy().nonzero()[0]), schema)
    x = x_extra[recipe.used]
    return _rows(schema.codec.decode(x if recipe.transform is None else recipe.transform(x)), schema)


def scoring_method(model: Any) -> str | None:
    """Return the method by which a classifier tells class scores, or None."""
    if isinstance(model, nn.Module):
        return "forward"
    return next((m for m in ("predict_proba", "decision_function") if hasattr(model, m)), None)


def weight_parameter(model: Any) -> str | None:
    """Return the name under which an estimator's fit takes sample weights, or None."""
    if isinstance(model, Pipeline):
        if any(hasattr(step, "fit_resample") for _, step in model.steps):
            return None  # weights of rows that it removes or adds are not defined
        name, last = model.steps[-1]
        inner = weight_parameter(last)
        return None if inner is None else f"{name}__{inner}"
    return "sample_weight" if has_fit_parameter(model, "sample_weight") else None


@torch.no_grad()
def _module_logits(model: nn.Module, x: Tensor) -> Tensor:
    model.eval()
    return torch.cat([model(batch) for batch in x.split(512)])


def _estimator_scores(model: Any, rows: Any, schema: Schema) -> np.ndarray[Any, Any] | None:
    method = scoring_method(model)
    if method is None:
        return None
    found = np.asarray(getattr(model, method)(rows))
    if found.ndim == 1:
        found = np.stack([-found, found], axis=1)
    columns = schema.encode_y(model.classes_).numpy()  # a pipeline may have dropped a class
    if found.shape[1] != len(columns):
        return None  # one score for each pair of classes
    least = 0 if method == "predict_proba" else found.min()
    y_score = np.full((len(found), len(schema.labels)), least, dtype=np.float32)
    y_score[:, columns] = found
    return y_score


def _rows(X: Any, schema: Schema) -> Any:
    """Return samples as an estimator takes them, images flattened."""
    return X.reshape(len(X), -1) if schema.kind == "image" else X
