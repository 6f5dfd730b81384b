"""What is a minute worth? The engine and mimicry trained for the same time, judged class by class.

Needs GANAUG_DATA with mnist.npz and cifar10_subset.npz, and `pip install --no-deps torch-mimicry`.
    python benchmarks/quality.py [--minutes 5] [--seeds 2]        # about 35 minutes on 2 cores
"""

import argparse
import time
from typing import Any

import numpy as np
import pandas as pd
import torch
from common import data_file, keep, markdown
from joblib import Parallel, delayed
from mimicry import MimicryTraining

import ganaug
from ganaug.evaluation.features import ClassifierFeatures
from ganaug.evaluation.fidelity import per_class
from ganaug.evaluation.probe import classification_accuracy_score

PER_CLASS = 200
DATA = {"mnist": "mnist.npz", "cifar10 subset": "cifar10_subset.npz"}
ARMS = ("mimicry, 1 D step", "mimicry, 5 D steps", "engine")


def images(name: str, part: str) -> tuple[np.ndarray[Any, Any], torch.Tensor]:
    """Return images of 32 px with three channels, for all alike, and classes."""
    with np.load(data_file(DATA[name])) as data:
        x, y = data[f"x_{part}"], data[f"y_{part}"]
    if x.ndim == 3:
        x = np.repeat(np.pad(x, ((0, 0), (2, 2), (2, 2)))[..., None], 3, axis=3)
    return x, torch.from_numpy(y.astype(np.int64))


def scaled(x: np.ndarray[Any, Any]) -> torch.Tensor:
    """Return images (n, 3, 32, 32) in [-1, 1]."""
    return torch.from_numpy(x).permute(0, 3, 1, 2).float() / 127.5 - 1


def with_mimicry(
    x: np.ndarray[Any, Any], c: torch.Tensor, wanted: torch.Tensor, d_steps: int, minutes: float, seed: int
) -> tuple[torch.Tensor, int]:
    """Return samples of the wanted classes after so many minutes, and the images shown to D."""
    training = MimicryTraining(
        scaled(x), c, side=32, ngf=64, ndf=32, n_classes=10, d_steps=d_steps, seed=seed
    )
    shown, end = 0, time.monotonic() + 60 * minutes
    while time.monotonic() < end:
        training.round()
        shown += training.per_round
    return training.generate(wanted), shown


def with_engine(
    x: np.ndarray[Any, Any], c: torch.Tensor, minutes: float, seed: int
) -> tuple[torch.Tensor, int]:
    """Return `PER_CLASS` samples of each class after so many minutes, and the images shown to D."""
    config = ganaug.GANConfig(train_images=10**9, max_minutes=minutes)
    gan = ganaug.ConditionalGAN(config=config, device="cpu", random_state=seed).fit(x, c.numpy())
    return scaled(gan.generate(PER_CLASS)[0]), gan.history_[-1]["images_seen"]


def measure(name: str, arm: str, minutes: float, seed: int) -> dict[str, Any]:
    """Train one arm on one thread and judge its samples against the test images."""
    torch.set_num_threads(1)
    x, c = images(name, "train")
    x_test, c_test = images(name, "test")
    wanted = torch.arange(10).repeat_interleave(PER_CLASS)
    start = time.monotonic()
    if arm == "engine":
        x_fake, shown = with_engine(x, c, minutes, seed)
    else:
        x_fake, shown = with_mimicry(x, c, wanted, 5 if "5" in arm else 1, minutes, seed)
    seconds = time.monotonic() - start
    keep_rows = np.random.default_rng(0).permutation(len(x))[:10_000]
    features = ClassifierFeatures.fit(scaled(x[keep_rows]), c[keep_rows], 10, seed=0)
    test = torch.cat([torch.nonzero(c_test == k)[:PER_CLASS, 0] for k in range(10)])
    real = scaled(x_test[test.numpy()])
    classes = per_class(features(real), c_test[test], features(x_fake), wanted, 10)
    cas = classification_accuracy_score(x_fake, wanted, real, c_test[test], 10, seed=0)
    return {
        "data": name,
        "training": arm,
        "seed": seed,
        "images shown": shown,
        "seconds": seconds,
        "accuracy": 100 * cas.overall,
        "probe accuracy": 100 * float((features.predict(real) == c_test[test]).float().mean()),
        "classes": {k: v.tolist() for k, v in classes.items()}
        | {"accuracy": [100 * float(a) for a in cas.per_class]},
    }


def summary(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one row per data set and training: means over seeds and classes."""
    rows = []
    for (name, arm), group in pd.DataFrame(results).groupby(["data", "training"], sort=False):
        classes = [pd.DataFrame(c) for c in group["classes"]]
        mean = sum(classes) / len(classes)
        rows.append(
            {
                "data": name,
                "training": arm,
                "images shown": int(group["images shown"].mean()),
                "kernel distance": round(float(mean["kernel_distance"].mean()), 3),
                "worst class": round(float(mean["kernel_distance"].max()), 3),
                "precision": round(float(mean["precision"].mean()), 3),
                "recall": round(float(mean["recall"].mean()), 3),
                "spread ratio": round(float(mean["spread_ratio"].mean()), 3),
                "accuracy score": round(float(group["accuracy"].mean()), 1),
                "by seed": ", ".join(f"{a:.1f}" for a in group["accuracy"]),
            }
        )
    return rows


def by_class(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one row per class: kernel distance and accuracy of each training, means over seeds."""
    frame = pd.DataFrame(results)
    rows = []
    for name in DATA:
        for k in range(10):
            row: dict[str, Any] = {"data": name, "class": k}
            for arm in ARMS:
                cells = frame[(frame["data"] == name) & (frame["training"] == arm)]["classes"]
                row[f"{arm}: distance"] = round(float(np.mean([c["kernel_distance"][k] for c in cells])), 3)
                row[f"{arm}: accuracy"] = round(float(np.mean([c["accuracy"][k] for c in cells])), 1)
            rows.append(row)
    return rows


def main(minutes: float, seeds: int, jobs: int) -> None:
    """Train every arm on every data set with every seed, keep and print the tables."""
    jobs_of = [(name, arm, minutes, seed) for seed in range(seeds) for name in DATA for arm in ARMS]
    start = time.monotonic()
    results = Parallel(n_jobs=jobs, verbose=10)(delayed(measure)(*job) for job in jobs_of)
    rows, classes = summary(results), by_class(results)
    keep(
        "quality",
        {
            "minutes": minutes,
            "seeds": seeds,
            "per_class": PER_CLASS,
            "rows": rows,
            "classes": classes,
            "results": results,
            "wall_seconds": round(time.monotonic() - start),
        },
    )
    for part in (rows, classes):
        print(markdown(pd.DataFrame(part).set_index("data"), decimals=3))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--jobs", type=int, default=2)
    main(**vars(parser.parse_args()))
