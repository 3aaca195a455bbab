"""Slices that can be one stack by their geometry: of one size, pixel spacing, orientation and field of view."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from spinekit.io.dicom_file import SliceHeader

PARALLEL_TOLERANCE = 2e-3  # largest difference of direction cosines within a stack: 0.4 mm at 200 mm
SPACING_TOLERANCE_MM = 1e-4
SAME_POSITION_MM = 0.05  # slices nearer than this along their normal lie in one plane
SAME_ORIGIN_MM = 1.0  # origins in one plane nearer than this: one slice stored twice; else two fields of view


def parallel_groups(headers: Iterable[SliceHeader]) -> list[list[SliceHeader]]:
    """Slices that share size, spacing, orientation and field of view; the order of the files changes nothing."""
    groups: list[list[SliceHeader]] = []
    for header in sorted(
        headers, key=lambda h: (h.shape_rc, h.spacing_rc_mm, h.direction_cosines.tolist(), h.origin_xyz_mm)
    ):
        match = next((group for group in groups if _belongs(header, group)), None)
        if match is None:
            groups.append([header])
        else:
            match.append(header)
    return groups


def _belongs(header: SliceHeader, group: Sequence[SliceHeader]) -> bool:
    first = group[0]
    return (
        header.shape_rc == first.shape_rc
        and bool(np.abs(np.subtract(header.spacing_rc_mm, first.spacing_rc_mm)).max() <= SPACING_TOLERANCE_MM)
        and bool(np.abs(header.direction_cosines - first.direction_cosines).max() <= PARALLEL_TOLERANCE)
        and not _other_field_of_view(header, group)
    )


def _other_field_of_view(header: SliceHeader, group: Sequence[SliceHeader]) -> bool:
    """Whether a slice of the group lies in the same plane, but shows another field of view (upper and lower spine)."""
    offsets = np.array([other.origin_xyz_mm for other in group]) - header.origin_xyz_mm
    in_one_plane = np.abs(offsets @ np.cross(*header.direction_cosines)) < SAME_POSITION_MM
    return bool((in_one_plane & (np.linalg.norm(offsets, axis=1) > SAME_ORIGIN_MM)).any())
