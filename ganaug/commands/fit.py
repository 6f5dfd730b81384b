"""ganaug fit: train a generator per class and write it to a run folder."""

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from ganaug.commands.options import EXIT_RESUME, Data, Device, Json, Preset, Seed, Target, TrainImages
from ganaug.errors import TrainingInterrupted
from ganaug.terminal import progress


def fit(
    data: Data,
    out: Annotated[Path, typer.Option(help="New folder for the run.", show_default=False)],
    target: Target = "target",
    preset: Preset = "default",
    train_images: TrainImages = None,
    max_minutes: Annotated[
        float | None, typer.Option(help="Stop after so many minutes, with a generator written.")
    ] = None,
    missing: Annotated[
        str, typer.Option(help="Missing cells of a table: keep (generated too) or fill (none generated).")
    ] = "keep",
    holdout: Annotated[
        float | None,
        typer.Option(max=0.9, help="Share of each class that the generator shall not see, for ganaug audit."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the run in OUT.")] = False,
    track: Annotated[bool, typer.Option("--track", help="Record the training in MLflow.")] = False,
    seed: Seed = 0,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Train a generator per class and write it to a run folder."""
    from ganaug.auditing.holdout import Holdout
    from ganaug.config import GANConfig, resolve_config
    from ganaug.data.schema import kind_of, take
    from ganaug.data.sources import open_data
    from ganaug.experiment.fit_tracking import MLflowFit
    from ganaug.generator import ConditionalGAN

    source = open_data(data, target=target)
    X, y, kept = source.X, source.y, None
    if holdout is not None:
        kept = Holdout(holdout, seed)
        rows, _ = kept.split(y)
        X, y = take(X, rows), take(y, rows)
    own, kind = GANConfig(max_minutes=max_minutes, missing=missing), kind_of(X)
    config = resolve_config(preset, own, train_images, kind=kind)
    gan = ConditionalGAN(config=config, device=device, random_state=seed)
    record = MLflowFit(config, out, experiment="ganaug") if track else None
    try:
        unit = "rows" if kind == "table" else "images"
        with progress("training", config.train_images, unit) as advance, record or nullcontext():

            def on_log(line: dict[str, Any]) -> None:
                if record is not None:
                    record(line)
                if kept is not None:
                    kept.write(out)
                shown = [k for k in ("loss/D", "loss/G", "distance", "spread") if k in line]
                figures = " ".join(f"{k} {line[k]:.2f}" for k in shown)
                advance(line["images_seen"], f"{figures} | {line['health']}")

            gan.fit(
                X,
                y,
                names=source.class_names,
                out=out,
                resume=resume,
                on_log=on_log,
                on_step=advance,
            )
    except TrainingInterrupted as interruption:
        typer.echo(f"{interruption}. Run the same command again with --resume.", err=True)
        raise typer.Exit(EXIT_RESUME) from None
    classes = dict(zip(gan.schema_.names, _class_sizes(y), strict=True))
    done = {"run": str(out), "classes": classes, **gan.history_[-1]}
    if as_json:
        typer.echo(json.dumps(done))
    else:
        typer.echo(f"{out}: a generator for {len(classes)} classes of {len(y)} samples.")
        if kept is not None:
            typer.echo(f"{len(source.y) - len(y)} were held out; next: ganaug audit {out} {data}")
        typer.echo(f"Next: ganaug generate {out} --per-class 50 --out FOLDER")


def _class_sizes(y: Any) -> list[int]:
    import numpy as np

    return [int(n) for n in np.unique(y, return_counts=True)[1]]
