"""ganaug compare: find out by paired runs whether synthetic samples help."""

import json
import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from ganaug.commands.options import EXIT_VERDICT, Data, Device, Json, Seed, Target, TrainImages
from ganaug.commands.stopping import stoppable
from ganaug.terminal import print_table, progress

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
    data: Data,
    target: Target = "target",
    groups: Annotated[
        str | None,
        typer.Option(help="Column of a .csv (array of an .npz) whose samples stay on one side of a split."),
    ] = None,
    classifier: Annotated[
        str | None,
        typer.Option(
            help="cnn, mlp, logistic, forest, boosting or a torchvision model; by kind of data if not given."
        ),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(min=3, help="Paired repetitions; 6 if not given, or the next multiple of --folds."),
    ] = None,
    arms: Annotated[
        str | None, typer.Option(help="Comma-separated names; those of the kind of data if not given.")
    ] = None,
    primary: Annotated[
        str | None, typer.Option(help="Treatment that the verdict is about; the last one if not given.")
    ] = None,
    metric: Annotated[
        str, typer.Option(help="balanced_accuracy, accuracy, macro_f1 or average_precision.")
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
    steps: Annotated[int, typer.Option(min=1, help="Optimiser steps of a torch classifier.")] = 400,
    preset: Annotated[
        str | None, typer.Option(help="quick, default or best; digits: 30,000 images if not given.")
    ] = None,
    train_images: TrainImages = None,
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
    as_json: Json = False,
) -> None:
    """Find out whether synthetic samples help a classifier, by paired runs against control arms."""
    from ganaug.data.sources import open_data
    from ganaug.experiment.paired import compare as run_comparison
    from ganaug.experiment.tracking import MLflowTracker

    source = open_data(data, target=target, groups=groups)
    if preset is None and train_images is None and data == "digits":
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
        "steps": steps,
        "names": source.class_names,
        "n_jobs": jobs or os.cpu_count(),
        "preset": preset or "default",
        "train_images": train_images,
        "device": device,
        "random_state": seed,
    }
    if dry_run:
        from ganaug.experiment.forecast import forecast

        with progress("trying a few cells", None, "cells"):
            plan = forecast(source.X, source.y, **settings, max_minutes=max_minutes)
        typer.echo(json.dumps(plan.to_dict(), default=str) if as_json else str(plan))
        return
    tracker = MLflowTracker("ganaug") if track else None
    with stoppable(out), progress("comparing", None, "cells") as advance:
        result = run_comparison(
            source.X,
            source.y,
            **settings,
            tracking=tracker,
            out=out,
            resume=resume,
            max_minutes=max_minutes,
            on_cell=lambda done, total: advance(done, total=total),
        )
    if as_json:
        typer.echo(json.dumps(result.to_dict()))
    else:
        print_table(result)
        typer.echo(f"\nVerdict: {result.sentence}")
        typer.echo(f"Generator or recipe? {result.twin_sentence}")
        if "oracle" in result.roles.values():
            typer.echo(result.worth_sentence)
        typer.echo(f"Splits: {result.settings['splits']}. {result.wall_seconds:.0f} s.")
        for f in result.failed:
            typer.echo(f"Failed: {f.arm}, seed {f.seed}: {f.error}")
        if tracker is not None and tracker.recorded:
            typer.echo("Recorded in MLflow. See it " + _where())
    if report is not None:
        result.report(report)
    if fail_unless is not None and VERDICTS.index(result.verdict) < VERDICTS.index(fail_unless.value):
        typer.echo(f"the verdict is worse than {fail_unless.value!r}: {result.verdict}", err=True)
        raise typer.Exit(EXIT_VERDICT)


def _where() -> str:
    import mlflow

    uri = mlflow.get_tracking_uri()
    return f"at {uri}" if uri.startswith("http") else f"with: mlflow ui --backend-store-uri {uri}"
