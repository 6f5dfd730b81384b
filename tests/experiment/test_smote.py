import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.preprocessing import StandardScaler

from ganaug.data.schema import Schema
from ganaug.experiment.arms import TrainingPart
from ganaug.experiment.smote import borderline_smote, pixel_smote, smote

SIZES = {"a": 30, "b": 9, "c": 3, "d": 2}
y = np.repeat(list(SIZES), list(SIZES.values()))
WANTED = {0: 5, 1: 21, 2: 27, 3: 28}


def numbers(seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(4, 3))[np.searchsorted(list(SIZES), y)]
    return (centres + rng.normal(size=(len(y), 3))) * [1, 1e-4, 1e5]


def mixed():
    rng = np.random.default_rng(1)
    X = pd.DataFrame(numbers(), columns=["x", "y", "z"])
    X["count"] = rng.integers(0, 50, len(X))
    X["day"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, len(X)), unit="D")
    X["city"] = rng.choice(["Ulm", "Bonn", "Jena"], len(X))
    X["kind"] = pd.Categorical(rng.choice(["u", "v"], len(X)), categories=["v", "w", "u"])
    X["flag"] = rng.random(len(X)) < 0.5
    for column in ("x", "day", "city", "kind"):
        X.loc[rng.choice(len(X), 5, replace=False), column] = None
    return X


def training_part(X, wanted=WANTED, *, seed=0):
    schema = Schema.fit(X, y)
    return TrainingPart(
        X=X,
        x=schema.encode_X(X),
        c=schema.encode_y(y),
        extra_c=torch.tensor([k for k, n in wanted.items() for _ in range(n)], dtype=torch.int64),
        schema=schema,
        seed=seed,
        fitted_gan=lambda: pytest.fail("no generator is needed"),
    )


def off_segments(row, ends):
    """Return the distance of a row to the nearest segment between two of `ends`."""
    first, second = ends[:, None], ends[None]
    along = second - first
    share = ((row - first) * along).sum(-1) / np.maximum((along**2).sum(-1), 1e-12)
    return np.linalg.norm(first + share.clip(0, 1)[..., None] * along - row, axis=-1).min()


@pytest.mark.parametrize("extra", [smote, borderline_smote])
def test_rows_lie_on_segments_between_training_rows_of_their_class(extra):
    X = numbers()
    part = training_part(X)
    rows = extra(part)
    scaler = StandardScaler().fit(X)
    made, real = scaler.transform(rows), scaler.transform(X)
    classes = part.extra_c.numpy()
    assert rows.shape == (len(classes), 3)
    for k in WANTED:
        own = real[part.c.numpy() == k]
        assert max(off_segments(row, own) for row in made[classes == k]) < 1e-9
        new = [row for row in made[classes == k] if np.linalg.norm(own - row, axis=1).min() > 1e-6]
        assert len(new) > 0.8 * WANTED[k]


def test_rows_depend_on_the_seed_alone():
    first, again, other = (smote(training_part(numbers(), seed=s)) for s in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_scale_of_a_column_does_not_matter():
    X = numbers()
    assert np.allclose(smote(training_part(X)) * [1, 1e6, 1], smote(training_part(X * [1, 1e6, 1])))


def test_rows_of_mixed_columns_hold_seen_categories_and_miss_no_number():
    X = mixed()
    rows = smote(training_part(X))
    assert list(rows.columns) == list(X.columns)
    assert rows.dtypes.tolist() == X.dtypes.tolist()
    for column in ("city", "kind", "flag"):
        assert set(rows[column].dropna()) <= set(X[column].dropna())
        assert not rows[column].isna().any() or X[column].isna().any()
    for column in ("x", "y", "z", "count", "day"):
        assert not rows[column].isna().any()
        assert X[column].min() <= rows[column].min() <= rows[column].max() <= X[column].max()
    few = X[y == "d"][["city", "flag"]].dropna()
    assert set(rows.loc[training_part(X).extra_c.numpy() == 3, "flag"]) <= set(few["flag"])


def test_a_category_that_is_missing_in_most_rows_of_a_class_is_missing_in_its_added_ones():
    X = mixed()
    X.loc[(y == "b"), "city"] = None
    rows = smote(training_part(X, {1: 12}))
    assert rows["city"].isna().all()


def test_a_table_of_categories_alone_is_resampled_too():
    rows = smote(training_part(mixed()[["city", "kind"]]))
    assert set(rows["city"].dropna()) <= {"Ulm", "Bonn", "Jena"}
    assert len(rows) == sum(WANTED.values())


def test_a_class_far_from_all_others_has_no_border_and_still_gets_its_rows():
    X = numbers()
    X[y == "b"] += [1e3, 1e3, 1e8]
    part = training_part(X, {1: 12})
    assert (borderline_smote(part)[:, 0] > 900).all()
    assert len(borderline_smote(part)) == 12


@pytest.mark.parametrize("extra", [smote, borderline_smote])
def test_where_nothing_is_wanted_nothing_is_made(extra):
    assert extra(training_part(numbers(), {})).shape == (0, 3)


def test_pixel_smote_makes_images_on_segments_between_images_of_their_class():
    images = np.random.default_rng(0).integers(0, 256, size=(len(y), 9, 8), dtype=np.uint8)
    part = training_part(images)
    made, real = pixel_smote(part), part.x.flatten(1).numpy()
    assert made.shape == (len(part.extra_c), 1, 9, 8)
    assert made.abs().max() <= 1
    for k in WANTED:
        own = real[part.c.numpy() == k]
        rows = made.flatten(1).numpy()[part.extra_c.numpy() == k]
        assert max(off_segments(row, own) for row in rows) < 1e-5
        assert min(np.linalg.norm(own - row, axis=1).min() for row in rows) > 1e-6
