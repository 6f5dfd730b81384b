"""What can be found wrong with a comparison before anything is trained or recorded."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from sklearn.base import is_regressor
from sklearn.pipeline import Pipeline
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from ganaug._checks import finite, known_name, listed
from ganaug.data.images import ImageCodec
from ganaug.data.schema import Schema, take
from ganaug.data.sources import dataset_arrays, is_dataset
from ganaug.errors import ConfigError, DataError, GanaugWarning
from ganaug.experiment.arms import ARMS, DEFAULT_ARMS, UNLABELLED_ARMS, Arm
from ganaug.experiment.classifiers import build_classifier, scoring_method, weight_parameter
from ganaug.experiment.equals import digests
from ganaug.experiment.metrics import RANKINGS
from ganaug.experiment.preprocessing import has_categories
from ganaug.experiment.recalls import LEAST_SAMPLES
from ganaug.experiment.samples import TAUGHT
from ganaug.experiment.splits import Splits
from ganaug.experiment.twins import twin_of
from ganaug.mixing.complement import feature_layer
from ganaug.mixing.fill import Fill, fill_counts

SMALL_SIDE = 32


def resolve_arms(
    arms: Sequence[str] | Mapping[str, Arm] | None,
    primary: str | None,
    *,
    kind: str,
    unlabelled: bool = False,
) -> tuple[dict[str, Arm], str]:
    """Return the arms by name, by default those of a kind of data, and the treatment of the verdict.

    Each treatment needs a twin among the controls.
    """
    if isinstance(arms, str) or (arms is not None and not arms):
        raise ConfigError(
            f"arms must be a list of names, at least one control and a treatment; got {arms!r}."
        )
    if isinstance(arms, Mapping):
        chosen = dict(arms)
        if not all(isinstance(name, str) and name for name in chosen):
            raise ConfigError(f"arms must have names, as text; got {list(chosen)}.")
    else:
        default = DEFAULT_ARMS[kind] + (UNLABELLED_ARMS[kind] if unlabelled else ())
        if arms is not None and len(set(arms)) < len(arms):
            raise ConfigError(f"arms must be named once each; got {list(arms)}.")
        chosen = {known_name("arms", name, ARMS): ARMS[name] for name in (arms or default)}
    for name, arm in chosen.items():
        if not isinstance(arm, Arm):
            raise ConfigError(f"arm {name!r} must be an Arm; got {type(arm).__name__}.")
        known_name(f"role of arm {name!r}", arm.role, ["control", "treatment", "oracle"])
    treatments = treatments_of(chosen)
    if not treatments or all(arm.role != "control" for arm in chosen.values()):
        raise ConfigError(f"arms must hold at least one control and one treatment; got {list(chosen)}.")
    for name in treatments:
        twin_of(name, chosen)
    return chosen, known_name("primary", primary or treatments[-1], treatments)


def treatments_of(arms: Mapping[str, Arm]) -> list[str]:
    """Return the names of the treatments."""
    return [name for name, arm in arms.items() if arm.role == "treatment"]


def fitting_arms(
    chosen: dict[str, Arm],
    model: Any,
    schema: Schema,
    X: Any,
    *,
    metric: str,
    named: bool,
    unlabelled: bool = False,
) -> dict[str, Arm]:
    """Return the arms that apply to the data, classifier and metric.

    The others are left out, unless they were named: then they raise ConfigError.
    """
    data = schema.kind
    if data == "table" and not has_categories(X):
        data = "numeric table"
    if data == "image" and max(schema.codec.shape[1:]) <= SMALL_SIDE:
        data = "small image"
    x = schema.encode_X(take(X, np.arange(2)))
    asked = any(a.complement for arm in chosen.values() for a in (arm, *arm.among))
    plays = asked and feature_layer(model, x) is not None
    reasons = {
        name: "unlabelled samples; set `unlabelled`"
        if arm.asks_unlabelled and not unlabelled
        else _unfit(arm, data, model, metric, schema, plays)
        for name, arm in chosen.items()
    }
    refused = [f"{name!r} needs {reason}" for name, reason in reasons.items() if reason]
    if named and refused:
        raise ConfigError(f"arm {'; '.join(refused)}. Leave it out of `arms`.")
    return {name: arm for name, arm in chosen.items() if not reasons[name]}


def _unfit(arm: Arm, data: str, model: Any, metric: str, schema: Schema, plays: bool) -> str:
    """Return what an arm needs and does not get, or nothing; a generator `plays` against the model or not."""
    if arm.among:
        return next(filter(None, (_unfit(a, data, model, metric, schema, plays) for a in arm.among)), "")
    if isinstance(arm.dose, tuple) and len(arm.dose) != len(schema.labels):
        return f"a dose for each of the {len(schema.labels)} classes; got {len(arm.dose)}"
    needed = "image" if arm.classic or arm.mix == "cutmix" else arm.data
    if needed not in ("any", data, data.split()[-1]):
        return f"data of kind {needed!r}; got {data.removeprefix('small ')!r}" + (
            " with categories" if data == "table" else ""
        )
    stepwise = isinstance(model, nn.Module)
    if (arm.mix or arm.phases != "mixed") and not stepwise:
        return f"a torch classifier, which is trained batch by batch; {type(model).__name__} is none"
    if arm.complement is not None and not stepwise:
        return f"a torch classifier, against which the generator plays; {type(model).__name__} is none"
    if arm.complement is not None and not plays:
        return f"a classifier that returns the logits of a Linear layer; {type(model).__name__} does not"
    weighted = arm.class_weights or arm.labels != "hard" or arm.weight != 1
    taught = arm.labels == "teacher" or arm.extra in TAUGHT
    if weighted and not stepwise and weight_parameter(model) is None:
        return f"a classifier whose fit takes sample_weight; {type(model).__name__} takes none"
    asks_chances = taught or arm.tune_threshold or arm.gate == "agreement"
    if asks_chances and scoring_method(model) not in ("forward", "predict_proba"):
        return f"a classifier with predict_proba; {type(model).__name__} has none"
    if arm.tune_threshold and metric in RANKINGS:
        return f"a metric of decisions; {metric} ranks scores, which no threshold changes"
    return ""


def check_classifier(
    classifier: Any, schema: Schema, parts: Iterable[Schema], *, metric: str, seed: int
) -> Any:
    """Return the classifier as it is before its fit; a wrong one raises ConfigError.

    A torch module must take samples as each of the training parts encodes them.
    """
    model = build_classifier(classifier, schema, seed=seed)
    if isinstance(model, nn.Module):
        if any(is_lazy(value) for value in (*model.parameters(), *model.buffers())):
            raise ConfigError(
                "classifier must build a torch module whose weights have their shapes from the start; got "
                f"lazy ones in {type(model).__name__}. Write lambda shape, n_classes: ... and take the "
                "number of inputs from shape, that of one encoded sample."
            )
        if _trained_memory(model) & _trained_memory(build_classifier(classifier, schema, seed=seed)):
            raise ConfigError(
                "classifier must build a new torch module each time it is called; two of its modules share "
                "weights, which would carry what is learned in one arm into the next. Freeze shared parts "
                "(requires_grad=False)."
            )
        for shape, part in {part.codec.shape: part for part in parts}.items():
            same = shape == schema.codec.shape
            _check_logits(model if same else build_classifier(classifier, part, seed=seed), part)
    elif is_regressor(model):
        raise ConfigError(f"classifier must be a classifier; got {type(model).__name__}.")
    elif metric in RANKINGS and scoring_method(model) is None:
        raise ConfigError(
            f"metric {metric!r} needs a classifier with predict_proba or decision_function; "
            f"{type(model).__name__} has neither. Choose another metric, e.g. 'balanced_accuracy'."
        )
    elif metric in RANKINGS and len(schema.labels) > 2 and _scores_pairs(model):
        raise ConfigError(
            f"metric {metric!r} needs a score for each class; {type(model).__name__} scores each pair. "
            "Set decision_function_shape='ovr', or choose another metric."
        )
    return model


def _check_logits(model: nn.Module, schema: Schema) -> None:
    """Raise ConfigError unless a module takes encoded samples and returns a logit per class."""
    try:
        with torch.no_grad():
            logits = model.eval()(torch.zeros(2, *schema.codec.shape))
    except RuntimeError as error:
        mend = (
            " The numbers per encoded row differ from one training part to the next, on which the encoding "
            "is fitted: write lambda shape, n_classes: ... and take the number of inputs from shape[0]."
        )
        raise ConfigError(
            f"classifier must take samples (n, {', '.join(map(str, schema.codec.shape))}); it fails on them: "
            f"{error}.{mend if schema.kind == 'table' else ''}"
        ) from error
    if tuple(logits.shape) != (2, len(schema.labels)):
        raise ConfigError(
            f"classifier must return logits (n, {len(schema.labels)}), one per class; got "
            f"{tuple(logits.shape)} for 2 samples."
        )


def _scores_pairs(model: Any) -> bool:
    last = model.steps[-1][1] if isinstance(model, Pipeline) else model
    return (
        scoring_method(last) == "decision_function" and getattr(last, "decision_function_shape", "") == "ovo"
    )


def _trained_memory(module: nn.Module) -> set[int]:
    return {p.data_ptr() for p in module.parameters() if p.requires_grad}


def given_test_set(test: Any, schema: Schema) -> tuple[Any, np.ndarray[Any, Any]]:
    """Return the rows and labels of a given test set after checking both against the schema."""
    if is_dataset(test):
        X, y, _ = dataset_arrays(test)
    elif isinstance(test, (tuple, list)) and len(test) == 2:
        X, y = test
    else:
        raise DataError(f"test must be (X_test, y_test) or a data set; got {type(test).__name__}.")
    X, y = as_rows(X), np.asarray(y)
    if not len(y) or len(X) != len(y):
        raise DataError(f"test must have one label for each of its {len(X)} samples; got {len(y)}.")
    check_like("test", X, schema, y)
    return X, y


def check_like(name: str, X: Any, schema: Schema, y: Any = None) -> None:
    """Raise DataError unless samples, and labels where there are some, are like those of the schema."""
    try:
        x = schema.encode_X(X)
        if y is not None:
            schema.encode_y(y)
    except DataError as error:
        raise DataError(f"{name}: {error}") from error
    except (TypeError, ValueError, IndexError) as error:
        raise DataError(f"{name} must have samples like those of X; it cannot be read: {error}.") from error
    finite(name, x.numpy())
    if isinstance(schema.codec, ImageCodec):
        _same_range(name, X, x, schema.codec)


def _same_range(name: str, X: Any, x: Tensor, codec: ImageCodec) -> None:
    """Raise DataError where images are in other units than the training images."""
    kinds = [np.dtype(d).kind == "f" for d in (X.dtype, codec.dtype)]
    if kinds[0] != kinds[1] or x.abs().max() > 3:
        raise DataError(
            f"{name} images must be like the training images, {codec.dtype} from {codec.low:g} to "
            f"{codec.high:g}; got {X.dtype} from {X.min():g} to {X.max():g}. Convert them the same way."
        )


def check_test_sizes(c: np.ndarray[Any, Any], names: Sequence[str], metric: str) -> None:
    """Raise DataError where classes of a given test set are too small for a metric that is made of classes.

    What is absent is told in a warning. Accuracy and macro F1 stand a class of few samples (simulated).
    """
    counts = np.bincount(c, minlength=len(names))
    by_class = ("balanced_accuracy", "average_precision")
    needed = [1] if metric == "average_precision" and len(names) == 2 else np.flatnonzero(counts).tolist()
    few = [names[k] for k in needed if counts[k] < LEAST_SAMPLES]
    if metric in by_class and few:
        raise DataError(
            f"test must have at least {LEAST_SAMPLES} samples of a class for metric {metric!r}, or one of "
            f"them decides the verdict; {listed(few)} has fewer. Add samples, leave the class out, or take "
            "metric='accuracy'."
        )
    absent = [names[k] for k in np.flatnonzero(counts == 0).tolist()]
    if absent:
        warnings.warn(
            f"test has no sample of {listed(absent)}: the verdict is about the other classes.",
            GanaugWarning,
            stacklevel=4,
        )


def given_groups(groups: Any, n: int) -> np.ndarray[Any, Any]:
    """Return the groups as an array after checking them."""
    import pandas as pd

    groups = np.asarray(groups)
    if groups.shape != (n,):
        raise DataError(f"groups must have one entry for each of the {n} samples; got shape {groups.shape}.")
    if pd.isna(groups).any():
        raise DataError("groups must be known for every sample; some are missing. Give these a group each.")
    return np.unique(groups.astype(str), return_inverse=True)[1]


def shared_samples(schema: Schema, X: Any, splits: Splits, given_test: Any) -> int:
    """Return how many test samples of a seed are equal to one of its training samples, at the most."""
    own = digests(schema, X)
    given = digests(schema, given_test[0]) if splits.test is None else np.empty(0)
    tests = [given] * len(splits.train) if splits.test is None else [own[rows] for rows in splits.test]
    return max(int(np.isin(test, own[rows]).sum()) for test, rows in zip(tests, splits.train, strict=True))


def check_parts(y: np.ndarray[Any, Any], splits: Splits) -> None:
    """Raise DataError where a class has fewer than 2 samples in the training part of a seed."""
    labels = np.unique(y)
    for seed, rows in enumerate(splits.train):
        few = [k for k in labels if np.count_nonzero(y[rows] == k) < 2]
        if few:
            raise DataError(
                f"each class must have at least 2 training samples in every seed; {listed(few)} has fewer "
                f"in seed {seed}. Add samples, drop or merge the class, or lower test_size."
            )


def check_fill(y: np.ndarray[Any, Any], splits: Splits, fill: Fill) -> None:
    """Raise ConfigError where a seed cannot be filled so, or none of them has anything to add."""
    adds = False
    for seed, rows in enumerate(splits.train):
        try:
            adds |= bool(fill_counts(y[rows], fill))
        except ConfigError as error:
            raise ConfigError(f"{error} (training part of seed {seed})") from error
    if not adds:
        raise ConfigError(
            f"fill must add samples, else there is nothing to compare; got {fill!r} for classes that are "
            "balanced already. A number lifts all of them, e.g. fill=2."
        )


def check_reserve(splits: Splits, oracles: Sequence[str]) -> None:
    """Raise ConfigError where arms are to add real samples, and a seed has none to spare."""
    if oracles and (splits.reserve is None or not all(len(rows) for rows in splits.reserve)):
        raise ConfigError(
            f"arms {listed(oracles)} add real samples that are in neither part, and there are none; set "
            "train_size, or labelled_per_class with a given test set."
        )


def as_rows(X: Any) -> Any:
    """Return a DataFrame as it is, anything else as an array."""
    return X if hasattr(X, "iloc") else np.asarray(X)
