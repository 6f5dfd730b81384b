"""The command `ganaug`: each command builds a config, calls one function and prints a table."""

import json
import os
import sys
import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from ganaug.errors import DataError, GanaugError, GanaugWarning, TrainingDivergedError, TrainingInterrupted
from ganaug.terminal import print_table, progress

EXIT_ERROR, EXIT_DATA, EXIT_DIVERGED, EXIT_RESUME, EXIT_INTERRUPTED = 1, 3, 4, 75, 130

app = typer.Typer(
    name="ganaug",
    help="Synthetic data that has to prove itself: fit a generator per class, generate, compare.\n\n"
    "Exit codes: 0 done, 1 an error, 2 wrong usage, 3 bad data, 4 training diverged, "
    "75 stopped by a signal and ready for --resume, 130 interrupted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
)

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


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Carry the options that need no command."""
    if version:
        from ganaug import __version__

        typer.echo(f"ganaug {__version__}")
        raise typer.Exit


@app.command()
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
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the run in OUT.")] = False,
    track: Annotated[bool, typer.Option("--track", help="Record the training in MLflow.")] = False,
    seed: Seed = 0,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Train a generator per class and write it to a run folder."""
    from ganaug.config import GANConfig, resolve_config
    from ganaug.data.schema import kind_of
    from ganaug.data.sources import open_data
    from ganaug.experiment.fit_tracking import MLflowFit
    from ganaug.generator import ConditionalGAN

    source = open_data(data, target=target)
    own, kind = GANConfig(max_minutes=max_minutes, missing=missing), kind_of(source.X)
    config = resolve_config(preset, own, train_images, kind=kind)
    gan = ConditionalGAN(config=config, device=device, random_state=seed)
    record = MLflowFit(config, out, experiment="ganaug") if track else None
    try:
        unit = "rows" if kind == "table" else "images"
        with progress("training", config.train_images, unit) as advance, record or nullcontext():

            def on_log(line: dict[str, Any]) -> None:
                if record is not None:
                    record(line)
                shown = [k for k in ("loss/D", "loss/G", "distance", "spread") if k in line]
                figures = " ".join(f"{k} {line[k]:.2f}" for k in shown)
                advance(line["images_seen"], f"{figures} | {line['health']}")

            gan.fit(
                source.X,
                source.y,
                names=source.class_names,
                out=out,
                resume=resume,
                on_log=on_log,
                on_step=advance,
            )
    except TrainingInterrupted as interruption:
        typer.echo(f"{interruption}. Run the same command again with --resume.", err=True)
        raise typer.Exit(EXIT_RESUME) from None
    classes = dict(zip(gan.schema_.names, _class_sizes(source.y), strict=True))
    done = {"run": str(out), "classes": classes, **gan.history_[-1]}
    if as_json:
        typer.echo(json.dumps(done))
    else:
        typer.echo(f"{out}: a generator for {len(classes)} classes of {len(source.y)} samples.")
        typer.echo(f"Next: ganaug generate {out} --per-class 50 --out FOLDER")


@app.command()
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


@app.command()
def compare(
    data: Data,
    target: Target = "target",
    classifier: Annotated[
        str | None,
        typer.Option(help="cnn, mlp, logistic, forest or boosting; by kind of data if not given."),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(min=3, help="Paired repetitions; 6 if not given, or the next multiple of --folds."),
    ] = None,
    arms: Annotated[
        str | None, typer.Option(help="Comma-separated names; those of the kind of data if not given.")
    ] = None,
    metric: Annotated[
        str, typer.Option(help="balanced_accuracy, accuracy, macro_f1 or average_precision.")
    ] = "balanced_accuracy",
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
        str | None, typer.Option(help="quick, default or best; digits: 60,000 images if not given.")
    ] = None,
    train_images: TrainImages = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Jobs at a time; all processors if not given.")
    ] = None,
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
    track: Annotated[bool, typer.Option(help="Record the comparison in MLflow.")] = True,
    seed: Seed = 0,
    device: Device = "cpu",
    as_json: Json = False,
) -> None:
    """Find out whether synthetic samples help a classifier, by paired runs against control arms."""
    from ganaug.data.sources import open_data
    from ganaug.experiment.paired import compare as run_comparison
    from ganaug.experiment.tracking import MLflowTracker

    source = open_data(data, target=target)
    if preset is None and train_images is None and data == "digits":
        train_images = DIGITS_TRAIN_IMAGES
    seeds = seeds or -(-SEEDS // (folds or 1)) * (folds or 1)
    few = None if folds or train_size else source.labelled_per_class
    with progress("comparing", None, "cells") as advance:
        result = run_comparison(
            source.X,
            source.y,
            classifier=classifier,
            arms=None if arms is None else [name.strip() for name in arms.split(",")],
            seeds=seeds,
            metric=metric,
            labelled_per_class=labelled or few,
            test=source.test,
            folds=folds,
            train_size=train_size,
            steps=steps,
            names=source.class_names,
            tracking=MLflowTracker("ganaug") if track else None,
            n_jobs=jobs or os.cpu_count(),
            out=out,
            resume=resume,
            max_minutes=max_minutes,
            on_cell=lambda done, total: advance(done, total=total),
            preset=preset or "default",
            train_images=train_images,
            device=device,
            random_state=seed,
        )
    if report is not None:
        result.report(report)
    if as_json:
        typer.echo(json.dumps(result.to_dict()))
        return
    print_table(result)
    typer.echo(f"\nVerdict: {result.sentence}")
    typer.echo(f"Generator or recipe? {result.twin_sentence}")
    if "oracle" in result.roles.values():
        typer.echo(result.worth_sentence)
    typer.echo(f"Splits: {result.settings['splits']}. {result.wall_seconds:.0f} s.")
    if track:
        typer.echo("Recorded in MLflow. See it with: " + _ui_command())


SEEDS = 6

DIGITS_TRAIN_IMAGES = 60_000
"""Budget of `compare digits`, so that the first command a user tries ends in three minutes."""


def main() -> None:
    """Run the command line; errors and warnings of ganaug become one line on stderr, and an exit code."""
    warnings.showwarning = _show_warning  # type: ignore[assignment]
    try:
        app()
    except TrainingDivergedError as error:
        _fail(error, EXIT_DIVERGED)
    except DataError as error:
        _fail(error, EXIT_DATA)
    except (GanaugError, OSError) as error:
        _fail(error, EXIT_ERROR)


def _show_warning(message: Warning | str, category: type[Warning], *_: Any) -> None:
    kind = "warning" if issubclass(category, GanaugWarning) else category.__name__
    typer.echo(f"{kind}: {' '.join(str(message).split())}", err=True)


def _fail(error: Exception, code: int) -> None:
    typer.echo(f"error: {' '.join(str(error).split())}", err=True)
    sys.exit(code)


def _ui_command() -> str:
    import mlflow

    return f"mlflow ui --backend-store-uri {mlflow.get_tracking_uri()}"


def _class_sizes(y: Any) -> list[int]:
    import numpy as np

    return [int(n) for n in np.unique(y, return_counts=True)[1]]
