"""Slices and levels by geometry: on stacks laid by hand, tilted, reversed, in blocks."""

import numpy as np
import pandas as pd
import pytest
from cohort_files import write_tables
from stacks_by_hand import CENTRES, frame, landmarks, stack, study

from spinekit.anatomy import AXIAL_T2, LEVELS, SAGITTAL_T1, SAGITTAL_T2, TARGET_INDEX, TARGETS
from spinekit.io.cohort import load
from spinekit.spatial import slice_matching


@pytest.fixture(scope="module")
def usual():
    """Two sagittal series and one straight axial stack over all levels."""
    return study(
        stack(frame((0, 0, 0), (-1, 0, 0), n=15), SAGITTAL_T1, "1"),
        stack(frame((0, 0, 0), (-1, 0, 0), n=15), SAGITTAL_T2, "2"),
        stack(frame((0, 0, 0), (0, 0, 1), n=41), AXIAL_T2, "3"),
    )


@pytest.mark.parametrize("seed", range(5))
def test_a_point_of_a_slice_is_found_on_it(seed):
    """Any tilt, either direction of the normal: the slice, its pixel and the offset along the normal come back."""
    rng = np.random.default_rng(seed)
    stacks = [stack(frame(rng.normal(0, 20, 3), rng.normal(0, 1, 3)), AXIAL_T2)]
    k, xy, offset_mm = int(rng.integers(9)), rng.uniform(20, 80, 2), rng.uniform(-1.9, 1.9)
    point = stacks[0].frame.to_patient(xy, k) + offset_mm * stacks[0].frame.normal
    match = slice_matching.best_match(point, stacks, AXIAL_T2)
    assert (match.stack, match.k) == (0, k)
    np.testing.assert_allclose(match.xy_px, xy)
    assert match.distance_mm == pytest.approx(offset_mm)


def test_nearest_of_several_blocks_and_series_wins():
    stacks = [stack(frame((0, 0, z), (0, 0, 1), n=3), AXIAL_T2, str(i)) for i, z in enumerate((0.0, 30.0, 1.5))]
    match = slice_matching.matches((0, 0, 1.0), stacks, AXIAL_T2)
    assert [(m.stack, m.k) for m in match] == [(2, 1), (0, 1)]
    assert [m.distance_mm for m in match] == pytest.approx([-0.5, 1.0])


def test_limit_kind_and_field_of_view_reject():
    stacks = [stack(frame((0, 0, 0), (0, 0, 1), n=3, step=4), AXIAL_T2)]
    edge = 4.0 + slice_matching.LIMIT_MM
    assert slice_matching.best_match((0, 0, edge - 0.01), stacks, AXIAL_T2) is not None
    assert slice_matching.best_match((0, 0, edge + 0.01), stacks, AXIAL_T2) is None
    assert slice_matching.best_match((0, 0, edge - 0.01), stacks, AXIAL_T2, limit_mm=3.0) is None
    assert slice_matching.best_match((0, 0, 0), stacks, SAGITTAL_T1) is None
    assert slice_matching.best_match((150, 0, 0), stacks, AXIAL_T2) is None  # beside the image


def test_a_slice_shows_what_lies_within_five_millimetres():
    """As in public solutions of RSNA 2024, whatever the default's name."""
    stacks = [stack(frame((0, 0, 0), (0, 0, 1), n=1), AXIAL_T2)]
    assert [bool(slice_matching.matches((0, 0, z), stacks, AXIAL_T2)) for z in (5.0, -5.0, 5.1, -5.1)] == [
        True,
        True,
        False,
        False,
    ]


def test_imputed_to_neighbouring_slices():
    near_frame = frame((0, 0, 0), (0, 0.3, 1), n=9, step=4)
    point = near_frame.to_patient((40.0, 60.0), 4) + 1.0 * near_frame.normal
    k, xy, distance = slice_matching.slices_near(point, near_frame, reach_mm=5.0)
    assert k.tolist() == [3, 4, 5]
    assert distance == pytest.approx([5.0, 1.0, -3.0])
    np.testing.assert_allclose(xy, [(40.0, 60.0)] * 3)


def test_every_landmark_on_every_kind(usual):
    table = slice_matching.match_landmarks(usual, landmarks())
    assert len(table) == 25 * 3 and (table["k"] >= 0).all()
    row = table[(table.target == "left_neural_foraminal_narrowing_l4_l5") & (table.kind == SAGITTAL_T1)].iloc[0]
    assert row.k == 7 - round(17 / 4)  # the normal points to the patient's right, the left foramen has a smaller k
    assert row.own_kind and row.level == "l4_l5" and row.instance_number == row.k + 1
    assert table.distance_mm.abs().max() <= 2.0


def test_missing_landmarks_and_kinds_give_no_rows_and_uncovered_ones_say_so():
    marked = landmarks()
    marked[3] = np.nan
    table = slice_matching.match_landmarks(study(stack(frame((0, 0, -34), (0, 0, 1), n=5), AXIAL_T2)), marked)
    assert set(table.kind) == {AXIAL_T2} and len(table) == 24
    match = table[table.k >= 0]
    assert set(match.level) == {"l4_l5"}
    nowhere = table[table.k < 0]
    assert nowhere[["x_px", "y_px", "distance_mm", "step_mm"]].isna().all(axis=None)
    assert (nowhere[["instance_number", "stack", "k"]] == -1).all(axis=None) and set(nowhere.series_id) == {""}


@pytest.mark.parametrize("normal", [(0, 0, 1), (0, 0, -1), (0, 0.4, 1)])
def test_levels_of_axial_slices(normal):
    """Each slice has the level whose part of the spine its plane crosses, whichever way the stack is counted."""
    examination = study(stack(frame((0, 0, 0), normal, n=61, step=4), AXIAL_T2))
    levels = slice_matching.axial_levels(examination, CENTRES).dropna(subset="level")
    n = np.array(normal) / np.linalg.norm(normal) * np.sign(normal[2])
    heights = examination.stacks[0].frame.origins_xyz_mm[levels["k"]] @ n
    order = levels.assign(height=heights).sort_values("height", ascending=False)["level"]
    assert list(dict.fromkeys(order)) == list(LEVELS)  # head to feet without going back
    for level, centre in zip(LEVELS, CENTRES, strict=True):
        here = levels[levels.level == level]
        assert here["distance_mm"].abs().min() <= 2.0
        expected = heights[(levels.level == level).to_numpy()] - centre @ n
        np.testing.assert_allclose(here["distance_mm"], expected)  # positive towards the head
    assert slice_matching.level_coverage(levels)["covered"].all()


def test_slices_of_every_axial_stack_have_a_level_whatever_lies_between(usual):
    middle, axial = usual.stacks[0], usual.stacks[2]
    levels = slice_matching.axial_levels(study(middle, axial, middle, axial), CENTRES)
    assert levels.groupby("stack").size().to_dict() == {1: 41, 3: 41}


def test_borders_lie_halfway_between_levels():
    examination = study(stack(frame((0, 0, 17), (0, 0, 1), n=2, step=0.2), AXIAL_T2))  # 16.9 and 17.1 mm
    assert slice_matching.axial_levels(examination, CENTRES)["level"].tolist() == ["l3_l4", "l2_l3"]


def test_a_level_ends_midway_to_its_neighbours_and_the_outermost_as_far_from_their_centres():
    z = np.array([100.0, 70.0, 30.0, 0.0, -40.0])
    spans = slice_matching.level_spans(np.column_stack([np.zeros(5), z / 10, z]))
    np.testing.assert_allclose(spans[:, 0, 2], [115, 85, 50, 15, -20])
    np.testing.assert_allclose(spans[:, 2, 2], [85, 50, 15, -20, -60])
    np.testing.assert_allclose(spans[:, 1], np.column_stack([np.zeros(5), z / 10, z]))
    np.testing.assert_allclose(spans[:, :, 1] * 10, spans[:, :, 2])


def test_slices_outside_the_lumbar_levels_have_none():
    far = slice_matching.axial_levels(study(stack(frame((0, 0, 140), (0, 0, 1), n=10), AXIAL_T2)), CENTRES)
    assert far["level"].isna().all() and far["distance_mm"].isna().all()
    beside = slice_matching.axial_levels(study(stack(frame((200, 0, 0), (0, 0, 1), n=10), AXIAL_T2)), CENTRES)
    assert beside["level"].isna().all()
    assert not slice_matching.level_coverage(far)["covered"].any()


def test_without_axial_slices_there_is_nothing_to_cover():
    levels = slice_matching.axial_levels(study(stack(frame((0, 0, 0), (1, 0, 0), n=5), SAGITTAL_T2)), CENTRES)
    covered = slice_matching.coverage_and_grades(levels, pd.DataFrame())
    assert list(covered) == ["study_id", "level", "slices", "nearest_mm", "covered", "graded"] and covered.empty
    assert (~covered["covered"]).sum() == (~covered["graded"]).sum() == 0


def test_tilted_blocks_with_a_gap_cover_their_own_levels():
    blocks = [stack(frame(CENTRES[i], (0, tilt, 1), n=4, step=4), AXIAL_T2, "9") for i, tilt in ((2, 0.0), (4, -0.5))]
    levels = slice_matching.axial_levels(study(*blocks), CENTRES)
    assert levels.groupby("stack")["level"].unique().map(list).tolist() == [["l3_l4"], ["l5_s1"]]
    coverage = slice_matching.level_coverage(levels)
    assert coverage.index.tolist() == list(LEVELS)
    assert coverage.query("covered").index.tolist() == ["l3_l4", "l5_s1"]
    assert coverage["slices"].tolist() == [0, 0, 4, 0, 4]


def test_level_centres_fall_back_on_recesses_then_neighbours():
    marked = landmarks()
    missing = marked.copy()
    missing[TARGET_INDEX["spinal_canal_stenosis_l2_l3"]] = np.nan
    np.testing.assert_allclose(slice_matching.level_centres(missing)[1], CENTRES[1] + (0, -3, 0))
    for t in TARGETS:
        if t.level in ("l3_l4", "l5_s1"):
            missing[TARGET_INDEX[t.name]] = np.nan
    centres = slice_matching.level_centres(missing)
    np.testing.assert_allclose(centres[2], (centres[1] + centres[3]) / 2)
    assert np.isnan(centres[4]).all() and np.isfinite(centres[:4]).all()


def test_studies_numbered_differently_are_chosen():
    up, down = frame((0, 0, 0), (0, 0, 1)), frame((0, 0, 0), (0, 0, -1))  # numbers grow along the normal
    rising, falling, another = (study(stack(one, AXIAL_T2)) for one in (up, down, up))
    blocks = study(stack(up, AXIAL_T2), stack(down, AXIAL_T2))
    chosen = slice_matching.differently_numbered([rising, another, blocks, falling])
    assert len(chosen) == 3 and chosen[0] is falling and chosen[1] is rising and chosen[2] is blocks
    assert len(slice_matching.differently_numbered([rising, another])) == 1
    assert slice_matching.differently_numbered([study(stack(up, SAGITTAL_T1))]) == []


@pytest.mark.parametrize("seed", range(5))
def test_cut_line_lies_in_both_planes(seed):
    rng = np.random.default_rng(seed)
    shown, other = frame((0, 0, 0), rng.normal(0, 1, 3)), frame(rng.normal(0, 5, 3), rng.normal(0, 1, 3))
    ends = shown.to_patient(slice_matching.cut_line(shown, 4, other, 2), [4, 4])
    pixels, height = other.to_pixel(ends, [2, 2])
    np.testing.assert_allclose(height, 0, atol=1e-9)
    on_border = np.isclose(pixels, 0) | np.isclose(pixels, 99)  # the line runs from edge to edge of the other slice
    assert on_border.any(axis=1).all()


def test_parallel_slices_do_not_cut():
    slices = frame((0, 0, 0), (0, 0, 1))
    assert slice_matching.cut_line(slices, 1, slices, 2) is None


def test_cohort_without_points_is_named(tmp_path):
    write_tables(tmp_path, [1])
    with pytest.raises(slice_matching.NoPoints, match="train_label_coordinates.csv"):
        slice_matching.marked_studies(load(tmp_path), 5)
