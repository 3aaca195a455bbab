"""Phantoms beside real studies: a sheet of pictures to be looked at, for `spinekit evaluate realism`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle

from spinekit.anatomy import AXIAL_T2, KINDS
from spinekit.artifacts import atomic
from spinekit.evaluation import realism_regions
from spinekit.evaluation.realism_regions import RADIUS_MM
from spinekit.figures import _base
from spinekit.figures._base import BLUE, GREEN, ORANGE, PURPLE, RED, Picture, grid
from spinekit.geometry import Floats
from spinekit.io.cohort import Cohort
from spinekit.io.stacks import Stack

DETAIL_MM = 60.0
COLOURS = {"marrow": GREEN, "CSF": BLUE, "disc": ORANGE, "muscle": RED, "fat": PURPLE}
PANEL_IN = 2.3
Column = tuple[str, dict[str, list[Stack]], Mapping[str, Floats] | None, Floats | None]


def sheet(phantoms: Cohort, real: Cohort, each: int = 3, limit: int = 0) -> Picture:
    """Up to ``each`` studies of either folder, a column for each: of every kind of series a slice, with the regions
    that are measured where there are landmarks, and below it its middle 60 mm. The first ``limit`` studies, 0: all."""
    columns = _columns("phantom", phantoms, each, limit) + _columns("real", real, each, limit)
    figure, axes = grid(2 * len(KINDS), len(columns), (PANEL_IN * len(columns), PANEL_IN * 2 * len(KINDS) + 0.6))
    for j, (title, stacks, places, centre) in enumerate(columns):
        axes[0, j].set_title(title, fontsize=9)
        for i, kind in enumerate(KINDS):
            whole, detail = axes[2 * i, j], axes[2 * i + 1, j]
            if j == 0:
                whole.set_ylabel(kind, fontsize=9)
                detail.set_ylabel(f"{kind}\nmiddle {DETAIL_MM:.0f} mm", fontsize=9)
            if kind not in stacks:
                for axis in (whole, detail):
                    axis.set(xticks=[], yticks=[])
                    axis.text(0.5, 0.5, "no such series", ha="center", va="center", transform=axis.transAxes)
                continue
            stack, k, xy = _slice(stacks[kind], centre)
            wide = stack.frame.shape_rc[1] * stack.frame.spacing_rc_mm[1] > 2 * _base.SCALE_BAR_MM
            _base.show_slice(whole, stack, k, scale_bar=bool(wide))
            _draw_regions(whole, (stack, k), places)
            _base.show_slice(detail, stack, k)
            _zoom(detail, stack, xy)
    handles = [_base.Line2D([], [], marker="o", ls="", mfc="none", mec=c, label=name) for name, c in COLOURS.items()]
    _base.legend_below(figure, handles)
    return figure


def save(picture: Picture, file: Path) -> None:
    """Write the sheet as PNG, whole or not at all."""
    with atomic(file) as part:
        picture.savefig(part, format="png", dpi=110, metadata={"Software": None})


def _columns(word: str, data: Cohort, each: int, limit: int) -> list[Column]:
    """The first studies, before others those with readers' points, and those with every kind of series."""
    ids, pointed = data.studies()[: limit or None], set(data.points["study_id"])
    ids.sort(key=lambda study: (study not in pointed, len(set(data.kinds_of(study).values())) < len(KINDS)))
    columns: list[Column] = []
    for study_id in ids[:each]:
        study = data.read(study_id)
        chain = realism_regions.chain_of(study, data.points[data.points["study_id"] == study_id])
        stacks = {kind: list(study.of_kind(kind)) for kind in KINDS if study.of_kind(kind)}
        places = None if chain is None else realism_regions.places_of(chain)
        columns.append((f"{word} {study_id}", stacks, places, None if chain is None else chain[3]))
    return columns


def _slice(stacks: Sequence[Stack], centre: Floats | None) -> tuple[Stack, int, Floats]:
    """The slice at L4/L5 in the canal, and its pixel; the middle one of the series where there is no landmark."""
    if centre is not None and (shown := realism_regions.shown_at(stacks, centre)) is not None:
        return shown
    slices = [(stack, k) for stack in stacks for k in range(len(stack))]
    stack, k = slices[len(slices) // 2]
    return stack, k, (np.array(stack.frame.shape_rc[::-1]) - 1) / 2


def _draw_regions(axis: Axes, place: tuple[Stack, int], places: Mapping[str, Floats] | None) -> None:
    """Circles of the regions that this slice shows best; of fat, all depths that are tried."""
    stack, k = place
    mm = float(stack.frame.spacing_rc_mm.mean())
    for name, xyz in (places or {}).items():
        if stack.kind == AXIAL_T2 and name == "disc":
            continue
        for point in xyz.reshape(-1, 3):
            shown = realism_regions.shown_at([stack], point)
            if shown is not None and shown[1] == k:
                circle = Circle(tuple(shown[2]), RADIUS_MM[name] / mm, fill=False, color=COLOURS[name], lw=0.7)
                axis.add_patch(circle)


def _zoom(axis: Axes, stack: Stack, xy: Floats) -> None:
    half = DETAIL_MM / 2 / stack.frame.spacing_rc_mm[::-1]
    axis.set_xlim(xy[0] - half[0], xy[0] + half[0])
    axis.set_ylim(xy[1] + half[1], xy[1] - half[1])
