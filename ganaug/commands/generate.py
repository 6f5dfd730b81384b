"""ganaug generate: draw samples into files or a bank."""

import json
from pathlib import Path
from typing import Annotated

import typer

from ganaug.commands.options import Device, Json, Seed
from ganaug.terminal import progress


def generate(
    run: Annotated[Path, typer.Argument(help="Folder that `ganaug fit` wrote.", show_default=False)],
    per_class: Annotated[int, typer.Option(min=1, help="Samples per class.", show_default=False)],
    out: Annotated[Path, typer.Option(help="New folder for the samples.", show_default=False)],
    kind: Annotated[
        str, typer.Option("--format", help="files, or bank: a memory-mapped folder for AugmentedDataset.")
    ] = "files",
    truncation: Annotated[
        float | None, typer.Option(help="Cut the noise at so many standard deviations.")
    ] = None,
    seed: Seed = 0,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Draw samples: class/00000.png per image, or one samples.csv for a table; or a bank."""
    from tempfile import TemporaryDirectory

    from ganaug._checks import empty_folder, known_name
    from ganaug.bank import SampleBank
    from ganaug.generator import load

    known_name("--format", kind, ["files", "bank"])
    empty_folder(out)
    gan = load(run, device=device)
    out.parent.mkdir(parents=True, exist_ok=True)
    with (
        TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as temporary,
        progress("generating", per_class * len(gan.classes_), "samples") as advance,
    ):
        bank = SampleBank.from_gan(
            gan,
            per_class,
            path=out if kind == "bank" else Path(temporary) / "bank",
            truncation=truncation,
            random_state=seed,
            on_progress=lambda done, _: advance(done),
        )
        if kind == "files":
            bank.export(out)
    if as_json:
        counts = {str(k): n for k, n in bank.counts.items()}
        typer.echo(json.dumps({"out": str(out), "counts": counts}))
    else:
        typer.echo(f"{out}: {len(bank)} samples, {per_class} for each of {len(bank.counts)} classes.")
