"""Each label problem, planted once in a sound cohort, is found and blamed on the right study; nothing else is."""

import pandas as pd
import pytest
from cohort_files import series_ids, write_cohort, write_tables

from spinekit.anatomy import AXIAL_T2, SAGITTAL_T1, TARGETS
from spinekit.io.cohort import load
from spinekit.label_audit.table_checks import label_findings, point_findings

GRADES, POINTS, SERIES = "train.csv", "train_label_coordinates.csv", "train_series_descriptions.csv"


@pytest.fixture
def folder(tmp_path):
    write_tables(tmp_path, (1, 2, 3))
    return tmp_path


def edit(folder, table, change):
    change(frame := pd.read_csv(folder / table)).to_csv(folder / table, index=False)
    return frame


def found(folder):
    return [(finding.study_id, finding.code) for finding in label_findings(load(folder))]


def of(frame, study_id, condition=None, level=None):
    mask = frame["study_id"] == study_id
    mask &= (frame["condition"] == condition) if condition else True
    return mask & ((frame["level"] == level) if level else True)


def test_a_sound_cohort_has_no_findings(folder):
    assert found(folder) == []


def test_kinds_of_series(folder):
    extra = pd.DataFrame([[2, 999, AXIAL_T2]], columns=["study_id", "series_id", "series_description"])
    edit(folder, SERIES, lambda f: pd.concat([f[f["series_id"] != series_ids(1)[SAGITTAL_T1]], extra]))
    assert ("1", "missing_kind") in found(folder) and ("2", "several_series") in found(folder)


def test_points_without_grade_and_grades_without_point(folder):
    edit(folder, GRADES, lambda f: f.assign(**{TARGETS[4].name: ["Severe", None, "Moderate"]}))
    edit(folder, POINTS, lambda f: f[~of(f, 3, "Spinal Canal Stenosis", "L2/L3")])
    assert found(folder) == [("2", "point_without_grade"), ("3", "grade_without_point")]


def test_a_condition_without_grades(folder):
    names = [target.name for target in TARGETS if target.condition == "left_subarticular_stenosis"]
    edit(folder, GRADES, lambda f: f.assign(**{name: ["Severe", "Moderate", None] for name in names}))
    assert ("3", "ungraded_condition") in found(folder)
    assert {study for study, _ in found(folder)} == {"3"}


def test_a_study_without_points(folder):
    edit(folder, POINTS, lambda f: f[~of(f, 2)])
    assert found(folder) == [("2", "no_points")]


def test_points_on_the_wrong_kind_of_series(folder):
    moved = series_ids(1)[SAGITTAL_T1]
    edit(folder, POINTS, lambda f: f.assign(series_id=f["series_id"].mask(of(f, 1, "Spinal Canal Stenosis"), moved)))
    assert found(folder) == [("1", "wrong_kind")]


def test_points_on_an_unlisted_series(folder):
    edit(folder, POINTS, lambda f: f.assign(series_id=f["series_id"].mask(of(f, 1, "Spinal Canal Stenosis"), 77)))
    assert found(folder) == [("1", "unlisted_series")]


def test_placeholder_points(folder):
    same = {"x": 20.0, "y": 30.0, "instance_number": 5}
    edit(
        folder,
        POINTS,
        lambda f: f.assign(**{k: f[k].mask(of(f, 2, "Spinal Canal Stenosis"), v) for k, v in same.items()}),
    )
    assert ("2", "same_place") in found(folder)


def test_two_points_for_one_target(folder):
    edit(folder, POINTS, lambda f: pd.concat([f, f[of(f, 2, "Spinal Canal Stenosis", "L2/L3")].assign(x=3.0)]))
    # Another place on the same slice is refused when the tables are read; another slice is not.
    edit(folder, POINTS, lambda f: f.assign(instance_number=f["instance_number"].mask(f["x"] == 3.0, 1)))
    assert found(folder) == [("2", "doubled_points")]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    cohort = load(write_cohort(tmp_path_factory.mktemp("cohort"), (1,), ()))
    return cohort.read(1, pixels=False), cohort.points


def test_sound_points_have_no_findings(written):
    assert point_findings(*written) == []


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"instance_number": 99}, "point_without_slice"),
        ({"x_px": 41.0}, "point_outside"),
        ({"y_px": 160.0}, "level_order_mm"),
    ],
)
def test_points_against_the_slices(written, change, code):
    study, points = written
    bad = points.copy()
    bad.loc[0, list(change)] = list(change.values())  # the spinal point of L1/L2
    assert [finding.code for finding in point_findings(study, bad)] == [code]


@pytest.mark.parametrize("disease", ["neural_foraminal_narrowing", "subarticular_stenosis"])
def test_exchanged_sides(written, disease):
    study, points = written
    swap = {f"{side}_{disease}_": f"{other}_{disease}_" for side, other in (("left", "right"), ("right", "left"))}
    level = points["target"].str.endswith("l3_l4")
    names = points["target"].where(~level, points["target"].replace(swap, regex=True))
    assert (names != points["target"]).sum() == 2
    (finding,) = point_findings(study, points.assign(target=names))
    assert finding.code == "sides_swapped" and "l3_l4" in finding.message
