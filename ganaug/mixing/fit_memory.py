"""Fits of generators on disk: what was trained once, on the same data in the same way, is read again."""

import copy
import inspect
import os
import warnings
from collections.abc import Callable
from dataclasses import fields
from numbers import Integral
from typing import Any

import joblib
import torch

from ganaug import __version__
from ganaug.config import GANConfig, resolve_config
from ganaug.data.schema import as_array, kind_of
from ganaug.errors import ConfigError, GanaugError, GanaugWarning
from ganaug.generator import ConditionalGAN
from ganaug.training.state import torch_device


def fitted_gan(owner: Any, X: Any, y: Any, *, random_state: Any) -> ConditionalGAN:
    """Return a generator with the settings of `owner`, fitted on X and y or read from its `memory`.

    Whatever is wrong with the memory is a warning, and the generator is trained.
    """
    gan = ConditionalGAN(
        preset=owner.preset,
        config=owner.config,
        train_images=owner.train_images,
        device=owner.device,
        random_state=random_state,
    )
    if owner.memory is None:
        return gan.fit(X, y)
    if not isinstance(owner.random_state, Integral):
        warnings.warn(
            "memory keeps fits that can be repeated, and random_state must be an int for that; got "
            f"{owner.random_state!r}. The generator is trained each time.",
            GanaugWarning,
            stacklevel=3,
        )
        return gan.fit(X, y)
    training = _Training(gan, X, y)
    try:
        fit = _memory(owner.memory).cache(_fit, ignore=["training"])
        kept = fit(_key(gan, X, y), training)
    except Exception as error:
        if isinstance(error, GanaugError) or training.state == "begun":
            raise
        warnings.warn(
            f"memory={owner.memory!r} cannot be used ({type(error).__name__}: {error}). The generator is "
            "trained, and not kept.",
            GanaugWarning,
            stacklevel=3,
        )
        return gan if training.state == "done" else gan.fit(X, y)
    own: ConditionalGAN = copy.copy(kept)  # its count of draws is its own
    own.set_params(**gan.get_params())  # another preset may have meant the same settings
    return own


class _Training:
    """A training that can be begun, and tells how far it came."""

    def __init__(self, gan: ConditionalGAN, X: Any, y: Any):
        self.gan, self.X, self.y = gan, X, y
        self.state = "new"

    def __call__(self) -> ConditionalGAN:
        self.state = "begun"
        self.gan.fit(self.X, self.y)
        self.state = "done"
        return self.gan


def _fit(key: str, training: Callable[[], ConditionalGAN]) -> ConditionalGAN:
    """Return what the training gives; joblib keeps it by the key."""
    return training()


def _memory(memory: Any) -> Any:
    if isinstance(memory, str | os.PathLike):
        return joblib.Memory(os.fspath(memory), verbose=0)
    if not hasattr(memory, "cache"):
        raise ConfigError(f"memory must be a folder, a joblib.Memory or None; got {memory!r}.")
    return memory


def _key(gan: Any, X: Any, y: Any) -> str:
    """Return a digest of all that a fit depends on: settings, own code, seed, data, device, threads."""
    config = resolve_config(gan.preset, gan.config, gan.train_images, kind=kind_of(X))
    parts = (
        config,
        _sources(config),
        int(gan.random_state),
        str(torch_device(gan.device)),
        torch.get_num_threads(),
        [(type(values).__name__, as_array(values)) for values in (X, y)],
        (__version__, torch.__version__),
    )
    return str(joblib.hash(parts))


def _sources(config: GANConfig) -> list[str]:
    """Return the source of the caller's own classes and functions, which are hashed by their names only."""
    values = [getattr(config, f.name) for f in fields(config)]
    flat = [v for value in values for v in (value if isinstance(value, tuple) else (value,))]
    kinds = [v if inspect.isroutine(v) or inspect.isclass(v) else type(v) for v in flat]
    return [inspect.getsource(k) for k in kinds if k.__module__ != "builtins"]
