"""The list of mistakes: complete, and each undone by hand."""

import numpy as np

from spinekit.anatomy import FLIPPED_TARGET, SUBARTICULAR, TARGET_INDEX, TARGETS
from spinekit.label_audit.coordinates import LEVEL
from spinekit.label_audit.hypotheses import BENIGN, CODES, HYPOTHESES
from spinekit.label_audit.likelihood import undone

LEFT_L4_L5 = TARGET_INDEX["left_subarticular_stenosis_l4_l5"]
RIGHT_L4_L5 = TARGET_INDEX["right_subarticular_stenosis_l4_l5"]


def named(code, what):
    (hypothesis,) = [h for h in HYPOTHESES if (h.code, h.what) == (code, what)]
    return hypothesis


def test_the_examples_of_the_docstring():
    """The canal's five targets come first."""
    assert named("level_order", "spinal points l2_l3, l3_l4").source[:5] == (0, 2, 1, 3, 4)
    (low,) = [h for h in HYPOTHESES if h.what == "spinal points" and h.level_shift == 1]
    assert low.source[:5] == (1, 2, 3, 4, -1) and low.source[5:] == tuple(range(5, 25))


def test_the_list_is_complete_and_begins_with_no_mistake():
    assert len(HYPOTHESES) == 191 and len({(h.code, h.what, h.axes, h.source, h.as_pair) for h in HYPOTHESES}) == 191
    assert HYPOTHESES[0].code == "none" and HYPOTHESES[0].targets == ()
    assert all(h.targets for h in HYPOTHESES[1:])
    kinds = {
        "none",
        "swapped_sides",
        "level_order",
        BENIGN,
        "levels_off_by_one",
        "far_point",
        "far_slice",
        "far_points",
    }
    assert set(CODES) == kinds


def test_every_target_can_be_far_off_alone():
    for code in ("far_point", "far_slice"):
        lost = [h.targets for h in HYPOTHESES if h.code == code]
        assert lost == [(i,) for i in range(len(TARGETS))]


def test_exchanges_undo_themselves():
    values = np.arange(25.0)[None]
    for h in HYPOTHESES:
        if h.code in ("swapped_sides", "level_order"):
            source = np.array(h.source)
            assert sorted(h.source) == list(range(25)), "nothing is lost"
            np.testing.assert_array_equal(undone(undone(values, source), source), values)


def test_sides_are_exchanged_within_a_level_only():
    swap = named("swapped_sides", f"{SUBARTICULAR} l4_l5")
    assert set(swap.targets) == {LEFT_L4_L5, RIGHT_L4_L5}
    assert swap.source[LEFT_L4_L5] == RIGHT_L4_L5 == FLIPPED_TARGET[LEFT_L4_L5]


def test_levels_shifted_by_one_by_hand():
    """Names one level too low: what is labelled L2/L3 is L1/L2, nothing is labelled L1/L2, L5/S1 has no point."""
    labelled = np.where(LEVEL > 0, LEVEL - 1.0, np.nan)[None]
    (shift,) = (h for h in HYPOTHESES if h.what == "all points" and h.level_shift == 1)
    restored = undone(labelled, np.array(shift.source))
    np.testing.assert_array_equal(restored[0], np.where(LEVEL < 4, LEVEL, np.nan))


def test_blocks_of_axial_slices_are_no_mistake():
    blocks = [h for h in HYPOTHESES if h.code == BENIGN]
    assert {TARGETS[i].group for h in blocks for i in h.targets} == {SUBARTICULAR}
    assert {h.axes for h in blocks} == {(2,), (0, 1)}, "in an order of their own, or with a middle of their own"
    for h in blocks:  # both sides lie on the same slices
        assert {FLIPPED_TARGET[i] for i in h.targets} == set(h.targets)
