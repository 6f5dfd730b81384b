import json
import warnings
from collections import defaultdict
from dataclasses import replace
from typing import ClassVar

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_digits, load_wine
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import Ridge
from sklearn.metrics import balanced_accuracy_score, recall_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.tree import DecisionTreeClassifier
from threadpoolctl import threadpool_limits
from torch import nn
from torch.utils.data import TensorDataset

from ganaug import ConditionalGAN, GANConfig, compare
from ganaug.errors import ConfigError, DataError
from ganaug.experiment.arms import ARMS, DEFAULT_ARMS, Arm
from ganaug.experiment.splits import make_splits
from ganaug.experiment.statistics import corrected_gain, gain_over_best_control

pixels, targets = load_digits(return_X_y=True)
IMAGES, DIGITS = pixels[targets < 3].reshape(-1, 8, 8)[:150], targets[targets < 3][:150]
TINY = GANConfig(width=4, z_dim=4, batch_size=16, train_images=64)
ALL = tuple(name for name in DEFAULT_ARMS["image"] if ARMS[name].mix is None)  # those that a forest can have


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Keep the threads of BLAS and OpenMP out of each other's way."""
    with threadpool_limits(1):
        yield


def run(X=IMAGES, y=DIGITS, **settings):
    small = {"labelled_per_class": 5, "seeds": 3, "steps": 4, "batch_size": 16, "config": TINY}
    return compare(X, y, **{**small, **settings})


def predictions(result):
    return {(c.arm, c.seed): c.y_pred.tolist() for c in result.cells}


@pytest.fixture(scope="module")
def result():
    return run(classifier="forest", random_state=1)


# --- what comes out -------------------------------------------------------------------------------


def test_there_is_a_cell_for_every_arm_and_seed(result):
    assert [(c.arm, c.seed) for c in result.cells] == [(arm, s) for s in range(3) for arm in ALL]
    assert {c.n_train for c in result.cells} == {15}
    assert {(c.arm, c.n_extra) for c in result.cells} == {
        (arm, 0 if ARMS[arm].extra is None else 15) for arm in ALL
    }
    for s in range(3):
        truths = [c.y_true.tolist() for c in result.cells if c.seed == s]
        assert truths == [truths[0]] * len(ALL)


def test_the_table_agrees_with_the_cells(result):
    assert list(result.table.index) == list(ALL)
    for arm in ALL:
        scores = [100 * balanced_accuracy_score(c.y_true, c.y_pred) for c in result.cells if c.arm == arm]
        row = result.table.loc[arm]
        assert row["balanced_accuracy"] == pytest.approx(np.mean(scores))
        assert row["sd"] == pytest.approx(np.std(scores, ddof=1))
        assert row["role"] == ARMS[arm].role
        assert (row["over best control"] != "") == (ARMS[arm].role == "treatment")
        assert (row["over nothing"] == "") == (arm == "nothing")
        assert (row["gan_seconds"] > 0) == (ARMS[arm].role == "treatment")
    gain = corrected_gain(100 * (result.scores("gan") - result.scores("nothing")))
    text = f"{gain.mean:+.2f} [{gain.low:+.2f}, {gain.high:+.2f}]"
    assert result.table.loc["gan", "over nothing"] == text


def test_recalls_per_class_agree_with_the_cells(result):
    for arm in ALL:
        recalls = [recall_score(c.y_true, c.y_pred, average=None) for c in result.cells if c.arm == arm]
        assert result.per_class[arm].to_numpy() == pytest.approx(100 * np.mean(recalls, axis=0))
    assert list(result.per_class.index) == ["0", "1", "2"]


def test_the_gain_is_over_the_best_control_of_all(result):
    scores = {
        arm: np.array([balanced_accuracy_score(c.y_true, c.y_pred) for c in result.cells if c.arm == arm])
        for arm in ALL
    }
    controls = {arm: 100 * scores[arm] for arm in ALL if ARMS[arm].role == "control"}
    assert result.primary == "gan + classic"
    expected = gain_over_best_control(100 * scores["gan + classic"], controls)
    assert result.gain == expected
    assert result.verdict == expected.verdict
    assert result.best_control in controls
    assert f"{expected.mean:+.2f} points" in result.sentence
    assert "3 paired seeds" in result.sentence


def test_the_best_control_is_the_one_that_scores_best():
    flat = Arm(role="control", extra=lambda part: torch.zeros(len(part.extra_c), *part.x.shape[1:]))
    arms = {"spoiled": flat, "nothing": ARMS["nothing"], "gan": ARMS["gan"]}
    spoiled = run(classifier=KNeighborsClassifier(9), arms=arms)
    assert spoiled.scores("nothing").mean() > spoiled.scores("spoiled").mean()
    assert spoiled.best_control == "nothing"


def test_the_record_is_plain_json_and_complete(result):
    record = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert record["verdict"] == result.verdict
    assert record["gain"]["mean"] == result.gain.mean
    assert len(record["cells"]) == len(result.cells)
    assert record["cells"][0]["balanced_accuracy"] == result.cells[0].score("balanced_accuracy")
    assert [row["arm"] for row in record["table"]] == list(ALL)
    assert record["settings"]["gan"]["train_images"] == 64
    assert record["settings"]["splits"] == "each seed has its own training and test samples"


# --- pairing --------------------------------------------------------------------------------------


class Spy(nn.Module):
    """A classifier that keeps its first weights and every batch it is trained on."""

    runs: ClassVar[list["Spy"]] = []

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(64, 3)
        self.first = self.layer.weight.detach().clone()
        self.batches = []
        Spy.runs.append(self)

    def forward(self, x):
        if self.training:
            self.batches.append(x.detach().clone())
        return self.layer(x.flatten(1))


@pytest.fixture(scope="module")
def spied():
    """Return the runs of a comparison as {(arm, seed): Spy} and the encoded samples."""
    Spy.runs = []
    arms = [arm for arm in ALL if not ARMS[arm].classic]
    found = run(classifier=Spy, arms=arms, primary="gan", steps=9)
    runs = Spy.runs[-len(found.cells) :]  # one is built before, to find mistakes
    Spy.runs = []
    return {(c.arm, c.seed): spy for c, spy in zip(found.cells, runs, strict=True)}


def real_stream(spy, real):
    """Return the row of each real sample in the order of training; -1 for an added one."""
    batch = torch.cat(spy.batches)
    same = (batch[:, None].flatten(2) == real[None].flatten(2)).all(2)
    return [int(row.nonzero()[0, 0]) if row.any() else -1 for row in same]


def training_rows(s):
    splits = make_splits(DIGITS, seeds=3, labelled_per_class=5, test_size=0.25, n_given_test=None, seed=0)
    return splits.train[s]


def test_arms_of_a_seed_start_from_the_same_weights(spied):
    for s in range(3):
        weights = [spy.first for (_, seed), spy in spied.items() if seed == s]
        assert all(torch.equal(w, weights[0]) for w in weights)
    assert not torch.equal(spied["nothing", 0].first, spied["nothing", 1].first)


def test_arms_make_the_same_number_of_steps_of_the_same_size(spied):
    assert {len(spy.batches) for spy in spied.values()} == {9}
    assert {len(batch) for spy in spied.values() for batch in spy.batches} == {16}


def test_arms_of_a_seed_see_the_real_samples_in_the_same_order(spied):
    for s in range(3):
        encoded = torch.from_numpy(IMAGES[training_rows(s)][:, None] / 16 * 2 - 1).float()
        alone = real_stream(spied["nothing", s], encoded)
        assert -1 not in alone
        assert set(alone) == set(range(15))
        assert real_stream(spied["class weights", s], encoded) == alone
        among = [i for i in real_stream(spied["gan", s], encoded) if i >= 0]
        assert 0 < len(among) < len(alone)
        assert among == alone[: len(among)]


def test_arms_that_differ_in_the_source_only_take_added_samples_at_the_same_places(spied):
    for s in range(3):
        encoded = torch.from_numpy(IMAGES[training_rows(s)][:, None] / 16 * 2 - 1).float()
        copied = torch.cat(spied["oversampling", s].batches)
        generated = torch.cat(spied["gan", s].batches)
        added = torch.tensor(real_stream(spied["gan", s], encoded)) < 0
        assert 0 < added.sum() < len(added)
        assert torch.equal(copied[~added], generated[~added])
        assert (copied[added] != generated[added]).flatten(1).any(1).all()
        assert -1 not in real_stream(spied["oversampling", s], encoded)


# --- nothing leaks --------------------------------------------------------------------------------


@pytest.fixture
def fitted_bytes(monkeypatch):
    """Return a function that runs a comparison and tells what was fitted in each seed."""
    fits = []
    fit = ConditionalGAN.fit

    def spy(self, *args, **kwargs):
        fit(self, *args, **kwargs)
        weights = b"".join(v.numpy().tobytes() for v in self.G_.state_dict().values())
        fits.append((weights, repr(self.schema_.to_dict())))
        return self

    monkeypatch.setattr(ConditionalGAN, "fit", spy)

    def fitted(X, y, **settings):
        fits.clear()
        streams = defaultdict(list)
        extra = ARMS["gan"].extra

        def noted(part):
            rows = extra(part)
            streams[part.seed].append((part.x.numpy().tobytes(), rows.numpy().tobytes()))
            return rows

        arms = {"nothing": ARMS["nothing"], "gan": Arm(role="treatment", extra=noted)}
        found = run(X, y, arms=arms, classifier="forest", **settings)
        return found, [*zip(fits, streams.values(), strict=True)]

    return fitted


def garbage(X, rows):
    poisoned = X.copy()
    poisoned[rows] = np.random.default_rng(9).permuted(X[rows].ravel()).reshape(X[rows].shape) * 0.5 + 1
    return poisoned


MORE_KINDS = [pytest.param(*case, marks=pytest.mark.slow) for case in [("images", None), ("rows", 5)]]


@pytest.mark.parametrize(("kind", "labelled"), [("images", 5), ("rows", None), *MORE_KINDS])
def test_test_samples_change_predictions_and_nothing_that_is_fitted(fitted_bytes, kind, labelled):
    X = IMAGES if kind == "images" else IMAGES[:, 2:6].reshape(len(IMAGES), -1)
    splits = make_splits(
        DIGITS, seeds=3, labelled_per_class=labelled, test_size=0.25, n_given_test=None, seed=0
    )
    clean, fitted = fitted_bytes(X, DIGITS, labelled_per_class=labelled)
    for s in range(3):
        poisoned, refitted = fitted_bytes(garbage(X, splits.test[s]), DIGITS, labelled_per_class=labelled)
        assert refitted[s] == fitted[s]
        assert predictions(poisoned)["gan", s] != predictions(clean)["gan", s]


def test_a_training_sample_changes_what_is_fitted_in_its_seed_alone(fitted_bytes):
    config = replace(TINY, loss="non-saturating")  # hinge may be content with all real samples from the start
    _, fitted = fitted_bytes(IMAGES, DIGITS, config=config)
    _, refitted = fitted_bytes(garbage(IMAGES, training_rows(1)[:1]), DIGITS, config=config)
    assert refitted[1][0][0] != fitted[1][0][0]
    assert refitted[1][1] != fitted[1][1]
    assert refitted[0] == fitted[0]
    assert refitted[2] == fitted[2]


def test_a_given_test_set_has_no_part_in_the_fit(fitted_bytes):
    X, y = IMAGES[:90], DIGITS[:90]
    clean, fitted = fitted_bytes(X, y, test=(IMAGES[90:], DIGITS[90:]))
    poisoned, refitted = fitted_bytes(X, y, test=(garbage(IMAGES, slice(None))[90:], DIGITS[90:]))
    assert refitted == fitted
    assert predictions(poisoned) != predictions(clean)


# --- repeatability --------------------------------------------------------------------------------


@pytest.mark.parametrize("classifier", ["cnn", pytest.param("forest", marks=pytest.mark.slow)])
def test_the_same_seed_gives_the_same_predictions(classifier):
    settings = {"classifier": classifier, "labelled_per_class": 3, "steps": 8}
    first, again, other = (run(random_state=s, **settings) for s in (3, 3, 4))
    assert predictions(first) == predictions(again)
    assert predictions(first) != predictions(other)


def test_seeds_in_two_processes_give_the_same_predictions():
    settings = {"random_state": 3, "arms": ["nothing", "classic", "gan + classic"]}
    alone, together = (run(n_jobs=n, **settings) for n in (1, 2))
    joblib.externals.loky.get_reusable_executor().shutdown()
    assert predictions(alone) == predictions(together)
    assert alone.sample_grid == together.sample_grid


def test_no_global_stream_is_touched():
    before = np.random.mtrand._rand.get_state()[1].tolist(), torch.random.get_rng_state()
    run(steps=1)
    assert np.random.mtrand._rand.get_state()[1].tolist() == before[0]
    assert torch.equal(torch.random.get_rng_state(), before[1])


# --- what goes in ---------------------------------------------------------------------------------


def small_net():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 3))


@pytest.mark.parametrize(
    "classifier",
    ["logistic", "mlp", None, RandomForestClassifier(4), DecisionTreeClassifier, small_net],
    ids=["name", "torch name", "default", "forest object", "class", "factory"],
)
def test_a_classifier_may_be_a_name_an_estimator_or_a_factory(classifier):
    found = run(classifier=classifier, arms=["nothing", "gan"])
    assert found.verdict in ("helps", "no evidence", "hurts")
    assert found.roles == {"nothing": "control", "gan": "treatment"}


def test_a_frame_with_text_labels_and_unequal_classes_is_balanced():
    X, y = load_wine(return_X_y=True, as_frame=True)
    labels = pd.Series(np.array(["barolo", "grignolino", "barbera"])[y], name="grape")
    kept = labels.groupby(labels).cumcount() < labels.map({"barolo": 50, "grignolino": 40, "barbera": 20})
    found = compare(
        X[kept], labels[kept], classifier=RandomForestClassifier(5), arms=["nothing", "gan"],
        seeds=3, config=TINY,
    )  # fmt: skip
    assert found.class_names == ("barbera", "barolo", "grignolino")
    gan = [c for c in found.cells if c.arm == "gan"]
    for cell in gan:
        train = labels[kept].value_counts() - np.bincount(cell.y_true)[[1, 2, 0]]
        assert cell.n_train == train.sum()
        assert cell.n_extra == (train.max() - train).sum()
    assert found.overlap == len(gan[0].y_true) / gan[0].n_train
    assert list(found.per_class.index) == ["barbera", "barolo", "grignolino"]


def test_a_data_set_of_pairs_is_taken_apart():
    images = torch.from_numpy(IMAGES[:, None] / 16).float()
    found = run(TensorDataset(images, torch.from_numpy(DIGITS)), None, arms=["nothing", "gan"])
    expected = run(images, DIGITS, arms=["nothing", "gan"])
    assert predictions(found) == predictions(expected)


def test_a_given_test_set_is_what_is_tested_on():
    test = (IMAGES[90:], DIGITS[90:])
    found = run(IMAGES[:90], DIGITS[:90], test=test, arms=["nothing", "gan"])
    assert all(c.y_true.tolist() == DIGITS[90:].tolist() for c in found.cells)
    assert {c.n_train for c in found.cells} == {15}


def test_a_given_test_set_may_lack_a_class():
    shown = DIGITS[90:] < 2
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = run(IMAGES[:90], DIGITS[:90], test=(IMAGES[90:][shown], DIGITS[90:][shown]), steps=1)
    assert [str(w.message)[:23] for w in caught] == ["test has no sample of '"]
    for cell in found.cells:
        recalls = recall_score(cell.y_true, cell.y_pred, labels=[0, 1], average=None)
        assert cell.score("balanced_accuracy") == pytest.approx(recalls.mean())


def test_an_own_arm_with_its_own_samples_takes_part():
    seen = []

    def darker(part):
        seen.append(part.extra_c.tolist())
        chosen = [int(torch.nonzero(part.c == k)[0, 0]) for k in part.extra_c]
        return part.x[chosen] * 0.9 - 0.1

    arms = {"nothing": ARMS["nothing"], "darker": Arm(role="treatment", extra=darker)}
    found = run(arms=arms)
    assert found.primary == "darker"
    assert seen == [[0] * 5 + [1] * 5 + [2] * 5] * 3
    assert {c.n_extra for c in found.cells if c.arm == "darker"} == {15}
    assert found.sample_grid is None


def test_a_fill_that_adds_nothing_is_refused():
    with pytest.raises(ConfigError, match=r"fill must add samples.*fill=2"):
        run(fill="balance")


def test_a_treatment_needs_a_control_that_differs_in_the_added_samples_only():
    with pytest.raises(ConfigError, match=r"differs from 'gan \+ classic' in the added samples only"):
        run(arms=["nothing", "oversampling", "gan + classic"])


def test_a_module_that_is_built_once_or_drawn_elsewhere_is_refused():
    same = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    with pytest.raises(ConfigError, match="two of its modules share weights"):
        run(classifier=lambda: same)

    def unseeded():
        model = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
        with torch.no_grad():
            model[1].bias.copy_(torch.from_numpy(np.random.default_rng().normal(size=3)))
        return model

    with pytest.raises(ConfigError, match="started from other weights"):
        run(classifier=unseeded)


def test_a_module_with_a_wrong_number_of_logits_is_refused():
    with pytest.raises(ConfigError, match=r"logits \(n, 3\), one per class; got \(2, 2\)"):
        run(classifier=lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 2)))


def test_class_weights_are_left_out_where_the_classifier_takes_none():
    found = run(classifier=KNeighborsClassifier())
    assert "class weights" not in found.roles
    assert len(found.roles) == len(ALL) - 1


def test_an_arm_that_writes_to_its_samples_harms_no_other_arm():
    def spoil(part):
        rows = torch.zeros_like(part.x[: len(part.extra_c)])
        for tensor in (part.x, part.c, part.extra_c):
            tensor.zero_()
        part.fitted_gan()
        return rows

    alone = {"nothing": ARMS["nothing"], "gan": ARMS["gan"]}
    arms = {"spoil": Arm(role="treatment", extra=spoil), **alone}
    after, before = (predictions(run(arms=a, steps=40)) for a in (arms, alone))
    assert {key: after[key] for key in before} == before


def test_each_seed_trains_its_own_generator(monkeypatch):
    seeds, fit = [], ConditionalGAN.fit

    def noted(self, *args, **kwargs):
        seeds.append(self.random_state)
        return fit(self, *args, **kwargs)

    monkeypatch.setattr(ConditionalGAN, "fit", noted)
    run(arms=["nothing", "gan"], steps=1)
    assert len(set(seeds)) == 3


def test_classic_augmentation_is_fitted_on_training_samples_alone(monkeypatch):
    seen = []

    def noted(x, **settings):
        seen.append(len(x))
        return lambda batch: batch

    monkeypatch.setattr("ganaug.experiment.recipes.classic_transform", noted)
    run(arms=["classic", "gan + classic"], steps=1)
    assert seen == [15] * 6


def test_scores_that_agree_in_every_seed_are_known_to_one_test_sample_only():
    exact = corrected_gain([25.0] * 3)
    coarse = corrected_gain([25.0] * 3, resolution=20.0)
    assert exact.low == 25
    assert coarse.low == pytest.approx(25 - 4.30265 * 20 / 12**0.5 / 3**0.5, abs=1e-3)
    assert corrected_gain([0.0] * 3, resolution=20.0).high > 0
    assert corrected_gain([0.0] * 3).high == 0  # known to be the same


def test_progress_is_told_after_each_cell():
    told = []
    run(arms=["nothing", "gan"], steps=1, on_cell=lambda done, total: told.append((done, total)))
    assert told == [(n, 6) for n in range(1, 7)]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"classifier": nn.Linear(64, 3)}, "must be a function that builds a torch module"),
        ({"classifier": "forrest"}, "Did you mean 'forest'"),
        ({"metric": "balanced_acuracy"}, "metric must be one of .*Did you mean 'balanced_accuracy'"),
        ({"arms": ["nothing", "gann"]}, "arms must be one of .*Did you mean 'gan'"),
        ({"arms": ["nothing", "classic"]}, "at least one control and one treatment"),
        ({"arms": ["gan"]}, "at least one control and one treatment"),
        ({"arms": {"nothing": "gan"}}, "arm 'nothing' must be an Arm; got str"),
        ({"primary": "nothing"}, "primary must be one of 'gan', 'gan \\+ classic'"),
        ({"seeds": 2}, "seeds must be an integer of at least 3"),
        ({"steps": 0}, "steps must be an integer of at least 1"),
        ({"batch_size": 2.5}, "batch_size must be an integer"),
        ({"preset": "quik", "config": None}, "Did you mean 'quick'"),
        ({"tracking": "mlfow"}, "Did you mean 'mlflow'"),
        ({"tracking": 3}, "tracking must be 'mlflow', None, or an object with a method `comparison`"),
        ({"fill": "balanced"}, "fill must be one of .*Did you mean 'balance'"),
        ({"classifier": KNeighborsClassifier(), "arms": list(ALL)}, "KNeighborsClassifier takes none"),
        ({"n_jobs": 0}, "n_jobs must be"),
        ({"classic": 3}, "classic must be an albumentations Compose; got int"),
        ({"device": "abacus"}, "device must be 'auto' or one that torch can use"),
        ({"config": GANConfig(loss="hing")}, "Did you mean 'hinge'"),
        ({"classifier": Ridge()}, "must be a classifier; got Ridge"),
        ({"classifier": lambda: nn.Linear(5, 3)}, "it fails on them: .*mat1 and mat2"),
        ({"arms": {"nothing": ARMS["nothing"], "x": Arm(role="treatmnt")}}, "Did you mean 'treatment'"),
        ({"fill": float("inf")}, "fill must be"),
    ],
)
def test_a_wrong_setting_is_refused_before_a_generator_is_trained(monkeypatch, settings, message):
    monkeypatch.setattr(ConditionalGAN, "fit", lambda *_, **__: pytest.fail("a generator was trained"))
    with pytest.raises(ConfigError, match=message):
        run(**settings)


def test_an_arm_that_makes_samples_of_another_shape_is_refused():
    arms = {"nothing": ARMS["nothing"], "flat": Arm(role="treatment", extra=lambda part: part.x.flatten(1))}
    with pytest.raises(
        ConfigError,
        match=r"extra of arm 'flat' must return a tensor of samples \(15, 1, 8, 8\).*got Tensor \(15, 64\)",
    ):
        run(arms=arms)


def test_an_arm_that_makes_no_numbers_is_refused():
    def empty(part):
        return torch.full((len(part.extra_c), *part.x.shape[1:]), torch.nan)

    with pytest.raises(DataError, match="extra of arm 'empty' must be finite"):
        run(arms={"nothing": ARMS["nothing"], "empty": Arm(role="treatment", extra=empty)})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X, y: (X, None), "y must hold a label per sample"),
        (lambda X, y: (X, np.zeros_like(y)), "at least two classes"),
        (lambda X, y: (X, y[:-1]), "one label for each of the 150 samples"),
        (lambda X, y: (np.where(X == 3, np.nan, X), y), "finite"),
    ],
)
def test_data_that_cannot_be_learned_from_is_refused(change, message):
    with pytest.raises(DataError, match=message):
        run(*change(IMAGES, DIGITS))


@pytest.mark.parametrize(
    ("test", "message"),
    [
        ((IMAGES[:5, :, :7], DIGITS[:5]), r"as in fit"),
        ((IMAGES[:5], DIGITS[:5] + 7), "labels seen in fit"),
        ((IMAGES[:5], DIGITS[:4]), "one label for each of its 5 samples; got 4"),
        ((IMAGES[:0], DIGITS[:0]), "one label for each of its 0 samples"),
        ((IMAGES[:5] * np.nan, DIGITS[:5]), "test must be finite"),
        (((IMAGES[:5] * 15).astype(np.uint8), DIGITS[:5]), "test images must be like the training images"),
        ((IMAGES[:5] * 15, DIGITS[:5]), "test images must be like the training images"),
        (IMAGES[:5], "must be .X_test, y_test. or a data set"),
    ],
)
def test_a_given_test_set_that_does_not_fit_is_refused(test, message):
    with pytest.raises(DataError, match=message):
        run(test=test)
