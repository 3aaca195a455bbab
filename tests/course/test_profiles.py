"""Profiles: their names, their order, what they share."""

from pathlib import Path

import measure_house
import pytest

from spinekit.course import runs
from spinekit.course.profiles import CPU, DEMO, FULL, PROFILES, SMOKE, profile_of
from spinekit.course.steps import Step


def test_names_are_those_that_parameters_are_checked_by():
    assert tuple(profile.name for profile in PROFILES) == runs.PROFILE_NAMES
    assert [profile_of(name) for name in runs.PROFILE_NAMES] == [SMOKE, DEMO, CPU, FULL]


def test_another_name_is_refused_and_the_names_are_listed():
    with pytest.raises(runs.BadParameter, match="'huge' is unknown: use one of smoke, demo, cpu, full"):
        profile_of("huge")


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_every_part_is_of_the_same_profile(profile):
    assert profile.acquisition.name == profile.name
    assert list(profile.expected_seconds) == list(Step) and min(profile.expected_seconds.values()) > 0


def test_profiles_grow():
    assert [profile.studies for profile in PROFILES] == sorted(profile.studies for profile in PROFILES)
    for step in (Step.LOCALIZATION, Step.CROPS, Step.SUBMISSION):
        seconds = [profile.expected_seconds[step] for profile in PROFILES]
        assert seconds == sorted(seconds)


def test_demo_begins_with_the_patients_of_smoke():
    assert SMOKE.seed == DEMO.seed and len({DEMO.seed, CPU.seed, FULL.seed}) == 3


def test_no_module_has_a_table_of_its_own_for_profiles_or_names_a_step():
    root = Path(__file__).parents[2]
    assert measure_house.profile_tables(root) == {} and measure_house.step_names(root) == {}
