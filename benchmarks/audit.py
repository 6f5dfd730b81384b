"""Tell copies, collapse and noise from sound samples by the audit; how few copies does it find.

Digits, and MNIST from the folder that GANAUG_DATA names.
    python benchmarks/audit.py             # about 25 minutes on 2 quiet cores
"""

import argparse
import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from common import data_file, keep, markdown

import ganaug
from ganaug._random import numpy_stream
from ganaug.auditing.novelty_table import ALL, ALPHA, novelty_table
from ganaug.data.schema import Schema
from ganaug.data.sources import open_data
from ganaug.evaluation.neighbours import neighbours
from ganaug.experiment.specimens import features_of

PARTS = {"digits": (80, 40, 50), "mnist": (500, 100, 200)}  # per class: training, held out, new
NOISES = (0.05, 0.1, 0.2)  # standard deviation, of a range of 1
SHARES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.5)

Part = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]


def parts(name: str, seed: int) -> list[Part]:
    """Return three parts of a data set with the same number of samples of each class."""
    if name == "digits":
        source = open_data("digits")
        X, y = source.X * 15, np.asarray(source.y)
    else:
        with np.load(data_file("mnist.npz")) as data:
            X, y = data["x_train"], data["y_train"]
    order = numpy_stream(seed, "parts").permutation(len(y))
    sizes = np.cumsum((0, *PARTS[name]))
    rows = [order[y[order] == k] for k in range(10)]
    of = [np.concatenate([r[low:high] for r in rows]) for low, high in pairwise(sizes)]
    return [(X[part], y[part]) for part in of]


def noisy(X: np.ndarray[Any, Any], amount: float, seed: int) -> np.ndarray[Any, Any]:
    """Return images with Gaussian noise on each pixel."""
    noise = 255 * amount * numpy_stream(seed, "noise").normal(size=X.shape)
    return (X + noise).clip(0, 255).round().astype(np.uint8)


def some(part: Part, n: int) -> Part:
    """Return the first n samples of each class."""
    X, y = part
    rows = np.concatenate([np.flatnonzero(y == k)[:n] for k in range(10)])
    return X[rows], y[rows]


def sources(name: str, train: Part, new: Part, budgets: list[int]) -> Iterator[tuple[str, Any]]:
    """Yield what is audited: samples whose verdict is known, and real generators."""
    X, y = some(train, PARTS[name][2])
    yield "real samples, held out", new
    yield "copies", (X, y)
    for amount in NOISES:
        yield f"copies + noise {amount:g}", (noisy(X, amount, 0), y)
    yield "copies, shifted a pixel", (np.roll(X, 1, axis=2), y)
    yield "copies, mirrored", (X[:, :, ::-1], y)
    half = new[0].copy()
    half[::2] = X[::2]
    yield "half copies", (half, y)
    for what, of in (("its mean", lambda a: a.mean(0)), ("one new sample", lambda a: a[0])):
        collapsed = new[0].copy()
        collapsed[new[1] == 3] = of(new[0][new[1] == 3])
        yield f"3 is {what}", (collapsed, new[1])
    yield "3 and 5 swapped", (new[0], np.where(new[1] == 3, 5, np.where(new[1] == 5, 3, new[1])))
    yield "noise", (numpy_stream(0, "noise").integers(0, 256, new[0].shape).astype(np.uint8), new[1])
    for budget in budgets:
        gan = ganaug.ConditionalGAN(train_images=budget, device="cpu", random_state=0).fit(*train)
        yield f"gan, {budget:,} images", gan


def case(name: str, budgets: list[int]) -> list[dict[str, Any]]:
    """Return a row per source."""
    train, held, new = parts(name, 0)
    schema, rows = Schema.fit(*train), []
    for what, source in sources(name, train, new, budgets):
        if isinstance(source, tuple):
            source = ganaug.SampleBank(source[0], schema.encode_y(source[1]).numpy(), schema)
        begin = time.perf_counter()
        result = ganaug.audit(source, *train, holdout=held, samples=PARTS[name][2], random_state=0)
        seconds = time.perf_counter() - begin
        classes, means, new_ones = result.table.drop(ALL), result.table.loc[ALL], result.novelty.loc[ALL]
        found = classes["verdict"].value_counts()
        rows.append(
            {
                "data": name,
                "generated samples": what,
                "verdict": result.verdict,
                "classes": ", ".join(f"{n} {word}" for word, n in found.items()),
                **{m: float(means[f"{m}/random"]) for m in ("precision", "recall")},
                **{m: float(means[m]) for m in ("recognised", "accuracy")},
                **{m: float(new_ones[m]) for m in ("near_duplicates", "authenticity", "copied", "C_T")},
                "seconds": round(seconds),
            }
        )
        print(*list(rows[-1].values())[:4], flush=True)
    return rows


def power(name: str, repeats: int) -> list[dict[str, Any]]:
    """Return how often so few copies are called so: of all classes together, and of single classes."""
    rows = []
    names = [str(k) for k in range(10)]
    for what, amount in (("exact", 0.0), ("noise 0.1", 0.1)):
        for share in SHARES if amount == 0 else SHARES[1:]:
            overall, single = [], []
            for seed in range(repeats):
                train, held, new = parts(name, seed)
                schema, n = Schema.fit(*train), PARTS[name][2]
                X, y = some(train, n)
                copied = numpy_stream(seed, "copied").permutation(n)[: round(share * n)]
                fake = new[0].copy()
                for k in range(10):
                    fake[np.flatnonzero(y == k)[copied]] = noisy(X[y == k][copied], amount, seed)
                features = [features_of(schema, part) for part in (train[0], fake, held[0])]
                labels = (train[1], y, held[1])
                of = [[f[c == k] for f, c in zip(features, labels, strict=True)] for k in range(10)]
                table = novelty_table([neighbours(*part) for part in of], names, seed=seed)
                called = table["p_holm"] < ALPHA
                overall.append(called.any())
                single.append(called.drop(ALL).mean())
            rows.append(
                {
                    "data": name,
                    "copies": what if share else "none",
                    "percent of samples": f"{100 * share:g}",
                    "called copies": f"{100 * np.mean(overall):.0f}",
                    "of single classes": f"{100 * np.mean(single):.0f}",
                    "repeats": repeats,
                }
            )
            print(*rows[-1].values(), flush=True)
    return rows


def main(data: list[str], budgets: list[int], repeats: int) -> None:
    """Run both parts, keep them, and print their tables."""
    result: dict[str, Any] = {
        "rows": [row for name in data for row in case(name, budgets)],
        "power": [row for name in data for row in power(name, repeats)],
        "parts": {name: PARTS[name] for name in data},
    }
    keep("audit", result)
    for rows in (result["rows"], result["power"]):
        print(markdown(pd.DataFrame(rows).set_index("data")))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", nargs="+", default=["digits", "mnist"], choices=list(PARTS))
    parser.add_argument("--budgets", nargs="*", type=int, default=[30_000, 150_000])
    parser.add_argument("--repeats", type=int, default=40)
    main(**vars(parser.parse_args()))
