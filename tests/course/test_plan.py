"""The table of `spinekit plan`: rows, sums, and what a session on Kaggle has no room for."""

import json
from dataclasses import replace

import pytest
from crop_sets import RECIPE
from rich.console import Console
from tiny_scan import MODEL, SCAN

from spinekit.course import plan as plans
from spinekit.course.cost_parts import CohortSize, Part, StepCost
from spinekit.course.plan import Plan, plan
from spinekit.course.profiles import SMOKE
from spinekit.course.runs import BadParameter
from spinekit.course.steps import Step
from spinekit.course.test_half import HIDDEN_STUDIES

PROFILE = replace(SMOKE, acquisition=SCAN, localizer=MODEL, grader=replace(SMOKE.grader, crops=RECIPE))
GB = 1e9


def by_hand(*parts: Part) -> Plan:
    return Plan("by hand", CohortSize(10, 0, 5), tflops=2.0, parts={1: list(parts), 5: list(parts)})


def shown(table: Plan) -> str:
    console = Console(width=200, record=True)
    console.print(table)
    return console.export_text()


@pytest.fixture(scope="module")
def small() -> Plan:
    return plan(PROFILE, 12, 4)


def test_hours_are_those_of_arithmetic_and_of_reading():
    needs = by_hand().needs(StepCost(flop=7.2e15, decodes=plans.READERS * 3600 / plans.READ_SECONDS))
    assert needs["hours"] == pytest.approx(1 + 1)


def test_slices_are_gone_before_crops_are_cut():
    slices = Part(Step.LOCALIZATION, "grid", StepCost(disk_bytes=1 * GB, slices_bytes=12 * GB))
    for crops_gb, highest in ((8, 13), (13, 14)):
        table = by_hand(slices, Part(Step.CROPS, "size_px", StepCost(disk_bytes=crops_gb * GB)))
        assert table.needs_of("training")["disk_gb"] == pytest.approx(highest)


def test_what_exceeds_a_limit_is_named_with_what_costs_it():
    slices = Part(Step.LOCALIZATION, "grid", StepCost(slices_bytes=12 * GB))
    crops = Part(Step.CROPS, "size_px", StepCost(disk_bytes=20 * GB, gpu_bytes=1 * GB))
    table = by_hand(slices, crops, Part(Step.CROPS, "encoder", StepCost(flop=1e12)))
    verdict = table.verdict("training")
    assert not verdict["fits"] and verdict["excess"] == {"disk_gb": pytest.approx(5.0)}
    assert verdict["largest"]["disk_gb"] == [("size_px", 20.0), ("grid", 12.0), ("encoder", 0.0)]
    words = shown(table)
    assert "training, 1 fold: 5.0 GB of disk over the 15 of a session on Kaggle. Most of it: size_px 20.0" in words
    assert "grading, 5 folds: fits a session on Kaggle" in words


def test_every_step_has_a_row_and_the_training_is_their_sum(small):
    rows = small.rows(1)
    assert [row["step"][:2] for row in rows] == ["00", "03", "04", "05", "06", "20"]
    assert sum(row["flop"] for row in rows[:-1]) == small.of_steps(1, plans.TRAINING).flop
    assert max(row["gpu_bytes"] for row in rows[:-1]) == small.of_steps(1, plans.TRAINING).gpu_bytes
    assert all(row["flop"] > 0 and row["gpu_gb"] > 0 for row in rows[1:])
    assert all(row["decodes"] > 0 and row["memory_bytes"] > 0 for row in rows)


def test_the_table_and_the_json_have_both_numbers_of_folds(small):
    words = shown(small)
    assert "1 fold" in words and "5 folds" in words and words.count("20_kaggle_inference") == 2
    written = json.loads(json.dumps(small.to_json()))
    assert written["graded"] == 12 and len(written["steps"]["folds_5"]) == 6
    assert {part["folds"] for part in written["parts"]} == {1, 5} and written["sessions"]["training"]["fits"]


def test_a_hidden_test_half_is_seen_by_notebook_20_alone(small):
    hidden = plan(PROFILE, 12)
    assert hidden.size == CohortSize(12, 0, HIDDEN_STUDIES) and small.size == CohortSize(12, 4, 4)
    graded = {
        name: table.of_steps(1, (Step.KAGGLE,)).flop / table.size.submitted
        for name, table in {"hidden": hidden, "small": small}.items()
    }
    assert graded["hidden"] == pytest.approx(graded["small"], rel=0.1)


@pytest.mark.parametrize(("studies", "tflops"), [(4, 10.0), (20, 0.0), (20, -1.0)])
def test_what_cannot_be_planned_is_refused(studies, tflops):
    with pytest.raises(BadParameter, match="give at least 5 studies and a speed"):
        plan(PROFILE, studies, tflops=tflops)


def test_several_sizes_together_have_the_plans_that_each_has_alone(small):
    hidden = plans.CohortSize(12, 0, HIDDEN_STUDIES)
    together = plans.plans(PROFILE, [small.size, plans.CohortSize(16, 0, 3), hidden])
    assert together[0].to_json() == small.to_json()
    assert together[2].of_steps(1, (Step.KAGGLE,)).flop > 100 * together[1].of_steps(1, (Step.KAGGLE,)).flop
