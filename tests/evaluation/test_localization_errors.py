"""Tables of one phantom study: points and motions that are exact leave no error, others the one that they have."""

import numpy as np
import pytest
from tiny_scan import MODEL, SCAN

from spinekit.anatomy import FLIPPED_TARGET, TARGETS
from spinekit.evaluation.localization_errors import evaluate_study, landmark_errors, study_row
from spinekit.evaluation.slice_matching import (
    EXACT,
    HEADER,
    PREDICTED,
    TRUE,
    at_rest,
    carry,
    exact_points,
    own_series,
    slice_errors,
    true_places,
)
from spinekit.io import cohort
from spinekit.localization import localizer, resampling
from spinekit.localization.assembly import Landmarks
from spinekit.phantom import plan_cohort, truth, write_cohort


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort") / "data"
    return write_cohort(folder, plan_cohort(3, 2, SCAN, traps=False, test_fraction=0.0), workers=1, progress=False)


@pytest.fixture(scope="module")
def tables(home, tmp_path_factory):
    """The tables of one study, by hardly trained models, and the truth."""
    known, data = truth.read(home), cohort.load(home)
    ids, step = data.studies(), tmp_path_factory.mktemp("models")
    studies = {i: resampling.read_canonical(data, i, MODEL.grids(), with_points=True) for i in ids}
    localizer.train(list(studies.values()), MODEL, step)
    return evaluate_study(data.read(ids[0]), localizer.load(step), known), known


def test_true_points_and_true_motion_leave_no_error(tables):
    carried = tables[0]["carried"]
    exact = carried[(carried["points"] == EXACT) & (carried["motion"] == TRUE)]
    assert len(exact) == 75 and exact["error_mm"].max() < 1e-9 and (exact["slices_off"].dropna() == 0).all()


def test_errors_by_headers_are_the_motion(tables):
    """A true landmark carried by headers is off by what the patient moved between both series."""
    carried, known = tables[0]["carried"], tables[1]
    rows = carried[(carried["points"] == EXACT) & (carried["motion"] == HEADER)]
    row = rows[(rows["group"] == "spinal") & (rows["kind"] == "Sagittal T1")].iloc[0]
    home = rows[(rows["target"] == row["target"]) & rows["own_kind"]].iloc[0]["series_id"]
    still = known.landmarks_xyz_mm(row["study_id"])[TARGETS.index(_target(row["target"]))]
    there = [known.shift(int(series)) @ [*still, 1] for series in (home, row["series_id"])]
    assert row["error_mm"] == pytest.approx(np.linalg.norm(there[0] - there[1])) and row["error_mm"] > 0.1
    assert row["plane_mm"] ** 2 + row["across_mm"] ** 2 == pytest.approx(row["error_mm"] ** 2)


def _target(name):
    return next(t for t in TARGETS if t.name == name)


def test_sides_and_levels_are_judged_against_the_truth(home, tables):
    """The truth itself has every side and level right; mirrored, or a level lower, none."""
    known, data = tables[1], cohort.load(home)
    study = data.read(data.studies()[0], pixels=False)
    true = true_places(study, known)
    own = own_series(study)
    xyz = exact_points(own, true)

    def judged(places):
        predicted = Landmarks(places, np.ones(25), np.ones(25), np.ones(25), ("found",) * 25, tuple(own), 1.0)
        everywhere = slice_errors(study, carry(places, own, at_rest(study)), true, own)
        table = everywhere.assign(points=PREDICTED, motion=HEADER)
        landmarks = landmark_errors(study, predicted, true, table)
        return landmarks, study_row(study, landmarks, known, 1.0).iloc[0]

    landmarks, row = judged(xyz)
    assert len(landmarks) == 25 and row["levels_right"] and row["names_right"]
    assert (landmarks["side_right"].dropna() == 1).all() and landmarks["side_right"].notna().sum() == 20
    assert (judged(xyz[list(FLIPPED_TARGET)])[0]["side_right"].dropna() == 0).all()
    aside = xyz + np.array([0.0, 14.0, 0.0]) * (np.arange(25) == 2)[:, None]
    _, row = judged(aside)  # off its place, and still nearest to its own level
    assert not row["levels_right"] and row["names_right"]
    lower = xyz.copy()
    lower[:4] = xyz[1:5]
    landmarks, row = judged(lower)
    assert not row["levels_right"] and not row["names_right"]
    assert (landmarks.loc[landmarks["group"] != "spinal", "name_right"] == 1).all()
