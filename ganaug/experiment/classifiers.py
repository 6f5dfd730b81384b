"""The classifier under test: a scikit-learn estimator, or a torch module in one fixed loop."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import has_fit_parameter
from torch import Tensor, nn

from ganaug._checks import known_name
from ganaug._random import derive, numpy_stream
from ganaug.data.schema import Schema, stack, take
from ganaug.errors import ConfigError
from ganaug.experiment.classic import BatchTransform
from ganaug.experiment.preprocessing import table_pipeline

__all__ = ["CLASSIFIERS", "Recipe", "train_and_predict"]

LEARNING_RATE = 2e-3


@dataclass(frozen=True)
class Recipe:
    """What an arm feeds the classifier."""

    X: Any  # (n, ...) real samples as the caller has them
    x: Tensor  # (n, *shape) the same, encoded
    c: Tensor
    x_extra: Tensor | None  # (n_extra, *shape), or None for an arm that adds nothing
    extra_c: Tensor  # (n_extra,), also where nothing is added: it paces the order of real samples
    class_weights: bool
    transform: BatchTransform | None
    used: Tensor  # (n_extra,) bool, which of the added samples are trained on
    X_extra: Any = None  # (n_extra, ...) added samples as the caller has them, where the arm made such

    @property
    def n_used(self) -> int:
        """How many added samples are trained on."""
        return int(self.used.sum())


def cnn(shape: tuple[int, ...], n_classes: int) -> nn.Module:
    """Return a small convolutional network for images (channels, height, width)."""

    def block(n_in: int, n_out: int) -> list[nn.Module]:
        return [nn.Conv2d(n_in, n_out, 3, padding=1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU()]

    return nn.Sequential(
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
                table = CLASSIFIERS[known_name("classifier", classifier, CLASSIFIERS)]
                if table is cnn and schema.kind == "table":
                    known_name("classifier of a table", classifier, sorted({*CLASSIFIERS} - {"cnn"}))
                model = table(shape, n_classes)
                if schema.kind == "table" and not isinstance(model, nn.Module):
                    model = table_pipeline(model)
            elif callable(classifier):
                model = classifier()
            else:
                raise ConfigError(
                    "classifier must be a name, a scikit-learn classifier, or a function that builds "
                    f"a torch module; got {type(classifier).__name__}."
                )
    if hasattr(model, "get_params"):  # the steps of a pipeline draw random numbers too
        names = [p for p in model.get_params() if p == "random_state" or p.endswith("__random_state")]
        model.set_params(**dict.fromkeys(names, derive(seed, "classifier")))
    return model


def order(n_real: int, used: Tensor, *, seed: int) -> Iterator[int]:
    """Yield indices without end: below `n_real` a real sample, from there on an added one.

    Each epoch is one shuffle of all indices; added samples that are not used (n_extra,) are skipped, so
    that every arm of a seed sees the real samples in the same order.
    """
    seen = np.concatenate([np.ones(n_real, dtype=bool), used.numpy()])
    epoch = 0
    while True:
        shuffled = numpy_stream(seed, "order", epoch).permutation(len(seen))
        yield from shuffled[seen[shuffled]].tolist()
        epoch += 1


def train_and_predict(
    model: Any, recipe: Recipe, X_test: Any, schema: Schema, *, steps: int, batch_size: int, seed: int
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any] | None]:
    """Train the classifier on the recipe; return class indices and class scores of the test samples.

    A torch module sees encoded samples; an estimator sees the caller's own rows, and added ones decoded.
    The scores (n_test, n_classes) are probabilities where there are any, None where there are no scores.
    """
    if isinstance(model, nn.Module):
        _train_module(model, recipe, steps=steps, batch_size=batch_size, seed=seed)
        logits = _module_logits(model, schema.encode_X(X_test))
        return logits.argmax(1).numpy(), logits.softmax(1).float().numpy()
    X, c = _rows(recipe.X, schema), recipe.c
    if recipe.x_extra is not None and recipe.n_used:
        if recipe.X_extra is None or recipe.transform is not None:
            x_extra = recipe.x_extra[recipe.used]
            x_extra = x_extra if recipe.transform is None else recipe.transform(x_extra)
            X_extra = schema.codec.decode(x_extra)
        else:
            X_extra = take(recipe.X_extra, recipe.used.numpy().nonzero()[0])
        X = stack(X, _rows(X_extra, schema))
        c = torch.cat([c, recipe.extra_c[recipe.used]])
    fit_params = {}
    if recipe.class_weights and (name := weight_parameter(model)):
        fit_params[name] = _balanced_weights(c)[c].numpy()
    labels = schema.labels if schema.labels.dtype != object else np.array(schema.labels.tolist())
    model.fit(X, labels[c.numpy()], **fit_params)
    rows = _rows(X_test, schema)
    return schema.encode_y(model.predict(rows)).numpy(), _estimator_scores(model, rows, schema)


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


def _train_module(model: nn.Module, recipe: Recipe, *, steps: int, batch_size: int, seed: int) -> None:
    x = recipe.x if recipe.x_extra is None else torch.cat([recipe.x, recipe.x_extra])
    c = torch.cat([recipe.c, recipe.extra_c])
    indices = order(len(recipe.c), recipe.used, seed=seed)
    weights = _balanced_weights(recipe.c) if recipe.class_weights else None
    optimiser = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=steps)
    model.train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "dropout"))
        for _ in range(steps):
            rows = torch.tensor([next(indices) for _ in range(batch_size)])
            batch = x[rows] if recipe.transform is None else recipe.transform(x[rows])
            loss = F.cross_entropy(model(batch), c[rows], weight=weights)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()


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


def _balanced_weights(c: Tensor) -> Tensor:
    counts = torch.bincount(c).float()
    return len(c) / (len(counts) * counts.clamp(min=1))


def _rows(X: Any, schema: Schema) -> Any:
    """Return samples as an estimator takes them, images flattened."""
    return X.reshape(len(X), -1) if schema.kind == "image" else X
