"""Arms that choose among candidates, on samples held out of the training part of each seed."""

from itertools import chain, islice
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from threadpoolctl import threadpool_limits
from torch import nn

from ganaug import ConditionalGAN, GANConfig, compare
from ganaug.data.schema import Schema
from ganaug.errors import ConfigError
from ganaug.experiment import bench
from ganaug.experiment.arms import ARMS, Arm, copies, noisy_copies, synthetic, tuned
from ganaug.experiment.held_out import HeldOut, Outcome
from ganaug.experiment.order import order
from ganaug.experiment.plan import Plan
from ganaug.experiment.smote import smote

TINY = GANConfig(width=4, z_dim=4, batch_size=16, train_images=32)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Keep the threads of BLAS and OpenMP out of each other's way."""
    with threadpool_limits(1):
        yield


def table(counts=(120, 16), *, seed=0):
    """Two columns, classes a distance of 1.5 apart, and an id, too small to matter, in the third."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    X = rng.normal(size=(len(y), 2)) + 1.5 * y[:, None]
    return np.column_stack([X, 1e-6 * np.arange(len(y))]), y


def poison(part):
    """Return rows of other classes, so that each added label is wrong."""
    others = [(part.c != k).nonzero().flatten() for k in part.extra_c]
    return part.x[[int(rows[i % len(rows)]) for i, rows in enumerate(others)]]


def run(candidates, data=None, **settings):
    """Compare doing nothing with an arm that chooses among candidates, and return what was added."""
    X, y = table() if data is None else data
    small = {"seeds": 4, "folds": 4, "classifier": LogisticRegression(), "config": TINY}
    arms = {
        "nothing": ARMS["nothing"],
        "twin": Arm(role="control", among=tuple(Arm(role="control") for _ in candidates)),
        "chosen": Arm(role="treatment", among=tuple(candidates)),
    }
    return compare(X, y, arms=arms, **{**small, **settings})


def added(result, arm="chosen"):
    return [c.n_extra for c in result.cells if c.arm == arm]


def extra(make, **settings):
    return Arm(role="treatment", extra=make, **settings)


NOTHING = Arm(role="treatment")


@pytest.mark.parametrize("candidates", [(NOTHING, extra(poison)), (extra(poison), NOTHING)])
def test_what_hurts_samples_held_out_is_not_taken(candidates):
    result = run(candidates, classifier=KNeighborsClassifier(3), metric="accuracy")
    assert added(result) == [0] * 4
    assert (result.scores("chosen") == result.scores("nothing")).all()


@pytest.mark.parametrize("candidates", [(NOTHING, extra(copies)), (extra(copies), NOTHING)])
def test_what_helps_samples_held_out_is_taken(candidates):
    result = run(candidates)
    assert min(added(result)) > 0
    assert result.scores("chosen").mean() > result.scores("nothing").mean() + 0.05


def test_the_choice_follows_the_metric_of_the_comparison():
    by_recall = run((NOTHING, extra(copies)), metric="balanced_accuracy")
    by_hits = run((NOTHING, extra(copies)), metric="accuracy")
    assert min(added(by_recall)) > max(added(by_hits)) == 0


def test_of_equally_good_candidates_the_first_is_taken():
    data = table(counts=(60, 20))
    data[0][:, 0] += 100 * data[1]  # whatever is added, all are right
    few = extra(copies, dose=0.25)
    assert added(run((few, NOTHING, extra(copies)), data)) == added(run((few,), data))
    assert added(run((NOTHING, few), data)) == [0] * 4


def test_a_class_too_small_to_hold_samples_out_leaves_the_first():
    data = table(counts=(40, 3))
    result = run((extra(poison), NOTHING), data, folds=None, seeds=3, test_size=0.3)
    assert min(added(result)) > 0


def test_what_is_held_out_has_no_part_in_what_is_fitted_for_the_choice():
    seen = []

    def noted(part):
        seen.append(part)
        return copies(part)

    X, y = table()
    result = run((NOTHING, extra(noted)), (X, y), seeds=3, folds=3)
    per_seed = np.array_split(np.arange(len(seen)), 3)
    for s, calls in enumerate(per_seed):
        parts = [set(seen[i].X[:, 2]) for i in calls]
        whole = set().union(*parts)
        inner = [p for p in parts if p != whole]
        assert len(inner) == 3
        assert all(whole > p for p in inner)
        assert set.intersection(*inner) == set()  # each sample is held out of one of the three
        assert len(whole) == next(c.n_train for c in result.cells if c.seed == s)


def test_each_inner_part_trains_a_generator_of_its_own(monkeypatch):
    fitted = []
    original = ConditionalGAN.fit

    def noted(self, X, y, **settings):
        fitted.append(frozenset(X[:, 2]))
        return original(self, X, y, **settings)

    monkeypatch.setattr(ConditionalGAN, "fit", noted)
    result = run((NOTHING, extra(synthetic, dose=0.5), extra(synthetic)), seeds=3, folds=3)
    n_train = {c.n_train for c in result.cells}
    inner = [f for f in fitted if len(f) not in n_train]
    assert len(inner) == len(set(inner)) == 9
    spent = [c.gan_seconds for c in result.cells if c.arm == "chosen"]
    assert min(spent) > 0


def test_the_chosen_candidate_is_trained_as_if_it_stood_alone():
    X, y = table()
    half = extra(copies, dose=0.5)
    arms = {
        "nothing": ARMS["nothing"],
        "twin": Arm(role="control", among=(Arm(role="control"),)),
        "half": half,
        "chosen": Arm(role="treatment", among=(half,)),
    }
    result = compare(X, y, arms=arms, seeds=3, classifier="mlp", steps=20, config=TINY)
    of = {(c.arm, c.seed): c for c in result.cells}
    for s in range(3):
        assert (of["half", s].y_score == of["chosen", s].y_score).all()
        assert of["half", s].n_extra == of["chosen", s].n_extra


@pytest.mark.parametrize("classifier", ["logistic", "mlp"])
def test_a_dose_is_a_share_of_the_same_samples_in_each_class(classifier):
    X, y = table(counts=(60, 20, 12))
    seen = []

    def numbered(part):
        seen.append(part.extra_c)
        return copies(part)

    arms = {"nothing": ARMS["nothing"]} | {f"{d}": extra(numbered, dose=d) for d in (0.25, 0.5, 1.0)}
    result = compare(X, y, arms=arms, seeds=3, classifier=classifier, steps=20, config=TINY)
    for s in range(3):
        wanted = seen[3 * s].bincount().tolist()
        shares = [
            next(c.n_extra for c in result.cells if (c.arm, c.seed) == (f"{d}", s)) for d in (0.25, 0.5)
        ]
        assert shares == [sum(round(d * n) for n in wanted) for d in (0.25, 0.5)]


class Noting(LogisticRegression):
    """Notes what it is trained on."""

    seen: ClassVar = []

    def fit(self, X, y, sample_weight=None):
        Noting.seen.append((np.asarray(X), np.asarray(y)))
        return super().fit(X, y, sample_weight)


@pytest.mark.parametrize("make", [copies, smote])
def test_an_estimator_is_trained_on_the_share_of_each_class_and_on_no_other_row(make):
    X, y = table(counts=(60, 20, 12))
    Noting.seen.clear()
    arms = {"nothing": ARMS["nothing"], "half": extra(make, dose=0.5), "whole": extra(make)}
    compare(X, y, arms=arms, seeds=3, classifier=Noting(), config=TINY)
    for nothing, half, whole in zip(*(Noting.seen[i::3] for i in range(3)), strict=True):
        n = len(nothing[0])
        for rows, labels in (half, whole):
            assert np.array_equal(rows[:n], nothing[0])
            assert np.array_equal(labels[:n], nothing[1])
        for k in range(3):
            added, of = half[0][n:][half[1][n:] == k], whole[0][n:][whole[1][n:] == k]
            assert len(added) == round(len(of) / 2)
            assert np.array_equal(added, of[: len(added)])


def test_a_torch_module_is_trained_on_the_share_alone(monkeypatch):
    seen = []
    original = bench.train_and_predict

    def noted(model, recipe, *args, **settings):
        shown = islice(chain.from_iterable(order(recipe, seed=settings["seed"])), 3000)
        seen.append((recipe, sorted({i - len(recipe.c) for i in shown if i >= len(recipe.c)})))
        return original(model, recipe, *args, **settings)

    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(3, 3)

        def forward(self, x):
            if self.training:
                batches.append(x.detach().clone())
            return self.linear(x)

    batches: list = []
    monkeypatch.setattr(bench, "train_and_predict", noted)
    X, y = table(counts=(60, 20, 12))
    arms = {"nothing": ARMS["nothing"], "half": extra(noisy_copies, dose=0.5)}
    compare(X, y, arms=arms, seeds=3, classifier=Counting, steps=40, config=TINY)
    for i, (recipe, shown) in enumerate(seen):
        trained = {tuple(row) for batch in batches[40 * i : 40 * (i + 1)] for row in batch.tolist()}
        used = [] if recipe.x_extra is None else recipe.x_extra[recipe.used]
        rest = [] if recipe.x_extra is None else recipe.x_extra[~recipe.used]
        assert len(shown) == len(used)
        assert (len(used) > 0) == (i % 2 == 1)
        assert not trained & {tuple(row) for row in np.asarray(rest).tolist()}
        assert {tuple(row) for row in np.asarray(used).tolist()} <= trained


def test_the_choice_follows_a_metric_of_scores_over_all_folds():
    result = run((extra(poison), NOTHING), classifier=KNeighborsClassifier(5), metric="average_precision")
    assert added(result) == [0] * 4


def test_a_module_of_ones_own_fits_where_a_category_is_in_some_inner_parts_only():
    towns = np.repeat(list("abcdefghijk"), [60] + [3] * 10)
    X = pd.DataFrame({"town": pd.Categorical(towns)})
    y = np.arange(len(towns)) % 2
    width = Schema.fit(X, y).codec.shape[0]
    arms = ["nothing", "tuned oversampling", "tuned gan"]
    settings = {"seeds": 3, "steps": 4, "config": TINY, "test_size": 0.1, "fill": 2.0}
    result = compare(X, y, arms=arms, classifier=lambda: nn.Linear(width, 2), **settings)
    assert len(result.cells) == 9


def test_what_cannot_be_an_arm_is_refused():
    for wrong, message in (
        (lambda: Arm(role="control", dose=0.5), "with a dose must have extra"),
        (lambda: Arm(role="control", among=("nothing",)), "among must hold arms"),
        (lambda: tuned(ARMS["threshold"]), "must have extra for its dose"),
        (lambda: tuned(ARMS["tuned gan"]), "must have extra for its dose"),
    ):
        with pytest.raises(ConfigError, match=message):
            wrong()


def test_a_tuned_arm_may_add_nothing_and_has_a_twin_among_the_controls():
    gan, twin = ARMS["tuned gan"], ARMS["tuned oversampling"]
    assert [a.extra for a in gan.among] == [None, synthetic, synthetic, synthetic]
    assert [a.dose for a in gan.among[1:]] == [a.dose for a in twin.among[1:]] == [0.25, 0.5, 1.0]
    X, y = table(counts=(40, 10))
    with pytest.raises(ConfigError, match="control that differs from 'tuned gan'"):
        compare(X, y, arms=["nothing", "tuned gan"], config=TINY)
    result = compare(X, y, arms=["nothing", "tuned oversampling", "tuned gan"], seeds=3, config=TINY, steps=5)
    assert result.primary == "tuned gan"


def test_what_a_candidate_needs_its_arm_needs():
    X, y = table(counts=(40, 10))
    classic = tuned(Arm(role="treatment", extra=synthetic, classic=True, data="image"))
    twin = tuned(Arm(role="control", extra=copies, classic=True, data="image"))
    with pytest.raises(ConfigError, match="needs data of kind 'image'"):
        compare(X, y, arms={"nothing": ARMS["nothing"], "twin": twin, "own": classic}, config=TINY)


@pytest.mark.parametrize("wrong", [{"dose": 0}, {"dose": 1.5}, {"dose": -1}])
def test_a_dose_is_above_0_and_at_most_1(wrong):
    with pytest.raises(ConfigError, match="dose"):
        Arm(role="control", extra=copies, **wrong)


def test_an_arm_of_candidates_has_no_settings_of_its_own():
    with pytest.raises(ConfigError, match="no settings of its own"):
        Arm(role="control", among=(Arm(role="control"),), classic=True)


def said(*y_pred):
    """Return an outcome of a fold."""
    return Outcome(np.array(y_pred), None, 0, 0.0, 0.0, "")


def test_each_class_takes_the_candidate_with_the_best_f1_on_it_over_all_folds():
    truth = [np.array([0, 0, 1, 1]), np.array([0, 1, 2, 2])]
    outcomes = [
        [said(0, 0, 0, 0), said(0, 0, 2, 2)],  # finds all of class 0, and of class 2
        [said(1, 1, 1, 1), said(1, 1, 2, 2)],  # all of class 1, and as well of class 2
    ]
    assert HeldOut(truth, outcomes).best_by_class(3) == [0, 1, 0]


def test_by_class_a_class_that_its_samples_hurt_gets_none_of_them_and_another_its_own():
    y = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [40, 40, 6]))
    X = np.random.default_rng(1).normal(size=(86, 2)) + 1.5 * np.eye(3)[y][:, :2]
    X = np.column_stack([X, 1e-6 * np.arange(86)])

    def bad_for_one(part):
        rows = copies(part)
        rows[part.extra_c == 1] = poison(part)[part.extra_c == 1]
        return rows

    arm = tuned(extra(bad_for_one), by_class=True)
    plan = Plan(
        classifier=LogisticRegression(),
        arms={},
        metric="balanced_accuracy",
        fill={0: 40, 1: 80, 2: 40},
        steps=1,
        batch_size=8,
        config=TINY,
        device="cpu",
        classic=None,
        names=["0", "1", "2"],
        random_state=0,
    )
    made = bench.Bench(plan, X, y, 0)
    chosen = made._best_of(arm, made.held_out("arm", arm))
    assert chosen.doses[1] == 0  # what is of another class
    assert chosen.doses[2] > 0  # copies of a class of 6


def test_candidates_by_class_differ_in_their_doses_only():
    with pytest.raises(ConfigError, match="by_class must have candidates"):
        Arm(role="control", by_class=True)
    with pytest.raises(ConfigError, match="differ in their doses only"):
        Arm(role="control", by_class=True, among=(extra(copies), extra(copies, place="swap")))
    with pytest.raises(ConfigError, match="without phases='pretrain' or place='even'"):
        tuned(extra(copies, place="even"), by_class=True)  # without a dose it would still fill up with copies
