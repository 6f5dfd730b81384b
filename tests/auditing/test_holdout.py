"""The record of what a generator did not see, and what an audit makes of it."""

import numpy as np
import pandas as pd
import pytest

from ganaug import ConditionalGAN
from ganaug.auditing.holdout import Holdout
from ganaug.auditing.seen import seen_and_unseen
from ganaug.data.sources import Source
from ganaug.errors import CheckpointError, ConfigError, DataError

Y = np.repeat(["a", "b", "c"], [40, 20, 4])


def test_a_holdout_takes_its_share_of_each_class_and_leaves_two():
    train, held = Holdout(0.5, 0).split(Y)
    assert np.unique(Y[held], return_counts=True)[1].tolist() == [20, 10, 2]
    assert sorted([*train, *held]) == list(range(64))
    assert np.unique(Y[Holdout(0.9, 0).split(Y)[0]], return_counts=True)[1].tolist() == [4, 2, 2]
    assert set(Y[Holdout(0.2, 0).split(Y)[1]]) == {"a", "b"}


def test_a_seed_repeats_a_holdout_also_for_a_series_and_others_differ():
    first = Holdout(0.2, 0).split(Y)[1]
    assert Holdout(0.2, 0).split(pd.Series(Y, index=np.arange(64) + 9))[1].tolist() == first.tolist()
    assert Holdout(0.2, 1).split(Y)[1].tolist() != first.tolist()


@pytest.mark.parametrize("share", [0, -0.1, 0.95, float("nan"), "half"])
def test_a_share_must_be_one(share):
    with pytest.raises(ConfigError, match=r"holdout must be a number above 0 and at most 0\.9"):
        Holdout(share, 0)


def test_nothing_to_hold_out_is_said():
    with pytest.raises(DataError, match="leaves no sample of any class aside"):
        Holdout(0.1, 0).split(["a", "a", "b", "b"])


def test_a_record_comes_back_and_a_damaged_one_names_its_file(tmp_path):
    assert Holdout.read(tmp_path) is None
    Holdout(0.25, 7).write(tmp_path)
    assert Holdout.read(tmp_path) == Holdout(0.25, 7)
    for text in (
        *("{", "[1]", '{"share": 0.2}', '{"share": 3, "seed": 0}', '{"share": 0.2, "seed": "x"}'),
        *('{"share": 0.2, "seed": -5}', '{"share": 0.2, "seed": 1e400}', "[" * 200_000, "\x00"),
        *('{"share": 1e400, "seed": 0}', '{"share": 0.2, "seed": true}', '{"share": 0.2, "seed": 1.5}'),
    ):
        (tmp_path / "holdout.json").write_text(text)
        with pytest.raises(CheckpointError, match=r"holdout\.json must tell the share and seed"):
            Holdout.read(tmp_path)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    return Source("d", rng.normal(size=(64, 3)), Y, test=(rng.normal(size=(9, 3)), Y[::8]))


def test_what_was_left_aside_is_found_again_and_else_the_test_part(tiny, data):
    record = Holdout(0.5, 3)
    rows, held = record.split(data.y)
    gan = ConditionalGAN(config=tiny, random_state=0).fit(data.X[rows], data.y[rows])
    seen, unseen = seen_and_unseen(gan, data, record, None)
    np.testing.assert_array_equal(seen[0], data.X[rows])
    np.testing.assert_array_equal(unseen[0], data.X[held])
    whole = ConditionalGAN(config=tiny, random_state=0).fit(data.X, data.y)
    assert seen_and_unseen(whole, data, None, None)[1] is data.test


def test_other_data_are_refused_unless_it_is_said_what_was_not_seen(tiny, data):
    gan = ConditionalGAN(config=tiny, random_state=0).fit(data.X[:50], data.y[:50])
    with pytest.raises(DataError, match=r"DATA is not what the generator was trained on \(64 samples"):
        seen_and_unseen(gan, data, None, None)
    with pytest.raises(DataError, match=r"the part of DATA that the run's holdout\.json leaves"):
        seen_and_unseen(gan, data, Holdout(0.2, 0), None)
    other = Source("o", data.X[:10], data.y[:10])
    assert seen_and_unseen(gan, data, None, other)[1][0] is other.X
