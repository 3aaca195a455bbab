"""`spinekit evaluate`: what it offers, and what it says of a cohort or a run that cannot be evaluated."""

import pytest
from typer.testing import CliRunner

from spinekit.course.runs import BadParameter
from spinekit.errors import SpinekitError
from spinekit.evaluation.commands import evaluations


def invoke(*words):
    return CliRunner().invoke(evaluations, list(map(str, words)))


def test_there_is_a_command_for_each_question():
    names = [command.name for command in evaluations.registered_commands]
    questions = ["localization", "measurements", "grading", "shortcuts", "labels", "context", "reader-offset"]
    assert names == [*questions, "image-floor", "realism"]
    assert all(name in invoke("--help").output for name in names)


@pytest.mark.parametrize("words", [("localization", "cohort"), ("grading", "cohort"), ("shortcuts", "--run", "none")])
def test_without_a_run_there_is_a_named_error(words, project):
    ended = invoke(*words)
    assert (
        isinstance(ended.exception, SpinekitError)
        and "spinekit run" in str(ended.exception)
        or "04" in str(ended.exception)
    )


def test_a_limit_below_zero_is_a_wrong_command_line():
    assert invoke("grading", "cohort", "--limit", "-1").exit_code == 2


def test_grading_needs_a_cohort_or_the_size_of_a_fresh_one():
    ended = invoke("grading")
    assert isinstance(ended.exception, BadParameter) and "--fresh" in str(ended.exception)
