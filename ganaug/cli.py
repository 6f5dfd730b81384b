"""The command `ganaug`: its commands, and what its errors end with."""

import json
import sys
import warnings
from typing import Annotated, Any

import typer

from ganaug._launch import OF_FIRST, joined_rank
from ganaug.commands.audit import audit
from ganaug.commands.compare import compare
from ganaug.commands.config_file import configured
from ganaug.commands.doctor import doctor
from ganaug.commands.fit import fit
from ganaug.commands.generate import generate
from ganaug.commands.options import EXIT_DATA, EXIT_DIVERGED, EXIT_ERROR, EXIT_RESUME
from ganaug.commands.report import report
from ganaug.errors import DataError, GanaugError, GanaugWarning, TrainingDivergedError
from ganaug.terminal import shown

EXIT_USAGE, EXIT_INTERRUPTED = 2, 130

app = typer.Typer(
    name="ganaug",
    help="Synthetic data that has to prove itself: fit a generator per class, generate, compare.\n\n"
    "Exit codes: 0 done, 1 an error (doctor: a problem), 2 wrong usage, 3 bad data, 4 training diverged, "
    "5 a verdict worse than --fail-unless, 75 stopped by a signal and ready for --resume, 130 interrupted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
)

for command in (fit, generate, compare, report, audit, doctor):
    app.command()(configured(command))


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Carry the options that need no command."""
    if version:
        from ganaug import __version__

        typer.echo(f"ganaug {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line; errors and warnings of ganaug become one line on stderr, and an exit code.

    With --json, an error is a JSON object on stdout too.
    """
    warnings.showwarning = _show_warning  # type: ignore[assignment]
    try:
        app()
    except TrainingDivergedError as error:
        _fail(error, EXIT_DIVERGED)
    except DataError as error:
        _fail(error, EXIT_DATA)
    except (GanaugError, OSError) as error:
        _fail(error, EXIT_ERROR)
    except SystemExit as ended:
        told = {
            EXIT_USAGE: "wrong usage; stderr says what",
            EXIT_RESUME: "stopped; run the same command again with --resume",
            EXIT_INTERRUPTED: "interrupted",
        }
        if isinstance(ended.code, int) and ended.code in told and not joined_rank():
            _tell_json(told[ended.code], ended.code)
        raise


def _show_warning(message: Warning | str, category: type[Warning], *_: Any) -> None:
    if joined_rank():
        return  # the first process has the same ones
    kind = "warning" if issubclass(category, GanaugWarning) else category.__name__
    typer.echo(shown(f"{kind}: {' '.join(str(message).split())}"), err=True)


def _fail(error: Exception, code: int) -> None:
    rank, text = joined_rank(), " ".join(str(error).split())
    if rank and (OF_FIRST in getattr(error, "__notes__", ()) or isinstance(error, TrainingDivergedError)):
        sys.exit()  # the first process says it, and must not be stopped meanwhile because others failed
    if not rank:
        _tell_json(text, code)
    typer.echo(shown(f"rank {rank}: error: {text}" if rank else f"error: {text}"), err=True)
    sys.exit(code)


def _tell_json(text: str, code: int) -> None:
    if "--json" in sys.argv[1:]:
        typer.echo(json.dumps({"error": text, "exit_code": code}))
