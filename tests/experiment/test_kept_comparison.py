"""A comparison that is kept is read as it was; a result that was changed is refused by its name."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from test_report import comparison

from ganaug.errors import CheckpointError
from ganaug.experiment.cell_folder import ABOUT, CellFolder
from ganaug.experiment.kept_comparison import RESULT, keep_comparison, read_comparison


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    result, path = comparison(reserve=True), tmp_path_factory.mktemp("kept")
    cells = CellFolder(path, SimpleNamespace(arms=result.roles), {"arms": list(result.roles), "seeds": 4})
    cells.begin()
    (path / "cells").mkdir()
    for cell in result.cells:
        cells.write(cell)
    keep_comparison(path, result)
    return path


def test_a_comparison_is_read_as_it_was_kept(folder: Path) -> None:
    assert read_comparison(folder).to_dict() == comparison(reserve=True).to_dict()


CHANGES = {
    "roles": [[], None, {}, {"nothing": "judge", "copies": "control", "gan": "treatment"}],
    "primary": [None, [], "copies", "other"],
    "metric": [None, [], "luck"],
    "overlap": ["x", None, -1, 1e308],
    "rope": [[], None, -1, "x"],
    "wall_seconds": ["x", None],
    "class_names": ["abc", None, [], ["a"], [1, 2, 3], ["a", "b"]],
    "given_test": [None, "x"],
    "one_training_set": [None, "x"],
    "settings": [None, [], {}, {"splits": {}}],
    "twins": [None, "x", {"gan": []}],
    "learning_curve": [None, "x", [[]]],
    "lost_controls": [None, "x", [1]],
    "failed": [None, [1], [{"arm": "gan", "seed": "x", "error": "e"}], [{}]],
    "cells": [None, [], [["gan", 0]], [[[], 0]], [["gan", 1e999]]],
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_result_that_was_changed_is_refused_by_name(folder: Path, name: str) -> None:
    whole = (folder / RESULT).read_text()
    try:
        for value in CHANGES[name]:
            (folder / RESULT).write_text(json.dumps({**json.loads(whole), name: value}))
            with pytest.raises(CheckpointError, match=re.escape(str(folder))):
                read_comparison(folder)
    finally:
        (folder / RESULT).write_text(whole)


@pytest.mark.parametrize("content", ["[" * 100_000, "[]", "{}", "null", "\x00", '{"format": 1}'])
@pytest.mark.parametrize("file", [RESULT, ABOUT])
def test_a_file_that_is_none_is_refused_by_name(
    folder: Path, tmp_path: Path, file: str, content: str
) -> None:
    for name in (ABOUT, file):
        (tmp_path / name).write_text((folder / name).read_text())
    (tmp_path / file).write_text(content)
    with pytest.raises(CheckpointError, match=re.escape(str(tmp_path / file))):
        read_comparison(tmp_path)
