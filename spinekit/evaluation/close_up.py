"""A target's surroundings as a person would want to see them: one slice, fine pixels, as the scanner laid it.

A real study is sampled from its own pixels. Small phantoms have pixels of 2 mm, in which nobody could grade a foramen;
there the same patient is scanned again, in the plane of the same slice, by the same scanner, with fine pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spinekit.anatomy import TARGET_INDEX
from spinekit.artifacts import from_json
from spinekit.geometry import Floats, StackFrame
from spinekit.grading import crop_cache
from spinekit.grading.crops import CropRecipe, Placement, nearest_stack, sample
from spinekit.grading.tokens import TOKENS, Token
from spinekit.io.cohort import Cohort
from spinekit.io.stacks import Stack
from spinekit.phantom import truth
from spinekit.phantom.study import StudyOrder, imaging_of, plan_scan
from spinekit.phantom.write import FORMAT, CohortPlan, PhantomError, study_orders

SIZE_MM, PIXEL_MM = 70.0, 0.4  # about the pixels of the competition's axial series
MARGIN_MM = 20.0  # scanned around a phantom's close-up and cut off: the end of k-space rings at the border


@dataclass(frozen=True)
class CloseUp:
    """``pixels`` (px, px) of one slice and the ``frame`` that places them; ``rescanned``: a phantom's, not its own."""

    pixels: NDArray[np.float32]
    frame: StackFrame
    rescanned: bool


def orders_of(folder: Path) -> dict[int, StudyOrder]:
    """How each study of a phantom cohort was made, by study; empty for real data, and for the cohort of a version that
    drew other phantoms."""
    try:
        described = dict(truth.read(folder).order)
    except truth.TruthError:
        return {}
    if described.pop("format") != FORMAT:
        return {}
    return {order.study_id: order for order in study_orders(from_json(CohortPlan, described, PhantomError))}


def close_up(
    data: Cohort, study_id: int, token: Token, centre_xyz_mm: Floats, orders: Mapping[int, StudyOrder]
) -> CloseUp | None:
    """The slice of a token's kind that is nearest to a point (LPS mm), around that point; None where no slice shows it.

    ``orders`` are those of ``orders_of``. Only the images of a phantom are drawn again, nothing that is known of it.

    Raises: `UnknownStudy` where the study's folder is missing.
    """
    study = data.read(study_id)
    nearest = nearest_stack(study, token.kind, centre_xyz_mm) if np.isfinite(centre_xyz_mm).all() else None
    if nearest is None:
        return None
    number, k, distance_mm = nearest
    stack, order = study.stacks[number], orders.get(study_id)
    frame = _window(stack, k, centre_xyz_mm, SIZE_MM)
    if order is None:
        placement = Placement(number, k, distance_mm, np.array([k]), frame)
        return CloseUp(sample(study, placement)[0], frame, rescanned=False)
    pixels = _rescanned(order, stack, _window(stack, k, centre_xyz_mm, SIZE_MM + 2 * MARGIN_MM))
    cut = round(MARGIN_MM / PIXEL_MM)
    return CloseUp(pixels[cut:-cut, cut:-cut], frame, rescanned=True)


@dataclass(frozen=True)
class Case:
    """One target as the model saw it, the middle slice of its crop (px, px) and how wide a pixel of it is, and as a
    person would want to see it; None where no slice shows it."""

    token: Token
    crop: NDArray[np.uint8]
    crop_mm: float
    close_up: CloseUp | None


def views_of(data: Cohort, cases: pd.DataFrame, crops: Mapping[int, Path], recipe: CropRecipe) -> list[Case]:
    """Each of ``cases`` [study_id, target], around the point where its crop was cut, from the folder of ``crops`` that
    holds its study.

    Raises: `UnknownStudy` where a study's folder is missing.
    """
    views, orders = [], orders_of(data.folder)
    for study, name in zip(cases["study_id"], cases["target"], strict=True):
        cached, target = crop_cache.load(crops[study]), TARGET_INDEX[name]
        row, token = cached.rows([study])[0], TOKENS[target]
        slices = cached.pixels[row, target]
        middle = np.asarray(slices[len(slices) // 2])
        mm = float(cached.crop_scale[row, target]) * recipe.mm_per_px(token.kind)
        drawn = close_up(data, int(study), token, cached.centres_xyz_mm[row, target], orders)
        views.append(Case(token, middle, mm, drawn))
    return views


def _window(stack: Stack, k: int, centre_xyz_mm: Floats, size_mm: float) -> StackFrame:
    """One slice of ``size_mm`` around a point, in the plane of slice ``k`` and with its directions."""
    frame, px = stack.frame, round(size_mm / PIXEL_MM)
    on_slice = frame.to_patient(frame.to_pixel(centre_xyz_mm, k)[0], k)
    corner = on_slice - (px - 1) / 2 * PIXEL_MM * frame.direction_cosines.sum(0)
    return StackFrame(corner[None], frame.direction_cosines, np.array([PIXEL_MM, PIXEL_MM]), (px, px))


def _rescanned(order: StudyOrder, stack: Stack, frame: StackFrame) -> NDArray[np.float32]:
    """(px, px) what the study's scanner would have shown of one slice of a series, with the pixels of ``frame``."""
    scan = plan_scan(order)
    return imaging_of(scan, scan.series_ids.index(int(stack.series_id))).images(frame)[0]
