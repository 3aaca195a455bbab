"""Figures of a study's images by which phantoms and real studies are compared, series by series.

Contrasts, texture and noise of marrow and disc heights are measured at places that follow from the readers' points
(``realism_regions``); noise in air, edges, slices and pixels need none. A figure that cannot be measured is NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom

from spinekit.anatomy import AXIAL_T2, KINDS, SAGITTAL_T1
from spinekit.evaluation import realism_patches, realism_regions, realism_texture
from spinekit.evaluation.realism_patches import Patches
from spinekit.evaluation.realism_texture import BANDS_PER_MM, MIN_EDGES, middle
from spinekit.geometry import Floats, evenly_spread
from spinekit.io.cohort import Cohort, landmarks_of
from spinekit.io.stacks import Stack
from spinekit.io.study import Study
from spinekit.localization.measurements import measurements_of

SQUARE_MM = 16.0  # of marrow, for its texture
MAX_SLICES = 9  # of a series, evenly chosen, for what needs no landmark
CONTRASTS = ("CSF", "disc", "muscle", "fat")
TEXTURES = tuple(f"texture {low:g}-{high:g} /mm" for low, high in BANDS_PER_MM)
# Name and unit of each figure, in the table's order. NEEDS_LANDMARKS are those up to the disc height.
UNITS = {
    **{f"{tissue} / marrow": "" for tissue in CONTRASTS},
    "marrow spread": "%",
    **dict.fromkeys(TEXTURES, "%"),
    "noise in marrow": "%",
    "disc height": "mm",
    "noise in air": "%",
    "noise in body": "%",
    "skin edge": "mm",
    "skin edge, pixels": "px",
    "sharpest edges": "mm",
    "sharpest edges, pixels": "px",
    "slice correlation": "",
    "slice thickness": "mm",
    "slice step": "mm",
    "slice gap": "mm",
    "pixel spacing": "mm",
    "field of view": "mm",
}
NEEDS_LANDMARKS = tuple(UNITS)[: len(CONTRASTS) + 1 + len(TEXTURES) + 2]
ONLY_ON = {"disc height": SAGITTAL_T1}  # it is measured on this kind of series


@dataclass(frozen=True)
class StudyFigures:
    """``rows`` study_id, series_id, kind, figure, value (NaN where not measured); ``patches`` by kind; ``landmarks``
    whether its tables hold usable points."""

    rows: pd.DataFrame
    patches: dict[str, Patches]
    landmarks: bool


def figures_of(data: Cohort, study_id: int, patch_mm: dict[str, float]) -> StudyFigures:
    """All figures of a study, and patches of it resampled to ``patch_mm`` per pixel, by kind of series.

    Raises: `UnknownStudy` where it has no images.
    """
    study = data.read(study_id)
    points = data.points[data.points["study_id"] == study_id]
    chain = realism_regions.chain_of(study, points)
    places = None if chain is None else realism_regions.places_of(chain)
    rows: list[tuple[int, str, str, str, float]] = []
    patches: dict[str, Patches] = {}
    for kind in KINDS:
        stacks = study.of_kind(kind)
        for series in dict.fromkeys(stack.series_id for stack in stacks):
            own = [stack for stack in stacks if stack.series_id == series]
            values = {**_at_landmarks(own, places), **_anywhere(own)}
            if kind == SAGITTAL_T1:
                values["disc height"] = _disc_height(study, landmarks_of(study, points))
            rows += [(study_id, series, kind, name, value) for name, value in values.items()]
        if stacks and kind in patch_mm:
            patches[kind] = realism_patches.of_stacks(stacks, patch_mm[kind], study_id)
    columns = ["study_id", "series_id", "kind", "figure", "value"]
    return StudyFigures(pd.DataFrame(rows, columns=columns), patches, chain is not None)


def _at_landmarks(stacks: Sequence[Stack], places: dict[str, Floats] | None) -> dict[str, float]:
    """The figures of one series that need landmarks; none without."""
    if places is None:
        return {}
    tissue = realism_regions.tissue_values(stacks, places, t1=stacks[0].kind == SAGITTAL_T1)
    marrow = middle(list(tissue["marrow"]))
    values = {f"{name} / marrow": middle(list(tissue[name])) / marrow for name in CONTRASTS}
    if len(tissue["marrow"]) > 2:
        values["marrow spread"] = 100 * float(tissue["marrow"].std() / tissue["marrow"].mean())
    squares = realism_regions.marrow_squares(stacks, places["marrow"], SQUARE_MM)
    usable = [(square, spacing) for square, spacing in squares if min(square.shape) >= 6 and square.mean() > 0]
    if usable:
        bands = np.array([realism_texture.band_contrast(*pair) for pair in usable])
        values |= dict(zip(TEXTURES, 100 * np.median(bands, axis=0), strict=True))
        noise = [realism_texture.noise_sd(square) / square.mean() for square, _ in usable]
        values["noise in marrow"] = 100 * middle(noise)
    return values


def _anywhere(stacks: Sequence[Stack]) -> dict[str, float]:
    """The figures of one series that need no landmark."""
    slices = chosen_slices(stacks)
    air, body_noise, skin, sharp = [], [], [], []
    for stack, k in slices:
        assert stack.pixels is not None
        image, spacing = stack.pixels[k].astype(np.float64), stack.frame.spacing_rc_mm
        body, outside = realism_texture.body_and_air(image, spacing)
        air.append(realism_texture.air_noise(image, body, outside))
        body_noise.append(realism_texture.smooth_noise(image, body, spacing))
        skin += realism_texture.skin_edges(image, body, outside, spacing)
        sharp += realism_texture.sharpest_edges(image, body, spacing)
    frames = [stack.frame for stack in stacks]
    pixel = float(np.median([frame.spacing_rc_mm.mean() for frame in frames]))
    thickness, step = _thickness_mm(stacks[0].files[0]), middle([frame.step_mm for frame in frames])
    edges = {"skin edge": middle(skin, MIN_EDGES), "sharpest edges": middle(sharp, MIN_EDGES)}
    return {
        "noise in air": 100 * middle(air),
        "noise in body": 100 * middle(body_noise),
        **edges,
        **{f"{name}, pixels": value / pixel for name, value in edges.items()},
        "slice correlation": _slice_correlation(stacks),
        "slice thickness": thickness,
        "slice step": step,
        "slice gap": step - thickness,
        "pixel spacing": pixel,
        "field of view": float(np.median([np.max(frame.spacing_rc_mm * frame.shape_rc) for frame in frames])),
    }


def chosen_slices(stacks: Sequence[Stack]) -> list[tuple[Stack, int]]:
    """Up to MAX_SLICES slices of a series: of a sagittal one from its middle half, of an axial one from all blocks."""
    places = [(stack, k) for stack in stacks for k in range(len(stack))]
    if stacks[0].kind != AXIAL_T2:
        quarter = len(places) // 4
        places = places[quarter : len(places) - quarter]
    return [places[i] for i in evenly_spread(len(places), MAX_SLICES)]


def _slice_correlation(stacks: Sequence[Stack]) -> float:
    """Median correlation of neighbouring slices, within the body of the first of each pair."""
    values = []
    for stack in stacks:
        assert stack.pixels is not None
        for k in range(len(stack) // 4, max(len(stack) - len(stack) // 4 - 1, 0)):
            first, second = (stack.pixels[i].astype(np.float64) for i in (k, k + 1))
            body, _ = realism_texture.body_and_air(first, stack.frame.spacing_rc_mm)
            if body.sum() > 2 and first[body].std() > 0 and second[body].std() > 0:
                values.append(float(np.corrcoef(first[body], second[body])[0, 1]))
    return middle(values)


def _thickness_mm(file: Path) -> float:
    """SliceThickness of a file's header, mm; NaN where it has none."""
    header = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=["SliceThickness"], force=True)
    value = header.get("SliceThickness")
    return float("nan") if value in (None, "") else float(value)


def _disc_height(study: Study, landmarks_xyz_mm: Floats) -> float:
    """Mean height of the discs in mm, as `spinekit grade` measures it at landmarks; NaN where none can be measured."""
    if not np.isfinite(landmarks_xyz_mm).any():
        return float("nan")
    heights = [row[3] for row in measurements_of(study, landmarks_xyz_mm) if row[0] == "disc_height"]
    return float(np.mean(heights)) if heights else float("nan")
