"""How a cohort is scanned that a test can write in a second: small images, few slices, patients who move."""

from __future__ import annotations

from dataclasses import replace

from spinekit.course.profiles import SMOKE
from spinekit.learning.recipe import TrainRecipe
from spinekit.localization.localizer import LocalizerRecipe
from spinekit.localization.resampling import Grid
from spinekit.phantom import adapted

SCAN = replace(
    adapted(SMOKE.acquisition, max_shift_mm=6.0, max_shift_deg=4.0),
    name="tiny",
    sagittal_px=(40,),
    axial_px=(40,),
    sagittal_slices=(9, 9),
    axial_step_mm=(9.0, 10.0),
    block_slices=(3, 3),
)
# A landmark model that trains in seconds on such images.
MODEL = LocalizerRecipe(
    Grid(5.0, (64, 64)),
    Grid(4.0, (32, 32)),
    TrainRecipe(epochs=1, batch_size=8, precision="no"),
    encoder="tu-test_resnet",
    decoder_channels=(32, 16, 16, 16),
)
