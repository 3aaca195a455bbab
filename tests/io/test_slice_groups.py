"""Geometry alone decides which slices can be one stack."""

from dataclasses import replace

import numpy as np
from dicom_files import one_header

from spinekit.io.slice_groups import SAME_ORIGIN_MM, SAME_POSITION_MM, parallel_groups


def test_groups_of_one_geometry(write_slice):
    header = one_header(write_slice())
    next_one = replace(header, origin_xyz_mm=(0.0, 0.0, 4.0))
    copy = replace(header, origin_xyz_mm=(SAME_ORIGIN_MM / 2, 0.0, SAME_POSITION_MM / 2))
    beside = replace(header, origin_xyz_mm=(50.0, 0.0, 0.0))
    larger = replace(header, shape_rc=(41, 36))
    coarser = replace(header, spacing_rc_mm=(1.0, 1.1))
    turned = replace(header, direction_cosines=np.array([[0.0, 1, 0], [0, 0, -1]]))
    groups = parallel_groups([turned, beside, larger, next_one, coarser, copy, header])
    assert sorted(len(group) for group in groups) == [1, 1, 1, 1, 3]
    assert {header.origin_xyz_mm for header in max(groups, key=len)} == {
        header.origin_xyz_mm, next_one.origin_xyz_mm, copy.origin_xyz_mm
    }  # fmt: skip
