"""The one loop in which every torch classifier is trained, whatever the arm."""

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganaug._random import derive
from ganaug.experiment.batch_mixes import batch_mix
from ganaug.experiment.order import batches

if TYPE_CHECKING:
    from ganaug.experiment.classifiers import Recipe

LEARNING_RATE = 2e-3


def train_module(model: nn.Module, recipe: "Recipe", *, steps: int, batch_size: int, seed: int) -> None:
    """Train a torch module on a recipe for a number of steps."""
    x = recipe.x if recipe.x_extra is None else torch.cat([recipe.x, recipe.x_extra])
    c = torch.cat([recipe.c, recipe.extra_c])
    mix = None if recipe.mix is None else batch_mix(recipe.mix, recipe.n_classes)
    weights = balanced_weights(recipe.c) if recipe.class_weights else None
    optimiser = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=steps)
    rival = None if recipe.complement is None else recipe.complement(model, _without_labels(recipe))
    model.train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "dropout"))
        for rows in batches(recipe, steps=steps, batch_size=batch_size, seed=seed):
            batch = x[rows] if recipe.transform is None else recipe.transform(x[rows])
            target = c[rows] if recipe.labels is None else _labels(recipe, batch, c[rows], rows)
            if mix is not None:
                batch, target = mix(batch, target)
            loss = _loss(model(batch), target, weights, recipe, rows)
            if rival is not None:
                loss = loss + recipe.complement_weight * rival.loss()
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()


def _without_labels(recipe: "Recipe") -> Tensor:
    """Return unlabelled samples and the real ones of the recipe, of which no label is told."""
    if recipe.x_unlabelled is None:
        return recipe.x
    return torch.cat([recipe.x_unlabelled, recipe.x]).clamp(-1, 1)  # rows may be beyond those of the part


def _labels(recipe: "Recipe", batch: Tensor, c: Tensor, rows: Tensor) -> Tensor:
    """Return class probabilities (n, n_classes): of real samples their class, of added ones their labels."""
    target = F.one_hot(c, recipe.n_classes).float()
    added = rows >= len(recipe.c)
    if recipe.labels is not None and added.any():
        target[added] = recipe.labels(batch[added], c[added])
    return target


def _loss(logits: Tensor, target: Tensor, weights: Tensor | None, recipe: "Recipe", rows: Tensor) -> Tensor:
    """Return the mean cross-entropy, in which added samples may count less."""
    if recipe.weight == 1:
        return F.cross_entropy(logits, target, weight=weights)
    share = torch.where(rows < len(recipe.c), 1.0, recipe.weight)
    values = F.cross_entropy(logits, target, weight=weights, reduction="none")
    if weights is not None and target.ndim == 1:  # as torch means it: a mean weighted by class
        return (share * values).sum() / (share * weights[target]).sum()
    return (share * values).sum() / share.sum()


def balanced_weights(c: Tensor, shares: Tensor | None = None) -> Tensor:
    """Return the weight of each class by the inverse of its size, of samples (n,) that count by shares."""
    counts = torch.bincount(c, shares).float()
    return float(counts.sum()) / (len(counts) * counts.clamp(min=1))
