"""What one GAN training is: a frozen dataclass of plain values, and three presets."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np

from ganaug._checks import did_you_mean, known_name, listed, number
from ganaug.errors import ConfigError

__all__ = ["PRESETS", "GANConfig"]

LOG_ODDS = ("non-saturating", "logistic", "minimax")
"""Losses whose D answers with log-odds."""


@dataclass(frozen=True, kw_only=True)
class GANConfig:
    """Settings of one GAN training; every value has a name, a unit and a default.

    Raises
    ------
    ConfigError
        If a number is outside its range.

    Examples
    --------
    >>> GANConfig(train_images=1000, loss="non-saturating").batch_size
    64
    """

    network: Any = "auto"  # a name in NETWORKS, a function like its entries, or "auto" by kind of data
    conditioning: Any = "projection"  # a name in CONDITIONING, or an object like its entries
    loss: Any = "hinge"  # a name in LOSSES, or an object with the same two methods
    regularizers: tuple[Any, ...] = (
        "spectral-norm",
        "lecam",
    )  # names in REGULARIZERS, or objects like its entries
    mutations: tuple[str, ...] = ()  # names in MUTATIONS: G evolves by these instead of one loss (E-GAN)
    diversity_weight: float = 0.01  # what diversity counts beside quality in the fitness of a mutation
    diffaugment: tuple[str, ...] = ("translation",)  # names in POLICIES; images only
    ada_target: float | None = None  # augment with a chance that holds mean sign(D(x)) here; None: always
    ada_ramp_images: int = 20_000  # images in which that chance can rise from 0 to 1
    z_dim: int = 32  # length of the noise vector
    width: int | None = None  # channels at full resolution (images) or first hidden layer; None: by kind
    batch_size: int = 64  # real images per step, and as many fake ones
    train_images: int = 100_000  # the budget: real images shown to D, repeats counted
    max_minutes: float | None = None  # stop earlier, after so many minutes of this call
    target_distance: float | None = None  # stop earlier, when the mean kernel distance is at most this
    lr_G: float = 2e-4  # Adam step of the generator
    lr_D: float = 8e-4  # Adam step of the discriminator (two rates: Heusel et al., 1706.08500)
    lr_decay_from: float = 1.0  # share of the budget from which both steps fall linearly to 0; 1: never
    betas: tuple[float, float] = (0.0, 0.9)  # Adam moments of both
    clip_norm: float | None = None  # largest norm of a player's gradient; None: as it is
    d_steps: int = 1  # D steps per G step
    ema_halflife_images: int = 5_000  # after so many images a weight counts half in the average
    ema_rampup: float = 0.05  # early on the half-life is at most this share of the images seen
    snapshot: str = "last"  # "last" average for all classes, or the "best" one of each class
    precision: str = "auto"  # "float32", "bfloat16" forward passes, or "auto": what the device is fast at
    log_every_images: int = 10_000  # losses, quality, health, sample grid and checkpoint
    keep_checkpoints: int = 3  # how many of the last ones stay, beside the best

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.generic):
                object.__setattr__(self, field.name, value.item())
            elif isinstance(value, list | tuple):
                plain = tuple(v.item() if isinstance(v, np.generic) else v for v in value)
                object.__setattr__(self, field.name, plain)
        number("batch_size", self.batch_size, low=2, integer=True)
        for name in (
            "z_dim",
            "train_images",
            "d_steps",
            "ada_ramp_images",
            "log_every_images",
            "keep_checkpoints",
        ):
            number(name, getattr(self, name), low=1, integer=True)
        for name in ("lr_G", "lr_D", "ema_halflife_images", "ema_rampup"):
            number(name, getattr(self, name), low=0, open_low=True)
        for name in ("max_minutes", "clip_norm"):
            if getattr(self, name) is not None:
                number(name, getattr(self, name), low=0, open_low=True)
        if self.width is not None:
            number("width", self.width, low=1, integer=True)
        if self.ada_target is not None:
            number("ada_target", self.ada_target, low=-1, high=1)
        if self.target_distance is not None:
            number("target_distance", self.target_distance, low=float("-inf"))
        number("diversity_weight", self.diversity_weight, low=0)
        number("lr_decay_from", self.lr_decay_from, low=0, high=1)
        if not isinstance(self.betas, tuple) or len(self.betas) != 2:
            raise ConfigError(f"betas must be two numbers; got {self.betas!r}. Write (0.0, 0.9).")
        for i, beta in enumerate(self.betas):
            number(f"betas[{i}]", beta, low=0, high=1 - 1e-9)
        known_name("snapshot", self.snapshot, ["last", "best"])
        for name in ("regularizers", "mutations", "diffaugment"):
            value = getattr(self, name)
            if not isinstance(value, tuple):
                mend = f"Write ({value!r},)." if isinstance(value, str) else "Write () for none."
                raise ConfigError(f"{name} must be a tuple of names; got {value!r}. {mend}")
            if len(set(map(repr, value))) < len(value):
                raise ConfigError(f"{name} must name each entry once; got {value!r}.")
        if self.ada_target is not None and not self.diffaugment:
            raise ConfigError(
                "ada_target adapts the chance of diffaugment, which is empty. Name augmentations there, "
                "or leave ada_target at None."
            )
        if self.mutations and isinstance(self.loss, str) and self.loss not in LOG_ODDS:
            raise ConfigError(
                f"mutations read D's logits as log-odds, which loss={self.loss!r} does not train; "
                f"take one of {listed(LOG_ODDS)}."
            )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; an own object is written as its type and fields, or its name."""
        plain = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: _plain(value) for name, value in plain.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "GANConfig":
        """Return the config a `to_dict` wrote.

        Settings of ganaug's own types come back as descriptions that a training understands; a caller's
        own objects come back as their names, and have to be given anew.

        Parameters
        ----------
        values : dict
            What `to_dict` returned, or some of it.

        Returns
        -------
        GANConfig

        Raises
        ------
        ConfigError
            If a name is no field; the nearest one is suggested.
        """
        known = [f.name for f in fields(cls)]
        for name in values:
            if name not in known:
                raise ConfigError(
                    f"GANConfig has no field {name!r}; it has {listed(known, 20)}."
                    + did_you_mean(name, known)
                )
        lists: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**lists)


PRESETS: dict[str, GANConfig] = {
    "quick": GANConfig(train_images=30_000),
    "default": GANConfig(train_images=150_000),
    "best": GANConfig(train_images=1_000_000, width=64, ema_halflife_images=20_000),
}


def resolve_config(preset: str, config: GANConfig | None, train_images: int | None) -> GANConfig:
    """Return the config that the four GAN-holding classes mean: `config` wins over `preset`."""
    if config is not None and not isinstance(config, GANConfig):
        raise ConfigError(
            f"config must be a GANConfig or None; got {type(config).__name__}. "
            "Use GANConfig(...) or GANConfig.from_dict({...})."
        )
    chosen = config or PRESETS[known_name("preset", preset, PRESETS)]
    return chosen if train_images is None else replace(chosen, train_images=train_images)


def _plain(value: Any) -> Any:
    """Return what JSON can hold of a setting."""
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {"type": f"{type(value).__module__}:{type(value).__qualname__}", **asdict(value)}
    if value is None or isinstance(value, str | int | float):
        return value
    kind = value if hasattr(value, "__qualname__") else type(value)
    return f"{kind.__module__}:{kind.__qualname__}"
