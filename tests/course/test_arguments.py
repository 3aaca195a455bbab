"""Lists, pairs and rates that people type."""

import pytest

from spinekit.course.arguments import fold_numbers, named_cohort, pairs, trap_rates
from spinekit.course.runs import BadParameter


def test_lists_and_repeated_options_are_one_list():
    assert fold_numbers(["0,1", "3", "1"]) == (0, 1, 3) and fold_numbers(()) == ()


def test_a_value_may_hold_blanks_and_equals_signs():
    assert pairs(["kind=Axial T2", "note=a=b"]) == {"kind": "Axial T2", "note": "a=b"}
    assert trap_rates(["swapped_sides=0.1"]) == {"swapped_sides": 0.1}


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (fold_numbers, "0;1", "'0;1' is not a list of numbers"),
        (pairs, "kind", "-p 'kind' has no value"),
        (trap_rates, "swapped_sides", "write --trap NAME=VALUE"),
        (trap_rates, "swapped_sides=often", "often"),
    ],
)
def test_what_cannot_be_read_is_named(read, text, message):
    with pytest.raises(BadParameter, match=message):
        read([text])


def test_a_cohort_is_named_where_none_is_drawn(tmp_path):
    assert named_cohort(tmp_path) == tmp_path
    with pytest.raises(BadParameter, match="--fresh"):
        named_cohort(None)
