"""Samples without labels in a comparison: who may see them, and that nobody is told their classes."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch.utils.data import TensorDataset

from ganaug import ConfigError, DataError, GANConfig, compare
from ganaug.errors import GanaugWarning
from ganaug.experiment import torch_loop
from ganaug.experiment.arms import ARMS, Arm, copies, near_boundary, pseudo_labelled
from ganaug.experiment.classifiers import Recipe
from ganaug.experiment.inputs import resolve_arms
from ganaug.experiment.jobs import bench_of
from ganaug.experiment.samples import TrainingPart
from ganaug.experiment.setup import set_up
from ganaug.mixing.complement import ComplementGenerator

pytestmark = pytest.mark.filterwarnings("ignore:unlabelled samples are used by controls")

TINY = GANConfig(width=4, z_dim=4, batch_size=16, train_images=32)
ARMS_USED = ["nothing", "oversampling", "pseudo-labels", "gan"]


def rows(n=400, *, seed=0):
    """Two classes that overlap a little, and an id too small to matter; the first two rows have its ends."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    ids = np.arange(n)
    ids[:2], ids[2:] = (0, n - 1), np.arange(1, n - 1)
    return np.column_stack([rng.normal(size=(n, 2)) + 3 * y[:, None], 1e-6 * ids]), y


def prepared(X, y, **settings):
    """Return a checked comparison."""
    given = {
        "classifier": LogisticRegression(),
        "arms": ARMS_USED,
        "primary": None,
        "seeds": 3,
        "metric": "accuracy",
        "rope": 0.5,
        "fill": 4.0,
        "labelled_per_class": None,
        "test": None,
        "test_size": 0.25,
        "folds": None,
        "train_size": None,
        "groups": None,
        "unlabelled": None,
        "steps": 10,
        "batch_size": 8,
        "classic": None,
        "names": None,
        "preset": "quick",
        "config": TINY,
        "train_images": None,
        "device": "cpu",
        "random_state": 0,
    }
    return set_up(X, y, **{**given, **settings})


def ids(X):
    return set(np.round(np.asarray(X)[:, 2] / 1e-6).astype(int).tolist())


@pytest.mark.parametrize("splits", [{"train_size": 40}, {"labelled_per_class": 9}])
def test_the_rest_is_what_is_in_neither_part_of_a_seed(splits):
    X, y = rows()
    given = {"test": (X[300:], y[300:])} if "labelled_per_class" in splits else {}
    X, y = (X[:300], y[:300]) if given else (X, y)
    setup = prepared(X, y, unlabelled="rest", **splits, **given)
    for s in range(3):
        part = setup.part(s)
        assert ids(part.unlabelled) == ids(X) - ids(part.X) - ids(part.X_test)  # also what others train on
        assert part.reserve is None  # its labels are for oracles, and there is none
        assert setup.settings["unlabelled"] == len(part.unlabelled)
    assert f"{len(part.unlabelled)} unlabelled samples in each seed" in setup.settings["splits"]


def test_given_samples_are_those_of_every_seed():
    X, y = rows()
    setup = prepared(X[:300], y[:300], unlabelled=X[300:])
    assert all(ids(setup.part(s).unlabelled) == ids(X[300:]) for s in range(3))


def numbers_of(X):
    """Return the places of rows among all."""
    found = np.round(np.asarray(X)[:, 2] / 1e-6).astype(int) + 1
    return np.where(found == 1, 0, np.where(found == 400, 1, found))


def pseudo_labelled_by(setup, seed=0):
    """Return ids and classes of what the arm with pseudo-labels adds in a seed."""
    bench = bench_of(setup.plan, setup.part(seed), None)
    recipe = bench.recipes.recipe("pseudo-labels", replace(ARMS["pseudo-labels"], place="fill", dose=1.0))
    return bench.schema.codec.decode(recipe.x_extra), recipe.extra_c


def test_pseudo_labels_are_those_of_a_classifier_of_the_labelled_samples():
    X, y = rows()
    setup = prepared(X[:80], y[:80], unlabelled=X[80:], fill=3.0)
    added, c = pseudo_labelled_by(setup)
    numbers = numbers_of(added)
    assert numbers.min() >= 80
    assert len(set(numbers.tolist())) == len(numbers)  # each once, while there are enough
    assert np.mean(y[numbers] == c.numpy()) > 0.97
    assert np.mean(y[numbers] == c.numpy()) < 1 or len(numbers) < 400
    part = setup.part(0)
    bench = bench_of(setup.plan, part, None)
    said = bench.recipes.teacher("arm", ARMS["pseudo-labels"])(bench.part.unlabelled).argmax(1)
    assert said[numbers - 80].tolist() == c.tolist()


def test_the_least_sure_tenth_gets_no_pseudo_label():
    X, y = rows()
    setup = prepared(X[:80], y[:80], unlabelled=X[80:], fill=20.0)
    added, c = pseudo_labelled_by(setup)
    bench = bench_of(setup.plan, setup.part(0), None)
    chance, said = bench.recipes.teacher("arm", ARMS["pseudo-labels"])(bench.part.unlabelled).max(1)
    numbers = numbers_of(added) - 80
    for k in (0, 1):
        mine = chance[said == k].sort().values
        used = chance[np.unique(numbers[c.numpy() == k])]
        assert used.min() >= mine[int(0.08 * len(mine))]


def test_a_class_that_no_unlabelled_sample_seems_to_be_of_gets_copies():
    X, y = rows()
    far = X[80:][X[80:, :2].sum(1) < 1]
    setup = prepared(X[:80], y[:80], unlabelled=far, fill=3.0)
    added, c = pseudo_labelled_by(setup)
    numbers = numbers_of(added)
    assert (numbers[c.numpy() == 0] >= 80).all()
    assert np.mean(numbers[c.numpy() == 1] < 80) > 0.9


def test_arms_that_need_unlabelled_samples_are_refused_without_and_left_out_of_a_default():
    X, y = rows()
    with pytest.raises(ConfigError, match="'pseudo-labels' needs unlabelled samples; set `unlabelled`"):
        compare(X, y, arms=ARMS_USED, classifier="logistic", seeds=3, config=TINY)
    chosen, _ = resolve_arms(None, None, kind="table")
    assert not any(arm.asks_unlabelled for arm in chosen.values())


@pytest.mark.parametrize(
    ("unlabelled", "error", "message"),
    [
        ("rest", ConfigError, "there are none; set train_size"),
        ("all", ConfigError, "unlabelled must be one of 'rest'"),
        (np.zeros((4, 2)), DataError, "unlabelled|columns|shape"),
        (np.zeros((0, 3)), DataError, "unlabelled must be samples like those of X"),
        (7, DataError, "unlabelled must be samples like those of X"),
        (np.full((4, 3), np.inf), DataError, "inf"),
    ],
)
def test_what_is_no_set_of_unlabelled_samples_is_refused_by_name(unlabelled, error, message):
    X, y = rows(80)
    with pytest.raises(error, match=message):
        compare(X, y, unlabelled=unlabelled, arms=ARMS_USED, classifier="logistic", seeds=3, config=TINY)


def test_unlabelled_images_of_other_units_are_refused():
    X = np.random.default_rng(0).integers(0, 255, (40, 8, 8), dtype=np.uint8)
    y = np.arange(40) % 2
    with pytest.raises(DataError, match="unlabelled images must be like the training images"):
        compare(X, y, unlabelled=X / 255.0, seeds=3, config=TINY)


def test_other_unlabelled_samples_are_another_comparison():
    X, y = rows()
    first, same, other = (
        prepared(X[:300], y[:300], unlabelled=u).identity for u in (X[300:], X[300:], X[320:])
    )
    assert first == same != other
    assert first["unlabelled"] == 100
    assert prepared(X, y, unlabelled="rest", train_size=40).settings["unlabelled"] == 260


def test_a_comparison_with_unlabelled_samples_pairs_the_complement_with_its_twin():
    X, y = rows()
    result = compare(
        X[:200],
        y[:200],
        unlabelled=X[200:],
        arms=["nothing", "pseudo-labels", "entropy", "mixes", "complement"],
        classifier="mlp",
        train_size=20,
        seeds=3,
        steps=40,
        config=TINY,
    )
    assert result.primary == "complement"
    assert result.twins == {"complement": "mixes"}
    assert not result.failed
    assert len({c.start for c in result.cells if c.seed == 0}) == 1
    assert {c.n_extra for c in result.cells if c.arm == "complement"} == {0}


def test_the_complement_plays_with_unlabelled_samples_and_with_those_of_the_part():
    X, y = rows(100)
    setup = prepared(
        X[:60], y[:60], unlabelled=X[60:], arms=["nothing", "mixes", "complement"], classifier="mlp"
    )
    bench = bench_of(setup.plan, setup.part(0), None)
    model = bench._new_classifier()
    played = torch_loop._without_labels(bench.recipes.recipe("arm", ARMS["complement"]))
    assert len(played) == 40 + len(bench.x)
    assert played.abs().max() <= 1
    assert bench.recipes._complement(ARMS["complement"])(model, played).G is not None
    alone = bench_of(setup.plan, replace(setup.part(0), unlabelled=None), None)
    assert torch.equal(torch_loop._without_labels(alone.recipes.recipe("arm", ARMS["mixes"])), alone.x)


@pytest.mark.parametrize("fakes", ["none", "mixes"])
def test_the_less_the_game_counts_the_less_it_changes_the_classifier(fakes):
    X, y = rows(100)
    setup = prepared(
        *(X[:60], y[:60]),
        unlabelled=X[60:],
        arms=["nothing", "mixes", "complement"],
        classifier=lambda shape, n_classes: torch.nn.Linear(shape[0], n_classes),  # without dropout
    )
    bench = bench_of(setup.plan, setup.part(0), None)

    def weights(**settings):
        recipe = bench.recipes.recipe("arm", Arm(role="control", **settings))
        return bench._trained_model(recipe).weight.detach()

    plain = weights()
    change = [(weights(complement=fakes, complement_weight=w) - plain).norm() for w in (1e-9, 0.1, 1.0)]
    assert change[0] < 1e-4 < change[1] < change[2]


def test_a_mixed_row_of_a_frame_has_whole_columns_of_others():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"paid": np.where(rng.random(80) < 0.6, 0.0, rng.lognormal(size=80)), "b": rng.random(80)}
    )
    y = np.arange(80) % 2
    setup = prepared(frame, y, arms=["nothing", "mixes", "complement"], classifier="mlp")
    bench = bench_of(setup.plan, setup.part(0), None)
    rival = bench.recipes._complement(ARMS["mixes"])(bench._new_classifier(), bench.x)
    fake = rival.fakes(bench.x, torch.Generator().manual_seed(0))
    widths = bench.schema.codec.widths
    assert len(widths) == 2 < len(bench.schema.blocks)  # the paid amount has a scalar and places
    for mine, theirs in zip(fake.split(widths, 1), bench.x.split(widths, 1), strict=True):
        assert sorted(mine.tolist()) == sorted(theirs.tolist())
    assert not (fake[:, None] == bench.x[None]).all(2).any(1).all()


def test_the_complement_needs_a_torch_classifier():
    X, y = rows(80)
    with pytest.raises(ConfigError, match="needs a torch classifier, against which the generator plays"):
        compare(X, y, arms=["nothing", "mixes", "complement"], classifier="forest", seeds=3, config=TINY)


def test_a_frame_of_mixed_columns_is_played_with_too():
    X, y = rows(120)
    frame = pd.DataFrame({"a": X[:, 0], "b": np.where(X[:, 1] > 1, "high", "low")})
    result = compare(
        frame[:80],
        y[:80],
        unlabelled=frame[80:],
        arms=["nothing", "pseudo-labels", "mixes", "complement"],
        classifier="mlp",
        seeds=3,
        steps=10,
        config=TINY,
    )
    assert not result.failed


# --- samples that the classifier finds hard -----------------------------------------------------------


class Line:
    """A generator of numbers on a line, by class."""

    def generate(self, counts, *, random_state, snapshot):
        rng = np.random.default_rng(random_state)
        X = np.concatenate([rng.normal(size=(n, 1)) + 2 * k for k, n in counts.items()])
        DRAWN.append((snapshot, len(X)))
        return X, None


DRAWN: list[tuple[str | None, int]] = []


def line_part(wanted, **settings):
    X = np.linspace(-4, 6, 80)[:, None]
    setup = prepared(X, (X[:, 0] > 1).astype(int), arms=["nothing", "oversampling", "gan"])
    bench = bench_of(setup.plan, setup.part(0), None)
    return TrainingPart(
        X=bench.X,
        x=bench.x,
        c=bench.c,
        extra_c=torch.tensor(wanted),
        schema=bench.schema,
        seed=0,
        fitted_gan=Line,
        **settings,
    )


def test_samples_near_the_boundary_are_on_their_own_side_of_it_and_nearer_than_others():
    part = line_part([0] * 50 + [1] * 50)
    middle = float(part.schema.encode_X(np.array([[1.0]]))[0, 0])

    def teacher(x):
        odds = 20 * (x[:, 0] - middle)
        return torch.stack([-odds, odds], 1).softmax(1)

    hard = near_boundary(replace(part, teacher=lambda: teacher))[:, 0] - middle
    every = part.schema.encode_X(Line().generate({0: 200, 1: 200}, random_state=1, snapshot=None)[0])
    every = every[:, 0] - middle
    assert (hard[:50] < 0).all()
    assert (hard[50:] > 0).all()
    assert hard.abs().median() < 0.6 * every.abs().median()


def test_all_snapshots_share_the_samples_of_each_class():
    from ganaug.experiment.samples import synthetic

    DRAWN.clear()
    made = synthetic(line_part([0] * 5 + [1] * 4, snapshot="all"))
    assert len(made) == 9
    assert DRAWN == [("best", 5), ("last", 4)]
    middle = (made[:5].mean() + made[5:].mean()) / 2
    assert (made[:5] < middle).sum() > 2  # of class 0 come first


def test_a_share_of_all_snapshots_is_of_both(monkeypatch):
    from ganaug.experiment.samples import synthetic

    def marked(self, counts, *, random_state, snapshot):
        return np.full((sum(counts.values()), 1), {"best": 0.0, "last": 1.0}[snapshot]), None

    monkeypatch.setattr(Line, "generate", marked)
    part = line_part([0] * 8 + [1] * 8, snapshot="all")
    made = synthetic(part)[:, 0] > part.schema.encode_X(np.array([[0.5]]))[0, 0]
    for first in (made[:4], made[8:12]):  # half of each class, as a dose takes it
        assert first.sum() == 2


# --- doses by class ----------------------------------------------------------------------------------


def test_a_dose_of_each_class_is_the_share_of_its_samples_that_is_used():
    X, y = rows()
    setup = prepared(X, y, arms=["nothing", "oversampling", "gan"], fill=3.0)
    bench = bench_of(setup.plan, setup.part(0), None)
    recipe = bench.recipes.recipe("arm", Arm(role="control", extra=copies, dose=(0.0, 0.5)))
    used = recipe.extra_c[recipe.used].bincount(minlength=2)
    assert used[0] == 0
    assert used[1] == round(0.5 * int((recipe.extra_c == 1).sum()))


@pytest.mark.parametrize("dose", [(0.2, 1.5), (-0.1, 0.5)])
def test_a_dose_of_a_class_is_a_share(dose):
    with pytest.raises(ConfigError, match="dose must be"):
        Arm(role="control", extra=copies, dose=dose)


def test_pseudo_labels_without_unlabelled_samples_say_what_is_missing():
    with pytest.raises(ConfigError, match="extra=pseudo_labelled needs unlabelled samples"):
        pseudo_labelled(line_part([0]))
    with pytest.raises(ConfigError, match="near the boundary needs a classifier"):
        near_boundary(line_part([0]))


# --- what is compared by default -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("classifier", "primary"), [("mlp", "pseudo-labels + complement"), ("forest", "gan")]
)
def test_with_unlabelled_samples_the_verdict_is_about_the_complement_where_a_module_can_play(
    classifier, primary
):
    X, y = rows(120)
    setup = prepared(X[:60], y[:60], unlabelled=X[60:], arms=None, classifier=classifier)
    assert setup.primary == primary
    assert "pseudo-labels" in setup.plan.arms
    assert ("pseudo-labels + complement" in setup.plan.arms) == (classifier == "mlp")


def test_with_unlabelled_samples_small_classes_leave_room_for_a_thousand():
    X, y = rows(400)
    more = np.random.default_rng(1).normal(size=(2400, 3))
    for unlabelled, total in ((more, 1000), (more[:200], 100), (X[300:], 50), (None, 20)):
        few = {"labelled_per_class": 10, "test": (X[:100], y[:100]), "fill": "auto", "arms": None}
        setup = prepared(X[100:300], y[100:300], unlabelled=unlabelled, **few)
        bench = bench_of(setup.plan, setup.part(0), None)
        assert (bench.c.bincount() + bench.part.extra_c.bincount()).tolist() == [total] * 2


# --- leaks ---------------------------------------------------------------------------------------------


def test_a_given_sample_that_is_tested_or_trained_on_is_left_out_of_its_seed():
    X, y = rows(120)
    with pytest.raises(ConfigError, match="all 120 are equal to samples of X"):
        prepared(X, y, unlabelled=X)  # what a user may well try
    setup = prepared(X[:80], y[:80], unlabelled=X)
    assert all(ids(setup.part(s).unlabelled) == ids(X[80:]) for s in range(3))
    assert "40 unlabelled samples in each seed" in setup.settings["splits"]
    assert setup.settings["unlabelled"] == 40


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_equal_samples_are_told_whatever_their_precision(dtype):
    X = np.random.default_rng(0).random((120, 8, 8)).astype(np.float32)
    y = np.arange(120) % 2
    with pytest.raises(ConfigError, match="all 120 are equal"):
        prepared(X, y, unlabelled=X.astype(dtype), classifier="cnn")
    values = np.random.default_rng(1).permutation(np.linspace(0, 7, 200))
    values[:2] = -1, 8  # what is beyond the range of X is encoded as its end
    frame = pd.DataFrame({"a": values, "town": ["Ulm", "Bonn"] * 100})
    given = {"test": (frame[150:], y[:50]), "labelled_per_class": 9}
    setup = prepared(frame[:100], y[:100], unlabelled=frame.astype({"a": dtype}), **given)
    assert [len(setup.part(s).unlabelled) for s in range(3)] == [200 - 50 - 18] * 3


def test_nearly_equal_samples_are_not_equal():
    rng = np.random.default_rng(0)
    X, y = rng.lognormal(3, 1, (4000, 1)), np.arange(4000) % 2
    setup = prepared(X[:2000], y[:2000], test=(X[2000:3000], y[2000:3000]), unlabelled=X[3000:])
    assert setup.settings["test_samples_in_training"] == 0
    assert setup.settings["unlabelled"] >= 995


def test_unlabelled_samples_that_no_treatment_uses_are_no_secret():
    X, y = rows(80)
    with pytest.warns(GanaugWarning, match=r"by none of the treatments \('gan'\)"):
        prepared(X[:60], y[:60], unlabelled=X[60:])


def test_a_pair_of_samples_and_labels_is_no_unlabelled_sample():
    X, y = rows(80)
    with pytest.raises(DataError, match="unlabelled must be samples without labels, or 'rest'"):
        prepared(X[:60], y[:60], unlabelled=(X[60:], y[60:]))


@pytest.mark.parametrize(
    "arm",
    [
        Arm(role="control", extra=copies, gate="agreement", complement="mixes"),
        Arm(role="control", complement="none", tune_threshold=True),
    ],
)
def test_the_game_is_played_without_what_an_inner_fold_holds_out(arm, monkeypatch):
    played = []
    original = ComplementGenerator.__init__

    def noted(self, model, x, **settings):
        played.append(len(x))
        original(self, model, x, **settings)

    monkeypatch.setattr(ComplementGenerator, "__init__", noted)
    X, y = rows(80)
    setup = prepared(X, y, arms=["nothing", "oversampling", "gan"], classifier="mlp")
    bench = bench_of(setup.plan, setup.part(0), None)
    bench.outcome("arm", arm, X[:5])
    *folds, whole = sorted(played)
    assert whole == 60
    assert folds == ([40] * 3 if arm.gate else [48] * 5)


def test_the_primary_treatment_that_was_asked_for_is_the_one_judged_or_none():
    X, y = rows(80)
    given = {"arms": None, "classifier": LogisticRegression(), "unlabelled": X[60:]}
    with pytest.raises(ConfigError, match="primary must be one of 'gan'"):
        prepared(X[:60], y[:60], primary="pseudo-labels + complement", **given)


def test_unlabelled_data_sets_are_taken_without_their_labels():
    X = np.random.default_rng(0).integers(0, 255, (60, 8, 8), dtype=np.uint8)
    y = np.arange(60) % 2
    for more in (
        Listed([(row, 7) for row in X[40:]]),
        Listed(list(X[40:])),
        TensorDataset(torch.tensor(X[40:])),
    ):
        setup = prepared(
            X[:40], y[:40], unlabelled=more, arms=["nothing", "mixes", "complement"], classifier="cnn"
        )
        assert np.array_equal(setup.part(0).unlabelled, X[40:])


class Listed:
    """A map-style data set."""

    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, i):
        return self.items[i]


def test_a_dose_for_each_class_is_asked_for_before_anything_is_trained():
    X, y = rows(80)
    arms = {
        "nothing": ARMS["nothing"],
        "odd": Arm(role="control", extra=copies, dose=(0.5, 0.5, 0.5)),
        "gan": ARMS["gan"],
    }
    with pytest.raises(ConfigError, match="'odd' needs a dose for each of the 2 classes; got 3"):
        prepared(X, y, arms=arms)
    with pytest.raises(ConfigError, match="dose must be a share, or one for each class; got none"):
        Arm(role="control", extra=copies, dose=())
    with pytest.raises(ConfigError, match="phases='pretrain' must add samples of each class"):
        Arm(role="control", extra=copies, dose=(0.0, 1.0), phases="pretrain")
    with pytest.raises(ConfigError, match="a control must do without a generator"):
        Arm(role="control", complement="generator")


def test_where_no_class_has_a_dose_no_generator_is_asked_and_copies_stay():
    X, y = rows(80)
    setup = prepared(X, y, arms=["nothing", "oversampling", "gan"], fill=2.0)
    bench = bench_of(setup.plan, setup.part(0), None)
    even = replace(ARMS["even gan"], dose=(0.0, 0.0))
    outcome = bench.outcome("arm", even, X[:5])
    assert bench.gan is None
    assert outcome.n_extra == 0
    copied = bench.outcome("arm", ARMS["oversampling"], X[:5])
    assert np.allclose(outcome.y_score, copied.y_score, atol=1e-6)


def test_a_mean_by_class_weights_stays_one_where_added_samples_count_less():
    logits, target = torch.randn(6, 2), torch.tensor([0, 1, 0, 1, 1, 1])
    weights = torch.tensor([0.6, 3.0])
    shown = torch.tensor([0, 1, 2, 9, 9, 9])
    recipe = Recipe(
        None, torch.zeros(3, 1), torch.tensor([0, 1, 0]), None, target[3:], True, None, target[3:] > 0
    )
    plain = torch_loop._loss(logits, target, weights, recipe, shown)
    nearly = torch_loop._loss(logits, target, weights, replace(recipe, weight=1 - 1e-6), shown)
    assert float(plain) == pytest.approx(float(nearly), rel=1e-4)
