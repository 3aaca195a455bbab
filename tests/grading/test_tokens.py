"""The 30 tokens of a study: where their centres lie, and that a left-right flip is one of them onto another."""

from __future__ import annotations

import numpy as np
from tilted_stacks import landmarks

from spinekit.anatomy import FORAMINAL, SPINAL, TARGETS, targets_of
from spinekit.grading.tokens import (
    FLIPPED_TOKEN,
    TOKENS,
    relative_positions,
    spine_directions,
    token_centres,
    token_sd_mm,
)


def test_the_first_25_tokens_are_the_targets_and_a_flip_swaps_their_sides() -> None:
    assert [token.target for token in TOKENS[:25]] == list(range(25))
    assert (FLIPPED_TOKEN[FLIPPED_TOKEN] == np.arange(30)).all()
    for token, flipped in zip(TOKENS, FLIPPED_TOKEN, strict=True):
        assert (token.view, token.level) == (TOKENS[flipped].view, TOKENS[flipped].level)
        assert {token.side, TOKENS[flipped].side} in ({None}, {"left", "right"})


def test_the_axial_canal_lies_between_the_recesses_or_at_the_spinal_point() -> None:
    xyz = landmarks()
    names = [target.name for target in TARGETS]
    left, right = (names.index(f"{side}_subarticular_stenosis_l3_l4") for side in ("left", "right"))
    np.testing.assert_allclose(token_centres(xyz)[27], (xyz[left] + xyz[right]) / 2)
    xyz[left] = np.nan
    np.testing.assert_allclose(token_centres(xyz)[27], xyz[2])


def test_spine_directions_follow_the_landmarks_and_survive_missing_ones() -> None:
    xyz = landmarks()
    expected = np.array([0, 3, -30]) / np.linalg.norm([0, 3, -30])
    np.testing.assert_allclose(spine_directions(xyz), np.tile(expected, (5, 1)), atol=1e-9)
    xyz[3:] = np.nan
    found = spine_directions(xyz)
    np.testing.assert_allclose(found[1], expected, atol=1e-9)
    np.testing.assert_allclose(found[4], (0, 0, -1))


def test_uncertainty_of_the_canal_on_axial_slices_is_that_of_the_recesses() -> None:
    sd = np.arange(25.0)
    tokens = token_sd_mm(sd)
    assert (tokens[:25] == sd).all() and tokens[25:].tolist() == [20, 21, 22, 23, 24]


def test_positions_are_relative_to_the_study_and_zero_where_unknown() -> None:
    centres = token_centres(landmarks())
    centres[4] = np.nan
    moved = relative_positions(centres + (100, -50, 20))
    np.testing.assert_allclose(moved, relative_positions(centres), atol=1e-9)
    assert (moved[4] == 0).all() and moved[0, 2] > 1


def test_positions_are_in_units_of_50_mm_and_each_study_of_a_batch_has_its_own_centre() -> None:
    two = np.full((30, 3), np.nan)
    two[:2] = (0, 0, 50), (0, 0, -50)
    np.testing.assert_allclose(relative_positions(two)[:2], [(0, 0, 1), (0, 0, -1)])
    three = np.vstack([two[:2], [(0, 60, 0)], two[3:]])
    batch = relative_positions(np.stack([two, three]))
    np.testing.assert_allclose(batch, [relative_positions(two), relative_positions(three)])


def test_steps_towards_the_head_or_of_unknown_points_give_no_direction() -> None:
    """Of a chain of points each one counts alone: two good ones are not spoilt by a third."""
    xyz, spinal, foramina = landmarks(), list(targets_of(SPINAL)), list(targets_of(FORAMINAL))
    expected = spine_directions(xyz)
    upside_down = xyz.copy()
    upside_down[spinal] = xyz[spinal[::-1]]
    np.testing.assert_allclose(spine_directions(upside_down), expected, atol=1e-9)
    half_known = xyz.copy()
    half_known[spinal, 0] = np.nan
    np.testing.assert_allclose(spine_directions(half_known), expected, atol=1e-9)
    upside_down[foramina] = np.nan
    np.testing.assert_allclose(spine_directions(upside_down), np.tile((0, 0, -1), (5, 1)), atol=1e-9)
