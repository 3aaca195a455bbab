"""Crops lie where their frame says, show by meaning the same thing on both sides, and swap sides in a mirror."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tilted_stacks import frame_of, landmarks, stack_of, study_of

from spinekit.anatomy import AXIAL_T2, FLIPPED_TARGET, KINDS, LEVELS, SAGITTAL_T1, SAGITTAL_T2, TARGETS
from spinekit.geometry import Floats, StackFrame, rigid_matrix, transform_frame
from spinekit.grading import crops
from spinekit.grading.crops import CropRecipe
from spinekit.grading.tokens import TOKENS, Token
from spinekit.io.study import Study

MIRROR_X = np.array([-1.0, 1.0, 1.0])
RECIPE = CropRecipe(size_px=16, margin_px=2)


def mirrored_frame(frame: StackFrame) -> StackFrame:
    """The frame of the same slices in a mirror; their order reverses, as the normal does."""
    return StackFrame(
        frame.origins_xyz_mm[::-1] * MIRROR_X, frame.direction_cosines * MIRROR_X, frame.spacing_rc_mm, frame.shape_rc
    )


def ramp(xyz: Floats) -> Floats:
    return 500 + xyz @ np.array([0.9, -0.5, 0.3])


def waves(xyz: Floats) -> Floats:
    return 500 + 200 * np.sin(xyz @ np.array([0.11, 0.07, -0.05])) + 150 * np.cos(xyz @ np.array([-0.05, 0.09, 0.12]))


@pytest.mark.parametrize("token", TOKENS[::3], ids=lambda token: f"{token.view}-{TARGETS[token.target].name}")
def test_every_pixel_of_a_crop_lies_where_its_frame_says(token: Token) -> None:
    study = study_of(ramp, {kind: frame_of(kind) for kind in KINDS})
    crop = crops.cut(study, token, landmarks()[token.target], np.array([0, 0.2, -0.98]), RECIPE)
    assert crop is not None
    rows, columns = np.indices(crop.frame.shape_rc)
    for k in range(RECIPE.slices):
        expected = ramp(crop.frame.to_patient(np.stack([columns, rows], -1), k))
        np.testing.assert_allclose(crop.pixels[k], expected, atol=0.01)


def drawn_frame(kind: str, rng: np.random.Generator, reverse: bool) -> StackFrame:
    """A tilted stack with uneven steps and slices shifted in their plane; its rows and slices may run the other way."""
    frame = frame_of(kind, tuple(rng.uniform(-15, 15, 3)))
    shifts = rng.uniform(-1.5, 1.5, (len(frame), 3)) @ np.vstack([frame.direction_cosines, frame.normal])
    origins, axes = frame.origins_xyz_mm + shifts, frame.direction_cosines
    if reverse:
        width = (frame.shape_rc[1] - 1) * frame.spacing_rc_mm[1]
        origins, axes = (origins + width * axes[0])[::-1], axes * [[-1], [1]]
    return StackFrame(origins, axes, frame.spacing_rc_mm, frame.shape_rc)


MIDDLE = [token for token in TOKENS if TARGETS[token.target].level == "l3_l4"]


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1), st.sampled_from(MIDDLE), st.booleans())
def test_a_crop_of_any_stack_lies_where_its_frame_says(seed: int, token: Token, reverse: bool) -> None:
    rng = np.random.default_rng(seed)
    study = study_of(ramp, {token.kind: drawn_frame(token.kind, rng, reverse)})
    centre = landmarks()[token.target] + rng.uniform(-3, 3, 3)
    crop = crops.cut(study, token, centre, np.array([0, rng.uniform(-0.3, 0.3), -1.0]), RECIPE)
    assert crop is not None
    rows, columns = np.indices(crop.frame.shape_rc)
    for k in range(RECIPE.slices):
        expected = ramp(crop.frame.to_patient(np.stack([columns, rows], -1), k))
        np.testing.assert_allclose(crop.pixels[k], expected, atol=0.01)


@settings(deadline=None, max_examples=5)
@given(st.tuples(*[st.floats(-300, 300)] * 3))
def test_a_patient_who_lies_elsewhere_has_the_same_crops(shift: tuple[float, float, float]) -> None:
    frames = {kind: frame_of(kind) for kind in KINDS}
    here = crops.study_crops(study_of(waves, frames), landmarks(), RECIPE)
    motion = rigid_matrix((0, 0, 0), shift, (0, 0, 0))  # turned, an axial crop still has the back of the table below
    there = {kind: transform_frame(frame, motion) for kind, frame in frames.items()}
    moved = crops.study_crops(study_of(lambda xyz: waves(xyz - shift), there), landmarks() + shift, RECIPE)
    assert here.present.all() and moved.present.all()
    assert np.abs(moved.pixels.astype(int) - here.pixels).max() <= 1  # rounding of the 8 bits
    np.testing.assert_allclose(moved.centres_xyz_mm - shift, here.centres_xyz_mm, atol=1e-6)


def test_the_landmark_projects_to_the_middle_of_the_crop() -> None:
    study = study_of(ramp, {kind: frame_of(kind) for kind in KINDS})
    for token in TOKENS:
        centre = landmarks()[token.target]
        crop = crops.cut(study, token, centre, np.array([0, 0, -1.0]), RECIPE)
        assert crop is not None
        xy, distance = crop.frame.to_pixel(centre, RECIPE.slices // 2)
        np.testing.assert_allclose(xy, (RECIPE.cached_px - 1) / 2, atol=1e-6)
        assert abs(distance) == pytest.approx(abs(crop.distance_mm), abs=1e-6)


def test_axes_are_chosen_by_meaning() -> None:
    study = study_of(ramp, {kind: frame_of(kind) for kind in KINDS})
    for token in TOKENS:
        crop = crops.cut(study, token, landmarks()[token.target], np.array([0, 0, -1.0]), RECIPE)
        assert crop is not None
        columns, rows = crop.frame.direction_cosines
        slices = np.diff(crop.frame.origins_xyz_mm[1:4], axis=0).mean(0)
        lateral = -1 if token.side == "right" else 1
        if token.kind == AXIAL_T2:
            assert columns[0] * lateral > 0.9 and rows[1] > 0.9 and slices[2] < 0
        else:
            assert columns[1] > 0.9 and rows[2] < -0.9 and slices[0] * lateral > 0


def test_a_mirrored_patient_gives_the_mirrored_tokens() -> None:
    frames = {kind: frame_of(kind) for kind in KINDS}
    here = crops.study_crops(study_of(waves, frames), landmarks(), RECIPE)
    flipped = study_of(lambda xyz: waves(xyz * MIRROR_X), {k: mirrored_frame(f) for k, f in frames.items()})
    there = crops.study_crops(flipped, (landmarks() * MIRROR_X)[list(FLIPPED_TARGET)], RECIPE)
    expected = crops.flip_left_right(here)
    assert np.abs(there.pixels.astype(int) - expected.pixels).max() <= 1  # rounding of the 8 bits
    assert (there.present == expected.present).all() and there.present.all()
    np.testing.assert_allclose(there.centres_xyz_mm, expected.centres_xyz_mm)
    assert np.abs(here.pixels.astype(int) - expected.pixels).max() > 50  # the patient is not symmetric


def test_mirroring_twice_is_nothing() -> None:
    here = crops.study_crops(study_of(waves, {k: frame_of(k) for k in KINDS}), landmarks(), RECIPE)
    back = crops.flip_left_right(crops.flip_left_right(here))
    assert (back.pixels == here.pixels).all()
    np.testing.assert_array_equal(back.centres_xyz_mm, here.centres_xyz_mm)


def test_the_spine_direction_turns_sagittal_crops() -> None:
    study = study_of(ramp, {kind: frame_of(kind, (0, 0, 0)) for kind in KINDS})
    down = np.array([0, np.sin(0.3), -np.cos(0.3)])
    crop = crops.cut(study, TOKENS[2], landmarks()[2], down, RECIPE)
    assert crop is not None
    np.testing.assert_allclose(crop.frame.direction_cosines[1], down, atol=1e-9)


def test_missing_kinds_landmarks_and_slices_leave_tokens_missing() -> None:
    xyz = landmarks()
    xyz[7] = np.nan  # no landmark
    frames = {SAGITTAL_T1: frame_of(SAGITTAL_T1), AXIAL_T2: frame_of(AXIAL_T2, n=5)}  # no T2; L1/2 and L5/S1 uncovered
    found = crops.study_crops(study_of(waves, frames), xyz, RECIPE)
    missing = {TOKENS[i].view + TARGETS[TOKENS[i].target].level for i in np.flatnonzero(~found.present)}
    assert {f"spinal{level}" for level in LEVELS} <= missing
    assert not found.present[7] and found.present[12]
    assert {"subarticularl1_l2", "canall5_s1"} <= missing and "subarticularl3_l4" not in missing
    assert not found.pixels[~found.present].any()


def test_an_unsure_landmark_gets_a_wider_crop_of_the_same_place() -> None:
    study = study_of(ramp, {kind: frame_of(kind) for kind in KINDS})
    unsure = np.zeros(25)
    unsure[[2, 7, 17]] = 7.0, 30.0, np.nan
    sure, found = (crops.study_crops(study, landmarks(), RECIPE, sd) for sd in (None, unsure))
    reach_mm, half_mm = 2 * 7.0 / np.sqrt(3), RECIPE.size_px * RECIPE.sagittal_mm / 2
    assert found.crop_scale[2] == pytest.approx(1 + (reach_mm - crops.TOLERATED_MM) / half_mm)
    assert found.crop_scale[7] == crops.MAX_CROP_SCALE and (np.delete(found.crop_scale, [2, 7]) == 1).all()
    same = np.delete(np.arange(30), [2, 7])
    assert (found.pixels[same] == sure.pixels[same]).all() and (found.centres_xyz_mm == sure.centres_xyz_mm).all()
    # Whatever the landmark's two standard deviations, it lies as far inside the crop as a sure one.
    assert found.crop_scale[2] * half_mm - reach_mm == pytest.approx(half_mm - crops.TOLERATED_MM)


def test_the_slices_of_an_unsure_landmark_stay_neighbours() -> None:
    study, down = study_of(ramp, {kind: frame_of(kind) for kind in KINDS}), np.array([0, 0, -1.0])
    sure, unsure = (crops.cut(study, TOKENS[7], landmarks()[7], down, RECIPE, sd_mm=sd) for sd in (0.0, 50.0))
    assert sure is not None and unsure is not None
    across = [crop.frame.positions_mm for crop in (sure, unsure)]
    np.testing.assert_allclose(*across)
    assert unsure.frame.spacing_rc_mm[0] == crops.MAX_CROP_SCALE * sure.frame.spacing_rc_mm[0]


def test_two_blocks_of_one_kind_give_the_slice_that_passes_nearest() -> None:
    upper, lower = frame_of(AXIAL_T2, (0, 0, 0), n=3), frame_of(AXIAL_T2, (12, 0, 0), n=3)
    lower = StackFrame(lower.origins_xyz_mm - (0, 0, 40), lower.direction_cosines, lower.spacing_rc_mm, lower.shape_rc)
    study = Study("1", (stack_of(AXIAL_T2, upper, ramp), stack_of(AXIAL_T2, lower, ramp)))
    assert crops.nearest_stack(study, AXIAL_T2, np.array([0, 0, 1.0]))[0] == 0  # type: ignore[index]
    assert crops.nearest_stack(study, AXIAL_T2, np.array([0, 0, -41.0]))[0] == 1  # type: ignore[index]
    assert crops.nearest_stack(study, SAGITTAL_T2, np.zeros(3)) is None


def test_a_sandwich_shows_the_whole_slice() -> None:
    recipe = CropRecipe(size_px=32, margin_px=0, whole_slice=True)
    frame = frame_of(AXIAL_T2)
    crop = crops.cut(study_of(ramp, {AXIAL_T2: frame}), TOKENS[17], landmarks()[17], np.array([0, 0, -1.0]), recipe)
    assert crop is not None and crop.pixels.shape == (recipe.slices, 32, 32)
    wide, high = frame.spacing_rc_mm[::-1] * frame.shape_rc[::-1]
    assert crop.frame.spacing_rc_mm[0] * 32 == pytest.approx(max(wide, high))
    corners = crop.frame.to_pixel(frame.corners_xyz_mm(crop.k), 2)[0]
    assert crop.frame.contains(corners).all()
