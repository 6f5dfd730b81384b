"""What becomes of damaged files? Every kind that is opened, with a table of the outcomes.

python benchmarks/fuzz.py --cases 20000          # per kind; those that train are given a tenth or less
"""

import argparse
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
from common import keep, markdown

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "trust"))

from hunt import OTHER, REFUSED, SAME, Found, hunt
from targets import TARGETS


def row(name: str, found: Found) -> dict[str, Any]:
    """Return one line of the table."""
    outcomes = found.outcomes
    return {
        "kind of file": name,
        "under a sha256": "yes" if TARGETS[name].sealed else "no",
        "cases": outcomes.total(),
        "refused by name": outcomes[REFUSED],
        "meant the same": outcomes[SAME],
        "meant something else": outcomes[OTHER],
        "hangs": outcomes["hang"],
        "other defects": len(found.defects) - outcomes["hang"],
    }


def main(names: list[str], cases: int, seed: int, jobs: int) -> None:
    """Hunt through all kinds, keep the figures and every defect, and print the table."""
    began = time.monotonic()
    names = names or list(TARGETS)
    with ThreadPoolExecutor(jobs) as pool:
        found = dict(
            zip(names, pool.map(lambda name: hunt([name], cases=cases, seed=seed)[name], names), strict=True)
        )
    rows = [row(name, found[name]) for name in names]
    defects = {name: f.defects for name, f in found.items() if f.defects}
    seconds = time.monotonic() - began
    keep("fuzz", {"seed": seed, "wall_seconds": seconds, "rows": rows, "defects": defects})
    print(markdown(pd.DataFrame(rows).set_index("kind of file")))
    for name, each in defects.items():
        print(f"\n{name}:", *(f"\n  {d}" for d in each[:20]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="kinds of file; all if none is given")
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    main(**vars(parser.parse_args()))
