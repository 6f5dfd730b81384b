"""A finished comparison beside its cells on disk, so that it can be looked at again without running it."""

import json
import os
import warnings
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ganaug.errors import CheckpointError, GanaugWarning
from ganaug.experiment.cell_folder import ABOUT, cell_files, read_cell
from ganaug.experiment.cells import FailedCell
from ganaug.experiment.comparison import Comparison
from ganaug.experiment.specimens import Specimens
from ganaug.training.checkpoint import load_tensors, save_tensors

__all__ = ["keep_comparison", "read_comparison"]

RESULT, GRID, SPECIMENS = "result.json", "samples.png", "specimens.safetensors"
FORMAT = 1
APART = ("cells", "failed", "sample_grid", "specimens")
"""Fields that are not in the JSON file as they are."""
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
    about = _json(folder / RESULT)
    if about.pop("format", None) != FORMAT:
        raise CheckpointError(
            f"{folder / RESULT} must have format {FORMAT}. Run the comparison with --resume."
        )
    try:
        wanted = {(arm, int(seed)) for arm, seed in about.pop("cells")}
        cells = [read_cell(path) for path in cell_files(folder)]
        kept = tuple(c for c in cells if (c.arm, c.seed) in wanted)
        if len(kept) != len(wanted):
            raise CheckpointError(
                f"{folder} must hold the {len(wanted)} cells of its result; {len(kept)} are there. Run the "
                "comparison again with --resume."
            )
        failed = tuple(FailedCell(**each) for each in about.pop("failed"))
        plain: dict[str, Any] = {k: tuple(v) if k in TUPLES else v for k, v in about.items()}
        return Comparison(
            cells=kept, failed=failed, sample_grid=_grid(folder), specimens=_specimens(folder), **plain
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{folder / RESULT} is damaged: {error}. Run the comparison with --resume."
        ) from error


def _so_far(folder: Path) -> str:
    """Say how far a comparison is, and how it goes on."""
    about = _json(folder / ABOUT)
    done = len(cell_files(folder))
    config = folder / "run.yaml"
    how = (
        f"ganaug compare --config {config} --resume"
        if config.is_file()
        else "its command again with --resume"
    )
    try:
        return f"{done} of {len(about['arms']) * about['seeds']} cells are there. Go on with: {how}"
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{folder / ABOUT} is damaged: {error!r}.") from error


def _grid(folder: Path) -> bytes | None:
    return (folder / GRID).read_bytes() if (folder / GRID).is_file() else None


def _specimens(folder: Path) -> Specimens | None:
    if not (folder / SPECIMENS).is_file():
        return None
    tensors, about = load_tensors(folder / SPECIMENS)
    return Specimens.from_dict({**about["specimens"], **{k: v.numpy() for k, v in tensors.items()}})


def _json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged: {error}.") from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{path} is damaged: it must hold a JSON object.")
    return values


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}")
    temporary.write_bytes(content)
    os.replace(temporary, path)
