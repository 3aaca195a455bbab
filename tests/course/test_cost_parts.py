"""Costs add up: what is spent is summed, what is held at one time is the larger of two."""

from spinekit.course.cost_parts import CohortSize, Part, StepCost, together
from spinekit.course.steps import Step


def test_what_is_spent_is_summed_and_what_is_held_at_one_time_is_the_larger():
    first = StepCost(flop=1, gpu_bytes=5, memory_bytes=2, disk_bytes=10, slices_bytes=7, decodes=3)
    second = StepCost(flop=2, gpu_bytes=4, memory_bytes=6, disk_bytes=20, slices_bytes=0, decodes=4)
    parts = [Part(Step.CROPS, "one", first), Part(Step.CROPS, "two", second)]
    assert together(parts) == StepCost(3, 5, 6, 30, 7, 7)
    assert together([]) == StepCost()


def test_a_fold_trains_on_four_fifths():
    size = CohortSize(graded=1975, test=10, submitted=722)
    assert (size.trained, size.unseen) == (1580, 405)
