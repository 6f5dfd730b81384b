"""What does a comparison cost? Time and memory on digits, and what the harness adds to the bare trainings.

python benchmarks/cost.py                # about 15 minutes on 2 cores; on a machine that does nothing else

The bare program below trains the same generators and classifiers, as a user would write it down in a loop
without splits, pairs, cells, records or checks; both run on one thread, in turns.
"""

import argparse
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import psutil
import torch
import torch.nn.functional as F
from common import keep, markdown
from torch import Tensor

import ganaug
from ganaug.data.sources import open_data
from ganaug.experiment.classic import classic_transform
from ganaug.experiment.classifiers import cnn
from ganaug.experiment.forecast import forecast

ARMS = ["nothing", "class weights", "oversampling", "classic", "gan", "gan + classic"]
LABELLED, STEPS, BATCH, TARGET_SECONDS = 10, 400, 64, 120.0
OWN_IMAGES = 12_000
"""Budget of the generator where the harness is measured; a larger one would hide it."""


def main(seeds: int, turns: int, train_images: int, jobs: int) -> None:
    """Measure, keep the result, and print it."""
    rows = whole(seeds, train_images, jobs)
    print(markdown(pd.DataFrame(rows).set_index("comparison")), flush=True)
    harness = overhead(turns)
    print(markdown(pd.DataFrame(harness).set_index("program")))
    keep("cost", {"whole": rows, "overhead": harness, "turns": turns, "seeds": seeds, "jobs": jobs})


def whole(seeds: int, train_images: int, jobs: int) -> list[dict[str, Any]]:
    """Return seconds and memory of the digits comparison, and what the forecast said of it."""
    source = open_data("digits")
    settings: dict[str, Any] = {
        "arms": ARMS,
        "labelled_per_class": LABELLED,
        "seeds": seeds,
        "steps": STEPS,
        "train_images": train_images,
        "n_jobs": jobs,
    }
    said = forecast(source.X, source.y, **settings)
    rows = []
    for name in ("alone", "kept, tracked, reported"):
        with tempfile.TemporaryDirectory() as folder:
            mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
            mlflow.create_experiment("cost", artifact_location=Path(folder, "artifacts").as_uri())
            mlflow.set_experiment("cost")
            kept = {} if name == "alone" else {"out": f"{folder}/out", "tracking": "mlflow"}
            begun = time.perf_counter()
            with Peak() as peak:
                result = ganaug.compare(source.X, source.y, **settings, **kept)
                if kept:
                    result.report(f"{folder}/report.html")
            seconds = time.perf_counter() - begun
        rows.append(
            {
                "comparison": name,
                "seconds": seconds,
                "target": TARGET_SECONDS,
                "forecast": said.wall_seconds,
                "classifiers, seconds": sum(c.fit_seconds for c in result.cells),
                "generators, seconds": sum(max(c.gan_seconds for c in of(result, s)) for s in range(seeds)),
                "most memory, MB": peak.megabytes,
            }
        )
    return rows


def of(result: ganaug.Comparison, seed: int) -> list[Any]:
    """Return the cells of a seed."""
    return [c for c in result.cells if c.seed == seed]


class Peak:
    """The most memory that this process and its children had at once; pages they share count once each."""

    def __enter__(self) -> "Peak":
        self.megabytes, self._over = 0.0, threading.Event()
        self._watch = threading.Thread(target=self._look)
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._watch.join()

    def _look(self) -> None:
        me = psutil.Process()
        while not self._over.wait(0.5):
            found = 0
            for process in (me, *me.children(recursive=True)):
                try:
                    found += process.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
            self.megabytes = max(self.megabytes, found / 1e6)


def overhead(turns: int) -> list[dict[str, Any]]:
    """Return seconds of the harness and of the bare trainings, in turns, and the median ratio."""
    torch.set_num_threads(1)
    programs: dict[str, Callable[[], object]] = {"bare": bare, "compare": harness}
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    for turn in range(turns + 1):  # the first is not counted
        for name, program in programs.items():
            begun = time.perf_counter()
            program()
            seconds[name].append(time.perf_counter() - begun)
            print(turn, name, round(seconds[name][-1], 1), flush=True)
    ratios = [b / a for a, b in zip(seconds["bare"][1:], seconds["compare"][1:], strict=True)]
    return [
        {
            "program": name,
            "seconds": statistics.median(found[1:]),
            "more than bare, %": 0.0 if name == "bare" else 100 * (statistics.median(ratios) - 1),
            "least, %": 0.0 if name == "bare" else 100 * (min(ratios) - 1),
            "most, %": 0.0 if name == "bare" else 100 * (max(ratios) - 1),
        }
        for name, found in seconds.items()
    ]


def harness() -> ganaug.Comparison:
    """Run the comparison of the bare trainings."""
    source = open_data("digits")
    return ganaug.compare(
        source.X,
        source.y,
        arms=ARMS,
        labelled_per_class=LABELLED,
        seeds=3,
        steps=STEPS,
        train_images=OWN_IMAGES,
    )


def bare() -> list[float]:
    """Train three generators and eighteen classifiers, and return their accuracies."""
    source = open_data("digits")
    accuracies = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        rows = rng.permutation(len(source.y))[: len(source.y) // 3]
        train = np.concatenate([rows[source.y[rows] == k][:LABELLED] for k in range(10)])
        test = np.setdiff1d(rows, train)
        X, y = source.X[train], source.y[train]
        gan = ganaug.ConditionalGAN(train_images=OWN_IMAGES, device="cpu", random_state=seed).fit(X, y)
        X_fake, y_fake = gan.generate(dict.fromkeys(range(10), LABELLED))
        copies = rng.permutation(len(y))
        for name in ARMS:
            extra = (X_fake, y_fake) if "gan" in name else (X[copies], y[copies])
            if name in ("nothing", "class weights"):
                extra = X[:0], y[:0]
            x, c = images(np.concatenate([X, extra[0]])), np.concatenate([y, extra[1]])
            compose = classic(x) if "classic" in name else None
            accuracies.append(trained(x, torch.from_numpy(c), compose, test, source, seed))
    return accuracies


def images(X: np.ndarray[Any, Any]) -> Tensor:
    """Return pixels from 0 to 16 as a tensor (n, 1, 8, 8) in [-1, 1]."""
    return torch.from_numpy(X).float().div(8).sub(1)[:, None]


def classic(x: Tensor) -> Any:
    """Return the default augmentation of a comparison."""
    return classic_transform(x, seed=0)


def trained(x: Tensor, c: Tensor, transform: Any, test: Any, source: Any, seed: int) -> float:
    """Train the network on samples, and return its accuracy."""
    torch.manual_seed(seed)
    model = cnn((1, 8, 8), 10).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=STEPS)
    order = torch.cat([torch.randperm(len(x)) for _ in range(-(-STEPS * BATCH // len(x)))])
    for step in range(STEPS):
        rows = order[step * BATCH : (step + 1) * BATCH]
        batch = x[rows] if transform is None else transform(x[rows])
        loss = F.cross_entropy(model(batch), c[rows])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
    with torch.no_grad():
        said = model.eval()(images(source.X[test])).argmax(1).numpy()
    return float((said == source.y[test]).mean())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--train-images", type=int, default=30_000)
    parser.add_argument("--jobs", type=int, default=2)
    main(**vars(parser.parse_args()))
