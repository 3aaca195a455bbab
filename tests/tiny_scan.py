"""How a cohort is scanned that a test can write in a second: small images, few slices, patients who move."""

from __future__ import annotations

from dataclasses import replace

from spinekit.phantom import adapted

SCAN = replace(
    adapted("smoke", 6.0, 4.0),
    name="tiny",
    sagittal_px=(40,),
    axial_px=(40,),
    sagittal_slices=(9, 9),
    axial_step_mm=(9.0, 10.0),
    block_slices=(3, 3),
)
