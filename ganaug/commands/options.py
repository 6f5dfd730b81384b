"""Arguments and options that several commands share, and their exit codes."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ganaug.commands.config_file import as_mapping, over_config
from ganaug.commands.names import PRESETS

if TYPE_CHECKING:
    from ganaug.config import GANConfig

EXIT_ERROR, EXIT_DATA, EXIT_DIVERGED, EXIT_VERDICT, EXIT_RESUME = 1, 3, 4, 5, 75


def one_of(*names: str) -> Callable[[str], list[str]]:
    """Return what completes an option in the shell; other names are told apart later, with the nearest."""
    return lambda incomplete: [name for name in names if name.startswith(incomplete)]


def some_of(*names: str) -> Callable[[str], list[str]]:
    """Return what completes the last of several names with commas between."""

    def complete(incomplete: str) -> list[str]:
        done, comma, last = incomplete.rpartition(",")
        return [done + comma + name for name in names if name.startswith(last)]

    return complete


Data = Annotated[
    str,
    typer.Argument(
        help="'digits' (built in), an image folder (root/class/*.png), a folder of x*.npy and y*.npy, an "
        ".npz with x*/y*, or a .csv.",
        show_default=False,
    ),
]
Target = Annotated[str, typer.Option(help="Label column of a .csv.")]
Preset = Annotated[
    str,
    typer.Option(help="Training budget: quick, default or best.", autocompletion=one_of(*PRESETS)),
]
TrainImages = Annotated[
    int | None, typer.Option(help="Real images or rows shown to the discriminator; overrides the preset.")
]
ImageSize = Annotated[
    int | None, typer.Option(help="Scale and cut the images of a folder to so many pixels a side.")
]
Gan = Annotated[
    dict[str, Any] | None,
    typer.Option(
        "--gan",
        metavar="YAML",
        help="Fields of GANConfig, such as '{loss: wasserstein, z_dim: 64}'; a file holds them below gan:.",
        parser=as_mapping,
        callback=over_config,
        show_default=False,
    ),
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of everything.")]
Device = Annotated[
    str, typer.Option(help="auto, cpu, cuda, ...", autocompletion=one_of("auto", "cpu", "cuda", "mps"))
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Quiet = Annotated[
    bool, typer.Option("--quiet", help="Show no progress and no text, only errors (and --json).")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Check everything and say what would be done; write nothing.")
]


def gan_settings(gan: dict[str, Any] | None, **options: Any) -> "GANConfig":
    """Return the settings of --gan, under options of the command that were given (not None)."""
    from ganaug.config import GANConfig

    return GANConfig.from_dict({**(gan or {}), **{k: v for k, v in options.items() if v is not None}})


def as_used(settings: "GANConfig", *options: str) -> dict[str, Any]:
    """Return settings for --gan, all but those that options of the command give, or the preset."""
    return {k: v for k, v in settings.to_dict().items() if v is not None and k not in options}
