"""What the commands show in a terminal: a progress bar, and the table of a comparison."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

    from ganaug.auditing.result import Audit
    from ganaug.experiment.comparison import Comparison


def shown(text: str) -> str:
    """Return text whose control letters, which could steer a terminal, are written as escapes."""
    return "".join(ch if ch.isprintable() or ch in "\n\t" else repr(ch)[1:-1] for ch in text)


@contextmanager
def progress(what: str, total: int | None, unit: str, *, quiet: bool = False) -> Iterator[Any]:
    """Show a bar and a line of text on stderr, if that is a terminal; yields advance(done, text, total)."""
    from rich.console import Console, Group
    from rich.live import Live
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.text import Text

    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield lambda done, text=None, total=None: None
        return
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(compact=True),
    )
    task, status = bar.add_task(what, total=total, rate=unit), Text()

    def advance(done: int, text: str | None = None, total: int | None = total) -> None:
        speed = bar.tasks[task].speed
        rate = unit if speed is None or unit == "cells" else f"{unit}, {speed:.0f}/s"
        bar.update(task, completed=done if total is None else min(done, total), total=total, rate=rate)
        if text is not None:
            status.plain = shown(text)

    with Live(Group(bar, status), console=console, refresh_per_second=4):
        yield advance


def print_table(result: "Comparison") -> None:
    """Print a row per arm to stdout, then one per treatment: its gain over its twin, and what it is worth."""
    from rich.console import Console

    from ganaug.experiment.result_sentences import interval

    metric = f"{result.metric.replace('_', ' ')} in percent, gains in points [95 % interval]"
    console = Console()
    console = console if console.is_terminal else Console(width=140)
    left_out = ["role", "calibration_error", "fit_seconds", "gan_seconds"]  # for narrow screens
    console.print(_rows(metric, result.table.drop(columns=left_out, errors="ignore")))
    gains = [result.gain_over_twin(arm) for arm in result.treatments.index]
    twins = result.treatments[["twin"]].assign(over_twin=["" if g is None else interval(g) for g in gains])
    title = "treatments against their twins, the same but for what the generator makes"
    if "worth" in result.treatments:
        twins = twins.assign(worth_in_real_samples=result.treatments["worth"])
    console.print(_rows(title, twins))


def print_audit(result: "Audit") -> None:
    """Print a row per class to stdout: what it is, and what that rests on."""
    from rich.console import Console

    table, novelty = result.table, result.novelty

    def beside(frame: "pd.DataFrame", name: str) -> list[str]:
        pairs = zip(frame[name], frame[f"{name}/real"], strict=True)
        return [f"{value:.2f} ({real:.2f})" for value, real in pairs]

    shown = table[["verdict"]].assign(
        precision=beside(table, "precision/random"),
        recall=beside(table, "recall/random"),
        recognised=beside(table, "recognised"),
        accuracy=beside(table, "accuracy"),
    )
    if "near_duplicates" in novelty:
        shown["near duplicates"] = beside(novelty, "near_duplicates")
    if "C_T" in novelty:
        shown["C_T"] = novelty["C_T"]
    console = Console()
    console = console if console.is_terminal else Console(width=140)
    console.print(_rows("generated samples, in brackets as many real ones that were held out", shown))


def _rows(title: str, frame: "pd.DataFrame") -> "Table":
    """Return a table with an arm in each row."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title)
    frame = frame.reset_index()
    for column in frame.columns:
        table.add_column(
            column.replace("_", " "),
            justify="left" if column in ("arm", "twin", "class", "verdict") else "right",
        )
    for row in frame.itertuples(index=False):
        table.add_row(*(Text(f"{v:z.2f}" if isinstance(v, float) else shown(str(v))) for v in row))
    return table
