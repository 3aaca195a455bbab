"""Edges to a fraction of a pixel: a dark layer thinner than a pixel moves none."""

from dataclasses import replace

import numpy as np
import painted_measures as painted
import pytest
from scipy.special import ndtr

from spinekit.localization.edges import STEP_MM, edge_energy, edge_place, line, profiles, sharpened


def profile(edge_mm, layer_mm, blur_mm, inside, outside, last_mm=12.0):
    x = line(2.0, last_mm, 4.0 + layer_mm)
    return inside * ndtr((edge_mm - x) / blur_mm) + outside * ndtr((x - edge_mm - layer_mm) / blur_mm)


@pytest.mark.parametrize("edge_mm", [4.03, 6.5, 8.91])
@pytest.mark.parametrize(("inside", "outside"), [(0.2, 0.8), (0.9, 0.7), (0.0, 1.0)])
@pytest.mark.parametrize("blur_mm", [0.3, 0.95])
def test_an_edge_behind_a_thin_layer_is_where_it_is(edge_mm, inside, outside, blur_mm):
    explained, unexplained, signals = edge_energy(profile(edge_mm, 0.8, blur_mm, inside, outside)[None], 0.8, blur_mm)
    place = edge_place(explained[0], unexplained[0])
    assert 2.0 + STEP_MM * place == pytest.approx(edge_mm, abs=0.06)
    np.testing.assert_allclose(signals[0, round(place)], (inside, outside), atol=0.1)


def test_without_the_layer_in_the_model_the_edge_would_be_wrong():
    values = profile(6.0, 0.8, 0.9, 0.9, 0.8)[None]
    explained, unexplained, _ = edge_energy(values, 0.0, 0.9)
    assert abs(2.0 + STEP_MM * edge_place(explained[0], unexplained[0]) - 6.0) > 0.3


def test_a_line_leaves_room_for_the_model_at_both_ends():
    energy, _, _ = edge_energy(np.zeros((1, len(line(2.0, 12.0, 4.8)))), 0.8, 0.5)
    assert energy.shape == (1, round(10.0 / STEP_MM) + 1)


def test_a_maximum_at_an_end_stays_there():
    assert sharpened(np.array([3.0, 2.0, 1.0]), 0) == 0.0
    assert sharpened(np.array([1.0, 3.0, 2.0]), 1) == pytest.approx(1 + 1 / 6)


def test_profiles_are_read_in_patient_millimetres_and_need_pixels():
    stack = painted.t1(2.0)
    places = stack.frame.to_patient([(40, 30), (41.5, 62)], [5, 5])
    read = profiles(stack, 5, places)
    assert read[0] == pytest.approx(stack.pixels[5, 30, 40], abs=1e-6)
    assert stack.pixels[5, 60:65, 40:44].min() - 0.2 < read[1] < stack.pixels[5, 60:65, 40:44].max() + 0.2
    with pytest.raises(ValueError, match="headers alone"):
        profiles(replace(stack, pixels=None), 5, places)
