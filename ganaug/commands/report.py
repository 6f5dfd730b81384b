"""ganaug report: the result of a comparison, or the card of a generator, from its folder."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from ganaug.commands.compare import print_comparison
from ganaug.commands.options import DryRun, Json, Quiet


def report(
    folder: Annotated[
        Path,
        typer.Argument(help="Folder of `ganaug compare --out` or of `ganaug fit --out`.", show_default=False),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="HTML file, written over; FOLDER/report.html if not given.", show_default=False),
    ] = None,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Write the report of a comparison, or the model card of a generator, without running anything."""
    from ganaug.experiment.cell_folder import ABOUT
    from ganaug.experiment.kept_comparison import read_comparison
    from ganaug.experiment.model_card import ModelCard
    from ganaug.experiment.report import require_file

    path = out or folder / "report.html"
    require_file(path)
    shown: Any
    if (folder / ABOUT).is_file():
        shown = read_comparison(folder)
        write = shown.report
    else:
        shown = ModelCard.of(folder)
        write = shown.write
    if not dry_run:
        write(path)
    if as_json:
        typer.echo(json.dumps({"report": None if dry_run else str(path), **shown.to_dict()}))
    elif not quiet:
        if isinstance(shown, ModelCard):
            typer.echo(str(shown))
        else:
            print_comparison(shown)
        typer.echo(f"{path} would be written." if dry_run else f"{path}: the report.")
