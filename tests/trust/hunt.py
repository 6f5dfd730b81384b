"""Damage files and open them, in a process of its own with little memory; say what became of each case.

python tests/trust/hunt.py TARGET --first 0 --last 300 --seed 0      # a line of JSON per case
"""

import argparse
import faulthandler
import io
import json
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
import warnings
import zlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

SPARE_BYTES = 1 << 30
"""Address space that opening a damaged file of some kilobytes may take beyond that of a sound one."""
SECONDS = 20
"""What a case may take; a sound one takes some milliseconds."""
SAME, OTHER, REFUSED = "same", "other", "refused"


@dataclass
class Found:
    """How the cases of one target ended."""

    outcomes: Counter[str] = field(default_factory=Counter)
    defects: list[dict[str, Any]] = field(default_factory=list)


class Hang(BaseException):
    """A case took too long."""


def hunt(names: Iterable[str], *, cases: int, seed: int) -> dict[str, Found]:
    """Return how many of `cases` damaged files of each target were refused, or opened; and all defects."""
    from targets import TARGETS

    found = {}
    for name in names:
        found[name] = Found()
        first, last = 0, max(1, cases // TARGETS[name].cost)
        while first < last:
            command = [sys.executable, __file__, name]
            command += [f"--first={first}", f"--last={last}", f"--seed={seed}"]
            run = subprocess.run(command, capture_output=True, text=True)
            for line in map(json.loads, run.stdout.splitlines()):
                first = line["case"] + 1
                found[name].outcomes[line["outcome"]] += 1
                if line["outcome"] not in (SAME, OTHER, REFUSED):
                    found[name].defects.append(line)
            if run.returncode:
                died = {"case": first, "outcome": "died", "detail": f"{run.returncode}: {run.stderr[-2000:]}"}
                found[name].outcomes["died"] += 1
                found[name].defects.append(died)
                first += 1
    return found


def trial(target: Any, folder: Path, names: tuple[str, ...], original: Any) -> tuple[str, str]:
    """Open a folder; return the outcome, and a detail where that is a defect."""
    signal.alarm(SECONDS)
    try:
        found = target.open(folder)
    except target.errors as error:
        if any(name in str(error) for name in names):
            return REFUSED, ""
        return "names no file", f"{type(error).__name__}: {error}"
    except Hang:
        return "hang", ""
    except BaseException as error:
        where = "".join(traceback.format_exception(error)[-3:])
        return f"{type(error).__name__}", where[-1500:]
    finally:
        signal.alarm(0)
    if found == original:
        return SAME, ""
    return ("opened as another", "") if target.sealed else (OTHER, "")


def work(name: str, first: int, last: int, seed: int) -> None:
    """Try cases and write their outcomes."""
    from targets import TARGETS

    def alarm(*_: Any) -> None:
        raise Hang

    signal.signal(signal.SIGALRM, alarm)
    warnings.simplefilter("ignore")
    target = TARGETS[name]
    out, sys.stdout = sys.stdout, io.StringIO()
    with tempfile.TemporaryDirectory(prefix="ganaug-hunt-") as above:
        folder = Path(above) / "some folder"
        folder.mkdir()
        target.make(folder)
        sound = {p.relative_to(folder): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
        damaged = [p.relative_to(folder) for p in sorted(folder.glob(target.files)) if p.is_file()]
        original = target.open(folder)
        limit = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + SPARE_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        for case in range(first, last):
            faulthandler.dump_traceback_later(3 * SECONDS, exit=True)
            rng = np.random.default_rng([seed, zlib.crc32(name.encode()), case])
            file = damaged[rng.integers(len(damaged))]
            ways = list(target.damage)
            way = ways[rng.integers(len(ways))]
            content = target.damage[way](rng, sound[file])
            shutil.rmtree(folder)
            for path, whole in sound.items():
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_bytes(content if path == file else whole)
            outcome, detail = trial(target, folder, (str(folder),), original)
            line = {"case": case, "file": str(file), "way": way, "outcome": outcome, "detail": detail}
            print(json.dumps(line), file=out, flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    for option in ("first", "last", "seed"):
        parser.add_argument(f"--{option}", type=int, required=True)
    work(**vars(parser.parse_args()))
