"""Which samples a classifier sees at which step, in every arm of a seed."""

from collections import Counter
from dataclasses import replace
from itertools import chain, islice

import numpy as np
import pytest
import torch

from ganaug.experiment.classifiers import Recipe
from ganaug.experiment.order import PHASES, batches, order, stand_ins, swap_mask

CLASSES = torch.tensor([2, 0, 1, 1, 0, 2, 2, 0])


def recipe(n_real=None, used=(), **settings):
    used = torch.as_tensor(used, dtype=torch.bool)
    c = CLASSES if n_real is None else torch.arange(n_real) % 2
    return Recipe(
        X=None,
        x=torch.zeros(len(c), 1),
        c=c,
        x_extra=torch.zeros(len(used), 1),
        extra_c=torch.zeros(len(used), dtype=torch.int64),
        used=used,
        class_weights=False,
        transform=None,
        **settings,
    )


def swapping(p, **settings):
    return recipe(used=torch.ones(len(CLASSES)), swap=np.full(len(CLASSES), p), n_pace=3, **settings)


def shown(given, n, samples="all", *, seed=4):
    return [int(i) for i in islice(chain.from_iterable(order(given, samples, seed=seed)), n)]


@pytest.mark.parametrize(("n_real", "n_extra"), [(7, 5), (20, 100), (5, 0)])
def test_every_arm_of_a_seed_sees_the_real_samples_in_the_same_order(n_real, n_extra):
    every = shown(recipe(n_real, torch.ones(n_extra)), 40 * (n_real + n_extra))
    some = torch.arange(n_extra) % 2 == 0
    kept = [i for i in every if i < n_real or some[i - n_real]]
    real = [i for i in every if i < n_real]
    assert shown(recipe(n_real, some), len(kept)) == kept
    assert shown(recipe(n_real, torch.zeros(n_extra)), len(real)) == real
    assert shown(recipe(n_real, torch.ones(n_extra)), len(real), "real") == real


@pytest.mark.parametrize("n_extra", [0, 2, 5, 30])
def test_an_arm_that_adds_more_or_fewer_than_others_sees_real_samples_in_their_order_too(n_extra):
    plain = shown(recipe(7, torch.zeros(5)), 70)
    mine = shown(recipe(7, torch.ones(n_extra), n_pace=5), 10 * (7 + n_extra))
    assert [i for i in mine if i < 7] == plain
    assert Counter(i for i in mine if i >= 7) == dict.fromkeys(range(7, 7 + n_extra), 10)


def test_more_samples_than_others_add_lie_anywhere_in_an_epoch():
    epochs = np.reshape(shown(recipe(20, torch.ones(20), n_pace=0), 400 * 40), (400, 40))
    share = (epochs >= 20).mean(0)
    assert share.min() > 0.4
    assert share.max() < 0.6


def test_an_epoch_shows_each_sample_once_and_the_next_one_in_another_order():
    epochs = np.reshape(shown(recipe(6, torch.ones(4)), 50), (5, 10))
    assert (np.sort(epochs, axis=1) == np.arange(10)).all()
    assert len({tuple(epoch) for epoch in epochs.tolist()}) == 5


def test_the_order_depends_on_the_seed():
    first, again, other = (shown(recipe(9, torch.ones(3)), 60, seed=s) for s in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("phases", PHASES)
@pytest.mark.parametrize("steps", [1, 7, 50])
def test_phases_share_the_steps_of_an_arm_without_phases(phases, steps):
    found = list(batches(recipe(7, torch.ones(4), phases=phases), steps=steps, batch_size=5, seed=0))
    assert [batch.shape for batch in found] == [(5,)] * steps


def test_pretraining_ends_with_real_samples_only_and_begins_with_added_ones_only():
    found = list(batches(recipe(7, torch.ones(4), phases="pretrain"), steps=40, batch_size=5, seed=0))
    assert min(int(batch.min()) for batch in found[:20]) == 7
    assert max(int(batch.max()) for batch in found[20:]) == 6
    plain = batches(recipe(7, torch.zeros(4)), steps=20, batch_size=5, seed=0)
    assert all(torch.equal(a, b) for a, b in zip(found[20:], plain, strict=True))


def test_the_last_fifth_of_real_last_sees_real_samples_only():
    found = list(batches(recipe(7, torch.ones(4), phases="real last"), steps=40, batch_size=5, seed=0))
    mixed = list(batches(recipe(7, torch.ones(4)), steps=40, batch_size=5, seed=0))
    assert all(torch.equal(a, b) for a, b in zip(found[:32], mixed[:32], strict=True))
    assert max(int(batch.max()) for batch in found[32:]) == 6


@pytest.mark.parametrize("phases", PHASES)
def test_where_nothing_is_added_phases_change_nothing_before_the_first_ends(phases):
    found = list(batches(recipe(7, torch.zeros(4), phases=phases), steps=20, batch_size=5, seed=0))
    plain = list(batches(recipe(7, torch.zeros(4)), steps=20, batch_size=5, seed=0))
    assert all(torch.equal(a, b) for a, b in zip(found[:10], plain[:10], strict=True))


def test_a_stand_in_is_of_the_class_of_its_real_sample_and_stands_for_it_alone():
    assert CLASSES.sort().values[stand_ins(CLASSES)].tolist() == CLASSES.tolist()
    assert sorted(stand_ins(CLASSES)) == [*range(len(CLASSES))]


def test_a_swap_changes_no_class_and_no_number_of_rows_and_keeps_the_order():
    n = len(CLASSES)
    pool = torch.cat([CLASSES, CLASSES.sort().values])
    plain, swapped = (shown(swapping(p), 100 * n) for p in (1e-9, 0.3))
    assert plain == shown(recipe(used=torch.zeros(3)), 100 * n)
    assert pool[swapped].tolist() == pool[plain].tolist()
    real_of = {n + j: i for i, j in enumerate(stand_ins(CLASSES))}
    assert [real_of.get(i, i) for i in swapped] == plain
    assert 0.25 < np.mean(np.array(swapped) >= n) < 0.35
    epochs = np.reshape(swapped, (100, n))
    assert len({tuple(sorted(epoch)) for epoch in epochs.tolist()}) > 20  # others each time


def test_of_a_swap_phases_see_real_samples_or_their_stand_ins():
    n = len(CLASSES)
    assert shown(swapping(0.3), 5 * n, "real") == shown(recipe(used=torch.zeros(3)), 5 * n)
    assert min(shown(swapping(0.3), 5 * n, "added")) == n
    assert swap_mask(np.full(1000, 0.3), seed=0).mean() == pytest.approx(0.3, abs=0.05)
    first = shown(swapping(0.3), n)
    assert {i for i in range(n) if i not in first} == set(np.flatnonzero(swap_mask(np.full(n, 0.3), seed=4)))


def evenly(chance):
    """Classes of 3, 2 and 3 samples and a copy of class 1; all of a class have a chance of a stand-in."""
    copied = np.array([3])
    own = torch.cat([CLASSES, CLASSES[copied]])
    extra_c = own.sort().values
    given = recipe(used=torch.ones(len(own)), swap=np.asarray(chance)[own], copied=copied, n_pace=1)
    return replace(given, extra_c=extra_c)


def test_stand_ins_for_real_samples_and_copies_leave_the_classes_and_their_order_as_they_are():
    given = evenly([0.4, 0.4, 0.4])
    pool = torch.cat([CLASSES, given.extra_c])
    plain = shown(recipe(used=torch.ones(1)), 900)  # a fill with one more sample, the copy's place
    mixed = shown(given, 900)
    classes = torch.cat([CLASSES, CLASSES[[3]]])
    assert pool[mixed].tolist() == classes[plain].tolist()
    assert all(i >= 8 or i == (j if j < 8 else 3) for i, j in zip(mixed, plain, strict=True))
    assert 0.35 < np.mean(np.array(mixed) >= 8) < 0.45
    assert Counter(i for i in mixed if i >= 8).keys() == {*range(8, 17)}  # all of them, in time


def test_each_class_has_its_own_chance_of_stand_ins():
    given = evenly([0.0, 1.0, 0.5])
    rows = np.array(shown(given, 900))
    classes = torch.cat([CLASSES, given.extra_c])[rows].numpy()
    shares = [np.mean(rows[classes == k] >= 8) for k in range(3)]
    assert shares[:2] == [0, 1]
    assert 0.4 < shares[2] < 0.6
