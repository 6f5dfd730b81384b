"""ganaug audit: find out whether a generator is any good, and whether it copies."""

import json
import warnings
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ganaug.commands.config_file import used_by_run
from ganaug.commands.options import EXIT_VERDICT, Data, Device, ImageSize, Json, Quiet, Seed
from ganaug.errors import ConfigError, GanaugWarning
from ganaug.terminal import print_audit, progress

if TYPE_CHECKING:
    from ganaug.auditing.result import Audit
    from ganaug.bank import SampleBank
    from ganaug.data.sources import Source
    from ganaug.generator import ConditionalGAN


class Sound(StrEnum):
    """The least verdict that is no failure."""

    SOUND = "sound"
    CANNOT_BE_TOLD = "cannot be told"


def audit(
    run: Annotated[
        Path,
        typer.Argument(
            help="Folder that `ganaug fit` wrote, or one of samples that `ganaug generate` did.",
            show_default=False,
        ),
    ],
    data: Data,
    drawn_from: Annotated[
        Path | None,
        typer.Option(help="Run that samples were drawn from, for its hold-out.", show_default=False),
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="Label column of a .csv; else that of the run.", show_default=False)
    ] = None,
    image_size: ImageSize = None,
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
    from ganaug.data.sources import open_data
    from ganaug.generator import load

    if out is not None:
        empty_folder(out)
    bank = _samples(run)
    if bank is None and drawn_from is not None:
        raise ConfigError(f"--drawn-from is for samples; {run} is no folder of them. Leave it out.")
    origin = run if bank is None else drawn_from
    if origin is None and holdout is None:
        warnings.warn(
            f"{run} does not tell what its generator was trained on: all of {data} counts as that. "
            "Name the run that it was drawn from with --drawn-from, or what it has not seen with --holdout.",
            GanaugWarning,
            stacklevel=2,
        )
    gan = None if origin is None else load(origin, device=device)
    if bank is not None and gan is not None:
        _require_origin(run, gan)
    source = bank if bank is not None else gan
    assert source is not None
    used = {} if origin is None else used_by_run(origin)
    column, size = target or str(used.get("target", "target")), image_size or used.get("image-size")

    def opened(data: str) -> "Source":
        with progress("reading", None, "images", quiet=quiet) as advance:
            return open_data(
                data,
                target=column,
                image_size=size if Path(data).is_dir() else image_size,
                on_image=lambda done, total: advance(done, total=total),
            )

    (X, y), unseen = seen_and_unseen(
        gan,
        opened(data),
        None if origin is None else Holdout.read(origin),
        None if holdout is None else opened(holdout),
    )
    with progress("auditing", None, "steps", quiet=quiet):
        result = run_audit(
            source,
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


def _samples(folder: Path) -> "SampleBank | None":
    """Return the samples of a folder that `ganaug generate` wrote; None of any other."""
    from ganaug.bank import SampleBank
    from ganaug.manifest import MANIFEST, UNFINISHED, read_manifest

    if not ((folder / MANIFEST).exists() or (folder / UNFINISHED).exists()):
        return None
    is_bank = read_manifest(folder).get("layout", "bank") == "bank"
    return SampleBank.open(folder) if is_bank else SampleBank.from_files(folder)


def _require_origin(samples: Path, gan: "ConditionalGAN") -> None:
    """Raise if a folder of samples tells that another generator drew them."""
    from ganaug.errors import DataError
    from ganaug.manifest import read_manifest

    order = read_manifest(samples).get("order")
    drawn_by = order.get("generator") if isinstance(order, dict) else None
    if drawn_by not in (None, gan.digest()):
        raise DataError(
            f"{samples} was not drawn from the generator of --drawn-from (the fingerprints differ). "
            "Name the run that ganaug generate drew it from."
        )


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
