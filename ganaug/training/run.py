"""A training run on disk: checkpoint, losses and sample grids, written between steps."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

from ganaug._checks import empty_folder
from ganaug.errors import CheckpointError
from ganaug.training.checkpoint import load_tensors, save_tensors
from ganaug.training.state import GANState

CHECKPOINT = "checkpoint.safetensors"


class RunFolder:
    """The folder of one run; `about` (seed, config, schema, data digest) must be equal to resume."""

    def __init__(self, path: str | Path, about: dict[str, Any]):
        self.path, self.about = Path(path), about

    def begin(self, state: GANState) -> None:
        """Claim an empty folder with a first checkpoint."""
        empty_folder(self.path, hint=", or go on with resume=True (--resume)")
        self.write(state, [], None)

    def write(
        self, state: GANState, history: list[dict[str, float]], draw_grid: Callable[[], Any] | None
    ) -> None:
        """Write checkpoint, losses, and a picture of samples where there is one."""
        progress = {"images_seen": state.images_seen, "history": history}
        save_tensors(self.path / CHECKPOINT, state.tensors(), {**self.about, **progress})
        lines = [json.dumps(line) + "\n" for line in history]
        (self.path / "history.jsonl").write_text("".join(lines), encoding="utf-8")
        if draw_grid is not None:
            (self.path / "samples").mkdir(exist_ok=True)
            draw_grid().save(self.path / "samples" / f"{state.images_seen:09d}.png")

    def restore(self, state: GANState, *, fixed_seed: bool) -> list[dict[str, float]]:
        """Load the checkpoint into the state, take over its seed, and return the history so far."""
        path = self.path / CHECKPOINT
        tensors, saved = load_tensors(path)
        expected = json.loads(json.dumps(self.about))  # tuples become lists, as in the file
        for name in ("config", "schema", "data", *(["seed"] if fixed_seed else [])):
            old, new = saved.get(name), expected[name]
            if name == "config" and isinstance(old, dict):
                old, new = ({**d, "train_images": None} for d in (old, new))
            if old != new:
                raise CheckpointError(
                    f"{path} was written with another {name}: {_difference(old, new)}. "
                    "Resume with the same data and settings; only train_images may change."
                )
        state.load_tensors(tensors, origin=path)
        state.images_seen = saved["images_seen"]
        self.about["seed"] = saved["seed"]
        history: list[dict[str, float]] = saved["history"]
        return history


def data_digest(x: Tensor, c: Tensor) -> str:
    """Return a short fingerprint of encoded samples and classes."""
    content = hashlib.sha256(x.numpy().tobytes())
    content.update(c.numpy().tobytes())
    return content.hexdigest()[:16]


def _difference(old: Any, new: Any) -> str:
    if isinstance(old, dict) and isinstance(new, dict):
        names = sorted(k for k in old.keys() | new.keys() if old.get(k) != new.get(k))
        return "; ".join(f"{k}: {_difference(old.get(k), new.get(k))}" for k in names)
    old, new = (text if len(text) < 60 else text[:57] + "..." for text in (repr(old), repr(new)))
    return f"{old} then, {new} now"
