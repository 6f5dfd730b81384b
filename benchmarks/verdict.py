"""Is the verdict right? Simulated comparisons of classifiers whose true gain is known.

python benchmarks/verdict.py               # about 6 minutes on one core

Tables: the interval over one control and over the best of six; the interval on small given test sets; the
power that is stated and found; ways to set a treatment against the best of several controls, and their mean;
verdicts of several treatments at once.
"""

import argparse
from collections.abc import Callable
from typing import Any

import joblib
import numpy as np
import pandas as pd
from common import keep, markdown
from simulated import Judge, Sizes, simulated

from ganaug.experiment.bootstrap import resample_counts
from ganaug.experiment.power import power, power_of
from ganaug.experiment.statistics import (
    Estimate,
    Gain,
    against_best_control,
    gain_over_all,
    holm,
)

SHIFT, WORSE, CLOSE, BETTER = 0.8, -0.2, -0.05, 0.3
TREATMENTS, EQUAL = range(4), range(4, 10)
SHIFTS = np.array([SHIFT] * 10 + [SHIFT + WORSE] * 5 + [SHIFT + CLOSE] * 5 + [SHIFT + BETTER])
FIELDS = {"equal": list(EQUAL), "close": [4, *range(15, 20)], "unequal": [4, *range(10, 15)]}
"""Six controls each, the first as good as the treatment; the others equal, about 1 point worse, about 5."""
BEST = 20
LINES = [
    *((kind, s) for kind in ("own samples", "given test", "random splits") for s in (3, 5, 10)),
    *(("given test, one pool", s) for s in (3, 5, 10)),
    *(("folds", s) for s in (5, 10)),
]
SMALL = [(n, s) for n in (4, 8, 20) for s in (3, 5, 10)]
"""Test samples of each class, seeds."""
CHOSEN = ("own samples", "given test")
GAINS = (5.0, 10.0, 20.0)
ASKED = 300
"""Simulated comparisons of which the power is asked."""


def main(repeats: int, jobs: int) -> None:
    """Simulate every line, keep the tables, and print them."""
    parallel = joblib.Parallel(n_jobs=jobs, return_as="generator")
    tables: dict[str, list[dict[str, Any]]] = {}
    for found in parallel(joblib.delayed(line_of)(*line, repeats) for line in LINES):
        for name, rows in found.items():
            tables.setdefault(name, []).extend(rows)
    tables["small"] = list(parallel(joblib.delayed(small_row)(*line, repeats // 2) for line in SMALL))
    keep("verdict", {"repeats": repeats, "seed": 0, **tables})
    for name, rows in tables.items():
        print(f"\n{name}\n\n{markdown(pd.DataFrame(rows).set_index('samples'), decimals=1)}", flush=True)


def line_of(kind: str, seeds: int, repeats: int) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of one way to sample, by table."""
    counts = resample_counts(np.repeat([0, 1], 100), within_classes=True)
    streams = np.random.default_rng([LINES.index((kind, seeds)), 0]).spawn(repeats)
    judges = (Judge(simulated(kind, seeds, SHIFTS, stream), counts) for stream in streams)
    found = [one(judge, kind) for judge in judges]
    where = {"samples": kind, "seeds": seeds}
    tables = {
        "intervals": [where | interval_row(found, kind)],
        "power": [where | row for row in power_rows(found)],
    }
    if kind in CHOSEN:
        if seeds == 5:
            tables["choice"] = [where | row for row in choice_rows(found)]
        tables["mean"] = [where | row for row in mean_rows(found)]
    if kind in (*CHOSEN, "random splits"):
        tables["treatments"] = [where | row for row in treatment_rows(found)]
    return tables


def small_row(n_test: int, seeds: int, repeats: int) -> dict[str, Any]:
    """Return coverage and width on a small given test set, of four pairs of arms in each comparison."""
    counts = resample_counts(np.repeat([0, 1], n_test), within_classes=True)
    streams = np.random.default_rng([n_test, seeds, 1]).spawn(repeats)
    worlds = (simulated("given test", seeds, SHIFTS[:8], r, sizes=Sizes(test=n_test)) for r in streams)
    gains = [
        judge.estimate(a, a + 4).gain() for judge in (Judge(w, counts) for w in worlds) for a in TREATMENTS
    ]
    return {
        "samples": f"given test, {n_test} a class",
        "seeds": seeds,
        "covered": covered(gains, np.zeros(len(gains))),
        "width": float(np.median([g.high - g.low for g in gains])),
    }


def one(judge: Judge, kind: str) -> dict[str, Any]:
    """Return what one comparison says."""
    pairs = [judge.estimate(a, a + 4) for a in TREATMENTS]
    found: dict[str, Any] = {
        "pairs": pairs,
        "gains": [e.gain() for e in pairs],
        "truth": judge.world.truth,
        "better": judge.estimate(BEST, 4).gain(),
        "six": {field: over_best(judge, 0, controls) for field, controls in FIELDS.items()},
        "treatments": {n: [over_best(judge, arm, list(EQUAL)[:n]) for arm in TREATMENTS] for n in (1, 2, 6)},
    }
    if kind in CHOSEN:
        found["rules"] = {
            (n, field): {
                name: {arm: way(judge, arm, controls[:n]) for arm in (0, BEST)} for name, way in WAYS.items()
            }
            for field, controls in FIELDS.items()
            for n in (2, 6)
        }
    return found


def chosen(judge: Judge, arm: int, controls: list[int]) -> tuple[float, list[int]]:
    """Return the mean gain over the control chosen on the other seeds, and the control of each seed."""
    differences, names = against_best_control(judge.scores[arm], {str(c): judge.scores[c] for c in controls})
    return float(differences.mean()), [int(name) for name in names]


def over_best(judge: Judge, arm: int, controls: list[int]) -> Gain:
    """Return the gain over the best control, as the package has it."""
    return gain_over_all(chosen(judge, arm, controls)[0], [judge.estimate(arm, c) for c in controls])


def over_highest_mean(judge: Judge, arm: int, controls: list[int]) -> Gain:
    """Return the t interval against the control with the best mean, chosen and judged by the same scores."""
    best = max(controls, key=lambda c: float(judge.scores[c].mean()))
    return judge.estimate(arm, best).gain()


def over_chosen(judge: Judge, arm: int, controls: list[int]) -> Gain:
    """Return the t interval of differences to the control chosen for each seed on the others."""
    return judge.estimate_over(arm, chosen(judge, arm, controls)[1]).gain()


def over_each(judge: Judge, arm: int, controls: list[int]) -> Gain:
    """Return the least ends of intervals that hold together (Bonferroni at both ends)."""
    gains = [judge.estimate(arm, c).gain(1 - 0.05 / len(controls)) for c in controls]
    return Gain(min(g.mean for g in gains), min(g.low for g in gains), min(g.high for g in gains), 1.0)


WAYS: dict[str, Callable[[Judge, int, list[int]], Gain]] = {
    "the best mean, t": over_highest_mean,
    "chosen on other seeds, t": over_chosen,
    "Bonferroni at both ends": over_each,
    "ganaug": over_best,
}


def interval_row(found: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    """Return false verdicts, coverage and width, over one control and over six."""
    truths = np.array([f["truth"] for f in found])
    truths = truths if kind.endswith("pool") else np.broadcast_to(truths.mean(0), truths.shape)
    better = [f["better"] for f in found]
    ones = [g for f in found for g in f["gains"]]
    at = (truths[:, :4] - truths[:, 4:8]).ravel()
    at_better = truths[:, BEST] - truths[:, 4]
    row = {
        "helps": percent(g.low > 0 for g in ones),
        "hurts": percent(g.high < 0 for g in ones),
        "covered": covered(ones, at),
        "covered at a gain": covered(better, at_better),
        "width": float(np.median([g.high - g.low for g in ones])),
    }
    for field in ("equal", "unequal"):
        gains = [f["six"][field] for f in found]
        best = truths[:, 0] - truths[:, FIELDS[field]].max(axis=1)
        row |= {
            f"helps, 6 {field}": percent(g.low > 0 for g in gains),
            f"hurts, 6 {field}": percent(g.high < 0 for g in gains),
            f"covered, 6 {field}": covered(gains, best),
        }
    return row


def power_rows(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return stated and found power, at gains of some points, and at the gain said to be found in 80 %."""
    lows = np.array([g.low for f in found for g in f["gains"]])
    asked: list[Estimate] = [f["pairs"][0] for f in found[:ASKED]]
    smallest = np.array([power(e).smallest_gain for e in asked])
    rows = [
        {
            "gain": f"{gain:g}",
            "stated": 100 * float(np.mean([power_of(e, gain) for e in asked])),
            "found": percent(lows > -gain),
        }
        for gain in GAINS
    ]
    others = np.sort(lows)  # of other comparisons: a gain is found where their lower end rises above 0
    share = 1 - np.searchsorted(others, -smallest, side="right") / len(others)
    return [*rows, {"gain": "smallest", "stated": 80.0, "found": 100 * float(share.mean())}]


def choice_rows(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return how ways to compare with the best control fare, where the treatment is as good as that."""
    rows = []
    for n, field in found[0]["rules"]:
        for name in WAYS:
            same, better = ([f["rules"][n, field][name][arm] for f in found] for arm in (0, BEST))
            rows.append(
                {
                    "controls": f"{n} {field}",
                    "interval": name,
                    "false helps": percent(g.low > 0 for g in same),
                    "false hurts": percent(g.high < 0 for g in same),
                    "covered": covered(same, np.zeros(len(same))),
                    "width": float(np.median([g.high - g.low for g in same])),
                    "gain found": percent(g.low > 0 for g in better),
                }
            )
    return rows


def mean_rows(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the bias of two point estimates of the gain over the best control, which is 0."""
    rows = []
    for n, field in found[0]["rules"]:
        ours, least = (
            [f["rules"][n, field][w][0] for f in found] for w in ("ganaug", "Bonferroni at both ends")
        )
        rows.append(
            {
                "controls": f"{n} {field}",
                **{
                    f"{what} of {name}": float(how([g.mean for g in gains]))
                    for name, gains in (("chosen", ours), ("least", least))
                    for what, how in (("bias", np.mean), ("error", root_mean_square))
                },
                "chosen at an end": percent(g.mean in (g.low, g.high) for g in ours),
            }
        )
    return rows


def treatment_rows(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return how often any of several treatments that are worth the same gets a verdict."""
    rows = []
    for n_controls in (1, 2, 6):
        for n in (1, 2, 4):
            gains = [f["treatments"][n_controls][:n] for f in found]
            primary = np.array([g[0].verdict != "no evidence" for g in gains])
            adjusted = np.array([holm([g.p_value for g in several]) for several in gains]) < 0.05
            rows.append(
                {
                    "controls": str(n_controls),
                    "treatments": str(n),
                    "the primary": percent(primary),
                    "any, Holm": percent(adjusted.any(axis=1)),
                    "any, as reported": percent(primary | adjusted[:, 1:].any(axis=1)),
                    "any, uncorrected": percent(
                        any(g.verdict != "no evidence" for g in several) for several in gains
                    ),
                }
            )
    return rows


def covered(gains: list[Gain], at: Any) -> float:
    """Return how often an interval holds its truth, in percent."""
    return percent(g.low <= true <= g.high for g, true in zip(gains, at, strict=True))


def percent(cases: Any) -> float:
    """Return the share of cases in percent."""
    return 100 * float(np.mean([bool(case) for case in cases]))


def root_mean_square(values: Any) -> float:
    """Return the root of the mean square."""
    return float(np.sqrt(np.mean(np.square(values))))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=2000)
    parser.add_argument("--jobs", type=int, default=1)
    main(**vars(parser.parse_args()))
