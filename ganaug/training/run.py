"""A training run on disk: checkpoints, figures, curves and sample grids, written between steps."""

import hashlib
import json
import os
import re
import warnings
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

from torch import Tensor

from ganaug._checks import empty_folder, reading, writing
from ganaug.data.stored import StoredImages
from ganaug.errors import CheckpointError, GanaugWarning
from ganaug.shards import pieces
from ganaug.training.checkpoint import load_tensors, require_finite, save_tensors
from ganaug.training.curves import draw_curves
from ganaug.training.state import GANState

CHECKPOINTS = "checkpoints"
FINITE = re.compile(r"(G|D|G_ema|opt_G|opt_D|snapshots\.\d+)\.")
"""Tensors of a checkpoint that training can go on from only where they are finite."""
MAY_CHANGE = ("train_images", "max_minutes", "target_distance", "keep_checkpoints")


class RunFolder:
    """The folder of one run; `about` (seed, config, schema, data digest) must be equal to resume."""

    def __init__(self, path: str | Path, about: dict[str, Any], *, keep: int = 3):
        self.path, self.about, self.keep = Path(path), about, keep

    def begin(self, state: GANState) -> None:
        """Claim an empty folder with a first checkpoint."""
        folder = self.path / CHECKPOINTS
        if folder.is_dir() and not self._moments():  # a start that was killed before it wrote anything
            for unfinished in folder.glob(".*.safetensors.*"):
                unfinished.unlink()
            if not any(folder.iterdir()):
                folder.rmdir()
        empty_folder(self.path, hint=", or go on with resume=True (--resume)")
        self.checkpoint(state, [])

    def checkpoint(self, state: GANState, history: list[dict[str, Any]]) -> None:
        """Write a checkpoint, then remove all but the last ones, the best and the one to go back to."""
        about = {**self.about, "images_seen": state.images_seen, "history": history}
        save_tensors(self._name(state.images_seen), state.tensors(), about)
        sound = max((line["images_seen"] for line in history if line["sound"]), default=0)
        kept = {*sorted(self._moments())[-self.keep :], sound, best_moment(history)}
        for moment in self._moments() - kept:
            self._name(moment).unlink()

    def write(
        self, state: GANState, history: list[dict[str, Any]], draw_grid: Callable[[], Any] | None
    ) -> None:
        """Write the figures, their curves, a picture of samples where there is one, and a checkpoint."""
        lines = "".join(json.dumps(line) + "\n" for line in history)
        self._replace("history.jsonl", lambda file: file.write_text(lines, encoding="utf-8"))
        self._replace("curves.png", lambda file: draw_curves(history, file))
        if draw_grid is not None:
            picture = draw_grid()
            (self.path / "samples").mkdir(exist_ok=True)
            self._replace(f"samples/{state.images_seen:09d}.png", picture.save)
        self.checkpoint(state, history)

    def restore(self, state: GANState, *, fixed_seed: bool) -> tuple[list[dict[str, Any]], dict[str, Tensor]]:
        """Load the newest checkpoint that is not damaged, and take over its seed.

        Returns the history so far, and the tensors of the last state in good health.
        """
        for unfinished in (self.path / CHECKPOINTS).glob(".*.safetensors.*"):
            unfinished.unlink()
        moments = sorted(self._moments(), reverse=True)
        if not moments:
            raise CheckpointError(
                f"{self.path} must be the folder of a run; there is no checkpoint in it. "
                "Start without resume (--resume)."
            )
        for moment in moments:
            try:
                tensors, saved = _load(self._name(moment))
                break
            except CheckpointError as error:
                if moment == moments[-1]:
                    raise
                warnings.warn(f"{error} Going back to the one before.", GanaugWarning, stacklevel=6)
        for damaged in moments[: moments.index(moment)]:
            self._name(damaged).rename(self._name(damaged).with_suffix(".damaged"))
        path = self._name(moment)
        with reading(path, "a checkpoint"):
            self._compare(saved, path, fixed_seed=fixed_seed)
            state.load_tensors(tensors, origin=path)
            state.require(len(self.about["counts"]))
            self.about["seed"] = saved["seed"]
            history = checked_history(saved["history"])
        healthy = {0, *(line["images_seen"] for line in history if line["sound"])}
        for last in sorted((m for m in self._moments() if m < moment and m in healthy), reverse=True):
            if moment in healthy:
                break
            try:
                return history, _load(self._name(last))[0]
            except CheckpointError as error:
                warnings.warn(f"{error} It can no longer be gone back to.", GanaugWarning, stacklevel=6)
        return history, tensors

    def _compare(self, saved: dict[str, Any], path: Path, *, fixed_seed: bool) -> None:
        expected = json.loads(json.dumps(self.about))  # tuples become lists, as in the file
        for name in (*(["seed"] if fixed_seed else []), "config", "data", "schema"):
            old, new = saved.get(name), expected[name]
            if name == "config" and isinstance(old, dict):
                old, new = ({k: v for k, v in d.items() if k not in MAY_CHANGE} for d in (old, new))
            if old != new:
                raise CheckpointError(
                    f"{path} was written with another {name}: {_difference(old, new)}. Resume with the same "
                    f"data and settings (--seed and --holdout too); only {', '.join(MAY_CHANGE)} may change."
                )

    def _replace(self, name: str, write: Callable[[Path], Any]) -> None:
        """Write a file whole; a link in its place is replaced, and where it leads to stays as it is."""
        unfinished = self.path / f".{Path(name).name}"
        with writing(self.path / name):
            unfinished.unlink(missing_ok=True)
            write(unfinished)
            os.replace(unfinished, self.path / name)

    def _name(self, images_seen: int) -> Path:
        return self.path / CHECKPOINTS / f"{images_seen:09d}.safetensors"

    def _moments(self) -> set[int]:
        return {int(p.stem) for p in (self.path / CHECKPOINTS).glob("*.safetensors") if p.stem.isdigit()}


def _load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return a checkpoint that training can go on from."""
    tensors, saved = load_tensors(path)
    require_finite({k: v for k, v in tensors.items() if FINITE.match(k)}, origin=path)
    return tensors, saved


def checked_history(history: Any) -> list[dict[str, Any]]:
    """Return the history of a file; ValueError if no training can have written it."""
    for line in history:
        sizes = [line["distance"], *(value for name, value in line.items() if name != "health")]
        known = isinstance(line["sound"], bool) and isinstance(line["images_seen"], int)
        if not known or not all(isinstance(v, int | float) for v in sizes):
            raise ValueError(f"its history has the line {str(line)[:100]}")
    return list(history)


def best_moment(history: list[dict[str, Any]]) -> int | None:
    """Return when samples came nearest to the training data, of the intervals in good health."""
    sound = [line for line in history if line["sound"] and line["distance"] == line["distance"]]
    return min(sound, key=lambda line: line["distance"])["images_seen"] if sound else None


def data_digest(x: Tensor | StoredImages, c: Tensor) -> str:
    """Return a short fingerprint of packed samples and classes, wherever they lie."""
    content = hashlib.sha256()
    parts = [x] if isinstance(x, Tensor) else (x[rows] for rows in pieces(x.images))
    for part in chain(parts, [c]):
        rows = part.permute(0, 2, 3, 1) if part.ndim == 4 else part
        content.update(rows.cpu().contiguous().numpy().data)
    return content.hexdigest()[:16]


def _difference(old: Any, new: Any) -> str:
    if isinstance(old, dict) and isinstance(new, dict):
        names = sorted(k for k in old.keys() | new.keys() if old.get(k) != new.get(k))
        return "; ".join(f"{k}: {_difference(old.get(k), new.get(k))}" for k in names)
    old, new = (text if len(text) < 60 else text[:57] + "..." for text in (repr(old), repr(new)))
    return f"{old} then, {new} now"
