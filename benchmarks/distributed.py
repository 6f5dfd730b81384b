"""One training in two processes, and data that do not fit in memory: what they cost and what they give.

GANAUG_DATA is not needed: the images are random. About 15 minutes on 2 quiet cores.
    python benchmarks/distributed.py [--parts scaling collectives memory]

scaling: images/s of one process on one thread, of two processes that train together (each with half of the
batch, one thread), of one process on two threads, and of two processes that know nothing of each other, with
half of the batch each: what the machine has to give to two. In turns, each in processes of its own.
collectives: seconds of one average of so many numbers over two processes. memory: the most that `ganaug fit`
has, of images in files and in an .npz, with ten times the images.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import keep, markdown
from throughput import images, unpack

import ganaug
from ganaug.config import resolve_config
from ganaug.training.batches import BalancedBatches
from ganaug.training.loop import train
from ganaug.training.ranks import Ranks, launched_fabric
from ganaug.training.state import new_state

CASES = {  # side, channels, width, batch
    "28 px, width 16, batch 64": (28, 1, 16, 64),
    "32 px, width 32, batch 64": (32, 3, 32, 64),
    "64 px, width 32, batch 64": (64, 3, 32, 64),
    "32 px, width 64, batch 256": (32, 3, 64, 256),
}
ROUNDS = 3
SECONDS = 6.0  # of steps, in each round
NUMBERS = (1, 1_000, 100_000, 1_000_000, 10_000_000)
MEMORY_IMAGES = (20_000, 200_000)
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2")


class TimedRanks(Ranks):
    """Ranks that note how long all of its calls take."""

    seconds = 0.0

    @contextmanager
    def timed(self) -> Any:
        """Add the time within to the sum."""
        begun = time.perf_counter()
        yield
        self.seconds += time.perf_counter() - begun

    def mine(self, n: int) -> slice:
        """Return the rows of this rank."""
        with self.timed():
            return super().mine(n)

    def average(self, tensors: Any) -> None:
        """Average tensors."""
        with self.timed():
            super().average(tensors)

    def agree(self, tensors: Any, *wishes: bool) -> tuple[bool, ...]:
        """Average tensors and ask for wishes; `average` counts for itself."""
        if self.size > 1:
            return super().agree(tensors, *wishes)
        with self.timed():
            return super().agree(tensors, *wishes)


def steps_of(case: str, batch: int, ranks: TimedRanks) -> dict[str, float]:
    """Return speed and share of the seam over some seconds of steps, after three that do not count."""
    side, channels, width, _ = CASES[case]
    config = resolve_config("default", ganaug.GANConfig(width=width, batch_size=batch), None, kind="image")
    shape = (channels, side, side)
    x, c = images(1000, shape, 10)
    state = new_state(config, shape=shape, n_classes=10, seed=0, device=torch.device("cpu"), ranks=ranks)
    batches = BalancedBatches(x, c, batch_size=batch, seed=0, unpack=unpack, ranks=ranks)
    times: list[tuple[float, float]] = []

    class Enough(Exception):
        pass

    def on_step(_: int) -> None:
        times.append((time.perf_counter(), ranks.seconds))
        late = len(times) > 4 and times[-1][0] - times[3][0] > SECONDS
        if ranks.largest(int(late)):
            raise Enough

    with suppress(Enough):
        train(
            state,
            batches,
            ganaug.GANConfig(**{**vars(config), "train_images": 10**9, "log_every_images": 10**8}),
            seed=0,
            on_log=lambda *_: None,
            on_step=on_step,
        )
    (begun, before), (ended, after) = times[3], times[-1]
    n = len(times) - 4
    return {
        "images/s": batch * n / (ended - begun),
        "seam ms": 1000 * (after - before) / n,
        "step ms": 1000 * (ended - begun) / n,
        "numbers": sum(p.numel() for player in (state.G, state.D) for p in player.parameters()),
    }


def worker(case: str, batch: int, threads: int) -> None:
    """Train in this process, alone or as one of two, and print what was measured."""
    torch.set_num_threads(threads)
    ranks = TimedRanks(launched_fabric("cpu"))
    found = steps_of(case, batch, ranks)
    if ranks.first:
        print(json.dumps(found))


def start(case: str, batch: int, *, together: bool = False, threads: int = 1) -> subprocess.Popen[str]:
    """Start a worker."""
    program = TORCHRUN if together else (sys.executable,)
    args = [*program, __file__, "--worker", case, "--batch", str(batch), "--threads", str(threads)]
    env = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    return subprocess.Popen(args, stdout=subprocess.PIPE, text=True, env=env)


def finished(*processes: subprocess.Popen[str]) -> list[dict[str, float]]:
    """Return what workers printed."""
    told = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        raise SystemExit("a worker failed")
    return [json.loads(text.splitlines()[-1]) for text in told]


def scaling() -> dict[str, Any]:
    """Return the speeds of each case, in turns."""
    rows = []
    for case, (_, _, _, batch) in CASES.items():
        found: dict[str, list[dict[str, float]]] = defaultdict(list)
        for _ in range(ROUNDS):
            found["one"] += finished(start(case, batch))
            found["together"] += finished(start(case, batch, together=True))
            found["two threads"] += finished(start(case, batch, threads=2))
            apart = finished(start(case, batch // 2), start(case, batch // 2))
            found["apart"].append({"images/s": sum(one["images/s"] for one in apart)})
        speed = {name: statistics.median(r["images/s"] for r in runs) for name, runs in found.items()}
        share = statistics.median(r["seam ms"] / r["step ms"] for r in found["one"])
        rows.append(
            {
                "case": case,
                "1 process": round(speed["one"]),
                "2 processes": round(speed["together"]),
                "1 process, 2 threads": round(speed["two threads"]),
                "2 apart, half batches": round(speed["apart"]),
                "efficiency %": round(100 * speed["together"] / (2 * speed["one"])),
                "of what 2 apart do %": round(100 * speed["together"] / speed["apart"]),
                "waiting and averaging %": round(
                    100 * statistics.median(r["seam ms"] / r["step ms"] for r in found["together"])
                ),
                "seam of 1 process %": round(100 * share, 3),
                "numbers": int(found["one"][0]["numbers"]),
                "step ms, 1 process": round(statistics.median(r["step ms"] for r in found["one"]), 2),
                "step ms, half batch": round(1000 * batch / speed["apart"], 2),
            }
        )
        print(markdown_rows(rows[-1:]), flush=True)
    return {"rows": rows, "rounds": ROUNDS, "seconds": SECONDS}


def average_worker() -> None:
    """Print the median seconds of an average over the processes, by how many numbers it has."""
    torch.set_num_threads(1)
    ranks = Ranks(launched_fabric("cpu"))
    found = {}
    for n in NUMBERS:
        numbers, seconds = torch.rand(n), []
        for _ in range(max(5, min(200, 20_000_000 // n))):
            begun = time.perf_counter()
            ranks.average([numbers])
            seconds.append(time.perf_counter() - begun)
        found[n] = statistics.median(seconds)
    if ranks.first:
        print(json.dumps(found))


def collectives() -> dict[str, Any]:
    """Return the seconds of averages."""
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    args = [*TORCHRUN, __file__, "--averages"]
    (found,) = finished(subprocess.Popen(args, stdout=subprocess.PIPE, text=True, env=env))
    return {"seconds": found}


PEAK = """
import atexit, re, sys
from ganaug.cli import main
atexit.register(lambda: print(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]))
sys.argv = ["ganaug", "fit", *sys.argv[1:], "--device", "cpu", "--train-images", "1280", "--quiet"]
main()
"""


def memory() -> dict[str, Any]:
    """Return the most memory and the seconds of a short fit, of images in files and in memory."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for n in MEMORY_IMAGES:
            data, rng = Path(folder) / str(n), np.random.default_rng(0)
            data.mkdir()
            y = np.arange(n) % 10
            parts = [rng.integers(0, 256, (n // 4, 32, 32, 3), dtype=np.uint8) for _ in range(4)]
            for i, part in enumerate(parts):
                np.save(data / f"x{i}.npy", part)
            np.save(data / "y.npy", y)
            np.savez(Path(folder) / f"{n}.npz", x=np.concatenate(parts), y=y)
            row: dict[str, Any] = {"images": n, "MB of pixels": n * 3072 // 10**6}
            for name, source in (("files", data), ("npz", Path(folder) / f"{n}.npz")):
                out = Path(folder) / f"run {n} {name}"
                begun = time.perf_counter()
                args = [sys.executable, "-c", PEAK, str(source), "--out", str(out)]
                run = subprocess.run(args, capture_output=True, text=True, check=True)
                row[f"peak MB, {name}"] = int(re.findall(r"\d+", run.stdout)[-1]) // 1000
                row[f"seconds, {name}"] = round(time.perf_counter() - begun, 1)
            rows.append(row)
            print(markdown_rows(rows[-1:]), flush=True)
    return {"rows": rows}


def markdown_rows(rows: list[dict[str, Any]]) -> str:
    """Return rows as a table."""
    import pandas as pd

    return markdown(pd.DataFrame(rows).set_index(next(iter(rows[0]))))


PARTS = {"scaling": scaling, "collectives": collectives, "memory": memory}


def main() -> None:
    """Measure the parts that were asked for, and keep them beside those that were not."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--worker")
    parser.add_argument("--averages", action="store_true")
    parser.add_argument("--batch", type=int)
    parser.add_argument("--threads", type=int)
    chosen = parser.parse_args()
    if chosen.worker:
        worker(chosen.worker, chosen.batch, chosen.threads)
        return
    if chosen.averages:
        average_worker()
        return
    kept = Path(__file__).parent / "results" / "distributed.json"
    result = json.loads(kept.read_text()) if kept.exists() else {}
    result.pop("machine", None)
    for part in chosen.parts:
        result[part] = PARTS[part]()
        keep("distributed", result)


if __name__ == "__main__":
    main()
