"""ganaug generate: draw samples into files of any format, in shards, with any number of jobs."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from ganaug.commands.options import Device, DryRun, Json, Quiet, Seed
from ganaug.commands.stopping import stoppable
from ganaug.terminal import progress


def generate(
    run: Annotated[Path, typer.Argument(help="Folder that `ganaug fit` wrote.", show_default=False)],
    per_class: Annotated[int, typer.Option(min=1, help="Samples per class.", show_default=False)],
    out: Annotated[
        str, typer.Option(help="New folder for the samples, or a URL that fsspec knows.", show_default=False)
    ],
    layout: Annotated[
        str,
        typer.Option(
            "--format",
            help="files (an image folder or one .csv), imagefolder, csv, npz, parquet, webdataset, or bank: "
            "memory-mapped, for AugmentedDataset.",
        ),
    ] = "files",
    jobs: Annotated[int, typer.Option(min=1, help="Processes; any number writes the same bytes.")] = 1,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on in OUT: shards that are finished are not drawn again.")
    ] = False,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="I/N",
            help="Write only the I-th of N parts, for job arrays; --resume without it ends the work.",
        ),
    ] = None,
    truncation: Annotated[
        float | None, typer.Option(help="Cut the noise at so many standard deviations.")
    ] = None,
    seed: Seed = 0,
    device: Device = "auto",
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Draw samples into an image folder, .csv, .npz, parquet or tar files, or a bank."""
    from ganaug.formats import FILES
    from ganaug.generator import load
    from ganaug.shard_bucket import shard_place
    from ganaug.shard_sources import DrawnSamples

    part = _part(shard)
    gan = load(run, device=device)
    counts, drawn_by = gan.order(per_class, truncation, seed)
    samples = DrawnSamples(gan, counts, seed=drawn_by, truncation=truncation)
    folder = shard_place(out, samples, FILES[gan.schema_.kind] if layout == "files" else layout)
    counted = {str(k): per_class for k in gan.classes_.tolist()}
    about: dict[str, Any] = {"out": out, "counts": counted}
    done, n = False, len(samples.shards)
    if dry_run:
        folder.check(resume=resume, join=part is not None)
        about |= {"format": folder.layout, "shards": n, "bytes": folder.bytes_needed}
    else:
        with stoppable(out), progress("generating", folder.n, "samples", quiet=quiet) as advance:
            done = folder.write(
                jobs=jobs,
                resume=resume,
                of=part,
                on_progress=lambda done, total: advance(done, total=total),
            )
    if as_json:
        typer.echo(json.dumps(about))
    elif not quiet:
        typer.echo(f"{out}: {folder.n} samples, {per_class} for each of {len(gan.classes_)} classes.")
        if dry_run:
            size = f"about {folder.bytes_needed / 1e6:.1f} MB in {n} shards"
            typer.echo(f"{folder.layout}, {size}; nothing was written.")
        elif not done:
            typer.echo(f"Part {shard} of the {n} shards is written. When all are: --resume without --shard.")


def _part(text: str | None) -> tuple[int, int] | None:
    """Return (i, n) of the text "i/n"."""
    if text is None:
        return None
    i, slash, n = text.partition("/")
    if not (slash and i.isdigit() and n.isdigit() and 1 <= int(i) <= int(n)):
        raise typer.BadParameter(f"must be I/N with I from 1 to N; got {text!r}", param_hint="--shard")
    return int(i), int(n)
