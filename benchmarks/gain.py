"""What can a generator add to the strongest controls? Levers by cells, as gain.toml describes them.

Every cell (arm, seed) is kept as soon as it is done, in results/gain/, and not run again; generators are kept
in a folder of your choice, so that arms can be added later. The tables are written from what is kept.
    GANAUG_DATA=... python benchmarks/gain.py --minutes 60 [--cells "mnist 10" ...] [--arms ...] [--seeds 5]
    python benchmarks/gain.py --minutes 0                # sums up what is kept
"""

import argparse
import hashlib
import json
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from common import RESULTS, data_file, keep, markdown
from gain_arms import CLASSIFIERS, LEVERS
from imblearn.metrics import geometric_mean_score
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import ganaug
from ganaug.experiment.arms import ARMS, Arm
from ganaug.experiment.cells import Cell, FailedCell
from ganaug.experiment.comparison import Comparison
from ganaug.experiment.held_out import Tried
from ganaug.experiment.jobs import Trained
from ganaug.experiment.plan import Plan
from ganaug.experiment.schedule import run_cells
from ganaug.experiment.setup import Setup, set_up

PROTOCOL = tomllib.loads((Path(__file__).parent / "gain.toml").read_text(encoding="utf-8"))
FOLDER = RESULTS / "gain"
SMALLEST = 3
KNOWN = {**ARMS, **LEVERS}


# --- cells ------------------------------------------------------------------------------------------


def settings_of(cell: str) -> dict[str, Any]:
    """Return what the protocol says of a cell, and of its group."""
    own = PROTOCOL["cells"][cell]
    return {**PROTOCOL["groups"][own["group"]], **own}


def arms_of(cell: str, *others: str) -> dict[str, Arm]:
    """Return the arms of a cell by name."""
    names = [*PROTOCOL["arms"][PROTOCOL["cells"][cell]["group"]], *others]
    return {name: KNOWN[name] for name in dict.fromkeys(names)}


@cache
def data(name: str) -> tuple[Any, Any, Any, Any]:
    """Return training samples and labels, and those to test on."""
    if name in ("mnist", "cifar10"):
        file = {"mnist": "mnist.npz", "cifar10": "cifar10_subset.npz"}[name]
        with np.load(data_file(file)) as arrays:
            return tuple(arrays[k] for k in ("x_train", "y_train", "x_test", "y_test"))
    if name == "digits":
        X, y = load_digits(return_X_y=True)
        parts = train_test_split(X.reshape(-1, 8, 8), y, test_size=0.5, stratify=y, random_state=0)
    else:
        X = pd.read_csv(data_file(f"tables/{name}.csv"))
        y = X.pop("target").to_numpy()
        parts = train_test_split(X, y, test_size=0.4, stratify=y, random_state=0)
        parts[:2] = [part.reset_index(drop=True) for part in parts[:2]]
    X, X_test, y, y_test = parts
    return X, y, X_test, y_test


def labelled_of(settings: dict[str, Any], y: Any) -> Any:
    """Return the numbers of labelled samples by class."""
    if "rows" in settings:
        return None
    if "sizes" in settings:
        return dict(enumerate(settings["sizes"]))
    if "positives" in settings:
        labels, counts = np.unique(y, return_counts=True)
        rare, common = (labels.tolist()[i] for i in (counts.argmin(), counts.argmax()))
        n = round(settings["samples"] * settings["positives"] / 100)
        return {rare: n, common: settings["samples"] - n}
    return settings["labelled"]


def set_up_cell(cell: str, arms: dict[str, Arm]) -> Setup:
    """Return the comparison of a cell, with all seeds of the protocol."""
    settings = settings_of(cell)
    X, y, X_test, y_test = data(settings["data"])
    if settings.get("search"):  # on the training samples alone, and other seeds
        n_test = min(3000, len(y) // 2)
        X, X_test, y, y_test = train_test_split(X, y, test_size=n_test, stratify=y, random_state=1)
    pool = settings.get("pool")
    labelled = labelled_of(settings, y)
    return set_up(
        X,
        y,
        classifier=CLASSIFIERS.get(settings["classifier"], settings["classifier"]),
        arms=arms,
        primary=settings["primary"],
        seeds=settings["seeds"],
        metric=settings["metric"],
        rope=0.5,
        fill=pool / labelled if pool and isinstance(labelled, int) else settings.get("fill", "balance"),
        labelled_per_class=labelled,
        test=(X_test, y_test),
        test_size=0.25,
        folds=None,
        train_size=settings.get("rows"),
        groups=None,
        unlabelled=settings.get("unlabelled"),
        steps=settings.get("steps", 400),
        batch_size=settings.get("batch_size", 64),
        classic=None,
        names=None,
        preset="default",
        config=ganaug.GANConfig(snapshot="both", width=settings.get("width")),
        train_images=settings.get("train_images"),
        device="cpu",
        random_state=1 if settings.get("search") else 0,
    )


# --- what is kept -----------------------------------------------------------------------------------


def path_of(cell: str) -> Path:
    """Return the file of a cell."""
    return FOLDER / f"{cell.replace(' ', '-').replace('%', 'percent')}.npz"


def fingerprint(cell: str, arm: Arm) -> str:
    """Return what tells the settings of a cell and an arm from others; how many seeds there are is one."""
    settings = {k: v for k, v in settings_of(cell).items() if k not in ("primary", "group")}
    known = json.dumps([settings, arm.to_dict()], sort_keys=True, default=str)
    return hashlib.sha256(known.encode()).hexdigest()[:12]


def kept_cells(cell: str) -> list[Cell]:
    """Return what is kept of a cell under the settings and arms of today."""
    if not path_of(cell).exists():
        return []
    found = []
    with np.load(path_of(cell)) as arrays:
        for plain in json.loads(str(arrays["about"])):
            arm = KNOWN.get(plain["arm"])
            if arm is None or plain.pop("fingerprint", "") != fingerprint(cell, arm):
                continue
            plain["tried"] = tuple(Tried(*each) for each in plain["tried"])
            y_pred = arrays[f"{plain['arm']}/{plain['seed']}"].astype(np.int64)
            y_true = arrays["y_true"].astype(np.int64)
            found.append(Cell(**plain, y_true=y_true, y_pred=y_pred, y_score=None))
    return found


def keep_cells(cell: str, cells: list[Cell]) -> None:
    """Write all cells of one cell of the protocol."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    arrays = {f"{c.arm}/{c.seed}": c.y_pred.astype(np.uint8) for c in cells}
    about = [
        {
            "arm": c.arm,
            "seed": c.seed,
            "fingerprint": fingerprint(cell, KNOWN[c.arm]),
            "n_train": c.n_train,
            "n_extra": c.n_extra,
            "fit_seconds": round(c.fit_seconds, 2),
            "gan_seconds": round(c.gan_seconds, 2),
            "tried": [list(each) for each in c.tried],
        }
        for c in cells
    ]
    y_true = cells[0].y_true.astype(np.uint8)
    temporary = path_of(cell).with_suffix(".part.npz")
    np.savez_compressed(temporary, y_true=y_true, about=json.dumps(about), **arrays)
    temporary.replace(path_of(cell))


@dataclass(frozen=True)
class Generators:
    """Generators of the seeds of a cell, on disk, as `run_cells` asks for them."""

    path: Path
    plan: Plan

    def generator(self, seed: int) -> Trained | None:
        """Return the generator of a seed, if it is there."""
        folder = self.path / str(seed)
        if not (folder / "generator.safetensors").exists():
            return None
        seconds = json.loads((folder / "seconds.json").read_text())
        return Trained(seed, ganaug.load(folder), seconds)

    def write_generator(self, trained: Trained) -> None:
        """Keep the generator of a seed."""
        if trained.gan is not None:
            trained.gan.save(self.path / str(trained.seed))
            (self.path / str(trained.seed) / "seconds.json").write_text(json.dumps(trained.seconds))

    def write(self, cell: Cell) -> None:
        """Leave cells to the caller."""


def run_cell_of_protocol(
    cell: str, *, folder: Path, arms: dict[str, Arm], seeds: int, jobs: int, end: float
) -> Iterator[Cell | FailedCell]:
    """Yield what is missing of a cell, seed by seed, until the time is over; it is kept before."""
    setup = set_up_cell(cell, arms)
    known = json.dumps([setup.settings["gan"], setup.identity["rows of the splits"]], sort_keys=True)
    digest = hashlib.sha256(known.encode()).hexdigest()[:8]
    generators = Generators(folder / f"{cell.replace(' ', '-')}-{digest}", setup.plan)
    kept = kept_cells(cell)
    done = {(c.arm, c.seed) for c in kept}
    for first in range(0, min(seeds, setup.seeds), jobs):
        if time.monotonic() > end:
            return
        others = {(arm, s) for arm in setup.plan.arms for s in range(first)}
        last = min(first + jobs, seeds, setup.seeds)
        for found in run_cells(
            setup.plan,
            setup.part,
            last,
            done=done | others,
            folder=generators,  # type: ignore[arg-type]
            n_jobs=jobs,
        ):
            if isinstance(found, Cell):
                kept.append(found)
                keep_cells(cell, kept)
            yield found


# --- what it says -----------------------------------------------------------------------------------


def comparison_of(cell: str) -> Comparison | None:
    """Return the comparison of the arms of a cell over the seeds that all of them have."""
    cells = kept_cells(cell)
    settings = settings_of(cell)
    seeds: dict[str, set[int]] = {}
    for c in cells:
        seeds.setdefault(c.arm, set()).add(c.seed)
    wanted = PROTOCOL["arms"][settings["group"]]
    common = set.intersection(*(seeds.get(name, set()) for name in wanted))
    if len(common) < 3:  # an arm that fails, or was not run, leaves nothing to say
        return None
    arms = {name: KNOWN[name] for name in {**dict.fromkeys(wanted), **seeds} if common <= seeds[name]}
    names = list(arms)
    setup = set_up_cell(cell, arms)
    return Comparison(
        cells=tuple(c for c in cells if c.arm in names and c.seed in common),
        roles={name: arms[name].role for name in names},
        primary=settings["primary"],
        metric=settings["metric"],
        overlap=setup.splits.overlap,
        given_test=True,
        twins={k: v for k, v in setup.twins.items() if k in names},
        class_names=setup.schema.names,
        settings={"seeds": len(common)},
        wall_seconds=0.0,
    )


def of_smallest(result: Comparison, smallest: list[int]) -> Comparison:
    """Return the comparison on the test samples of some classes alone."""
    cells = []
    for c in result.cells:
        rows = np.isin(c.y_true, smallest)
        cells.append(replace(c, y_true=c.y_true[rows], y_pred=c.y_pred[rows]))
    return replace(result, cells=tuple(cells))


def triple(gain: Any) -> list[float]:
    """Return a gain as mean and interval."""
    return [round(float(v), 2) for v in (gain.mean, gain.low, gain.high)]


def summed_up(cell: str) -> dict[str, Any] | None:
    """Return scores and gains of a cell."""
    result = comparison_of(cell)
    if result is None:
        return None
    found: dict[str, Any] = {
        "seeds": result.settings["seeds"],
        "of": settings_of(cell)["seeds"],
        "n_train": result.cells[0].n_train,
        "n_test": len(result.cells[0].y_true),
        "primary": result.primary,
        "best control": result.best_control,
        "gain": triple(result.gain),
        "verdict": result.verdict,
        "twin": result.twins[result.primary],
        "over twin": triple(result.gain_over(result.primary, result.twins[result.primary])),
        "arms": {},
    }
    smallest = None
    sizes = settings_of(cell).get("sizes")
    if sizes:
        smallest = of_smallest(result, np.argsort(sizes)[:SMALLEST].tolist())
        found["gain of smallest"] = triple(smallest.gain)
    for name, role in result.roles.items():
        cells = result.cells_of(name)
        row: dict[str, Any] = {
            "role": role,
            "score": round(100 * float(result.scores(name).mean()), 2),
            "sd": round(100 * float(result.scores(name).std(ddof=1)), 2),
            "macro f1": round(100 * float(result.scores(name, "macro_f1").mean()), 2),
            "seconds": round(float(np.median([c.fit_seconds for c in cells])), 1),
        }
        if role == "treatment":
            row["over best control"] = triple(result.gain_over_best(name))
            row["over twin"] = triple(result.gain_over(name, result.twins[name]))
        if smallest is not None:
            row["smallest"] = round(100 * float(smallest.scores(name).mean()), 2)
            row["geometric mean"] = round(
                100 * float(np.mean([geometric_mean_score(c.y_true, c.y_pred) for c in cells])), 2
            )
            if role == "treatment":
                row["smallest over best control"] = triple(smallest.gain_over_best(name))
        found["arms"][name] = row
    return found


def main(
    cells: list[str] | None, arms: list[str] | None, seeds: int, minutes: float, jobs: int, folder: Path
) -> None:
    """Run what is missing within the time, keep it, sum up and print."""
    end = time.monotonic() + 60 * minutes
    for cell in (cells or PROTOCOL["cells"]) if minutes else ():
        chosen = arms_of(cell)
        if arms:
            named = arms_of(cell, *arms)
            wanted = {*arms, settings_of(cell)["primary"]}
            chosen = {k: a for k, a in named.items() if k in wanted or a.role == "control"}
        start = time.monotonic()
        for found in run_cell_of_protocol(cell, folder=folder, arms=chosen, seeds=seeds, jobs=jobs, end=end):
            if isinstance(found, FailedCell):
                print(cell, found.arm, found.seed, found.error, flush=True)
            else:
                score = 100 * found.score(settings_of(cell)["metric"])
                spent = f"{found.fit_seconds:.0f} + {found.gan_seconds:.0f} s"
                print(f"{cell:20s} {found.arm:40s} {found.seed} {score:6.2f}  {spent}", flush=True)
        print(f"{cell}: {time.monotonic() - start:.0f} s", flush=True)
    found = {cell: summary for cell in PROTOCOL["cells"] if (summary := summed_up(cell))}
    groups = {cell: PROTOCOL["cells"][cell]["group"] for cell in PROTOCOL["cells"]}
    missing = [c for c in PROTOCOL["cells"] if c not in found and not settings_of(c).get("search")]
    keep("gain", {"cells": found, "missing": missing, "groups": groups})
    for cell, summary in found.items():
        rows = pd.DataFrame(summary["arms"]).T
        rows.index.name = cell
        print(markdown(rows.reset_index()))
        print({k: v for k, v in summary.items() if k != "arms"})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", nargs="+", choices=list(PROTOCOL["cells"]))
    parser.add_argument("--arms", nargs="+", help="more arms than the protocol has, beside all controls")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=Path("gain-generators"), help="for the generators")
    main(**vars(parser.parse_args()))
