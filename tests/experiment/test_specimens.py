import json
import warnings
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.spatial.distance import pdist
from sklearn.datasets import load_digits

from ganaug import ConditionalGAN
from ganaug.experiment.specimens import N_CLASSES, N_PICTURES, Specimens, _map, specimens_of


class Replay(ConditionalGAN):
    """A generator that draws given samples of each class, over and over."""

    def __init__(self, samples, labels):
        super().__init__()
        self.samples, self.labels = samples, labels

    def generate(self, counts, *, truncation=None, random_state=None):
        rows = np.concatenate(
            [np.resize(np.flatnonzero(self.labels == label), n) for label, n in counts.items()]
        )
        taken = self.samples.iloc[rows] if hasattr(self.samples, "iloc") else self.samples[rows]
        return taken, self.labels[rows]


def replay(fitted, samples, labels):
    copy = Replay(samples, np.asarray(labels))
    copy._set_fitted(fitted.config_, fitted.schema_, fitted._drawing, fitted.seed_)
    return copy


@pytest.fixture(scope="module")
def images(tiny, digits):
    X, y = digits
    return ConditionalGAN(config=tiny, random_state=0).fit(X, y), X, y


@pytest.fixture(scope="module")
def rows(tiny):
    rng = np.random.default_rng(0)
    n = 300
    X = pd.DataFrame(
        {
            "size": rng.normal(size=n).round(2),
            "count": rng.integers(0, 9, n),
            "colour": rng.choice(["red", "green", "blue"], n, p=[0.6, 0.3, 0.1]),
            "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 90, n), "D"),
            "gap": np.where(rng.random(n) < 0.25, np.nan, 1.0 + rng.random(n)),
            "same": 7,
        }
    )
    y = pd.Series(np.where(rng.random(n) < 0.1, "rare", "usual"))
    return ConditionalGAN(config=tiny, random_state=0).fit(X, y), X, y


# --- what is shown --------------------------------------------------------------------------------


def test_pictures_are_real_samples_and_samples_of_the_generator(images):
    gan, X, y = images
    shown = specimens_of(gan, X, y, seed=0)
    known = {(p.astype(float) * 255 / 16).round().astype(np.uint8).tobytes() for p in X}
    assert shown.kind == "image"
    assert shown.real_pictures.shape == shown.nearest_pictures.shape == (3 * N_PICTURES, 8, 8, 1)
    assert {p.tobytes() for p in shown.real_pictures} <= known
    assert {p.tobytes() for p in shown.nearest_pictures} <= known
    assert not {p.tobytes() for p in shown.synthetic_pictures} & known
    assert np.bincount(shown.synthetic_class).tolist() == [N_PICTURES] * 3
    assert shown.n_searched == shown.n_training == len(X)


def test_the_nearest_real_sample_is_the_nearest_by_pixels(images):
    gan, X, y = images
    shown = specimens_of(gan, X, y, seed=0)
    pixels = gan.schema_.encode_X(X).flatten(1)
    drawn = torch.from_numpy(shown.synthetic_pictures / 127.5 - 1).float().permute(0, 3, 1, 2).flatten(1)
    distances = torch.cdist(drawn, pixels)
    assert shown.distance == pytest.approx(distances.min(1).values.numpy(), abs=0.05)
    apart = torch.cdist(pixels, pixels).fill_diagonal_(torch.inf).min(1).values
    assert shown.typical_distance == pytest.approx(float(np.median(apart)))
    assert (y[distances.argmin(1)] == gan.classes_[shown.nearest_class]).mean() > 0.9


def test_copies_of_training_samples_have_no_distance_to_them(images, rows):
    for gan, X, y in (images, rows):
        shown = specimens_of(replay(gan, X, y), X, y, seed=0)
        assert shown.distance == pytest.approx(0, abs=1e-5)
        assert shown.nearest_class.tolist() == shown.synthetic_class.tolist()
        assert shown.typical_distance > 0.1


def test_samples_of_another_class_are_said_to_be_nearest_to_it(images):
    gan, X, y = images
    shown = specimens_of(replay(gan, X, np.roll(y, 30)), X, y, seed=0)
    assert not (shown.nearest_class == shown.synthetic_class).any()


def test_the_map_has_as_many_synthetic_as_real_samples_of_each_class(rows):
    gan, X, y = rows
    shown = specimens_of(gan, X, y, seed=0)
    real, synthetic = (np.bincount(shown.map_class[shown.map_synthetic == k]) for k in (False, True))
    assert real.tolist() == synthetic.tolist() == [(y == "rare").sum(), 75]
    assert shown.map.shape == (real.sum() * 2, 2)
    assert np.isfinite(shown.map).all()


def test_the_map_parts_what_differs_and_mixes_what_does_not(images):
    gan, X, y = images

    def share_of_real_neighbours(drawn):
        shown = specimens_of(replay(gan, drawn, y), X, y, seed=0)
        apart = np.linalg.norm(shown.map[:, None] - shown.map[None], axis=2)
        np.fill_diagonal(apart, np.inf)
        return (~shown.map_synthetic[apart.argsort(1)[:, :5]])[shown.map_synthetic].mean()

    assert share_of_real_neighbours(X) > 0.3
    assert share_of_real_neighbours(16 - X) < 0.1


@pytest.mark.parametrize(("n", "d"), [(50, 8), (3, 8), (50, 1)])
def test_the_map_makes_no_distance_larger(n, d):
    features = np.random.default_rng(0).normal(size=(n, d))
    assert (pdist(_map(features)) <= pdist(features) + 1e-5).all()


def test_shares_of_columns_are_those_of_the_rows(rows):
    gan, X, y = rows
    shown = specimens_of(replay(gan, X, y), X, y, seed=0)
    assert [c.name for c in shown.columns] == list(X.columns) == list(shown.column_names)
    columns = {c.name: c for c in shown.columns}
    colours = X["colour"].value_counts(normalize=True)
    assert columns["colour"].ticks == ("red", "green", "blue") == tuple(colours.index)
    assert columns["colour"].real == pytest.approx(100 * colours.to_numpy())
    assert columns["gap"].missing[0] == pytest.approx(100 * X["gap"].isna().mean())
    assert columns["day"].ticks[0].startswith("2024-01-0")
    assert columns["count"].ticks == ("0", "8")
    for column in shown.columns:
        assert sum(column.real) == pytest.approx(100)
        assert sum(column.synthetic) == pytest.approx(100)
        assert column.real == pytest.approx(column.synthetic, abs=1e-6)


def test_a_level_that_is_left_out_is_counted_with_the_others(tiny):
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"town": rng.choice([f"t{i:02d}" for i in range(30)], 400), "size": rng.random(400)})
    gan = ConditionalGAN(config=tiny, random_state=0).fit(X, np.repeat([0, 1], 200))
    town = specimens_of(gan, X, np.repeat([0, 1], 200), seed=0).columns[0]
    assert town.ticks[-1] == "other"
    assert len(town.ticks) == 8
    assert sum(town.real) == pytest.approx(100)
    assert town.real[-1] > 50


def test_no_more_than_ten_classes_are_shown_of_many(tiny):
    X, y = np.random.default_rng(0).random((300, 8, 8)), np.arange(300) % 100
    gan = ConditionalGAN(config=tiny, random_state=0).fit(X, y)
    shown = specimens_of(gan, X, y, seed=0)
    assert set(shown.real_class) == set(shown.synthetic_class) == set(range(N_CLASSES))
    assert np.bincount(shown.real_class).tolist() == [3] * N_CLASSES


def test_large_pictures_are_shrunk(tiny):
    X, y = np.random.default_rng(0).random((20, 64, 32)), np.arange(20) % 2
    gan = ConditionalGAN(config=tiny, random_state=0).fit(X, y)
    shown = specimens_of(gan, X, y, seed=0)
    assert shown.real_pictures.shape[1:] == (48, 24, 1)
    assert shown.real_pictures.mean() == pytest.approx(127.5, abs=3)


def test_few_samples_of_one_column_are_enough(tiny):
    X, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0, 0, 1, 1])
    gan = ConditionalGAN(config=tiny, random_state=0).fit(X, y)
    shown = specimens_of(gan, X, y, seed=0)
    assert shown.map.shape == (8, 2)


# --- repeatability --------------------------------------------------------------------------------


def same(a, b):
    return all(np.array_equal(getattr(a, f.name), getattr(b, f.name)) for f in fields(Specimens))


def test_the_same_seed_gives_the_same_specimens(rows):
    gan, X, y = rows
    first, again, other = (specimens_of(gan, X, y, seed=s) for s in (1, 1, 2))
    assert same(first, again)
    assert first.nearest_rows != other.nearest_rows


def test_no_stream_of_the_generator_or_of_the_caller_moves(images):
    gan, X, y = images
    before = np.random.mtrand._rand.get_state()[1].tolist(), torch.random.get_rng_state(), gan._n_calls
    specimens_of(gan, X, y, seed=0)
    assert np.random.mtrand._rand.get_state()[1].tolist() == before[0]
    assert torch.equal(torch.random.get_rng_state(), before[1])
    assert gan._n_calls == before[2]


@pytest.mark.parametrize("kind", ["images", "rows"])
def test_specimens_survive_json_and_arrays(request, kind):
    gan, X, y = request.getfixturevalue(kind)
    shown = specimens_of(gan, X, y, seed=0)
    values = shown.to_dict()
    arrays = {k: v for k, v in values.items() if isinstance(v, np.ndarray)}
    plain = json.loads(json.dumps({k: v for k, v in values.items() if k not in arrays}))
    assert same(Specimens.from_dict({**plain, **arrays}), shown)
    assert all(torch.from_numpy(a).numel() for a in arrays.values())


def test_a_frame_on_an_odd_index_is_taken_by_place():
    X, y = load_digits(n_class=2, return_X_y=True, as_frame=True)
    X, y = X.iloc[:60, 10:13].set_index(np.arange(60) // 2), y.iloc[:60].set_axis(np.arange(60) // 2)
    gan = ConditionalGAN(train_images=64, random_state=0).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(specimens_of(gan, X, y, seed=0).nearest_rows) == 4
