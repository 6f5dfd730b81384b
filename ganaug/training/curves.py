"""The figures of a run as curves over the images seen."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

PANELS = {
    "losses": ("loss/D", "loss/G", "penalty"),
    "logits": ("logits/real", "logits/fake"),
    "gradient norms": ("gradient/D", "gradient/G"),
    "samples: kernel distance, least spread": ("distance", "spread"),
}


def draw_curves(history: Sequence[dict[str, Any]], path: Path | BinaryIO) -> None:
    """Draw losses, logits, gradients and quality of a history to an image file."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6), layout="constrained")
    for axes, (title, names) in zip(figure.subplots(2, 2).flat, PANELS.items(), strict=True):
        for name in names:
            points = [(line["images_seen"], line[name]) for line in history if name in line]
            if points:
                axes.plot(*zip(*points, strict=True), label=name, marker="." if len(points) < 30 else None)
        axes.set_title(title, fontsize="medium")
        axes.set_xlabel("real images shown to D")
        if axes.lines:
            axes.legend(fontsize="small")
    figure.savefig(path, dpi=100, format="png")
