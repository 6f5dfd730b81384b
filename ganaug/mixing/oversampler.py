"""GANOverSampler: imbalanced-learn's over-sampling contract, with a conditional GAN behind it."""

from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from imblearn.over_sampling.base import BaseOverSampler
from sklearn.utils import Tags

from ganaug._random import Seed
from ganaug.config import GANConfig
from ganaug.data.schema import as_array, label_array, stack
from ganaug.mixing.fit_memory import fitted_gan
from ganaug.mixing.validation import class_labels, validated

__all__ = ["GANOverSampler"]


class GANOverSampler(BaseOverSampler):
    """Fill up classes with samples drawn from a conditional GAN.

    The GAN is trained on all rows given to `fit_resample`, with the class as condition, and drawn
    from only for classes short of rows. The rows that came in are returned first, unchanged.

    Parameters
    ----------
    sampling_strategy : str, float, dict or callable, default="auto"
        As in imbalanced-learn: ``"auto"`` lifts every class to the size of the largest; a dict maps
        a class to the total wanted.
    preset : {"quick", "default", "best"}, default="default"
        Training budget of the GAN.
    config : GANConfig or None, default=None
        All settings of the GAN; wins over `preset`.
    train_images : int or None, default=None
        Overrides the budget.
    device : str, default="auto"
        A torch device.
    random_state : int, RandomState or None, default=None
        Seed of training and drawing.
    memory : str, Path, joblib.Memory or None, default=None
        A folder that keeps fitted generators, so that the same data and settings are not trained on twice.
        `random_state` must be an int for that.

    Attributes
    ----------
    sampling_strategy_ : dict of {class: int}
        Number of new samples per class.
    gan_ : ConditionalGAN
        The fitted generator.
    n_features_in_ : int
        Number of columns (of channels or rows, for images).

    Raises
    ------
    DataError
        If X or y cannot be learned from; see `ConditionalGAN.fit`.

    Notes
    -----
    Put it inside an imbalanced-learn pipeline, so that validation rows never reach the GAN. Images
    may be given as arrays of 3 or 4 axes. Tensors come back as arrays. Columns of a DataFrame may hold
    numbers, booleans, text, categories, dates, durations and missing cells; their dtypes stay.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(30, 2)); y = np.repeat([0, 1], [24, 6])
    >>> X_res, y_res = GANOverSampler(train_images=256, random_state=0).fit_resample(X, y)
    >>> np.bincount(y_res)
    array([24, 24])
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseOverSampler._parameter_constraints,
        "preset": [str],
        "config": [GANConfig, None],
        "train_images": [Integral, None],
        "device": [str],
        "random_state": ["random_state"],
        "memory": "no_validation",
    }

    def __init__(
        self,
        *,
        sampling_strategy: Any = "auto",
        preset: str = "default",
        config: GANConfig | None = None,
        train_images: int | None = None,
        device: str = "auto",
        random_state: Seed = None,
        memory: Any = None,
    ):
        super().__init__(sampling_strategy=sampling_strategy)
        self.preset = preset
        self.config = config
        self.train_images = train_images
        self.device = device
        self.random_state = random_state
        self.memory = memory

    def fit_resample(self, X: Any, y: Any, **params: Any) -> tuple[Any, Any]:
        """Return X (n, n_features) and y (n,) with the new rows below, in the containers they came in."""
        if y is None or as_array(y).ndim != 2:  # one-hot labels
            class_labels(y)
        resampled: tuple[Any, Any] = super().fit_resample(X, y, **params)
        return resampled

    def _check_X_y(self, X: Any, y: Any, accept_sparse: Any = None) -> tuple[Any, Any, bool]:
        from imblearn.utils import check_target_type

        y, binarize_y = check_target_type(label_array(y), indicate_one_vs_all=True)
        X, y = validated(self, X, y)
        return X if hasattr(X, "iloc") else np.asarray(X), y, binarize_y

    def _fit_resample(self, X: Any, y: Any, **params: Any) -> tuple[Any, Any]:
        wanted = {k: int(n) for k, n in self.sampling_strategy_.items() if n}
        if not wanted:
            self.__dict__.pop("gan_", None)  # that of an earlier fit
            return (X.reset_index(drop=True) if hasattr(X, "iloc") else X.copy()), y.copy()
        self.gan_ = fitted_gan(self, X, y, random_state=self.random_state)
        X_new, y_new = self.gan_.generate(wanted)
        return stack(X, X_new), np.concatenate([y, y_new]).astype(y.dtype)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = False
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = tags.input_tags.string = True
        return tags
