"""A trained generator as one file: its weights, and all that is needed to draw from it."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ganaug._checks import reading
from ganaug.config import GANConfig
from ganaug.data.schema import Schema
from ganaug.errors import CheckpointError
from ganaug.training.checkpoint import load_tensors, require_finite, save_tensors
from ganaug.training.drawing import PIECES, Drawing
from ganaug.training.run import CHECKPOINTS, checked_history
from ganaug.training.snapshots import Snapshots
from ganaug.training.state import build_networks, load_weights, require_weights, set_progress

GENERATOR = "generator.safetensors"
NOT_NEEDED = ("loss", "regularizers", "mutations", "matching", "diffaugment")
"""Settings that shape a training and not its generator; they may have been the caller's own objects."""


@dataclass(frozen=True)
class SavedGenerator:
    """What the file of a generator holds."""

    drawing: Drawing
    config: GANConfig
    schema: Schema
    seed: int
    history: list[dict[str, Any]]
    data: str | None = None  # fingerprint of the training data


def save_generator(path: Path, saved: SavedGenerator) -> None:
    """Write a generator to one file."""
    about = {
        "seed": saved.seed,
        "config": saved.config.to_dict(),
        "schema": saved.schema.to_dict(),
        "history": saved.history,
        "data": saved.data,
        "versions": {name: version(name) for name in ("ganaug", "torch", "numpy")},
    }
    tensors = {f"G.{key}": value for key, value in saved.drawing.G.state_dict().items()}
    tensors |= {f"snapshots.{key}": value for key, value in saved.drawing.snapshots.tensors().items()}
    save_tensors(path, tensors, about)


@contextmanager
def generator_folder(path: str | Path) -> Iterator[Path]:
    """Give the folder of a generator; that of a model in MLflow is fetched, and removed after the context."""
    if not str(path).startswith(("models:/", "runs:/")):
        yield Path(path)
        return
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    with tempfile.TemporaryDirectory() as folder:
        try:
            model = Path(download_artifacts(artifact_uri=str(path), dst_path=folder))
        except (MlflowException, OSError) as error:
            raise CheckpointError(f"{path} cannot be fetched from MLflow: {error}") from error
        if not (model / "artifacts" / GENERATOR).is_file():
            raise CheckpointError(f"{path} is no generator that ganaug logged.")
        yield model / "artifacts"


def load_generator(path: Path, *, network: Any = None, conditioning: Any = None) -> SavedGenerator:
    """Return the generator of a file; `network` and `conditioning` stand for the caller's own."""
    if not path.exists() and (path.parent / CHECKPOINTS).exists():
        raise CheckpointError(
            f"{path.parent} holds a training that was interrupted. Finish it with resume=True (--resume)."
        )
    tensors, about = load_tensors(path)
    with reading(path, "the generator"):
        values = about["config"]
        own = {"network": network, "conditioning": conditioning}
        for name, given in own.items():
            described = isinstance(values[name], dict)
            kind = values[name]["type"] if described else values[name]
            rebuilt = described and kind.startswith("ganaug.")
            if given is None and ":" in kind and not rebuilt:
                raise CheckpointError(
                    f"{path} was fitted with an own {name}, {kind}. Pass it: ganaug.load(path, {name}=...)."
                )
        config = GANConfig.from_dict({k: v for k, v in values.items() if k not in NOT_NEEDED})
        config = replace(config, **{name: given for name, given in own.items() if given is not None})
        schema = Schema.from_dict(about["schema"])
        seed, history = about["seed"], checked_history(about["history"])
        groups: dict[str, dict[str, Tensor]] = {"G": {}, "snapshots": {}}
        for dotted, value in tensors.items():
            group, _, key = dotted.partition(".")
            groups[group][key] = value
        G = _network(config, schema, seed, groups["G"], measured=network is conditioning is None, path=path)
        if history:
            set_progress(G, history[-1]["images_seen"])
        G = G.eval().requires_grad_(False)
        snapshots = Snapshots.from_tensors(groups["snapshots"])
        snapshots.require(len(schema.labels))
        if len(snapshots) and config.snapshot == "last":
            raise ValueError("it holds snapshots, which its config keeps none of")
        for weights in (groups["G"], *snapshots.weights.values()):
            require_finite(weights, origin=path)
        for weights in snapshots.weights.values():
            require_weights(G, weights, origin=path)
        drawing = Drawing(G, config.z_dim, snapshots, PIECES[schema.kind], config.snapshot)
        served = {moment: k for k, moment in enumerate(snapshots.choice.tolist())}  # a class of each
        for snapshot, k in (("last", 0), *(("best", k) for k in served.values())):
            (x,) = drawing.pieces(k, 1, stream=0, snapshot=snapshot)
            if not torch.isfinite(x).all():
                raise ValueError("it draws numbers that are not finite")
    return SavedGenerator(drawing, config, schema, seed, history, about.get("data"))


def _network(
    config: GANConfig,
    schema: Schema,
    seed: int,
    weights: dict[str, Tensor],
    *,
    measured: bool,
    path: Path,
) -> nn.Module:
    """Return G with its weights; sizes that differ from theirs are refused before anything is allocated."""
    sizes: dict[str, Any] = {"shape": schema.codec.shape, "n_classes": len(schema.labels), "seed": seed}
    build = partial(build_networks, replace(config, pack=1), **sizes, blocks=schema.blocks or ())
    if measured:  # a caller's own parts may compute while they are built
        with torch.device("meta"):
            require_weights(build()[0], weights, origin=path)
    G, _ = build()
    load_weights(G, weights, origin=path)
    if len(schema.codec.shape) == 3:
        G = G.to(memory_format=torch.channels_last)  # as it was trained: other layouts round differently
    return G
