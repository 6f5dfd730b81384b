"""How long until the command answers? Whole processes, alternating, medians."""

import argparse
import os
import statistics
import subprocess
import sys
import time

import pandas as pd
from common import keep, markdown

COMPLETION = {"_GANAUG_COMPLETE": "complete_bash", "COMP_WORDS": "ganaug fit --preset ", "COMP_CWORD": "3"}
"""What bash sets when the user asks for the values of an option."""

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import ganaug": ["-c", "import ganaug"],
    "ganaug --help": ["-m", "ganaug", "--help"],
    "ganaug fit --preset <TAB>": ["-c", "from ganaug.cli import app; app(prog_name='ganaug')"],
    "import torch": ["-c", "import torch"],
    "from ganaug import ConditionalGAN": ["-c", "from ganaug import ConditionalGAN"],
    "ganaug doctor": ["-m", "ganaug", "doctor", "--json"],
}


def seconds(name: str) -> float:
    """Return the time of one process."""
    environment = {**os.environ, **(COMPLETION if "TAB" in name else {})}
    begun = time.perf_counter()
    subprocess.run(
        [sys.executable, *COMMANDS[name]],
        check="doctor" not in name,  # 1 where it finds a problem
        capture_output=True,
        env=environment,
    )
    return time.perf_counter() - begun


def main(repeats: int) -> None:
    """Time all commands in turn, keep the figures, and print the table."""
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(repeats + 1):
        for name in COMMANDS:
            times[name].append(seconds(name))
    rows = [
        {"command": name, "seconds (median)": statistics.median(t[1:]), "min": min(t[1:]), "max": max(t[1:])}
        for name, t in times.items()  # the first round only warms the disk cache
    ]
    keep("startup", {"repeats": repeats, "rows": rows})
    print(markdown(pd.DataFrame(rows).set_index("command")))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=9)
    main(**vars(parser.parse_args()))
