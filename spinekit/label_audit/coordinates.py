"""Where the tables put each point: in patient mm where slices are there, in crude mm where there are tables alone.

Tables alone know neither pixel sizes nor positions. But five levels lie about 34 mm apart, the two recesses of a
level 19 mm and the foramina 33 mm, and a slice number counts along the third direction. That is enough for crude
coordinates: across (to the patient's left), back, and up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import theilslopes

from spinekit.anatomy import FORAMINAL, LEVELS, SAGITTAL_T1, SAGITTAL_T2, SPINAL, SUBARTICULAR, TARGET_INDEX, TARGETS
from spinekit.geometry import Floats
from spinekit.io.cohort import Cohort, points_xyz_mm
from spinekit.io.study import Study
from spinekit.io.tables import read_sizes

N = len(TARGETS)
LEVEL_MM, RECESSES_MM, FORAMINA_MM, SLICE_MM = 34.0, 19.0, 33.0, 4.5  # usual distances, to scale by
LEVEL: NDArray[Any] = np.array([LEVELS.index(t.level) for t in TARGETS])
GROUP: NDArray[Any] = np.array([t.group for t in TARGETS])
SIDE: NDArray[Any] = np.array([{"left": 1, "right": -1, None: 0}[t.side] for t in TARGETS])
SIZES_TABLE = "annotated_image_height_width.csv"


@dataclass(frozen=True)
class Places:
    """``mm`` (n, 25, 3) of the studies ``ids`` (n,): across, back, up; NaN where there is no point on the right kind.

    ``crude`` where they come from tables alone: sides of sagittal slices are then as the labels have them, and
    ``direction`` (n,) is +1 where slice numbers of the foramina grow to the patient's left, -1 to the right, 0 unknown;
    ``site`` (n,) words that stand for the scanner, within which slices are mostly numbered one way.
    """

    ids: tuple[int, ...]
    mm: Floats
    direction: Floats
    site: tuple[str, ...]
    crude: bool


def from_tables(cohort: Cohort) -> Places:
    """Crude coordinates of every study that has points."""
    points = _usable(cohort).merge(_sizes(cohort), "left", "series_id").fillna({"width": 0.0, "height": 0.0})
    points[["x_px", "y_px"]] -= points[["width", "height"]].to_numpy() / 2
    ids = tuple(int(i) for i in points["study_id"].unique())
    mm = np.full((len(ids), N, 3), np.nan)
    direction = np.zeros(len(ids))
    site = []
    usual = _usual_scales(points)
    for i, (_, rows) in enumerate(points.groupby("study_id", sort=False)):
        direction[i] = _sagittal(rows[rows["group"] != SUBARTICULAR], mm[i], usual)
        down = _axial(rows[rows["group"] == SUBARTICULAR], mm[i], usual)
        t1 = rows.loc[rows["group"] == FORAMINAL, ["height", "width"]].max()
        site.append(f"{down:+d} {t1['height']:.0f} {t1['width']:.0f}")
    return Places(ids, mm, direction, tuple(site), crude=True)


def _usable(cohort: Cohort) -> pd.DataFrame:
    """One point a target, on a series of the target's own kind."""
    rows = cohort.points.merge(cohort.series[["study_id", "series_id", "kind"]], "left", ["study_id", "series_id"])
    index = rows["target"].map(TARGET_INDEX).to_numpy(dtype=int)
    rows = rows.assign(i=index, group=GROUP[index], number=LEVEL[index], side=SIDE[index])
    own = rows["kind"] == rows["target"].map({t.name: t.kind for t in TARGETS})
    return rows[own & ~in_a_row(rows)].drop_duplicates(["study_id", "target"]).sort_values(["study_id", "series_id"])


def in_a_row(points: pd.DataFrame) -> pd.Series:
    """Points of three or more levels of a condition in the same pixel row of one slice: a form filled in."""
    same = points.groupby(["study_id", "series_id", "instance_number", "condition", "y_px"])["level"]
    return same.transform("nunique") >= 3


def _sizes(cohort: Cohort) -> pd.DataFrame:
    """Height and width in pixels by series, where a table beside the others has them."""
    file = cohort.folder / SIZES_TABLE
    if not file.is_file():
        return pd.DataFrame({"series_id": np.empty(0, np.int64), "height": np.empty(0), "width": np.empty(0)})
    return read_sizes(file).groupby("series_id", as_index=False)[["height", "width"]].median()


def _slope(values: Floats, number: Floats) -> float:
    """Change of a value from one level to the next: median over all pairs (Theil and Sen); NaN without a pair."""
    return float(theilslopes(values, number).slope) if len(np.unique(number)) > 1 else float("nan")


def _usual_scales(points: pd.DataFrame) -> dict[str, float]:
    """Median pixels from level to level (sagittal) and between the recesses (axial), for those that lack it."""
    first = points.groupby(["study_id", "group"])
    level_px = {
        group: np.nanmedian([_slope(r["y_px"].to_numpy(), r["number"].to_numpy()) for (_, g), r in first if g == group])
        for group in (SPINAL, FORAMINAL)
        if (points["group"] == group).any()
    }
    recesses = points[points["group"] == SUBARTICULAR].pivot_table(
        index=["study_id", "level"], columns="side", values="x_px"
    )
    across = np.nanmedian(np.abs(recesses[1] - recesses[-1])) if {1, -1} <= set(recesses) else np.nan
    return {**level_px, SUBARTICULAR: float(across)}


def _sagittal(rows: pd.DataFrame, mm: Floats, usual: dict[str, float]) -> int:
    """Fill the spinal and foraminal places (25, 3); returns which way slice numbers run."""
    foramina = rows[rows["group"] == FORAMINAL]
    middles = foramina.groupby(["series_id", "side"])["instance_number"].median().unstack()
    distance = (middles[1] - middles[-1]).median() if {1, -1} <= set(middles) else np.nan  # in slices
    direction = int(np.sign(np.nan_to_num(distance)))
    step_mm = FORAMINA_MM / abs(distance) if abs(distance) > 3 else SLICE_MM
    for group, points in rows.groupby("group"):
        series = points["series_id"].mode()[0]  # points on a second series cannot be compared with these
        points = points[points["series_id"] == series]
        slices = points["instance_number"].to_numpy(dtype=float)
        middle = middles.loc[series].mean(skipna=False) if group == FORAMINAL else np.median(slices)
        level_px = _slope(points["y_px"].to_numpy(), points["number"].to_numpy())
        mm_px = LEVEL_MM / _plausible(level_px, usual[str(group)], 4.0)
        across = (direction or 1) * (slices - middle) * step_mm
        back, up = points["x_px"].to_numpy() * mm_px, -points["y_px"].to_numpy() * mm_px
        mm[points["i"].to_numpy()] = np.stack([across, back, up], axis=1)
    return direction


def _plausible(value: float, usual: float, factor: float) -> float:
    """A scale, or the usual one where it is unknown or implausible."""
    return value if 1 / factor < value / usual < factor else usual


def _axial(rows: pd.DataFrame, mm: Floats, usual: dict[str, float]) -> int:
    """Fill the subarticular places (25, 3); returns +1 where slice numbers grow to the feet, -1 to the head, or 0."""
    directions = [_axial_series(points, mm, usual) for _, points in rows.groupby("series_id")]
    if len(directions) > 1:  # series tilt differently: how far back a level appears can be compared within it alone
        for _, points in rows.groupby("number"):
            i = points["i"].to_numpy()
            same = len(points) == 2 and len(set(points["series_id"])) == 1
            mm[i, 1] = mm[i, 1] - mm[i, 1].mean() if same else np.nan
    return int(np.sign(sum(directions)))


def _slices_a_level(slices: pd.Series) -> float:
    """Slice numbers from one level to the next, negative where they fall; ``slices`` by level, 0 for one level alone.

    Blocks may be numbered in any order: the distance between numbers does not depend on it.
    """
    levels, numbers = slices.index.to_numpy(dtype=float), slices.to_numpy(dtype=float)
    slope = float(np.nan_to_num(_slope(numbers, levels)))
    if len(levels) < 2 or np.ptp(levels) + 1 > len(levels):
        return slope
    return float(np.median(np.diff(np.sort(numbers))) * (np.sign(slope) or 1.0))


def _axial_series(points: pd.DataFrame, mm: Floats, usual: dict[str, float]) -> int:
    number, side = points["number"].to_numpy(), points["side"].to_numpy()
    x, y, slices = (points[name].to_numpy(dtype=float) for name in ("x_px", "y_px", "instance_number"))
    wide = points.pivot_table(index="number", columns="side", values="x_px")
    across = (wide[1] - wide[-1]).abs().median() if {1, -1} <= set(wide) else np.nan
    mm_px = RECESSES_MM / _plausible(float(across), usual[SUBARTICULAR], 4.0)
    # One side alone does not show the mid-line.
    centre = np.mean([np.median(x[side == s]) for s in (1, -1)]) if set(side) == {1, -1} else np.nan
    slope = _slices_a_level(points.groupby("number")["instance_number"].median())
    nominal = -LEVEL_MM * (number - 2)
    alone = nominal - (slices - np.median(slices)) * SLICE_MM  # one level, or none that follow each other
    up = -slices * LEVEL_MM / slope if abs(slope) >= 1 else alone
    up = up + np.median(nominal - up)
    mm[points["i"].to_numpy()] = np.stack([(x - centre) * mm_px, (y - np.median(y)) * mm_px, up], axis=1)
    return int(np.sign(slope))


def from_studies(studies: Sequence[Study], points: pd.DataFrame) -> Places:
    """Places of studies whose headers can be read; those that have none are left out."""
    points = points[~in_a_row(points)]
    all_mm = {int(study.study_id): from_study(study, points) for study in studies}
    readable = {study: mm for study, mm in all_mm.items() if np.isfinite(mm).any()}
    mm = np.reshape([*readable.values()], (-1, N, 3))
    return Places(tuple(readable), mm, np.zeros(len(mm)), ("",) * len(mm), crude=False)


def from_study(study: Study, points: pd.DataFrame) -> Floats:
    """(25, 3) points of a study in patient mm (LPS), about the middle of its points and of its sagittal images."""
    placed = points_xyz_mm(study, points)
    mm = np.full((N, 3), np.nan)
    for name, stack, x, y, z in placed[["target", "stack", "x_mm", "y_mm", "z_mm"]].itertuples(index=False):
        i = TARGET_INDEX[name]
        if study.stacks[stack].kind == TARGETS[i].kind:
            mm[i] = x, y, z
    if np.isnan(mm).all():
        return mm
    mm[:, :2] -= np.nanmedian(mm[:, :2], axis=0)
    mm[:, 2] -= _middle_up_mm(study, mm)
    return mm


def _middle_up_mm(study: Study, mm: Floats) -> float:
    """Height of the middle of the sagittal images; without any, of the third level."""
    for kind in (SAGITTAL_T2, SAGITTAL_T1):
        for stack in study.of_kind(kind):
            corners = [stack.frame.corners_xyz_mm(k)[:, 2].mean() for k in (0, len(stack) - 1)]
            return float(np.mean(corners))
    return float(np.nanmedian(mm[:, 2] + LEVEL_MM * (LEVEL - 2)))
