"""Figures of notebook 12: crops under their view and grade, curves with their intervals, distances to copies."""

import numpy as np
import pandas as pd
import pytest

from spinekit.anatomy import LEVELS, SEVERITIES
from spinekit.figures._base import Sentence
from spinekit.figures.synthetic import curve, nearest, neighbours, on_the_way, populations, separability, side_by_side
from spinekit.grading.crops import CropRecipe
from spinekit.grading.generation import GeneratedItems
from spinekit.grading.tokens import TOKENS, VIEWS


def items(offset=0):
    """Crops at L4/L5, each filled with a number that tells its view and grade; one of another level comes first."""
    level = LEVELS.index("l4_l5")
    tokens = [next(i for i, t in enumerate(TOKENS) if t.view == view and t.level == level) for view in VIEWS]
    other = next(i for i, t in enumerate(TOKENS) if t.level == 0)
    token, grade, value = [other], [0], [255]
    for v, place in enumerate(tokens):
        for g in range(3):
            token, grade, value = [*token, place], [*grade, g], [*value, 10 * v + g + offset]
    pixels = np.array(value, np.uint8)[:, None, None, None] * np.ones((1, 5, 8, 8), np.uint8)
    return GeneratedItems(pixels, np.array(token), np.array(grade))


def shown(axis):
    """The number that fills the picture, or None."""
    return int(axis.get_images()[0].get_array()[0, 0]) if axis.get_images() else None


def test_crops_stand_under_their_view_and_grade():
    figure = side_by_side(items(), items(100), CropRecipe(), each=2)
    grid = np.reshape(figure.axes, (2 * len(VIEWS), 6))
    for v in range(len(VIEWS)):
        for g in range(3):
            real, generated = grid[2 * v, 2 * g], grid[2 * v + 1, 2 * g]
            assert (shown(real), shown(generated)) == (10 * v + g, 100 + 10 * v + g)
            assert shown(grid[2 * v, 2 * g + 1]) is None, "there is one of each only"
    assert [grid[0, 2 * g + 1].get_title() for g in range(3)] == list(SEVERITIES)


def test_populations_show_normal_crops_of_both():
    grid = np.reshape(populations(items(), items(100), CropRecipe(), each=2).axes, (len(VIEWS), 4))
    assert [[shown(row[0]), shown(row[2])] for row in grid] == [[10 * v, 100 + 10 * v] for v in range(len(VIEWS))]


def test_a_crop_on_its_way_is_drawn_in_order():
    stacks = [np.full((3, 4, 4), 99, np.uint8) for _ in range(3)]
    for value, stack in enumerate(stacks):
        stack[1] = value
    axes = on_the_way(stacks, ["t = 0", "t = 0.5", "t = 1"], 0).axes
    assert [(shown(axis), axis.get_title()) for axis in axes] == [(0, "t = 0"), (1, "t = 0.5"), (2, "t = 1")]


def points():
    rows = []
    for arm, gain in (("real alone", 0.0), ("generated mixed in", 0.1)):
        rows += [
            (arm, n, s + gain, s + gain - 0.05, s + gain + 0.1, [s, s + 2 * gain], gain)
            for n, s in ((10, 0.2), (40, 0.4))
        ]
    rows.append(("phantoms alone", 0, 0.3, 0.2, 0.4, [0.3], np.nan))
    table = pd.DataFrame(rows, columns=["arm", "studies", "skill", "skill_low", "skill_high", "by_seed", "gain"])
    return table.assign(gain_low=table["gain"] - 0.02, gain_high=table["gain"] + 0.02)


def test_curves_show_skill_left_and_gains_right():
    left, right = curve(points()).axes
    heights = {c.get_label(): c.lines[0].get_ydata().tolist() for c in left.containers}
    assert heights["real alone"] == [0.2, 0.4]
    assert heights["generated mixed in"] == pytest.approx([0.3, 0.5])
    (gain,) = right.containers
    assert gain.lines[0].get_ydata().tolist() == [0.1, 0.1]
    level = next(line for line in left.lines if "no study" in str(line.get_label()))
    assert set(level.get_ydata()) == {0.3}


def test_error_bars_end_at_the_interval():
    left, _ = curve(points()).axes
    bars = left.containers[0].lines[2][0].get_segments()
    np.testing.assert_allclose([bar[:, 1] for bar in bars], [(0.15, 0.3), (0.35, 0.5)])


def test_aucs_rise_from_one_half():
    aucs = {"real crops": dict.fromkeys(VIEWS, 0.9), "generated crops": dict.fromkeys(VIEWS, 0.4) | {VIEWS[0]: np.nan}}
    severe = dict.fromkeys(VIEWS, 7) | {VIEWS[0]: 2}
    (axis,) = separability(aucs, severe).axes
    one, other = axis.containers
    assert [round(bar.get_y() + bar.get_height(), 6) for bar in one] == [0.9] * len(VIEWS)
    assert sorted(text.get_text() for text in axis.texts) == sorted(
        ["0.90"] * len(VIEWS) + ["0.40"] * (len(VIEWS) - 1) + ["?"]
    )
    ticks = [label.get_text() for label in axis.get_xticklabels()]
    assert "Severe real crops: 2" in ticks[0] and all("Severe real crops: 7" in tick for tick in ticks[1:])
    assert axis.get_ylim()[0] < 0.4


def test_without_enough_severe_crops_nothing_is_drawn():
    figure = separability({"real crops": dict.fromkeys(VIEWS, np.nan)}, dict.fromkeys(VIEWS, 1))
    assert isinstance(figure, Sentence)


def test_distances_are_shares_of_the_crops():
    near, far = (pd.DataFrame({"distance": np.linspace(low, low + 0.1, n)}) for low, n in ((0.1, 50), (0.5, 80)))
    one, other = nearest({10: (near, far), 40: (far, far)}).axes
    assert one.get_title() == "trained on 10 studies"
    for patches in (one.patches, other.patches):
        assert sum(patch.get_height() for patch in patches) == pytest.approx(2)  # two histograms of one each


def test_each_generated_crop_stands_over_its_neighbour():
    pictures = [np.full((4, 4), value, np.uint8) for value in range(6)]
    grid = np.reshape(neighbours(pictures[:3], pictures[3:], (0, 20, 15)).axes, (2, 3))
    assert [[shown(axis) for axis in row] for row in grid] == [[0, 1, 2], [3, 4, 5]]
    assert [row[1].texts[1].get_text() for row in grid] == ["R", "R"], "lateral on the right side"
