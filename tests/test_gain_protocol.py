"""The protocol of the largest benchmark: arms that exist, twins, cells that are kept as they were."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

from ganaug.experiment.cells import Cell
from ganaug.experiment.held_out import Tried
from ganaug.experiment.inputs import resolve_arms


@pytest.fixture(scope="module")
def gain():
    folder = str(Path(__file__).parents[1] / "benchmarks")
    sys.path.insert(0, folder)
    try:
        yield importlib.import_module("gain")
    finally:
        sys.path.remove(folder)


def test_each_cell_has_arms_that_exist_and_a_primary_treatment_with_a_twin(gain):
    for cell in gain.PROTOCOL["cells"]:
        settings = gain.settings_of(cell)
        arms = gain.arms_of(cell)
        resolve_arms(arms, settings["primary"], kind="image")
        assert arms[settings["primary"]].role == "treatment"
        assert settings["seeds"] >= 3


def test_each_lever_of_the_benchmark_has_a_twin_too(gain):
    arms = {**gain.arms_of("mnist 4000..40"), **gain.LEVERS}
    needed = ("classic + mixes", "classic + pseudo-labels")
    resolve_arms({**arms, **{name: gain.ARMS[name] for name in needed}}, None, kind="image")


def test_search_cells_look_at_no_sample_of_the_test_sets(gain):
    for cell in (c for c in gain.PROTOCOL["cells"] if "digits" in c):
        setup = gain.set_up_cell(cell, gain.arms_of(cell))
        _, _, X_test, _ = gain.data("digits")
        theirs = {row.tobytes() for row in X_test}
        mine = {row.tobytes() for row in setup.X} | {row.tobytes() for row in setup.given_test[0]}
        shared = len(mine & theirs)
        assert (shared < 5) == cell.startswith("search")  # a few digits are there twice


def test_kept_cells_come_back_as_they_were(gain, tmp_path, monkeypatch):
    monkeypatch.setattr(gain, "FOLDER", tmp_path)
    y_true = np.arange(10) % 3
    cells = [
        Cell(
            arm=arm,
            seed=seed,
            y_true=y_true,
            y_pred=(y_true + seed) % 3,
            y_score=None,
            n_train=7,
            n_extra=3,
            fit_seconds=1.5,
            gan_seconds=0.0,
            tried=(Tried(0.5, 0.9),),
        )
        for arm in ("nothing", "classic")
        for seed in range(2)
    ]
    gain.keep_cells("digits 10", cells)
    for kept, cell in zip(gain.kept_cells("digits 10"), cells, strict=True):
        assert (kept.arm, kept.seed, kept.tried) == (cell.arm, cell.seed, cell.tried)
        assert np.array_equal(kept.y_pred, cell.y_pred)
        assert np.array_equal(kept.y_true, y_true)
    assert gain.kept_cells("digits 20") == []
    monkeypatch.setitem(gain.PROTOCOL["cells"]["digits 10"], "steps", 7)
    assert gain.kept_cells("digits 10") == []  # what was run under other settings is not what is asked for
