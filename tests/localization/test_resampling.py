"""Canonical slices: the same way up whatever the file's axes, and a pixel stays where it is in the patient."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spinekit.anatomy import AXIAL_T2, SAGITTAL_T2
from spinekit.geometry import Floats, StackFrame, rigid_matrix
from spinekit.io.stacks import Stack
from spinekit.io.study import Study
from spinekit.localization.resampling import Grid, canonical_stack, canonical_study

GRID = Grid(2.0, (96, 80))
SAGITTAL, AXIAL = np.array([[0.0, 1, 0], [0, 0, -1]]), np.array([[1.0, 0, 0], [0, 1, 0]])


def _stack(directions: Floats, kind: str, blob_xyz_mm: Floats, spacing_rc: tuple[float, float] = (1.1, 0.9)) -> Stack:
    """Nine slices about the origin with a Gaussian blob of 4 mm somewhere."""
    shape, n = (140, 170), 9
    normal = np.cross(*directions)
    half = (np.array(shape[::-1]) - 1) / 2 * np.array(spacing_rc[::-1])
    origins = -half @ directions + (np.arange(n) - 4)[:, None] * 4.0 * normal
    frame = StackFrame(origins, directions, np.array(spacing_rc), shape)
    x, y = np.meshgrid(np.arange(shape[1]), np.arange(shape[0]))
    places = np.stack([frame.to_patient(np.stack([x, y], -1), np.full(shape, k)) for k in range(n)])
    pixels = np.exp(-0.5 * ((places - blob_xyz_mm) ** 2).sum(-1) / 16).astype(np.float32)
    return Stack("7", kind, frame, tuple(range(1, n + 1)), (Path("a"),) * n, pixels)


def _turned_axes(directions: Floats) -> list[Floats]:
    """All eight ways to store the same plane, a little oblique."""
    oblique = directions @ rigid_matrix([7, -5, 9], np.zeros(3), np.zeros(3))[:3, :3].T
    return [np.array([a * oblique[i], b * oblique[1 - i]]) for i in (0, 1) for a in (1, -1) for b in (1, -1)]


@pytest.mark.parametrize("number", range(8))
@pytest.mark.parametrize(("plane", "kind"), [(SAGITTAL, SAGITTAL_T2), (AXIAL, AXIAL_T2)])
def test_a_blob_stays_in_its_place_and_the_slice_stands_upright(plane: Floats, kind: str, number: int) -> None:
    blob = np.array([3.0, 21.0, -17.0]) if kind == SAGITTAL_T2 else np.array([21.0, -17.0, 3.0])
    made = canonical_stack(_stack(_turned_axes(plane)[number], kind, blob), GRID)
    assert made is not None
    k, rows, columns = np.nonzero(made.images == made.images.max())  # the middle of the blob is white
    row, column = rows.mean(), columns.mean()
    assert np.linalg.norm(made.frame.to_patient(np.stack([columns, rows], -1), k).mean(0) - blob) < 1.5
    assert (np.sign((made.frame.direction_cosines * plane).sum(1)) == 1).all()
    assert (np.diff(made.frame.positions_mm) > 0).all()
    # +21 mm along growing columns, +17 mm along growing rows (sagittal: to the feet; axial: -17, to the front)
    assert column > 45 and (row > 53 if kind == SAGITTAL_T2 else row < 43)


def test_spacing_that_differs_by_axis_and_coarser_grids() -> None:
    blob = np.array([0.0, 12.0, 8.0])
    for spacing, grid in (((2.0, 0.5), GRID), ((1.1, 0.9), Grid(6.0, (32, 32))), ((1.1, 0.9), Grid(0.5, (224, 192)))):
        made = canonical_stack(_stack(SAGITTAL, SAGITTAL_T2, blob, spacing), grid)
        assert made is not None
        weights = made.images[4].astype(float)
        weights[weights < 40] = 0
        rows, columns = np.indices(weights.shape)
        centre = [(weights * columns).sum() / weights.sum(), (weights * rows).sum() / weights.sum()]
        assert np.abs(made.frame.to_patient(centre, 4) - blob).max() < 0.5


def test_outside_the_image_is_black_and_neighbours_end_at_the_stack() -> None:
    made = canonical_stack(_stack(SAGITTAL, SAGITTAL_T2, np.zeros(3)), Grid(4.0, (96, 80)))
    assert made is not None
    assert made.images[:, :20].max() == 0
    assert made.neighbours(0).tolist() == [0, 0, 1]
    assert made.neighbours(8).tolist() == [7, 8, 8]


def test_a_stack_in_another_plane_or_of_unknown_kind_is_left_out_but_places_the_study() -> None:
    wrong = _stack(AXIAL, SAGITTAL_T2, np.zeros(3))
    study = canonical_study(Study("12", (wrong,)), {SAGITTAL_T2: GRID})
    assert study.stacks == ()
    assert np.allclose(study.centre_xyz_mm, 0)
    assert np.isnan(canonical_study(Study("12", ()), {}).centre_xyz_mm).all()
