"""A comparison that is kept: cells on disk, what goes on after a kill, and what is refused."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.naive_bayes import GaussianNB
from threadpoolctl import threadpool_limits

from ganaug import ConditionalGAN, GANConfig, compare
from ganaug.errors import CheckpointError, ConfigError, GanaugWarning, OutputExistsError
from ganaug.experiment.schedule import _is_loss

TINY = GANConfig(network="mlp", width=4, z_dim=4, batch_size=16, train_images=64)
pixels, targets = load_digits(return_X_y=True)
X, y = pixels[targets < 3].reshape(-1, 8, 8)[:150], targets[targets < 3][:150]


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Keep the threads of BLAS and OpenMP out of each other's way."""
    with threadpool_limits(1):
        yield


def run(data=(X, y), **settings):
    small = {"classifier": "forest", "arms": ["nothing", "classic", "gan + classic"], "config": TINY}
    return compare(*data, **{**small, "seeds": 3, "labelled_per_class": 5, **settings})


def content(result):
    """Return all that does not depend on the clock."""
    return [
        (c.arm, c.seed, c.y_true.tolist(), c.y_pred.tolist(), c.y_score.tolist(), c.n_train, c.n_extra)
        for c in result.cells
    ]


@pytest.fixture(scope="module")
def whole():
    return run()


def test_a_comparison_that_is_kept_equals_one_that_is_not(whole, tmp_path):
    assert content(run(out=tmp_path / "kept")) == content(whole)
    assert len(list((tmp_path / "kept" / "cells").glob("*.safetensors"))) == 9
    assert len(list((tmp_path / "kept" / "generators").iterdir())) == 3


def test_a_finished_comparison_is_read_and_nothing_is_run(whole, tmp_path, monkeypatch):
    run(out=tmp_path)
    monkeypatch.setattr(ConditionalGAN, "fit", lambda *_, **__: pytest.fail("a generator was trained"))
    told = []
    again = run(out=tmp_path, resume=True, on_cell=lambda *told_now: told.append(told_now))
    assert content(again) == content(whole)
    assert told == []


def test_what_is_missing_or_damaged_is_run_again_with_the_generators_that_are_there(
    whole, tmp_path, monkeypatch
):
    run(out=tmp_path)
    cells = sorted((tmp_path / "cells").iterdir())
    cells[0].unlink()
    cells[4].write_bytes(cells[4].read_bytes()[:-7])
    monkeypatch.setattr(ConditionalGAN, "fit", lambda *_, **__: pytest.fail("a generator was trained"))
    told = []
    again = run(out=tmp_path, resume=True, on_cell=lambda *told_now: told.append(told_now))
    assert content(again) == content(whole)
    assert told == [(8, 9), (9, 9)]


def test_a_damaged_generator_is_trained_again(whole, tmp_path):
    run(out=tmp_path)
    for file in (tmp_path / "generators" / "0001").glob("*.safetensors"):
        file.write_bytes(b"nothing")
    for cell in (tmp_path / "cells").glob("0001-*"):
        cell.unlink()
    assert content(run(out=tmp_path, resume=True)) == content(whole)


SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
import test_cell_folder as t
from ganaug.experiment import cell_folder
write = cell_folder.CellFolder.write
def slow(self, cell):
    write(self, cell)
    print("cell", flush=True)
cell_folder.CellFolder.write = slow
t.run(out={out!r}, seeds=5)
"""


def test_a_comparison_that_was_killed_goes_on_to_the_same_numbers(tmp_path):
    out = str(tmp_path / "kept")
    code = SCRIPT.format(tests=str(Path(__file__).parent), out=out)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        for _ in range(4):
            assert process.stdout.readline() == "cell\n"
        process.send_signal(signal.SIGKILL)
    kept = len(list(Path(out, "cells").glob("[0-9]*")))
    assert 4 <= kept < 15
    told = []
    again = run(out=out, seeds=5, resume=True, on_cell=lambda *now: told.append(now))
    assert len(told) == 15 - kept
    assert content(again) == content(run(seeds=5))


def test_nothing_that_decides_a_cell_may_change_between_two_parts(tmp_path):
    test, other = (X[:40], y[:40]), (X[:40][::-1], y[:40][::-1])
    data, few = (X[40:], y[40:]), {"arms": ["nothing", "oversampling", "gan"], "classifier": GaussianNB()}
    run(data, **few, test=test, out=tmp_path)
    run(data, **few, test=test, out=tmp_path, resume=True)
    with pytest.raises(CheckpointError, match="test: "):
        run(data, **few, test=other, out=tmp_path, resume=True)
    with pytest.raises(CheckpointError, match="metric: 'balanced_accuracy' then, 'accuracy' now"):
        run(data, **few, test=test, metric="accuracy", out=tmp_path, resume=True)
    few["arms"] = ["gan", "nothing", "oversampling"]  # files are named by their order
    with pytest.raises(CheckpointError, match="arms: "):
        run(data, **few, test=test, out=tmp_path, resume=True)


def test_other_groups_of_equal_number_are_another_comparison(tmp_path):
    groups, other = np.arange(150) // 3, np.roll(np.arange(150) // 3, 1)
    few = {"arms": ["nothing", "gan"], "labelled_per_class": None, "classifier": GaussianNB()}
    run(**few, groups=groups, out=tmp_path)
    with pytest.raises(CheckpointError, match="rows of the splits: "):
        run(**few, groups=other, out=tmp_path, resume=True)


def test_a_folder_of_another_comparison_is_refused(tmp_path):
    run(out=tmp_path / "kept")
    with pytest.raises(OutputExistsError, match="resume"):
        run(out=tmp_path / "kept")
    for other in (
        {"random_state": 1},
        {"steps": 7},
        {"arms": ["nothing", "oversampling", "gan"]},
        {"data": (X[::-1], y[::-1])},
        {"classifier": GaussianNB()},
    ):
        with pytest.raises(CheckpointError, match="other data or settings"):
            run(out=tmp_path / "kept", resume=True, **other)
    with pytest.raises(CheckpointError, match="must be the folder of a comparison"):
        run(out=tmp_path / "nothing", resume=True)
    with pytest.raises(ConfigError, match="resume=True needs the folder"):
        run(resume=True)


class FailsAt(GaussianNB):
    """Fails on the training sets that the environment names, and notes the others."""

    def fit(self, X, y, sample_weight=None):
        if f"{len(y)}:{int(X.sum())}" in os.environ.get("FAILING", ""):
            raise ValueError("no convergence")
        with open(os.environ["SEEN"], "a", encoding="utf-8") as seen:
            seen.write(f"{len(y)}:{int(X.sum())}\n")
        return super().fit(X, y, sample_weight)


def test_a_cell_that_fails_is_told_and_the_others_go_on(tmp_path, monkeypatch):
    monkeypatch.setenv("SEEN", str(tmp_path / "seen"))
    settings = {"classifier": FailsAt(), "seeds": 5, "out": tmp_path / "kept"}
    run(**{**settings, "out": None})
    training_sets = (tmp_path / "seen").read_text().split()
    monkeypatch.setenv("FAILING", training_sets[4])  # the arm "classic" in the second seed
    result = run(**settings)
    assert [(f.arm, f.seed) for f in result.failed] == [("classic", 1)]
    assert "ValueError: no convergence (fit, line" in result.failed[0].error
    assert {c.seed for c in result.cells} == {0, 2, 3, 4}
    assert "4 paired seeds" in result.sentence
    assert json.loads(json.dumps(result.to_dict()))["failed"][0]["arm"] == "classic"
    monkeypatch.delenv("FAILING")
    mended = run(**settings, resume=True)
    assert mended.failed == ()
    assert len(mended.cells) == 15


class NeverWeighted(GaussianNB):
    """Fails wherever samples have weights."""

    def fit(self, X, y, sample_weight=None):
        if sample_weight is not None:
            raise ZeroDivisionError("weights")
        return super().fit(X, y)


def test_an_arm_that_always_fails_is_left_out_of_the_verdict():
    result = run(classifier=NeverWeighted(), arms=["nothing", "class weights", "gan"])
    assert list(result.table.index) == ["nothing", "gan"]
    assert [f.arm for f in result.failed] == ["class weights"] * 3


class AlwaysFails(GaussianNB):
    """Fails."""

    def fit(self, X, y, sample_weight=None):
        raise ZeroDivisionError("at once")


def test_a_classifier_that_always_fails_is_an_error():
    with pytest.raises(ConfigError, match="ZeroDivisionError: at once"):
        run(classifier=AlwaysFails())


@pytest.mark.parametrize("jobs", [{}, pytest.param({"n_jobs": 4}, marks=pytest.mark.slow)])
def test_a_time_limit_leaves_three_seeds_at_least_and_every_arm_of_each(jobs):
    result = run(seeds=6, max_minutes=0, **jobs)
    assert [(c.arm, c.seed) for c in result.cells] == [
        (arm, s) for s in range(3) for arm in ("nothing", "classic", "gan + classic")
    ]


def test_jobs_change_no_number_and_each_generator_is_trained_once(whole, tmp_path):
    start = time.time()
    two = run(n_jobs=2, out=tmp_path)
    assert content(two) == content(whole)
    assert len(list((tmp_path / "generators").iterdir())) == 3
    seconds = {s: {c.gan_seconds for c in two.cells if c.seed == s} - {0.0} for s in range(3)}
    assert all(len(found) == 1 for found in seconds.values())
    assert sum(map(sum, seconds.values())) < 2 * (time.time() - start)


@pytest.mark.slow
def test_a_dask_cluster_gives_the_same_numbers(whole):
    import joblib
    from dask.distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=2, threads_per_worker=2, dashboard_address=":0") as cluster,
        Client(cluster),
        joblib.parallel_config(backend="dask"),
    ):
        assert content(run()) == content(whole)


class Killed(GaussianNB):
    """Kills its own process, the first times that it gets one training set; notes the others."""

    def __init__(self, marks, fatal="", times=1):
        super().__init__()
        self.marks, self.fatal, self.times = marks, fatal, times

    def fit(self, X, y, sample_weight=None):
        killed = len(list(self.marks.glob("killed*")))
        if f"{len(y)}:{int(X.sum())}" == self.fatal and killed < self.times:
            (self.marks / f"killed{killed}").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        with open(self.marks / "seen", "a", encoding="utf-8") as seen:
            seen.write(f"{len(y)}:{int(X.sum())}\n")
        return super().fit(X, y, sample_weight)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Return a comparison, and the training set of its arm "classic" in the second seed."""
    marks = tmp_path_factory.mktemp("undisturbed")
    result = run(classifier=Killed(marks), seeds=4)
    return result, (marks / "seen").read_text().split()[4]


@pytest.mark.slow
def test_a_worker_that_is_killed_costs_its_cell_an_attempt_and_changes_no_number(undisturbed, tmp_path):
    result, training_set = undisturbed
    assert content(run(classifier=Killed(tmp_path, training_set), n_jobs=2, seeds=4)) == content(result)
    assert (tmp_path / "killed0").exists()


def test_a_cell_whose_worker_is_killed_each_time_fails_and_the_others_do_not(undisturbed, tmp_path):
    whole, training_set = undisturbed
    with pytest.warns(GanaugWarning, match="workers were killed 2 times.*one at a time"):
        result = run(classifier=Killed(tmp_path, training_set, times=9), n_jobs=2, seeds=4)
    assert [(f.arm, f.seed) for f in result.failed] == [("classic", 1)]
    assert "was killed each time" in result.failed[0].error
    assert content(result) == [cell for cell in content(whole) if cell[1] != 1]
    assert len(list(tmp_path.glob("killed*"))) == 3


@pytest.mark.slow
def test_a_classifier_that_workers_cannot_open_is_no_killed_worker():
    with pytest.raises(Exception, match="un-serialize"):
        run(classifier=Unopened(), n_jobs=2)


class Unopened(GaussianNB):
    """Can be sent to another process, and not be opened there."""

    def __reduce__(self):
        return _not_here, (os.getpid(),)


def _not_here(pid):
    if pid != os.getpid():
        raise ImportError("there is no such module here")
    return Unopened()


def test_losses_are_errors_of_the_backends_themselves():
    ray = type("OutOfMemoryError", (Exception,), {"__module__": "ray.exceptions"})
    assert [_is_loss(kind("short")) for kind in (ray, torch.OutOfMemoryError, MemoryError)] == [
        True,
        False,
        False,
    ]


def test_a_killed_worker_of_a_dask_cluster_changes_no_number(undisturbed, tmp_path):
    import joblib
    from dask.distributed import Client, LocalCluster

    result, training_set = undisturbed
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster),
        joblib.parallel_config(backend="dask"),
    ):
        assert content(run(classifier=Killed(tmp_path, training_set), seeds=4)) == content(result)
    assert (tmp_path / "killed0").exists()


@pytest.fixture
def on_ray(monkeypatch):
    import joblib

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # its workers open `Killed` from this file
    ray = pytest.importorskip("ray", reason="Ray is large and no dependency of the tests")
    from ray.util.joblib import register_ray

    ray.init(num_cpus=2, include_dashboard=False)
    register_ray()
    try:
        with joblib.parallel_config(backend="ray"):
            yield
    finally:
        ray.shutdown()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_ray_cluster_gives_the_same_numbers(whole, on_ray):
    assert content(run(n_jobs=2)) == content(whole)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_killed_worker_of_a_ray_cluster_changes_no_number(undisturbed, tmp_path, on_ray):
    result, training_set = undisturbed
    assert content(run(classifier=Killed(tmp_path, training_set), n_jobs=2, seeds=4)) == content(result)
    assert (tmp_path / "killed0").exists()


# --- groups ----------------------------------------------------------------------------------------


def grouped(n_groups=24, per_group=6):
    """Rows of two classes in groups; the first column tells the group."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(n_groups), per_group)
    labels = (groups % 3 == 0).astype(int)
    rows = np.column_stack([groups, rng.normal(size=(len(groups), 2)) + labels[:, None]])
    return rows, labels, rng.permutation(len(groups))


@pytest.mark.parametrize("splits", [{"folds": 4, "seeds": 4}, {"test_size": 0.25, "seeds": 3}])
def test_a_group_is_on_one_side_also_where_choices_are_made(splits, monkeypatch):
    from ganaug.experiment import bench

    seen = []
    original = bench.train_and_predict

    def noted(model, recipe, rows, schema, **settings):
        seen.append((set(recipe.X[:, 0]), set(rows[:, 0]), len(recipe.X)))
        return original(model, recipe, rows, schema, **settings)

    monkeypatch.setattr(bench, "train_and_predict", noted)
    rows, labels, order = grouped()
    arms = ["nothing", "threshold", "tuned oversampling", "tuned gan"]
    result = compare(
        rows[order],
        labels[order],
        groups=np.array([f"patient {g:g}" for g in rows[order, 0]]),
        classifier="logistic",
        arms=arms,
        config=TINY,
        **splits,
    )
    assert all(not trained & tested for trained, tested, _ in seen)
    assert len({n for *_, n in seen}) > 2  # inner parts too
    assert result.settings["groups"] == 24
    assert "24 groups kept together" in result.settings["splits"]


def test_groups_that_cannot_be_kept_together_are_refused():
    rows, labels, _ = grouped()
    for groups, message in (
        (labels, "must be in at least 4 groups"),
        (labels[:5], "one entry for each of the 144 samples"),
        (np.where(labels, np.nan, 1.0), "some are missing"),
    ):
        with pytest.raises(ValueError, match=message):
            compare(rows, labels, groups=groups, folds=4, seeds=4, config=TINY)


# --- samples on both sides -------------------------------------------------------------------------


def test_test_samples_that_are_training_samples_are_counted():
    test = (np.concatenate([X[:7], 16 - X[7:20]]), y[:20])
    with pytest.warns(UserWarning, match="7 samples of the test set are training samples too"):
        result = run(labelled_per_class=None, test=test)
    assert result.settings["test_samples_in_training"] == 7
    assert run().settings["test_samples_in_training"] == 0
    twice = (np.concatenate([X, X]), np.concatenate([y, y]))
    assert run(twice, labelled_per_class=None).settings["test_samples_in_training"] > 30
