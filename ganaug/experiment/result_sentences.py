"""A comparison in words: the verdict, what of it is the generator's own, what it is worth in real samples."""

from typing import TYPE_CHECKING

from ganaug.experiment.statistics import Gain
from ganaug.experiment.worth import ROUNDING, Worth

if TYPE_CHECKING:
    from ganaug.experiment.comparison import Comparison


def points(value: float) -> str:
    """Return points with their sign; of a number that is not 0, never 0.

    Examples
    --------
    >>> points(1.234), points(-0.0), points(-0.0021)
    ('+1.23', '+0.00', '-0.002')
    """
    text = f"{value:+z.2f}"
    return f"{value:+.1g}" if float(text) == 0 and abs(value) > ROUNDING else text


def interval(gain: Gain) -> str:
    """Return a gain and its interval, to stand in a table."""
    return f"{points(gain.mean)} [{points(gain.low)}, {points(gain.high)}]"


def quoted(arm: str) -> str:
    """Return the name of an arm, in quotes where it holds a comma."""
    return f"'{arm}'" if "," in arm else arm


def verdict_sentence(result: "Comparison") -> str:
    """Return the verdict with the figures behind it."""
    words: str = result.verdict
    if words == "no evidence":
        none = f"no difference larger than {_count(result.rope, 'point')}"
        words = none if result.equivalent else "no evidence of gain"
    elif result.equivalent:
        words += f", by less than {_count(result.rope, 'point')}"
    n_seeds = len({c.seed for c in result.cells})
    given = "with these training samples " if result.one_training_set else ""
    given += "on one test set, whose samples are resampled" if result.given_test else ""
    return (
        f"{words}: {quoted(result.primary)} against the best control ({result.best_control}) "
        f"{points(result.gain.mean)} points of {result.metric.replace('_', ' ')}, 95 % interval "
        f"{points(result.gain.low)} to {points(result.gain.high)}, {n_seeds} paired seeds {given}".rstrip()
        + f".{_failures(result)}"
    )


def _failures(result: "Comparison") -> str:
    """Return what is missing from the comparison."""
    if result.lost_controls:
        lost = " and ".join(map(quoted, result.lost_controls))
        return f" Not compared with {lost}, which failed: it may be the better control."
    arms = dict.fromkeys(quoted(f.arm) for f in result.failed)
    seeds = len({f.seed for f in result.failed})
    left_out = f"{seeds} {'seed is' if seeds == 1 else 'seeds are'} left out"
    return f" {left_out}, in which {' and '.join(arms)} failed." if arms else ""


def twin_sentence(result: "Comparison") -> str:
    """Return what of the primary treatment's gain is the generator's own."""
    arm, twin, gain = quoted(result.primary), result.twins.get(result.primary), result.twin_gain
    if twin is None or gain is None:
        lost = f"{arm} was compared with no twin" if twin is None else f"its twin ({twin}) failed too often"
        return f"What of it is the generator's own is not known: {lost}."
    figures = f"{arm} against its twin ({twin}), the same but for what the generator makes, {_told(gain)}"
    plain = quoted(result.reference)
    whole = result.gain_over(result.primary, result.reference)
    gained = f"{arm} against {plain} {_told(whole)}"
    if gain.verdict == "hurts":
        return f"Worse than without the generator: {figures}."
    if gain.verdict == "helps" and result.verdict == "helps":
        return f"The gain is the generator's own: {figures}."
    if gain.verdict == "helps" and whole.verdict == "helps":
        return (
            f"The generator adds to its recipe, but is not surely better than every control: {figures}; "
            f"against the best control ({result.best_control}) {_told(result.gain)}."
        )
    if gain.verdict == "helps":
        but = (
            f"surely worse than {plain}"
            if whole.verdict == "hurts"
            else f"with no evidence of a gain over {plain}"
        )
        return f"Better than without the generator, but {but}: {figures}; {gained}."
    own = "no evidence that the generator adds anything"
    if whole.verdict == "hurts":
        return f"{own[0].upper()}{own[1:]}, and surely worse than {plain}: {figures}; {gained}."
    if whole.verdict != "helps":
        return f"{own[0].upper()}{own[1:]}: {figures}."
    recipe = result.gain_over(twin, result.reference)
    if recipe.verdict == "helps":
        return f"It is the recipe that helps, with {own}: {gained}; the twin {_told(recipe)}; {figures}."
    return f"Better than {plain}, but with {own}: {gained}; {figures}."


def worth_sentence(result: "Comparison") -> str:
    """Return what the primary treatment is worth in real samples, or why that is not known."""
    unknown = "What it is worth in real samples is not known"
    if not result.real_samples_added:
        oracles = "oracle" in result.roles.values()
        return f"{unknown}: " + (
            "no control adds and changes nothing, with an oracle of the same kind."
            if oracles
            else "no oracle was compared."
        )
    found = result.worth
    if found is None:
        most = round(max(result.real_samples_added.values()))
        return f"{unknown}: up to {_count(most, 'more real sample')} did not help."
    twin = result.twins.get(result.primary, "")
    beside = result.worth_of(twin) if twin in result.roles else None
    also = "" if beside is None else f", its twin ({twin}) {_number(beside)}"
    base = result.cells_of(result.learning_curve[0])
    return (
        f"In real samples, on top of the {round(sum(c.n_train for c in base) / len(base))} there are, "
        f"{quoted(result.primary)} is worth {_number(found)}{also}."
    )


def _told(gain: Gain) -> str:
    return f"{points(gain.mean)} points, 95 % interval {points(gain.low)} to {points(gain.high)}"


def _count(n: float, thing: str) -> str:
    return f"{n:g} {thing}{'' if n == 1 else 's'}"


def _number(found: Worth) -> str:
    if found.low is None:
        return f"more than {found.most} (as is all of the 95 % interval)"
    low, high = (f"more than {found.most}" if n is None else str(n) for n in (found.low, found.high))
    number = {None: f"more than {found.most}", 0: "none"}.get(found.samples, f"about {found.samples}")
    return f"{number} (95 % interval {low} to {high})"
