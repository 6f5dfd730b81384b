"""Arguments and options that several commands share, and their exit codes."""

from typing import Annotated

import typer

EXIT_ERROR, EXIT_DATA, EXIT_DIVERGED, EXIT_VERDICT, EXIT_RESUME = 1, 3, 4, 5, 75

Data = Annotated[
    str,
    typer.Argument(
        help="'digits' (built in), an image folder (root/class/*.png), an .npz with x*/y*, or a .csv.",
        show_default=False,
    ),
]
Target = Annotated[str, typer.Option(help="Label column of a .csv.")]
Preset = Annotated[str, typer.Option(help="Training budget: quick, default or best.")]
TrainImages = Annotated[
    int | None, typer.Option(help="Real images or rows shown to the discriminator; overrides the preset.")
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of everything.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, ...")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Quiet = Annotated[
    bool, typer.Option("--quiet", help="Show no progress and no text, only errors (and --json).")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Check everything and say what would be done; write nothing.")
]
