"""SyntheticSwap: a row-preserving transformer for plain scikit-learn pipelines."""

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from ganaug._checks import number
from ganaug._random import Seed, as_seed, numpy_stream
from ganaug.config import GANConfig
from ganaug.generator import ConditionalGAN
from ganaug.mixing.fit_memory import fitted_gan
from ganaug.mixing.validation import validated

__all__ = ["SyntheticSwap", "swap_rows"]


class SyntheticSwap(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Replace a share of the training rows by synthetic rows of the same class.

    While a pipeline is fitted, `fit_transform` returns the rows with a share `p` replaced; when it
    predicts, `transform` is the identity. The number and order of labels never change, nor do the dtypes
    of a DataFrame, whose columns may hold text, categories, dates and missing cells too.

    Parameters
    ----------
    p : float, default=0.3
        Probability that a row is replaced, in [0, 1].
    preset : {"quick", "default", "best"}, default="default"
        Training budget of the GAN.
    config : GANConfig or None, default=None
        All settings of the GAN; wins over `preset`.
    train_images : int or None, default=None
        Overrides the budget.
    device : str, default="auto"
        A torch device.
    random_state : int, RandomState or None, default=None
        Seed of training, drawing and choosing rows.
    memory : str, Path, joblib.Memory or None, default=None
        A folder that keeps fitted generators, so that the same data and settings are not trained on twice.
        `random_state` must be an int for that.

    Attributes
    ----------
    gan_ : ConditionalGAN
        The fitted generator.
    swapped_ : ndarray of bool, shape (n,)
        Which training rows were replaced (after `fit_transform`).

    Raises
    ------
    ConfigError
        If `p` is not in [0, 1].
    DataError
        If y is missing, or X or y cannot be learned from.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(30, 2)); y = np.repeat([0, 1], 15)
    >>> swap = SyntheticSwap(p=0.5, train_images=256, random_state=0)
    >>> X_mixed = swap.fit_transform(X, y)
    >>> bool(((X_mixed == X).all(axis=1) == ~swap.swapped_).all())
    True
    >>> bool((swap.transform(X) == X).all())
    True
    """

    def __init__(
        self,
        *,
        p: float = 0.3,
        preset: str = "default",
        config: GANConfig | None = None,
        train_images: int | None = None,
        device: str = "auto",
        random_state: Seed = None,
        memory: Any = None,
    ):
        self.p = p
        self.preset = preset
        self.config = config
        self.train_images = train_images
        self.device = device
        self.random_state = random_state
        self.memory = memory

    def fit(self, X: Any, y: Any = None) -> "SyntheticSwap":
        """Train the generator on X (n, n_features) and labels y (n,)."""
        self._fit(X, y)
        return self

    def _fit(self, X: Any, y: Any) -> tuple[Any, Any]:
        number("p", self.p, low=0, high=1)
        X, y = validated(self, X, y)
        self._seed = as_seed(self.random_state)
        self.gan_ = fitted_gan(self, X, y, random_state=self._seed)
        return X, y

    def fit_transform(self, X: Any, y: Any = None, **fit_params: Any) -> Any:
        """Train the generator and return X with about a share `p` of its rows replaced."""
        X, y = self._fit(X, y)
        rng = numpy_stream(self._seed, "swap")
        self.swapped_ = rng.random(len(X)) < self.p
        return swap_rows(X, y, self.swapped_, self.gan_)

    def transform(self, X: Any) -> Any:
        """Return X as it is."""
        check_is_fitted(self, "gan_")
        X = validated(self, X, reset=False)
        return X.copy(deep=False) if hasattr(X, "iloc") else X  # set_output may rename the columns

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = tags.input_tags.string = True
        return tags


def swap_rows(X: Any, y: Any, swapped: np.ndarray[Any, Any], gan: ConditionalGAN) -> Any:
    """Return a copy of X in which the marked rows are synthetic ones of the same class."""
    X_mixed = X.clone() if isinstance(X, Tensor) else X.copy() if hasattr(X, "copy") else np.array(X)
    y_array = np.asarray(y)
    labels, counts = np.unique(y_array[swapped], return_counts=True)
    if not len(labels):
        return X_mixed
    X_new, _ = gan.generate(dict(zip(labels.tolist(), counts.tolist(), strict=True)))
    rows = np.concatenate([np.flatnonzero(swapped & (y_array == k)) for k in labels])
    if hasattr(X_mixed, "iloc"):
        for j in range(X_mixed.shape[1]):  # by column: a common dtype of all would change them
            X_mixed.iloc[rows, j] = X_new.iloc[:, j].array
    else:
        X_mixed[rows] = X_new
    return X_mixed
