"""Geometry alone decides which slices can be one stack."""

from dataclasses import replace

import numpy as np
import pytest
from dicom_files import one_header

from spinekit.io.slice_groups import (
    PARALLEL_TOLERANCE,
    SAME_ORIGIN_MM,
    SAME_POSITION_MM,
    SPACING_TOLERANCE_MM,
    parallel_groups,
)


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


def test_each_slice_joins_the_first_group_that_it_fits_whatever_the_order(write_slice):
    rng, header = np.random.default_rng(0), one_header(write_slice())
    turns = [0.0, 0.9 * PARALLEL_TOLERANCE, 2 * PARALLEL_TOLERANCE, 0.3]
    headers = []
    for k in range(120):
        turn = turns[rng.integers(4)]
        headers.append(
            replace(
                header,
                shape_rc=(40, 36 + int(rng.integers(2))),
                spacing_rc_mm=(0.5, [0.5, 0.5 + SPACING_TOLERANCE_MM / 2, 0.6][rng.integers(3)]),
                direction_cosines=np.array([[1.0, 0, 0], [0, np.cos(turn), np.sin(turn)]]),
                origin_xyz_mm=(float(rng.choice([0, SAME_ORIGIN_MM / 2, 60])), 0.0, 4.0 * int(rng.integers(3))),
                instance_number=k,
            )
        )

    def fits(one, group):
        first = group[0]
        return (
            one.shape_rc == first.shape_rc
            and abs(one.spacing_rc_mm[1] - first.spacing_rc_mm[1]) <= SPACING_TOLERANCE_MM
            and np.abs(one.direction_cosines - first.direction_cosines).max() <= PARALLEL_TOLERANCE
            and not any(
                abs(offset @ np.cross(*one.direction_cosines)) < SAME_POSITION_MM
                and np.linalg.norm(offset) > SAME_ORIGIN_MM
                for offset in (np.subtract(other.origin_xyz_mm, one.origin_xyz_mm) for other in group)
            )
        )

    groups = parallel_groups(headers)
    assert sum(map(len, groups)) == 120 and len(groups) > 8
    for number, group in enumerate(groups):
        for k, one in enumerate(group[1:], start=1):
            assert fits(one, group[:k])
        assert not any(fits(group[0], [earlier[0]]) and fits(group[0], earlier) for earlier in groups[:number])
    names = [[one.instance_number for one in group] for group in groups]
    shuffled = [headers[i] for i in rng.permutation(120)]
    assert [sorted(n.instance_number for n in group) for group in parallel_groups(shuffled)] == list(map(sorted, names))


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
