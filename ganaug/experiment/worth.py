"""Worth: how many more real samples would have done as much as an arm did."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ganaug.experiment.contrasts import Contrasts

MOST_STEPS = 400
ROUNDING = 1e-9  # points


@dataclass(frozen=True)
class Worth:
    """So many real samples, on top of those that every arm trains on, with their 95 % interval."""

    samples: int | None  # None: more than `most`
    low: int | None
    high: int | None
    most: int  # that an oracle added

    def __str__(self) -> str:
        """Return the number and its interval."""
        number, low, high = (
            f"> {self.most}" if n is None else str(n) for n in (self.samples, self.low, self.high)
        )
        return f"{number} [{low}, {high}]"


def worth(contrasts: Contrasts, arm: str, added: Mapping[str, float]) -> Worth | None:
    """Return the least number of added real samples at which the learning curve reaches an arm.

    The learning curve is the straight line, seed by seed, from the scores of the control that adds nothing
    to those of each oracle. Its first crossing is the same as that of its running maximum, the monotone
    curve that never credits an arm with more samples than an oracle needed to do as well. The
    interval holds each number of samples at which the arm is neither surely better nor surely worse than the
    curve: it allows for luck in the curve as in the arm, and at the oracles it is that of the gain over them.
    It holds the number itself, even where that is a coarse step past the crossing.

    Parameters
    ----------
    contrasts : Contrasts
        Of the arms.
    arm : str
        The arm.
    added : dict of {str: float}
        Real samples added, by arm, 0 for one of them.

    Returns
    -------
    Worth or None
        None without an oracle, and where no oracle did better than nothing added: then real samples are no
        measure.

    Examples
    --------
    >>> scores = {"nothing": [50, 52, 51], "reserve": [60, 62, 61], "gan": [54.9, 57, 56.1]}
    >>> found = Contrasts({k: np.array(v) for k, v in scores.items()}, resolution=0.1)
    >>> str(worth(found, "gan", {"nothing": 0, "reserve": 100}))
    '50 [48, 52]'
    """
    points = sorted(added.items(), key=lambda point: point[1])
    names, places = [name for name, _ in points], np.array([n for _, n in points])
    if len(points) < 2 or max(contrasts.over(name, names[0]).mean for name in names) <= 0:
        return None
    most = round(float(places[-1]))
    steps = np.unique(np.linspace(0, most, min(most, MOST_STEPS) + 1).round()).astype(int).tolist()
    gains = []
    for n in steps:
        i = int(np.clip(np.searchsorted(places, n), 1, len(places) - 1))
        after = float(np.interp(n, places[i - 1 : i + 1], [0.0, 1.0]))
        weights = [(arm, 1.0), (names[i - 1], after - 1), (names[i], -after)]
        gains.append(contrasts.estimate(weights).gain())
    reached = next((n for n, g in zip(steps, gains, strict=True) if g.mean <= ROUNDING), None)
    unsurpassed = [n for n, g in zip(steps, gains, strict=True) if g.high >= -ROUNDING]
    return Worth(
        samples=reached,
        low=next((n for n, g in zip(steps, gains, strict=True) if g.low <= ROUNDING), None),
        high=None if most in unsurpassed else max([*unsurpassed, reached or 0]),
        most=most,
    )
