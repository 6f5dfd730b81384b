"""What each lever of an arm does to the training of a classifier, on real parts of a comparison."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_digits, load_wine
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import LinearSVC
from threadpoolctl import threadpool_limits
from torch import nn

from ganaug import GANConfig, compare
from ganaug.data.schema import Schema
from ganaug.errors import ConfigError
from ganaug.experiment import torch_loop
from ganaug.experiment.arms import ARMS, Arm, copies, noisy_copies, tuned
from ganaug.experiment.bench import Bench, Plan
from ganaug.experiment.classifiers import build_classifier
from ganaug.experiment.inputs import fitting_arms, resolve_arms
from ganaug.experiment.order import swap_mask

TINY = GANConfig(width=8, z_dim=8, batch_size=32, train_images=128)
DIGITS, TARGETS = load_digits(return_X_y=True)
FEW = np.flatnonzero(TARGETS < 3)[:210]
IMAGES = DIGITS[FEW].reshape(-1, 8, 8), TARGETS[FEW]
_wine, _kinds = load_wine(return_X_y=True)
WINE = (_wine - _wine.mean(0)) / _wine.std(0), _kinds
COPIES = Arm(role="control", extra=copies)
LEVERS = {
    "smooth": {"labels": "smooth"},
    "lighter": {"weight": 0.3},
    "even": {"place": "even", "dose": 0.3},
    "complement": {"complement": "mixes"},
    "mixup": {"mix": "mixup"},
    "cutmix": {"mix": "cutmix"},
    "teacher": {"labels": "teacher"},
    "swap": {"place": "swap", "dose": 0.3},
    "pretrain": {"phases": "pretrain"},
    "real last": {"phases": "real last"},
    "classic": {"classic": True},
    "randaugment": {"classic": "randaugment"},
}


@pytest.fixture(autouse=True)
def one_thread():
    """Run as `compare` does."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with threadpool_limits(1):
        yield
    torch.set_num_threads(threads)


def bench_of(data, classifier, *, steps=30, seed=0, fill=2.0, n=60, classic=None):
    """Return a bench with a training part of n samples, a reserve of 40, and the rest to test on."""
    X, y = data
    rows = np.random.default_rng(1).permutation(len(y))
    train, spare, test = np.split(rows, [n, n + 40])
    plan = Plan(
        classifier=classifier,
        arms=ARMS,
        metric="accuracy",
        fill=fill,
        steps=steps,
        batch_size=16,
        config=TINY,
        device="cpu",
        classic=classic,
        names=[str(k) for k in np.unique(y)],
        random_state=0,
    )
    return Bench(plan, X[train], y[train], seed, reserve=(X[spare], y[spare])), X[test], y[test]


def digits_or_wine(data):
    return IMAGES if data == "image" else WINE


class Noting(nn.Sequential):
    """Keeps the batches that it was trained on."""

    def forward(self, x):
        if self.training:
            SEEN.append(x.clone())
        return super().forward(x)


SEEN: list[torch.Tensor] = []


def noting():
    return Noting(nn.Flatten(), nn.Linear(64, 3))


def batches_of(arm, *, steps=20):
    """Return what a classifier is trained on in an arm, step by step, and the bench."""
    bench, X_test, _ = bench_of(IMAGES, noting, steps=steps)
    SEEN.clear()
    bench.outcome("arm", arm, X_test)
    return list(SEEN), bench


def fitting(data, classifier):
    X, y = digits_or_wine(data)
    schema = Schema.fit(X, y)
    model = build_classifier(classifier, schema, seed=0)
    return fitting_arms(ARMS, model, schema, X, metric="accuracy", named=False)


EACH = [("image", "cnn"), ("image", "logistic"), ("table", "mlp"), ("table", "forest")]
APPLY = [(name, *each) for each in EACH for name in fitting(*each)]
LONG = {(name, *each) for name in ("chosen oversampling", "chosen gan") for each in EACH}
LONG |= {(name, *EACH[0]) for name in ARMS if name.startswith(("tuned", "threshold +"))}
EACH_ARM = [pytest.param(*case, marks=pytest.mark.slow if case in LONG else ()) for case in APPLY]


def test_every_arm_of_the_table_applies_somewhere():
    asks = {name for name, arm in ARMS.items() if arm.asks_unlabelled}
    assert {name for name, *_ in APPLY} == {*ARMS} - asks
    assert {*ARMS} - asks - {name for name, _, classifier in APPLY if classifier == "cnn"} == {
        "smote",
        "borderline smote",
    }


@pytest.mark.parametrize(("name", "data", "classifier"), EACH_ARM)
def test_every_arm_of_the_table_learns_wherever_it_applies(name, data, classifier):
    bench, X_test, y_test = bench_of(digits_or_wine(data), classifier, steps=60)
    outcome = bench.outcome(name, ARMS[name], X_test)
    right = np.mean(outcome.y_pred == bench.schema.encode_y(y_test).numpy())
    # what is trained on a generator that hardly learned may be poor, but is better than chance
    assert right > (0.45 if ARMS[name].asks_generator else 0.8)
    adds = ARMS[name].extra is not None
    assert (outcome.n_extra > 0) == adds or ARMS[name].among


@pytest.mark.parametrize("lever", LEVERS)
def test_each_arm_takes_the_same_number_of_steps_from_the_same_weights(lever, monkeypatch):
    taken = []
    original = torch.optim.AdamW.step
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda *a, **k: taken.append(1) or original(*a, **k))
    bench, X_test, _ = bench_of(IMAGES, "cnn", steps=11)
    plain = bench.outcome("nothing", ARMS["nothing"], X_test)
    assert len(taken) == 11
    arm = bench.outcome("arm", replace(COPIES, **LEVERS[lever]), X_test)
    assert arm.start == plain.start != ""
    assert len(taken) == (33 if lever == "teacher" else 22)  # the teacher takes its own


@pytest.mark.parametrize(  # others change the batches
    "lever", ["teacher", "smooth", "lighter", "swap", "even", "pretrain", "real last"]
)
def test_twins_see_the_same_real_samples_at_the_same_places_of_the_same_batches(lever):
    settings = LEVERS[lever]
    places = []
    for extra in (copies, lambda part: copies(part) * 0 + 0.987):
        batches, bench = batches_of(replace(COPIES, extra=extra, **settings))
        real = {row.numpy().tobytes(): i for i, row in enumerate(bench.x)}
        places.append([[real.get(row.numpy().tobytes()) for row in batch] for batch in batches[-20:]])
    matched = [(a, b) for one, two in zip(*places, strict=True) for a, b in zip(one, two, strict=True)]
    assert all(b in (a, None) for a, b in matched)
    assert any(b is None for _, b in matched)
    assert sum(b is not None for _, b in matched) > 60


def test_arms_that_add_more_fewer_or_in_place_of_others_see_real_samples_in_the_same_order():
    def rows_of(arm):
        batches, bench = batches_of(arm, steps=40)
        real = {row.numpy().tobytes(): i for i, row in enumerate(bench.x)}
        return [real.get(row.numpy().tobytes()) for row in torch.cat(batches)]

    plain = rows_of(ARMS["nothing"])
    swapped = rows_of(Arm(role="control", extra=lambda p: copies(p) * 0 + 0.987, place="swap", dose=0.3))
    assert all(mine in (real, None) for real, mine in zip(plain, swapped, strict=True))
    assert 0.2 < np.mean([mine is None for mine in swapped]) < 0.4
    for name in ("oversampling", "reserve"):
        marked = replace(ARMS[name], extra=lambda p: torch.full((len(p.extra_c), *p.x.shape[1:]), 0.987))
        seen = [i for i in rows_of(marked) if i is not None]
        assert 250 < len(seen) < len(plain)
        assert seen == plain[: len(seen)]


@pytest.mark.parametrize("classifier", ["cnn", "logistic"])
def test_an_arm_is_what_it_is_alone_whatever_ran_on_the_bench_before(classifier):
    alone, X_test, _ = bench_of(IMAGES, classifier, steps=8)
    expected = alone.outcome("nothing", ARMS["nothing"], X_test).y_score
    bench, X_test, _ = bench_of(IMAGES, classifier, steps=8)
    for lever in LEVERS.values():
        if classifier == "cnn" or not {"mix", "phases"} & {*lever}:
            bench.outcome("arm", replace(COPIES, **lever), X_test)
    assert np.array_equal(bench.outcome("nothing", ARMS["nothing"], X_test).y_score, expected)


def test_an_own_compose_begins_anew_in_each_arm_also_where_a_teacher_uses_it_first():
    import albumentations as A

    compose = A.Compose([A.Affine(rotate=(-40, 40), p=1.0)])
    arm = replace(COPIES, classic=True, labels="teacher")
    found = []
    for _ in range(2):
        bench, X_test, _ = bench_of(IMAGES, "cnn", steps=8, classic=compose)
        found.append(bench.outcome("arm", arm, X_test).y_score)
    assert np.array_equal(*found)


@pytest.mark.parametrize("lever", ["pretrain", "real last"])
def test_the_last_phase_sees_real_samples_only(lever):
    settings = LEVERS[lever]
    batches, _ = batches_of(replace(COPIES, extra=lambda part: copies(part) * 0 + 0.987, **settings))
    added = [float((batch == 0.987).all((1, 2, 3)).float().mean()) for batch in batches]
    last = 10 if lever == "pretrain" else 16
    assert added[last:] == [0] * (20 - last)
    assert min(added[:last]) > 0
    if lever == "pretrain":
        assert added[:last] == [1] * 10


def test_mixup_trains_on_mixed_samples_and_soft_targets(monkeypatch):
    targets = []
    original = torch_loop.F.cross_entropy
    monkeypatch.setattr(
        torch_loop.F, "cross_entropy", lambda z, t, **k: targets.append(t) or original(z, t, **k)
    )
    batches, _ = batches_of(ARMS["mixup"])
    plain, _ = batches_of(ARMS["nothing"])
    assert len(batches) == len(plain) == 20
    for mixed, before, target in zip(batches, plain, targets, strict=False):
        assert torch.allclose(target.sum(1), torch.ones(16))
        assert target.min() >= 0
        assert torch.allclose(mixed.mean(), before.mean(), atol=1e-5)  # pairs within the batch
    assert not all(torch.equal(a, b) for a, b in zip(batches, plain, strict=True))


class Kept(LogisticRegression):
    """Keeps what it was fitted on."""

    fits: list = []  # noqa: RUF012

    def fit(self, X, y, sample_weight=None):
        type(self).fits.append((X, y, sample_weight))
        return super().fit(X, y, sample_weight)


def fits_of(arm, data=WINE, **settings):
    Kept.fits = []
    bench, X_test, _ = bench_of(data, Kept(max_iter=500), **settings)
    outcome = bench.outcome("arm", arm, X_test)
    return Kept.fits, bench, outcome


@pytest.mark.parametrize("dose", [0.2, 0.7, 1.0])
@pytest.mark.parametrize("frame", [False, True])
def test_a_swap_changes_no_class_count_and_no_number_of_rows_of_an_estimator(dose, frame):
    X, y = WINE
    X = pd.DataFrame(X) if frame else X
    rows = np.random.default_rng(1).permutation(len(y))[:60]
    plan = bench_of(WINE, Kept(max_iter=500))[0].plan
    bench = Bench(plan, X.iloc[rows] if frame else X[rows], y[rows], 0)
    Kept.fits = []
    arm = Arm(role="control", extra=lambda part: copies(part) * 0, place="swap", dose=dose)
    outcome = bench.outcome("arm", arm, X.iloc[:5] if frame else X[:5])
    found, labels, _ = Kept.fits[0]
    changed = (np.asarray(found) != np.asarray(bench.X)).any(1)
    assert len(found) == 60
    assert labels.tolist() == y[rows].tolist()
    assert changed.sum() == outcome.n_extra
    assert (
        changed.tolist() == swap_mask(np.full(60, dose), seed=0).tolist()
    )  # as in the first epoch of a module
    assert outcome.n_extra / 60 == pytest.approx(dose, abs=0.17)
    assert (dose == 1) == (outcome.n_extra == 60)


def test_a_swapped_sample_is_of_the_class_of_the_one_it_stands_in_for():
    fits, bench, _ = fits_of(replace(COPIES, place="swap", dose=0.5))
    found, labels, _ = fits[0]
    apart = np.linalg.norm(found[:, None] - bench.X, axis=-1)
    assert apart.min(1).max() < 1e-3
    assert bench.y[apart.argmin(1)].tolist() == labels.tolist()
    assert sum((found == bench.X).all(1)) < 50


def test_the_teacher_is_the_arm_with_copies_and_sees_neither_added_nor_test_samples():
    fits, bench, outcome = fits_of(replace(COPIES, extra=lambda part: copies(part) + 1e-3, labels="teacher"))
    (X_teacher, y_teacher, weight), (X, y, shares) = fits
    assert np.array_equal(X_teacher[:60], bench.X)
    assert y_teacher[:60].tolist() == bench.y.tolist()
    assert len(X_teacher) == 60 + outcome.n_extra
    nearest = np.linalg.norm(X_teacher[60:, None] - bench.X, axis=-1).argmin(1)
    assert np.allclose(X_teacher[60:], bench.X[nearest], atol=1e-4)
    assert bench.y[nearest].tolist() == y_teacher[60:].tolist()
    assert weight is None
    assert np.array_equal(X[:60], bench.X)
    assert y[:60].tolist() == bench.y.tolist()
    assert (shares[:60] == 1).all()
    teacher = LogisticRegression(max_iter=500).set_params(random_state=None).fit(X_teacher, y_teacher)
    rows, where = np.unique(X[60:], axis=0, return_inverse=True)
    expected = teacher.predict_proba(rows)[where, y[60:]]
    copied = np.array(
        [np.sum((X[60:] == row).all(1) & (y[60:] == k)) for row, k in zip(X[60:], y[60:], strict=True)]
    )
    assert copied.min() >= 1
    assert np.allclose(shares[60:], expected, atol=0.02)
    assert shares[60:].sum() == pytest.approx(outcome.n_extra, rel=1e-4)


def test_the_teacher_of_a_module_sees_real_samples_only():
    marked = replace(COPIES, extra=lambda part: copies(part) * 0 + 0.987, labels="teacher")
    batches, _ = batches_of(marked)
    plain, _ = batches_of(COPIES)
    assert len(batches) == 40
    assert all(torch.equal(a, b) for a, b in zip(batches[:20], plain, strict=True))
    assert any((batch == 0.987).all((1, 2, 3)).any() for batch in batches[20:])


def test_a_module_is_taught_the_probabilities_of_what_it_sees_and_the_classes_of_real_samples(monkeypatch):
    targets = []
    original = torch_loop.F.cross_entropy
    monkeypatch.setattr(
        torch_loop.F, "cross_entropy", lambda z, t, **k: targets.append(t) or original(z, t, **k)
    )
    arm = replace(COPIES, extra=lambda part: copies(part) * 0 + 0.987, labels="teacher")
    bench, X_test, _ = bench_of(IMAGES, noting, steps=20)
    SEEN.clear()
    bench.outcome("arm", arm, X_test)
    teacher = bench.recipes.teacher("arm", arm)
    for batch, target in zip(SEEN[20:40], targets[20:40], strict=True):
        added = (batch == 0.987).all((1, 2, 3))
        assert torch.allclose(target[added], teacher(batch[added]), atol=1e-6)
        assert ((target[~added] == 0) | (target[~added] == 1)).all()
        assert torch.allclose(target.sum(1), torch.ones(16))


def test_soft_labels_keep_class_weights_balanced():
    arm = replace(COPIES, labels="teacher", class_weights=True)
    (_, (_, y, shares)), *_ = fits_of(arm, fill={0: 40, 1: 30, 2: 22})
    totals = [shares[y == k].sum() for k in range(3)]
    assert totals == pytest.approx([sum(totals) / 3] * 3, rel=1e-4)


def test_an_oracle_adds_a_share_of_the_reserve_in_the_shares_of_its_classes():
    for name, share in (("quarter of reserve", 0.25), ("half of reserve", 0.5), ("reserve", 1.0)):
        fits, bench, outcome = fits_of(ARMS[name])
        X, y = bench.reserve
        rows, labels, _ = fits[0]
        there = np.bincount(y, minlength=3)
        assert np.bincount(labels[60:], minlength=3).tolist() == [round(share * n) for n in there.tolist()]
        spare = {(*row, k) for row, k in zip(X, y, strict=True)}
        assert (
            len({(*row, k) for row, k in zip(rows[60:], labels[60:], strict=True)} & spare) == outcome.n_extra
        )


def test_no_arm_but_the_oracle_feeds_on_the_reserve():
    parts = []
    arm = Arm(role="control", extra=lambda part: parts.append(part) or copies(part))
    bench, X_test, _ = bench_of(WINE, "logistic")
    with_reserve = bench.outcome("arm", arm, X_test).y_score
    bench.recipes.part = replace(bench.part, reserve=None)
    assert np.array_equal(bench.outcome("arm", arm, X_test).y_score, with_reserve)
    with pytest.raises(ConfigError, match="needs real samples set aside"):
        bench.outcome("reserve", ARMS["reserve"], X_test)


def test_a_comparison_shows_an_oracle_beside_controls_and_treatments():
    chosen, primary = resolve_arms(["nothing", "oversampling", "gan", "reserve"], None, kind="table")
    assert [chosen[name].role for name in chosen] == ["control", "control", "treatment", "oracle"]
    assert primary == "gan"
    with pytest.raises(ConfigError, match="at least one control and one treatment"):
        resolve_arms(["gan", "reserve"], None, kind="table")
    assert not ARMS["reserve"].asks_generator


@pytest.mark.parametrize("lever", LEVERS)
def test_an_arm_may_choose_among_doses_with_every_lever(lever):
    settings = {k: v for k, v in LEVERS[lever].items() if k != "dose"}
    arms = {
        "nothing": ARMS["nothing"],
        "twin": tuned(replace(COPIES, **settings)),
        "own": tuned(Arm(role="treatment", extra=noisy_copies, generative=False, **settings)),
    }
    X, y = IMAGES
    result = compare(X[:60], y[:60], arms=arms, seeds=3, steps=3, batch_size=8, config=TINY, classifier="mlp")
    assert result.primary == "own"
    assert not result.failed
    assert len({c.start for c in result.cells if c.seed == 1}) == 1


@pytest.mark.parametrize(
    ("name", "classifier", "message"),
    [
        ("mixup", LogisticRegression(), "needs a torch classifier.*LogisticRegression is none"),
        ("pretrain on copies", LogisticRegression(), "needs a torch classifier"),
        (
            "teacher on copies",
            KNeighborsClassifier(),
            "fit takes sample_weight; KNeighborsClassifier takes none",
        ),
        ("teacher on copies", LinearSVC(), "needs a classifier with predict_proba; LinearSVC has none"),
        ("teacher on copies", RidgeClassifier(), "needs a classifier with predict_proba"),
        ("cutmix", "mlp", "needs data of kind 'image'; got 'numeric table'"),
        ("pixel smote", "mlp", "needs data of kind 'small image'"),
    ],
)
def test_an_arm_that_a_classifier_or_data_cannot_have_is_refused_with_the_reason(name, classifier, message):
    X, y = WINE
    with pytest.raises(ConfigError, match=message):
        compare(X, y, arms=["nothing", "oversampling", name, "gan"], classifier=classifier, config=TINY)


def test_pixel_smote_is_for_images_up_to_32_pixels_a_side():
    for side, fits in ((32, True), (33, False)):
        X = np.random.default_rng(0).integers(0, 255, (20, side, 20), dtype=np.uint8)
        y = np.arange(20) % 2
        schema = Schema.fit(X, y)
        arms = {"pixel smote": ARMS["pixel smote"], "classic": ARMS["classic"]}
        found = fitting_arms(
            arms, build_classifier("cnn", schema, seed=0), schema, X, metric="accuracy", named=False
        )
        assert list(found) == (["pixel smote", "classic"] if fits else ["classic"])


@pytest.mark.parametrize("classifier", ["cnn", "forest"])
def test_a_teacher_gives_probabilities(classifier):
    bench, _, _ = bench_of(IMAGES, classifier, steps=5)
    teacher = bench.recipes.teacher("arm", ARMS["teacher on copies"])
    samples = bench.x[:7] if classifier == "cnn" else bench.X[:7].reshape(7, -1)
    assert torch.allclose(teacher(samples).sum(1), torch.ones(7), atol=1e-5)
