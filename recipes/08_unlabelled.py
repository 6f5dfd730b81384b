"""Ten labelled samples per class and many without a label: what a generator makes of these."""

# %% Real data: handwritten digits; 600 to test on, a pool of which each seed labels 10 per class
import argparse

import torch
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

import ganaug

BLUE, ORANGE = "#1d5f9e", "#b4530a"

CONTROLS = [  # all of the second line get the unlabelled samples too
    *("nothing", "classic"),
    *("classic + pseudo-labels", "classic + pseudo-labels + entropy", "classic + pseudo-labels + mixes"),
]
TREATMENT = "classic + pseudo-labels + complement"


def make_model():
    """Return the classifier that is to learn."""
    return nn.Sequential(
        *(nn.Conv2d(1, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU()),
        *(nn.Conv2d(32, 64, 3, stride=2, padding=1), nn.BatchNorm2d(64), nn.ReLU()),
        *(nn.Conv2d(64, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU()),
        *(nn.Flatten(), nn.Dropout(0.2), nn.Linear(64 * 16, 10)),
    )


# %% In your own loop: one more term of the loss, in which the generator takes its step
def train(x, y, unlabelled, *, steps):
    """Return a classifier, and the generator that played against it."""
    model = make_model()
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3)
    complement = ganaug.ComplementGenerator(model, unlabelled, random_state=0)
    for _ in range(steps):
        rows = torch.randint(len(x), (64,))
        loss = nn.functional.cross_entropy(model(x[rows]), y[rows]) + complement.loss()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model.eval(), complement.G


# %% The gains over doing nothing, and digits that belong to no class
def draw(result, fakes, path):
    """Draw the gains of all arms, and samples of the generator."""
    fig = Figure(figsize=(7, 3), layout="constrained")
    left, right = fig.subplots(1, 2, width_ratios=[3, 2])
    names = [*CONTROLS[1:], TREATMENT]
    for row, name in enumerate(names):
        gain, colour = result.gain_over(name, "nothing"), ORANGE if name == TREATMENT else BLUE
        left.plot([gain.low, gain.high], [row, row], color=colour, linewidth=2)
        left.plot(gain.mean, row, "D" if name == TREATMENT else "s", color=colour, markersize=8)
    left.axvline(0, color="0.4", linewidth=1, linestyle="--")
    left.set_yticks(range(len(names)), [name.removeprefix("classic + ") for name in names])
    left.invert_yaxis()
    left.set_xlabel("points over nothing")
    rows = fakes[:40].reshape(5, 8, 8, 8).permute(0, 2, 1, 3).reshape(40, 64)
    right.imshow(rows, cmap="gray_r", vmin=-1, vmax=1)
    right.set_title("samples of no class", fontsize=10)
    right.axis("off")
    left.spines[["top", "right"]].set_visible(False)
    fig.savefig(path, dpi=150)


# %% Every seed labels samples of its own, and all arms get the rest without labels
def main(quick: bool = False) -> None:
    """Print the table, the verdict, and what of it is the generator's own."""
    seeds, steps = (3, 5) if quick else (5, 300)
    X, y = load_digits(return_X_y=True)
    parts = train_test_split(X.reshape(-1, 8, 8), y, test_size=600, stratify=y, random_state=0)
    X, X_test, y, y_test = parts
    result = ganaug.compare(
        X,
        y,
        test=(X_test, y_test),
        labelled_per_class=10,
        unlabelled="rest",
        classifier=make_model,
        arms=[*CONTROLS, TREATMENT],
        seeds=seeds,
        steps=steps,
        n_jobs=1 if quick else 2,
    )
    print(f"{seeds} seeds with 100 labelled digits each, {len(y_test)} to test on")
    print(
        result.table.reindex(columns=["role", "balanced_accuracy", "sd", "over nothing"]).round(2).to_string()
    )
    print(f"Verdict: {result.sentence}")
    print(f"Whose gain is it? {result.twin_sentence}")

    torch.manual_seed(0)
    x = torch.tensor(X, dtype=torch.float32)[:, None] / 8 - 1
    _, G = train(x[:100], torch.tensor(y[:100]), x[100:], steps=steps)
    with torch.no_grad():
        fakes = G.eval()(torch.randn(40, 32), torch.zeros(40, dtype=torch.int64))
    draw(result, fakes[:, 0], "08_unlabelled.png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tiny budget, to see that it runs")
    main(parser.parse_args().quick)
