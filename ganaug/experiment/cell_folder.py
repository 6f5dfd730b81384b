"""Finished cells of a comparison on disk, one file each, with the generators of the seeds."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ganaug._checks import BROKEN, empty_folder, read_json, reading, writing
from ganaug.errors import CheckpointError
from ganaug.experiment.cells import Cell
from ganaug.experiment.held_out import Tried
from ganaug.experiment.jobs import Trained
from ganaug.experiment.plan import Plan
from ganaug.generator import load
from ganaug.mixing.gate import Admitted
from ganaug.training.checkpoint import load_tensors, save_tensors

ABOUT = "about.json"


def cell_files(folder: Path) -> list[Path]:
    """Return the files of the cells of a comparison, by seed and arm."""
    return sorted((folder / "cells").glob("*.safetensors"))


def read_cell(path: Path) -> Cell:
    """Return the cell of a file; CheckpointError if it is damaged."""
    tensors, about = load_tensors(path)
    with reading(path, "a cell"):
        arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
        plain = {"admitted": (), "doses": (), **about["cell"]}
        plain["doses"] = tuple(map(float, plain["doses"]))
        plain["tried"] = tuple(Tried(*each) for each in plain["tried"])
        plain["admitted"] = tuple(Admitted(*each) for each in plain["admitted"])
        return Cell(**{"y_score": None, **plain, **arrays})


class CellFolder:
    """The folder of one comparison; `about` must be equal to go on with it."""

    def __init__(self, path: str | Path, plan: Plan, about: dict[str, Any]):
        self.path, self.plan = Path(path), plan
        self.about = json.loads(json.dumps(about, default=str))

    def begin(self) -> None:
        """Claim an empty folder."""
        empty_folder(self.path, hint=", or go on with resume=True (--resume)")
        self.path.mkdir(parents=True, exist_ok=True)
        temporary = self.path / f".{ABOUT}"
        temporary.write_text(json.dumps(self.about, indent=1), encoding="utf-8")
        os.replace(temporary, self.path / ABOUT)

    def restore(self) -> list[Cell]:
        """Return the cells that are there; those that are damaged will be run again."""
        self._compare()
        cells = []
        for path in cell_files(self.path):
            try:
                cells.append(self._checked(path, read_cell(path)))
            except CheckpointError:
                path.unlink()
        return cells

    def _checked(self, path: Path, cell: Cell) -> Cell:
        """Return a cell; CheckpointError if it is not the one that the name of its file says."""
        with reading(path, "a cell"):
            if self._name(cell) != path.name or not cell.is_sound(len(self.plan.names)):
                raise ValueError(f"it holds {cell.arm!r} of seed {cell.seed}")
        return cell

    def _name(self, cell: Cell) -> str:
        return f"{cell.seed:04d}-{list(self.plan.arms).index(cell.arm):02d}.safetensors"

    def write(self, cell: Cell) -> None:
        """Write one cell."""
        arrays = {k: v for k, v in vars(cell).items() if isinstance(v, np.ndarray)}
        plain = {k: v for k, v in vars(cell).items() if k not in arrays and v is not None}
        tensors = {k: torch.from_numpy(np.ascontiguousarray(v)) for k, v in arrays.items()}
        save_tensors(self.path / "cells" / self._name(cell), tensors, {"cell": plain})

    def write_generator(self, trained: Trained) -> None:
        """Write the generator of a seed."""
        if trained.gan is not None:
            trained.gan.save(self._generator(trained.seed))
            seconds = self._generator(trained.seed) / "seconds.json"
            with writing(seconds):
                seconds.write_text(json.dumps(trained.seconds), encoding="utf-8")

    def generator(self, seed: int) -> Trained | None:
        """Return the generator of a seed if it is there whole."""
        folder, config = self._generator(seed), self.plan.config
        own = {k: v for k in ("network", "conditioning") if not isinstance(v := getattr(config, k), str)}
        try:
            with reading(folder, "a generator"):
                seconds = read_json(folder / "seconds.json")
                return Trained(seed, load(folder, device=self.plan.device, **own), float(seconds))
        except CheckpointError:
            if folder.is_symlink():
                folder.unlink()  # and what it leads to stays
            elif folder.exists():
                shutil.rmtree(folder)
            return None

    def _generator(self, seed: int) -> Path:
        return self.path / "generators" / f"{seed:04d}"

    def _compare(self) -> None:
        try:
            there = dict(read_json(self.path / ABOUT))
        except BROKEN as error:
            raise CheckpointError(
                f"{self.path} must be the folder of a comparison to go on with; {ABOUT} cannot be read: "
                f"{error}. Start without resume (--resume)."
            ) from error
        differ = [k for k in {**there, **self.about} if there.get(k) != self.about.get(k)]
        if differ:
            shown = "; ".join(f"{k}: {there.get(k)!r} then, {self.about.get(k)!r} now" for k in differ)
            raise CheckpointError(
                f"{self.path} holds a comparison of other data or settings: {shown}. Go on with the same, or "
                "choose another folder."
            )
