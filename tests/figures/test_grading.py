"""Figures of notebooks 04 and 05 show what they were given."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from cohort_files import true_xyz_mm
from crop_sets import RECIPE, crop_set
from figure_words import words
from matplotlib.colors import to_hex

from spinekit.anatomy import KINDS, SIDES, TARGETS
from spinekit.figures import grading as figures
from spinekit.grading.augmentation import Augmentation, Jitter
from spinekit.grading.crops import CropRecipe, cut_target
from spinekit.io.study import Study

SANDWICHES = CropRecipe(size_px=32, margin_px=2, slices=3, whole_slice=True)


def test_token_grid_frames_the_grades_and_names_what_is_not_covered() -> None:
    crops, labels = crop_set(1)
    crops.present[0, 20] = False
    figure = figures.token_grid(crops.pixels[0], crops.present[0], RECIPE, labels[0])
    assert words(figure).count("not covered") == 1 and len(figure.axes) == 30
    frame = to_hex(figure.axes[0].spines["left"].get_edgecolor())
    assert frame == figures.COLOURS[labels[0, 0]].lower()


def test_arrows_of_both_sides_point_away_from_the_mid_line(study: Study) -> None:
    sides = {s: cut_target(study, true_xyz_mm(), f"{s}_subarticular_stenosis_l3_l4", RECIPE) for s in SIDES}
    figure = figures.both_sides(study, sides)  # type: ignore[arg-type]
    arrows = [text for text in figure.axes[0].texts if hasattr(text, "arrow_patch")]
    tips = [arrow.xy[0] - arrow.xyann[0] for arrow in arrows]
    assert tips[0] > 0 > tips[1]  # on an axial image the patient's left is at the right


def test_jitter_shows_every_view_and_names_the_last_column() -> None:
    figure = figures.jitter(Jitter(((0.0, 1.0, 3.0),) * 4, ((0.7, 0.2, 0.1),) * 4))
    assert len(figure.axes[0].lines) == 4 and len(figure.axes[1].patches) == 12
    assert "2 or more" in words(figure)


def test_a_crop_of_the_right_side_carries_the_letters_of_a_mirror(study: Study) -> None:
    sides = {s: cut_target(study, true_xyz_mm(), f"{s}_subarticular_stenosis_l3_l4", RECIPE) for s in SIDES}
    _, left, right = figures.both_sides(study, sides).axes
    assert [text.get_text() for text in left.texts[:4]] == ["R", "L", "A", "P"]
    assert [text.get_text() for text in right.texts[:4]] == ["L", "R", "A", "P"]


def test_imputed_slices_say_the_weights(study: Study) -> None:
    crop = cut_target(study, true_xyz_mm(), "left_neural_foraminal_narrowing_l3_l4", RECIPE)
    assert crop is not None
    text = words(figures.imputed_slices(crop, Augmentation(decay=0.5).label_weights(1)))
    assert text.count("grade with weight 0.5") == 2 and text.count("only a neighbour") == 2
    step = abs(np.diff(crop.frame.positions_mm)[0])
    assert all(
        place in text for place in (f"{2 * step:.1f} mm medial", f"{step:.1f} mm medial", f"{step:.1f} mm lateral")
    )
    assert text.count("no further slice") == 1, "the stack ends one slice lateral of the marked one"


def test_learning_curves_with_and_without_held_out_studies() -> None:
    history = pd.DataFrame({"epoch": [0, 1], "loss": [1.0, 0.8], "held_out_score": [0.9, 0.7]})
    figure = figures.learning_curves({"one": history, "two": history.drop(columns="held_out_score")})
    assert [len(axis.lines) for axis in figure.axes] == [2, 1] and "held-out score" in words(figure)
    assert "0.700" in words(figure), "the last score stands at the line"
    (axis,) = figures.learning_curves({"one epoch": history.iloc[:1]}).axes
    assert axis.get_xlim() == (0.5, 1.5)


def test_a_sandwich_is_three_grey_slices_that_say_how_far_apart_they_are(study: Study) -> None:
    name = "left_subarticular_stenosis_l3_l4"
    whole, crop = (cut_target(study, true_xyz_mm(), name, recipe) for recipe in (SANDWICHES, RECIPE))
    assert whole is not None and crop is not None
    figure = figures.sandwich({"recess": whole, "nothing": None}, {"recess": crop})
    shown = [axis.images[0].get_array() for axis in figure.axes[:3]]
    middle = len(whole.pixels) // 2
    for image, i in zip(shown, (middle - 1, middle, middle + 1), strict=True):
        np.testing.assert_array_equal(image, whole.pixels[i])
    step = abs(np.diff(whole.frame.positions_mm[middle : middle + 2])[0])
    titles = [axis.get_title() for axis in figure.axes[:3]]
    assert titles == [f"{step:.1f} mm towards S", "the marked slice", f"{step:.1f} mm towards I"]
    assert words(figure).count("no such series") == 3


def test_the_frame_on_a_sandwich_is_where_the_crop_lies(study: Study) -> None:
    name = "spinal_canal_stenosis_l3_l4"
    whole, crop = (cut_target(study, true_xyz_mm(), name, recipe) for recipe in (SANDWICHES, RECIPE))
    assert whole is not None and crop is not None
    axes = figures.sandwich({"canal": whole}, {"canal": crop}).axes
    assert [len(axis.lines) for axis in axes] == [0, 1, 0]
    corners_xy = np.array(axes[1].lines[0].get_xydata())[:4]
    xyz_mm = whole.frame.to_patient(corners_xy, np.full(4, len(whole.pixels) // 2))
    np.testing.assert_allclose(xyz_mm, crop.frame.corners_xyz_mm(len(crop.pixels) // 2), atol=1e-6)


def test_the_fine_recipe_shows_the_same_millimetres_in_more_pixels() -> None:
    fine = figures.fine(RECIPE, mm=0.3)
    for kind in KINDS:
        assert fine.mm_per_px(kind) <= 1.25 * 0.3
        assert fine.size_px * fine.mm_per_px(kind) == pytest.approx(RECIPE.size_px * RECIPE.mm_per_px(kind))
        assert fine.cached_px * fine.mm_per_px(kind) == pytest.approx(RECIPE.cached_px * RECIPE.mm_per_px(kind))
    assert figures.fine(fine, mm=0.3) == fine


def test_targets_in_words() -> None:
    assert figures.target_name(0) == "spinal L1/L2"
    assert {figures.target_name(i) for i in range(len(TARGETS))} >= {"left foraminal L4/L5", "right subarticular L5/S1"}


def test_studies_without_series_say_so_instead_of_stopping(study: Study) -> None:
    empty = [figures.both_sides(study, {"left": None, "right": None}), figures.imputed_slices(None, {})]
    assert all("No" in words(figure) or "no" in words(figure) for figure in empty)
    assert not any(figure.axes for figure in empty)


def test_a_widened_crop_says_how_wide_it_is() -> None:
    crops, labels = crop_set(1)
    crop_scale = np.ones(30)
    crop_scale[0] = 1.5
    figure = figures.token_grid(crops.pixels[0], crops.present[0], RECIPE, labels[0], crop_scale)
    assert words(figure).count(" mm") == 1 and f"{1.5 * RECIPE.size_px * RECIPE.sagittal_mm:.0f} mm" in words(figure)
    assert figure.axes[0].spines["left"].get_linestyle() != figure.axes[1].spines["left"].get_linestyle()
