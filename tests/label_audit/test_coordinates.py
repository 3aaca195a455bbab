"""Crude millimetres of table points worked out by hand, and exact ones through the headers."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cohort_files import true_xyz_mm, write_cohort

from spinekit.anatomy import KINDS, SUBARTICULAR, TARGETS
from spinekit.io.cohort import Cohort, load
from spinekit.label_audit.coordinates import LEVEL, SIDE, SIZES_TABLE, from_studies, from_study, from_tables, in_a_row

GROUP_OF = np.array([t.group for t in TARGETS])


def table(way=1, down=1, study=1):
    """Points of one study: a level is 40 px on sagittal images and 8 slices on axial ones, the recesses lie 40 px
    apart, the foramina 10 slices. ``way``: +1 where sagittal slice numbers grow to the left; ``down``: +1 where axial
    ones grow to the feet."""
    rows = []
    for target, level, side in zip(TARGETS, LEVEL.tolist(), SIDE.tolist(), strict=True):
        if target.group == SUBARTICULAR:
            place = (20 + 8 * down * level, 100 + 20 * side, 90)
        else:
            place = (10 + 5 * way * side, 60, 100 + 40 * level)
        rows.append((study, KINDS.index(target.kind), target.condition, target.level, target.name, *place))
    columns = ["study_id", "series_id", "condition", "level", "target", "instance_number", "x_px", "y_px"]
    return pd.DataFrame(rows, columns=columns).astype({"x_px": float, "y_px": float})


def cohort(points, folder=Path("nowhere")):
    series = [(study, i, kind, "train") for study in points["study_id"].unique() for i, kind in enumerate(KINDS)]
    return Cohort(folder, pd.DataFrame(series, columns=["study_id", "series_id", "kind", "split"]), None, points)


def test_crude_places_by_hand():
    places = from_tables(cohort(table()))
    (mm,) = places.mm
    foramina, recesses = (group == GROUP_OF for group in ("foraminal", "subarticular"))
    np.testing.assert_allclose(mm[foramina, 0], 16.5 * SIDE[foramina])  # 33 mm from one foramen to the other
    np.testing.assert_allclose(mm[recesses, 0], 9.5 * SIDE[recesses])  # 19 mm from recess to recess
    for group in set(GROUP_OF):
        np.testing.assert_allclose(np.diff(mm[group == GROUP_OF, 2][:5]), -34)  # each level below the one before
    assert places.ids == (1,) and places.crude


@pytest.mark.parametrize("way", [1, -1])
@pytest.mark.parametrize("down", [1, -1])
def test_sides_and_levels_do_not_depend_on_how_slices_are_numbered(way, down):
    places = from_tables(cohort(table(way, down)))
    np.testing.assert_allclose(places.mm, from_tables(cohort(table())).mm)
    assert places.direction.tolist() == [way] and places.site[0].startswith(f"{down:+d}")


def test_a_finer_image_is_the_same_place():
    fine = table(study=2)
    fine[["x_px", "y_px"]] *= 2
    places = from_tables(cohort(pd.concat([table(), fine])))
    np.testing.assert_allclose(places.mm[0], places.mm[1] - (0, *(places.mm[1] - places.mm[0])[0, 1:]), atol=1e-9)


def test_the_middle_of_an_image_is_the_zero_where_sizes_are_known(tmp_path):
    sizes = pd.DataFrame({"series_id": [0, 1], "height": [400, 400], "width": [120, 120]})
    sizes.to_csv(tmp_path / SIZES_TABLE, index=False)
    (mm,) = from_tables(cohort(table(), tmp_path)).mm
    spinal = mm[GROUP_OF == "spinal"]
    np.testing.assert_allclose(spinal[:, 1], 0)  # column 60 of 120
    np.testing.assert_allclose(spinal[:, 2], 34 / 40 * (200 - np.array([100, 140, 180, 220, 260])))


def test_a_form_filled_in_is_no_place():
    points = table()
    filled = points["condition"] == "spinal_canal_stenosis"
    points.loc[filled, ["y_px", "instance_number"]] = 10
    assert (in_a_row(points) == filled).all()
    (mm,) = from_tables(cohort(points)).mm
    assert np.isnan(mm[GROUP_OF == "spinal"]).all() and np.isfinite(mm[GROUP_OF != "spinal"]).all()


def test_two_levels_in_a_row_may_be_chance():
    points = table()
    points.loc[points["target"].isin([TARGETS[0].name, TARGETS[1].name]), "y_px"] = 10
    assert not in_a_row(points).any()


def test_points_on_the_wrong_kind_are_left_out():
    points = table()
    points.loc[0, "series_id"] = KINDS.index("Axial T2")
    (mm,) = from_tables(cohort(points)).mm
    assert np.isnan(mm[0]).all() and np.isfinite(mm[1:]).all()


def test_headers_give_true_distances(tmp_path):
    data = load(write_cohort(tmp_path, train=(1,), test=()))
    study = data.read(1, pixels=False)
    mm = from_study(study, data.points)
    np.testing.assert_allclose(mm[:, :2], true_xyz_mm()[:, :2], atol=1e-6)
    # Heights count from the middle of the sagittal images, whose rows reach from 20 mm to -144 mm. Axial slices lie
    # 4 mm apart: a point is on the nearest one.
    off = np.abs(mm[:, 2] - true_xyz_mm()[:, 2] - 62)
    assert off[GROUP_OF != SUBARTICULAR].max() < 1e-6 and off.max() == pytest.approx(2)


def test_studies_without_points_are_left_out(tmp_path):
    data = load(write_cohort(tmp_path, train=(1, 2), test=()))
    studies = [data.read(i, pixels=False) for i in (1, 2)]
    places = from_studies(studies, data.points[data.points["study_id"] == 2])
    assert places.ids == (2,) and places.mm.shape == (1, 25, 3) and not places.crude
