"""Is the verdict right? Simulated comparisons of classifiers whose true gain is known.

python benchmarks/verdict.py               # about 4 minutes on 2 cores

Every arm is a nearest-mean classifier that sees its own 5 columns of Gaussian data with two classes, so that
arms differ as real ones do: what one of them makes of a sample is the same in every split. Equal columns are
equally informative, and the true gain is 0; the accuracy of a trained rule is known in closed form.
"""

import argparse
from typing import Any

import joblib
import numpy as np
import pandas as pd
from common import keep, markdown
from scipy import special

from ganaug.experiment.bootstrap import resample_counts, resampled_scores
from ganaug.experiment.power import power_of
from ganaug.experiment.splits import make_splits
from ganaug.experiment.statistics import (
    against_best_control,
    crossed_estimate,
    gain_over_all,
    paired_estimate,
)

COLUMNS, N_POOL, N_TEST, N_OWN = 5, 200, 200, 40
SHIFT = 0.8
SAMPLING = {
    "own samples": {},
    "folds": {"folds": 5},
    "random splits": {"test_size": 0.25},
    "given test": {},
    "given test, one pool": {},
}
LINES = [
    *((kind, s, c) for kind in ("own samples", "given test") for s in (3, 5, 10) for c in (1, 6)),
    *(("folds", s, c) for s in (5, 10) for c in (1, 6)),
    *(("random splits", s, c) for s in (3, 5, 10) for c in (1, 6)),
    *(("given test, one pool", s, 1) for s in (3, 5, 10)),
]
EFFECTS = {"equal": 0.0, "unequal controls": 0.0, "better": 0.3}


def main(repeats: int, jobs: int) -> None:
    """Simulate every line, keep the table, and print it."""
    lines = [(*line, effect) for line in LINES for effect in effects_of(line)]
    parallel = joblib.Parallel(n_jobs=jobs, return_as="generator")
    rows = []
    for row in parallel(joblib.delayed(line_of)(*line, repeats) for line in lines):
        print(row, flush=True)
        rows.append(row)
    keep("verdict", {"repeats": repeats, "rows": rows})
    print(markdown(pd.DataFrame(rows).set_index("samples"), decimals=1))


def effects_of(line: tuple[str, int, int]) -> list[str]:
    """Return what is simulated for a line: unequal controls where there are six, a gain over one."""
    return ["equal", "unequal controls" if line[2] > 1 else "better"]


def line_of(kind: str, seeds: int, n_controls: int, effect: str, repeats: int) -> dict[str, Any]:
    """Return one row of the table, in percent of the repetitions."""
    counts = resample_counts(np.repeat([0, 1], N_TEST // 2), within_classes=True)
    found = pd.DataFrame(
        [one(kind, seeds, n_controls, effect, np.random.default_rng(r), counts) for r in range(repeats)]
    )
    truth = found["truth"] if kind.endswith("pool") else found["truth"].mean()
    best = truth if n_controls == 1 or effect != "equal" else 0.0
    covered = {
        name: 100 * float(((found[f"{name} low"] <= at) & (at <= found[f"{name} high"])).mean())
        for name, at in (("one", truth), ("best", best))
    }
    return {
        "samples": kind,
        "seeds": seeds,
        "controls": n_controls,
        "arms": effect,
        "true gain": float(found["truth"].mean()),
        "helps": 100 * float((found["best low"] > 0).mean()),
        "hurts": 100 * float((found["best high"] < 0).mean()),
        "covered over one": covered["one"],
        "covered over best": covered["best"],
        "width over one": float((found["one high"] - found["one low"]).median()),
        "width over best": float((found["best high"] - found["best low"]).median()),
        "stated power": 100 * float(found["power"].mean()) if effect == "better" else "",
    }


def one(
    kind: str, seeds: int, n_controls: int, effect: str, rng: np.random.Generator, counts: Any
) -> dict[str, float]:
    """Return the intervals of one simulated comparison, in points."""
    shifts = np.full(n_controls + 1, SHIFT)
    shifts[2:] -= 0.2 if effect == "unequal controls" else 0.0
    shifts[0] += EFFECTS[effect]
    given = kind.startswith("given")
    parts, true, overlap = [], [], 0.0
    if given:
        X_test, y_test = drawn(N_TEST, shifts, rng)
    if kind in ("own samples", "given test"):
        for _ in range(seeds):
            X, y = drawn(N_OWN, shifts, rng)
            parts.append((X, y, *((X_test, y_test) if given else drawn(N_OWN, shifts, rng))))
    elif given:
        X, y = drawn(N_POOL, shifts, rng)
        for s in range(seeds + 100):
            rows = np.concatenate([rng.choice(np.flatnonzero(y == k), N_OWN // 2, False) for k in (0, 1)])
            if s < seeds:
                parts.append((X[rows], y[rows], X_test, y_test))
            else:  # what the pool teaches on average is what the interval is about
                true.append(accuracies(X[rows], y[rows], shifts))
    else:
        X, y = drawn(N_POOL, shifts, rng)
        splits = make_splits(y, seeds=seeds, seed=int(rng.integers(2**31)), **SAMPLING[kind])
        overlap = splits.overlap
        parts = [(X[a], y[a], X[b], y[b]) for a, b in zip(splits.train, splits.test or [], strict=True)]
    said = [predictions(X, y, X_new) for X, y, X_new, _ in parts]
    scores = np.array([100 * (p == t[-1][:, None]).mean(0) for p, t in zip(said, parts, strict=True)]).T
    if given:
        resampled = 100 * np.array(
            [
                [resampled_scores("balanced_accuracy", counts, y_test, p[:, a], None) for p in said]
                for a in range(len(shifts))
            ]
        )
        estimates = [
            crossed_estimate(scores[0] - scores[a], resampled[0] - resampled[a], resolution=100 / N_TEST)
            for a in range(1, len(shifts))
        ]
    else:
        step = 100 / len(parts[0][-1])
        estimates = [
            paired_estimate(scores[0] - scores[a], overlap=overlap, resolution=step)
            for a in range(1, len(shifts))
        ]
    true = true or [accuracies(X, y, shifts) for X, y, *_ in parts]
    truth = float(100 * np.mean([t[0] - t[1] for t in true]))
    single = estimates[0].gain()
    controls = {str(a): scores[a] for a in range(1, len(shifts))}
    best = gain_over_all(float(against_best_control(scores[0], controls)[0].mean()), estimates)
    known = {"truth": truth, "power": power_of(estimates[0], truth) if effect == "better" else 0.0}
    return known | {
        f"{name} {end}": getattr(gain, end)
        for name, gain in (("one", single), ("best", best))
        for end in ("low", "high")
    }


def drawn(n: int, shifts: np.ndarray[Any, Any], rng: np.random.Generator) -> tuple[Any, Any]:
    """Return samples (n, arms, columns) of two classes in equal shares."""
    y = np.repeat([0, 1], n // 2)
    X = rng.normal(size=(n, len(shifts), COLUMNS))
    return X + y[:, None, None] * shifts[:, None] / np.sqrt(2), y


def rule(X: Any, y: Any) -> tuple[Any, Any]:
    """Return the direction (arms, columns) and the threshold (arms,) of the nearest mean."""
    low, high = X[y == 0].mean(0), X[y == 1].mean(0)
    return high - low, ((high - low) * (high + low) / 2).sum(-1)


def predictions(X: Any, y: Any, X_new: Any) -> Any:
    """Return the class that each arm says (n, arms)."""
    w, threshold = rule(X, y)
    return ((X_new * w).sum(-1) > threshold).astype(int)


def accuracies(X: Any, y: Any, shifts: Any) -> Any:
    """Return the true accuracy of each arm's rule (arms,)."""
    w, threshold = rule(X, y)
    length = np.linalg.norm(w, axis=-1)
    return (
        special.ndtr(threshold / length)
        + special.ndtr((w.sum(-1) * shifts / np.sqrt(2) - threshold) / length)
    ) / 2


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=2)
    main(**vars(parser.parse_args()))
