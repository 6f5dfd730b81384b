"""Quality while training: near nothing for real samples, far for others, and never dear."""

import numpy as np
import pytest
import torch
from play import fresh, small
from sklearn.datasets import load_digits
from torch import Tensor, nn

from ganaug.training.batches import BalancedBatches
from ganaug.training.quality import MAX_PER_CLASS, MIN_PER_CLASS, Quality


@pytest.fixture(scope="module")
def data() -> tuple[Tensor, Tensor]:
    source = load_digits()
    return torch.from_numpy(source.images).float()[:, None] / 8 - 1, torch.from_numpy(source.target)


class Replay(nn.Module):
    """Returns real samples of the class it is asked for, or a constant where it has collapsed."""

    def __init__(self, x: Tensor, c: Tensor, *, collapsed: tuple[int, ...] = (), shift: float = 0.0):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()), requires_grad=False)
        self.x, self.c, self.collapsed, self.shift = x, c, collapsed, shift
        self.n_drawn = 0

    def forward(self, z: Tensor, c: Tensor) -> Tensor:
        self.n_drawn += len(z)
        rows = []
        for noise, k in zip(z, c.tolist(), strict=True):
            of_class = torch.nonzero(self.c == k)[:, 0]
            place = 0 if k in self.collapsed else int(noise[0].sigmoid() * len(of_class))
            rows.append(of_class[min(place, len(of_class) - 1)])
        return self.x[torch.stack(rows)] + self.shift


def measured(data, G: nn.Module, *, interval: int = 10_000) -> tuple[Tensor, Tensor]:
    x, c = data
    batches = BalancedBatches(x[::2], c[::2], batch_size=16, seed=0)
    state = fresh(small(), n_classes=10)
    state.G_ema = G
    return Quality(batches, z_dim=8, interval=interval, seed=0).measure(state)


def test_real_samples_are_at_no_distance_and_of_full_spread(data) -> None:
    distance, spread = measured(data, Replay(data[0][1::2], data[1][1::2]))
    far, _ = measured(data, Replay(data[0][1::2], data[1][1::2], shift=0.3))
    assert distance.shape == spread.shape == (10,)
    assert (distance.abs() < 0.3 * far).all()
    assert distance.mean().abs() < 0.1 * far.mean()
    assert (spread - 1).abs().max() < 0.5
    assert float(spread.mean()) == pytest.approx(1, abs=0.15)


def test_a_class_that_collapsed_has_no_spread_and_the_others_keep_theirs(data) -> None:
    _, spread = measured(data, Replay(data[0][1::2], data[1][1::2], collapsed=(3, 8)))
    assert (spread < 1e-9).tolist() == [k in (3, 8) for k in range(10)]
    assert spread[0] > 0.5


def test_samples_of_another_class_are_farther(data) -> None:
    x, c = data[0][1::2], data[1][1::2]
    right, _ = measured(data, Replay(x, c))
    wrong, _ = measured(data, Replay(x, (c + 1) % 10))
    assert (wrong > right).all()
    assert wrong.mean() > 10 * right.mean().abs()


def test_a_measurement_repeats_and_leaves_random_numbers_alone(data) -> None:
    before = torch.get_rng_state()
    first, again = (measured(data, Replay(*data))[0] for _ in range(2))
    assert torch.equal(first, again)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("n_classes", [2, 10, 100, 101, 1000])
@pytest.mark.parametrize("interval", [100, 10_000])
def test_a_measurement_costs_a_tenth_of_its_interval_or_a_few_samples_per_class(n_classes, interval) -> None:
    c = torch.arange(4 * n_classes) % n_classes
    x = torch.randn(len(c), 3, generator=torch.Generator().manual_seed(0))
    batches = BalancedBatches(x, c, batch_size=16, seed=0)
    state = fresh(small(), shape=(3,), n_classes=n_classes)
    state.G_ema = Replay(x, c)
    quality = Quality(batches, z_dim=8, interval=interval, seed=0)
    distance, spread = quality.measure(state)
    groups = n_classes if n_classes <= 100 else 1
    assert state.G_ema.n_drawn <= max(interval * 0.1, MIN_PER_CLASS * groups)
    assert state.G_ema.n_drawn <= 16 * MAX_PER_CLASS or groups > 1
    assert distance.shape == spread.shape == (n_classes,)
    assert torch.isfinite(distance).all()
    if n_classes > 100:
        assert len(distance.unique()) == len(spread.unique()) == 1


def test_a_class_of_two_samples_is_measured_with_them() -> None:
    rng = np.random.default_rng(0)
    c = torch.tensor([0] * 50 + [1] * 2)
    x = torch.from_numpy(rng.normal(size=(52, 3))).float()
    batches = BalancedBatches(x, c, batch_size=16, seed=0)
    state = fresh(small(), shape=(3,))
    state.G_ema = Replay(x, c)
    distance, spread = Quality(batches, z_dim=8, interval=1000, seed=0).measure(state)
    assert torch.isfinite(distance).all()
    assert torch.isfinite(spread).all()
