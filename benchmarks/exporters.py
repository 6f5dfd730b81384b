"""How fast is each format written and read? Images/s, MB per 1,000 images, and what a second job adds.

The images are smooth with a little noise, as photographs are, in a bank on disk; formats take turns, and
medians are kept. Reading is `SampleBank.from_files`, sums checked. Generating draws from an untrained network
of the default kind, straight into each format.
"""

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from common import keep, markdown
from scipy.ndimage import zoom

import ganaug
from ganaug.data.schema import Schema
from ganaug.formats import FORMATS
from ganaug.shard_folder import ShardFolder
from ganaug.shard_sources import DrawnSamples

KINDS = {"32 px, RGB": (32, 32, 3), "28 px, grey": (28, 28)}
CLASSES = 10


def bank_of(folder: Path, shape: tuple[int, ...], n: int) -> ganaug.SampleBank:
    """Return a bank on disk of n images."""
    rng = np.random.default_rng(0)
    side, channels = shape[0], shape[2:]
    coarse = rng.uniform(0, 255, (500, 5, 5, *channels))
    smooth = zoom(coarse, (1, side / 5, side / 5, *(1 for _ in channels)), order=1)
    images = np.concatenate([smooth + rng.normal(0, 6, smooth.shape) for _ in range(-(-n // 500))])[:n]
    c = np.arange(n) % CLASSES
    pixels = images.clip(0, 255).astype(np.uint8)
    return ganaug.SampleBank(pixels, c, Schema.fit(pixels, c)).save(folder)


def seconds(work: Callable[[], Any]) -> float:
    """Return the time of one call."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def size(folder: Path) -> int:
    """Return the bytes of all files of a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def formats(kind: str, shape: tuple[int, ...], n: int, repeats: int, root: Path) -> list[dict[str, Any]]:
    """Return one row per format: images/s written with one and two jobs and read, and sizes."""
    bank, names = bank_of(root / "bank", shape, n), [f for f, kinds in FORMATS.items() if "image" in kinds]
    times: dict[str, dict[str, list[float]]] = {name: {"1": [], "2": [], "read": []} for name in names}
    sizes = {}
    bank.export(root / "warm", format="npz", jobs=2)  # the processes start
    for _ in range(repeats):
        for name in names:
            for jobs in (1, 2):
                out = root / f"{name}-{jobs}"
                took = seconds(lambda name=name, jobs=jobs, out=out: bank.export(out, format=name, jobs=jobs))
                times[name][str(jobs)].append(took)
            times[name]["read"].append(seconds(lambda out=out: ganaug.SampleBank.from_files(out)))
            sizes[name] = size(out)
            for jobs in (1, 2):
                shutil.rmtree(root / f"{name}-{jobs}")
    rate = {name: {k: n / statistics.median(t) for k, t in of.items()} for name, of in times.items()}
    return [
        {
            "images": kind,
            "format": name,
            "written/s": f"{rate[name]['1']:,.0f}",
            "written/s, 2 jobs": f"{rate[name]['2']:,.0f}",
            "read/s": f"{rate[name]['read']:,.0f}",
            "MB per 1,000": f"{sizes[name] / n / 1e3:.2f}",
        }
        for name in names
    ]


def same_files(one: Path, two: Path) -> bool:
    """Return whether two folders hold the same files."""
    first, second = (
        {f.relative_to(root): f.read_bytes() for f in root.rglob("*") if f.is_file()} for root in (one, two)
    )
    return first == second


def generating(n: int, repeats: int, root: Path) -> list[dict[str, Any]]:
    """Return one row per format: images/s drawn and written, with one and two jobs."""
    X = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3)).astype(np.uint8)
    gan = ganaug.ConditionalGAN(train_images=64, random_state=0).fit(X, np.arange(40) % 2)
    rows = []
    for name in ("bank", "imagefolder", "webdataset"):
        times: dict[int, list[float]] = {1: [], 2: []}
        for _ in range(repeats):
            for jobs, found in times.items():
                samples = DrawnSamples(gan, [(0, n // 2), (1, n // 2)], seed=0, shard_rows=max(256, n // 8))
                folder = ShardFolder(root / f"{name}-{jobs}", samples, name)
                found.append(seconds(lambda folder=folder, jobs=jobs: folder.write(jobs=jobs)))
            same = same_files(root / f"{name}-1", root / f"{name}-2")
            for jobs in times:
                shutil.rmtree(root / f"{name}-{jobs}")
        one, two = (statistics.median(t) for t in times.values())
        rows.append(
            {
                "format": name,
                "1 job, images/s": f"{n / one:,.0f}",
                "2 jobs, images/s": f"{n / two:,.0f}",
                "ratio": f"{one / two:.2f}",
                "same bytes": same,
            }
        )
    return rows


def main(n: int, drawn: int, repeats: int) -> None:
    """Measure all formats, keep the figures, and print the tables."""
    rows: list[dict[str, Any]] = []
    for kind, shape in KINDS.items():
        with tempfile.TemporaryDirectory() as folder:
            rows += formats(kind, shape, n, repeats, Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        made = generating(drawn, repeats, Path(folder))
    keep("exporters", {"n": n, "drawn": drawn, "repeats": repeats, "rows": rows, "generating": made})
    for table in (rows, made):
        print(markdown(pd.DataFrame(table).set_index(next(iter(table[0])))), end="\n\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=50_000, help="images written and read")
    parser.add_argument("--drawn", type=int, default=32_768, help="images drawn")
    parser.add_argument("--repeats", type=int, default=5)
    main(**vars(parser.parse_args()))
