"""The pictures of the quality report show the suspected points, and the counts of the table."""

import numpy as np
import pytest

from spinekit.evaluation.label_audit import on_paper, table
from spinekit.figures import label_audit
from spinekit.label_audit.coordinates import from_studies
from spinekit.label_audit.report import find_label_issues


@pytest.fixture(scope="module")
def cohort():
    data, studies, mistakes = on_paper(40, 2, 0.1)
    return find_label_issues(data, studies)[0], mistakes, from_studies(studies, data.points)


def test_suspected_points_are_ringed_and_tied_to_where_they_should_be(cohort):
    doubts, _, places = cohort
    doubt = next(doubt for doubt in doubts if doubt.code == "swapped_sides")
    figure = label_audit.in_patient_mm(doubt, places)
    rings = [line for line in figure.axes[0].lines if line.get_markersize() > 10]
    ties = [line.get_xdata() for line in figure.axes[0].lines if len(line.get_xdata()) == 2]
    assert len(rings) == len(ties) == len(doubt.targets)
    assert all(np.prod(np.sign(tie)) < 0 for tie in ties)  # a swapped point should be on the other side
    assert doubt.message in figure.get_suptitle()


def test_bars_are_the_recall_of_the_table(cohort):
    doubts, mistakes, _ = cohort
    counted = table(doubts, mistakes)
    axis = label_audit.recall({"with headers": counted}).axes[0]
    widths = [bar.get_width() for bar in axis.patches]
    assert widths == counted.loc[counted["planted"] > 0, "recall"].tolist()
