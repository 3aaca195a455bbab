"""Mistakes planted among sound spines: each is named, and no other."""

import numpy as np
import pytest
from spines import spines

from spinekit.anatomy import FLIPPED_TARGET, LEVELS, SPINAL, SUBARTICULAR, TARGET_INDEX, TARGETS, targets_of
from spinekit.label_audit.coordinates import LEVEL, Places
from spinekit.label_audit.error_model import suspect

SIDES_L4_L5 = [TARGET_INDEX[f"{side}_subarticular_stenosis_l4_l5"] for side in ("left", "right")]


def swap(mm, targets):
    mm[targets] = mm[[FLIPPED_TARGET[i] for i in targets]]


def shift_down(mm):
    """Each level's points are labelled as the next one's; those of L5/S1 have no name left."""
    levels = [np.flatnonzero(level == LEVEL) for level in range(len(LEVELS))]
    for upper, lower in zip(levels[-2::-1], levels[:0:-1], strict=True):
        mm[lower] = mm[upper]
    mm[levels[0]] = np.nan


def exchange(mm, group, upper):
    a, b = (np.flatnonzero((level == LEVEL) & np.isin(range(25), targets_of(group))) for level in (upper, upper + 1))
    mm[[*a, *b]] = mm[[*b, *a]]


SWAPPED, SHIFTED, EXCHANGED, FAR = 3, 8, 15, 22
FAR_TARGET = TARGET_INDEX["left_neural_foraminal_narrowing_l3_l4"]


@pytest.fixture(scope="module")
def places():
    mm = spines(50, seed=1, noise_mm=1.0)
    mm -= mm.mean(1, keepdims=True)
    swap(mm[SWAPPED], list(targets_of(SUBARTICULAR)))
    shift_down(mm[SHIFTED])
    exchange(mm[EXCHANGED], SPINAL, 1)
    mm[FAR, FAR_TARGET] += (0, 25, 30)
    return Places(tuple(range(100, 150)), mm, np.zeros(50), ("",) * 50, crude=False)


@pytest.fixture(scope="module")
def suspicions(places):
    return {s.study_id - 100: s for s in suspect(places) if s.probability > 0.5}


def test_each_planted_mistake_is_found_and_no_other(suspicions):
    assert {row: (s.hypothesis.code, s.hypothesis.what) for row, s in suspicions.items()} == {
        SWAPPED: ("swapped_sides", SUBARTICULAR),
        SHIFTED: ("levels_off_by_one", "all points"),
        EXCHANGED: ("level_order", f"{SPINAL} points l2_l3, l3_l4"),
        FAR: ("far_point", TARGETS[FAR_TARGET].name),
    }


def test_how_far_off_a_point_is_comes_back_in_mm(suspicions):
    residual = suspicions[FAR].residual_mm
    np.testing.assert_allclose(residual[FAR_TARGET], (0, 25, 30), atol=5)
    assert np.abs(np.delete(residual, FAR_TARGET, 0)).max() < 10
    sides = suspicions[SWAPPED].residual_mm[SIDES_L4_L5, 0]  # some 9 mm from the mid-line, on the wrong side
    np.testing.assert_allclose(sides, (-18, 18), atol=5)


def test_probability_and_log_odds_agree(suspicions):
    for s in suspicions.values():
        assert s.log_odds > 0 and s.probability == pytest.approx(1 / (1 + 10**-s.log_odds), abs=1e-6)


def test_no_study_no_suspicion():
    assert suspect(Places((), np.empty((0, 25, 3)), np.empty(0), (), crude=True)) == []
