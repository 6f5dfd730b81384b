"""Names from data and from file systems reach a terminal as text: they move no cursor and make no link."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ganaug.terminal import print_table, shown

EVIL = "\x1b[2J\x1b]0;owned\x07[red]cat[/red] \u202egod\x9b31m"


def in_a_terminal(arguments: list[str], folder: Path) -> str:
    """Return what a command writes to a terminal."""
    ours, theirs = pty.openpty()
    run = subprocess.Popen(
        [sys.executable, "-m", "ganaug", *arguments], cwd=folder, stdout=theirs, stderr=theirs, stdin=theirs
    )
    os.close(theirs)
    written = b""
    try:
        while piece := os.read(ours, 4096):
            written += piece
    except OSError:  # the other end was closed
        pass
    run.wait()
    os.close(ours)
    return written.decode(errors="replace")


def test_control_letters_are_written_as_escapes() -> None:
    text = shown(EVIL)
    assert text.isprintable()
    assert "[red]cat[/red]" in text
    assert "\\x1b[2J" in text
    assert "\\u202e" in text
    assert shown("Zürich, 日本語 🦊 مرحبا") == "Zürich, 日本語 🦊 مرحبا"
    assert shown("two\nlines\tand a tab") == "two\nlines\tand a tab"


def test_an_error_about_a_strange_name_does_nothing_to_the_terminal(tmp_path: Path) -> None:
    folder = tmp_path / "data" / EVIL.replace("/", "|")
    folder.mkdir(parents=True)
    (folder / f"{folder.name}.png").write_bytes(b"no image")
    written = in_a_terminal(["fit", "data", "--out", "run"], tmp_path)
    assert "error:" in written
    assert "cat" in written
    for forbidden in ("\x1b[2J", "\x1b]0;", "\x07", "\x9b", "\u202e"):
        assert forbidden not in written


def test_the_table_shows_names_of_arms_as_they_are_written(capsys: pytest.CaptureFixture[str]) -> None:
    import pandas as pd

    class Result:
        metric, table = (
            "accuracy",
            pd.DataFrame({"arm": [EVIL, "[link=x]b[/link]"], "accuracy": [1.0, np.nan]}).set_index("arm"),
        )
        treatments = pd.DataFrame({"arm": [EVIL], "twin": ["[bold]c"]}).set_index("arm")

        def gain_over_twin(self, arm: str) -> None:
            return None

    print_table(Result())  # type: ignore[arg-type]
    text = capsys.readouterr().out
    assert "[link=x]b[/link]" in text
    assert "[bold]c" in text
    assert "\x1b" not in text
    assert "\x07" not in text
