"""A trained generator as one file: its weights, and all that is needed to draw from it."""

from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from torch import nn

from ganaug.config import GANConfig
from ganaug.data.schema import Schema
from ganaug.errors import CheckpointError, ConfigError
from ganaug.training.checkpoint import load_tensors, save_tensors
from ganaug.training.run import CHECKPOINT
from ganaug.training.state import build_networks, load_weights

GENERATOR = "generator.safetensors"


@dataclass(frozen=True)
class SavedGenerator:
    """What the file of a generator holds."""

    G: nn.Module
    config: GANConfig
    schema: Schema
    seed: int
    history: list[dict[str, float]]


def save_generator(path: Path, saved: SavedGenerator) -> None:
    """Write a generator to one file."""
    about = {
        "seed": saved.seed,
        "config": saved.config.to_dict(),
        "schema": saved.schema.to_dict(),
        "history": saved.history,
        "versions": {name: version(name) for name in ("ganaug", "torch", "numpy")},
    }
    save_tensors(path, dict(saved.G.state_dict()), about)


def load_generator(path: Path, *, network: Any = None) -> SavedGenerator:
    """Return the generator of a file; `network` rebuilds one that was the caller's own."""
    if not path.exists() and (path.parent / CHECKPOINT).exists():
        raise CheckpointError(
            f"{path.parent} holds a training that was interrupted. Finish it with resume=True (--resume)."
        )
    tensors, about = load_tensors(path)
    try:
        values = about["config"]
        if network is None and ":" in values["network"]:
            raise CheckpointError(
                f"{path} was fitted with an own network, {values['network']}. "
                "Pass it: ganaug.load(path, network=...)."
            )
        loss = "hinge" if ":" in values["loss"] else values["loss"]  # an own loss is not needed here
        config = GANConfig.from_dict({**values, "loss": loss})
        config = config if network is None else replace(config, network=network)
        schema = Schema.from_dict(about["schema"])
        seed, history = about["seed"], about["history"]
    except (KeyError, TypeError, ConfigError) as error:
        raise CheckpointError(f"{path} has an incomplete description: {error}.") from error
    G, _ = build_networks(config, shape=schema.codec.shape, n_classes=len(schema.labels), seed=seed)
    load_weights(G, tensors, origin=path)
    return SavedGenerator(G.eval().requires_grad_(False), config, schema, seed, history)
