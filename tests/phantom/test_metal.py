"""Screws lie where the patient has them, and nowhere else."""

from dataclasses import replace

from painted_bodies import PLAIN, SAGITTAL, body, canvas

from spinekit.phantom.column import NAMES
from spinekit.phantom.metal import paint_metal

L4 = NAMES.index("L4")


def test_metal_is_only_where_a_patient_has_it():
    for metal in (False, True):
        patient = body(variant=replace(PLAIN, metal=metal))
        own = patient.vertebrae[L4]
        u = own.half_canal + own.pedicle_width / 2
        place = patient.curve.to_patient([own.s + own.height / 2 - 2.5 - own.pedicle_height / 2, u, 0])
        picture = canvas(patient, place, SAGITTAL, 40.0)
        picture.image[:] = 1.0
        paint_metal(picture, patient)
        middle = picture.image[0, 36:44, 36:44]
        assert (middle == 1).all() if not metal else middle.mean() < 0.05
        assert metal == bool((picture.image > 1.3).any()), "signal that was shifted is piled up beside it"
