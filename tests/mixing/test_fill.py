import numpy as np
import pytest

from ganaug import ConfigError
from ganaug.mixing.fill import fill_counts

Y = np.array(["a"] * 6 + ["b"] * 3 + ["c"] * 1)


@pytest.mark.parametrize(
    ("fill", "expected"),
    [
        ("balance", {"b": 3, "c": 5}),
        ("auto", {"b": 3, "c": 5}),
        ("not minority", {"b": 3}),
        ("minority", {"c": 5}),
        ("all", {"b": 3, "c": 5}),
        (1, {"b": 3, "c": 5}),
        (1.5, {"a": 3, "b": 6, "c": 8}),
        (2, {"a": 6, "b": 9, "c": 11}),
        ({"b": 4, "c": 3}, {"b": 1, "c": 2}),
        ({"b": 3}, {}),
        (lambda y: {"c": 2 * int((np.asarray(y) == "b").sum())}, {"c": 5}),
    ],
)
def test_new_samples_per_class(fill, expected):
    assert fill_counts(Y, fill) == expected


def test_a_share_is_minority_over_majority_of_two_classes():
    assert fill_counts([0] * 10 + [1] * 2, 0.5) == {1: 3}


def test_keys_are_plain_python_labels():
    assert [type(k) for k in fill_counts(np.array([0, 0, 1], dtype=np.int16), "balance")] == [int]
    assert [type(k) for k in fill_counts(Y, "balance")] == [str, str]


@pytest.mark.parametrize("fill", ["balanced", 0.5, 0, -1, True, {"a": 2}, {"d": 9}, ["b"], None, "majority"])
def test_a_fill_that_cannot_be_met_says_what_is_allowed(fill):
    with pytest.raises(ConfigError, match=r"fill must be (one of )?'balance'"):
        fill_counts(Y, fill)
