"""Measurements of a graded study: each with the error that its method has on phantoms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from stacks_by_hand import frame

from spinekit.anatomy import AXIAL_T2, SAGITTAL_T1
from spinekit.exams import measured
from spinekit.io.stacks import Stack
from spinekit.io.study import Study

LENGTHS = (
    ("disc_height", "l4_l5", "", 8.5, "mm"),
    ("foramen_width", "l4_l5", "left", 7.0, "mm"),
    ("sac_area", "l4_l5", "", 120.0, "mm2"),
)


def study_with(axial_pixel_mm: float) -> Study:
    sagittal, axial = frame((0, 0, 0), (1, 0, 0), 9), frame((0, 0, 0), (0, 0, 1), 9)
    axial = replace(axial, spacing_rc_mm=np.full(2, axial_pixel_mm))
    sagittal = replace(sagittal, spacing_rc_mm=np.full(2, 0.6))
    kinds = {SAGITTAL_T1: sagittal, AXIAL_T2: axial}
    return Study("0", tuple(Stack(kind, kind, at, tuple(range(9)), ()) for kind, at in kinds.items()))


def test_every_reported_measurement_has_a_known_error() -> None:
    errors = measured.errors_on_phantoms()
    assert set(errors) == {"fine", "coarse"}
    for pixels in errors.values():
        assert set(pixels) == set(measured.REPORTED)
        assert all(error > 0 for error in pixels.values())


@pytest.mark.parametrize(("pixel_mm", "pixels"), [(0.6, "fine"), (1.4, "coarse")])
def test_measurements_stand_beside_the_errors_for_their_pixels(
    monkeypatch: pytest.MonkeyPatch, pixel_mm: float, pixels: str
) -> None:
    monkeypatch.setattr(measured, "measurements_of", lambda study, landmarks: LENGTHS)
    disc, sac = measured.measured(study_with(pixel_mm), np.zeros((25, 3)))
    errors = measured.errors_on_phantoms()
    assert (disc.name, disc.value, disc.error) == ("disc_height", 8.5, errors["fine"]["disc_height"])
    assert (sac.name, sac.value, sac.error) == ("sac_area", 120.0, errors[pixels]["sac_area"])


def test_a_study_without_landmarks_has_no_measurements(monkeypatch: pytest.MonkeyPatch) -> None:
    assert measured.measured(Study("0", ()), np.full((25, 3), np.nan)) == ()
