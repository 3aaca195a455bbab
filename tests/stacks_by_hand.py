"""Stacks laid by hand around a made-up lumbar spine, for tests of geometry without files."""

import numpy as np

from spinekit.anatomy import LEVELS, TARGETS
from spinekit.geometry import StackFrame
from spinekit.io.stacks import Stack
from spinekit.io.study import Study

# Level centres of a made-up lumbar lordosis, 34 mm apart, L1/L2 to L5/S1.
CENTRES = np.array([[0, -4, 68], [0, -10, 34], [0, -12, 0], [0, -8, -34], [0, 2, -66]], dtype=float)


def frame(centre, normal, n=9, step=4.0, size_mm=200.0, px=100):
    """``n`` slices at right angles to ``normal``, around a centre; image axes are any two that fit."""
    normal = np.asarray(normal, dtype=float) / np.linalg.norm(normal)
    helper = np.array([1.0, 0, 0]) if abs(normal[0]) < 0.9 else np.array([0, 1.0, 0])
    row = helper - (helper @ normal) * normal
    row /= np.linalg.norm(row)
    directions = np.stack([row, np.cross(normal, row)])
    spacing = size_mm / px
    corner = np.asarray(centre) - (px - 1) / 2 * spacing * directions.sum(0)
    origins = corner + ((np.arange(n) - (n - 1) / 2) * step)[:, None] * normal
    return StackFrame(origins, directions, [spacing, spacing], (px, px))


def stack(its_frame, kind, series_id="1"):
    return Stack(series_id, kind, its_frame, tuple(range(1, len(its_frame) + 1)), ())


def study(*stacks):
    return Study("7", tuple(stacks))


def landmarks(centres=CENTRES):
    """(25, 3): canal at the centre, foramina 17 mm to each side, recesses 8 mm and 3 mm in front."""
    across = {"spinal": 0, "foraminal": 17, "subarticular": 8}
    forward = {"spinal": 0, "foraminal": -6, "subarticular": -3}
    side = {None: 0, "left": 1, "right": -1}
    return np.array(
        [centres[LEVELS.index(t.level)] + (across[t.group] * side[t.side], forward[t.group], 0) for t in TARGETS]
    )
