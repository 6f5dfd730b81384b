"""How many seeds a gain would need to be seen, and how small a gain these seeds would show."""

from dataclasses import dataclass, replace

import numpy as np
from scipy import optimize, stats

from ganaug.experiment.statistics import Estimate

POWER = 0.8
MOST_SEEDS = 10_000


@dataclass(frozen=True)
class Power:
    """What a two-sided test at 5 % against one control can see with a power of 80 %."""

    gain: float  # points asked about
    seeds: int | None  # that this gain would need; None where no number would do
    smallest_gain: float  # points, that the present number of seeds would show
    least_gain: float  # points, that even endless seeds of this kind would show

    def __str__(self) -> str:
        """Return one sentence."""
        now = f"the present seeds would show a gain of {self.smallest_gain:.2f}"
        if self.seeds is not None:
            return (
                f"At the spread that was seen, a gain of {self.gain:g} points would need about {self.seeds} "
                f"seeds, and more where few seeds have seen too little of it; {now}."
            )
        larger = (self.least_gain / self.gain) ** 2
        return (
            f"No number of seeds would show a gain of {self.gain:g} points, but a test part more than "
            f"{larger:.1f} times as large might; {now}."
        )


def power_of(estimate: Estimate, gain: float) -> float:
    """Return the chance that a true gain is found, at the spread of an estimate (noncentral t)."""
    if estimate.error == 0:
        return 1.0
    shift, df = gain / estimate.error, min(estimate.df, 1e6)
    return float(stats.nct.sf(stats.t.ppf(0.975, df), df, shift))


def power(estimate: Estimate, gain: float = 1.0) -> Power:
    """Return what further seeds with the spread of an estimate could show."""
    least = float(stats.norm.ppf(0.975) + stats.norm.ppf(POWER)) * float(np.sqrt(estimate.floor))
    if estimate.spread == 0 and least == 0:
        return Power(gain, 2, 0.0, 0.0)
    smallest = optimize.brentq(lambda g: power_of(estimate, g) - POWER, 0, 100 * estimate.error)
    return Power(gain, _seeds(estimate, gain) if least < gain else None, float(smallest), least)


def _seeds(estimate: Estimate, gain: float) -> int | None:
    low, high = 1, 2
    while power_of(replace(estimate, n_seeds=high), gain) < POWER:
        low, high = high, 2 * high
        if high > MOST_SEEDS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        enough = power_of(replace(estimate, n_seeds=middle), gain) >= POWER
        low, high = (low, middle) if enough else (middle, high)
    return high
