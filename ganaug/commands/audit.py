"""ganaug audit: find out whether a generator is any good, and whether it copies."""

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ganaug.commands.options import EXIT_VERDICT, Data, Device, Json, Quiet, Seed, Target
from ganaug.terminal import print_audit, progress

if TYPE_CHECKING:
    from ganaug.auditing.result import Audit


class Sound(StrEnum):
    """The least verdict that is no failure."""

    SOUND = "sound"
    CANNOT_BE_TOLD = "cannot be told"


def audit(
    run: Annotated[
        Path, typer.Argument(help="Folder that `ganaug fit` wrote, or a bank.", show_default=False)
    ],
    data: Data,
    target: Target = "target",
    holdout: Annotated[
        str | None,
        typer.Option(
            help="Samples the generator has not seen; else those of fit --holdout, or x_test/y_test."
        ),
    ] = None,
    samples: Annotated[int, typer.Option(min=10, help="Generated samples per class.")] = 200,
    out: Annotated[
        Path | None,
        typer.Option(help="New folder for report, picture, tables and JSON.", show_default=False),
    ] = None,
    fail_unless: Annotated[
        Sound | None, typer.Option(help=f"Exit with code {EXIT_VERDICT} on a verdict that is worse.")
    ] = None,
    seed: Seed = 0,
    device: Device = "auto",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Find out whether a generator is any good, class by class, and whether it copies what it has seen."""
    from ganaug._checks import empty_folder
    from ganaug.auditing.audit import audit as run_audit
    from ganaug.auditing.holdout import Holdout
    from ganaug.auditing.seen import seen_and_unseen
    from ganaug.auditing.verdicts import VERDICTS
    from ganaug.bank import SampleBank
    from ganaug.data.sources import open_data
    from ganaug.generator import load
    from ganaug.manifest import MANIFEST

    if out is not None:
        empty_folder(out)
    gan = None if (run / MANIFEST).exists() else load(run, device=device)
    source = open_data(data, target=target)
    (X, y), unseen = seen_and_unseen(
        gan,
        source,
        Holdout.read(run),
        None if holdout is None else open_data(holdout, target=target),
    )
    with progress("auditing", None, "steps", quiet=quiet):
        result = run_audit(
            SampleBank.open(run) if gan is None else gan,
            X,
            y,
            holdout=unseen,
            samples=samples,
            random_state=seed,
        )
    if out is not None:
        _write(result, out)
    if as_json:
        typer.echo(json.dumps({"run": str(run), **result.to_dict()}))
    elif not quiet:
        print_audit(result)
        typer.echo(f"\nVerdict: {result.verdict}")
        for sentence in result.sentences:
            typer.echo(sentence)
        if out is not None:
            typer.echo(f"See {out / 'report.html'}; it shows real samples: keep it like the data.")
    if fail_unless is not None and VERDICTS.index(result.verdict) < VERDICTS.index(fail_unless.value):
        typer.echo(f"the verdict is worse than {fail_unless.value!r}: {result.verdict}", err=True)
        raise typer.Exit(EXIT_VERDICT)


def _write(result: "Audit", out: Path) -> None:
    """Write all that was found to a folder, which appears whole or not at all."""
    from ganaug.formats.files import whole_folder

    with whole_folder(out) as folder:
        result.report(folder / "report.html")
        result.table.to_csv(folder / "table.csv")
        result.novelty.to_csv(folder / "novelty.csv")
        (folder / "audit.json").write_text(json.dumps(result.to_dict(), indent=1) + "\n", encoding="utf-8")
        if result.settings["kind"] == "image" and len(result.pairs.class_index):
            result.picture().save(folder / "picture.png")
