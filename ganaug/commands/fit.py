"""ganaug fit: train a generator per class and write it to a run folder."""

import json
import shlex
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from ganaug._launch import world
from ganaug.commands.config_file import config_writer
from ganaug.commands.options import (
    EXIT_ERROR,
    EXIT_RESUME,
    Data,
    Device,
    DryRun,
    Gan,
    ImageSize,
    Json,
    Preset,
    Quiet,
    Seed,
    Target,
    TrainImages,
    as_used,
    gan_settings,
    one_of,
)
from ganaug.errors import TrainingInterrupted
from ganaug.terminal import progress


def fit(
    ctx: typer.Context,
    data: Data,
    out: Annotated[Path, typer.Option(help="New folder for the run.", show_default=False)],
    target: Target = "target",
    image_size: ImageSize = None,
    preset: Preset = "default",
    train_images: TrainImages = None,
    max_minutes: Annotated[
        float | None, typer.Option(help="Stop after so many minutes, with a generator written.")
    ] = None,
    missing: Annotated[
        str | None,
        typer.Option(
            help="Missing cells of a table: keep (generated too; if not given) or fill (none generated).",
            autocompletion=one_of("keep", "fill"),
        ),
    ] = None,
    holdout: Annotated[
        float | None,
        typer.Option(max=0.9, help="Share of each class that the generator shall not see, for ganaug audit."),
    ] = None,
    gan: Gan = None,
    dry_run: DryRun = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the run in OUT.")] = False,
    track: Annotated[bool, typer.Option("--track", help="Record the training in MLflow.")] = False,
    register: Annotated[
        str | None,
        typer.Option(help="With --track: the generator's NAME or NAME@ALIAS in MLflow's model registry."),
    ] = None,
    seed: Seed = 0,
    device: Device = "auto",
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Train a generator per class and write it to a run folder."""
    from ganaug.auditing.holdout import Holdout
    from ganaug.config import BY_KIND, resolve_config
    from ganaug.data.schema import kind_of, take
    from ganaug.data.sources import open_data
    from ganaug.errors import ConfigError, GanaugError
    from ganaug.experiment.fit_tracking import fit_tracker
    from ganaug.generator import ConditionalGAN
    from ganaug.shards import of_files
    from ganaug.training.ranks import Ranks, launched_fabric

    if register is not None and not track:
        raise ConfigError("--register needs --track: a generator is registered from the run that made it.")
    if dry_run and world().rank:
        raise typer.Exit
    fabric = None if dry_run else launched_fabric(device)
    ranks = Ranks(fabric)
    quiet = quiet or not ranks.first
    tracker = ranks.in_first(lambda: fit_tracker(data, register=register)) if track else None
    recording = nullcontext() if tracker is None else tracker.recording()

    def read() -> Any:
        with progress("reading", None, "images", quiet=quiet) as advance:
            return open_data(
                data,
                target=target,
                image_size=image_size,
                on_image=lambda done, total: advance(done, total=total),
                stored=True,
            )

    source = ranks.first_then_all(read)  # the first decodes a folder's images, the others map them
    own = gan_settings(gan, max_minutes=max_minutes, missing=missing)
    X, y, kept = source.X, source.y, None
    if holdout is not None:
        kept = Holdout(holdout, seed)
        rows, _ = kept.split(y)
        X, y = take(of_files(X), rows), take(y, rows)
    kind = kind_of(X)
    config = resolve_config(preset, own, train_images, kind=kind)
    if dry_run:
        from ganaug.experiment.fit_plan import plan_fit

        with progress("trying a few steps", None, "steps", quiet=quiet):
            plan = plan_fit(
                X,
                y,
                config,
                out=out,
                resume=resume,
                names=source.class_names,
                device=device,
                seed=seed,
            )
        if as_json:
            typer.echo(json.dumps(plan.to_dict()))
        elif not quiet:
            typer.echo(str(plan))
        raise typer.Exit(EXIT_ERROR if plan.problem else 0)
    used = {
        "max_minutes": own.max_minutes,
        "missing": own.missing,
        "gan": as_used(own, "max_minutes", "missing"),
    }
    left = [k for k in BY_KIND if getattr(own, k) is None and (k != "train_images" or train_images is None)]
    by_preset = ", ".join(f"{k} {getattr(config, k)}" for k in left)
    keep = config_writer(ctx, out, note=f"By preset: {by_preset}.", **used)
    conditional_gan = ConditionalGAN(config=config, device=device, random_state=seed)
    try:
        unit = "rows" if kind == "table" else "images"
        with (
            progress("training", config.train_images, unit, quiet=quiet) as advance,
            recording,
        ):

            def on_step(images_seen: int) -> None:
                keep()
                advance(images_seen)

            def on_log(line: dict[str, Any]) -> None:
                if kept is not None:
                    kept.write(out)
                shown = [k for k in ("loss/D", "loss/G", "distance", "spread") if k in line]
                figures = " ".join(f"{k} {line[k]:.2f}" for k in shown)
                advance(line["images_seen"], f"{figures} | {line['health']}")

            conditional_gan.fit(
                X,
                y,
                names=source.class_names,
                out=out,
                resume=resume,
                on_log=on_log if ranks.first else None,
                on_step=on_step if ranks.first else None,
                fabric=fabric,
            )
    except TrainingInterrupted as interruption:
        if ranks.first:
            typer.echo(f"{interruption}. Run the same command again with --resume.", err=True)
        raise typer.Exit(EXIT_RESUME if ranks.first else 0) from None
    if not ranks.first:
        raise typer.Exit
    classes = dict(zip(conditional_gan.schema_.names, _class_sizes(y), strict=True))
    done = {"run": str(out), "classes": classes, **conditional_gan.history_[-1]}
    if tracker is not None and tracker.record is not None:
        done |= {"mlflow_run": tracker.record.run_id, "registered": tracker.record.registered_as}
    if as_json:
        typer.echo(json.dumps(done))
    elif not quiet:
        typer.echo(f"{out}: a generator for {len(classes)} classes of {len(y)} samples.")
        if done.get("registered"):
            typer.echo(f"Registered as {done['registered']}.")
        if kept is not None:
            again = shlex.join(["ganaug", "audit", str(out), data])
            typer.echo(f"{len(source.y) - len(y)} were held out; next: {again}")
        typer.echo(f"Next: {shlex.join(['ganaug', 'generate', str(out)])} --per-class 50 --out FOLDER")
    if register is not None and not done.get("registered"):
        raise GanaugError(f"the generator in {out} is not registered as {register}; the warning says why.")


def _class_sizes(y: Any) -> list[int]:
    import numpy as np

    return [int(n) for n in np.unique(y, return_counts=True)[1]]
