"""One seed of a comparison: one split, one generator, and the classifier once per arm."""

import io
from typing import Any

import torch

from ganaug._random import derive
from ganaug.experiment.bench import Bench, Plan
from ganaug.experiment.comparison import Cell
from ganaug.generator import ConditionalGAN


def run_seed(plan: Plan, s: int, X: Any, y: Any, X_test: Any, y_test: Any) -> tuple[list[Cell], bytes | None]:
    """Return the cells of one seed; everything is fitted on X and y, the training part."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        bench = Bench(plan, X, y, derive(plan.random_state, "seed", s))
        c_test = bench.schema.encode_y(y_test).numpy()
        cells = []
        for name, arm in plan.arms.items():
            outcome = bench.outcome(name, arm, X_test)
            cells.append(Cell(arm=name, seed=s, y_true=c_test, n_train=len(bench.c), **vars(outcome)))
        return cells, None if s or bench.gan is None else _grid(bench.gan)
    finally:
        torch.set_num_threads(threads)


def _grid(gan: ConditionalGAN) -> bytes | None:
    if gan.schema_.kind != "image":
        return None
    png = io.BytesIO()
    gan.sample_grid().save(png, format="PNG")
    return png.getvalue()
