"""Rows of mixed columns as scikit-learn's own estimators take them."""

from collections import Counter
from collections.abc import Hashable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from ganaug.data.storage import Read, read
from ganaug.errors import DataError
from ganaug.mixing.validation import validated

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TableFrame", "table_pipeline"]

MAX_CATEGORIES = 100  # of a column; HistGradientBoosting takes 255


class TableFrame(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """A table as float columns and, for text, categories and booleans, columns of category codes.

    Dates and durations become seconds. A missing cell is NaN, or a missing category. Codes count the
    categories from the most frequent one; those beyond `max_categories`, and those that `fit` never saw,
    share the code after them. A column that is missing throughout in `fit` becomes 0. Columns and index keep
    their names; columns that have none of their own are called x0, x1 and so on.

    Parameters
    ----------
    max_categories : int, default=100
        Categories of a column to tell apart.

    Examples
    --------
    >>> import pandas as pd
    >>> X = pd.DataFrame({"age": [31, None, 27], "city": ["Ulm", "Bonn", "Ulm"]})
    >>> frame = TableFrame().fit(X).transform(X)
    >>> frame.to_numpy().tolist()
    [[31.0, 0.0], [nan, 1.0], [27.0, 0.0]]
    """

    def __init__(self, max_categories: int = MAX_CATEGORIES):
        self.max_categories = max_categories

    def fit(self, X: Any, y: Any = None) -> "TableFrame":
        """Learn the categories, and which columns are empty."""
        X = self._checked(X, reset=True)
        self.categories_: dict[int, list[Any]] = {}
        self.empty_: set[int] = set()
        for j, (name, column) in enumerate(columns_of(X)):
            found = read(name, column)
            if found.missing.all():
                self.empty_.add(j)
            elif found.kind == "category":
                counts = Counter(found.values[~found.missing].tolist())
                common = counts.most_common(self.max_categories)
                self.categories_[j] = [found.categories[place] for place, _ in common]
        return self

    def transform(self, X: Any) -> "pd.DataFrame":
        """Return a frame of float and category columns."""
        import pandas as pd

        check_is_fitted(self)
        X = self._checked(X, reset=False)
        found = (read(name, column) for name, column in columns_of(X))
        frame = pd.DataFrame({j: self._column(j, cells) for j, cells in enumerate(found)})
        index = X.index if hasattr(X, "iloc") else frame.index
        return frame.set_axis(self.get_feature_names_out(), axis=1).set_axis(index)

    def _checked(self, X: Any, *, reset: bool) -> Any:
        if hasattr(X, "iloc") and hasattr(X, "columns"):
            text = all(isinstance(name, str) for name in X.columns)
            if not text or not X.columns.is_unique:
                X = X.set_axis(range(X.shape[1]), axis=1)  # without names, as scikit-learn sees it
        X = validated(self, X, reset=reset)
        if len(X.shape) != 2:
            raise DataError(f"X must be a table (n, n_features); got shape {tuple(X.shape)}.")
        return X

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.string = True
        return tags

    def _column(self, j: int, cells: Read) -> Any:
        import pandas as pd

        if j in self.empty_:
            return np.zeros(len(cells.missing))
        if j not in self.categories_:
            return _numbers(cells)
        known = {value: code for code, value in enumerate(self.categories_[j])}
        code_of_place = np.array([*(known.get(v, len(known)) for v in cells.categories), len(known)])
        codes = np.where(cells.missing, -1, code_of_place[cells.values])
        return pd.Categorical.from_codes(codes, categories=pd.RangeIndex(len(known) + 1))


def table_pipeline(estimator: Any) -> Pipeline:
    """Return the estimator behind what a table needs: imputed, standardised and one-hot columns.

    HistGradientBoosting takes missing cells and categories as they are.
    """
    from sklearn.compose import ColumnTransformer, make_column_selector
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    if isinstance(estimator, HistGradientBoostingClassifier):
        return Pipeline([("frame", TableFrame()), ("classifier", estimator)])
    impute = SimpleImputer(strategy="median", add_indicator=True)
    kinds = {
        "number": make_pipeline(impute, StandardScaler()),
        "category": OneHotEncoder(handle_unknown="ignore"),
    }
    columns = ColumnTransformer(
        [(k, made, make_column_selector(dtype_include=k)) for k, made in kinds.items()]
    )
    return Pipeline([("frame", TableFrame()), ("columns", columns), ("classifier", estimator)])


def columns_of(X: Any) -> Iterator[tuple[Hashable, Any]]:
    """Yield name and cells of each column of an array or DataFrame."""
    if hasattr(X, "iloc"):
        return ((name, X.iloc[:, j]) for j, name in enumerate(X.columns))
    return ((j, X[:, j]) for j in range(X.shape[1]))


def has_categories(X: Any) -> bool:
    """Return whether a column holds text, categories or booleans."""
    return any(read(name, column).kind == "category" for name, column in columns_of(X))


def _numbers(cells: Read) -> np.ndarray[Any, np.dtype[np.float64]]:
    values = cells.values
    if values.dtype.kind in "mM":
        values = values.astype(f"{values.dtype.kind}8[us]").view(np.int64) / 1e6
    return np.where(cells.missing, np.nan, values.astype(np.float64))
