"""Intervals for paired differences, and the choice of the control to be beaten."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import stats

Verdict = Literal["helps", "no evidence", "hurts"]


@dataclass(frozen=True)
class Gain:
    """A mean paired difference with its 95 % interval, in the unit of the differences."""

    mean: float
    low: float
    high: float
    p_value: float  # two-sided

    @property
    def verdict(self) -> Verdict:
        """Return "helps" or "hurts" where the interval leaves out 0, else "no evidence"."""
        if self.low > 0:
            return "helps"
        return "hurts" if self.high < 0 else "no evidence"


def corrected_gain(
    differences: Any, *, overlap: float = 0.0, level: float = 0.95, resolution: float = 0.0
) -> Gain:
    """Return the mean of paired differences with a corrected t interval (Nadeau and Bengio, 2003).

    Parameters
    ----------
    differences : array of shape (n_seeds,)
        Treatment minus control, one per seed.
    overlap : float, default=0.0
        ``n_test / n_train`` where the seeds share samples, which makes their differences correlated;
        0 where they share none, which gives the ordinary paired t interval.
    level : float, default=0.95
        Coverage.
    resolution : float, default=0.0
        Step of the scores. Differences that agree are known only to such a step, so that their
        variance is taken to be at least that of rounding to it.

    Returns
    -------
    Gain

    Examples
    --------
    >>> gain = corrected_gain([1.0, 2.0, 3.0])
    >>> round(gain.mean, 2), round(gain.low, 2), round(gain.high, 2), gain.verdict
    (2.0, -0.48, 4.48, 'no evidence')
    """
    values = np.asarray(differences, dtype=float)
    n = len(values)
    mean = float(values.mean())
    variance = max(values.var(ddof=1), resolution**2 / 12 if values.any() else 0.0)
    error = float(np.sqrt((1 / n + overlap) * variance))
    if error == 0:
        return Gain(mean, mean, mean, 1.0 if mean == 0 else 0.0)
    half = error * float(stats.t.ppf((1 + level) / 2, n - 1))
    p_value = float(2 * stats.t.sf(abs(mean) / error, n - 1))
    return Gain(mean, mean - half, mean + half, p_value)


def against_best_control(
    treatment: Any, controls: Mapping[str, Any]
) -> tuple[np.ndarray[Any, Any], list[str]]:
    """Return the paired differences to the best control, chosen for each seed on the other seeds.

    The score that a control gets in a seed has no part in choosing it for that seed, so that the
    choice adds no luck to either side.

    Parameters
    ----------
    treatment : array of shape (n_seeds,)
        Scores of the treatment.
    controls : dict of {name: array of shape (n_seeds,)}
        Scores of every control.

    Returns
    -------
    differences : ndarray of shape (n_seeds,)
    chosen : list of str
        The control of each seed.

    Examples
    --------
    >>> against_best_control([5, 5, 5], {"a": [1, 1, 9], "b": [2, 2, 2]})
    (array([4., 4., 3.]), ['a', 'a', 'b'])
    """
    names = list(controls)
    scores = np.array([controls[name] for name in names], dtype=float)
    others = (scores.sum(axis=1, keepdims=True) - scores) / (scores.shape[1] - 1)
    best = others.argmax(axis=0)
    seeds = np.arange(scores.shape[1])
    return np.asarray(treatment, dtype=float) - scores[best, seeds], [names[i] for i in best]


def gain_over_best_control(
    treatment: Any, controls: Mapping[str, Any], *, overlap: float = 0.0, resolution: float = 0.0
) -> Gain:
    """Return the gain over the best of several controls, with an interval that allows for the choice.

    The mean is that of the differences to the control chosen on the other seeds. These choices overlap,
    so that their differences agree more than independent ones would, and their t interval alone is too
    narrow. It is widened until a gain means better than every control by a test of its own
    (intersection-union), and a loss means worse than some control at the level of all (Bonferroni).

    Parameters
    ----------
    treatment : array of shape (n_seeds,)
        Scores of the treatment.
    controls : dict of {name: array of shape (n_seeds,)}
        Scores of every control.
    overlap, resolution : float, default=0.0
        As in `corrected_gain`.

    Returns
    -------
    Gain

    Examples
    --------
    >>> gain = gain_over_best_control([5, 6, 7.5], {"a": [1, 2, 3], "b": [2, 1, 2.5]})
    >>> round(gain.mean, 2), round(gain.low, 2), round(gain.high, 2), gain.verdict
    (4.5, 1.46, 5.74, 'helps')
    """
    known: dict[str, float] = {"overlap": overlap, "resolution": resolution}
    crossed = corrected_gain(against_best_control(treatment, controls)[0], **known)
    differences = [np.asarray(treatment, dtype=float) - np.asarray(c, dtype=float) for c in controls.values()]
    single = [corrected_gain(d, **known) for d in differences]
    n = len(single)
    joint = [corrected_gain(d, level=1 - 0.05 / n, **known) for d in differences]
    p_helps = max(_tail(g) for g in (crossed, *single))
    p_hurts = max(1 - _tail(crossed), n * min(1 - _tail(g) for g in single))
    return Gain(
        mean=crossed.mean,
        low=min(g.low for g in (crossed, *single)),
        high=max(crossed.high, min(g.high for g in joint)),
        p_value=min(1.0, 2 * min(p_helps, p_hurts)),
    )


def _tail(gain: Gain) -> float:
    """Return the one-sided p value of "greater than 0"."""
    return gain.p_value / 2 if gain.mean > 0 else 1 - gain.p_value / 2
