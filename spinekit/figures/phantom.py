"""Sheets of phantom pictures, to be looked at: patients beside each other, and every disease from open to closed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from spinekit.anatomy import FORAMINAL, LEVELS, SIDES, SPINAL, SUBARTICULAR, TARGETS, level_name
from spinekit.figures._base import ZOOM_BAR_MM, Picture, draw_letters, draw_scale_bar, grid
from spinekit.geometry import Floats, StackFrame
from spinekit.phantom.body import Body, sample_body
from spinekit.phantom.lesions import Closing, Foramen, LevelForm, sample_forms
from spinekit.phantom.render import Acquisition, render_series
from spinekit.phantom.tissue import SequenceName, sample_sequence

_THICKNESS_MM = 4.0
_CANAL_BEHIND_DISC_MM = 18.0
Disease = tuple[str, str | None, str, SequenceName]  # condition, side, plane and weighting of its picture
DISEASES: tuple[Disease, ...] = (
    (SPINAL, None, "sagittal", "T2"),
    (SPINAL, None, "axial", "T2"),
    (FORAMINAL, "left", "sagittal", "T1"),
    (SUBARTICULAR, "left", "axial", "T2"),
)
_NAMES = {SPINAL: "canal", FORAMINAL: "foramen", SUBARTICULAR: "recess"}


def sagittal_frame(centre_xyz_mm: Floats, pixels: int, field_mm: float) -> StackFrame:
    """One sagittal slice: rows to the back, columns to the feet."""
    return _one_slice(centre_xyz_mm, np.array([[0, 1.0, 0], [0, 0, -1.0]]), pixels, field_mm)


def axial_frame(body: Body, level: int, centre_xyz_mm: Floats, pixels: int, field_mm: float) -> StackFrame:
    """One slice parallel to the disc of a level (0 is L1/L2): rows to the patient's left, columns to the back."""
    normal = body.disc_normals[level]
    across = np.array([1.0, 0, 0]) - normal[0] * normal
    across /= np.linalg.norm(across)
    return _one_slice(centre_xyz_mm, np.stack([across, np.cross(normal, across)]), pixels, field_mm)


def _one_slice(centre_xyz_mm: Floats, directions: Floats, pixels: int, field_mm: float) -> StackFrame:
    mm = field_mm / pixels
    corner = centre_xyz_mm - (pixels - 1) / 2 * mm * directions.sum(0)
    return StackFrame(corner[None], directions, np.full(2, mm), (pixels, pixels))


def picture(body: Body, frame: StackFrame, weighting: SequenceName, seed: int) -> NDArray[np.float32]:
    """One slice of a patient as a scanner delivers it."""
    rng = np.random.default_rng([seed, len(weighting), frame.shape_rc[0]])
    sequence = sample_sequence(rng, weighting)
    series = render_series(body, frame, Acquisition(sequence, _THICKNESS_MM, np.eye(4)), rng=rng)
    return np.asarray(series[0])


def contact_sheet(
    seed: int = 0,
    patients: int = 12,
    pixels: int = 256,
    narrowing: Callable[[np.random.Generator], Floats] = lambda rng: rng.uniform(0, 0.8, 25),
) -> Picture:
    """Sagittal T1, sagittal T2 and axial T2 at L4/L5 of a number of patients, three patients to a row."""
    rows = -(-patients // 3)
    figure, axes = grid(rows, 9, (18, 2.05 * rows))
    for axis in figure.axes:
        axis.axis("off")
    for i in range(patients):
        rng = np.random.default_rng([seed, i])
        body = sample_body(rng, narrowing(rng), forms=sample_forms(rng))
        middle = body.disc_centres_xyz_mm[2] + (0, _CANAL_BEHIND_DISC_MM, 0)
        low = body.disc_centres_xyz_mm[3] + (0, _CANAL_BEHIND_DISC_MM, 0)
        lumbar, disc = sagittal_frame(middle, pixels, 280.0), axial_frame(body, 3, low, pixels, 180.0)
        pictures = [picture(body, lumbar, "T1", i), picture(body, lumbar, "T2", i), picture(body, disc, "T2", i)]
        for axis, image in zip(axes[i // 3, 3 * (i % 3) :], pictures, strict=False):
            _show(axis, image)
    return figure


def disease_sheet(
    seed: int = 0, level: str = "l4_l5", pixels: int = 128, steps: Sequence[float] = (0.0, 0.35, 0.65, 1.0)
) -> Picture:
    """Each condition at growing narrowing, the same patient, cut out around the true place of the target."""
    figure, axes = grid(len(DISEASES), len(steps), (2.9 * len(steps), 2.95 * len(DISEASES)))
    for row, disease in zip(axes, DISEASES, strict=True):
        for axis, step in zip(row, steps, strict=True):
            xy = _draw_narrowed(axis, disease, level, (step, LevelForm()), seed, pixels)
            if step == steps[0]:
                axis.plot(*xy, "+", color="#ffe08a", ms=12, mew=1.5)
        _name_row(row[0], disease, level)
    for axis, step in zip(axes[0], steps, strict=True):
        axis.set_title(f"narrowing {step:g}", fontsize=11)
    return figure


def _draw_narrowed(
    axis: Axes, disease: Disease, level: str, narrowed: tuple[float, LevelForm], seed: int, pixels: int
) -> NDArray[np.float64]:
    """The target of a disease at a level with a narrowing of a form, all others nearly open; its pixel (x, y)."""
    group, side, plane, weighting = disease
    narrowing, form = narrowed
    index = next(i for i, t in enumerate(TARGETS) if (t.group, t.side, t.level) == (group, side, level))
    narrow = np.full(len(TARGETS), 0.05)
    narrow[index] = narrowing
    body = sample_body(np.random.default_rng(seed), narrow, forms=(form,) * len(LEVELS))
    frame, point = _around(body, index, plane, pixels)
    _show(axis, picture(body, frame, weighting, seed))
    axis.set(xticks=[], yticks=[])
    axis.autoscale(False)
    draw_letters(axis, frame.direction_cosines)
    draw_scale_bar(axis, frame.spacing_rc_mm[1], ZOOM_BAR_MM)
    return frame.to_pixel(point, 0)[0]


def _name_row(axis: Axes, disease: Disease, level: str) -> None:
    group, side, plane, weighting = disease
    name = " ".join(word for word in (side, _NAMES[group]) if word)
    axis.set_ylabel(f"{name}\n{level_name(level)}, {plane} {weighting}", fontsize=10)


CLOSED, OPEN = 0.75, 0.0
# One row for each condition: what is seen, narrowing and form.
SHAPES: Mapping[Disease, Sequence[tuple[str, float, LevelForm]]] = {
    DISEASES[0]: (
        ("open", OPEN, LevelForm()),
        ("disc, from the front", CLOSED, LevelForm(canal=Closing(front=0.9))),
        ("ligament, from behind", CLOSED, LevelForm(canal=Closing(front=0.1))),
        ("fat, from behind", CLOSED, LevelForm(canal=Closing(front=0.1, bright=1.0))),
        ("open, roots in bundles", OPEN, LevelForm(bundle=2.2, fluid=0.6)),
    ),
    DISEASES[3]: (
        ("open", OPEN, LevelForm()),
        ("disc, from the front", CLOSED, LevelForm(recess=dict.fromkeys(SIDES, Closing(front=0.9)))),
        ("ligament, from behind", CLOSED, LevelForm(recess=dict.fromkeys(SIDES, Closing(front=0.1)))),
        (
            "cyst of the joint",
            CLOSED,
            LevelForm(recess=dict.fromkeys(SIDES, Closing(front=0.2, bright=0.9, cyst=True))),
        ),
        ("open, veins for fat", OPEN, LevelForm(fat=0.3)),
    ),
    DISEASES[2]: (
        ("open", OPEN, LevelForm()),
        ("height is lost", CLOSED, LevelForm(foramen=dict.fromkeys(SIDES, Foramen(height=1.0)))),
        ("disc, from the front", CLOSED, LevelForm(foramen=dict.fromkeys(SIDES, Foramen(height=0.1, behind=0.0)))),
        (
            "bone, from behind",
            CLOSED,
            LevelForm(foramen=dict.fromkeys(SIDES, Foramen(height=0.1, behind=1.0, bone=1.0))),
        ),
        ("open, cyst of the root", OPEN, LevelForm(foramen=dict.fromkeys(SIDES, Foramen(cyst_mm=3.5)))),
    ),
}


def shapes_sheet(seed: int = 0, level: str = "l4_l5", pixels: int = 128) -> Picture:
    """The same patient with the same narrowing by different causes, between an open place and one that looks narrow and
    is open."""
    figure, axes = grid(len(SHAPES), 5, (2.9 * 5, 3.1 * len(SHAPES)))
    for row, (disease, shapes) in zip(axes, SHAPES.items(), strict=True):
        for axis, (what, narrowing, form) in zip(row, shapes, strict=True):
            _draw_narrowed(axis, disease, level, (narrowing, form), seed, pixels)
            axis.set_title(f"{what}: {narrowing:g}", fontsize=11)
        _name_row(row[0], disease, level)
    return figure


def _around(body: Body, index: int, plane: str, pixels: int) -> tuple[StackFrame, Floats]:
    """A slice 60 mm wide through the true point of a target (axial: through the disc, the point at its height)."""
    point = body.landmarks_xyz_mm[index]
    if plane == "sagittal":
        return sagittal_frame(point, pixels, 60.0), point
    level = LEVELS.index(TARGETS[index].level)
    disc = body.disc_centres_xyz_mm[level]
    return axial_frame(body, level, np.array([disc[0], point[1], point[2]]), pixels, 60.0), point


def _show(axis: Axes, image: NDArray[np.float32]) -> None:
    axis.imshow(image, cmap="gray", vmin=0, vmax=float(np.percentile(image, 98.5)))
