"""Geometry alone decides which slices can be one stack."""

from dataclasses import replace

import numpy as np
import pytest
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


@pytest.mark.parametrize(("apart_mm", "stacks"), [(0.9, 1), (1.1, 2)])
def test_a_millimetre_in_the_plane_tells_a_field_of_view_from_a_copy(write_slice, apart_mm, stacks):
    header = one_header(write_slice())
    assert len(parallel_groups([header, replace(header, origin_xyz_mm=(apart_mm, 0.0, 0.0))])) == stacks


@pytest.mark.parametrize(("above_mm", "stacks"), [(0.04, 2), (0.06, 1)])
def test_slices_closer_than_a_twentieth_of_a_millimetre_lie_in_one_plane(write_slice, above_mm, stacks):
    header = one_header(write_slice())
    assert len(parallel_groups([header, replace(header, origin_xyz_mm=(50.0, 0.0, above_mm))])) == stacks


@pytest.mark.parametrize(("difference", "stacks"), [(0.9, 1), (1.1, 2)])
def test_rounding_of_a_header_separates_nothing(write_slice, difference, stacks):
    header = one_header(write_slice())
    wider = replace(header, spacing_rc_mm=(1.0 + 1e-4 * difference, 1.0), origin_xyz_mm=(0.0, 0.0, 4.0))
    assert len(parallel_groups([replace(header, spacing_rc_mm=(1.0, 1.0)), wider])) == stacks
    angle = 2e-3 * difference
    turned = np.array([[1.0, 0, 0], [0, np.cos(angle), np.sin(angle)]])
    assert len(parallel_groups([header, replace(header, direction_cosines=turned)])) == stacks
