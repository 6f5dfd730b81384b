"""One seed, named streams: every random choice derives from (seed, names), never from global state."""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from ganaug.errors import ConfigError

Seed = int | np.random.RandomState | np.random.Generator | None


def as_seed(random_state: Seed) -> int:
    """Return a seed below 2**31 for whatever scikit-learn accepts as `random_state`."""
    if random_state is None:
        return int(np.random.SeedSequence().generate_state(1)[0]) >> 1
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31))
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**31))
    if isinstance(random_state, (int, np.integer)) and not isinstance(random_state, bool):
        if random_state < 0:
            raise ConfigError(f"random_state must be at least 0; got {random_state}.")
        return int(random_state)
    raise ConfigError(
        "random_state must be an int, a numpy RandomState or Generator, or None; "
        f"got {type(random_state).__name__}."
    )


def _sequence(seed: int, names: tuple[str | int, ...]) -> np.random.SeedSequence:
    words = [zlib.crc32(n.encode()) if isinstance(n, str) else int(n) for n in names]
    return np.random.SeedSequence(seed, spawn_key=words)


def derive(seed: int, *names: str | int) -> int:
    """Return the seed of the stream called `names`, below 2**31."""
    return int(_sequence(seed, names).generate_state(1)[0]) >> 1


def numpy_stream(seed: int, *names: str | int) -> np.random.Generator:
    """Return a numpy generator for the stream called `names`."""
    return np.random.Generator(np.random.PCG64(_sequence(seed, names)))


def torch_stream(seed: int, *names: str | int, device: Any = "cpu") -> torch.Generator:
    """Return a torch generator for the stream called `names`."""
    state = _sequence(seed, names).generate_state(1, dtype=np.uint64)[0]
    return torch.Generator(device=device).manual_seed(int(state) >> 1)


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's global generator within the context, for modules that draw from it; give it back after."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        if device.type == "cpu":
            torch.default_generator.manual_seed(seed)  # torch.manual_seed visits all devices, and is slow
        else:
            torch.manual_seed(seed)
        yield
