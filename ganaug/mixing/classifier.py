"""AugmentedClassifier: a plain scikit-learn meta-estimator around a classifier and a sampler."""

from typing import Any

import numpy as np
from sklearn import get_config
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.utils import Tags, get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from ganaug._checks import number
from ganaug._random import Seed
from ganaug.config import GANConfig
from ganaug.data.schema import as_array, take
from ganaug.errors import ConfigError
from ganaug.mixing.oversampler import GANOverSampler
from ganaug.mixing.validation import class_labels, same_length
from ganaug.mixing.weights import added_weights, begins_with, real_weights

__all__ = ["AugmentedClassifier"]


def _delegate(name: str) -> Any:
    def has(self: Any) -> bool:
        return hasattr(getattr(self, "estimator_", self.estimator), name)

    return available_if(has)


class AugmentedClassifier(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):
    """Fit a classifier on its training data plus synthetic samples; predict as it does.

    For tools that know scikit-learn's estimators only, such as `GridSearchCV`: the samples are made
    inside `fit`, so that validation rows never reach the generator. With `memory` (here, or that of the
    sampler), a search over what the generator does not depend on trains one per fold.

    Parameters
    ----------
    estimator : classifier
        The user's own; cloned, never changed.
    sampler : object with fit_resample, SyntheticSwap or None, default=None
        Any sampler of imbalanced-learn, or a `SyntheticSwap`; None is a `GANOverSampler` with the
        parameters below.
    synthetic_weight : float, default=1.0
        Weight of a synthetic sample beside a real one of weight 1, passed as `sample_weight`; in a
        pipeline, to its last step.
    preset, config, train_images, device, random_state, memory
        Of the GANOverSampler that None stands for.

    Attributes
    ----------
    estimator_, sampler_
        The fitted ones.
    classes_ : ndarray
        Labels.
    n_synthetic_ : int
        Samples added.

    Raises
    ------
    ConfigError
        If `synthetic_weight` is below 0, or the estimator takes no `sample_weight` where it matters.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> X = np.random.default_rng(0).normal(size=(30, 2)); y = np.repeat([0, 1], [24, 6])
    >>> model = AugmentedClassifier(LogisticRegression(), train_images=256, random_state=0)
    >>> model.fit(X, y).n_synthetic_
    18
    """

    def __init__(
        self,
        estimator: Any,
        sampler: Any = None,
        *,
        synthetic_weight: float = 1.0,
        preset: str = "default",
        config: GANConfig | None = None,
        train_images: int | None = None,
        device: str = "auto",
        random_state: Seed = None,
        memory: Any = None,
    ):
        self.estimator = estimator
        self.sampler = sampler
        self.synthetic_weight = synthetic_weight
        self.preset = preset
        self.config = config
        self.train_images = train_images
        self.device = device
        self.random_state = random_state
        self.memory = memory

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "AugmentedClassifier":
        """Make synthetic samples from X (n, n_features) and y (n,), and fit the classifier on all.

        Parameters
        ----------
        X : array, tensor or DataFrame
            Rows or images.
        y : array, tensor or Series of shape (n,)
            Labels.
        sample_weight : array of shape (n,) or None
            Weights of the real rows. One of weight 0 is as good as not there: no generator sees it. An added
            row weighs as the real ones of its class do on average, and a replacing one as the row whose place
            it takes, both times `synthetic_weight`. The generator knows no weights.

        Returns
        -------
        AugmentedClassifier
            Itself.
        """
        number("synthetic_weight", self.synthetic_weight, low=0)
        X, y = X if hasattr(X, "shape") else as_array(X), class_labels(y)
        same_length(X, y)
        weight = None if sample_weight is None else real_weights(sample_weight, len(y))
        if weight is not None and not weight.all():
            rows = np.flatnonzero(weight)
            X, y, weight = take(X, rows), y[rows], weight[rows]
        self.sampler_ = self._new_sampler()
        X_all, y_all, synthetic = _augmented(self.sampler_, X, y)
        self.n_synthetic_ = int(synthetic.sum())
        self.estimator_ = clone(self.estimator)
        if weight is None and self.synthetic_weight == 1:
            self.estimator_.fit(X_all, y_all)
        else:
            weight = np.ones(len(y)) if weight is None else weight
            if hasattr(self.sampler_, "fit_resample"):
                if not begins_with(X_all, X):
                    what = "a sampler that removes or reorders rows, such as"
                    raise self._weightless(f"{what} {type(self.sampler_).__name__}")
                weight = np.concatenate([weight, added_weights(weight, y, y_all[len(y) :])])
            self._fit_weighted(X_all, y_all, np.where(synthetic, self.synthetic_weight * weight, weight))
        self.classes_ = self.estimator_.classes_
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(self.estimator_, name):
                setattr(self, name, getattr(self.estimator_, name))
        return self

    def _fit_weighted(self, X: Any, y: Any, weight: np.ndarray[Any, Any]) -> None:
        try:
            self.estimator_.fit(X, y, **{_weight_name(self.estimator_): weight})
        except (TypeError, ValueError) as error:
            if "sample_weight" not in str(error) or isinstance(error, UnsetMetadataPassedError):
                raise
            what = f"{type(self.estimator).__name__}, whose fit takes no sample_weight"
            raise self._weightless(what) from error

    def _weightless(self, what: str) -> ConfigError:
        return ConfigError(
            f"synthetic_weight must be 1, and sample_weight None, for {what}; got synthetic_weight="
            f"{self.synthetic_weight}. Lower the number of samples instead."
        )

    def _new_sampler(self) -> Any:
        if self.sampler is not None:
            return clone(self.sampler)
        return GANOverSampler(
            preset=self.preset,
            config=self.config,
            train_images=self.train_images,
            device=self.device,
            random_state=self.random_state,
            memory=self.memory,
        )

    def predict(self, X: Any) -> Any:
        """Return the classifier's labels for X (n, n_features)."""
        check_is_fitted(self, "estimator_")
        return self.estimator_.predict(X)

    @_delegate("predict_proba")
    def predict_proba(self, X: Any) -> Any:
        """Return the classifier's class probabilities (n, n_classes)."""
        check_is_fitted(self, "estimator_")
        return self.estimator_.predict_proba(X)

    @_delegate("predict_log_proba")
    def predict_log_proba(self, X: Any) -> Any:
        """Return the logarithms of the classifier's class probabilities (n, n_classes)."""
        check_is_fitted(self, "estimator_")
        return self.estimator_.predict_log_proba(X)

    @_delegate("decision_function")
    def decision_function(self, X: Any) -> Any:
        """Return the classifier's decision values."""
        check_is_fitted(self, "estimator_")
        return self.estimator_.decision_function(X)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        parts = [
            get_tags(part).input_tags
            for part in (self.estimator, self._new_sampler())
            if hasattr(part, "__sklearn_tags__")
        ]
        for name in ("sparse", "allow_nan", "string", "three_d_array"):
            setattr(tags.input_tags, name, all(getattr(part, name) for part in parts))
        return tags


def _weight_name(estimator: Any) -> str:
    """Return the name of the argument of fit that takes weights."""
    steps = getattr(estimator, "steps", None)
    routed = get_config()["enable_metadata_routing"]  # then the pipeline knows where to
    return f"{steps[-1][0]}__sample_weight" if steps and not routed else "sample_weight"


def _augmented(sampler: Any, X: Any, y: Any) -> tuple[Any, Any, np.ndarray[Any, Any]]:
    """Return X and y with the sampler's rows, and which of them are synthetic."""
    if hasattr(sampler, "fit_resample"):
        X_all, y_all = sampler.fit_resample(X, y)
        return X_all, y_all, np.arange(len(y_all)) >= len(y)  # over-samplers return the real rows first
    X_all = sampler.fit_transform(X, y)
    if not hasattr(sampler, "swapped_"):
        raise ConfigError(
            "sampler must have fit_resample, or swap rows and say which (swapped_), as SyntheticSwap does; "
            f"{type(sampler).__name__} changes the rows of fit alone, and predict would get others. Put it "
            "before the classifier, in a pipeline that is the estimator."
        )
    return X_all, y, sampler.swapped_
