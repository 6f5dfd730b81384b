"""The command `ganaug`: its commands, and what its errors end with."""

import sys
import warnings
from typing import Annotated, Any

import typer

from ganaug.commands.compare import compare
from ganaug.commands.fit import fit
from ganaug.commands.generate import generate
from ganaug.commands.options import EXIT_DATA, EXIT_DIVERGED, EXIT_ERROR
from ganaug.errors import DataError, GanaugError, GanaugWarning, TrainingDivergedError
from ganaug.terminal import shown

app = typer.Typer(
    name="ganaug",
    help="Synthetic data that has to prove itself: fit a generator per class, generate, compare.\n\n"
    "Exit codes: 0 done, 1 an error, 2 wrong usage, 3 bad data, 4 training diverged, "
    "5 a verdict worse than --fail-unless, 75 stopped by a signal and ready for --resume, 130 interrupted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
)

for command in (fit, generate, compare):
    app.command()(command)


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
    typer.echo(shown(f"{kind}: {' '.join(str(message).split())}"), err=True)


def _fail(error: Exception, code: int) -> None:
    typer.echo(shown(f"error: {' '.join(str(error).split())}"), err=True)
    sys.exit(code)
