"""Measurements in mm of a graded study, each beside the error that the method has on phantoms.

Foramina are measured (``localization.measurements``), but not reported: on phantoms their values hardly follow the
truth.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path

from spinekit import artifacts
from spinekit.anatomy import AXIAL_T2, SAGITTAL_T1
from spinekit.exams.result import Measurement
from spinekit.geometry import Floats
from spinekit.io.study import Study
from spinekit.localization.measurements import measurements_of

# Median absolute errors for fine and for coarse pixels, in the unit of the measurement; the file says how they were
# made.
ERRORS = "measurement_errors.json"
COARSE_MM = 1.0  # pixels wider than this, of the series that is measured, are coarse
REPORTED = {"disc_height": SAGITTAL_T1, "sac_ap_diameter": AXIAL_T2, "sac_area": AXIAL_T2}  # and the series measured


def measured(study: Study, landmarks_xyz_mm: Floats) -> tuple[Measurement, ...]:
    """What is reported of a study's lengths and areas at its landmarks (25, 3), patient mm, NaN where unknown."""
    return tuple(
        Measurement(name, level, side, value, unit, _error(study, name))
        for name, level, side, value, unit in measurements_of(study, landmarks_xyz_mm)
        if name in REPORTED
    )


def _error(study: Study, name: str) -> float:
    widths_mm = [float(stack.frame.spacing_rc_mm.max()) for stack in study.of_kind(REPORTED[name])]
    return errors_on_phantoms()["coarse" if max(widths_mm) > COARSE_MM else "fine"][name]


@cache
def errors_on_phantoms() -> Mapping[str, Mapping[str, float]]:
    """Median absolute error of each measurement on phantoms, in its own unit: ``fine`` and ``coarse`` pixels."""
    table: dict[str, dict[str, float]] = artifacts.read_json(Path(str(files("spinekit.exams") / ERRORS)))["errors"]
    return table
