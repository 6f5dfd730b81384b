"""A finished comparison beside its cells on disk, so that it can be looked at again without running it."""

import json
import os
import warnings
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ganaug._checks import read_json, reading
from ganaug.errors import CheckpointError, GanaugWarning
from ganaug.experiment.cell_folder import ABOUT, cell_files, read_cell
from ganaug.experiment.cells import FailedCell
from ganaug.experiment.comparison import Comparison
from ganaug.experiment.metrics import METRICS, RANKINGS
from ganaug.experiment.specimens import Specimens
from ganaug.training.checkpoint import load_tensors, save_tensors

__all__ = ["keep_comparison", "read_comparison"]

RESULT, GRID, SPECIMENS = "result.json", "samples.png", "specimens.safetensors"
FORMAT = 1
APART = ("cells", "failed", "sample_grid", "specimens")
"""Fields that are not in the JSON file as they are."""
ROLES = {"control", "treatment", "oracle"}
TOLD = ("classifier", "splits", "n_train", "n_test")
"""Settings that a report puts into words."""
TUPLES = ("class_names", "lost_controls", "learning_curve")


def keep_comparison(folder: Path, result: Comparison) -> None:
    """Write what a comparison is besides its cells; where that fails, the comparison itself goes on."""
    try:
        if result.sample_grid is not None:
            _replace(folder / GRID, result.sample_grid)
        if result.specimens is not None:
            values = result.specimens.to_dict()
            arrays = {k: v for k, v in values.items() if isinstance(v, np.ndarray)}
            tensors = {k: torch.from_numpy(np.ascontiguousarray(v)) for k, v in arrays.items()}
            plain: dict[str, Any] = {k: v for k, v in values.items() if k not in arrays}
            save_tensors(folder / SPECIMENS, tensors, {"specimens": plain})
        about = {
            "format": FORMAT,
            **{f.name: getattr(result, f.name) for f in fields(result) if f.name not in APART},
            "failed": [vars(f) for f in result.failed],
            "cells": [[c.arm, c.seed] for c in result.cells],
        }
        _replace(folder / RESULT, json.dumps(about, indent=1, default=str).encode())
    except OSError as error:
        warnings.warn(
            f"The result cannot be kept in {folder}, only its cells are there: {error}. Resume the "
            "comparison (--resume) to write it again.",
            GanaugWarning,
            stacklevel=3,
        )


def read_comparison(folder: str | Path) -> Comparison:
    """Return the comparison that ``compare(out=...)`` left in a folder.

    Parameters
    ----------
    folder : str or Path
        The folder.

    Returns
    -------
    Comparison
        Equal to what `compare` returned.

    Raises
    ------
    CheckpointError
        If there is no comparison, it is not finished, or a file is damaged.

    Examples
    --------
    >>> read_comparison("no/such/folder")
    Traceback (most recent call last):
    ganaug.errors.CheckpointError: no/such/folder must be the folder of a comparison; it has no about.json.
    """
    folder = Path(folder)
    if not (folder / ABOUT).is_file():
        raise CheckpointError(f"{folder} must be the folder of a comparison; it has no {ABOUT}.")
    if not (folder / RESULT).is_file():
        raise CheckpointError(f"{folder} holds a comparison that is not finished: {_so_far(folder)}")
    path = folder / RESULT
    with reading(path, "a result"):
        about = dict(read_json(path))
        if about.pop("format", None) != FORMAT:
            raise CheckpointError(f"{path} must have format {FORMAT}. Run the comparison with --resume.")
        wanted = {(arm, int(seed)) for arm, seed in about.pop("cells")}
        cells = [read_cell(file) for file in cell_files(folder)]
        kept = tuple(c for c in cells if (c.arm, c.seed) in wanted)
        if len(kept) != len(wanted):
            raise CheckpointError(
                f"{folder} must hold the {len(wanted)} cells of its result; {len(kept)} are there. Run the "
                "comparison again with --resume."
            )
        failed = tuple(FailedCell(**each) for each in about.pop("failed"))
        plain: dict[str, Any] = {k: tuple(_texts(v)) if k in TUPLES else v for k, v in about.items()}
        result = Comparison(
            cells=kept, failed=failed, sample_grid=_grid(folder), specimens=_specimens(folder), **plain
        )
        for name, good in _soundness(result):
            if not good:
                raise ValueError(f"{name} cannot be {str(getattr(result, name))[:100]}")
    return result


def _texts(values: Any) -> list[str]:
    if not isinstance(values, list) or not all(isinstance(v, str) for v in values):
        raise ValueError(f"{str(values)[:100]} is no list of texts")
    return values


def _soundness(result: Comparison) -> Iterator[tuple[str, bool]]:
    """Yield the names of fields, and whether each fits to the others, which those of a file may not."""
    roles, cells = result.roles, result.cells
    yield "roles", set(roles.values()) <= ROLES and "control" in roles.values()
    yield "primary", roles.get(result.primary) == "treatment"
    yield "metric", result.metric in METRICS
    yield "overlap", _is_number(result.overlap) and result.overlap <= 1
    yield "rope", _is_number(result.rope)
    yield "wall_seconds", _is_number(result.wall_seconds)
    yield "given_test", isinstance(result.given_test, bool)
    yield "one_training_set", isinstance(result.one_training_set, bool)
    yield "settings", all(isinstance(result.settings[name], str | int) for name in TOLD)
    yield "twins", isinstance(result.twins, dict) and all(map(_is_text, result.twins.values()))
    yield "failed", all(_is_text(f.arm) and type(f.seed) is int and _is_text(f.error) for f in result.failed)
    yield (
        "class_names",
        len(result.class_names) > 1 and all(c.is_sound(len(result.class_names)) for c in cells),
    )
    seeds = {c.seed for c in cells}
    pairs = [(c.arm, c.seed) for c in cells]
    yield "cells", len(seeds) > 1 and sorted(pairs) == sorted((arm, seed) for arm in roles for seed in seeds)
    tests: dict[int, Any] = {}
    one = all(
        np.array_equal(tests.setdefault(0 if result.given_test else c.seed, c.y_true), c.y_true)
        for c in cells
    )
    yield "given_test", one
    yield "metric", result.metric not in RANKINGS or all(c.y_score is not None for c in cells)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < float("inf")


def _so_far(folder: Path) -> str:
    """Say how far a comparison is, and how it goes on."""
    config = folder / "run.yaml"
    how = (
        f"ganaug compare --config {config} --resume"
        if config.is_file()
        else "its command again with --resume"
    )
    with reading(folder / ABOUT, "the order of a comparison"):
        about, done = read_json(folder / ABOUT), len(cell_files(folder))
        return f"{done} of {len(about['arms']) * about['seeds']} cells are there. Go on with: {how}"


def _grid(folder: Path) -> bytes | None:
    return (folder / GRID).read_bytes() if (folder / GRID).is_file() else None


def _specimens(folder: Path) -> Specimens | None:
    if not (folder / SPECIMENS).is_file():
        return None
    tensors, about = load_tensors(folder / SPECIMENS)
    return Specimens.from_dict({**about["specimens"], **{k: v.numpy() for k, v in tensors.items()}})


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}")
    temporary.write_bytes(content)
    os.replace(temporary, path)
