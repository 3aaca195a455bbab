"""Figures of notebooks 04 and 05 show what they were given."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from cohort_files import true_xyz_mm, write_cohort
from crop_sets import RECIPE, crop_set
from matplotlib.colors import to_hex

from spinekit.anatomy import AXIAL_T2, SIDES, TARGETS
from spinekit.figures import grading as figures
from spinekit.figures._base import Picture
from spinekit.grading.augmentation import Augmentation, Jitter
from spinekit.grading.crops import cut_target
from spinekit.grading.tokens import token_centres
from spinekit.io import cohort
from spinekit.io.study import Study


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """One study with every kind of series."""
    return cohort.load(write_cohort(tmp_path_factory.mktemp("cohort"), train=(1,), test=())).read(1)


def words(figure: Picture) -> str:
    """All text of a figure, drawn once so that errors in drawing show."""
    figure._repr_png_()
    return " | ".join(text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text")))


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


def test_imputed_slices_say_the_weights(study: Study) -> None:
    crop = cut_target(study, true_xyz_mm(), "left_neural_foraminal_narrowing_l3_l4", RECIPE)
    assert crop is not None
    text = words(figures.imputed_slices(crop, Augmentation(decay=0.5).label_weights(1)))
    assert text.count("grade with weight 0.5") == 2 and text.count("only a neighbour") == 2


def test_tokens_in_space_marks_missing_ones_hollow(study: Study) -> None:
    present = np.ones(30, dtype=bool)
    present[15] = False
    figure = figures.tokens_in_space(study, token_centres(true_xyz_mm()), present)
    hollow = [c for c in figure.axes[1].collections if len(c.get_facecolor()) == 0]
    assert sum(len(c.get_offsets()) for c in hollow) == 1
    low, high = figure.axes[1].get_xlim()
    assert low < high and figure.axes[1].get_title() == "seen from the front"  # the patient's left at the right
    only_axial = Study(study.study_id, tuple(s for s in study.stacks if s.kind == AXIAL_T2))
    assert "no sagittal" in words(figures.tokens_in_space(only_axial, token_centres(true_xyz_mm()), present))


def test_learning_curves_with_and_without_held_out_studies() -> None:
    history = pd.DataFrame({"epoch": [0, 1], "loss": [1.0, 0.8], "held_out_score": [0.9, 0.7]})
    figure = figures.learning_curves({"one": history, "two": history.drop(columns="held_out_score")})
    assert [len(axis.lines) for axis in figure.axes] == [2, 1] and "held-out score" in words(figure)
    (axis,) = figures.learning_curves({"one epoch": history.iloc[:1]}).axes
    assert axis.get_xlim() == (0.5, 1.5)


def test_sandwich_and_influence() -> None:
    crops, _ = crop_set(1)
    assert len(figures.sandwich(crops.pixels[0, :2, :3], ["a", "b"]).axes) == 2
    missing = figures.sandwich(np.zeros_like(crops.pixels[0, :1, :3]), ["axial"])
    assert "no such series" in words(missing)
    thick = np.stack([crops.pixels[0, :1, 0] + 10 * k for k in range(5)], 1)
    shown = figures.sandwich(thick, ["five slices"]).axes[0].images[0].get_array()
    np.testing.assert_array_equal(shown[..., 1], thick[0, 2])
    table = pd.DataFrame([[0.1, 0.02]], index=["spinal"], columns=["own crops", "all others"])
    assert "0.020" in words(figures.influence(table))


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
