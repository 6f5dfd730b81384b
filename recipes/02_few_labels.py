"""Ten labelled samples per class: whether generated ones help, and how many real ones would do as much."""

# %% Real data: handwritten digits; 600 to test on, and a pool of which each seed labels 10 per class
import argparse

from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import ganaug

BLUE, ORANGE = "#1d5f9e", "#b4530a"

CONTROLS = ["nothing", "oversampling", "classic"]  # copies as they are, and shifted, turned and blurred
TREATMENTS = ["gan", "gan + classic"]  # named before any score is seen: the verdict is about the last
ORACLES = ["quarter of reserve", "half of reserve", "reserve"]  # add real samples that no other arm sees


def make_data():
    """Return a pool of labelled digits, and others to test on."""
    X, y = load_digits(return_X_y=True)
    return train_test_split(X.reshape(-1, 8, 8), y, test_size=600, stratify=y, random_state=0)


# %% The scores as a picture: what each arm gains, beside what real samples would
def draw(result, path):
    """Draw the gains over doing nothing, and over the number of real samples added."""
    fig = Figure(figsize=(7, 3), layout="constrained")
    left, right = fig.subplots(1, 2)
    names = [*CONTROLS[1:], *TREATMENTS]
    for row, name in enumerate(names):
        gain, colour = result.gain_over(name, "nothing"), ORANGE if name in TREATMENTS else BLUE
        left.plot([gain.low, gain.high], [row, row], color=colour, linewidth=2)
        left.plot(gain.mean, row, "D" if name in TREATMENTS else "s", color=colour, markersize=8)
    left.axvline(0, color="0.4", linewidth=1, linestyle="--")
    left.set_yticks(range(len(names)), names)
    left.invert_yaxis()
    left.set_xlabel("points over nothing added")

    added = result.real_samples_added
    gains = [result.gain_over(name, "nothing") for name in ORACLES]
    x = [added[name] for name in ORACLES]
    right.plot([0, *x], [0, *(g.mean for g in gains)], "o-", color=BLUE, label="real samples added")
    right.vlines(x, [g.low for g in gains], [g.high for g in gains], color=BLUE)
    level = result.gain_over(result.primary, "nothing")
    right.axhline(level.mean, color=ORANGE, linewidth=2, label=f"{result.primary}, generated")
    right.axhspan(level.low, level.high, color=ORANGE, alpha=0.15, linewidth=0)
    right.set(xlabel="real samples added", ylabel="points over nothing added")
    right.legend(frameon=False, fontsize=9, loc="upper left")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    fig.savefig(path, dpi=150)


# %% Every seed draws its own labelled samples, trains its own generator, and scores all arms on them
def main(quick: bool = False) -> None:
    """Print the table, the verdict, what of it is the generator's own, and what it is worth."""
    seeds, steps, train_images = (3, 5, 100) if quick else (5, 400, 30_000)
    X, X_test, y, y_test = make_data()
    result = ganaug.compare(
        X,
        y,
        test=(X_test, y_test),
        labelled_per_class=10,
        classifier="cnn",  # or your own: a function that returns a torch module, or an estimator
        arms=[*CONTROLS, *ORACLES, *TREATMENTS],
        seeds=seeds,
        steps=steps,
        train_images=train_images,
        n_jobs=1 if quick else 2,
    )
    draw(result, "02_few_labels.png")
    columns = ["role", "balanced_accuracy", "sd", "added", "over nothing"]
    shown = result.table.reindex(columns=columns)
    print(f"{seeds} seeds with 100 labelled digits each, {len(y_test)} to test on")
    print(shown.round(2).to_string())
    print(f"Verdict: {result.sentence}")
    print(f"Whose gain is it? {result.twin_sentence}")
    print(f"Its worth: {result.worth_sentence}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tiny budget, to see that it runs")
    main(parser.parse_args().quick)
