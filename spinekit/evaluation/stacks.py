"""Whether series were put in order as a phantom's truth has it, and how exact the conversion from pixels to mm is."""

from __future__ import annotations

import numpy as np
import pandas as pd

from spinekit.geometry import StackFrame
from spinekit.io.stacks import Stack
from spinekit.io.study import Study


def round_trip_error_px(seed: int = 0, frames: int = 300, points: int = 50) -> float:
    """Largest error in px of pixel to patient mm and back, over random oblique frames of both handednesses."""
    rng = np.random.default_rng(seed)
    worst = 0.0
    for number in range(frames):
        frame = random_frame(rng, left_handed=number % 2 == 1)
        xy, k = rng.uniform(-50, 700, (points, 2)), rng.integers(0, len(frame), points)
        back, residual_mm = frame.to_pixel(frame.to_patient(xy, k), k)
        worst = max(worst, float(np.abs(back - xy).max()), float(np.abs(residual_mm).max()))
    return worst


def random_frame(rng: np.random.Generator, left_handed: bool) -> StackFrame:
    """Slices in any orientation, unevenly spaced, shifted in their plane, oblong pixels; directions rounded as in a
    header. ``left_handed``: slices are stored against the cross product of their two directions."""
    axes = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    directions = np.round(axes[:2], 6)
    normal = np.cross(*directions) * (-1 if left_handed else 1)
    n = int(rng.integers(1, 12))
    along = np.cumsum(rng.uniform(0.5, 6, n))[:, None] * normal
    origins = rng.uniform(-300, 300, 3) + along + rng.uniform(-20, 20, (n, 2)) @ directions
    return StackFrame(origins, directions, rng.uniform(0.2, 2, 2), (256, 320))


def order_errors(study: Study, slices: pd.DataFrame) -> pd.DataFrame:
    """For each series of a study whether all of its slices were read, each block is by itself, and slices follow each
    other as they lie in the patient: [study_id, series_id, complete, blocks_apart, in_order, right].

    ``slices`` as in the truth. A phantom numbers the slices of a block from one end to the other.
    """
    rows = []
    mine = slices[slices["study_id"] == int(study.study_id)]
    for series, of_series in mine.groupby("series_id"):
        stacks = [stack for stack in study.stacks if stack.series_id == str(series)]
        block = dict(zip(of_series["instance_number"], of_series["block"], strict=True))
        read = [number for stack in stacks for number in (*stack.instance_numbers, *stack.repeats)]
        complete = sorted(read) == sorted(block)
        separate = all(len({block.get(number) for number in stack.instance_numbers}) == 1 for stack in stacks)
        order = all(_one_way(stack) for stack in stacks)
        rows.append([int(study.study_id), str(series), complete, separate, order, complete and separate and order])
    return pd.DataFrame(rows, columns=["study_id", "series_id", "complete", "blocks_apart", "in_order", "right"])


def _one_way(stack: Stack) -> bool:
    steps = np.diff(stack.instance_numbers)
    return bool((steps > 0).all() or (steps < 0).all()) and bool((np.diff(stack.frame.positions_mm) > 0).all())
