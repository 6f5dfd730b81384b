"""Which generated samples to add: what a gate is worth, and dose, gate and snapshot chosen on held-out ones.

Digits with 10 labelled per class, and 300 rows of adult, which needs GANAUG_DATA with the folder `tables`.
    python benchmarks/gate.py              # about 20 minutes on one quiet core
"""

import argparse
import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from common import data_file, keep, markdown

import ganaug
from ganaug._random import derive
from ganaug.config import resolve_config
from ganaug.data.schema import Schema, take
from ganaug.data.sources import open_data
from ganaug.experiment.arms import ARMS, Arm, TrainingPart, chosen, copies, synthetic
from ganaug.experiment.bench import Bench, Plan
from ganaug.experiment.held_out import Outcome
from ganaug.experiment.metrics import METRICS
from ganaug.experiment.plan import resolve_fill
from ganaug.experiment.splits import Splits, make_splits
from ganaug.experiment.statistics import corrected_gain

METRIC = "balanced_accuracy"
CLASSIFIERS = {"digits": ("cnn", "logistic"), "adult": ("boosting", "logistic")}
CONFIGS = {
    "digits": ganaug.GANConfig(train_images=15_000, log_every_images=1_500),
    "adult": ganaug.GANConfig(train_images=100_000, log_every_images=10_000),
}
STEPS = 100
TWINS = {
    "gan": "oversampling",
    "gan, best": "oversampling",
    "gan + gate": "oversampling + gate",
    "tuned gan": "tuned oversampling",
    "chosen gan": "chosen oversampling",
}
PLAIN = {
    "gan, best": "gan",
    "gan + gate": "gan",
    "chosen gan": "tuned gan",
    "oversampling + gate": "oversampling",
    "chosen oversampling": "tuned oversampling",
}


@dataclass(frozen=True)
class Shared:
    """Samples of the generator of a training part, which is trained once for all classifiers."""

    gans: dict[str, Any] = field(default_factory=dict, hash=False)

    def __call__(self, part: TrainingPart) -> torch.Tensor:
        """Return the samples that `synthetic` would."""
        key = hashlib.sha256(part.x.numpy().tobytes()).hexdigest()
        if key not in self.gans:
            self.gans[key] = part.fitted_gan()
        return synthetic(replace(part, fitted_gan=lambda: self.gans[key]))


def data(name: str, seeds: int) -> tuple[Any, np.ndarray[Any, Any], Splits]:
    """Return samples, labels and the splits of all seeds."""
    if name == "digits":
        source = open_data("digits")
        X, y = source.X, np.asarray(source.y)
        return X, y, make_splits(y, seeds=seeds, labelled_per_class=10, seed=0)
    X = pd.read_csv(data_file(f"tables/{name}.csv"))
    y = X.pop("target").to_numpy()
    return X, y, make_splits(y, seeds=seeds, folds=seeds, train_size=300, seed=0)


def one_seed(bench: Bench, X_test: Any, y_test: Any, extra: Shared) -> dict[str, Any]:
    """Return the score of each arm in one seed, and what was chosen.

    All candidates are trained once on the inner parts, those of an arm once on the whole part.
    """
    gan = chosen(Arm(role="treatment", extra=extra, generative=True)).among
    copied = chosen(Arm(role="treatment", extra=copies)).among
    among = (*gan, *copied[1:])
    metric = METRICS[METRIC]
    truth = bench.schema.encode_y(y_test).numpy()
    held_out = bench.held_out("candidate", Arm(role="treatment", among=among))
    inner = dict(zip(among, held_out.scores(metric), strict=True))

    def best(candidates: Sequence[Arm], **fixed: Any) -> Arm:
        nothing, *others = candidates
        fitting = [a for a in others if all(getattr(a, k) == v for k, v in fixed.items())]
        return max((nothing, *fitting), key=inner.__getitem__)

    def only(candidates: Sequence[Arm], **fixed: Any) -> Arm:
        (arm,) = (a for a in candidates[1:] if all(getattr(a, k) == v for k, v in fixed.items()))
        return arm

    arms = {
        "nothing": among[0],
        "oversampling": only(copied, dose=1.0, gate=None),
        "oversampling + gate": only(copied, dose=1.0, gate="agreement"),
        "tuned oversampling": best(copied, gate=None),
        "chosen oversampling": best(copied),
        "gan": only(gan, dose=1.0, gate=None, snapshot="last"),
        "gan, best": only(gan, dose=1.0, gate=None, snapshot="best"),
        "gan + gate": only(gan, dose=1.0, gate="agreement", snapshot="last"),
        "tuned gan": best(gan, gate=None, snapshot="last"),
        "chosen gan": best(gan),
    }

    found = {arm: bench.outcome("candidate", arm, X_test) for arm in set(arms.values())}

    def score(outcome: Outcome) -> float:
        return 100 * metric(truth, outcome.y_pred, outcome.y_score)

    scores = {name: score(found[arm]) for name, arm in arms.items()}
    if bench.schema.kind == "image":
        scores["classic"] = score(bench.outcome("classic", ARMS["classic"], X_test))
    return {
        "scores": scores,
        "chosen": {
            name: {"dose": arm.dose if arm.extra else 0.0, "gate": arm.gate, "snapshot": arm.snapshot}
            for name, arm in arms.items()
            if name.startswith(("tuned", "chosen"))
        },
        "admitted": {name: found[arms[name]].admitted for name in arms if name.endswith("gate")},
    }


def run(name: str, seeds: int) -> list[dict[str, Any]]:
    """Return what each classifier does on one data set, seed by seed."""
    X, y, splits = data(name, seeds)
    schema, extra = Schema.fit(X, y), Shared()
    config = resolve_config("default", CONFIGS[name], None, kind=schema.kind)
    cases = []
    for classifier in CLASSIFIERS[name]:
        plan = Plan(
            classifier=classifier,
            arms={"chosen gan": ARMS["chosen gan"]},
            metric=METRIC,
            fill=resolve_fill(y[np.concatenate(splits.train)], "auto"),
            steps=STEPS,
            batch_size=64,
            config=config,
            device="cpu",
            classic=None,
            names=schema.names,
            random_state=0,
        )
        found, start = [], time.perf_counter()
        for s, (train, test) in enumerate(zip(splits.train, splits.test or [], strict=True)):
            bench = Bench(plan, take(X, train), y[train], derive(plan.random_state, "seed", s))
            found.append(one_seed(bench, take(X, test), y[test], extra))
            print(name, classifier, s, f"{time.perf_counter() - start:.0f} s", found[-1], flush=True)
        known = {"overlap": splits.overlap, "resolution": 100 / min(map(len, splits.test or []))}
        cases.append(
            {
                "data": name,
                "classifier": classifier,
                "n_train": len(splits.train[0]),
                "n_test": min(map(len, splits.test or [])),
                "classes": list(schema.names),
                "config": config.to_dict(),
                "seconds": round(time.perf_counter() - start),
                **known,
                "rows": rows(found, known),
                "accepted": accepted(found, schema.names),
                "seeds": found,
            }
        )
    return cases


def rows(found: list[dict[str, Any]], known: dict[str, float]) -> list[dict[str, Any]]:
    """Return a row per arm: the mean score, gains over others, and what was chosen.

    The plain arm is the one without the gate, from the last average, or that chooses the dose alone.
    """
    scores = {arm: np.array([f["scores"][arm] for f in found]) for arm in found[0]["scores"]}

    def gain(arm: str, other: str | None) -> str:
        if other is None or arm == other:
            return ""
        g = corrected_gain(scores[arm] - scores[other], **known)
        return f"{g.mean:+.2f} [{g.low:+.2f}, {g.high:+.2f}]"

    def choices(arm: str) -> str:
        return ", ".join(
            " ".join([f"{c['dose']:g}", *filter(None, (c["gate"] and "gate", c["snapshot"]))])
            for c in (f["chosen"][arm] for f in found if arm in f["chosen"])
        )

    order = sorted(scores, key=lambda arm: ("gan" in arm, "chosen" in arm))
    return [
        {
            "arm": arm,
            "score": float(scores[arm].mean()),
            "over nothing": gain(arm, "nothing"),
            "over its twin": gain(arm, TWINS.get(arm)),
            "over the plain arm": gain(arm, PLAIN.get(arm)),
            "chosen": choices(arm),
        }
        for arm in order
    ]


def accepted(found: list[dict[str, Any]], names: Sequence[str]) -> list[dict[str, Any]]:
    """Return a row per gated arm: the share of drawn samples that was accepted, in all and by class."""
    table = []
    for arm in found[0]["admitted"]:
        counts = np.array([f["admitted"][arm] for f in found])  # seeds, classes, (wanted, drawn, accepted)
        wanted, drawn, taken = counts.sum(0).T
        shares = {n: 100 * t / d for n, t, d in zip(names, taken, drawn, strict=True) if d}
        missing = np.maximum(0, counts[..., 0] - counts[..., 2]).sum()
        table.append(
            {
                "arm": arm,
                "accepted": 100 * float(taken.sum() / drawn.sum()),
                "by class": {n: round(float(v), 1) for n, v in shares.items()},
                "let in though rejected": 100 * float(missing / wanted.sum()),
            }
        )
    return table


def main(seeds: int) -> None:
    """Run all cases, keep them, and print their tables."""
    torch.set_num_threads(1)
    start = time.perf_counter()
    cases = [case for name in CLASSIFIERS for case in run(name, seeds)]
    keep("gate", {"cases": cases, "steps": STEPS, "seconds": round(time.perf_counter() - start)})
    for case in cases:
        print(
            case["data"], case["classifier"], markdown(pd.DataFrame(case["rows"]).set_index("arm")), sep="\n"
        )
        print(case["accepted"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    main(**vars(parser.parse_args()))
