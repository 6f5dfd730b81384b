"""Ctrl-C and SIGTERM during a command that can be gone on with."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from ganaug.commands.options import EXIT_RESUME


@contextmanager
def stoppable(out: Path | str | None, at_end: Callable[[], object] = lambda: None) -> Iterator[None]:
    """End in good order at Ctrl-C and SIGTERM, and say how to go on; `at_end` is called however it ends."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except KeyboardInterrupt:
        if out is None:
            raise
        typer.echo("stopped. Run the same command again with --resume.", err=True)
        raise typer.Exit(EXIT_RESUME) from None
    finally:
        at_end()
        signal.signal(signal.SIGTERM, before)
