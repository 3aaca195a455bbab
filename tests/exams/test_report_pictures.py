"""Pictures behind grades: turned as a radiologist expects, with the point and the box where the geometry puts them."""

import io
from dataclasses import replace

import numpy as np
import pytest
from graded_exams import graded, read_phantom
from PIL import Image

from spinekit.exams.report_pictures import PANEL_PX, _box, _slice_of, overview_of, picture_of, turned
from spinekit.geometry import StackFrame
from spinekit.grading.crops import CropRecipe
from spinekit.io.stacks import Stack

AXIAL = np.array([(1.0, 0, 0), (0, 1.0, 0)])
SAGITTAL = np.array([(0, 1.0, 0), (0, 0, -1.0)])


def stack_of(directions):
    rng = np.random.default_rng(1)
    pixels = rng.uniform(0, 100, (1, 12, 9)).astype(np.float32)
    frame = StackFrame(np.zeros((1, 3)), directions, np.array([1.5, 1.0]), (12, 9))
    return Stack("1", None, frame, (1,), ("a.dcm",), pixels)


@pytest.mark.parametrize("wanted", [AXIAL, SAGITTAL], ids=["axial", "sagittal"])
@pytest.mark.parametrize("signs", [(1, 1), (1, -1), (-1, 1), (-1, -1)])
@pytest.mark.parametrize("swapped", [False, True])
def test_a_slice_is_turned_upright_and_its_pixels_stay_where_they_are(wanted, signs, swapped):
    directions = (wanted[::-1] if swapped else wanted) * np.array(signs)[:, None]
    stack = stack_of(directions)
    upright = turned(stack, 0)
    assert upright.directions.tolist() == wanted.tolist()
    assert upright.spacing_rc_mm.tolist() == ([1.0, 1.5] if swapped else [1.5, 1.0])
    low, high = np.percentile(stack.pixels[0], (1.0, 99.5))
    for column, row in ((0, 0), (8, 0), (3, 7), (8, 11)):
        x, y = upright.place((column, row)).round().astype(int)
        grey = np.clip((stack.pixels[0, row, column] - low) / (high - low) * 255, 0, 255)
        assert upright.pixels[y, x] == pytest.approx(grey, abs=1)


@pytest.fixture(scope="module")
def example(truth_cohort):
    study, xyz = read_phantom(truth_cohort)
    return graded(study, xyz), study


def test_the_box_is_as_wide_as_the_crops_of_the_models_that_graded(example):
    exam, study = example
    grade = exam.grades[0]
    stack, k = _slice_of(study, grade)
    small = replace(exam, weights=replace(exam.weights, crops=CropRecipe(size_px=40, sagittal_mm=1.1)))
    assert _box(exam, grade, stack, k)[1] == pytest.approx(44.8)
    assert _box(small, grade, stack, k)[1] == pytest.approx(44.0)


def test_the_box_is_around_the_point_and_as_wide_as_a_crop(example):
    exam, study = example
    seen = 0
    for grade in exam.grades:
        if (at := _slice_of(study, grade)) is None:
            continue
        stack, k = at
        corners, width_mm = _box(exam, grade, stack, k)
        assert corners.mean(0) == pytest.approx((grade.image.column_px, grade.image.row_px), abs=1e-6)
        sides_mm = np.linalg.norm(np.diff(stack.frame.to_patient(corners, np.full(4, k)), axis=0), axis=1)
        assert sides_mm == pytest.approx(width_mm, abs=1e-6)
        assert width_mm == pytest.approx(38.4 if stack.plane == "axial" else 44.8)
        seen += 1
    assert seen >= 20


def test_the_box_grows_with_the_uncertainty_of_the_place(example):
    exam, study = example
    grade = next(grade for grade in exam.grades if grade.image is not None)
    stack, k = _slice_of(study, grade)
    far = replace(grade, point_sd_mm=9.0)
    assert _box(exam, far, stack, k)[1] > _box(exam, grade, stack, k)[1]


def test_a_picture_has_two_panels_with_a_cross_in_the_middle_of_the_second(example):
    exam, study = example
    grade = next(grade for grade in exam.grades if grade.image is not None)
    picture = picture_of(exam, study, grade)
    image = np.asarray(Image.open(io.BytesIO(picture.jpeg)).convert("RGB")).astype(int)
    assert image.shape == (PANEL_PX, 2 * PANEL_PX + 8, 3)
    middle = PANEL_PX // 2
    arm = image[middle - 1 : middle + 2, PANEL_PX + 8 + middle + 10 : PANEL_PX + 8 + middle + 16].reshape(-1, 3)
    assert (arm[:, 2] - arm[:, 0]).max() > 60  # cyan, while the slice is grey


def test_the_image_is_the_one_that_the_grade_names(example):
    exam, study = example
    for grade in exam.grades:
        if (at := _slice_of(study, grade)) is not None:
            stack, k = at
            assert stack.sop_instance_uids[k] == grade.image.sop_instance_uid
            assert stack.frame.to_pixel(grade.point_xyz_mm, k)[0] == pytest.approx(
                (grade.image.column_px, grade.image.row_px)
            )


def test_without_identifiers_the_slice_nearest_to_the_point_is_shown(example):
    exam, study = example
    bare = replace(study, stacks=tuple(replace(stack, sop_instance_uids=()) for stack in study.stacks))
    for grade in exam.grades:
        named, nearest = _slice_of(study, grade), _slice_of(bare, grade)
        assert (named is None) == (nearest is None)
        assert named is None or (named[0].series_id, named[1]) == (nearest[0].series_id, nearest[1])


def test_no_picture_where_no_slice_shows_the_place(example):
    exam, study = example
    assert picture_of(exam, study, replace(exam.grades[0], image=None)) is None
    assert picture_of(exam, replace(study, stacks=()), exam.grades[0]) is None
    headers = replace(study, stacks=tuple(replace(stack, pixels=None) for stack in study.stacks))
    assert all(picture_of(exam, headers, grade) is None for grade in exam.grades)
    assert overview_of(exam, headers) is None


def test_the_overview_is_sagittal_and_needs_a_point(example):
    exam, study = example
    assert overview_of(exam, study).plane == "sagittal"
    assert overview_of(replace(exam, grades=()), study) is None
