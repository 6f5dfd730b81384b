"""How many seeds a gain would need to be seen, and how small a gain these seeds would show.

The spread is itself known from few seeds only. Taken for the true one, it would promise too much: the gain
that 3 seeds are said to show in 80 % of comparisons would be found in 63 %. Powers are therefore averages
over what the variance may be, given the seeds (its posterior under a flat prior of its logarithm, a scaled
inverse chi2: the "assurance"). A gain that is said to be found in 80 % of comparisons then is, whatever the
true variance. The power at one fixed gain leans to the middle instead: with 3 seeds, up to 12 points too high
where it is low, and as much too low where it is high.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy import optimize, special

from ganaug.experiment.statistics import MANY, CrossedEstimate, Estimate

POWER = 0.8
MOST_SEEDS = 10_000
FEW_SEEDS = 4
SURE = 30.0  # standard errors, at which the noncentral t leaves no doubt
LEVELS = (np.arange(60) + 0.5) / 60


@dataclass(frozen=True)
class Power:
    """What a two-sided test at 5 % against one control can see with a chance of 80 %."""

    gain: float  # points asked about
    seeds: int | None  # that this gain would need; None where no number would do
    smallest_gain: float  # points, that `planned` seeds would show
    least_gain: float  # points, that even endless seeds of this kind would show
    planned: int
    seen: int  # seeds that tell the spread
    given_test: bool = False  # all seeds share one test set

    def __str__(self) -> str:
        """Return one or two sentences."""
        asked = f"a gain of {self.gain:g} {'point' if self.gain == 1 else 'points'}"
        if self.seeds is not None:
            often = "against one control in 4 of 5 comparisons"
            first = f"To be seen {often}, {asked} needs about {self.seeds} seeds"
        elif self.least_gain < self.gain:
            first = f"To be seen against one control, {asked} needs more than {MOST_SEEDS:,} seeds"
        else:
            larger = (self.least_gain / self.gain) ** 2
            times = f"more than {larger:.1f} times as large" if larger >= 1.1 else "that is larger"
            more = f"a test set {times}" if self.given_test else "more data"
            first = f"No number of seeds would show {asked}, but {more} might"
        few = (
            f" {self.seen} seeds say little about the spread, so that these numbers have to allow for much; "
            "more seeds would tell."
        )
        return (
            f"{first}; {self.planned} seeds like these would show a gain of {self.smallest_gain:.2f}."
            f"{few if self.seen <= FEW_SEEDS else ''}"
        )


def power_of(estimate: Estimate, gain: float, n_seeds: int | None = None) -> float:
    """Return the chance that so many new seeds find a true gain, averaged over what their spread may be."""
    if estimate.error == 0:
        return 1.0
    df = estimate.n_seeds - 1
    factors = df / special.chdtri(df, 1 - LEVELS)
    new = replace(estimate, n_seeds=n_seeds or estimate.n_seeds)
    guesses = [new.scaled(float(factor)) for factor in factors]
    errors = np.array([g.error for g in guesses])
    dfs = np.minimum([g.df for g in guesses], 1e6)
    shifts = np.minimum(gain / errors, SURE)
    return float(1 - special.nctdtr(dfs, shifts, special.stdtrit(dfs, 0.975)).mean())


def power(estimate: Estimate, gain: float = 1.0, planned: int | None = None) -> Power:
    """Return what new seeds of the kind of an estimate could show, by default as many as those seen."""
    seen = estimate.n_seeds
    planned, crossed = planned or seen, isinstance(estimate, CrossedEstimate)
    if estimate.spread == 0 and estimate.floor == 0:
        return Power(gain, 3, 0.0, 0.0, planned, seen, crossed)
    least = _smallest_gain(estimate, int(MANY)) if estimate.floor else 0.0
    smallest = _smallest_gain(estimate, planned)
    return Power(gain, _seeds(estimate, gain), smallest, least, planned, seen, crossed)


def _smallest_gain(estimate: Estimate, n_seeds: int) -> float:
    def missing(gain: float) -> float:
        return power_of(estimate, gain, n_seeds) - POWER

    return float(optimize.brentq(missing, 0, 100 * estimate.error, xtol=1e-6))


def _seeds(estimate: Estimate, gain: float) -> int | None:
    low, high = 2, 3
    while power_of(estimate, gain, high) < POWER:
        if high == MOST_SEEDS:
            return None
        low, high = high, min(2 * high, MOST_SEEDS)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power_of(estimate, gain, middle) >= POWER else (middle, high)
    return high
