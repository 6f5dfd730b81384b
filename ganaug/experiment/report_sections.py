"""What a report shows of a comparison: figures and tables of its numbers."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup
from sklearn.metrics import confusion_matrix

from ganaug.experiment import figures
from ganaug.experiment.figures import Row
from ganaug.experiment.held_out import Tried
from ganaug.experiment.result_sentences import interval
from ganaug.experiment.svg import plain_label

if TYPE_CHECKING:
    from ganaug.experiment.comparison import Comparison

Array = np.ndarray[Any, Any]

N_CLASSES = 20
N_BINS = 10
LEAST_IN_BIN = 10


MARKERS = {"control": "s", "treatment": "o", "oracle": "^"}


def forests(result: "Comparison") -> list[Markup]:
    """Return the gain of every arm over the reference; then over the best control, and over twins."""
    plain = {
        f"against {plain_label(result.reference)}": [
            Row(plain_label(arm, 24), result.gain_over(arm, result.reference), MARKERS[role])
            for arm, role in result.roles.items()
            if arm != result.reference
        ]
    }
    own = [
        Row(plain_label(f"{arm} / {result.twins[arm]}", 30), gain, "o", strong=arm == result.primary)
        for arm in result.treatments.index
        if (gain := result.gain_over_twin(arm)) is not None
    ]
    judged = {
        "against the best control": [
            Row(plain_label(arm, 24), result.gain_over_best(arm), "D", strong=arm == result.primary)
            for arm in result.treatments.index
        ],
        **({"against their twins": own} if own else {}),
    }
    return [figures.forest(plain), figures.forest(judged)]


def pictures(result: "Comparison") -> dict[str, Markup]:
    """Return the drawings that hold the result, by name: all gains, those that judge, and recall by class."""
    gains, judged = forests(result)
    return {"gains": gains, "treatments": judged, "recall": per_class(result).picture}


def learning_curve(result: "Comparison") -> Markup | None:
    """Return the gain of real samples by their number, and those to be read off it, where oracles ran."""
    if not result.real_samples_added:
        return None
    base, *oracles = result.real_samples_added
    twin = result.twins.get(result.primary)
    arms = [arm for arm in (result.primary, twin) if arm in result.roles]
    return figures.learning_curve(
        [(result.real_samples_added[arm], result.gain_over(arm, base)) for arm in oracles],
        [(plain_label(arm), result.gain_over(arm, base).mean) for arm in arms],
        plain_label(base),
    )


@dataclass(frozen=True)
class Table:
    """Text by row, under a header; the first cell of a row names it."""

    header: list[str]
    rows: list[list[str]]


def arms(result: "Comparison") -> Table:
    """Return a row per arm."""
    return _frame(result.table.drop(columns=["fit_seconds", "gan_seconds"], errors="ignore"))


def treatments(result: "Comparison") -> Table:
    """Return a row per treatment."""
    found = result.treatments
    gains = {arm: (result.gain_over_best(arm), result.gain_over_twin(arm)) for arm in found.index}
    header = ["arm", "verdict", "over best control", "p (Holm)", "twin", "over twin"]
    rows = [
        [
            arm,
            row["verdict"],
            interval(best),
            _p_value(row["p_holm"]),
            row["twin"],
            interval(own) if own else "–",
        ]
        for (arm, row), (best, own) in zip(found.iterrows(), gains.values(), strict=True)
    ]
    if "worth" in found:
        header.append("worth in real samples")
        rows = [[*row, worth or "–"] for row, worth in zip(rows, found["worth"], strict=True)]
    return Table(header, rows)


def _frame(frame: Any) -> Table:
    frame = frame.reset_index()
    rows = [[_text(v) for v in row] for row in frame.itertuples(index=False)]
    return Table([str(c).replace("_", " ") for c in frame.columns], rows)


def _p_value(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _text(value: Any) -> str:
    if isinstance(value, (float, np.floating)):
        return "–" if np.isnan(value) else f"{value:z.2f}"
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else ""
    return str(value)


@dataclass(frozen=True)
class PerClass:
    """Recall by class."""

    picture: Markup
    table: Table
    n_shown: int


def per_class(result: "Comparison") -> PerClass:
    """Return the differences of recall between the primary and the best control, the largest of many."""
    n = len(result.class_names)
    recalls = {
        arm: np.array([c.recalls(n) for c in result.cells_of(arm)])
        for arm in (result.primary, result.best_control)
    }
    differences = 100 * (recalls[result.primary] - recalls[result.best_control])
    shown = _largest(np.abs(np.nan_to_num(differences).mean(axis=0)))
    picture = figures.recalls([result.class_names[k] for k in shown], differences[:, shown])
    firsts = ["difference", "low", "high", "p_holm", "harmed", result.primary, result.best_control]
    others = [column for column in result.per_class if column not in firsts]
    return PerClass(picture, _frame(result.per_class[[*firsts, *others]]), len(shown))


@dataclass(frozen=True)
class Confusion:
    """Confusion matrices of the best control and the primary, and their difference."""

    pictures: list[tuple[str, str, Markup]]  # (words, arm, picture)
    n_shown: int


def confusion(result: "Comparison") -> Confusion:
    """Return what is taken for what, of the classes that changed most."""
    n = len(result.class_names)
    counts = {
        arm: np.sum(
            [confusion_matrix(c.y_true, c.y_pred, labels=range(n)) for c in result.cells_of(arm)], axis=0
        )
        for arm in (result.best_control, result.primary)
    }
    shares = {arm: 100 * m / np.maximum(1, m.sum(axis=1, keepdims=True)) for arm, m in counts.items()}
    change = shares[result.primary] - shares[result.best_control]
    shown = _largest(np.abs(change).sum(axis=0) + np.abs(change).sum(axis=1))
    names, part = [result.class_names[k] for k in shown], np.ix_(shown, shown)
    pictures = [
        (words, arm, figures.confusion(names, shares[arm][part], f"{words}, {plain_label(arm)}"))
        for words, arm in (("Best control", result.best_control), ("Primary treatment", result.primary))
    ]
    words = "Primary less best control"
    difference = figures.confusion(names, change[part], words, change=True)
    return Confusion([*pictures, (words, "", difference)], len(shown))


def _largest(sizes: Array) -> list[int]:
    """Return the places of the 20 largest, in their order."""
    order = np.argsort(-sizes, kind="stable")[:N_CLASSES]
    return sorted(order.tolist())


def calibration(result: "Comparison") -> Markup | None:
    """Return how often predictions of a confidence are right, where all scores are probabilities."""
    curves = {}
    for arm in (result.best_control, result.primary):
        cells = result.cells_of(arm)
        scores = [c.y_score for c in cells if c.y_score is not None]
        if len(scores) < len(cells) or not all(_probabilities(s) for s in scores):
            return None
        confidence = np.concatenate([s.max(axis=1) for s in scores])
        right = np.concatenate([s.argmax(axis=1) == c.y_true for s, c in zip(scores, cells, strict=True)])
        bins = np.minimum((confidence * N_BINS).astype(int), N_BINS - 1)
        used = [b for b in range(N_BINS) if (bins == b).sum() >= LEAST_IN_BIN]
        curves[arm] = (
            np.array([100 * confidence[bins == b].mean() for b in used]),
            np.array([100 * right[bins == b].mean() for b in used]),
        )
    return figures.calibration(curves)


def _probabilities(scores: Array) -> bool:
    return bool((scores >= 0).all() and np.allclose(scores.sum(axis=1), 1, atol=1e-3))


def doses(result: "Comparison") -> list[tuple[str, Markup]]:
    """Return a picture for each arm that chose one dose, and each gate and snapshot that it tried."""
    pictures = []
    for arm in result.roles:
        seeds = [[Tried(*t) for t in c.tried] for c in result.cells_of(arm) if c.tried and not c.doses]
        for gate, snapshot in dict.fromkeys((t.gate, t.snapshot) for seed in seeds for t in seed if t.dose):
            shown = [
                [(t.dose, t.score) for t in seed if not t.dose or (t.gate, t.snapshot) == (gate, snapshot)]
                for seed in seeds
            ]
            words = [arm, *(f"{k} {v}" for k, v in (("gate", gate), ("snapshot", snapshot)) if v)]
            pictures.append((", ".join(words), figures.doses(shown)))
    return pictures


def seeds(result: "Comparison") -> Table:
    """Return a row per arm and seed."""
    metrics = [c.metrics for c in result.cells]
    names = list(dict.fromkeys(name for found in metrics for name in found))
    header = ["arm", "seed", *(n.replace("_", " ") for n in names)]
    header += ["real samples", "added", "tested on", "classifier, s", "generator, s"]
    rows = [
        [
            c.arm,
            str(c.seed),
            *(f"{100 * found[n]:.2f}" if n in found else "–" for n in names),
            *map(str, (c.n_train, c.n_extra, len(c.y_true))),
            f"{c.fit_seconds:.2f}",
            f"{c.gan_seconds:.2f}",
        ]
        for c, found in zip(result.cells, metrics, strict=True)
    ]
    return Table(header, rows)
