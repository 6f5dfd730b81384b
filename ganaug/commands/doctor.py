"""ganaug doctor: what ganaug runs on, and what to do about each problem."""

import json

import typer

from ganaug.commands.options import EXIT_ERROR, Json, Quiet
from ganaug.terminal import progress


def doctor(quiet: Quiet = False, as_json: Json = False) -> None:
    """Look at versions, device, memory, disk and MLflow, and say what to do about each problem."""
    from ganaug.installation import as_dict, examine

    with progress("looking", None, "checks", quiet=quiet) as advance:
        findings = examine(lambda done, total: advance(done, total=total))
    problems = [f for f in findings if f.problem]
    if as_json:
        typer.echo(json.dumps(as_dict(findings)))
    elif not quiet:
        width = max(len(f.name) for f in findings)
        for f in findings:
            typer.echo(f"{'!' if f.problem else ' '} {f.name:{width}}  {f.found}")
            for text in filter(None, (f.note, f.problem and f"PROBLEM: {f.problem}.", f.mend)):
                typer.echo(f"  {'':{width}}  {text}")
        few = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}, marked with !."
        typer.echo(few if problems else "No problem was found.")
    if problems:
        raise typer.Exit(EXIT_ERROR)
