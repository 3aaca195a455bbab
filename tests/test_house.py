"""The plan of the package holds: sizes, arguments, errors that are told, one owner for each idea, tests that mirror it.

``python tests/measure_house.py`` prints the same as a table.
"""

from __future__ import annotations

import statistics
from pathlib import Path

import measure_house as house
import pytest

ROOT = Path(__file__).parent.parent
FUNCTIONS = [function for function in house.functions(ROOT)]
# Public modules that are tested through what they serve: constants, and what a command or a notebook runs whole.
TESTED_ELSEWHERE: set[str] = set()


def test_the_ground_holds_few_rooms() -> None:
    assert len([room for room in house.rooms(ROOT) if room.endswith(".py")]) <= 8  # six, __init__ and __main__
    assert len(house.rooms(ROOT)) <= 22


def test_modules_are_small() -> None:
    lines = house.module_lines(ROOT)
    assert not {name: n for name, n in lines.items() if n > 300}
    assert statistics.median(lines.values()) <= 150


def test_functions_are_small() -> None:
    lines = sorted(function.lines for function in FUNCTIONS)
    assert lines[-1] <= 50
    assert statistics.median(lines) <= 7 and lines[int(0.9 * len(lines))] <= 18


def test_nothing_takes_more_than_six_arguments() -> None:
    assert not [str(function) for function in house.many_arguments(ROOT)]


def test_public_functions_that_raise_say_so() -> None:
    assert not [str(function) for function in house.raising(ROOT) if not house.says_raises(function)]


def test_a_profile_is_written_in_one_place() -> None:
    assert not house.profile_tables(ROOT), "values of a profile stand in course/profiles.py alone"


def test_steps_are_named_in_the_course_alone() -> None:
    assert not house.step_names(ROOT), "the names of notebooks stand in course/steps.py"


@pytest.mark.parametrize("name", ["PLANE_OF_KIND"])
def test_an_idea_has_one_owner(name: str) -> None:
    assert len(house.definitions_of(ROOT, name)) == 1


def test_every_public_module_has_a_test_file_of_its_own() -> None:
    assert set(house.untested(ROOT)) == TESTED_ELSEWHERE


def test_notebooks_explain_before_they_compute() -> None:
    ratios = {name: markdown / code for name, (markdown, code) in house.cell_ratios(ROOT).items()}
    assert not {name: ratio for name, ratio in ratios.items() if ratio < 0.7}
