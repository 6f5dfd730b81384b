"""Every estimator goes through the checks of both libraries; each check that cannot pass has a reason here.

`python benchmarks/checks.py` counts them.
"""

import pytest
from imblearn.over_sampling import RandomOverSampler
from imblearn.under_sampling import RandomUnderSampler
from imblearn.utils.estimator_checks import parametrize_with_checks as imblearn_checks
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.utils.estimator_checks import parametrize_with_checks as sklearn_checks

from ganaug import AugmentedClassifier, ConditionalGAN, GANConfig, GANOverSampler, SyntheticSwap
from ganaug.experiment.preprocessing import TableFrame

CONFIG = GANConfig(width=8, z_dim=4, batch_size=16, train_images=64)
SEEDED = {"config": CONFIG, "random_state": 0}


def augmented(estimator, sampler=None):
    return AugmentedClassifier(estimator, sampler, **SEEDED)


ESTIMATORS = [
    GANOverSampler(**SEEDED),
    SyntheticSwap(**SEEDED),
    ConditionalGAN(**SEEDED),
    TableFrame(),
    augmented(LogisticRegression(max_iter=1000)),
    augmented(GaussianNB(), SyntheticSwap(**SEEDED)),
]
MORE = [
    augmented(make_pipeline(StandardScaler(), LogisticRegression()), GANOverSampler(**SEEDED)),
    augmented(RandomForestClassifier(5, random_state=0)),
    augmented(HistGradientBoostingClassifier(max_iter=5)),
    augmented(SVC()),
    augmented(KNeighborsClassifier()),
    augmented(LogisticRegression(), RandomOverSampler(random_state=0)),
    augmented(LogisticRegression(), RandomUnderSampler(random_state=0)),
]

SWAPPED = "fit_transform replaces rows, and transform does not"
LATER = "nothing but fit takes data, so that there is nothing to count columns for"
WORDS = "refused, with a message that says more"
ROWS = "the sampler learns from rows, not from their weights: a row of weight 2 is not two rows"
CELLS = "a cell that is a dict is refused by the name of its column"
WEIGHTLESS = "the classifier inside takes no weights, and is named"
UNWEIGHTED = "a sampler that removes rows leaves no weights for those that remain, and is named"
ONE_DTYPE = "the columns of a DataFrame have dtypes of their own"
NO_SPARSE = "sparse columns are refused, by their names"

OF_CLASS = {
    "GANOverSampler": {"check_samplers_pandas_sparse": NO_SPARSE},
    "SyntheticSwap": {"check_transformer_general": SWAPPED, "check_transformer_data_not_an_array": SWAPPED},
    "ConditionalGAN": {
        "check_n_features_in": LATER,
        "check_n_features_in_after_fitting": LATER,
        "check_complex_data": WORDS,
        "check_estimators_empty_data_messages": WORDS,
    },
    "TableFrame": {"check_transformer_preserve_dtypes": ONE_DTYPE},
    "AugmentedClassifier": {
        "check_sample_weight_equivalence_on_dense_data": ROWS,
        "check_sample_weight_equivalence_on_sparse_data": ROWS,
    },
}
WEIGHTS = (
    "check_sample_weights_pandas_series",
    "check_sample_weights_not_an_array",
    "check_sample_weights_list",
    "check_sample_weights_shape",
    "check_sample_weights_not_overwritten",
)
OF_PART = {
    "KNeighborsClassifier": dict.fromkeys(WEIGHTS, WEIGHTLESS),
    "RandomUnderSampler": dict.fromkeys(WEIGHTS, UNWEIGHTED),
    "SyntheticSwap": {"check_dtype_object": CELLS},
}


def expected(estimator):
    """Return {check: reason} of what an estimator cannot pass."""
    parts = (getattr(estimator, name, None) for name in ("estimator", "sampler"))
    reasons = OF_CLASS[type(estimator).__name__]
    for part in parts:
        reasons = reasons | OF_PART.get(type(part).__name__, {})
    return reasons


def checks(library, estimators):
    """Return the library's decorator, with a list: a generator is what pytest is about to refuse."""
    mark = library(estimators, expected_failed_checks=expected)
    return pytest.mark.parametrize(mark.args[0], list(mark.args[1]), **mark.kwargs)


@checks(sklearn_checks, ESTIMATORS)
def test_scikit_learn(estimator, check):
    check(estimator)


@checks(imblearn_checks, ESTIMATORS)
def test_imbalanced_learn(estimator, check):
    check(estimator)


@pytest.mark.slow
@checks(sklearn_checks, MORE)
def test_scikit_learn_with_more_parts(estimator, check):
    check(estimator)


@pytest.mark.slow
@checks(imblearn_checks, MORE)
def test_imbalanced_learn_with_more_parts(estimator, check):
    check(estimator)
