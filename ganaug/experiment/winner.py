"""The classifier that a verdict recommends, trained again as in its first seed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ganaug.experiment.fitted import FittedClassifier
from ganaug.experiment.jobs import Part, Trained, refitted
from ganaug.experiment.plan import Plan

if TYPE_CHECKING:
    from ganaug.experiment.comparison import Comparison

__all__ = ["Winner", "winner"]


@dataclass(frozen=True)
class Winner:
    """A fitted classifier, the arm and seed it was trained in, and its real training samples."""

    arm: str
    seed: int
    classifier: FittedClassifier
    X: Any


def winner(result: "Comparison", plan: Plan, part_of: Callable[[int], Part], first: Trained | None) -> Winner:
    """Return the primary treatment's classifier where it helps, else that of the best control.

    `first` is the generator of the first seed; where that seed failed, the next one's is trained anew.
    """
    arm = result.primary if result.verdict == "helps" else result.best_control
    cell = min((c for c in result.cells if c.arm == arm), key=lambda c: c.seed)
    part = part_of(cell.seed)
    trained = first if first is not None and first.seed == cell.seed else None
    return Winner(arm, cell.seed, refitted(plan, part, cell, trained), part.X)
