"""Argument messages: name, expected, got, mend."""

from pathlib import Path

import numpy as np
import pytest

from ganaug._checks import did_you_mean, empty_folder, finite, known_name, listed, number
from ganaug.errors import ConfigError, DataError, OutputExistsError


def test_the_nearest_name_is_suggested() -> None:
    assert did_you_mean("hing", ["hinge", "non-saturating"]) == " Did you mean 'hinge'?"
    assert did_you_mean("xyz", ["hinge"]) == ""
    assert (
        did_you_mean(11, [1, 10]) == " Did you mean '1'?" or did_you_mean(11, [110]) == " Did you mean '110'?"
    )


def test_a_long_list_is_cut_and_counted() -> None:
    assert listed(np.arange(3)) == "0, 1, 2"
    assert listed("abcd", limit=2) == "'a', 'b', ... (4 in all)"


def test_an_unknown_name_says_what_there_is() -> None:
    assert known_name("loss", "hinge", {"hinge": 1}) == "hinge"
    with pytest.raises(ConfigError, match=r"loss must be one of 'hinge'; got 'hing'. Did you mean 'hinge'\?"):
        known_name("loss", "hing", ["hinge"])


@pytest.mark.parametrize("value", [1, 3.5, np.float32(2), np.int64(4), 10])
def test_a_number_in_range_passes(value: float) -> None:
    number("width", value, low=1, high=10)


@pytest.mark.parametrize("value", [0, 11, "3", None, True, float("nan"), float("inf"), [2]])
def test_anything_else_is_named_with_its_range(value: object) -> None:
    with pytest.raises(ConfigError, match="width must be a number of at least 1 and at most 10; got"):
        number("width", value, low=1, high=10)


def test_an_integer_is_no_float_and_an_open_range_leaves_out_its_end() -> None:
    with pytest.raises(ConfigError, match=r"n must be an integer of at least 0; got 2\.0"):
        number("n", 2.0, low=0, integer=True)
    with pytest.raises(ConfigError, match="lr must be a number above 0; got 0"):
        number("lr", 0, low=0, open_low=True)


def test_values_that_are_not_finite_are_counted_and_placed() -> None:
    values = np.zeros((3, 4), np.float32)
    finite("X", values)
    values[1, 2], values[2, 0] = np.nan, -np.inf
    with pytest.raises(DataError, match=r"X must be finite; got 2 NaN or infinite values of 12.*\(1, 2\)"):
        finite("X", values)
    finite("X", np.array([1, 2]))


def test_an_output_folder_is_new_or_empty(tmp_path: Path) -> None:
    assert empty_folder(tmp_path / "new") == tmp_path / "new"
    assert empty_folder(str(tmp_path)) == tmp_path
    (tmp_path / "kept.txt").write_text("kept")
    with pytest.raises(OutputExistsError, match=r"holds 1 entries.*nothing was written"):
        empty_folder(tmp_path)
    with pytest.raises(OutputExistsError, match="got a file"):
        empty_folder(tmp_path / "kept.txt")
    assert (tmp_path / "kept.txt").read_text() == "kept"
