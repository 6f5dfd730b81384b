"""Tables: how fast against CTGAN, what do generated rows teach, do they help, are they new.

Needs GANAUG_DATA with the folder `tables`; the parts `speed` and `taught` also `pip install ctgan`.
    python benchmarks/tables.py [--parts speed taught novelty gain choice]    # about 2 hours on 2 cores
Every comparison of `gain` and `choice` is kept as soon as it is done, and not run again.
"""

import argparse
import hashlib
import json
import statistics
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from common import RESULTS, data_file, keep, markdown
from joblib import Parallel, delayed
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.metrics import average_precision_score, balanced_accuracy_score, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.neighbors import NearestNeighbors

import ganaug
from ganaug._random import derive
from ganaug.config import resolve_config
from ganaug.data.schema import Schema, take
from ganaug.experiment.arms import ARMS, DEFAULT_ARMS, Arm, TrainingPart, copies, synthetic, tuned
from ganaug.experiment.bench import Bench, Plan
from ganaug.experiment.choices import DOSES
from ganaug.experiment.classifiers import build_classifier
from ganaug.experiment.metrics import METRICS as SCORES
from ganaug.experiment.plan import resolve_fill
from ganaug.experiment.splits import make_splits
from ganaug.experiment.statistics import corrected_gain
from ganaug.training.batches import BalancedBatches
from ganaug.training.loop import train
from ganaug.training.state import new_state

FILES = ("adult", "german_credit", "mammography", "phoneme", "wine_quality_white")
TABLES = (*FILES, "breast_cancer", "wine")
CLASSIFIERS = ("logistic", "mlp", "forest", "boosting")
METRICS = ("balanced_accuracy", "macro_f1", "average_precision")
FOLDS = 5
TURNS = 3
BATCH = 500


def table(name: str) -> tuple[pd.DataFrame, pd.Series]:
    """Return rows and labels; the rarer of two labels comes second, as the positive one."""
    if name in FILES:
        X = pd.read_csv(data_file(f"tables/{name}.csv"))
        y = X.pop("target")
    else:
        X, y = (load_breast_cancer if name == "breast_cancer" else load_wine)(return_X_y=True, as_frame=True)
    if y.nunique() == 2:
        y = (y == y.value_counts().index[-1]).astype(int)
    return X, y


# --- speed -----------------------------------------------------------------------------------------


def whole_adult() -> tuple[pd.DataFrame, pd.Series]:
    """Return the rows of adult without missing cells, which CTGAN does not take in all columns."""
    X, y = table("adult")
    whole = X.notna().all(axis=1)
    return X[whole].reset_index(drop=True), y[whole].reset_index(drop=True)


def with_ctgan(X: pd.DataFrame, y: pd.Series, *, epochs: int, seed: int) -> Any:
    """Return a CTGAN trained for so many epochs, the label one of its discrete columns."""
    from ctgan import CTGAN

    frame = X.assign(target=y)
    discrete = [c for c in X if X[c].dtype.kind not in "iuf"] + ["target"]
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - the generator that CTGAN draws from
    model = CTGAN(epochs=epochs, batch_size=BATCH, enable_gpu=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(frame, discrete)
    return model


def ctgan_speed(X: pd.DataFrame, y: pd.Series) -> dict[str, float]:
    """Return seconds of set-up (until its networks are built), and rows/s of training and of sampling."""
    from ctgan.synthesizers import ctgan as module

    ready: list[float] = []
    original = module.Generator.__init__

    def noted(self: Any, *args: Any) -> None:
        ready.append(time.perf_counter())
        original(self, *args)

    module.Generator.__init__ = noted
    epochs = 2
    start = time.perf_counter()
    try:
        model = with_ctgan(X, y, epochs=epochs, seed=0)
    finally:
        module.Generator.__init__ = original
    end = time.perf_counter()
    model.sample(len(X))
    return {
        "set-up s": ready[0] - start,
        "training rows/s": epochs * (len(X) // BATCH) * BATCH / (end - ready[0]),
        "sampling rows/s": len(X) / (time.perf_counter() - end),
    }


def ganaug_speed(X: pd.DataFrame, y: pd.Series, **changes: Any) -> dict[str, float]:
    """Return the same of ganaug; training is timed from the second step on."""
    config = resolve_config("default", ganaug.GANConfig(batch_size=BATCH, **changes), None, kind="table")
    start = time.perf_counter()
    schema = Schema.fit(X, y)
    x, c = schema.pack_X(X), schema.encode_y(y)
    state = new_state(
        config,
        shape=schema.codec.shape,
        n_classes=len(schema.labels),
        seed=0,
        device=torch.device("cpu"),
        blocks=schema.blocks or (),
    )
    batches = BalancedBatches(x, c, batch_size=BATCH, seed=0, unpack=schema.unpack_X, pack=config.pack)
    setup = time.perf_counter() - start
    times: list[float] = []
    train(
        state,
        batches,
        replace(config, train_images=4 * config.log_every_images),
        seed=0,
        on_log=lambda *_: None,
        on_step=lambda _: times.append(time.perf_counter()),
    )
    gan = ganaug.ConditionalGAN(config=replace(config, train_images=BATCH), device="cpu", random_state=0).fit(
        X, y
    )
    start = time.perf_counter()
    gan.generate(dict(y.value_counts()))
    return {
        "set-up s": setup,
        "training rows/s": (len(times) - 1) * BATCH / (times[-1] - times[0]),
        "sampling rows/s": len(X) / (time.perf_counter() - start),
    }


def speed() -> dict[str, Any]:
    """Compare set-up, training and sampling with CTGAN on the same rows, in turns."""
    X, y = whole_adult()
    arms = {
        "ctgan": lambda: ctgan_speed(X, y),
        "ganaug": lambda: ganaug_speed(X, y),
        "ganaug, float32": lambda: ganaug_speed(X, y, precision="float32"),
        "ganaug, width 256": lambda: ganaug_speed(X, y, width=256),
        "ganaug, width 256, packs of 10": lambda: ganaug_speed(X, y, width=256, pack=10),
    }
    turns: dict[str, list[dict[str, float]]] = {name: [] for name in arms}
    for _ in range(TURNS):
        for name, run in arms.items():
            turns[name].append(run())
    rows = []
    for name, found in turns.items():
        row: dict[str, Any] = {"what": name}
        for figure in found[0]:
            value = statistics.median(f[figure] for f in found)
            ratios = [f[figure] / g[figure] for f, g in zip(found, turns["ctgan"], strict=True)]
            times = statistics.median(1 / r if figure == "set-up s" else r for r in ratios)
            row |= {figure: round(value, 2), f"{figure.split()[0]}, times ctgan": round(times, 1)}
        rows.append(row)
    return {"rows": rows, "n": len(X), "columns": X.shape[1]}


# --- what its rows teach ----------------------------------------------------------------------------


def taught_by(X: pd.DataFrame, y: pd.Series, X_test: pd.DataFrame, y_test: pd.Series) -> dict[str, float]:
    """Return scores of classifiers that learned from rows X, on rows of others."""
    scores: dict[str, float] = {}
    schema = Schema.fit(X, y)
    for name in ("logistic", "boosting"):
        model = build_classifier(name, schema, seed=0).fit(X, y)
        chance = model.predict_proba(X_test)[:, 1]
        scores |= {
            f"{name} balanced accuracy": 100 * balanced_accuracy_score(y_test, model.predict(X_test)),
            f"{name} ROC AUC": 100 * roc_auc_score(y_test, chance),
            f"{name} average precision": 100 * average_precision_score(y_test, chance),
        }
    return scores


def taught_cell(what: str, seed: int, seconds: float | None, epochs: int) -> dict[str, Any]:
    """Train one generator on one thread and score what its rows teach; with the rows' own seconds."""
    torch.set_num_threads(1)
    X, y = whole_adult()
    X, X_test, y, y_test = train_test_split(X, y, test_size=0.2, stratify=y, random_state=seed)
    start = time.perf_counter()
    if what == "real rows":
        X_new, y_new = X, y
    elif what == "ctgan":
        frame = with_ctgan(X, y, epochs=epochs, seed=seed).sample(len(X))
        y_new = frame.pop("target")
        X_new = frame.astype(X.dtypes)
    else:
        config = ganaug.GANConfig(train_images=10**9, max_minutes=seconds / 60)
        gan = ganaug.ConditionalGAN(config=config, device="cpu", random_state=seed).fit(X, y)
        X_new, y_new = gan.generate(dict(y.value_counts()), random_state=seed)
    spent = time.perf_counter() - start
    return {
        "rows of": what,
        "seed": seed,
        "seconds": spent,
        "positives %": 100 * float(np.mean(y_new)),
        **taught_by(X_new, y_new, X_test, y_test),
    }


def taught(seeds: int, epochs: int, jobs: int) -> dict[str, Any]:
    """Train on generated rows, test on real ones: CTGAN's, and ganaug's after a tenth of its time."""
    run = Parallel(n_jobs=jobs)
    cells = run(delayed(taught_cell)("ctgan", s, None, epochs) for s in range(seeds))
    tenth = statistics.median(c["seconds"] for c in cells) / 10
    ours = f"ganaug, {epochs // 10} epochs' time"
    cells += run(delayed(taught_cell)(ours, s, tenth, epochs) for s in range(seeds))
    cells += run(delayed(taught_cell)("real rows", s, None, epochs) for s in range(seeds))
    frame = pd.DataFrame(cells).drop(columns="seed").groupby("rows of", sort=False)
    rows = frame.mean().round(2).reset_index().to_dict("records")
    return {"rows": rows, "seeds": seeds, "epochs": epochs, "cells": cells}


# --- gain -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class KeptSynthetic:
    """Rows of the generator of a training part, fitted once for all classifiers."""

    folder: str

    def __call__(self, part: TrainingPart) -> torch.Tensor:
        """Return the rows that `synthetic` would."""
        content = hashlib.sha256(part.x.numpy().tobytes() + part.extra_c.numpy().tobytes())
        path = Path(self.folder) / f"{part.seed}-{content.hexdigest()[:16]}.npy"
        if not path.exists():
            np.save(path, synthetic(part).numpy())
        return torch.from_numpy(np.load(path))


def sizes(n: int) -> list[int | str]:
    """Return the numbers of training rows to compare at; full is the whole training part of a fold."""
    return [100, 300, "full"] if n * (FOLDS - 1) / FOLDS > 450 else [100, "full"]


def cases() -> Iterator[tuple[str, int | str, str]]:
    """Yield tables, training rows and classifiers, the cheap ones first."""
    rows = {name: len(table(name)[0]) for name in TABLES}
    for size in (100, 300, "full"):
        for name in sorted(TABLES, key=rows.__getitem__):
            if size in sizes(rows[name]):
                for classifier in CLASSIFIERS:
                    yield name, size, classifier


def one_gain(name: str, size: int | str, classifier: str, *, folder: str, jobs: int) -> dict[str, Any]:
    """Compare all arms on one table at one size with one classifier."""
    X, y = table(name)
    mixed = any(d.kind not in "iufb" for d in X.dtypes)
    arms = {n: ARMS[n] for n in DEFAULT_ARMS["table"] if not (mixed and n == "borderline smote")}
    arms["gan"] = Arm(role="treatment", extra=KeptSynthetic(folder))
    result = ganaug.compare(
        X,
        y,
        classifier=classifier,
        arms=arms,
        seeds=FOLDS if size == "full" else 2 * FOLDS,
        folds=FOLDS,
        train_size=None if size == "full" else size,
        n_jobs=jobs,
        random_state=0,
    )
    metrics: dict[str, Any] = {}
    for metric in METRICS:
        own = replace(result, metric=metric)
        gains = {c: own.gain_over("gan", c) for c in result.roles if c != "gan"}
        metrics[metric] = {
            "mean": {arm: 100 * float(own.scores(arm).mean()) for arm in result.roles},
            "gain": {c: [g.mean, g.low, g.high] for c, g in gains.items()},
        }
    rows = [c.n_train for c in result.cells if c.arm == "gan"]
    return {
        "table": name,
        "size": size,
        "rows": int(np.median(rows)),
        "classifier": classifier,
        "seeds": result.settings["seeds"],
        "seconds": round(result.wall_seconds, 1),
        "metrics": metrics,
    }


def each_case(
    one: Any, sum_up: Any, former: dict[str, Any], store: Any, *, folder: str, jobs: int, minutes: float
) -> dict[str, Any]:
    """Run every case that is not kept yet, within a time limit, and sum up."""
    config = resolve_config("default", None, None, kind="table").to_dict()
    config = json.loads(json.dumps(config))
    cells = dict(former.get("cells", {})) if former.get("config") == config else {}
    end = time.monotonic() + 60 * minutes

    def found() -> dict[str, Any]:
        left = [" ".join(map(str, case)) for case in cases() if " ".join(map(str, case)) not in cells]
        return {"config": config, "cells": cells, "left": left, "summary": sum_up(cells)}

    for case in cases():
        key = " ".join(map(str, case))
        if key not in cells and time.monotonic() < end:
            cells[key] = one(*case, folder=folder, jobs=jobs)
            store(found())
            print(f"{key}: {cells[key]['seconds']:.0f} s", flush=True)
    return found()


def summary(cells: dict[str, Any]) -> list[dict[str, Any]]:
    """Return one row per metric and control: how often the generator was above it, and surely so."""
    rows = []
    for metric in METRICS:
        for control in DEFAULT_ARMS["table"][:-1]:
            found = [c["metrics"][metric]["gain"].get(control) for c in cells.values()]
            gains = [g for g in found if g is not None]
            if metric != "balanced_accuracy" and control == "threshold":
                continue  # it is tuned to balanced accuracy, and leaves the ranking as it is
            rows.append({"metric": metric.replace("_", " "), "gan against": control} | counts_of(gains))
    return rows


def counts_of(gains: list[list[float]]) -> dict[str, Any]:
    """Return how many gains (mean, low, high) are above and below zero, and surely so."""
    return {
        "comparisons": len(gains),
        "surely better": sum(low > 0 for _, low, _ in gains),
        "no evidence": sum(low <= 0 <= high for _, low, high in gains),
        "surely worse": sum(high < 0 for *_, high in gains),
        "mean above / below": "/".join(str(sum(s * g[0] > 0 for g in gains)) for s in (1, -1)),
        "median gain": round(statistics.median(m for m, *_ in gains), 2) if gains else 0.0,
    }


# --- a dose chosen on held-out samples ---------------------------------------------------------------


def choices_of_seed(plan: Plan, s: int, X: Any, y: Any, X_test: Any, y_test: Any, folder: str) -> Any:
    """Return what a tuned dose of generated rows, or of copies, scores in one seed, chosen by each metric."""
    torch.set_num_threads(1)
    bench = Bench(plan, X, y, derive(plan.random_state, "seed", s))
    truth = bench.schema.encode_y(y_test).numpy()
    found: dict[str, dict[str, list[float]]] = {metric: {} for metric in METRICS}
    for source, extra in (("gan", KeptSynthetic(folder)), ("copies", copies)):
        arm = tuned(Arm(role="treatment", extra=extra))
        held_out = bench.held_out(source, arm)
        tried = [bench.outcome(source, candidate, X_test) for candidate in arm.among]
        for metric in METRICS:
            scores = [100 * SCORES[metric](truth, o.y_pred, o.y_score) for o in tried]
            best = held_out.best(SCORES[metric])
            found[metric][source] = [(0.0, *DOSES)[best], scores[best], scores[0], scores[-1]]
    return found


def one_choice(name: str, size: int | str, classifier: str, *, folder: str, jobs: int) -> dict[str, Any]:
    """Return the gains of tuned doses over nothing, and of generated rows over copies, by metric."""
    start = time.perf_counter()
    X, y = table(name)
    y = y.to_numpy()
    splits = make_splits(y, seeds=FOLDS, folds=FOLDS, train_size=None if size == "full" else size, seed=0)
    plan = Plan(
        classifier=classifier,
        arms={},
        metric="balanced_accuracy",
        fill=resolve_fill(y[np.concatenate(splits.train)], "auto"),
        steps=400,
        batch_size=64,
        config=resolve_config("default", None, None, kind="table"),
        device="cpu",
        classic=None,
        names=Schema.fit(X, y).names,
        random_state=0,
    )
    pairs = list(enumerate(zip(splits.train, splits.test, strict=True)))
    found = Parallel(n_jobs=jobs)(
        delayed(choices_of_seed)(plan, s, take(X, a), y[a], take(X, b), y[b], folder) for s, (a, b) in pairs
    )
    known = {"overlap": splits.overlap, "resolution": 100 / min(map(len, splits.test))}
    metrics = {}
    for metric in METRICS:
        by = {source: np.array([f[metric][source] for f in found]) for source in ("gan", "copies")}
        gains = {
            "tuned gan over nothing": by["gan"][:, 1] - by["gan"][:, 2],
            "tuned copies over nothing": by["copies"][:, 1] - by["copies"][:, 2],
            "tuned gan over tuned copies": by["gan"][:, 1] - by["copies"][:, 1],
            "whole fill of gan over nothing": by["gan"][:, 3] - by["gan"][:, 2],
        }
        metrics[metric] = {
            "doses": by["gan"][:, 0].tolist(),
            "gain": {
                what: [g.mean, g.low, g.high]
                for what, d in gains.items()
                for g in [corrected_gain(d, **known)]
            },
        }
    seconds = round(time.perf_counter() - start, 1)
    return {"table": name, "size": size, "classifier": classifier, "seconds": seconds, "metrics": metrics}


def choices_summary(cells: dict[str, Any]) -> list[dict[str, Any]]:
    """Return one row per metric and question: how often the gain was above zero, and surely so."""
    rows = []
    for metric in METRICS:
        doses = [d for c in cells.values() for d in c["metrics"][metric]["doses"]]
        none = f"{100 * np.mean(np.array(doses) == 0):.0f}"
        for what in next(iter(cells.values()))["metrics"][metric]["gain"]:
            gains = [c["metrics"][metric]["gain"][what] for c in cells.values()]
            row = {"metric": metric.replace("_", " "), "gain of": what} | counts_of(gains)
            rows.append(row | {"gan's dose 0, %": none if what == "tuned gan over nothing" else ""})
    return rows


# --- novelty ----------------------------------------------------------------------------------------


def novelty_of(name: str, seed: int = 0) -> list[dict[str, Any]]:
    """Return how near rows of each source are to training rows, beside rows held out."""
    torch.set_num_threads(1)
    X, y = table(name)
    n = min(len(X), 4000)
    X, _, y, _ = train_test_split(X, y, train_size=n - y.nunique(), stratify=y, random_state=seed)
    X, X_held, y, y_held = train_test_split(X, y, test_size=0.5, stratify=y, random_state=seed)
    X, X_held = X.reset_index(drop=True), X_held.reset_index(drop=True)
    schema = Schema.fit(X, y)
    x, held = schema.encode_X(X), schema.encode_X(X_held)
    c = schema.encode_y(y)
    gan = ganaug.ConditionalGAN(device="cpu", random_state=seed).fit(X, y)
    counts = {k: int(v) for k, v in y_held.value_counts().items()}
    part = TrainingPart(
        X=X,
        x=x,
        c=c,
        extra_c=schema.encode_y(y_held).sort()[0],
        schema=schema,
        seed=seed,
        fitted_gan=lambda: gan,
    )
    sources = {"held out": held, "gan": schema.encode_X(gan.generate(counts, random_state=seed)[0])}
    for arm in ("smote", "noisy copies", "oversampling"):
        extra = ARMS[arm].extra(part)
        sources[arm] = extra if isinstance(extra, torch.Tensor) else schema.encode_X(extra)
    near = NearestNeighbors(n_neighbors=1).fit(x.numpy())
    distances = {k: near.kneighbors(v.numpy())[0][:, 0] for k, v in sources.items()}
    reference = distances["held out"]
    return [
        {
            "table": name,
            "rows of": source,
            "median distance / held out": round(float(np.median(d) / max(np.median(reference), 1e-9)), 2),
            "nearer than the median held-out row, %": round(
                100 * float((d < np.median(reference)).mean()), 1
            ),
            "exact copies, %": round(100 * float((d < 1e-6).mean()), 1),
        }
        for source, d in distances.items()
    ]


def novelty(jobs: int) -> dict[str, Any]:
    """Return the distances to the nearest training row, table by table."""
    found = Parallel(n_jobs=jobs)(delayed(novelty_of)(name) for name in TABLES)
    return {"rows": [row for rows in found for row in rows]}


def main(parts: list[str], seeds: int, epochs: int, jobs: int, minutes: float) -> None:
    """Run the parts and keep them; a part that is not run keeps its former figures."""
    path = RESULTS / "tables.json"

    def kept() -> dict[str, Any]:
        results = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        return {part: found for part, found in results.items() if part != "machine"}

    def store(part: str, found: dict[str, Any]) -> None:
        keep("tables", kept() | {part: found})

    with tempfile.TemporaryDirectory() as folder:
        for part in parts:
            start = time.perf_counter()
            if part == "speed":
                found = speed()
            elif part == "taught":
                found = taught(seeds, epochs, jobs)
            elif part == "novelty":
                found = novelty(jobs)
            else:
                one, sum_up = (one_gain, summary) if part == "gain" else (one_choice, choices_summary)
                found = each_case(
                    one,
                    sum_up,
                    kept().get(part, {}),
                    partial(store, part),
                    folder=folder,
                    jobs=jobs,
                    minutes=minutes,
                )
            store(part, found | {"wall_seconds": round(time.perf_counter() - start)})
            frame = pd.DataFrame(found["summary" if "summary" in found else "rows"])
            print(part, markdown(frame.set_index(frame.columns[0])), sep="\n", flush=True)


if __name__ == "__main__":
    every = ["speed", "taught", "novelty", "gain", "choice"]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", nargs="+", default=every, choices=every)
    parser.add_argument("--seeds", type=int, default=2, help="of the part taught")
    parser.add_argument("--epochs", type=int, default=300, help="of CTGAN, in the part taught")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument(
        "--minutes", type=float, default=45, help="limit of each of the parts gain and choice"
    )
    main(**vars(parser.parse_args()))
