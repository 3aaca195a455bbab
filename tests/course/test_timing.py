"""What a reader is told before a long cell."""

import pytest

from spinekit.course.steps import PROFILE_NAMES, Step
from spinekit.course.timing import expectation, expected_seconds, format_duration


@pytest.mark.parametrize(("seconds", "text"), [(40.2, "40 s"), (99, "99 s"), (180, "3 min"), (9000, "2.5 h")])
def test_durations_for_people(seconds, text):
    assert format_duration(seconds) == text


@pytest.mark.parametrize("profile", PROFILE_NAMES)
def test_every_step_has_a_time(profile):
    assert list(expected_seconds(profile)) == list(Step) and min(expected_seconds(profile).values()) > 0


def test_a_share_of_the_time_is_told_with_the_machine():
    seconds = expected_seconds("demo")[Step.LOCALIZATION]
    assert expectation(Step.LOCALIZATION, "demo", 0.6) == (
        f"about {format_duration(0.6 * seconds)} in profile demo on two CPU cores"
    )
    assert expectation(Step.LOCALIZATION, "full").endswith("in profile full on one GPU")
    assert expectation(Step.START, "smoke", 0.01).startswith("a few seconds")
    assert expectation("99_other", "smoke") == ""
