"""Sizes of the experiments."""

from spinekit.course.profiles import PROFILES
from spinekit.course.scales import TuningScale


def test_a_search_may_spend_what_the_grid_costs():
    assert TuningScale(60, 3, {"a": (1, 2, 3), "b": (0.1, 0.2)}, 2).budget == 3 * 6


def test_the_warm_start_has_labelled_studies_and_an_encoder_in_every_profile():
    for plan in (profile.transfer for profile in PROFILES):
        assert plan.labelled == tuple(sorted(plan.labelled)) and plan.warm_encoder in plan.encoders
