"""The counts of measure_house.py, on a package of a few lines where each can be made by hand."""

import json
from pathlib import Path

import measure_house as house
import pytest

GRADER = '''
from spinekit.errors import SpinekitError

LEAST_SURE, _MOST_MM = 0.1, 5
PLANE_OF_KIND = {"Axial T2": "axial"}
RECIPES = {"smoke": 1, "full": 2}
COLOURS = {"smoke": "grey"}
STEP = "04_crop_classification"


class NoGrades(SpinekitError):
    pass


class Grader:
    def __init__(self, a, b, *rest, c=1, **more):
        self.a = a

    def grade(self, study):
        return self._checked(study)

    def _checked(self, study):
        if not study:
            raise NoGrades("nothing to grade")
        return study


def wide(a, b, c, d, /, e, f, *, g):
    def inner():
        raise NoGrades
    for its in a:
        found = its
    return found


def load(path):
    """Read it.

    Raises: `NoGrades` where nobody graded.
    """
    raise NoGrades(path)


def careful(path):
    try:
        return load(path)
    except SpinekitError:
        return None


def careless(path):
    try:
        return load(path)
    except OSError:
        return None
'''


@pytest.fixture
def root(tmp_path: Path) -> Path:
    files = {
        "spinekit/__init__.py": "",
        "spinekit/__main__.py": "def run(a, b, c, d, e, f, g):\n    raise ValueError('00_start')\n",
        "spinekit/errors.py": "class SpinekitError(Exception):\n    pass\n",
        "spinekit/course/__init__.py": "",
        "spinekit/course/report.py": 'FIRST = "02"\n',
        "spinekit/grading/__init__.py": "",
        "spinekit/grading/grader.py": GRADER,
        "tests/grading/test_grader.py": "",
        "tests/test_report.py": "",
        "notebooks/book/reference.md": "| module |\n|---|\n| `grading` | - |\n| `course/` | - |\n| `nothing` |\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    cells = [{"cell_type": kind} for kind in ("markdown", "code", "markdown", "code", "code", "code")]
    (tmp_path / "notebooks" / "00_start.ipynb").write_text(json.dumps({"cells": cells}))
    return tmp_path


def named(functions: list[house.Function]) -> list[str]:
    return [f.name for f in functions]


def test_rooms_are_files_and_folders_at_the_top(root):
    assert house.rooms(root) == ["__init__.py", "__main__.py", "course", "errors.py", "grading"]


def test_arguments_leave_out_self_stars_and_the_command_line(root):
    by_name = {f.name: f.arguments for f in house.functions(root)}
    assert by_name["__init__"] == 3 and by_name["wide"] == 7
    assert named(house.many_arguments(root)) == ["wide"]


def test_an_error_counts_where_it_leaves_a_public_function(root):
    raisers = house.raising(root)
    assert named(raisers) == ["grade", "wide", "load", "careless"]  # `careful` catches it, `_checked` is private
    assert [f.name for f in raisers if house.says_raises(f)] == ["load"]


def test_a_place_is_a_file_and_a_line(root):
    assert house.raising(root)[0].place.startswith("spinekit/grading/grader.py:19 Grader.grade")


def test_tables_have_two_names_of_profiles(root):
    assert house.profile_tables(root) == {"grading/grader.py": [6]}


def test_notebooks_may_be_named_by_the_course_and_the_command_line(root):
    assert house.step_names(root) == {"grading/grader.py": ["04_crop_classification"]}


def test_constants_are_found_in_tuples_and_behind_underscores(root):
    assert house.old_bounds(root) == [("grading/grader.py", "LEAST_SURE"), ("grading/grader.py", "_MOST_MM")]
    assert house.definitions_of(root, "PLANE_OF_KIND") == ["grading/grader.py"]


def test_vague_names_count_where_they_are_assigned(root):
    counts = house.vague_names(root)
    assert counts["its"] == counts["found"] == (1, 1) and counts["away"] == (0, 0)


def test_tests_mirror_the_folders(root):
    assert house.untested(root) == ["course/report.py", "errors.py"]  # tests/test_report.py lies in the wrong folder


def test_notebooks_and_readme(root):
    assert house.cell_ratios(root) == {"00_start.ipynb": (2, 4)}
    assert house.package_rows(root) == ["grading", "course/"]


def test_the_table_prints_what_stands_behind_its_numbers(root, capsys):
    house.main(root)
    text = capsys.readouterr().out
    assert "markdown cells to a code cell, all notebooks" in text and "0.50 (2:4)" in text
    assert "spinekit/grading/grader.py:28 wide (7)" in text
