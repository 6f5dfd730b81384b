"""Names of classes and arms as keys of MLflow: allowed letters only, and no two names share one."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ganaug.experiment.mlflow_record import _keys

NAMES = st.text(max_size=4) | st.sampled_from(
    ["a/b", "a_b", "a_b_0", "a_b_1", "0_a_b", "a b", "<script>", "\n", ""]
)
ALLOWED = re.compile(r"[\w\-. ]*")  # of what MLflow allows all but the slash, which makes groups


@settings(derandomize=True, deadline=None, max_examples=300, database=None)
@given(st.lists(NAMES | st.just("x" * 5000), max_size=6, unique=True))
def test_each_name_has_a_key_of_its_own_in_allowed_letters(names: list[str]) -> None:
    keys = _keys(names)
    assert len(set(keys)) == len(names)
    assert all(ALLOWED.fullmatch(key) and len(key) < 250 for key in keys)


@pytest.mark.parametrize("names", [["a/b", "a_b", "a_b_0"], ["?", "!", "__0", "__1", "_"]])
def test_a_number_that_tells_names_apart_makes_no_new_twins(names: list[str]) -> None:
    assert len(set(_keys(names))) == len(names)
