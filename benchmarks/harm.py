"""Is a class rightly called harmed? Simulated comparisons in which no class is, or one loses 10 points.

python benchmarks/harm.py               # about 4 minutes on one core

The treatment is worth the same as every control, class by class. For the power, it gets a share of the first
class wrong that it would get right. As in a comparison, the classes are looked at against the control most
often chosen as the best.
"""

import argparse
from typing import Any

import joblib
import numpy as np
import pandas as pd
from common import keep, markdown
from simulated import Sizes, World, simulated

from ganaug.experiment.recalls import harm_p_values, recall_gains
from ganaug.experiment.statistics import Gain, against_best_control, holm

SHIFTS = {2: 0.8, 10: 2.5}
LOSS = 10.0  # points
SIZES = {
    "own samples": Sizes(),
    "random splits": Sizes(),
    "given test": Sizes(test=50),
    "given test, 5 a class": Sizes(test=5),
}
LINES = [
    *((name, seeds, 2) for name in SIZES for seeds in (3, 5, 10)),
    *((name, seeds, 10) for name in ("own samples", "random splits") for seeds in (3, 5, 10)),
    *((name, 5, 10) for name in SIZES if name.startswith("given")),
]


def main(repeats: int, jobs: int) -> None:
    """Simulate every line, keep the table, and print it."""
    parallel = joblib.Parallel(n_jobs=jobs, return_as="generator")
    rows = list(parallel(joblib.delayed(line_of)(*line, repeats) for line in LINES))
    keep("harm", {"repeats": repeats, "seed": 0, "loss": LOSS, "rows": rows})
    print(markdown(pd.DataFrame(rows).set_index("samples"), decimals=1))


def line_of(name: str, seeds: int, n_classes: int, repeats: int) -> dict[str, Any]:
    """Return one row of the table, in percent of the repetitions."""
    streams = np.random.default_rng([LINES.index((name, seeds, n_classes)), 0]).spawn(repeats)
    found = pd.DataFrame([one(name, seeds, n_classes, stream) for stream in streams])
    return {"samples": name, "seeds": seeds, "classes": n_classes, **(100 * found.mean()).to_dict()}


def one(name: str, seeds: int, n_classes: int, rng: np.random.Generator) -> dict[str, float]:
    """Return what one comparison says: shares of classes, and 1 where something is said."""
    shifts = np.full(7, SHIFTS[n_classes])
    kind = "given test" if name.startswith("given") else name
    world = simulated(kind, seeds, shifts, rng, n_classes=n_classes, sizes=SIZES[name])
    hits = [world.parts[s][1][world.parts[s][0] == 0][:, 0] == 0 for s in range(seeds)]
    flip = min(1.0, LOSS / 100 / max(float(np.mean(np.concatenate(hits))), 0.01))
    gains = {n: gains_of(world, n, n_classes, np.zeros(seeds), rng) for n in (1, 6)}
    worse = {n: gains_of(world, n, n_classes, np.full(seeds, flip), rng) for n in (1, 6)}
    return {
        "false flag": float(any(harmed(gains[1], 1))),
        "false flag, best of 6": float(any(harmed(gains[6], 6))),
        "the same, uncorrected": float(any(uncorrected(gains[6]))),
        "covered": float(np.mean([g.low <= 0 <= g.high for g in gains[1]])),
        "found": float(harmed(worse[1], 1)[0]),
        "found, best of 6": float(harmed(worse[6], 6)[0]),
    }


def gains_of(
    world: World, n_controls: int, n_classes: int, flips: Any, rng: np.random.Generator
) -> list[Gain]:
    """Return the gains in recall of arm 0 over the best of some controls, some of its class 0 made wrong."""
    scores = world.scores()
    controls = {str(c): scores[c] for c in range(1, n_controls + 1)}
    _, chosen = against_best_control(scores[0], controls)
    best = int(max(dict.fromkeys(chosen), key=chosen.count))
    parts = []
    for (y, said), flip in zip(world.parts, flips, strict=True):
        wrong = (y == 0) & (rng.random(len(y)) < flip)
        parts.append((y, np.where(wrong, 1, said[:, 0]), said[:, best]))
    return recall_gains(parts, n_classes, given_test=world.given, overlap=world.overlap)


def harmed(gains: list[Gain], n_controls: int) -> list[bool]:
    """Return which classes are called harmed."""
    return [p < 0.05 for p in harm_p_values(gains, n_controls)]


def uncorrected(gains: list[Gain]) -> list[bool]:
    """Return which would be, if the choice of the control were forgotten."""
    return [g.mean < 0 and p < 0.05 for g, p in zip(gains, holm([g.p_value for g in gains]), strict=True)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=400)
    parser.add_argument("--jobs", type=int, default=1)
    main(**vars(parser.parse_args()))
