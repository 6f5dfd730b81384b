"""The README's lines are the ones that are run, its tables the ones that were measured, its links real."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_ci_runs_exactly_the_test_command_of_the_readme():
    lines = [line for line in README.splitlines() if 'pip install -e ".[test]"' in line]
    assert len(lines) == 1
    assert lines[0].endswith(".venv/bin/pytest")
    assert "grep -m 1 -F 'pip install -e \".[test]\"' README.md" in (ROOT / ".ci" / "run").read_text()


def test_first_command_line_ends_in_the_digits_comparison():
    assert re.search(r"^python3 -m venv .*&& \S*ganaug compare digits$", README, re.MULTILINE)


def test_tables_are_those_of_the_kept_results():
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "readme.py", "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_a_changed_figure_in_a_table_is_noticed():
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import readme
    finally:
        sys.path.pop(0)
    changed = README.replace("| classic |", "| clasic |")
    assert changed != README
    assert readme.filled(changed) == README


def test_relative_links_and_pictures_exist():
    for path in (ROOT / "README.md", ROOT / "benchmarks" / "README.md", ROOT / "recipes" / "README.md"):
        for target in re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8")):
            assert "://" in target or (path.parent / target).exists(), f"{path.name}: {target}"
