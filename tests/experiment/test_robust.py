"""What one seed, one thread or one split may not do to a comparison."""

from itertools import count

import joblib
import numpy as np
import pytest
from sklearn.datasets import load_digits, load_wine
from sklearn.naive_bayes import GaussianNB
from threadpoolctl import threadpool_limits
from torch import nn

from ganaug import ConditionalGAN, GANConfig, compare
from ganaug.data.schema import Schema
from ganaug.errors import ConfigError, DataError, GanaugWarning
from ganaug.experiment.arms import ARMS, Arm, copies, tuned
from ganaug.experiment.bench import Bench
from ganaug.experiment.setup import set_up

pixels, targets = load_digits(return_X_y=True)
IMAGES, DIGITS = pixels[targets < 3].reshape(-1, 8, 8)[:150], targets[targets < 3][:150]
WINE, GRAPES = load_wine(return_X_y=True)
TINY = GANConfig(width=4, z_dim=4, batch_size=16, train_images=64)
ARMS_OF_TWO = ["nothing", "gan"]


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Keep the threads of BLAS and OpenMP out of each other's way."""
    with threadpool_limits(1):
        yield


def run(X=IMAGES, y=DIGITS, **settings):
    return compare(
        X, y, **{"seeds": 3, "steps": 8, "batch_size": 16, "config": TINY, "arms": ARMS_OF_TWO, **settings}
    )


def predictions(result):
    return {(c.arm, c.seed): (c.start, c.y_pred.tolist()) for c in result.cells}


# --- threads --------------------------------------------------------------------------------------


@pytest.mark.parametrize("classifier", ["cnn", "forest"])
def test_threads_of_one_process_change_no_number(classifier):
    settings = {
        "classifier": classifier,
        "labelled_per_class": 5,
        "arms": ["nothing", "oversampling", "classic", "gan"],
    }
    alone = run(**settings)
    with joblib.parallel_config("threading"):
        together = run(**settings, n_jobs=2)
    assert len(together.cells) == 12
    assert predictions(together) == predictions(alone)


# --- errors of one seed ---------------------------------------------------------------------------


@pytest.mark.parametrize("error", [RuntimeError("out of memory"), ConfigError("no such word")])
def test_a_generator_that_fails_in_one_seed_ends_that_seed_alone(monkeypatch, error):
    fit, calls = ConditionalGAN.fit, count()

    def second_fails(self, *args, **kwargs):
        if next(calls) == 1:
            raise error
        return fit(self, *args, **kwargs)

    monkeypatch.setattr(ConditionalGAN, "fit", second_fails)
    result = run(classifier="forest", seeds=4, labelled_per_class=5)
    assert [(f.arm, f.seed) for f in result.failed] == [("gan", 1)]
    assert f"the generator: {type(error).__name__}: {error}" in result.failed[0].error
    assert {c.seed for c in result.cells} == {0, 2, 3}


def broken_in(seed):
    """Return an arm that makes samples of a wrong shape in one seed."""
    calls = count()

    def extra(part):
        return part.x.flatten(1) if next(calls) == seed else copies(part)

    return {"oversampling": ARMS["oversampling"], "own": Arm(role="treatment", extra=extra)}


def test_an_arm_that_is_refused_in_a_later_seed_ends_that_seed_alone():
    result = run(classifier="forest", seeds=4, labelled_per_class=5, arms=broken_in(2))
    assert [(f.arm, f.seed) for f in result.failed] == [("own", 2)]
    assert "ConfigError: extra of arm 'own' must return" in result.failed[0].error


def test_an_arm_that_is_refused_in_the_first_seed_is_told_at_once():
    with pytest.raises(ConfigError, match="extra of arm 'own' must return"):
        run(classifier="forest", seeds=4, labelled_per_class=5, arms=broken_in(0))


# --- one fill for all seeds -----------------------------------------------------------------------


def grouped(sizes):
    """Return rows of two classes and their groups; `sizes` holds (class 0, class 1) of each group."""
    y = np.concatenate([[0] * a + [1] * b for a, b in sizes])
    groups = np.repeat(np.arange(len(sizes)), [a + b for a, b in sizes])
    X = np.random.default_rng(0).normal(size=(len(y), 3)) + y[:, None]
    return X, y, groups


UNEVEN = [
    (27, 1), (27, 0), (1, 0), (8, 0), (8, 0), (1, 27), (27, 0), (0, 8), (1, 27), (1, 0), (8, 1),
]  # fmt: skip


def plan_of(X, y, **settings):
    defaults = {
        "classifier": "forest", "arms": ["oversampling", "gan"], "primary": None, "seeds": 6,
        "metric": "accuracy", "rope": 0.5, "fill": "auto", "labelled_per_class": None, "test": None,
        "test_size": 0.25, "folds": None, "train_size": None, "groups": None, "unlabelled": None,
        "steps": 4, "batch_size": 16,
        "classic": None, "names": None, "preset": "quick", "config": TINY, "train_images": None,
        "device": "cpu", "random_state": 0,
    }  # fmt: skip
    return set_up(X, y, **{**defaults, **settings})


def ratio(y):
    counts = np.bincount(y)
    return counts.max() / counts.min()


def test_auto_means_the_same_in_every_seed():
    X, y, groups = grouped(UNEVEN)
    setup = plan_of(X, y, groups=groups)
    ratios = [ratio(y[rows]) for rows in setup.splits.train]
    assert min(ratios) <= 1.5 < max(ratios)  # each for itself would balance or double
    assert setup.plan.fill in ("balance", 2.0)
    assert setup.settings["fill"] == "auto"
    for s, rows in enumerate(setup.splits.train):
        part, counts = setup.part(s), np.bincount(y[rows])
        expected = np.ptp(counts) if setup.plan.fill == "balance" else (2 * counts.max() - counts).sum()
        assert len(Bench(setup.plan, part.X, part.y, 0).part.extra_c) == expected


def test_auto_goes_by_the_training_parts_and_not_by_classes_that_these_level():
    y = np.repeat([0, 1], [90, 30])
    X = np.random.default_rng(0).normal(size=(120, 3)) + y[:, None]
    assert plan_of(X, y).plan.fill == "balance"
    assert plan_of(X, y, labelled_per_class=4, seeds=3).plan.fill == 2.0


def test_auto_means_within_a_training_part_what_it_means_outside():
    y = np.repeat([0, 1], [76, 50])
    X = np.random.default_rng(0).normal(size=(126, 3)) + y[:, None]
    plan = plan_of(X, y, seeds=3).plan
    assert plan.fill == "balance"
    for inner, _, _ in Bench(plan, X, y, 0)._inner:
        assert len(inner.part.extra_c) == np.ptp(np.bincount(inner.c))


def test_a_fill_that_one_seed_cannot_have_is_refused_before_anything_is_trained(monkeypatch):
    monkeypatch.setattr(ConditionalGAN, "fit", lambda *_, **__: pytest.fail("a generator was trained"))
    X, y, groups = grouped(UNEVEN)
    first = next(
        s for s, rows in enumerate(plan_of(X, y, groups=groups).splits.train) if ratio(y[rows]) < 1 / 0.66
    )
    with pytest.raises(ConfigError, match=rf"fill must be.*seed {first}"):
        run(X, y, classifier="forest", groups=groups, seeds=6, fill=0.66)


def test_inner_parts_that_cannot_have_the_fill_add_nothing():
    X, y, groups = grouped(UNEVEN)
    setup = plan_of(X, y, fill=0.66, metric="balanced_accuracy")
    bench = Bench(setup.plan, X, y, 0, groups=groups)
    added = [len(inner.part.extra_c) for inner, _, _ in bench._inner]
    assert [n == 0 for n in added] == [ratio(inner.y) < 1 / 0.66 for inner, _, _ in bench._inner]
    assert len(bench.part.extra_c) > 0 in added
    tried = bench.outcome("tuned", tuned(Arm(role="control", extra=copies)), X[:5]).tried
    assert len(tried) == 4


# --- modules of the caller's own on tables --------------------------------------------------------


def wide(shape, n_classes):
    return nn.Linear(shape[0], n_classes)


class Net(nn.Module):
    """A module that is built for a shape."""

    def __init__(self, shape, n_classes, width=8):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(shape[0], width), nn.ReLU(), nn.Linear(width, n_classes))

    def forward(self, x):
        return self.layers(x)


@pytest.mark.parametrize("classifier", [wide, Net])
def test_a_function_of_shape_and_classes_fits_a_table_in_every_seed(classifier):
    result = run(WINE, GRAPES, classifier=classifier, train_size=40)
    assert not result.failed
    assert len(result.cells) == 6


def test_a_function_of_shape_and_classes_fits_images():
    result = run(classifier=lambda shape, n: nn.Sequential(nn.Flatten(), wide((np.prod(shape),), n)))
    assert not result.failed


def test_a_width_that_does_not_fit_every_seed_is_refused_before_anything_is_trained(monkeypatch):
    monkeypatch.setattr(ConditionalGAN, "fit", lambda *_, **__: pytest.fail("a generator was trained"))
    (n,) = Schema.fit(WINE, GRAPES).codec.shape
    with pytest.raises(ConfigError, match=r"it fails on them.*write lambda shape, n_classes: "):
        run(WINE, GRAPES, classifier=lambda: nn.Linear(n, 3), train_size=40)


def test_a_module_without_arguments_that_takes_any_width_is_welcome():
    class Mean(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(1, 3)

        def forward(self, x):
            return self.layer(x.mean(1, keepdim=True))

    assert not run(WINE, GRAPES, classifier=Mean, train_size=40).failed


@pytest.mark.parametrize("X", [IMAGES, IMAGES.reshape(150, -1)], ids=["images", "table"])
def test_a_lazy_module_is_refused(X):
    with pytest.raises(ConfigError, match=r"lazy.*lambda shape, n_classes"):
        run(X, classifier=lambda: nn.Sequential(nn.Flatten(), nn.LazyLinear(3)))


def test_a_function_of_something_else_is_refused():
    with pytest.raises(ConfigError, match=r"without arguments, or of \(shape, n_classes\).*\(width\)"):
        run(classifier=lambda width: nn.Linear(width, 3))


def test_a_class_whose_arguments_have_defaults_is_called_without():
    assert not run(classifier=GaussianNB, labelled_per_class=5).failed


# --- what a classifier or the caller may give ----------------------------------------------------------


class Diverges(GaussianNB):
    """Gives scores that are not numbers, where its training samples say so."""

    bad = 1

    def predict_proba(self, X):
        Diverges.bad -= 1
        scores = super().predict_proba(X)
        return scores * np.nan if Diverges.bad == 0 else scores


def test_scores_that_are_not_numbers_are_a_failed_cell_and_the_record_stays_whole():
    Diverges.bad = 3
    result = run(seeds=4, classifier=Diverges(), labelled_per_class=5)
    (failed,) = result.failed
    assert failed.error.startswith("ValueError: the classifier gave scores that are not numbers")
    assert "1 seed is left out" in result.sentence
    assert len(result.to_dict()["cells"]) == 6


def test_missing_groups_are_not_one_group():
    groups = np.array([*["a", "b", "c"] * 40, *[None] * 30], dtype=object)
    with pytest.raises(DataError, match="some are missing"):
        run(groups=groups)


@pytest.mark.parametrize(
    ("arms", "message"),
    [
        ([], "must be a list of names"),
        ("gan", "must be a list of names"),
        (["nothing", "gan", "gan"], "must be named once each"),
        ({0: ARMS["nothing"], 1: ARMS["gan"]}, "must have names, as text"),
    ],
)
def test_arms_have_a_name_each(arms, message):
    with pytest.raises(ConfigError, match=message):
        run(arms=arms)


def test_a_class_of_few_test_samples_is_refused_by_metrics_that_it_would_decide():
    few = np.concatenate([np.flatnonzero(k == DIGITS)[: 4 if k == 2 else 20] for k in range(3)])
    rest = np.setdiff1d(np.arange(len(DIGITS)), few)
    settings = {"classifier": GaussianNB(), "test": (IMAGES[few], DIGITS[few])}
    with pytest.raises(DataError, match=r"at least 5 samples of a class.*'2' has fewer"):
        run(IMAGES[rest], DIGITS[rest], **settings)
    assert run(IMAGES[rest], DIGITS[rest], metric="accuracy", **settings).verdict


def test_a_class_that_a_given_test_set_lacks_is_told():
    there = np.flatnonzero(DIGITS < 2)[:40]
    rest = np.setdiff1d(np.arange(len(DIGITS)), there)
    with pytest.warns(GanaugWarning, match="no sample of '2'"):
        run(IMAGES[rest], DIGITS[rest], classifier=GaussianNB(), test=(IMAGES[there], DIGITS[there]))


def test_average_precision_needs_positives():
    two = DIGITS < 2
    X, y = IMAGES[two], DIGITS[two]
    test = (X[:30][y[:30] == 0], y[:30][y[:30] == 0])
    with pytest.raises(DataError, match="'1' has fewer"):
        run(X[30:], y[30:], classifier=GaussianNB(), metric="average_precision", test=test)
