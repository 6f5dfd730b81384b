"""How good generated samples are, class by class, beside what real samples that were held out reach."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ganaug._random import derive, torch_stream
from ganaug.evaluation.features import ClassifierFeatures, RandomFeatures
from ganaug.evaluation.fidelity import density_coverage, kernel_distance, precision_recall, spread_ratio
from ganaug.evaluation.probe import classification_accuracy_score

__all__ = ["LEAST", "REAL", "SPACES", "Samples", "class_measures"]

REAL = "/real"
SPACES = ("classifier", "random")
LEAST = 10
MAX_REFERENCE = 1000
MAX_COMPARED = 500
MAX_TURNS = 3
MAX_LEARNED = 20_000
STEPS = 400


@dataclass(frozen=True, eq=False)
class Samples:
    """Encoded samples (n, *shape) and their class indices (n,)."""

    x: Tensor
    c: Tensor

    def rows(self, class_index: int) -> Tensor:
        """Return where the samples of a class are."""
        return (self.c == class_index).nonzero().flatten()

    def counts(self, n_classes: int) -> list[int]:
        """Return how many each class has."""
        return torch.bincount(self.c, minlength=n_classes).tolist()

    def take(self, rows: Tensor) -> "Samples":
        """Return the samples of these rows."""
        return Samples(self.x[rows], self.c[rows])

    def at_most(self, counts: list[int], *, seed: int) -> "Samples":
        """Return so many of each class, drawn at random."""
        order = torch.randperm(len(self.c), generator=torch_stream(seed, "at most"))
        c = self.c[order]
        kept = [order[(c == k).nonzero().flatten()[:n]] for k, n in enumerate(counts)]
        return self.take(torch.cat(kept).sort().values)


def class_measures(
    real: Samples, unseen: Samples, fake: Samples, n_classes: int, *, seed: int = 0
) -> pd.DataFrame:
    """Return a row per class: each measure of `fake`, and beside it (``.../real``) that of `unseen`.

    Both are measured against `real`, on equally many samples (``n_compared``; of the fakes the mean of up to
    three draws), so that they can be compared: most of these measures depend on the number of samples.

    Parameters
    ----------
    real : Samples
        The real samples that are the standard; the classifiers are trained on them alone.
    unseen : Samples
        Other real samples.
    fake : Samples
        Generated samples.
    n_classes : int
        Number of classes.
    seed : int, default=0
        The classifiers and the draws depend on it alone.

    Returns
    -------
    DataFrame of shape (n_classes, ...)
        nan where a class has fewer than two samples of any kind.
    """
    learned = real.at_most([MAX_LEARNED // n_classes + 1] * n_classes, seed=seed)
    classifier = ClassifierFeatures.fit(learned.x, learned.c, n_classes, steps=STEPS, seed=seed)
    real = real.at_most([MAX_REFERENCE] * n_classes, seed=seed)
    spaces: dict[str, Callable[[Tensor], Tensor]]
    spaces = {"classifier": classifier, "random": RandomFeatures(tuple(real.x.shape[1:]))}
    table = _recognised(classifier, unseen, fake, n_classes)
    counts = np.array([part.counts(n_classes) for part in (unseen, fake)])
    table["n_compared"] = counts.min(0).clip(max=MAX_COMPARED)
    for space, embed in spaces.items():
        features = [Samples(embed(part.x), part.c) for part in (real, unseen, fake)]
        for k in range(n_classes):
            clouds = [part.x[part.rows(k)] for part in features]
            if min(map(len, clouds)) >= 2:
                for name, value in _compared(*clouds, n=int(table["n_compared"][k]), seed=seed):
                    table.loc[k, _name(name, space)] = value
    return table.join(_accuracy(real, unseen, fake, n_classes, seed=seed))


def _name(measure: str, space: str) -> str:
    """Return "precision/classifier/real" for "precision/real"."""
    name, _, of = measure.partition("/")
    return f"{name}/{space}" + (f"/{of}" if of else "")


def _compared(
    real: Tensor, unseen: Tensor, fake: Tensor, *, n: int, seed: int
) -> Iterator[tuple[str, float]]:
    """Yield the measures of one class in one space, of the fakes and then of the unseen."""
    stream = torch_stream(seed, "draws")
    order, other = (torch.randperm(len(part), generator=stream) for part in (fake, unseen))
    turns = [rows for rows in order.split(n)[:MAX_TURNS] if len(rows) == n]
    of_fake = [_measures(real, fake[rows]) for rows in turns]
    for name, value in _measures(real, unseen[other[:n]]).items():
        yield name, float(np.mean([values[name] for values in of_fake]))
        yield name + REAL, value


def _measures(real: Tensor, others: Tensor) -> dict[str, float]:
    precision, recall = precision_recall(real, others)
    density, coverage = density_coverage(real, others)
    return {
        "precision": precision,
        "recall": recall,
        "density": density,
        "coverage": coverage,
        "kernel_distance": kernel_distance(real, others),
        "spread_ratio": spread_ratio(real, others),
    }


def _recognised(
    classifier: ClassifierFeatures, unseen: Samples, fake: Samples, n_classes: int
) -> pd.DataFrame:
    """Return the share of each class that is taken for it, and the class that is given most else."""
    given = classifier.predict(fake.x)
    right = {"": given == fake.c, REAL: classifier.predict(unseen.x) == unseen.c}
    table = pd.DataFrame(index=range(n_classes))
    for of, part in (("", fake), (REAL, unseen)):
        table[f"recognised{of}"] = [float(right[of][part.rows(k)].double().mean()) for k in range(n_classes)]
    counts = torch.bincount(fake.c * n_classes + given, minlength=n_classes**2).view(n_classes, -1)
    table["mistaken_for"] = counts.fill_diagonal_(0).argmax(1).numpy()
    return table


def _accuracy(real: Samples, unseen: Samples, fake: Samples, n_classes: int, *, seed: int) -> pd.DataFrame:
    """Return the accuracy on unseen samples after training on fake ones, and on as many real ones."""
    pairs = zip(real.counts(n_classes), fake.counts(n_classes), strict=True)
    counts = [min(pair) for pair in pairs]
    found = {}
    for of, part in (("", fake), (REAL, real)):
        taught = part.at_most(counts, seed=derive(seed, "accuracy"))
        found[f"accuracy{of}"] = classification_accuracy_score(
            taught.x, taught.c, unseen.x, unseen.c, n_classes, seed=seed, steps=STEPS
        ).per_class.numpy()
    return pd.DataFrame(found)
