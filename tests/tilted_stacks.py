"""Stacks that lie askew and show a formula of the place: what a crop shows can be worked out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from spinekit.anatomy import AXIAL_T2, LEVELS, TARGETS
from spinekit.geometry import Floats, StackFrame, rigid_matrix
from spinekit.io.stacks import Stack
from spinekit.io.study import Study

Field = Callable[[Floats], Floats]


def frame_of(kind: str, rotation_deg: tuple[float, float, float] = (4, -5, 7), n: int = 15) -> StackFrame:
    """A tilted stack about (0, 0, 0) that covers 150 mm in its plane, with oblong pixels."""
    axes = np.array([[1.0, 0, 0], [0, 1, 0]]) if kind == AXIAL_T2 else np.array([[0, 1.0, 0], [0, 0, -1]])
    axes = axes @ rigid_matrix(rotation_deg, (0, 0, 0), (0, 0, 0))[:3, :3].T
    spacing, shape, step = np.array([1.1, 0.9]), (140, 170), 11.0 if kind == AXIAL_T2 else 4.0
    normal = np.cross(*axes)
    corner = -(np.array(shape[::-1]) - 1) / 2 * spacing[::-1] @ axes
    return StackFrame(corner + (np.arange(n) - n // 2)[:, None] * step * normal, axes, spacing, shape)


def stack_of(kind: str, frame: StackFrame, field: Field) -> Stack:
    rows, columns = np.indices(frame.shape_rc)
    xy = np.stack([columns, rows], -1)
    pixels = np.stack([field(frame.to_patient(xy, k)) for k in range(len(frame))]).astype(np.float32)
    return Stack("1", kind, frame, tuple(range(1, len(frame) + 1)), (), pixels)


def study_of(field: Field, frames: dict[str, StackFrame]) -> Study:
    return Study("1", tuple(stack_of(kind, frame, field) for kind, frame in frames.items()))


def landmarks() -> Floats:
    """Levels 30 mm apart; foramina 16 mm and recesses 9 mm from the mid-line, +x to the patient's left."""
    lateral = {"spinal": 0.0, "foraminal": 16.0, "subarticular": 9.0}
    sign = {"left": 1, "right": -1, None: 0}
    rows = [(sign[t.side] * lateral[t.group], 3.0 * i, 60 - 30.0 * i) for t in TARGETS for i in [LEVELS.index(t.level)]]
    return np.array(rows) + (0.7, -1.2, 0.4)
