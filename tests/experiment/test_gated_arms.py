"""Arms with a gate, and arms that choose among gates and snapshots, on real parts of a comparison."""

import json
from typing import ClassVar

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import LinearSVC
from threadpoolctl import threadpool_limits

from ganaug import GANConfig, compare
from ganaug.errors import ConfigError
from ganaug.experiment import judges
from ganaug.experiment.arms import ARMS, Arm, chosen, copies, noisy_copies, real_samples, synthetic, tuned
from ganaug.experiment.bench import Bench, Plan
from ganaug.experiment.held_out import Tried
from ganaug.experiment.recipes import Recipes
from ganaug.training.checkpoint import load_tensors, save_tensors

TINY = GANConfig(width=4, z_dim=4, batch_size=16, train_images=64, log_every_images=16)
GATED = {"gate": "agreement"}


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Run as `compare` does."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with threadpool_limits(1):
        yield
    torch.set_num_threads(threads)


def table(counts=(60, 30), *, apart=4.0, seed=0):
    """Two columns, classes a distance apart in each, and an id, too small to matter, in the third."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    X = rng.normal(size=(len(y), 2)) + apart * y[:, None]
    return np.column_stack([X, 1e-6 * np.arange(len(y))]), y


def bench_of(data=None, classifier=None, *, fill=2.0, seed=0, groups=None, arms=None, config=TINY):
    X, y = table() if data is None else data
    plan = Plan(
        classifier=classifier or LogisticRegression(),
        arms=arms or {},
        metric="balanced_accuracy",
        fill=fill,
        steps=30,
        batch_size=16,
        config=config,
        device="cpu",
        classic=None,
        names=[str(k) for k in np.unique(y)],
        random_state=0,
    )
    return Bench(plan, X, y, seed, groups=groups)


def control(extra, **settings):
    return Arm(role="control", extra=extra, **settings)


def poison(part):
    """Return real samples of another class, so that each label is wrong."""
    others = [(part.c != k).nonzero().flatten() for k in part.extra_c]
    return part.x[[int(rows[i % len(rows)]) for i, rows in enumerate(others)]]


def half_wrong(part):
    """Return copies, of which every other one is of another class."""
    rows = copies(part)
    rows[::2] = poison(part)[::2]
    return rows


def noise(part):
    """Return what no class looks like."""
    rng = np.random.default_rng(part.seed)
    return torch.from_numpy(rng.uniform(-1, 1, (len(part.extra_c), *part.x.shape[1:]))).float()


class Noting(LogisticRegression):
    """Notes the ids of the rows that it is trained on."""

    seen: ClassVar[list] = []

    def fit(self, X, y, sample_weight=None):
        Noting.seen.append(np.round(np.asarray(X)[:, 2] / 1e-6).astype(int).tolist())
        return super().fit(X, y, sample_weight)


@pytest.mark.parametrize("classifier", ["mlp", "logistic", "boosting"])
def test_a_generator_that_mislabels_is_rejected_almost_wholly_and_the_record_says_so(classifier):
    bench = bench_of(table((60, 60)), classifier)
    wrong = bench.outcome("wrong", control(poison, **GATED), bench.X)
    right = bench.outcome("right", control(copies, **GATED), bench.X)
    for k in range(2):
        assert wrong.admitted[k].drawn == 600
        assert wrong.admitted[k].accepted < 0.05 * 600
        assert right.admitted[k].accepted > 0.9 * right.admitted[k].drawn
    assert wrong.n_extra == right.n_extra == 120
    assert bench.outcome("plain", control(poison), bench.X).admitted == ()


def test_what_is_let_in_is_of_its_class_for_every_judge():
    bench = bench_of()
    arm = control(half_wrong, **GATED)
    recipe = bench.recipes.recipe("arm", arm)
    accepted, _ = bench.recipes.guard("arm", arm)(recipe.x_extra, recipe.extra_c)
    assert accepted.all()
    assert not bench.recipes.guard("arm", arm)(recipe.x_extra, 1 - recipe.extra_c)[0].any()
    assert torch.equal(recipe.extra_c, bench.part.extra_c)


def never_seen(fits, ids):
    """Return how many judges have not seen each of the ids."""
    return [sum(i not in fit for fit in fits) for i in ids]


@pytest.mark.parametrize("leaks", [False, True])
def test_each_real_sample_is_kept_from_one_of_the_judges_and_a_leak_would_be_seen(monkeypatch, leaks):
    if leaks:
        original = judges.inner_folds
        monkeypatch.setattr(
            judges,
            "inner_folds",
            lambda *a, **k: [(np.concatenate(pair), pair[1]) for pair in original(*a, **k)],
        )
    Noting.seen = []
    bench = bench_of(classifier=Noting())
    bench.outcome("arm", control(noisy_copies, **GATED), bench.X)
    *panel, last = Noting.seen
    assert len(panel) == 3
    assert (never_seen(panel, range(90)) == [1] * 90) != leaks
    assert set(range(90)) <= {*last}


@pytest.mark.parametrize("leaks", [False, True])
def test_no_judge_of_a_choice_has_seen_what_the_choice_is_made_by(monkeypatch, leaks):
    Noting.seen = []
    bench = bench_of(classifier=Noting())
    if leaks:  # the judges of the whole part serve in its inner parts
        guard = bench.recipes.guard("arm", control(copies, **GATED))
        monkeypatch.setattr(Recipes, "guard", lambda *_: guard)
    arm = chosen(control(copies))
    for inner, X_rest, _ in bench._inner:
        held_out = set(np.round(X_rest[:, 2] / 1e-6).astype(int).tolist())
        begun = 0 if leaks else len(Noting.seen)
        for candidate in arm.among:
            inner.outcome("arm", candidate, X_rest)
        fits = Noting.seen[begun:]
        assert any(held_out & {*fit} for fit in fits) == leaks
        if not leaks:
            assert len(fits) == len(arm.among) + 3  # judges are trained once for all candidates


def test_a_copy_is_judged_by_the_one_that_has_not_seen_it():
    X, y = table((80, 80), apart=6.0)
    flipped = np.arange(0, 160, 16)
    y[flipped] = 1 - y[flipped]
    bench = bench_of((X, y), KNeighborsClassifier(1))  # knows what it has seen by heart
    ids = {
        name: np.round(
            bench.schema.codec.decode(bench.recipes.recipe(name, arm).x_extra)[:, 2] / 1e-6
        ).astype(int)
        for name, arm in (("plain", control(copies)), ("gated", control(copies, **GATED)))
    }
    assert np.isin(ids["plain"], flipped).mean() > 0.03
    assert np.isin(ids["gated"], flipped).mean() < 0.01


@pytest.mark.parametrize("settings", [{}, {"class_weights": True}])
def test_a_rare_class_is_not_rejected_for_being_rare(settings):
    bench = bench_of(table((400, 12), apart=1.0), fill="balance")
    rare = bench.outcome("arm", control(copies, **GATED, **settings), bench.X).admitted[1]
    assert rare.wanted == 388
    assert rare.accepted > 0.4 * rare.drawn
    model = LogisticRegression().fit(bench.X, bench.y)
    assert (model.predict(bench.X[bench.y == 1]) == 1).mean() < 0.1  # as it would be by mere probability


@pytest.mark.parametrize("extra", [copies, noisy_copies, synthetic])
def test_the_same_seed_lets_the_same_samples_in_and_those_of_the_plain_arm_first(extra):
    plain, gated, again = (
        bench_of().recipes.recipe("arm", Arm(role="treatment", extra=extra, gate=gate))
        for gate in (None, "agreement", "agreement")
    )
    other = bench_of(seed=1).recipes.recipe("arm", Arm(role="treatment", extra=extra, **GATED))
    assert torch.equal(gated.x_extra, again.x_extra)
    assert not torch.equal(gated.x_extra, other.x_extra)
    if extra is copies:
        for k in range(2):
            mine, theirs = (r.x_extra[r.extra_c == k].tolist() for r in (gated, plain))
            passed = [row for row in theirs if row in mine]
            assert len(passed) > 0.7 * len(theirs)
            assert mine[: len(passed)] == passed


@pytest.mark.parametrize(
    ("classifier", "settings"),
    [
        ("mlp", {"mix": "mixup"}),
        ("mlp", {"labels": "teacher"}),
        ("mlp", {"place": "swap", "dose": 0.3}),
        ("mlp", {"phases": "pretrain"}),
        ("mlp", {"phases": "real last"}),
        ("mlp", {"class_weights": True}),
        ("logistic", {"labels": "teacher"}),
        ("logistic", {"place": "swap", "dose": 0.3}),
        ("logistic", {"dose": 0.5}),
    ],
)
def test_a_gate_goes_with_every_other_lever_and_changes_no_number_of_samples(classifier, settings):
    bench = bench_of(classifier=classifier)
    plain, gated = (
        bench.outcome("arm", control(noisy_copies, gate=gate, **settings), bench.X)
        for gate in (None, "agreement")
    )
    assert gated.n_extra == plain.n_extra > 0
    assert gated.start == plain.start
    wanted = np.bincount(bench.y) if "place" in settings else np.bincount(bench.part.extra_c)
    assert [a.wanted for a in gated.admitted] == wanted.tolist()
    assert np.mean(gated.y_pred == bench.y) > 0.8


def test_where_a_class_cannot_be_in_each_fold_all_are_let_in():
    X, y = table((20, 20))
    bench = bench_of((X, y), groups=y)  # one group of each class
    arms = control(copies), control(copies, **GATED)
    plain, gated = (bench.recipes.recipe("arm", arm).x_extra for arm in arms)
    assert torch.equal(plain, gated)
    assert bench.outcome("arm", arms[1], X).admitted == ()


def test_what_cannot_have_a_gate_or_a_snapshot_is_refused_with_the_reason():
    for settings, message in (
        ({"role": "control", "gate": "agreement"}, "or a gate of added samples must have extra"),
        ({"role": "oracle", "extra": real_samples, "gate": "agreement"}, "an oracle must have no gate"),
        ({"role": "control", "extra": copies, "gate": "agrement"}, "gate must be one of .*Did you mean"),
        ({"role": "control", "extra": copies, "snapshot": "best"}, "must draw from the generator"),
        ({"role": "treatment", "extra": synthetic, "snapshot": "first"}, "snapshot must be one of"),
    ):
        with pytest.raises(ConfigError, match=message):
            Arm(**settings)
    with pytest.raises(ConfigError, match="must have extra to choose from"):
        chosen(ARMS["nothing"])
    X, y = table()
    for classifier in (LinearSVC(), RidgeClassifier()):
        for name in ("gan + gate", "chosen gan"):
            arms = ["nothing", "oversampling + gate", "chosen oversampling", name]
            with pytest.raises(
                ConfigError, match=f"needs a classifier with predict_proba; {type(classifier).__name__}"
            ):
                compare(X, y, arms=arms, classifier=classifier, config=TINY)


def run(extra, data, **settings):
    """Compare doing nothing with an arm that chooses among doses and gates of an extra."""
    arms = {
        "nothing": ARMS["nothing"],
        "twin": ARMS["chosen oversampling"],
        "chosen": chosen(Arm(role="treatment", extra=extra)),
    }
    small = {"seeds": 4, "folds": 4, "classifier": LogisticRegression(), "config": TINY}
    return compare(*data, arms=arms, **{**small, **settings})


def test_nothing_is_chosen_of_noise_and_ungated_noise_never():
    for apart in (3.0, 6.0):
        data = table((60, 60), apart=apart)
        result = run(noise, data, classifier=KNeighborsClassifier(3), metric="accuracy")
        cells = [c for c in result.cells if c.arm == "chosen"]
        assert all(c.chosen.gate or not c.chosen.dose for c in cells)
        assert np.mean([c.tried[5].score for c in cells]) < np.mean([c.tried[0].score for c in cells]) - 0.03
    # what nothing leaves to gain; where it does, noise that judges labelled may be taken by chance
    assert [c.n_extra for c in cells] == [0] * 4
    assert (result.scores("chosen") == result.scores("nothing")).all()


def test_the_gate_is_chosen_where_half_of_the_samples_are_mislabelled():
    result = run(half_wrong, table((160, 24), apart=1.5))
    cells = [c for c in result.cells if c.arm == "chosen"]
    assert sum(c.chosen.gate == "agreement" for c in cells) >= 3
    assert result.scores("chosen").mean() > result.scores("nothing").mean()
    taken = [c for c in cells if c.chosen.gate]
    assert all(c.admitted[1].accepted < 0.7 * c.admitted[1].drawn for c in taken)


def test_the_record_says_which_candidates_were_tried_and_survives_a_resume(tmp_path):
    data, settings = table((60, 30)), {"seeds": 3, "folds": 3}
    first = run(half_wrong, data, out=tmp_path / "run", **settings)
    again = run(half_wrong, data, out=tmp_path / "run", resume=True, **settings)
    for a, b in zip(first.cells, again.cells, strict=True):
        assert (a.tried, a.admitted, a.chosen) == (b.tried, b.admitted, b.chosen)
    cell = next(c for c in again.cells if c.arm == "chosen")
    tried = [(t.dose, t.gate) for t in cell.tried]
    assert tried == [(0.0, None)] + [(d, g) for d in (0.25, 0.5, 1.0) for g in (None, "agreement")]
    assert cell.chosen == cell.tried[np.argmax([t.score for t in cell.tried])]
    assert next(c for c in again.cells if c.arm == "nothing").chosen is None
    plain = json.loads(json.dumps(again.to_dict()))["cells"]
    assert next(c for c in plain if c["arm"] == "chosen")["tried"][2][2] == "agreement"
    page = again.report(tmp_path / "report.html").read_text()
    assert "chosen, gate agreement" in page
    for path in (tmp_path / "run" / "cells").glob("*.safetensors"):  # as they were before there were gates
        tensors, about = load_tensors(path)
        about["cell"]["tried"] = [pair[:2] for pair in about["cell"]["tried"]]
        del about["cell"]["admitted"]
        save_tensors(path, tensors, {"cell": about["cell"]})
    old = run(half_wrong, data, out=tmp_path / "run", resume=True, **settings)
    for a, b in zip(first.cells, old.cells, strict=True):
        assert b.tried == tuple(Tried(t.dose, t.score) for t in a.tried)
        assert b.admitted == ()


def test_candidates_are_nothing_and_each_dose_with_and_without_gate_from_both_snapshots():
    gan, twin = ARMS["chosen gan"], ARMS["chosen oversampling"]
    ways = [(a.dose, a.gate, a.snapshot) for a in gan.among[1:]]
    doses, gates, snapshots = (0.25, 0.5, 1.0), (None, "agreement"), ("last", "best")
    assert ways == [(d, g, s) for d in doses for g in gates for s in snapshots]
    assert [(a.dose, a.gate, a.snapshot) for a in twin.among[1:]] == [
        (d, g, None) for d in doses for g in gates
    ]
    assert gan.among[0].extra is twin.among[0].extra is None
    assert tuned(ARMS["gan + gate"]).among[0] == gan.among[0]


def test_one_training_serves_both_snapshots_and_leaves_the_plain_arm_as_it_is():
    config = GANConfig(width=4, z_dim=4, batch_size=16, train_images=640, log_every_images=64, lr_G=5e-3)
    bench = bench_of(arms={"chosen gan": ARMS["chosen gan"]}, config=config)
    last, best, plain = (
        bench.recipes.recipe("arm", Arm(role="treatment", extra=synthetic, snapshot=snapshot)).x_extra
        for snapshot in ("last", "best", None)
    )
    assert bench.gan.config_.snapshot == "both"
    alone = bench_of(config=config)
    assert torch.equal(plain, alone.recipes.recipe("arm", ARMS["gan"]).x_extra)
    assert alone.gan.config_.snapshot == "last"
    assert torch.equal(plain, last)
    assert not torch.equal(best, last)
    with pytest.raises(ConfigError, match="snapshot='best' needs a training that kept snapshots"):
        alone.recipes.recipe("arm", Arm(role="treatment", extra=synthetic, snapshot="best"))


def test_candidates_share_the_generators_of_the_inner_parts():
    bench = bench_of(arms={"chosen gan": ARMS["chosen gan"]})
    outcome = bench.outcome("chosen gan", ARMS["chosen gan"], bench.X)
    gans = [inner.gan for inner, *_ in bench._inner]
    assert len({id(gan) for gan in gans}) == 3
    assert all(gan is not None for gan in gans)
    assert len(outcome.tried) == 13
    assert {t.snapshot for t in outcome.tried} == {None, "last", "best"}
