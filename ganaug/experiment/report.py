"""The report of a comparison: one HTML file that holds everything it shows, and asks for nothing else."""

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup
from sklearn.metrics import confusion_matrix

from ganaug.errors import OutputExistsError
from ganaug.experiment import figures
from ganaug.experiment.figures import Row
from ganaug.experiment.held_out import Tried
from ganaug.experiment.showcase import Showcase, data_uri
from ganaug.experiment.specimens import Specimens
from ganaug.experiment.svg import plain_label

if TYPE_CHECKING:
    from ganaug.experiment.cells import Cell
    from ganaug.experiment.comparison import Comparison

__all__ = ["write_report"]

Array = np.ndarray[Any, Any]

N_CLASSES = 20
N_BINS = 10
LEAST_IN_BIN = 10

MEANINGS = {
    "helps": (
        "The interval lies above 0: on these data and with this classifier, the synthetic samples did better "
        "than every control, by more than luck in splits and training explains. About one such interval in "
        "twenty misses the true gain."
    ),
    "no evidence": (
        "The interval holds 0: these runs cannot tell a gain from none. That does not show that there is "
        "none; every gain within the interval agrees with what was seen, and more seeds make it narrower."
    ),
    "hurts": (
        "The interval lies below 0: on these data and with this classifier, the synthetic samples did worse "
        "than the best control, by more than luck in splits and training explains."
    ),
}
SIGNS = {"helps": "▲", "no evidence": "●", "hurts": "▼"}


def write_report(result: "Comparison", path: str | Path) -> Path:
    """Write a comparison as one HTML file; a file that is there already is replaced at once, or not at all.

    Parameters
    ----------
    result : Comparison
        What `compare` returned.
    path : str or Path
        The file.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    OutputExistsError
        If `path` is a folder.

    Examples
    --------
    >>> write_report(None, ".")
    Traceback (most recent call last):
    ganaug.errors.OutputExistsError: . must be a file to write the report to; got a folder. Add a file name.
    """
    path = Path(path)
    if path.is_dir():
        raise OutputExistsError(
            f"{path} must be a file to write the report to; got a folder. Add a file name."
        )
    page = render(result).encode("utf-8", errors="replace")
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(page)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path


def render(result: "Comparison") -> str:
    """Return the page."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("ganaug.experiment"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    specimens: Specimens | None = getattr(result, "specimens", None)
    sample_grid: bytes | None = getattr(result, "sample_grid", None)
    controls = [arm for arm, role in result.roles.items() if role == "control"]
    reference = "nothing" if "nothing" in controls else controls[0]
    word, _, rest = result.sentence.partition(": ")
    return environment.get_template("report.html").render(
        result=result,
        word=word,
        rest=rest,
        sign=SIGNS.get(result.verdict, "●"),
        meaning=MEANINGS.get(result.verdict, ""),
        metric=result.metric.replace("_", " "),
        settings=dict(_flat(result.settings)),
        n_seeds=len({c.seed for c in result.cells}),
        forest=_forest(result, reference),
        arms=_frame(result.table),
        per_class=_per_class(result),
        confusion=_confusion(result),
        calibration=_calibration(result),
        specimens=None if specimens is None else Showcase.of(specimens, result.class_names),
        sample_grid=None if sample_grid is None else data_uri(sample_grid),
        doses=_doses(result),
        seeds=_seeds(result),
    )


def _forest(result: "Comparison", reference: str) -> Markup:
    """Return the gain of every arm over the reference, and of the primary over the best control."""
    rows = [
        Row(plain_label(arm, 24), result.gain_over(arm, reference), "s" if role == "control" else "o")
        for arm, role in result.roles.items()
        if arm != reference
    ]
    primary = Row(plain_label(result.primary, 24), result.gain, "D", strong=True)
    return figures.forest({f"against {plain_label(reference)}": rows, "against the best control": [primary]})


@dataclass(frozen=True)
class Table:
    """Text by row, under a header; the first cell of a row names it."""

    header: list[str]
    rows: list[list[str]]


def _frame(frame: Any) -> Table:
    frame = frame.reset_index()
    rows = [[_text(v) for v in row] for row in frame.itertuples(index=False)]
    return Table([str(c).replace("_", " ") for c in frame.columns], rows)


def _text(value: Any) -> str:
    if isinstance(value, (float, np.floating)):
        return "–" if np.isnan(value) else f"{value:.2f}"
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else ""
    return str(value)


@dataclass(frozen=True)
class PerClass:
    """Recall by class."""

    picture: Markup
    table: Table
    n_shown: int


def _per_class(result: "Comparison") -> PerClass:
    """Return the differences of recall between the primary and the best control, the largest of many."""
    n = len(result.class_names)
    recalls = {
        arm: np.array([c.recalls(n) for c in _of_arm(result, arm)])
        for arm in (result.primary, result.best_control)
    }
    differences = 100 * (recalls[result.primary] - recalls[result.best_control])
    shown = _largest(np.abs(np.nan_to_num(differences).mean(axis=0)))
    picture = figures.recalls([result.class_names[k] for k in shown], differences[:, shown])
    return PerClass(picture, _frame(result.per_class), len(shown))


@dataclass(frozen=True)
class Confusion:
    """Confusion matrices of the best control and the primary, and their difference."""

    pictures: list[tuple[str, str, Markup]]  # (words, arm, picture)
    n_shown: int


def _confusion(result: "Comparison") -> Confusion:
    n = len(result.class_names)
    counts = {
        arm: np.sum(
            [confusion_matrix(c.y_true, c.y_pred, labels=range(n)) for c in _of_arm(result, arm)], axis=0
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


def _calibration(result: "Comparison") -> Markup | None:
    """Return how often predictions of a confidence are right, where all scores are probabilities."""
    curves = {}
    for arm in (result.best_control, result.primary):
        cells = _of_arm(result, arm)
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


def _doses(result: "Comparison") -> list[tuple[str, Markup]]:
    """Return a picture for each arm that chose its dose, and each gate and snapshot that it tried."""
    pictures = []
    for arm in result.roles:
        seeds = [[Tried(*t) for t in c.tried] for c in _of_arm(result, arm) if getattr(c, "tried", ())]
        for gate, snapshot in dict.fromkeys((t.gate, t.snapshot) for seed in seeds for t in seed if t.dose):
            shown = [
                [(t.dose, t.score) for t in seed if not t.dose or (t.gate, t.snapshot) == (gate, snapshot)]
                for seed in seeds
            ]
            words = [arm, *(f"{k} {v}" for k, v in (("gate", gate), ("snapshot", snapshot)) if v)]
            pictures.append((", ".join(words), figures.doses(shown)))
    return pictures


def _seeds(result: "Comparison") -> Table:
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


def _of_arm(result: "Comparison", arm: str) -> "list[Cell]":
    return sorted((c for c in result.cells if c.arm == arm), key=lambda c: c.seed)


def _flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, str(value)
