import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits
from torch import nn

from ganaug.data.schema import Schema
from ganaug.errors import ConfigError
from ganaug.experiment.classifiers import (
    CLASSIFIERS,
    Recipe,
    build_classifier,
    train_and_predict,
    weight_parameter,
)

digits, targets = load_digits(return_X_y=True)
IMAGES, DIGITS = digits[targets < 3].reshape(-1, 8, 8)[:120], targets[targets < 3][:120]
ROWS = digits[targets < 3][:120, 20:30]
IMAGE_SCHEMA, TABLE_SCHEMA = Schema.fit(IMAGES, DIGITS), Schema.fit(ROWS, DIGITS)


@pytest.fixture(autouse=True)
def one_thread():
    """Run as `compare` does."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with threadpool_limits(1):
        yield
    torch.set_num_threads(threads)


def recipe(schema, X, *, x_extra=None, extra_c=(), class_weights=False, transform=None):
    return Recipe(
        used=torch.full((len(extra_c),), x_extra is not None),
        X=X,
        x=schema.encode_X(X),
        c=schema.encode_y(DIGITS[: len(X)]),
        x_extra=x_extra,
        extra_c=torch.tensor(extra_c, dtype=torch.int64),
        class_weights=class_weights,
        transform=transform,
    )


def predictions(classifier, schema, X, *, seed=0, steps=60, **settings):
    model = build_classifier(classifier, schema, seed=seed)
    given = recipe(schema, X[:90], **settings)
    y_pred, _ = train_and_predict(model, given, X[90:], schema, steps=steps, batch_size=16, seed=seed)
    return y_pred


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_each_named_classifier_learns_digits(name):
    predicted = predictions(name, IMAGE_SCHEMA, IMAGES)
    assert np.mean(predicted == DIGITS[90:]) > 0.8


@pytest.mark.parametrize("name", ["mlp", "forest"])
def test_a_named_classifier_learns_rows(name):
    assert np.mean(predictions(name, TABLE_SCHEMA, ROWS) == DIGITS[90:]) > 0.6


@pytest.mark.parametrize(
    "classifier",
    ["mlp", "forest", RandomForestClassifier(5), make_pipeline(StandardScaler(), RandomForestClassifier(5))],
    ids=["module", "name", "estimator", "pipeline"],
)
def test_a_classifier_depends_on_the_seed_alone(classifier):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 17, IMAGES.shape).astype(float)
    schema = Schema.fit(noise, DIGITS)
    first, again, other = (predictions(classifier, schema, noise, seed=s, steps=25) for s in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_building_a_classifier_leaves_the_global_stream_alone():
    before = torch.random.get_rng_state()
    model = build_classifier("cnn", IMAGE_SCHEMA, seed=0)
    train_and_predict(
        model,
        recipe(IMAGE_SCHEMA, IMAGES),
        IMAGES,
        IMAGE_SCHEMA,
        steps=2,
        batch_size=8,
        seed=0,
    )
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_callers_estimator_is_cloned():
    estimator = LogisticRegression(C=0.5, max_iter=2000)
    model = build_classifier(estimator, IMAGE_SCHEMA, seed=0)
    assert model is not estimator
    assert model.C == 0.5
    predictions(estimator, IMAGE_SCHEMA, IMAGES)
    assert not hasattr(estimator, "coef_")


@pytest.mark.parametrize("classifier", [None, "mlp", lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 3))])
def test_a_module_starts_from_weights_of_the_seed(classifier):
    first, again, other = (build_classifier(classifier, IMAGE_SCHEMA, seed=s).state_dict() for s in (5, 5, 6))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


class Noting(KNeighborsClassifier):
    """Keeps what it was fitted on."""

    def fit(self, X, y, sample_weight=None):
        type(self).seen = (X, y, sample_weight)
        return super().fit(X, y)


def test_an_estimator_gets_the_callers_rows_labels_and_added_samples():
    schema = Schema.fit(IMAGES, np.array(["zero", "one", "two"])[DIGITS])
    extra = schema.encode_X(IMAGES[100:102])
    real = Recipe(
        X=IMAGES[:90],
        x=schema.encode_X(IMAGES[:90]),
        c=torch.from_numpy(DIGITS[:90]),
        x_extra=extra,
        extra_c=torch.tensor([0, 2]),
        used=torch.tensor([True, True]),
        class_weights=False,
        transform=lambda batch: batch.flip(-1),
    )
    train_and_predict(Noting(), real, IMAGES[90:], schema, steps=1, batch_size=1, seed=0)
    X, y, weight = Noting.seen
    assert np.array_equal(X[:90], IMAGES[:90].reshape(90, -1))
    assert np.array_equal(X[90:], IMAGES[100:102, :, ::-1].reshape(2, -1))
    assert y.tolist() == schema.labels[[*DIGITS[:90], 0, 2]].tolist()
    assert weight is None


def test_class_weights_give_every_class_the_same_total():
    few = recipe(IMAGE_SCHEMA, IMAGES[:20], class_weights=True)
    train_and_predict(Noting(), few, IMAGES, IMAGE_SCHEMA, steps=1, batch_size=1, seed=0)
    _, y, weight = Noting.seen
    totals = [weight[y == k].sum() for k in range(3)]
    assert totals == pytest.approx([20 / 3] * 3)


def test_class_weights_change_a_torch_classifier():
    imbalanced = np.r_[np.flatnonzero(DIGITS == 0)[:30], np.flatnonzero(DIGITS > 0)[:4]]
    noise = np.random.default_rng(0).integers(0, 17, (34, 8, 8))
    schema = Schema.fit(noise, DIGITS[imbalanced])
    shares = []
    for class_weights in (False, True):
        plain = Recipe(
            X=noise,
            x=schema.encode_X(noise),
            c=schema.encode_y(DIGITS[imbalanced]),
            x_extra=None,
            extra_c=torch.empty(0, dtype=torch.int64),
            used=torch.empty(0, dtype=torch.bool),
            class_weights=class_weights,
            transform=None,
        )
        model = build_classifier("mlp", schema, seed=0)
        test = np.random.default_rng(1).integers(0, 17, (300, 8, 8))
        predicted, _ = train_and_predict(model, plain, test, schema, steps=40, batch_size=16, seed=0)
        shares.append(np.mean(predicted == 0))
    assert shares[1] < shares[0]


def test_an_estimator_sees_the_callers_own_rows_also_outside_the_range_of_the_fit():
    rows = np.random.default_rng(0).normal(size=(90, 2)) * [1, 1e9]
    schema = Schema.fit(rows, DIGITS[:90])
    extra = schema.encode_X(rows[:2])
    test = np.array([[50.0, -7e9], [-60.0, 8e9]])
    model, tested = Noting(), []
    model.predict = lambda X: tested.append(X) or schema.labels[[0, 0]]
    mixed = Recipe(
        X=rows,
        x=schema.encode_X(rows),
        c=schema.encode_y(DIGITS[:90]),
        x_extra=extra,
        extra_c=torch.tensor([0, 1]),
        used=torch.tensor([True, True]),
        class_weights=False,
        transform=None,
    )
    train_and_predict(model, mixed, test, schema, steps=1, batch_size=1, seed=0)
    assert np.array_equal(Noting.seen[0][:90], rows)
    assert np.array_equal(tested[0], test)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (LogisticRegression(), "sample_weight"),
        (make_pipeline(StandardScaler(), LogisticRegression()), "logisticregression__sample_weight"),
        (KNeighborsClassifier(), None),
        (make_pipeline(StandardScaler(), KNeighborsClassifier()), None),
    ],
)
def test_the_name_of_sample_weights_is_found_through_pipelines(model, name):
    assert weight_parameter(model) == name


def test_every_batch_of_a_torch_classifier_goes_through_the_transform():
    seen, inputs = [], []
    given = recipe(IMAGE_SCHEMA, IMAGES[:30], transform=lambda batch: seen.append(batch) or batch * 0)
    model = build_classifier("cnn", IMAGE_SCHEMA, seed=0)
    model.register_forward_pre_hook(lambda module, args: inputs.append(args[0]) if module.training else None)
    train_and_predict(model, given, IMAGES, IMAGE_SCHEMA, steps=3, batch_size=8, seed=0)
    assert len(seen) == len(inputs) == 3
    assert all(batch.abs().max() > 0 for batch in seen)
    assert all(batch.abs().max() == 0 for batch in inputs)


@pytest.mark.parametrize(
    ("classifier", "schema", "message"),
    [
        (nn.Linear(4, 2), IMAGE_SCHEMA, "must be a function that builds a torch module.*got a module"),
        ("forrest", IMAGE_SCHEMA, "Did you mean 'forest'"),
        ("cnn", TABLE_SCHEMA, "classifier of a table must be one of .*'mlp'"),
        (3, IMAGE_SCHEMA, "must be a name, a scikit-learn classifier, or a function.*got int"),
    ],
)
def test_a_wrong_classifier_is_refused(classifier, schema, message):
    with pytest.raises(ConfigError, match=message):
        build_classifier(classifier, schema, seed=0)
