"""How long until the command answers? Whole processes, alternating, medians."""

import argparse
import statistics
import subprocess
import sys
import time

import pandas as pd
from common import keep, markdown

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import ganaug": ["-c", "import ganaug"],
    "ganaug --help": ["-m", "ganaug", "--help"],
    "import torch": ["-c", "import torch"],
    "from ganaug import ConditionalGAN": ["-c", "from ganaug import ConditionalGAN"],
}


def seconds(arguments: list[str]) -> float:
    """Return the time of one process."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    return time.perf_counter() - begun


def main(repeats: int) -> None:
    """Time all commands in turn, keep the figures, and print the table."""
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(repeats + 1):
        for name, arguments in COMMANDS.items():
            times[name].append(seconds(arguments))
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
