"""How much memory does a bank of 1,000,000 samples take? Resident memory while an epoch is read at random.

The bank (32 x 32 x 3, uint8, 3.07 GB in files of 256 MB) holds random bytes. A process of its own per number
of workers reads 20,000 times from 64 samples, then an epoch of the bank in random order. What it has at most
beyond what it had before is kept: memory of its own, and pages of mapped files. With workers it is the sum
over all processes; a page of the parent that workers share counts once (PSS), one of a file each time.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import torch
from common import keep, markdown
from torch.utils.data import DataLoader, Dataset

import ganaug

SIDE = 32
EVERY = 50


class Pairs(Dataset[Any]):
    """A list of items."""

    def __init__(self, items: list[Any]):
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        return self.items[index]


def make_bank(folder: Path, n: int) -> None:
    """Write a bank of n samples of two classes."""
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (64, SIDE, SIDE, 3), dtype=np.uint8)
    config = ganaug.GANConfig(width=4, train_images=64)
    gan = ganaug.ConditionalGAN(config=config, random_state=0).fit(X, np.arange(64) % 2)
    raw = folder.with_suffix(".npy")
    samples = np.lib.format.open_memmap(raw, "w+", np.uint8, (n, SIDE, SIDE, 3))
    for start in range(0, n, 1000):
        part = samples[start : start + 1000]
        part[:] = rng.integers(0, 256, part.shape, dtype=np.uint8)
    ganaug.SampleBank(samples, np.arange(n) % 2, gan.schema_).save(folder)
    raw.unlink()


def megabytes() -> dict[str, float]:
    """Return the memory of this process and its children: their own, and pages of files."""
    found = {"own": 0.0, "files": 0.0}
    for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
        lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()[1:]
        kib = {line.split(":")[0]: int(line.split()[1]) for line in lines}
        found["own"] += (kib["Pss_Anon"] + kib["Pss_Shmem"]) / 1024
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8").splitlines()
        found["files"] += next(int(line.split()[1]) for line in status if line.startswith("RssFile")) / 1024
    return found


def most(loader: DataLoader[Any]) -> tuple[dict[str, float], float]:
    """Read an epoch; return the most memory that was seen, and samples per second."""
    peak, n, measured, begun = megabytes(), 0, 0.0, time.perf_counter()
    for number, (x, *_) in enumerate(loader):
        n += len(x)
        if number % EVERY == 0:
            start = time.perf_counter()
            peak = {k: max(v, peak[k]) for k, v in megabytes().items()}
            measured += time.perf_counter() - start
    return peak, n / (time.perf_counter() - begun - measured)


def read(folder: str, workers: int) -> dict[str, Any]:
    """Return what reading an epoch of the bank adds to the memory of a process."""
    options: dict[str, Any] = {"batch_size": 256, "num_workers": workers}
    X = torch.zeros(64, SIDE, SIDE, 3, dtype=torch.uint8)
    y = torch.arange(64) % 2
    ganaug.AugmentedDataset, ganaug.SampleBank  # noqa: B018 - imports them
    import imblearn  # noqa: F401 - likewise

    real = Pairs([(x.numpy(), int(label)) for x, label in zip(X, y, strict=True)])
    before, _ = most(DataLoader(real, sampler=torch.randint(64, (20_000,)).tolist(), **options))
    bank = ganaug.SampleBank.open(folder, verify=False)
    data = ganaug.AugmentedDataset(real, bank, fill=dict.fromkeys((0, 1), 32 + len(bank) // 2))
    shuffled = torch.randperm(len(data), generator=torch.Generator().manual_seed(0)).tolist()
    peak, rate = most(DataLoader(data, sampler=shuffled, **options))
    return {
        "workers": workers,
        "samples": len(data),
        "own MB": peak["own"] - before["own"],
        "MB of mapped files": peak["files"] - before["files"],
        "samples/s": rate,
    }


def main(n: int, folder: str | None) -> None:
    """Write the bank, read it with 0 and 2 workers, keep the figures, and print the table."""
    rows = []
    with tempfile.TemporaryDirectory(dir=folder) as made:
        make_bank(Path(made) / "bank", n)
        for workers in (0, 2):
            command = [sys.executable, __file__, "--read", f"{made}/bank", "--workers", str(workers)]
            rows.append(json.loads(subprocess.check_output(command, text=True)))
    keep("bank_memory", {"n_samples": n, "bank_gigabytes": n * SIDE * SIDE * 3 / 1e9, "rows": rows})
    print(markdown(pd.DataFrame(rows).set_index("workers"), decimals=0))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=1_000_000)
    parser.add_argument("--folder", help="where the bank is written for the time of the run")
    parser.add_argument("--read", help=argparse.SUPPRESS)
    parser.add_argument("--workers", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read:
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        print(json.dumps(read(options.read, options.workers)))
    else:
        main(options.n, options.folder)
