"""The truth of grades beside a phantom cohort, and none beside others."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from spinekit.evaluation.truth import truth_of
from spinekit.io import cohort
from spinekit.phantom import truth
from spinekit.scoring import metric


def test_the_truth_is_of_the_studies_asked_for_in_their_order(truth_cohort: Path) -> None:
    ids = cohort.load(truth_cohort).studies()
    found = truth_of(truth_cohort, ids[::-1])
    assert found is not None and (found.labels == truth.read(truth_cohort).labels(ids)[::-1]).all()
    assert metric.score(found.labels, found.oracle) == truth.read(truth_cohort).floor(ids[::-1])
    one = truth_of(truth_cohort, ids[1:2])
    assert one is not None and one.labels.shape == (1, 25)
    np.testing.assert_array_equal(one.oracle[0], found.oracle[1])


def test_without_a_truth_there_is_none(truth_cohort: Path, tmp_path: Path) -> None:
    real = shutil.copytree(truth_cohort, tmp_path / "real", ignore=shutil.ignore_patterns("truth"))
    assert truth_of(real, cohort.load(real).studies()) is None
