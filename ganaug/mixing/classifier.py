"""AugmentedClassifier: a plain scikit-learn meta-estimator around a classifier and a sampler."""

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.utils import Tags, get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from ganaug._checks import number
from ganaug._random import Seed
from ganaug.config import GANConfig
from ganaug.errors import ConfigError
from ganaug.mixing.oversampler import GANOverSampler
from ganaug.mixing.validation import class_labels

__all__ = ["AugmentedClassifier"]


def _delegate(name: str) -> Any:
    def has(self: Any) -> bool:
        return hasattr(getattr(self, "estimator_", self.estimator), name)

    return available_if(has)


class AugmentedClassifier(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):
    """Fit a classifier on its training data plus synthetic samples; predict as it does.

    For tools that know scikit-learn's estimators only, such as `GridSearchCV`: the samples are made
    inside `fit`, so that validation rows never reach the generator.

    Parameters
    ----------
    estimator : classifier
        The user's own; cloned, never changed.
    sampler : object with fit_resample or fit_transform, or None, default=None
        Any sampler of imbalanced-learn, or a `SyntheticSwap`; None is a `GANOverSampler` with the
        parameters below.
    synthetic_weight : float, default=1.0
        Weight of a synthetic sample beside a real one of weight 1, passed as `sample_weight`.
    preset, config, train_images, device, random_state
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
    ):
        self.estimator = estimator
        self.sampler = sampler
        self.synthetic_weight = synthetic_weight
        self.preset = preset
        self.config = config
        self.train_images = train_images
        self.device = device
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> "AugmentedClassifier":
        """Make synthetic samples from X (n, n_features) and y (n,), and fit the classifier on all."""
        number("synthetic_weight", self.synthetic_weight, low=0)
        y = class_labels(y)
        self.sampler_ = clone(self.sampler) if self.sampler is not None else self._own_sampler()
        if hasattr(self.sampler_, "fit_resample"):
            X_all, y_all = self.sampler_.fit_resample(X, y)
            synthetic = np.arange(len(y_all)) >= len(y)  # over-samplers return the real rows first
            if self.synthetic_weight != 1 and not np.array_equal(y_all[: len(y)], y):
                raise ConfigError(
                    "synthetic_weight must be 1 for a sampler that removes or reorders rows, such as "
                    f"{type(self.sampler_).__name__}; got {self.synthetic_weight}."
                )
        else:
            X_all, y_all = self.sampler_.fit_transform(X, y), y
            synthetic = getattr(self.sampler_, "swapped_", np.zeros(len(y), dtype=bool))
        self.n_synthetic_ = int(synthetic.sum())
        self.estimator_ = clone(self.estimator)
        weight = {}
        if self.synthetic_weight != 1:
            weight = {"sample_weight": np.where(synthetic, self.synthetic_weight, 1.0)}
        try:
            self.estimator_.fit(X_all, y_all, **weight)
        except (TypeError, ValueError) as error:
            if not weight or "sample_weight" not in str(error):
                raise
            raise ConfigError(
                f"synthetic_weight must be 1 for {type(self.estimator).__name__}, whose fit takes no "
                f"sample_weight; got {self.synthetic_weight}. Lower the number of samples instead."
            ) from error
        self.classes_ = self.estimator_.classes_
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(self.estimator_, name):
                setattr(self, name, getattr(self.estimator_, name))
        return self

    def _own_sampler(self) -> GANOverSampler:
        return GANOverSampler(
            preset=self.preset,
            config=self.config,
            train_images=self.train_images,
            device=self.device,
            random_state=self.random_state,
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

    @_delegate("decision_function")
    def decision_function(self, X: Any) -> Any:
        """Return the classifier's decision values."""
        check_is_fitted(self, "estimator_")
        return self.estimator_.decision_function(X)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = False
        parts = [
            get_tags(part).input_tags
            for part in (self.estimator, self.sampler)
            if hasattr(part, "__sklearn_tags__")
        ]
        tags.input_tags.allow_nan = all(part.allow_nan for part in parts)
        tags.input_tags.string = all(part.string for part in parts)
        return tags
