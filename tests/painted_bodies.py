"""Patients for tests of what is painted: one picture in which each chosen tissue has a value of its own."""

from __future__ import annotations

import numpy as np

from spinekit.anatomy import TARGETS
from spinekit.geometry import Floats, StackFrame
from spinekit.phantom.body import Body, Variant, sample_body
from spinekit.phantom.canvas import Canvas, lay_nodes
from spinekit.phantom.lesions import ONE_FORM, LevelForm
from spinekit.phantom.tissue import TISSUES

PLAIN = Variant()
SAGITTAL = np.array([[0, 1.0, 0], [0, 0, -1]])
AXIAL = np.array([[1.0, 0, 0], [0, 1, 0]])


def index(group: str, level: str, side: str | None = None) -> int:
    """Of a target in ``TARGETS``."""
    return next(i for i, t in enumerate(TARGETS) if (t.group, t.level, t.side) == (group, level, side))


def body(
    narrow: dict[int, float] | None = None,
    seed: int = 1,
    variant: Variant = PLAIN,
    forms: tuple[LevelForm, ...] = ONE_FORM,
) -> Body:
    """A patient who is healthy but for the narrowing of some targets."""
    narrowing = np.zeros(25)
    for i, value in (narrow or {}).items():
        narrowing[i] = value
    return sample_body(np.random.default_rng(seed), narrowing, variant, forms=forms)


def canvas(
    patient: Body,
    centre_xyz_mm: Floats,
    directions: Floats,
    size_mm: float = 60.0,
    pixel_mm: float = 0.5,
    **signal: float,
) -> Canvas:
    """One slice about a place on which nothing is painted yet; tissues that are not named have the value 0."""
    px = round(size_mm / pixel_mm)
    corner = np.asarray(centre_xyz_mm) - (px - 1) / 2 * pixel_mm * directions.sum(0)
    frame = StackFrame([corner], directions, np.full(2, pixel_mm), (px, px))
    nodes = lay_nodes(frame, patient.curve, [0.0], np.eye(4))
    return Canvas(nodes, pixel_mm, dict.fromkeys(TISSUES, 0.0) | signal, patient.grain)


def area_mm2(painted: Canvas, above: float = 0.5, within_mm: float = 99.0) -> float:
    """Area that is brighter than this, up to so far from the middle of the picture along rows and columns."""
    image = painted.image[0]
    half = min(round(within_mm / painted.pixel_mm), image.shape[0] // 2)
    middle = slice(image.shape[0] // 2 - half, image.shape[0] // 2 + half)
    return float((image[middle, middle] > above).sum()) * painted.pixel_mm**2
