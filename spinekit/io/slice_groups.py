"""Slices that can be one stack by their geometry: of one size, pixel spacing, orientation and field of view."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from spinekit.geometry import Floats
from spinekit.io.dicom_file import SliceHeader

PARALLEL_TOLERANCE = 2e-3  # largest difference of direction cosines within a stack: 0.4 mm at 200 mm
SPACING_TOLERANCE_MM = 1e-4
SAME_POSITION_MM = 0.05  # slices nearer than this along their normal lie in one plane
SAME_ORIGIN_MM = 1.0  # origins in one plane nearer than this: one slice stored twice; else two fields of view


def parallel_groups(headers: Iterable[SliceHeader]) -> list[list[SliceHeader]]:
    """Slices that share size, spacing, orientation and field of view; the order of the files changes nothing.

    A slice joins the first group to whose first slice it is parallel, and in which no other field of view lies in its
    plane (upper and lower spine). Each slice is compared with all before it at once: an archive has thousands.
    """
    ordered = sorted(
        headers, key=lambda h: (h.shape_rc, h.spacing_rc_mm, h.direction_cosines.tolist(), h.origin_xyz_mm)
    )
    groups: list[list[SliceHeader]] = []
    firsts = np.zeros(len(ordered), dtype=np.intp)  # of each group, its first slice
    group_of = np.zeros(len(ordered), dtype=np.intp)
    shapes, spacings_mm, cosines, origins_xyz_mm = (
        np.array([getattr(header, name) for header in ordered], dtype=np.float64)
        for name in ("shape_rc", "spacing_rc_mm", "direction_cosines", "origin_xyz_mm")
    )
    for i, header in enumerate(ordered):
        first = firsts[: len(groups)]
        fits = (shapes[first] == shapes[i]).all(1)
        fits &= np.abs(spacings_mm[first] - spacings_mm[i]).max(1, initial=0) <= SPACING_TOLERANCE_MM
        fits &= np.abs(cosines[first] - cosines[i]).max((1, 2), initial=0) <= PARALLEL_TOLERANCE
        fits[group_of[:i][_other_field_of_view(header, origins_xyz_mm[:i])]] = False
        group_of[i] = int(np.argmax(fits)) if fits.any() else len(groups)
        if group_of[i] == len(groups):
            firsts[len(groups)] = i
            groups.append([])
        groups[group_of[i]].append(header)
    return groups


def _other_field_of_view(header: SliceHeader, origins_xyz_mm: Floats) -> NDArray[np.bool_]:
    """Which of the slices with these origins (n, 3) lie in the same plane, but show another field of view."""
    offsets = origins_xyz_mm - header.origin_xyz_mm
    in_one_plane = np.abs(offsets @ np.cross(*header.direction_cosines)) < SAME_POSITION_MM
    return np.asarray(in_one_plane & (np.linalg.norm(offsets, axis=1) > SAME_ORIGIN_MM))
