"""The evaluation of the quality report: planted mistakes are known for what they are, issues are judged by them."""

import numpy as np
import pytest

from spinekit.evaluation import label_audit
from spinekit.evaluation.label_audit import CODE_OF, Planted, is_about, on_paper, reliability, table
from spinekit.label_audit.report import LabelIssue, find_label_issues


def issue(study=1, code="swapped_sides", probability=0.9, targets=("left_subarticular_stenosis_l3_l4",)):
    return LabelIssue(str(study), "", code, probability, 1.0, targets, "")


@pytest.fixture(scope="module")
def cohort():
    return on_paper(60, 3, 0.12)


def test_every_kind_of_mistake_is_planted_and_known(cohort):
    _, _, mistakes = cohort
    assert {mistake.trap for mistake in mistakes} == set(CODE_OF)
    swaps = {m.group for m in mistakes if m.trap == "swapped_axial_points"}
    assert swaps == {"subarticular"}


def test_sound_tables_hold_no_mistake():
    assert on_paper(5, 1, 0.0)[2] == []


def test_with_headers_nearly_all_are_found_and_little_else(cohort):
    data, studies, mistakes = cohort
    everything = table(find_label_issues(data, studies)[0], mistakes).loc["all"]
    assert everything["planted"] > 30 and everything["recall"] >= 0.9 and everything["precision"] >= 0.9


def test_tables_alone_cannot_tell_the_sides_of_sagittal_slices(cohort):
    data, _, mistakes = cohort
    issues = find_label_issues(data)[0]
    foraminal = [m for m in mistakes if m.trap == "swapped_sides" and m.group == "foraminal"]
    found = [m for m in foraminal if any(is_about(d, m) and d.probability > 0.5 for d in issues)]
    assert foraminal and not found
    rest = [m for m in mistakes if m not in foraminal]
    everything = table(issues, rest).loc["all"]
    assert everything["recall"] >= 0.8 and everything["precision"] >= 0.9


def test_an_issue_counts_for_its_study_code_and_group():
    swapped = Planted(1, "swapped_axial_points", "subarticular")
    assert is_about(issue(), swapped)
    assert not is_about(issue(study=2), swapped) and not is_about(issue(code="far_point"), swapped)
    assert not is_about(issue(targets=("left_neural_foraminal_narrowing_l3_l4",)), swapped)
    assert is_about(issue(code="levels_off_by_one"), Planted(1, "levels_off_by_one"))


def test_table_and_reliability_by_hand():
    mistakes = [Planted(1, "swapped_sides", "subarticular"), Planted(2, "level_order", "spinal")]
    issues = [issue(), issue(study=3), issue(study=2, probability=0.2, code="level_order")]
    counted = table(issues, mistakes)
    assert counted.loc["all", ["planted", "found", "issues", "right"]].tolist() == [2, 1, 2, 1]
    assert counted.loc["all", "recall"] == 0.5 and counted.loc["swapped_sides", "precision"] == 0.5
    binned = reliability(issues, mistakes, (0, 0.5, 1))
    assert binned["issues"].tolist() == [1, 2] and binned["right"].tolist() == [0.0, 0.5]


def test_two_swaps_that_undo_each_other_are_no_mistake():
    names = np.arange(25.0)
    assert label_audit._misnamed(1, {"swapped_sides", "swapped_axial_points"}, names) == []
