"""Specimens as a page shows them: pictures, pairs of rows, columns and a map."""

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from ganaug.experiment.specimens import ColumnShares, Specimens
from ganaug.experiment.svg import (
    BLUE,
    INK,
    LINE,
    ORANGE,
    PAPER,
    WIDE,
    as_svg,
    in_style,
    new_figure,
    plain_label,
)

__all__ = ["Showcase", "data_uri"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class ClassPictures:
    """The pictures of one class."""

    name: str
    real: list[str]
    pairs: list[tuple[str, str, str, str]]  # (synthetic, nearest real, distance, class of it if another)


@dataclass(frozen=True)
class Pair:
    """A generated row of a table and the real row nearest to it."""

    name: str
    distance: str
    rows: Sequence[tuple[str, ...]]


@dataclass(frozen=True)
class Showcase:
    """Specimens as a page shows them."""

    source: Specimens
    picture: Markup
    classes: list[ClassPictures]
    pairs: list[Pair]
    columns: list[tuple[str, Markup, tuple[float, float]]]

    @classmethod
    def of(cls, specimens: Specimens, names: Sequence[str]) -> "Showcase":
        """Return specimens with the names of their classes."""
        distances = [_distance(d, specimens.typical_distance) for d in specimens.distance]
        return cls(
            source=specimens,
            picture=_sample_map(specimens, names),
            classes=list(_classes(specimens, names, distances)),
            pairs=[
                Pair(names[k], distance, rows)
                for k, distance, *rows in zip(
                    specimens.synthetic_class,
                    distances,
                    specimens.synthetic_rows,
                    specimens.nearest_rows,
                    strict=False,
                )
            ],
            columns=[(c.name, _column(c), c.missing) for c in specimens.columns],
        )


def _classes(specimens: Specimens, names: Sequence[str], distances: list[str]) -> Iterator[ClassPictures]:
    if specimens.real_pictures is None or specimens.synthetic_pictures is None:
        return
    assert specimens.nearest_pictures is not None
    for k in np.unique(specimens.synthetic_class):
        pairs = [
            (
                _png(specimens.synthetic_pictures[i]),
                _png(specimens.nearest_pictures[i]),
                distances[i],
                "" if specimens.nearest_class[i] == k else plain_label(names[specimens.nearest_class[i]], 12),
            )
            for i in np.flatnonzero(specimens.synthetic_class == k)
        ]
        yield ClassPictures(
            names[k], [_png(p) for p in specimens.real_pictures[specimens.real_class == k]], pairs
        )


def _distance(distance: float, usual: float) -> str:
    return f"{distance / usual:.1f} ×" if usual > 0 else f"{distance:.2g}"


def _png(picture: Array) -> str:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(picture[..., 0] if picture.shape[2] == 1 else picture).save(file, format="PNG")
    return data_uri(file.getvalue())


def data_uri(png: bytes) -> str:
    """Return a PNG as an address that holds it."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


@in_style
def _sample_map(specimens: Specimens, names: Sequence[str]) -> Markup:
    """Return real and generated samples as a map, each class named where its real samples are."""
    fig, ax = new_figure(WIDE, 4.4)
    for synthetic, marker, colour, label in ((False, "o", BLUE, "real"), (True, "x", ORANGE, "synthetic")):
        x, y = specimens.map[specimens.map_synthetic == synthetic].T
        face: dict[str, Any] = (
            {"facecolors": "none", "edgecolors": colour} if marker == "o" else {"c": colour}
        )
        ax.scatter(x, y, s=22, marker=marker, linewidths=1.1, label=label, **face)
    real = ~specimens.map_synthetic
    for k in np.unique(specimens.map_class)[:12] if len(names) <= 12 else ():
        here = specimens.map[real & (specimens.map_class == k)]
        if len(here):
            box = {"facecolor": PAPER, "edgecolor": LINE, "boxstyle": "round,pad=0.2", "alpha": 0.85}
            place = np.median(here, axis=0)
            ax.text(
                place[0],
                place[1],
                plain_label(names[k], 10),
                fontweight="bold",
                ha="center",
                va="center",
                bbox=box,
            )
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(True)
    ax.legend(frameon=False, ncols=2, loc="lower left", bbox_to_anchor=(0, 1), labelcolor=INK)
    return as_svg(fig, f"Map of {real.sum()} real and {(~real).sum()} synthetic samples.")


@in_style
def _column(shares: ColumnShares) -> Markup:
    """Return the values of one column: bins of a number, or bars of a category."""
    name = plain_label(shares.name)
    told = "how often its values occur, real beside synthetic"
    if shares.numeric:
        fig, ax = new_figure(2.7, 1.6)
        edges = np.arange(len(shares.real) + 1)
        ax.stairs(shares.real, edges, fill=True, facecolor=BLUE, alpha=0.35)
        ax.stairs(shares.synthetic, edges, color=ORANGE, linewidth=2)
        ax.set_xticks(edges[[0, -1]])
        ax.set_xticklabels([plain_label(t, 14) for t in shares.ticks])
        first, last = ax.get_xticklabels()
        first.set_horizontalalignment("left")
        last.set_horizontalalignment("right")
        ax.set_yticks([])
        ax.spines["left"].set_visible(False)
        return as_svg(fig, f"Column {name}: {told}.")
    fig, ax = new_figure(2.7, 0.3 + 0.3 * max(2, len(shares.ticks)))
    y = np.arange(len(shares.ticks))
    ax.barh(y - 0.19, shares.real, 0.36, facecolor=BLUE, alpha=0.35)
    ax.barh(
        y + 0.19, shares.synthetic, 0.36, facecolor="none", edgecolor=ORANGE, hatch="//////", linewidth=1.2
    )
    ax.set_yticks(y)
    ax.set_yticklabels([plain_label(t, 14) for t in shares.ticks], color=INK, fontsize=9)
    ax.set(xticks=[], ylim=(len(y) - 0.4, -0.6))
    ax.tick_params(axis="y", length=0)
    ax.spines["bottom"].set_visible(False)
    return as_svg(fig, f"Column {name}: {told}.")
