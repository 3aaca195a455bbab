"""Studies whose landmarks are painted, and a localizer small enough to learn them in a test."""

from __future__ import annotations

import numpy as np

from spinekit.anatomy import SAGITTAL_T2
from spinekit.geometry import Floats, StackFrame
from spinekit.learning.recipe import TrainRecipe
from spinekit.localization.localizer import LocalizerRecipe
from spinekit.localization.resampling import CanonicalStack, CanonicalStudy, Grid

TINY = LocalizerRecipe(
    Grid(5.0, (64, 32)),
    Grid(4.0, (32, 32)),
    TrainRecipe(epochs=12, batch_size=8, learning_rate=4e-3, ema_decay=0.9, precision="no"),
    encoder="tu-test_resnet",
    decoder_channels=(32, 16, 16, 16),
)


def painted(study_id: int, spine: Floats) -> CanonicalStudy:
    """Sagittal slices on which each spinal point is a bright disc, larger from level to level."""
    axes, n = np.array([[0.0, 1, 0], [0, 0, -1]]), 7
    corner = spine.mean(0) - np.array([15.5, 31.5]) * 5.0 @ axes
    frame = StackFrame(corner + (np.arange(n) - 3)[:, None] * 4.0 * np.cross(*axes), axes, [5.0, 5.0], (64, 32))
    x, y = np.meshgrid(np.arange(32), np.arange(64))
    images = np.zeros((n, 64, 32))
    for k in range(n):
        places = frame.to_patient(np.stack([x, y], -1), np.full(x.shape, k))
        for level in range(5):
            images[k] += np.exp(-0.5 * ((places - spine[level]) ** 2).sum(-1) / (5 + 1.5 * level) ** 2)
    stack = CanonicalStack("9", SAGITTAL_T2, frame, np.clip(images * 250, 0, 255).astype(np.uint8))
    return CanonicalStudy(study_id, (stack,), spine.mean(0), spine, np.arange(25))
