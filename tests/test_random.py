"""One seed, named streams; nothing global moves."""

import random

import numpy as np
import pytest
import torch

from ganaug._random import as_seed, derive, numpy_stream, torch_stream
from ganaug.errors import ConfigError


def test_a_stream_repeats_for_the_same_seed_and_names() -> None:
    assert derive(3, "swap", 5) == derive(3, "swap", 5)
    assert np.array_equal(numpy_stream(3, "a").random(9), numpy_stream(3, "a").random(9))
    draws = [torch.randn(9, generator=torch_stream(3, "a")) for _ in range(2)]
    assert torch.equal(*draws)


def test_seeds_and_names_each_give_another_stream() -> None:
    keys = [(s, n, k) for s in range(5) for n in ("weights", "step", "swap") for k in range(20)]
    seeds = {derive(s, n, k) for s, n, k in keys}
    assert len(seeds) == len(keys)
    assert all(0 <= s < 2**31 for s in seeds)
    assert derive(0, "a", "b") != derive(0, "b", "a")


def test_streams_of_different_names_are_not_correlated() -> None:
    a, b = (numpy_stream(0, "step", k).random(10_000) for k in (0, 1))
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.05
    assert abs(a.mean() - 0.5) < 0.02


def test_drawing_leaves_the_global_generators_alone() -> None:
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    numpy_stream(0, "a").random(5)
    torch.randn(5, generator=torch_stream(0, "a"))
    derive(0, "a")
    as_seed(None)
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002
    assert before[2] == random.getstate()


@pytest.mark.parametrize("make", [np.random.RandomState, np.random.default_rng])
def test_a_generator_gives_the_same_seed_for_the_same_state_and_moves_on(make) -> None:
    first, second = make(7), make(7)
    a = as_seed(first)
    assert a == as_seed(second)
    assert a != as_seed(first)
    assert 0 <= a < 2**31


def test_an_integer_is_its_own_seed_and_none_is_a_new_one() -> None:
    assert as_seed(np.int64(12)) == as_seed(12) == 12
    assert len({as_seed(None) for _ in range(5)}) == 5


@pytest.mark.parametrize("wrong", [-1, 1.5, "3", True])
def test_other_seeds_are_refused(wrong: object) -> None:
    with pytest.raises(ConfigError, match="random_state must be"):
        as_seed(wrong)
