"""The truth as it is read: matrices and landmarks of the right study, scores of the oracle, and what is missing."""

import json
from dataclasses import replace

import numpy as np
import pytest

from spinekit.course.profiles import SMOKE
from spinekit.geometry import rigid_matrix
from spinekit.phantom import disease, reader
from spinekit.phantom.study import StudyOrder, plan_scan, reading_of, study_rows
from spinekit.phantom.tables import truth_tables
from spinekit.phantom.truth import TruthError, read


@pytest.fixture(scope="module")
def orders():
    patients = disease.sample(np.random.default_rng(0), 3)
    recipe = replace(SMOKE.acquisition, max_shift_mm=6.0)
    return [
        StudyOrder(
            0, i, 100 + i, "train" if i else "test", recipe, {}, patients.narrowing[i], patients.reader_errors[i]
        )
        for i in range(3)
    ]


@pytest.fixture(scope="module")
def scans(orders):
    return [plan_scan(order) for order in orders]


@pytest.fixture(scope="module")
def folder(orders, scans, tmp_path_factory):
    """The truth of three studies, without any image."""
    home = tmp_path_factory.mktemp("cohort")
    (home / "truth").mkdir()
    for name, table in truth_tables([study_rows(scan) for scan in scans], orders).items():
        table.to_csv(home / f"{name}.csv", index=False)
    (home / "truth" / "phantom.json").write_text(json.dumps({"seed": 0}))
    return home


@pytest.fixture(scope="module")
def truth(folder):
    return read(folder)


def test_landmarks_and_motions_are_those_of_the_patient(truth, scans):
    for scan in scans:
        np.testing.assert_allclose(truth.landmarks_xyz_mm(scan.order.study_id), scan.body.landmarks_xyz_mm, atol=1e-3)
        for series, plan in scan:
            np.testing.assert_allclose(truth.shift(series), plan.motion, atol=1e-8)
    moved = truth.shift(scans[1].series_ids[1])
    assert np.linalg.det(moved[:3, :3]) == pytest.approx(1) and not np.allclose(moved, np.eye(4))
    assert moved.shape == rigid_matrix((0, 0, 0), (0, 0, 0), (0, 0, 0)).shape


def test_labels_come_in_the_order_asked_for(truth, scans):
    read = [reader.grade(s.order.narrowing, reading_of(s).sd, s.order.reader_errors) for s in (scans[2], scans[0])]
    np.testing.assert_array_equal(truth.labels([102, 100]), read)


def test_the_oracle_is_the_best_submission_and_its_score_the_floor(truth, scans):
    ids = [100, 101, 102]
    p = truth.grade_probabilities(ids)
    stated = [reader.grade_probabilities(scan.order.narrowing, reading_of(scan).sd) for scan in scans]
    np.testing.assert_allclose(p, stated, atol=1e-8)
    np.testing.assert_allclose(truth.oracle(ids), reader.oracle(p))
    np.testing.assert_allclose(truth.oracle(ids).sum(-1), 1)
    assert truth.order == {"seed": 0} and 0 < truth.floor(ids).spinal < np.log(3)


def test_what_is_not_of_this_cohort_is_refused_by_name(truth):
    with pytest.raises(TruthError, match="study 7 is not part"):
        truth.landmarks_xyz_mm(7)
    with pytest.raises(TruthError, match="series 7 is not part"):
        truth.shift(7)


@pytest.mark.parametrize("lost", ["shifts.csv", "phantom.json"])
def test_a_truth_that_is_not_whole_names_the_file(folder, tmp_path, lost):
    with pytest.raises(TruthError, match=r"landmarks\.csv is missing: only a cohort that spinekit wrote"):
        read(tmp_path)
    (tmp_path / "truth").mkdir()
    for file in (folder / "truth").iterdir():
        if file.name != lost:
            (tmp_path / "truth" / file.name).write_bytes(file.read_bytes())
    with pytest.raises(TruthError, match=lost):
        read(tmp_path)
