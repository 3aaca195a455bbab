"""Four ways to decode the same heat-maps, from simple to complete, to measure what each step adds.

``HIGHEST_PIXEL``: each target is the highest pixel of its channel, by itself. ``SUB_PIXEL``: that peak, finer than a
pixel. ``LEVELS_TOGETHER``: five levels of one kind of series decoded jointly under the shape of a spine.
``ALL_SERIES``: what the course uses, all kinds of series in one posterior.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spinekit.anatomy import AXIAL_T2, TARGETS
from spinekit.geometry import Floats
from spinekit.localization.assembly import FOUND, TABLE_COLUMNS, assemble, channel_of
from spinekit.localization.heatmaps import predict
from spinekit.localization.localizer import Localizer, Localizers
from spinekit.localization.peaks import read_place
from spinekit.localization.resampling import CanonicalStack, CanonicalStudy
from spinekit.parallel import tracked

HIGHEST_PIXEL, SUB_PIXEL, LEVELS_TOGETHER, ALL_SERIES = METHODS = (
    "highest pixel",
    "sub-pixel peak",
    "levels together",
    "all series together",
)


def compare(localizers: Localizers, studies: Mapping[int, CanonicalStudy]) -> pd.DataFrame:
    """Rows of ``landmarks.csv`` by each of ``METHODS``, with its name as ``method``.

    Only targets whose own kind of series the study has. The first two methods give no recesses: an axial slice alone
    does not show its level.
    """
    tables: list[pd.DataFrame] = []
    for study_id, study in tracked(studies.items(), desc="read-outs", unit="study"):
        places: dict[str, list[dict[str, object]]] = {HIGHEST_PIXEL: [], SUB_PIXEL: []}
        for kind, model in localizers.models.items():
            if kind != AXIAL_T2 and study.of_kind(kind):
                for method, rows in _each_alone(model, study).items():
                    places[method] += [{"study_id": study_id, **row} for row in rows]
        tables += [pd.DataFrame(rows).assign(method=method) for method, rows in places.items()]
        tables.append(_one_kind_each(localizers, study).assign(study_id=study_id, method=LEVELS_TOGETHER))
        tables.append(localizers.find(study).table(study_id).assign(method=ALL_SERIES))
    joined = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["method", *TABLE_COLUMNS])
    return joined[joined["series_id"] != ""].reset_index(drop=True)


def _each_alone(localizer: Localizer, study: CanonicalStudy) -> dict[str, list[dict[str, object]]]:
    """The highest pixel of each target's channel, on the target's own side of the body, and its sub-pixel place."""
    rows: dict[str, list[dict[str, object]]] = {HIGHEST_PIXEL: [], SUB_PIXEL: []}
    stacks = [(stack, predict(localizer.model, stack)) for stack in study.of_kind(localizer.kind)]
    for i, target in enumerate(TARGETS):
        if target.kind != localizer.kind:
            continue
        channel = channel_of(localizer.kind, i)
        options = [(_on_side(maps[:, channel], stack, target.side, study), stack, maps) for stack, maps in stacks]
        heights, stack, maps = max(options, key=lambda option: option[0].max())
        k, row, column = (int(at) for at in np.unravel_index(heights.argmax(), heights.shape))
        for method, xyz in (
            (HIGHEST_PIXEL, stack.frame.to_patient([column, row], k)),
            (SUB_PIXEL, read_place(stack, maps[:, channel], k, row, column)),
        ):
            place = dict(zip(("x_mm", "y_mm", "z_mm"), xyz, strict=True))
            rows[method].append({"target": target.name, **place, "source": FOUND, "series_id": stack.series_id})
    return rows


def _on_side(
    maps: NDArray[np.float32], stack: CanonicalStack, side: str | None, study: CanonicalStudy
) -> NDArray[np.float32]:
    """Maps (n, rows, columns) of a sagittal stack, 0 on slices of the other side; LPS: the left has the larger x."""
    if side is None:
        return maps
    x_mm: Floats = stack.frame.to_patient((np.array(stack.frame.shape_rc[::-1]) - 1) / 2, np.arange(len(maps)))[:, 0]
    left = x_mm >= study.centre_xyz_mm[0]
    return maps * (left if side == "left" else ~left)[:, None, None]


def _one_kind_each(localizers: Localizers, study: CanonicalStudy) -> pd.DataFrame:
    """The 25 landmarks, each located on its own kind of series as if the study had no other."""
    tables = []
    for kind, model in localizers.models.items():
        if study.of_kind(kind):
            table = assemble({kind: model.propose(study)}, localizers.shape, study).table(0)
            tables.append(table[[TARGETS[i].kind == kind for i in range(len(TARGETS))]])
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
