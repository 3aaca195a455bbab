"""The outline of the sac: its size whatever lies outside it, and whatever roots lie within."""

import numpy as np
import painted_measures as painted
import pytest

from spinekit.localization.dural_sac import sac_size

AREA = np.pi * painted.HALF_WIDE_MM * painted.HALF_DEEP_MM


@pytest.mark.parametrize(("px_mm", "outside"), [(0.45, 0.1), (0.45, 0.6), (0.75, 0.1), (0.75, 0.6), (1.3, 0.1)])
def test_size_of_an_ellipse(px_mm, outside):
    stack = painted.t2(px_mm, outside)
    diameter, area = sac_size((stack, 22), np.array([0.4, painted.SAC_Y_MM - 5.0, 0.0]))
    assert diameter == pytest.approx(2 * painted.HALF_DEEP_MM, abs=0.6)
    assert area == pytest.approx(AREA, rel=0.08)


def test_roots_within_are_no_edge():
    stack = painted.t2(0.45, 0.6, roots=True)
    diameter, area = sac_size((stack, 22), np.array([0.0, painted.SAC_Y_MM - 4.0, 0.0]))
    assert diameter == pytest.approx(2 * painted.HALF_DEEP_MM, abs=0.6) and area == pytest.approx(AREA, rel=0.08)
