"""memory=: what was trained once is read again, and nothing else is."""

import importlib
import resource
import sys
import warnings
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from imblearn.pipeline import make_pipeline as make_sampling_pipeline
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ganaug import (
    AugmentedClassifier,
    ConditionalGAN,
    ConfigError,
    DataError,
    GANConfig,
    GANOverSampler,
    SyntheticSwap,
)
from ganaug.adversarial.losses import Hinge
from ganaug.adversarial.regularizers import R1
from ganaug.data.schema import as_array
from ganaug.errors import GanaugWarning

CONFIG = GANConfig(width=8, z_dim=4, batch_size=16, train_images=32)
FOLDS = StratifiedKFold(3, shuffle=True, random_state=0)


def sampler(memory, **kwargs):
    return GANOverSampler(memory=memory, **{"config": CONFIG, "random_state": 0, **kwargs})


@pytest.fixture(scope="module")
def rare_iris():
    X, y = load_iris(return_X_y=True)
    rows = np.random.default_rng(0).permutation(np.r_[0:50, 50:70, 100:108])
    return StandardScaler().fit_transform(X[rows]), y[rows]


@pytest.fixture
def fits(monkeypatch):
    """Rows and generator of each training that really ran."""
    calls = []
    fit = ConditionalGAN.fit

    def spy(gan, X, y=None, **kwargs):
        fitted = fit(gan, X, y, **kwargs)
        calls.append((as_array(X), np.array(y), fitted))
        return fitted

    monkeypatch.setattr(ConditionalGAN, "fit", spy)
    return calls


def kept(folder):
    return sorted(Path(folder).rglob("output.pkl"))


def search(model, grid, data, **kwargs):
    return GridSearchCV(model, grid, cv=FOLDS, error_score="raise", **kwargs).fit(*data)


class TestSearches:
    def test_a_pipeline_with_memory_of_imbalanced_learn(self, rare_iris, fits, tmp_path):
        pipe = make_sampling_pipeline(
            StandardScaler(), sampler(None), LogisticRegression(), memory=str(tmp_path)
        )
        search(pipe, {"logisticregression__C": [0.1, 1, 10]}, rare_iris)
        assert len(fits) == 3 + 1  # the folds, and the best on all rows

    @pytest.mark.parametrize(
        ("make", "grid"),
        [
            (
                lambda memory: make_sampling_pipeline(sampler(memory), LogisticRegression()),
                {
                    "ganoversampler__sampling_strategy": ["minority", "auto"],
                    "logisticregression__C": [0.1, 1],
                },
            ),
            (
                lambda memory: make_pipeline(
                    SyntheticSwap(config=CONFIG, random_state=0, memory=memory), LogisticRegression()
                ),
                {"syntheticswap__p": [0, 0.3, 1]},
            ),
            (
                lambda memory: AugmentedClassifier(
                    LogisticRegression(), config=CONFIG, random_state=0, memory=memory
                ),
                {"estimator__C": [0.1, 1], "synthetic_weight": [0, 0.5, 1]},
            ),
            (
                lambda memory: AugmentedClassifier(LogisticRegression(), sampler(memory)),
                {"estimator__C": [0.1, 1], "sampler__sampling_strategy": ["minority", "auto"]},
            ),
        ],
        ids=["sampler", "swap", "classifier", "sampler in classifier"],
    )
    def test_what_the_generator_does_not_depend_on_trains_none(self, rare_iris, fits, tmp_path, make, grid):
        found = search(make(tmp_path), grid, rare_iris)
        assert len(fits) == len(kept(tmp_path)) == 3 + 1
        without = search(make(None), grid, rare_iris)
        assert len(fits) > 3 * 3
        for scores in ("mean_test_score", "std_test_score"):
            assert found.cv_results_[scores].tolist() == without.cv_results_[scores].tolist()

    def test_over_configs_trains_one_each(self, rare_iris, fits, tmp_path):
        configs = [replace(CONFIG, loss=loss) for loss in ("hinge", "least-squares")]
        model = AugmentedClassifier(LogisticRegression(), sampler(tmp_path))
        grid = {"sampler__config": configs, "estimator__C": [0.1, 1]}
        found = search(model, grid, rare_iris)
        assert len(fits) == 2 * 3 + 1
        best = found.best_estimator_.sampler_
        assert best.gan_.config_.loss == best.config.loss == found.best_params_["sampler__config"].loss

    @pytest.mark.slow
    def test_in_two_processes(self, rare_iris, tmp_path):
        grid = {"estimator__C": [0.1, 1], "synthetic_weight": [0.5, 1]}
        model = AugmentedClassifier(LogisticRegression(), config=CONFIG, random_state=0)
        alone = search(model, grid, rare_iris)
        both = search(model.set_params(memory=tmp_path), grid, rare_iris, n_jobs=2)
        assert both.cv_results_["mean_test_score"].tolist() == alone.cv_results_["mean_test_score"].tolist()
        assert np.array_equal(both.best_estimator_.estimator_.coef_, alone.best_estimator_.estimator_.coef_)
        assert len(kept(tmp_path)) == 3 + 1


def frame(X):
    return pd.DataFrame({"length": X[:, 0], "word": np.where(X[:, 1] > 0, "u", "v"), "wide": X[:, 3] > 0})


def images(X):
    return np.random.default_rng(0).integers(0, 256, (len(X), 1, 8, 8), dtype=np.uint8)


def rows_of(X):
    return X.astype(str).to_numpy().tolist() if hasattr(X, "iloc") else np.asarray(X).tolist()


class TestWhatIsRead:
    @pytest.mark.parametrize("kind", [np.array, frame, images])
    def test_is_what_a_training_gives(self, rare_iris, fits, tmp_path, kind):
        X, y = kind(rare_iris[0]), rare_iris[1]
        plain, first, second = (
            sampler(memory).fit_resample(X, y)[0] for memory in (None, tmp_path, tmp_path)
        )
        assert rows_of(plain) == rows_of(first) == rows_of(second)
        assert len(fits) == 2

    def test_of_a_swap_of_tensors(self, rare_iris, fits, tmp_path):
        X, y = (torch.from_numpy(a) for a in rare_iris)
        plain, first, second = (
            SyntheticSwap(p=0.5, config=CONFIG, random_state=0, memory=memory).fit_transform(X, y)
            for memory in (None, tmp_path, tmp_path)
        )
        assert isinstance(second, torch.Tensor)
        assert torch.equal(plain, first)
        assert torch.equal(plain, second)
        assert len(fits) == 2

    def test_has_a_count_of_draws_of_its_own(self, rare_iris, tmp_path):
        first, second, third = (sampler(tmp_path) for _ in range(3))
        for one in (first, second):
            one.fit_resample(*rare_iris)
        drawn = [first.gan_.generate(3)[0] for _ in range(2)]
        again = [second.gan_.generate(3)[0] for _ in range(2)]
        assert np.array_equal(drawn, again)
        assert not np.array_equal(*drawn)
        X_third, _ = third.fit_resample(*rare_iris)
        assert np.array_equal(X_third, sampler(None).fit_resample(*rare_iris)[0])

    def test_is_not_shared_where_a_memory_gives_the_same_object_twice(self, rare_iris, fits):
        class InMemory(dict):
            def cache(self, func, ignore):
                return lambda key, training: self[key] if key in self else self.setdefault(key, training())

        memory = InMemory()
        found = [sampler(memory).fit_resample(*rare_iris)[0] for _ in range(3)]
        assert len(fits) == 1
        assert np.array_equal(found[0], found[1])
        assert np.array_equal(found[0], found[2])

    def test_has_the_parameters_of_the_one_that_asked(self, rare_iris, fits, tmp_path):
        in_config = sampler(tmp_path, config=replace(CONFIG, train_images=48))
        in_budget = sampler(str(tmp_path), train_images=48)
        in_memory = sampler(joblib.Memory(str(tmp_path), verbose=0), train_images=48, preset="quick")
        for one in (in_config, in_budget, clone(in_memory)):
            one.fit_resample(*rare_iris)
            assert {k: getattr(one, k) for k in one.gan_.get_params()} == one.gan_.get_params()
        assert len(fits) == 1

    def test_a_memory_without_a_folder_keeps_nothing(self, rare_iris, fits):
        for _ in range(2):
            sampler(joblib.Memory(None)).fit_resample(*rare_iris)
        assert len(fits) == 2


def changed(X):
    X = X.copy()
    X[0, 0] += 1e-9
    return X


OWN = replace(CONFIG, loss=Hinge(), regularizers=("spectral-norm", R1(gamma=0.1)))
DIFFERENT = {
    "nothing": (lambda X, y: (X.copy(), y.copy()), {}, 1),
    "seed": (lambda X, y: (X, y), {"random_state": 1}, 2),
    "seed of numpy's type": (lambda X, y: (X, y), {"random_state": np.int64(0)}, 1),
    "budget": (lambda X, y: (X, y), {"train_images": 48}, 2),
    "config": (lambda X, y: (X, y), {"config": replace(CONFIG, lr_G=1e-4)}, 2),
    "own objects": (lambda X, y: (X, y), {"config": OWN}, 2),
    "strategy": (lambda X, y: (X, y), {"sampling_strategy": "minority"}, 1),
    "cell": (lambda X, y: (changed(X), y), {}, 2),
    "row less": (lambda X, y: (X[1:], y[1:]), {}, 2),
    "label": (lambda X, y: (X, np.r_[(y[0] + 1) % 3, y[1:]]), {}, 2),
    "names of labels": (lambda X, y: (X, np.array(["a", "b", "c"])[y]), {}, 2),
    "dtype": (lambda X, y: (X.astype("float32"), y), {}, 2),
    "container": (lambda X, y: (pd.DataFrame(X, columns=list("abcd")), y), {}, 2),
}


@pytest.mark.parametrize(("change", "settings", "n_fits"), DIFFERENT.values(), ids=DIFFERENT)
def test_what_is_different_is_trained(rare_iris, fits, tmp_path, change, settings, n_fits):
    sampler(tmp_path).fit_resample(*rare_iris)
    sampler(tmp_path, **settings).fit_resample(*change(*rare_iris))
    assert len(fits) == n_fits


@pytest.mark.parametrize(
    "change",
    [
        lambda X: X.rename(columns={"word": "text"}),
        lambda X: X[["wide", "length", "word"]],
        lambda X: X.assign(word=pd.Categorical(X["word"], categories=["u", "v", "w"])),
        lambda X: X.assign(length=X["length"].mask(X.index == 3)),
    ],
    ids=["name", "order", "categories", "missing cell"],
)
def test_frames_that_differ_are_trained(rare_iris, fits, tmp_path, change):
    X, y = frame(rare_iris[0]), rare_iris[1]
    X = X.assign(word=pd.Categorical(X["word"]))
    for data in (X, X.copy(), change(X)):
        sampler(tmp_path).fit_resample(data, y)
    assert len(fits) == 2


class TestOwnCode:
    SOURCE = (
        "from ganaug.networks import mlp\n\ndef own(*args, **kwargs):\n    return mlp(*args, **kwargs){}\n"
    )

    def test_is_read_again_until_it_changes(self, rare_iris, fits, tmp_path, monkeypatch):
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setattr(sys, "dont_write_bytecode", True)
        path = tmp_path / "own_network.py"
        for n_fits, ending in ((1, ""), (1, ""), (2, "  # changed")):
            path.write_text(self.SOURCE.format(ending))
            importlib.invalidate_caches()
            sys.modules.pop("own_network", None)
            own = importlib.import_module("own_network").own
            sampler(tmp_path / "kept", config=replace(CONFIG, network=own)).fit_resample(*rare_iris)
            assert len(fits) == n_fits

    def test_that_has_no_name_is_trained_with_a_warning(self, rare_iris, fits, tmp_path):
        from ganaug.networks import mlp

        nameless = replace(CONFIG, network=lambda *args, **kwargs: mlp(*args, **kwargs))
        for _ in range(2):
            with pytest.warns(GanaugWarning, match=r"cannot be used \(PicklingError.*trained, and not kept"):
                sampler(tmp_path, config=nameless).fit_resample(*rare_iris)
        assert len(fits) == 2
        assert kept(tmp_path) == []


@pytest.mark.parametrize("seed", [None, np.random.RandomState(0)])
def test_without_a_seed_nothing_can_be_kept(rare_iris, fits, tmp_path, seed):
    swap = SyntheticSwap(config=CONFIG, random_state=seed, memory=tmp_path)
    for one in (sampler(tmp_path, random_state=seed), swap):
        with pytest.warns(GanaugWarning, match="random_state must be an int"):
            one.fit_resample(*rare_iris) if one is not swap else one.fit(*rare_iris)
    assert len(fits) == 2
    assert kept(tmp_path) == []


@contextmanager
def files_of_at_most(n_bytes):
    """Let the kernel refuse more than so many bytes to a file, as a full disk does."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


class TestBrokenFolders:
    def test_damaged_files_are_trained_again(self, rare_iris, fits, tmp_path, caplog):
        expected = sampler(tmp_path).fit_resample(*rare_iris)[0]
        files = [f for f in tmp_path.rglob("*") if f.is_file()]
        assert len(files) >= 3
        for file in files:
            whole = file.read_bytes()
            for damaged in (b"", whole[: len(whole) // 2], b"\xff\xfe" + whole[2:]):
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(damaged)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # of joblib, on code that it does not know
                    found = sampler(tmp_path).fit_resample(*rare_iris)[0]
                assert np.array_equal(found, expected)
        assert len(fits) > 1
        sampler(tmp_path).fit_resample(*rare_iris)

    @pytest.mark.parametrize(
        "make",
        [lambda f: f, lambda f: f / "below", lambda f: joblib.Memory],
        ids=["file", "below a file", "a class"],
    )
    def test_a_folder_that_cannot_be_made(self, rare_iris, fits, tmp_path, make):
        file = tmp_path / "file"
        file.write_text("")
        with pytest.warns(GanaugWarning, match=r"memory=.* cannot be used \(.*trained, and not kept"):
            found = sampler(make(file)).fit_resample(*rare_iris)[0]
        assert np.array_equal(found, sampler(None).fit_resample(*rare_iris)[0])
        assert len(fits) == 2

    def test_a_full_disk(self, rare_iris, fits, tmp_path):
        with files_of_at_most(5000), pytest.warns(Warning, match="Unable to cache to disk"):
            found = sampler(tmp_path).fit_resample(*rare_iris)[0]
        assert len(fits) == 1
        assert np.array_equal(found, sampler(tmp_path).fit_resample(*rare_iris)[0])

    def test_a_memory_that_fails_after_the_training(self, rare_iris, fits):
        class Forgetful:
            def cache(self, func, ignore):
                def call(*args):
                    func(*args)
                    raise OSError("no space left")

                return call

        with pytest.warns(GanaugWarning, match="no space left"):
            sampler(Forgetful()).fit_resample(*rare_iris)
        assert len(fits) == 1

    def test_no_memory_at_all(self, rare_iris):
        with pytest.raises(ConfigError, match=r"memory must be a folder, a joblib.Memory or None; got 3"):
            sampler(3).fit_resample(*rare_iris)


class Broken(Hinge):
    """A loss with a mistake."""

    attempts = 0

    def generator(self, real_logits, fake_logits):
        type(self).attempts += 1
        raise RuntimeError("a mistake of my own")


def test_mistakes_of_the_training_come_through(rare_iris, tmp_path):
    with pytest.raises(RuntimeError, match="a mistake of my own"):
        sampler(tmp_path, config=replace(CONFIG, loss=Broken())).fit_resample(*rare_iris)
    assert Broken.attempts == 1
    with pytest.raises(DataError, match="must be finite"):
        sampler(tmp_path).fit_resample(frame(np.full((78, 4), np.inf)), rare_iris[1])
    assert kept(tmp_path) == []


class TestNothingLeaks:
    def pipe(self, memory):
        return make_sampling_pipeline(StandardScaler(), sampler(memory), LogisticRegression())

    def test_each_generator_sees_the_training_rows_of_its_fold_alone(self, rare_iris, fits, tmp_path):
        X, y = rare_iris
        search(self.pipe(tmp_path), {"logisticregression__C": [0.1, 1]}, rare_iris)
        for (X_seen, y_seen, _), (train, _) in zip(fits[:3], FOLDS.split(X, y), strict=True):
            assert np.array_equal(X_seen, StandardScaler().fit_transform(X[train]))
            assert np.array_equal(y_seen, y[train])
        assert len(fits) == 4

    @pytest.mark.parametrize("memory", [False, True])
    def test_a_poisoned_test_fold_changes_nothing_fitted(self, rare_iris, fits, tmp_path, memory):
        X, y = rare_iris
        train, test = next(iter(FOLDS.split(X, y)))
        poisoned = X.copy()
        poisoned[test] = 1e6 * (1 + np.arange(len(test)))[:, None]
        settings = {"cv": [(train, test)], "return_estimator": True, "error_score": "raise"}
        coefs = [
            cross_validate(self.pipe(tmp_path if memory else None), data, y, **settings)["estimator"][0][
                -1
            ].coef_
            for data in (X, poisoned)
        ]
        assert coefs[0].tobytes() == coefs[1].tobytes()
        assert len(fits) == (1 if memory else 2)

    def test_a_poisoned_training_row_is_not_read_from_memory(self, rare_iris, fits, tmp_path):
        X, y = rare_iris
        poisoned = X.copy()
        poisoned[0] = 1e6
        coefs = [self.pipe(tmp_path).fit(data, y)[-1].coef_ for data in (X, poisoned)]
        assert len(fits) == 2
        assert not np.array_equal(*coefs)
