"""Figures of a report on scores, which read without colour: by shape, hatch, place and number."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from ganaug.experiment.result_sentences import interval, points
from ganaug.experiment.statistics import Gain
from ganaug.experiment.svg import (
    BLUE,
    INK,
    LINE,
    MUTED,
    ORANGE,
    PAPER,
    WIDE,
    as_svg,
    distinct_labels,
    in_style,
    new_figure,
    plain_label,
    signed,
)

__all__ = ["Row", "calibration", "confusion", "doses", "forest", "learning_curve", "recalls"]

Array = np.ndarray[Any, Any]
DASHED = (0, (4, 3))


@dataclass(frozen=True)
class Row:
    """One interval of a forest plot."""

    label: str
    gain: Gain
    marker: str  # of matplotlib
    strong: bool = False


@in_style
def forest(groups: Mapping[str, Sequence[Row]]) -> Markup:
    """Return intervals below their names, by what they are set against, with the line of no difference."""
    rows = [row for group in groups.values() for row in group]
    fig, ax = new_figure(WIDE, 0.6 + 0.52 * len(rows) + 0.36 * len(groups))
    low, high = min(0, *(r.gain.low for r in rows)), max(0, *(r.gain.high for r in rows))
    span, y = (high - low) or 1.0, -0.9
    ax.axvline(0, color=INK, linewidth=1, linestyle=DASHED, zorder=0)
    over: dict[str, Any] = {
        "transform": ax.get_yaxis_transform(),
        "va": "center",
        "bbox": {"fc": PAPER, "ec": "none", "pad": 1},
    }
    for words, group in groups.items():
        y += 0.55
        ax.text(0, y, words, color=MUTED, fontsize=10, **over)
        for row in group:
            gain, colour, width = row.gain, INK if row.strong else BLUE, 2.6 if row.strong else 1.6
            weight = "bold" if row.strong else "normal"
            figures = interval(gain).replace("-", "−")
            ax.text(0, y + 0.62, row.label, fontweight=weight, **over)
            ax.text(1, y + 0.62, figures, ha="right", fontsize=10, fontweight=weight, **over)
            y += 1
            ax.plot([gain.low, gain.high], [y, y], color=colour, linewidth=width, solid_capstyle="butt")
            ax.plot([gain.low, gain.high], [y, y], "|", color=colour, markersize=8, markeredgewidth=width)
            face = PAPER if row.marker == "s" else colour
            ax.plot(gain.mean, y, row.marker, color=colour, mfc=face, markersize=8, markeredgewidth=1.6)
        y += 0.25
    ax.set(ylim=(y + 0.2, -0.65), xlim=(low - 0.04 * span, high + 0.04 * span), yticks=[])
    ax.spines["left"].set_visible(False)
    ax.set_xlabel("← worse  ·  points  ·  better →")
    told = "; ".join(
        f"{r.label} {words}: {points(r.gain.mean)}, {points(r.gain.low)} to {points(r.gain.high)}"
        for words, group in groups.items()
        for r in group
    )
    return as_svg(fig, f"Gains in points with 95 % intervals. {told}.")


@in_style
def learning_curve(
    gains: Sequence[tuple[float, Gain]], arms: Sequence[tuple[str, float]], base: str
) -> Markup:
    """Return the gains of real samples by their number, and lines at the gains of arms (label, points)."""
    fig, ax = new_figure(WIDE, 3.4)
    x, y = [0.0, *(n for n, _ in gains)], [0.0, *(g.mean for _, g in gains)]
    ends = np.array([[g.mean - g.low, g.high - g.mean] for _, g in gains]).T
    ax.plot(x, y, color=BLUE, linewidth=1.6)
    ax.errorbar(x[1:], y[1:], ends, fmt="^", color=BLUE, markersize=8, capsize=4, linewidth=1.2)
    ax.plot(0, 0, "s", color=BLUE, mfc=PAPER, markersize=8, clip_on=False, zorder=3)
    above = dict(sorted(arms, key=lambda arm: arm[1])[-1:])
    for (label, gain), line in zip(arms, ("-", DASHED), strict=False):
        ax.axhline(gain, color=ORANGE, linewidth=2, linestyle=line, zorder=0)
        up = label in above
        place: dict[str, Any] = {"textcoords": "offset points", "va": "bottom" if up else "top"}
        box = {"facecolor": PAPER, "edgecolor": "none", "alpha": 0.8, "pad": 1}
        ax.annotate(
            f"{label} {points(gain)}", (x[-1], gain), (0, 3 if up else -3), ha="right", bbox=box, **place
        )
    ax.margins(y=0.15)
    ax.set(xlabel="real samples added", ylabel=f"points over {base}", xlim=(-0.03 * x[-1], 1.04 * x[-1]))
    told = "; ".join(f"{n:g}: {points(g.mean)}, {points(g.low)} to {points(g.high)}" for n, g in gains)
    drawn = "; ".join(f"{label} {points(gain)}" for label, gain in arms)
    return as_svg(fig, f"Gains in points over {base} by real samples added: {told}. Lines: {drawn}.")


@in_style
def recalls(names: Sequence[str], differences: Array) -> Markup:
    """Return differences (n_seeds, n_classes) in points: a tick per seed and the mean, a row per class."""
    means = _nanmean(differences)
    fig, ax = new_figure(WIDE, 0.8 + 0.32 * len(names))
    for y, (mean, values) in enumerate(zip(means, differences.T, strict=True)):
        ax.plot(values, np.full(len(values), y), "|", color=MUTED, markersize=8)
        marker = "o" if abs(mean) < 0.05 else (">" if mean > 0 else "<")
        ax.plot(mean, y, marker, color=ORANGE if mean < -0.05 else BLUE, markersize=8)
        text = "not tested" if np.isnan(mean) else signed(mean, 1)
        ax.text(1.02, y, text, transform=ax.get_yaxis_transform(), va="center")
    ax.axvline(0, color=INK, linewidth=1, linestyle=DASHED, zorder=0)
    left, right = ax.get_xlim()
    ax.set(xlim=(min(left, -1), max(right, 1)))
    ax.set(ylim=(len(names) - 0.4, -0.6), yticks=range(len(names)))
    ax.set_yticklabels(distinct_labels(names, 14), color=INK)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel("← worse  ·  points of recall  ·  better →")
    told = "; ".join(f"{plain_label(n)} {m:+z.1f}" for n, m in zip(names, means, strict=True))
    return as_svg(fig, f"Differences of recall by class, in points: {told}.")


@in_style
def confusion(names: Sequence[str], shares: Array, title: str, *, change: bool = False) -> Markup:
    """Return shares (n, n) in percent of each true class, or their differences, with numbers in the cells."""
    from matplotlib.patches import Rectangle

    n = len(names)
    side = max(3.6, 0.34 * n + 1.0)
    fig, ax = new_figure(side, side)
    top = max(1.0, float(np.nanmax(np.abs(shares)))) if change else 100.0
    for i, j in np.ndindex(n, n):
        value = float(shares[i, j])
        if np.isnan(value) or not round(value):
            continue
        strength = min(1.0, abs(value) / top) ** 0.7
        lost = change and value < 0
        colour, corner = ORANGE if lost else BLUE, (j - 0.5, i - 0.5)
        ax.add_patch(Rectangle(corner, 1, 1, facecolor=colour, edgecolor="none", alpha=0.85 * strength))
        if lost:
            ax.add_patch(Rectangle(corner, 1, 1, facecolor="none", edgecolor="none", hatch="////"))
        text = signed(value, 0) if change else f"{value:.0f}"
        box = {"facecolor": PAPER, "edgecolor": "none", "alpha": 0.8, "pad": 0.8} if lost else None
        ink = PAPER if strength > 0.6 and not lost else INK
        where: dict[str, Any] = {"ha": "center", "va": "center", "in_layout": False}
        ax.text(j, i, text, fontsize=8.5, color=ink, bbox=box, **where)
    places = np.arange(n + 1) - 0.5
    for draw in (ax.hlines, ax.vlines):
        draw(places, -0.5, n - 0.5, color=LINE, linewidth=0.5)
    labels = distinct_labels(names, 11)
    ax.set(xlim=(-0.5, n - 0.5), ylim=(n - 0.5, -0.5), aspect="equal", xticks=range(n), yticks=range(n))
    turned = max(map(len, labels)) > 2
    ax.set_xticklabels(labels, rotation=90 if turned else 0, color=INK, fontsize=8)
    ax.set_yticklabels(labels, color=INK, fontsize=8)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set(xlabel="predicted", ylabel="true")
    diagonal = np.diag(shares)
    told = ", ".join(f"{plain_label(m)} {v:z.0f}" for m, v in zip(names, diagonal, strict=True))
    return as_svg(fig, f"{title}, percent of each true class; on the diagonal: {told}.")


@in_style
def calibration(curves: dict[str, tuple[Array, Array]]) -> Markup:
    """Return the share of right predictions against confidence, for two arms (mean confidence, share)."""
    fig, ax = new_figure(3.8, 3.6)
    ax.plot([0, 100], [0, 100], color=MUTED, linewidth=1, linestyle=DASHED)
    looks = zip((("s", BLUE, "--"), ("D", ORANGE, "-")), curves.items(), strict=False)
    for (marker, colour, line), (name, (confidence, right)) in looks:
        face = PAPER if marker == "s" else colour
        label = plain_label(name)
        ax.plot(confidence, right, line, marker=marker, color=colour, markerfacecolor=face, label=label)
    lowest = min((float(min(c.min(), r.min())) for c, r in curves.values() if len(c)), default=0.0)
    ax.set(xlim=(max(0, lowest - 5), 100), ylim=(max(0, lowest - 5), 100), aspect="equal")
    ax.set(xlabel="confidence, percent", ylabel="right, percent")
    ax.legend(frameon=False, loc="upper left", labelcolor=INK, fontsize=9)
    return as_svg(fig, f"Share of right predictions against confidence for {' and '.join(curves)}.")


@in_style
def doses(tried: Sequence[Sequence[tuple[float, float]]]) -> Markup:
    """Return scores in percent on held-out samples against the dose, a thin line per seed and their mean."""
    fig, ax = new_figure(WIDE, 3.2)
    for pairs in tried:
        x, y = np.array(pairs).T
        ax.plot(x, 100 * y, color=MUTED, linewidth=0.8)
        ax.plot(x[y.argmax()], 100 * y.max(), "*", color=ORANGE, markersize=12)
    full = [pairs for pairs in tried if [d for d, _ in pairs] == [d for d, _ in tried[0]]]
    x, y = np.array(full).mean(0).T
    ax.plot(x, 100 * y, "o-", color=BLUE, linewidth=2.4, markersize=6)
    ax.set(xticks=x, xlabel="share of the added samples that is used", ylabel="percent, on held-out samples")
    ax.set_xticklabels([f"{d:g}" for d in x])
    told = ", ".join(f"{a:g}: {100 * b:.1f}" for a, b in zip(x, y, strict=True))
    return as_svg(fig, f"Mean score in percent by dose. {told}.")


def _nanmean(values: Array) -> Array:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Mean of empty slice")
        means: Array = np.nanmean(values, axis=0)
        return means
