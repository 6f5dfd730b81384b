"""ganaug compare: find out by paired runs whether synthetic samples help."""

import json
import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ganaug.commands.config_file import config_writer
from ganaug.commands.names import ARMS, CLASSIFIERS, METRICS, PRESETS
from ganaug.commands.options import (
    EXIT_VERDICT,
    Data,
    Device,
    Gan,
    ImageSize,
    Json,
    Quiet,
    Seed,
    Target,
    TrainImages,
    as_used,
    gan_settings,
    one_of,
    some_of,
)
from ganaug.commands.stopping import stoppable
from ganaug.terminal import print_table, progress

if TYPE_CHECKING:
    from ganaug.experiment.comparison import Comparison

SEEDS = 6

VERDICTS = ("hurts", "no evidence", "helps")
"""From the worst to the best."""


class Least(StrEnum):
    """The least verdict that is no failure."""

    HELPS = "helps"
    NO_EVIDENCE = "no evidence"


DIGITS_TRAIN_IMAGES = 30_000
"""Budget of `compare digits`, so that the first command a user tries ends in three minutes."""


def compare(
    ctx: typer.Context,
    data: Data,
    target: Target = "target",
    image_size: ImageSize = None,
    groups: Annotated[
        str | None,
        typer.Option(help="Column of a .csv (array of an .npz) whose samples stay on one side of a split."),
    ] = None,
    classifier: Annotated[
        str | None,
        typer.Option(
            help="cnn, mlp, logistic, forest, boosting or a torchvision model; by kind of data if not given.",
            autocompletion=one_of(*CLASSIFIERS),
        ),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(min=3, help="Paired repetitions; 6 if not given, or the next multiple of --folds."),
    ] = None,
    arms: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,NAME",
            help="Names of arms with commas between; those of the kind of data if not given.",
            autocompletion=some_of(*ARMS),
        ),
    ] = None,
    primary: Annotated[
        str | None,
        typer.Option(
            help="Treatment that the verdict is about; the last one if not given.",
            autocompletion=one_of(*ARMS),
        ),
    ] = None,
    metric: Annotated[
        str,
        typer.Option(
            help="balanced_accuracy, accuracy, macro_f1 or average_precision.",
            autocompletion=one_of(*METRICS),
        ),
    ] = "balanced_accuracy",
    rope: Annotated[
        float, typer.Option(min=0, help="Points; a smaller difference is of no interest to you.")
    ] = 0.5,
    folds: Annotated[
        int | None, typer.Option(min=2, help="Repeated cross-validation, a fold per seed.")
    ] = None,
    train_size: Annotated[
        int | None, typer.Option(min=1, help="Train on so many samples of each training part only.")
    ] = None,
    labelled: Annotated[
        int | None,
        typer.Option(min=2, help="Train on so many samples per class only (digits: 10 if not given)."),
    ] = None,
    unlabelled: Annotated[
        str | None,
        typer.Option(
            metavar="rest|DATA",
            help="More samples, whose labels are not used: all that --train-size or --labelled leave over in "
            "a seed, or a folder or file like DATA.",
        ),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Optimiser steps of a torch classifier.")] = 400,
    preset: Annotated[
        str | None,
        typer.Option(
            help="quick, default or best; digits: 30,000 images if not given.",
            autocompletion=one_of(*PRESETS),
        ),
    ] = None,
    train_images: TrainImages = None,
    gan: Gan = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Jobs at a time; all processors if not given.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan, what it would cost, and its power.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="New folder in which finished cells are kept.", show_default=False)
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the comparison in OUT.")] = False,
    max_minutes: Annotated[
        float | None, typer.Option(help="Begin no further seeds that would end later (3 at least).")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write an HTML report to this file.", show_default=False)
    ] = None,
    fail_unless: Annotated[
        Least | None,
        typer.Option(help=f"Exit with code {EXIT_VERDICT} on a verdict that is worse."),
    ] = None,
    track: Annotated[bool, typer.Option(help="Record the comparison in MLflow.")] = True,
    seed: Seed = 0,
    device: Device = "cpu",
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Find out whether synthetic samples help a classifier, by paired runs against control arms."""
    from ganaug._checks import empty_folder
    from ganaug.data.sources import open_data, open_unlabelled
    from ganaug.experiment.cell_folder import ABOUT
    from ganaug.experiment.paired import compare as run_comparison
    from ganaug.experiment.tracking import MLflowTracker

    with progress("reading", None, "images", quiet=quiet) as advance:
        source = open_data(
            data,
            target=target,
            groups=groups,
            image_size=image_size,
            on_image=lambda done, total: advance(done, total=total),
        )
    more: Any = unlabelled
    if unlabelled is not None and unlabelled != "rest":
        more = open_unlabelled(unlabelled, target=target, groups=groups, image_size=image_size)
    own = gan_settings(gan)
    if preset is None and train_images is None and own.train_images is None and data == "digits":
        train_images = DIGITS_TRAIN_IMAGES
    few = None if folds or train_size else source.labelled_per_class
    settings: dict[str, Any] = {
        "classifier": classifier,
        "arms": None if arms is None else [name.strip() for name in arms.split(",")],
        "primary": primary,
        "seeds": seeds or -(-SEEDS // (folds or 1)) * (folds or 1),
        "metric": metric,
        "rope": rope,
        "labelled_per_class": labelled or few,
        "test": source.test,
        "folds": folds,
        "train_size": train_size,
        "groups": source.groups,
        "unlabelled": more,
        "steps": steps,
        "names": source.class_names,
        "n_jobs": jobs or os.cpu_count(),
        "preset": preset or "default",
        "config": own,
        "train_images": train_images,
        "device": device,
        "random_state": seed,
    }
    if dry_run:
        from ganaug.experiment.forecast import forecast

        if out is not None and not resume:
            empty_folder(out, hint=", or go on with resume=True (--resume)")
        with progress("trying a few cells", None, "cells", quiet=quiet):
            plan = forecast(source.X, source.y, **settings, max_minutes=max_minutes)
        if as_json or not quiet:
            typer.echo(json.dumps(plan.to_dict(), default=str) if as_json else str(plan))
        return
    tracker = MLflowTracker("ganaug") if track else None
    used = {"seeds": settings["seeds"], "train_images": train_images, "labelled": labelled}
    keep = config_writer(ctx, out, **used, gan=as_used(own))

    def keep_once_begun() -> None:
        if out is not None and (out / ABOUT).is_file():
            keep()

    with stoppable(out, keep_once_begun), progress("comparing", None, "cells", quiet=quiet) as advance:

        def on_cell(done: int, total: int) -> None:
            keep()
            advance(done, total=total)

        result = run_comparison(
            source.X,
            source.y,
            **settings,
            tracking=tracker,
            out=out,
            resume=resume,
            max_minutes=max_minutes,
            on_cell=on_cell,
        )
    if as_json:
        typer.echo(json.dumps(result.to_dict()))
    elif not quiet:
        print_comparison(result)
        if tracker is not None and tracker.recorded:
            typer.echo("Recorded in MLflow. See it " + _where())
    if report is not None:
        result.report(report)
    if fail_unless is not None and VERDICTS.index(result.verdict) < VERDICTS.index(fail_unless.value):
        typer.echo(f"the verdict is worse than {fail_unless.value!r}: {result.verdict}", err=True)
        raise typer.Exit(EXIT_VERDICT)


def print_comparison(result: "Comparison") -> None:
    """Print the tables of a comparison and its verdict to stdout."""
    print_table(result)
    typer.echo(f"\nVerdict: {result.sentence}")
    typer.echo(f"Generator or recipe? {result.twin_sentence}")
    if "oracle" in result.roles.values():
        typer.echo(result.worth_sentence)
    typer.echo(f"Splits: {result.settings['splits']}. {result.wall_seconds:.0f} s.")
    for f in result.failed:
        typer.echo(f"Failed: {f.arm}, seed {f.seed}: {f.error}")


def _where() -> str:
    import mlflow

    uri = mlflow.get_tracking_uri()
    return f"at {uri}" if uri.startswith("http") else f"with: mlflow ui --backend-store-uri {uri}"
