"""The truth of grades beside a phantom cohort, and none beside others."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from test_where import SCAN

from spinekit import cohort, metric
from spinekit.evaluation_truth import truth_of
from spinekit.phantom import truth, write_cohort


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("truth") / "cohort"
    return write_cohort(folder, 3, 4, SCAN, traps=False, test_fraction=0.34, workers=1, progress=False)


def test_the_truth_is_of_the_studies_asked_for_in_their_order(data: Path) -> None:
    ids = cohort.load(data).studies()
    found = truth_of(data, ids[::-1])
    assert found is not None and (found.labels == truth.read(data).labels(ids)[::-1]).all()
    assert metric.score(found.labels, found.oracle) == truth.read(data).floor(ids[::-1])
    one = truth_of(data, ids[1:2])
    assert one is not None and one.labels.shape == (1, 25)
    np.testing.assert_array_equal(one.oracle[0], found.oracle[1])


def test_without_a_truth_there_is_none(data: Path, tmp_path: Path) -> None:
    real = shutil.copytree(data, tmp_path / "real", ignore=shutil.ignore_patterns("truth"))
    assert truth_of(real, cohort.load(real).studies()) is None
