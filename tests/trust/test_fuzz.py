"""Damaged files of every kind: an error that names the file, or what was meant; nothing else ever."""

import careless
import mutations
import numpy as np
import pytest
from hunt import OTHER, REFUSED, hunt
from targets import TARGETS

CASES = 40


def test_damaged_files_are_refused_by_name_or_mean_what_they_meant() -> None:
    found = hunt(TARGETS, cases=CASES, seed=0)
    assert {name: f.defects for name, f in found.items() if f.defects} == {}
    for name, target in TARGETS.items():
        outcomes = found[name].outcomes
        assert outcomes.total() == max(1, CASES // target.cost), name
        assert not (target.sealed and outcomes[OTHER]), name
        if target.cost == 1:
            assert outcomes[REFUSED] > outcomes.total() / 5, name


def test_the_hunt_finds_each_kind_of_carelessness() -> None:
    found = hunt(careless.TARGETS, cases=40, seed=0, table="careless", seconds=1)
    for name, one in found.items():
        assert {d["outcome"] for d in one.defects} == {name}
        assert one.outcomes.total() == 40 // careless.TARGETS[name].cost


def test_a_case_is_the_same_each_time() -> None:
    first, again, other = (
        hunt(["KeyError"], cases=40, seed=seed, table="careless")["KeyError"].defects for seed in (3, 3, 4)
    )
    assert first == again
    assert first != other


@pytest.mark.parametrize("way", mutations.BYTES)
def test_each_way_damages_and_repeats_itself(way: str) -> None:
    content = b'{"shape": [3, 8, 8], "n": 120}' * 4
    first, again = (
        [mutations.BYTES[way](np.random.default_rng(seed), content) for seed in range(20)] for _ in range(2)
    )
    assert first == again
    assert sum(damaged != content for damaged in first) >= 15
    for short in (b"", b"7"):
        for seed in range(5):
            mutations.BYTES[way](np.random.default_rng(seed), short)
