"""The gate: what it lets in, in which order, how often it draws, and what it counts."""

import pytest
import torch
from torch import Tensor

from ganaug.mixing.gate import Admitted, admit, agreement, novelty, realism


def chances(x: Tensor) -> Tensor:
    """Return what a judge thinks of numbers: class 1 is likelier the larger they are."""
    p = torch.sigmoid(x)
    return torch.cat([1 - p, p], dim=1)


def stricter(x: Tensor) -> Tensor:
    """Return what a judge thinks who wants numbers above 1 for class 1."""
    return chances(x - 1)


class Drawing:
    """Draws numbers around 0 whatever the class is, and notes what it was asked for."""

    def __init__(self, seed: int = 0, shift: float = 0.0) -> None:
        self.asked: list[tuple[list[int], int]] = []
        self.drawn: list[Tensor] = []
        self.seed, self.shift = seed, shift

    def __call__(self, c: Tensor, number: int) -> Tensor:
        generator = torch.Generator().manual_seed(100 * self.seed + number)
        self.asked.append((c.tolist(), number))
        self.drawn.append(torch.randn(len(c), 1, generator=generator) + self.shift)
        return self.drawn[-1]


C = torch.tensor([0] * 30 + [1] * 20)


@pytest.mark.parametrize("judges", [(chances,), (chances, stricter)])
def test_what_a_judge_gives_to_another_class_is_not_let_in_while_enough_are_drawn(judges) -> None:
    for seed in range(20):
        x, admitted = admit(Drawing(seed), agreement(judges), C, n_classes=2)
        assert all(a.accepted >= a.wanted for a in admitted)
        for judge in judges:
            assert torch.equal(judge(x).argmax(1), C)


def test_counts_are_exact_and_classes_that_are_not_wanted_count_nothing() -> None:
    c = torch.tensor([0] * 7 + [2] * 3)

    def judge(x: Tensor) -> Tensor:
        return torch.eye(3)[torch.where(x[:, 0] > 0, 2, 0)]

    x, admitted = admit(Drawing(), agreement([judge]), c, n_classes=3)
    assert x.shape == (10, 1)
    assert ((x[:, 0] > 0) == (c == 2)).all()
    assert [a.wanted for a in admitted] == [7, 0, 3]
    assert admitted[1] == Admitted(0, 0, 0)


def test_accepted_samples_come_in_the_order_they_were_drawn_those_of_the_first_draw_first() -> None:
    draw = Drawing()
    x, _ = admit(draw, agreement([chances]), C, n_classes=2)
    for k in (0, 1):
        in_order = [x for (c, _), x in zip(draw.asked, draw.drawn, strict=True)]
        classes = [torch.tensor(c) for c, _ in draw.asked]
        passed = torch.cat(
            [x[(c == k) & ((x[:, 0] > 0) == bool(k))] for x, c in zip(in_order, classes, strict=True)]
        )
        assert torch.equal(x[k == C], passed[: int((k == C).sum())])


def test_only_classes_that_are_short_are_drawn_again_and_at_most_ten_times() -> None:
    draw = Drawing(shift=9.0)  # all are of class 1
    x, (low, high) = admit(draw, agreement([chances]), C, n_classes=2)
    assert draw.asked[0] == (C.tolist(), 0)
    assert draw.asked[1:] == [([0] * 30, number) for number in range(1, 10)]
    assert high == Admitted(20, 20, 20)
    assert low == Admitted(30, 300, 0)
    assert len(x) == 50


def test_the_most_probable_of_the_rejected_fill_up_by_the_judge_that_doubts_most() -> None:
    draw = Drawing()

    def odd(x: Tensor) -> Tensor:
        """Return what a judge thinks who takes large numbers for class 0."""
        return chances(-x)

    c = torch.tensor([1] * 5)  # the two never agree on it
    x, (_, high) = admit(draw, agreement([chances, odd]), c, n_classes=2)
    assert high == Admitted(5, 50, 0)
    every = torch.cat(draw.drawn)
    assert x.abs().max() == every.abs().flatten().sort().values[4]  # the least extreme ones
    assert torch.equal(x.abs().flatten(), x.abs().flatten().sort().values)


def test_the_share_accepted_is_the_share_that_is_right() -> None:
    c = torch.tensor([1] * 2000)
    _, (_, high) = admit(Drawing(shift=0.5), agreement([chances]), c, n_classes=2)
    expected = float(torch.distributions.Normal(0.0, 1.0).cdf(torch.tensor(0.5)))
    assert high.drawn == 4000
    assert high.accepted / high.drawn == pytest.approx(expected, abs=0.03)


REAL = torch.cat([torch.rand(40, 2) - 1, torch.rand(40, 2)])
REAL_C = torch.arange(2).repeat_interleave(40)


@pytest.mark.parametrize("gate", [realism, novelty])
def test_a_gate_by_neighbours_judges_a_sample_by_real_ones_of_its_own_class(gate):
    own, _ = gate(REAL, REAL_C)(REAL, REAL_C)
    other, _ = gate(REAL, REAL_C)(REAL, 1 - REAL_C)
    assert own.all() == (gate is realism)  # copies are real, and not new
    assert own.any() == (gate is realism)
    assert other.float().mean() == pytest.approx(0 if gate is realism else 1, abs=0.15)


def test_of_real_samples_held_out_a_gate_by_neighbours_lets_nine_tenths_in():
    x = torch.rand(4000, 2, generator=torch.Generator().manual_seed(0)) * 2 - 1
    c = torch.zeros(2000, dtype=torch.int64)
    for gate in (realism, novelty):
        accepted, quality = gate(x[:2000], c)(x[2000:], c)
        assert accepted.float().mean() == pytest.approx(0.9, abs=0.03)
        assert quality.max() < 2
        near, far = quality[accepted].mean(), quality[~accepted].mean()
        assert near > far  # rejected ones are ranked by how little they miss


def test_a_generator_of_near_copies_is_old_and_one_of_noise_unreal():
    noise = torch.randn(80, 2, generator=torch.Generator().manual_seed(1))
    copied, strange = REAL + 1e-4 * noise, 30 + noise
    assert not novelty(REAL, REAL_C)(copied, REAL_C)[0].any()
    assert realism(REAL, REAL_C)(copied, REAL_C)[0].all()
    assert novelty(REAL, REAL_C)(strange, REAL_C)[0].all()
    assert not realism(REAL, REAL_C)(strange, REAL_C)[0].any()
