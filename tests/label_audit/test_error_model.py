"""The list of mistakes, each undone by hand, and mistakes planted among sound spines, found and blamed."""

import numpy as np
import pytest
from spines import spines

from spinekit.anatomy import FLIPPED_TARGET, FORAMINAL, LEVELS, SPINAL, SUBARTICULAR, TARGET_INDEX, TARGETS, targets_of
from spinekit.label_audit.coordinates import LEVEL, Places
from spinekit.label_audit.error_model import BENIGN, CODES, HYPOTHESES, fit_models, log_likelihoods, suspect, undone

LEFT_L4_L5 = TARGET_INDEX["left_subarticular_stenosis_l4_l5"]
RIGHT_L4_L5 = TARGET_INDEX["right_subarticular_stenosis_l4_l5"]


def named(code, what):
    (hypothesis,) = [h for h in HYPOTHESES if (h.code, h.what) == (code, what)]
    return hypothesis


# --- the list


def test_the_list_is_complete_and_begins_with_no_mistake():
    assert len(HYPOTHESES) == 191 and len({(h.code, h.what, h.axes, h.source, h.together) for h in HYPOTHESES}) == 191
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
    (shift,) = (h for h in HYPOTHESES if h.what == "all points" and h.moves == 1)
    restored = undone(labelled, np.array(shift.source))
    np.testing.assert_array_equal(restored[0], np.where(LEVEL < 4, LEVEL, np.nan))


def test_blocks_of_axial_slices_are_no_mistake():
    blocks = [h for h in HYPOTHESES if h.code == BENIGN]
    assert {TARGETS[i].group for h in blocks for i in h.targets} == {SUBARTICULAR}
    assert {h.axes for h in blocks} == {(2,), (0, 1)}, "in an order of their own, or with a middle of their own"
    for h in blocks:  # both sides lie on the same slices
        assert {FLIPPED_TARGET[i] for i in h.targets} == set(h.targets)


# --- a worked example: sound spines, and one mistake planted in each of a few


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
    off = suspicions[FAR].off_mm
    np.testing.assert_allclose(off[FAR_TARGET], (0, 25, 30), atol=5)
    assert np.abs(np.delete(off, FAR_TARGET, 0)).max() < 10
    sides = suspicions[SWAPPED].off_mm[[LEFT_L4_L5, RIGHT_L4_L5], 0]  # some 9 mm from the mid-line, on the wrong side
    np.testing.assert_allclose(sides, (-18, 18), atol=5)


def test_sure_and_log_odds_say_the_same(suspicions):
    for s in suspicions.values():
        assert s.log_odds > 0 and s.probability == pytest.approx(1 / (1 + 10**-s.log_odds), abs=1e-6)


def test_no_mistake_has_the_likelihood_of_the_places_themselves(places):
    (models, *_), rows = fit_models(places.mm, crude=False), places.mm[:4]
    likelihood = log_likelihoods(models, rows, np.full(4, np.nan))
    np.testing.assert_allclose(likelihood[:, 0], sum(m.log_density(rows[..., a]) for a, m in enumerate(models)))
    sound = [i for i in range(4) if i != SWAPPED]
    assert (likelihood[sound].argmax(1) == 0).all()
    best = HYPOTHESES[int(likelihood[SWAPPED].argmax())]
    assert (best.code, best.what) == ("swapped_sides", SUBARTICULAR)


def test_headers_rule_out_odd_blocks_and_missing_points_what_needs_them(places):
    (models, *_), rows = fit_models(places.mm, crude=False), places.mm[:2].copy()
    rows[1, list(targets_of(FORAMINAL))] = np.nan
    likelihood = log_likelihoods(models, rows, np.full(2, np.nan))
    for h, hypothesis in enumerate(HYPOTHESES):
        if hypothesis.code == BENIGN:
            assert (likelihood[:, h] == -np.inf).all()
        if hypothesis.code in ("swapped_sides", "far_point") and TARGETS[hypothesis.targets[0]].group == FORAMINAL:
            assert np.isfinite(likelihood[0, h]) and likelihood[1, h] == -np.inf


def test_no_study_no_suspicion():
    assert suspect(Places((), np.empty((0, 25, 3)), np.empty(0), (), crude=True)) == []
