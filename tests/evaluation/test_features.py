import time

import pytest
import torch
from sklearn.datasets import load_digits

from ganaug.errors import DataError
from ganaug.evaluation.features import ClassifierFeatures, RandomFeatures
from ganaug.evaluation.fidelity import kernel_distance
from ganaug.evaluation.probe import classification_accuracy_score


def _all_digits():
    source = load_digits()
    order = torch.randperm(len(source.target), generator=torch.Generator().manual_seed(0))
    x = torch.tensor(source.images[:, None] / 8 - 1, dtype=torch.float32)[order]
    return x, torch.tensor(source.target)[order]


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 9, 13), (3, 32, 32), (1, 28, 28), (3, 128, 128)])
def test_random_features_of_any_size_have_one_scale(shape):
    x = torch.rand(20, *shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    features = RandomFeatures(shape)(x)
    assert features.shape == (20, 128)
    assert features.dtype == torch.float32
    assert torch.isfinite(features).all()
    assert features.abs().max() < 50


def test_random_features_depend_on_the_seed_alone():
    x = torch.zeros(3, 1, 8, 8)
    torch.manual_seed(5)
    state = torch.random.get_rng_state()
    a, b, other = (RandomFeatures((1, 8, 8), seed)(x) for seed in (0, 0, 1))
    assert torch.equal(a, b)
    assert not torch.allclose(a, other)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_random_features_do_not_depend_on_the_batch():
    x = torch.rand(1100, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    features = RandomFeatures((1, 8, 8))
    torch.testing.assert_close(features(x)[1020:1030], features(x[1020:1030]))


def test_random_features_of_a_table_keep_its_columns():
    x = torch.randn(30, 5, generator=torch.Generator().manual_seed(0))
    features = RandomFeatures((5,))(x)
    assert features.shape == (30, 69)
    assert torch.equal(features[:, :5], x)


def test_random_features_refuse_another_shape():
    with pytest.raises(DataError, match=r"x must have shape \(n, 1, 8, 8\); got \(2, 3, 8, 8\)"):
        RandomFeatures((1, 8, 8))(torch.zeros(2, 3, 8, 8))


@pytest.mark.parametrize(("shape", "least"), [((1, 8, 8), 5000), ((3, 32, 32), 2000)])
def test_random_features_are_fast(shape, least):
    x = torch.rand(1024, *shape)
    features = RandomFeatures(shape)
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        features(x)
        seconds.append(time.perf_counter() - start)
    assert len(x) / min(seconds) > least / 2


@pytest.mark.parametrize("kind", ["random", "classifier"])
def test_features_put_the_other_half_nearer_than_noisy_digits_than_noise(kind):
    x, c = _all_digits()
    real, fake = x[:500], x[500:1000]
    features = (
        RandomFeatures((1, 8, 8)) if kind == "random" else ClassifierFeatures.fit(x[1000:], c[1000:], 10)
    )
    noise = torch.rand(fake.shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    same, near, far = (
        kernel_distance(features(real), features(fake + share * (noise - fake))) for share in (0.0, 0.2, 1.0)
    )
    assert abs(same) < 0.1 * near
    assert near < far


def test_classifier_features_are_standardised_repeatable_and_leave_the_global_generator():
    x, c = _all_digits()
    torch.manual_seed(5)
    state = torch.random.get_rng_state()
    features, again = (ClassifierFeatures.fit(x[:600], c[:600], 10, steps=60, seed=3) for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), state)
    h = features(x[:600])
    assert torch.equal(h, again(x[:600]))
    torch.testing.assert_close(h.mean(0), torch.zeros(64), atol=1e-4, rtol=0)
    assert (h.std(0, correction=0) < 1.001).all()
    assert h.std(0, correction=0).median() > 0.999


def test_classifier_features_predict():
    x, c = _all_digits()
    features = ClassifierFeatures.fit(x[:1200], c[:1200], 10, steps=200)
    assert (features.predict(x[1200:]) == c[1200:]).float().mean() > 0.93


def test_accuracy_score_is_high_for_real_digits_and_chance_for_noise():
    x, c = _all_digits()
    noise = torch.rand(1000, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    good = classification_accuracy_score(x[:1000], c[:1000], x[1000:], c[1000:], 10, steps=200)
    bad = classification_accuracy_score(noise, c[:1000], x[1000:], c[1000:], 10, steps=200)
    assert good.overall > 0.93
    assert good.per_class.min() > 0.8
    assert bad.overall < 0.25


def test_accuracy_score_sees_a_class_that_the_generator_confuses():
    x, c = _all_digits()
    c_fake = torch.where(c[:1000] == 3, 8, c[:1000])
    score = classification_accuracy_score(x[:1000], c_fake, x[1000:], c[1000:], 10, steps=200)
    assert score.per_class[3] == 0
    assert score.per_class[[0, 1, 2, 4, 5, 6, 7, 8, 9]].min() > 0.8


def test_accuracy_score_of_a_table_has_nan_for_a_class_without_test_rows():
    x = torch.randn(200, 4, generator=torch.Generator().manual_seed(0))
    c = (x[:, 0] * x[:, 1] > 0).long()
    score = classification_accuracy_score(x[:150], c[:150], x[150:], c[150:], 3, steps=200, seed=1)
    assert score.overall > 0.8
    assert score.per_class.isnan().tolist() == [False, False, True]
