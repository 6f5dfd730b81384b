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


@dataclass(frozen=True, kw_only=True, repr=False)
class GANConfig:
    """Settings of one GAN training; every value has a name, a unit and a default.

    What is None "by kind" is taken from the preset for the kind of data, images or tables.

    Raises
    ------
    ConfigError
        If a number is outside its range.

    Examples
    --------
    >>> config = GANConfig(train_images=1000, loss="non-saturating")
    >>> config.z_dim
    32
    >>> config
    GANConfig(loss='non-saturating', train_images=1000)
    """

    network: Any = "auto"  # a name in NETWORKS, a function like its entries, or "auto" by kind of data
    conditioning: Any = "projection"  # a name in CONDITIONING, or an object like its entries
    loss: Any = "hinge"  # a name in LOSSES, or an object with the same two methods
    regularizers: tuple[Any, ...] = ("spectral-norm", "lecam")  # names in REGULARIZERS, or such objects
    matching: tuple[Any, ...] = ()  # names in MATCHING, or such objects, which G minimises too
    mutations: tuple[str, ...] = ()  # names in MUTATIONS: G evolves by these instead of one loss (E-GAN)
    diversity_weight: float = 0.01  # what diversity counts beside quality in the fitness of a mutation
    diffaugment: tuple[str, ...] = ("translation",)  # names in POLICIES; images only
    ada_target: float | None = None  # augment with a chance that holds mean sign(D(x)) here; None: always
    ada_ramp_images: int = 20_000  # images in which that chance can rise from 0 to 1
    z_dim: int = 32  # length of the noise vector
    width: int | None = None  # channels at full resolution (images) or first hidden layer; None: by kind
    batch_size: Any = None  # real images (or rows) per step, and as many fake ones; None: by kind
    train_images: Any = None  # the budget: real images shown to D, repeats counted; None: that of the preset
    max_minutes: float | None = None  # stop earlier, after so many minutes of this call
    target_distance: float | None = None  # stop earlier, when the mean kernel distance is at most this
    lr_G: Any = None  # Adam step of the generator; None: by kind
    lr_D: Any = None  # Adam step of the discriminator (two rates: Heusel et al., 1706.08500); None: by kind
    lr_decay_from: float = 1.0  # share of the budget from which both steps fall linearly to 0; 1: never
    betas: tuple[float, float] = (0.0, 0.9)  # Adam moments of both
    clip_norm: float | None = None  # largest norm of a player's gradient; None: as it is
    d_steps: int = 1  # D steps per G step
    pack: int = 1  # samples of a class that D judges together (PacGAN)
    ema_halflife_images: Any = None  # after so many images a weight counts half in the average; None: by kind
    ema_rampup: float = 0.05  # early on the half-life is at most this share of the images seen
    snapshot: str = "last"  # "last" average for all classes, "best" one of each; "both" keeps both
    precision: str = "auto"  # "float32", "bfloat16" forward passes, or "auto": what the device is fast at
    log_every_images: Any = None  # losses, quality, health, sample grid and checkpoint; None: by kind
    keep_checkpoints: int = 3  # how many of the last ones stay, beside the best
    missing: str = "keep"  # missing cells of a table: "keep" learns and generates them, "fill" replaces them

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.generic):
                object.__setattr__(self, field.name, value.item())
            elif isinstance(value, list | tuple):
                plain = tuple(v.item() if isinstance(v, np.generic) else v for v in value)
                object.__setattr__(self, field.name, plain)
        for name in ("z_dim", "d_steps", "pack", "ada_ramp_images", "keep_checkpoints"):
            number(name, getattr(self, name), low=1, integer=True)
        for name in ("train_images", "log_every_images", "width"):
            if getattr(self, name) is not None:
                number(name, getattr(self, name), low=1, integer=True)
        number("ema_rampup", self.ema_rampup, low=0, open_low=True)
        for name in ("lr_G", "lr_D", "max_minutes", "clip_norm", "ema_halflife_images"):
            if getattr(self, name) is not None:
                number(name, getattr(self, name), low=0, open_low=True)
        if self.batch_size is not None:
            number("batch_size", self.batch_size, low=2, integer=True)
            if self.batch_size % self.pack:
                raise ConfigError(
                    f"batch_size must be a multiple of pack={self.pack}, of which D sees so many together; "
                    f"got {self.batch_size}."
                )
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
        known_name("snapshot", self.snapshot, ["last", "best", "both"])
        known_name("missing", self.missing, ["keep", "fill"])
        for name in ("regularizers", "mutations", "matching", "diffaugment"):
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
        if self.mutations and self.matching:
            raise ConfigError(
                f"matching is no part of the fitness by which mutations are chosen; got {self.matching!r} "
                f"beside {self.mutations!r}. Leave one of them at ()."
            )
        if self.mutations and isinstance(self.loss, str) and self.loss not in LOG_ODDS:
            raise ConfigError(
                f"mutations read D's logits as log-odds, which loss={self.loss!r} does not train; "
                f"take one of {listed(LOG_ODDS)}."
            )

    def __repr__(self) -> str:
        values = {f.name: (repr(getattr(self, f.name)), repr(f.default)) for f in fields(self)}
        changed = (f"{name}={value}" for name, (value, default) in values.items() if value != default)
        return f"GANConfig({', '.join(changed)})"

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


_IMAGES = GANConfig(batch_size=64, log_every_images=10_000, ema_halflife_images=5_000, lr_G=2e-4, lr_D=8e-4)
_ROWS = GANConfig(batch_size=500, log_every_images=50_000, ema_halflife_images=20_000, lr_G=1e-3, lr_D=1e-3)

PRESETS: dict[str, dict[str, GANConfig]] = {
    "quick": {
        "image": replace(_IMAGES, train_images=30_000),
        "table": replace(_ROWS, train_images=100_000),
    },
    "default": {
        "image": replace(_IMAGES, train_images=150_000),
        "table": replace(_ROWS, train_images=300_000),
    },
    "best": {
        "image": replace(_IMAGES, train_images=1_000_000, width=64, ema_halflife_images=20_000),
        "table": replace(_ROWS, train_images=2_000_000, width=256),
    },
}
"""What each preset means, for images and for tables."""

BY_KIND = ("batch_size", "train_images", "log_every_images", "ema_halflife_images", "width", "lr_G", "lr_D")


def resolve_config(
    preset: str, config: GANConfig | None, train_images: int | None, *, kind: str
) -> GANConfig:
    """Return the config that the four GAN-holding classes mean for a kind of data, "image" or "table".

    `config` wins over `preset`; what it leaves None comes from there.
    """
    if config is not None and not isinstance(config, GANConfig):
        raise ConfigError(
            f"config must be a GANConfig or None; got {type(config).__name__}. "
            "Use GANConfig(...) or GANConfig.from_dict({...})."
        )
    base = PRESETS[known_name("preset", preset, PRESETS)][kind]
    left = {name: getattr(base, name) for name in BY_KIND if config and getattr(config, name) is None}
    chosen = base if config is None else replace(config, **left)
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
