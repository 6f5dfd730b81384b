"""Is the game still a game? Signs of trouble in the figures of an interval, and what to do about each."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from ganaug.training.state import GANState

MAX_SKIPS = 5
"""So many steps in a row without a finite gradient, and the state goes back."""
MAX_ROLLBACKS = 3
EXPLOSION = 100.0
"""A gradient or penalty so many times its median over earlier intervals is an explosion."""
SMALL = 0.1
"""...where that median is at least this: tiny figures may grow a lot."""
VANISHED = 1e-4
"""A gradient below this share of its median has vanished: one player has won, or died."""
FLAT, MAX_FLAT = 0.01, 5
"""A class whose spread stays below this share of the real one for so many intervals never began to live."""
SATURATION, MAX_WON = 0.99, 4
"""D is right on this share of real and of fake samples; if G's samples have no spread or are where they
began, D has won, and after so many intervals in a row the state goes back."""
BEGAN = 0.75
"""Samples are where they began if they keep this share of the untrained G's distance from the data."""
ALIVE = 0.3
"""A class whose spread once came above this share of the spread of its real samples was alive;"""
COLLAPSE = 0.25
"""one whose spread falls to this share of its best one so far has collapsed..."""
COLLAPSED_SPREAD = 0.1
"""...if it is also below this share of the spread of its real samples..."""
MAX_COLLAPSED = 2
"""...and after so many intervals in a row the state goes back: early on spread may dip and return."""


class Health:
    """The last state known to be sound, and what to make of the figures since."""

    def __init__(self, state: GANState, sound: dict[str, Tensor] | None = None):
        self._sound = _copy(state) if sound is None else sound
        self.images_kept = int(self._sound["counts.images_seen"]) or None
        self.lost = False

    def remember(self, state: GANState) -> bool:
        """Keep a copy of the state unless it is amid trouble or a class has no spread; return whether."""
        trouble = state.n_skipped_in_a_row or state.n_collapsed or state.n_won or state.n_flat
        if not trouble:
            self._sound, self.images_kept = _copy(state), state.images_seen
        return not trouble

    def count(self, state: GANState, stats: Mapping[str, Tensor]) -> bool:
        """Add the figures of a step to the sums; return whether too many in a row were skipped."""
        finite = all(bool(torch.isfinite(stats[name])) for name in ("gradient/D", "gradient/G"))
        state.n_skipped_in_a_row = 0 if finite else state.n_skipped_in_a_row + 1
        state.n_skipped += not finite
        if finite:
            state.add_figures(stats)
        return state.n_skipped_in_a_row >= MAX_SKIPS

    def diagnose(
        self,
        state: GANState,
        line: Mapping[str, Any],
        spread: Tensor,
        history: Sequence[Mapping[str, Any]],
    ) -> tuple[bool, str]:
        """Return whether an interval went wrong, and one line on it."""
        skipped, state.n_skipped = state.n_skipped, 0
        if state.n_skipped_in_a_row >= MAX_SKIPS:
            return True, f"{state.n_skipped_in_a_row} steps in a row without a finite gradient"
        if skipped and "loss/D" not in line:
            return True, f"none of {skipped} steps had a finite gradient"
        broken = [name for name, value in line.items() if not math.isfinite(value)]
        broken += _not_finite(state)
        if broken or not torch.isfinite(spread).all():
            return True, f"not finite: {', '.join(broken) or 'samples'}"
        for name in ("gradient/D", "gradient/G", "penalty"):
            earlier = [before[name] for before in history if math.isfinite(before.get(name, math.nan))]
            if len(earlier) >= 3 and line.get(name, 0) > EXPLOSION * max(median(earlier), SMALL):
                return True, f"{name} exploded to {line[name]:.3g}"
            if name != "penalty" and len(earlier) >= 3 and line.get(name, 1) < VANISHED * median(earlier):
                return True, f"{name} vanished: {line[name]:.3g}"
        state.n_flat = state.n_flat + 1 if (spread < FLAT).any() else 0
        if state.n_flat >= MAX_FLAT:
            return True, f"{int((spread < FLAT).sum())} classes without any spread in {MAX_FLAT} intervals"
        remarks = []
        best = state.best_spread if len(state.best_spread) else torch.zeros_like(spread)
        gone = (best > ALIVE) & (spread < COLLAPSE * best) & (spread < COLLAPSED_SPREAD)
        state.n_collapsed = state.n_collapsed + 1 if gone.any() else 0
        if gone.any():
            remarks.append(f"collapse of {int(gone.sum())} classes, first {int(gone.nonzero()[0])}")
            if state.n_collapsed >= MAX_COLLAPSED:
                return True, remarks[0]
        state.best_spread = torch.maximum(best, spread)
        if skipped:
            remarks.append(f"skipped {skipped} steps without a finite gradient")
        saturated = min(line.get("right/real", 0), line.get("right/fake", 0)) > SATURATION
        won = saturated and (state.n_flat > 0 or line["distance"] > BEGAN * float(state.began))
        state.n_won = state.n_won + 1 if won else 0
        if state.n_won >= MAX_WON:
            return True, f"D has won: right on every sample in {MAX_WON} intervals, and G does not learn"
        if saturated:
            remarks.append("D is right on every sample: lower lr_D, or add a regularizer such as 'r1'")
        if state.n_chunks > 1:
            remarks.append(f"short of memory: batches cut into {state.n_chunks}")
        return False, "; ".join(remarks) or "good"

    def go_back(self, state: GANState) -> str:
        """Restore the last sound state with halved rates, and say so; after the last time it is lost.

        The images seen go on counting, so that the same random numbers do not come again.
        """
        counts = state.images_seen, state.n_rollbacks + 1, state.lr_scale / 2, state.n_chunks, state.began
        state.load_tensors(self._sound, origin=Path("memory"))
        state.images_seen, state.n_rollbacks, state.lr_scale, state.n_chunks, state.began = counts
        state.sums, state.n_flat, state.n_won = {}, 0, 0
        self.lost = state.n_rollbacks > MAX_ROLLBACKS
        if self.lost:
            return f"; given up after {MAX_ROLLBACKS} steps back"
        return f"; back to the last sound state, rates times {state.lr_scale:g}"


def _copy(state: GANState) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in state.tensors().items()}


def _not_finite(state: GANState) -> list[str]:
    """Return which of both players and the average hold a weight or statistic that is not finite."""
    players = {"G": state.G, "D": state.D, "G_ema": state.G_ema}
    return [
        f"weights of {name}"
        for name, player in players.items()
        if not all(torch.isfinite(v).all() for v in player.state_dict().values() if v.is_floating_point())
    ]
