"""What `ganaug fit` would do: checked as far as it can be without a training, and timed by a short one."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ganaug._checks import empty_folder
from ganaug.config import GANConfig
from ganaug.data.schema import Schema
from ganaug.errors import CheckpointError
from ganaug.experiment.pilot import training_seconds
from ganaug.training.game import resolve_game
from ganaug.training.run import CHECKPOINTS
from ganaug.training.state import new_state, torch_device

__all__ = ["FitPlan", "plan_fit"]


@dataclass(frozen=True)
class FitPlan:
    """A training that could begin."""

    out: Path
    kind: str  # "image" or "table"
    shape: tuple[int, ...]  # of an encoded sample
    classes: dict[str, int]  # samples by name
    config: GANConfig
    device: str
    n_weights: dict[str, int]  # of G and D
    seconds: float  # estimated
    disk_bytes: int  # that checkpoints take in all, estimated
    free_bytes: int

    @property
    def problem(self) -> str:
        """What would go wrong, or an empty text."""
        if self.disk_bytes < self.free_bytes:
            return ""
        return f"{_size(self.disk_bytes)} are needed for checkpoints, and {_size(self.free_bytes)} are free."

    def __str__(self) -> str:
        """Return the plan as text."""
        sizes = ", ".join(f"{name} {n}" for name, n in self.classes.items())
        unit = "rows" if self.kind == "table" else "images"
        what = "rows" if self.kind == "table" else " x ".join(map(str, self.shape[::-1])) + " images"
        names = [self.config.network, self.config.loss, *self.config.regularizers]
        lines = [
            f"Data: {sum(self.classes.values())} {what} of {len(self.classes)} classes: {sizes}.",
            f"Training: {self.config.train_images:,} {unit} shown in batches of {self.config.batch_size}; "
            f"{', '.join(map(str, names))}; weights: "
            + ", ".join(f"{n:,} in {player}" for player, n in self.n_weights.items())
            + ".",
            f"Time: about {max(1, round(self.seconds / 60))} min on {self.device}, by a short training.",
            f"Disk: about {_size(self.disk_bytes)} in {self.out}; {_size(self.free_bytes)} are free.",
            self.problem or "Nothing was written.",
        ]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            **{k: v for k, v in vars(self).items() if k not in ("config", "out")},
            "out": str(self.out),
            "gan": self.config.to_dict(),
            "problem": self.problem,
        }


def plan_fit(
    X: Any,
    y: Any,
    config: GANConfig,
    *,
    out: Path,
    resume: bool = False,
    names: Any = None,
    device: str = "auto",
    seed: int = 0,
) -> FitPlan:
    """Check a training and say what it would take; nothing is written.

    Parameters
    ----------
    X, y, names
        As in `ConditionalGAN.fit`.
    config : GANConfig
        Without values left to the kind of data.
    out : Path
        Folder of the run.
    resume : bool, default=False
        Whether it is to go on there.
    device, seed
        As of the training.

    Returns
    -------
    FitPlan

    Raises
    ------
    GanaugError
        As the training would before it begins.
    """
    resolve_game(config)
    schema = Schema.fit(X, y, names=names, missing=config.missing)
    where = torch_device(device)
    if not resume:
        empty_folder(out, hint=", or go on with resume=True (--resume)")
    elif not (out / CHECKPOINTS).is_dir():
        raise CheckpointError(
            f"{out} must be the folder of a run; there is no checkpoint in it. Start without resume "
            "(--resume)."
        )
    counts = torch.bincount(schema.encode_y(y), minlength=len(schema.labels))
    state = new_state(
        config,
        shape=schema.codec.shape,
        n_classes=len(schema.labels),
        seed=seed,
        device=where,
        counts=counts,
        blocks=schema.blocks or (),
    )
    weights = {name: sum(p.numel() for p in getattr(state, name).parameters()) for name in ("G", "D")}
    checkpoint = 4 * (4 * weights["G"] + 3 * weights["D"])  # weights, their average, two moments of each
    return FitPlan(
        out=out,
        kind=schema.kind,
        shape=schema.codec.shape,
        classes=dict(zip(schema.names, counts.tolist(), strict=True)),
        config=config,
        device=str(where),
        n_weights=weights,
        seconds=training_seconds(config, X, y, device=device, seed=seed),
        disk_bytes=checkpoint * (config.keep_checkpoints + 4),
        free_bytes=shutil.disk_usage(_nearest(out)).free,
    )


def _nearest(path: Path) -> Path:
    """Return the nearest folder that is there."""
    path = path.absolute()
    return next(p for p in (path, *path.parents) if p.is_dir())


def _size(n_bytes: float) -> str:
    return f"{n_bytes / 1e6:.0f} MB" if n_bytes < 1e9 else f"{n_bytes / 1e9:.1f} GB"
