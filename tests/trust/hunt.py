"""Damage files and open them, in a process of its own with little memory; say what became of each case.

python tests/trust/hunt.py generator --cases 300 --seed 0      # a line of JSON per case
"""

import argparse
import faulthandler
import importlib
import io
import json
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mutations
import numpy as np

from ganaug.errors import CheckpointError, GanaugError

SPARE_BYTES = 1 << 30
"""Address space that opening a damaged file of some kilobytes may take beyond that of a sound one."""
SAME, OTHER, REFUSED = "same", "other", "refused"
TROUBLE = 3
"""Exit code where the hunt itself went wrong."""


MADE: dict[Callable[[Path], None], dict[Path, bytes]] = {}

Damage = Mapping[str, Callable[[np.random.Generator, bytes], bytes]]


@dataclass(frozen=True, kw_only=True)
class Target:
    """One kind of file or folder; `open` returns its meaning in plain values, or raises one of `errors`."""

    make: Callable[[Path], None]
    open: Callable[[Path], Any]
    errors: tuple[type[GanaugError], ...] = (CheckpointError,)
    damage: Damage = field(default_factory=lambda: mutations.BYTES)
    files: str = "*"  # which of them are damaged
    sealed: bool = False  # a sha256 lies over them: opened at all, they mean what they meant
    cost: int = 1  # how many times as long as others a case takes


@dataclass
class Found:
    """How the cases of one target ended."""

    outcomes: Counter[str] = field(default_factory=Counter)
    defects: list[dict[str, Any]] = field(default_factory=list)


class Hang(BaseException):
    """A case took too long."""


def hunt(
    names: Iterable[str], *, cases: int, seed: int, table: str = "targets", seconds: int = 20
) -> dict[str, Found]:
    """Return how many of `cases` damaged files of each target were refused, or opened; and all defects.

    `table` is the module whose `TARGETS` has the names; a case may take `seconds`.
    """
    found = {name: Found() for name in names}
    left, first = list(found), 0
    while left:
        options = {"first": first, "cases": cases, "seed": seed, "table": table, "seconds": seconds}
        command = [sys.executable, __file__, *left, *(f"--{name}={value}" for name, value in options.items())]
        run = subprocess.run(command, capture_output=True, text=True)
        if run.returncode == TROUBLE:
            raise RuntimeError(run.stderr[-3000:])
        for line in map(json.loads, run.stdout.splitlines()):
            left = left[left.index(line["name"]) :]
            first = line["case"] + 1
            note(found[left[0]], line)
        if run.returncode == 0:
            break
        note(found[left[0]], {"case": first, "outcome": "died", "detail": run.stderr[-2000:]})
        first += 1
    return found


def note(found: Found, line: dict[str, Any]) -> None:
    """Count an outcome."""
    if line["outcome"] is not None:
        found.outcomes[line["outcome"]] += 1
    if line["outcome"] not in (SAME, OTHER, REFUSED, None):
        found.defects.append(line)


def work(names: list[str], first: int, cases: int, seed: int, table: str, seconds: int) -> None:
    """Try cases and write their outcomes."""

    def alarm(*_: Any) -> None:
        raise Hang

    targets = importlib.import_module(table).TARGETS
    signal.signal(signal.SIGALRM, alarm)
    out, sys.stdout = sys.stdout, io.StringIO()
    for name in names:
        last = max(1, cases // targets[name].cost)
        for line in attempts(name, targets[name], range(first, last), seed, seconds):
            print(json.dumps({"name": name, **line}), file=out, flush=True)
        first = 0


def attempts(name: str, target: Any, cases: range, seed: int, seconds: int) -> Iterator[dict[str, Any]]:
    """Yield that a target begins, then what became of each of its cases."""
    with tempfile.TemporaryDirectory(prefix="ganaug-hunt-") as above:
        folder = Path(above) / "some folder"
        folder.mkdir()
        sound = content_of(target.make, folder)
        damaged = [p.relative_to(folder) for p in sorted(folder.glob(target.files)) if p.is_file()]
        original = target.open(folder)
        yield {"case": cases.start - 1, "outcome": None}
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + SPARE_BYTES, resource.RLIM_INFINITY))
        for case in cases:
            faulthandler.dump_traceback_later(2 * seconds, exit=True)  # where no signal is heard
            rng = np.random.default_rng([seed, zlib.crc32(name.encode()), case])
            file = damaged[rng.integers(len(damaged))]
            way = list(target.damage)[rng.integers(len(target.damage))]
            content = target.damage[way](rng, sound[file])
            write(folder, {**sound, file: content})
            sys.modules.pop(mutations.CANARY, None)
            outcome, detail = opened(target, folder, original, seconds)
            outcome = "ran code" if mutations.CANARY in sys.modules else outcome
            yield {"case": case, "file": str(file), "way": way, "outcome": outcome, "detail": detail}
        faulthandler.cancel_dump_traceback_later()
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def content_of(make: Callable[[Path], None], folder: Path) -> dict[Path, bytes]:
    """Write a sound folder, and return its files, which are made once for all targets that share them."""
    if make not in MADE:
        make(folder)
        MADE[make] = {p.relative_to(folder): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
    write(folder, MADE[make])
    return MADE[make]


def write(folder: Path, files: Mapping[Path, bytes]) -> None:
    """Write a folder anew."""
    shutil.rmtree(folder)
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)


def opened(target: Any, folder: Path, original: Any, seconds: int) -> tuple[str, str]:
    """Open a folder; return the outcome, and a detail where that is a defect."""
    signal.alarm(seconds)
    try:
        found = target.open(folder)
    except target.errors as error:
        text = str(error)
        if "allocate" in text or "memory" in text:
            return "asked for too much memory", text
        return (REFUSED, "") if str(folder) in text else ("names no file", f"{type(error).__name__}: {text}")
    except Hang:
        return "hang", ""
    except BaseException as error:
        return type(error).__name__, "".join(traceback.format_exception(error)[-3:])[-1500:]
    finally:
        signal.alarm(0)
    if found == original:
        return SAME, ""
    return ("opened as another", "") if target.sealed else (OTHER, "")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="+")
    for option, default in {"first": 0, "cases": 100, "seed": 0, "seconds": 20}.items():
        parser.add_argument(f"--{option}", type=int, default=default)
    parser.add_argument("--table", default="targets")
    try:
        work(**vars(parser.parse_args()))
    except Exception:
        traceback.print_exc()
        sys.exit(TROUBLE)
