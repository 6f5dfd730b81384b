"""The best average of each class is kept, a few at most, and drawn from after travelling."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from play import digest, small
from torch import Tensor, nn

import ganaug
from ganaug.errors import ConfigError
from ganaug.networks.conditioning import Transitional
from ganaug.training.drawing import Drawing
from ganaug.training.snapshots import MAX_KEPT, Snapshots


def average(value: float) -> nn.Module:
    module = nn.Linear(2, 1)
    nn.init.constant_(module.weight, value)
    nn.init.constant_(module.bias, value)
    return module


def offered(*distances: list[float]) -> Snapshots:
    snapshots = Snapshots()
    for i, distance in enumerate(distances, 1):
        snapshots.offer(10 * i, average(i), torch.tensor(distance))
    return snapshots


def value_of(snapshots: Snapshots, k: int) -> float:
    return float(snapshots.weights[int(snapshots.choice[k])]["bias"])


def test_each_class_keeps_the_moment_of_its_smallest_distance() -> None:
    snapshots = offered([3, 3, 3], [4, 1, 2], [5, 2, 1], [9, 9, 9])
    assert snapshots.choice.tolist() == [10, 20, 30]
    assert snapshots.distance.tolist() == [3, 1, 1]
    assert [value_of(snapshots, k) for k in range(3)] == [1, 2, 3]
    assert sorted(snapshots.weights) == [10, 20, 30]


def test_a_moment_that_is_best_for_no_class_any_more_goes() -> None:
    assert sorted(offered([3, 3], [2, 2], [1, 5]).weights) == [20, 30]


def test_a_copy_does_not_follow_the_weights_it_was_taken_from() -> None:
    snapshots, module = Snapshots(), average(1)
    snapshots.offer(10, module, torch.tensor([1.0]))
    nn.init.constant_(module.bias, 7)
    assert value_of(snapshots, 0) == 1


def test_a_distance_that_is_no_number_never_wins() -> None:
    snapshots = offered([float("nan"), 2.0], [5.0, float("nan")])
    assert snapshots.choice.tolist() == [20, 10]
    assert offered([float("nan")]).choice.tolist() == [10]


def test_never_more_than_the_limit_and_every_class_is_served() -> None:
    generator = torch.Generator().manual_seed(0)
    snapshots = Snapshots()
    for i in range(1, 60):
        distance = torch.rand(40, generator=generator) / i**0.5
        snapshots.offer(i, average(i), distance)
        assert len(snapshots) <= MAX_KEPT
        assert set(snapshots.choice.tolist()) == set(snapshots.weights)
        for k in range(40):
            assert value_of(snapshots, k) == snapshots.choice[k]


def test_of_too_many_the_one_that_serves_fewest_goes_to_the_newest() -> None:
    n = MAX_KEPT + 1
    distances = torch.full((n, 2 * n - 1), 9.0)
    for i in range(n):  # the first serves one class, each other two
        distances[i, max(0, 2 * i - 1) : 2 * i + 1] = 1.0
    snapshots = offered(*distances.tolist())
    assert sorted(snapshots.weights) == [10 * i for i in range(2, n + 1)]
    assert snapshots.choice[0] == 10 * n
    assert snapshots.distance[0] == 9.0


def test_they_come_back_from_plain_tensors() -> None:
    snapshots = offered([3, 3, 3], [4, 1, 2], [5, 2, 1])
    again = Snapshots.from_tensors(snapshots.tensors())
    assert digest(again.tensors()) == digest(snapshots.tensors())
    again.offer(40, average(4), torch.tensor([0.0, 9.0, 9.0]))
    assert again.choice.tolist() == [40, 20, 30]
    assert len(Snapshots.from_tensors({})) == 0


def test_a_class_is_drawn_from_its_own_moment() -> None:
    class Constant(nn.Module):
        def __init__(self, value: float):
            super().__init__()
            self.bias = nn.Parameter(torch.tensor(value))

        def forward(self, z: Tensor, c: Tensor) -> Tensor:
            return self.bias + torch.zeros(len(z), 1)

    snapshots = Snapshots()
    snapshots.offer(10, Constant(1.0), torch.tensor([1.0, 3.0]))
    snapshots.offer(20, Constant(2.0), torch.tensor([2.0, 2.0]))
    drawing = Drawing(Constant(9.0), 4, snapshots)
    assert [float(next(drawing.pieces(k, 1, stream=0))) for k in (0, 1)] == [1.0, 2.0]
    assert float(next(Drawing(Constant(9.0), 4).pieces(0, 1, stream=0))) == 9.0


@pytest.fixture(scope="module")
def fitted(digits):
    config = small(train_images=512, log_every_images=32, snapshot="best", ema_halflife_images=50)
    return ganaug.ConditionalGAN(config=config, random_state=0).fit(*digits)


def test_a_training_keeps_the_best_moment_of_each_class(fitted, digits, tmp_path) -> None:
    snapshots = fitted._drawing.snapshots
    assert 1 <= len(snapshots) <= 3
    assert len(snapshots.choice) == 3
    for k in range(3):
        moment = int(snapshots.choice[k])
        config = replace(fitted.config_, train_images=moment, snapshot="last")
        then = ganaug.ConditionalGAN(config=config, random_state=0)
        then.fit(*digits)
        label = fitted.classes_[k]
        expected = then.generate({label: 5}, random_state=1)[0]
        np.testing.assert_array_equal(fitted.generate({label: 5}, random_state=1)[0], expected)


def test_a_training_that_keeps_both_draws_as_the_one_and_as_the_other(fitted, digits, tmp_path) -> None:
    def draw(gan, **which):
        return gan.generate(20, random_state=3, **which)[0]

    both, last = (
        ganaug.ConditionalGAN(config=replace(fitted.config_, snapshot=word), random_state=0).fit(*digits)
        for word in ("both", "last")
    )
    both.save(tmp_path / "both")
    for gan in (both, ganaug.load(tmp_path / "both")):
        np.testing.assert_array_equal(draw(gan), draw(last))
        np.testing.assert_array_equal(draw(gan, snapshot="best"), draw(fitted))
    np.testing.assert_array_equal(draw(fitted, snapshot="last"), draw(last))
    assert (draw(fitted) != draw(last)).any()
    assert not len(last._drawing.snapshots)
    with pytest.raises(ConfigError, match=r"snapshot='best' needs a training that kept snapshots.*'both'"):
        draw(last, snapshot="best")
    with pytest.raises(ConfigError, match="snapshot must be one of"):
        draw(both, snapshot="first")


def test_a_class_draws_the_same_from_its_snapshot_after_travelling(fitted, tmp_path) -> None:
    fitted.save(tmp_path / "gan")
    opened = ganaug.load(tmp_path / "gan")
    for label in fitted.classes_:
        np.testing.assert_array_equal(
            opened.generate({label: 300}, random_state=2)[0], fitted.generate({label: 300}, random_state=2)[0]
        )


@pytest.mark.parametrize("snapshot", ["last", "best"])
@pytest.mark.parametrize(
    "changes", [{"conditioning": Transitional(start=0, end=1000)}, {"network": "style-growing"}]
)
def test_a_generator_in_mid_transition_draws_the_same_after_travelling(
    digits, tmp_path, changes: dict, snapshot: str
) -> None:
    X, y = digits
    X = np.repeat(np.repeat(X, 2, axis=1), 2, axis=2)
    config = small(snapshot=snapshot, **changes)
    gan = ganaug.ConditionalGAN(config=config, random_state=0).fit(X, y)
    gan.save(tmp_path / "gan")
    opened = ganaug.load(tmp_path / "gan")
    a, b = (g._drawing for g in (gan, opened))
    for k in range(3):
        x, x_opened = (torch.cat(list(d.pieces(k, 20, stream=1))) for d in (a, b))
        assert torch.equal(x, x_opened)
