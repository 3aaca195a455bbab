"""Figures of notebook 07."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from spinekit.figures import ablation as figures

NAMES = ["sandwich slices", "crops", "+ blend"]


def story() -> pd.DataFrame:
    skill = np.array([0.1, 0.7, 0.8])
    columns = {"score": 1 - skill, "skill": skill, "skill_low": skill - 0.1, "skill_high": skill + 0.1}
    columns |= {f"skill_{part}": skill for part in ("spinal", "foraminal", "subarticular", "any_severe_spinal")}
    return pd.DataFrame({**columns, "minutes": [4.0, 5.0, np.nan]}, index=NAMES)


def words(figure: figures.Picture) -> str:
    return " ".join(text.get_text() for axis in figure.axes for text in (*axis.texts, *axis.get_yticklabels()))


def test_the_story_is_told_from_top_to_bottom_with_a_ring_for_each_seed() -> None:
    figure = figures.story(story(), dict.fromkeys(NAMES, np.array([0.2, 0.3])))
    assert all(name in words(figure) for name in (*NAMES, "0.70", "floor"))
    axis = figure.axes[0]
    assert axis.get_ylim()[0] > axis.get_ylim()[1]  # the first model at the top
    assert sum(len(c.get_offsets()) for c in axis.collections if len(c.get_facecolor()) == 0) >= 6
    assert "floor" not in words(figures.story(story(), {}, "score below the prior"))


def test_asides_say_what_they_are_compared_with() -> None:
    table = pd.DataFrame(
        {"against": ["crops"], "gain": [-0.1], "gain_low": [-0.2], "gain_high": [0.05]}, index=["24 layers"]
    )
    assert "24 layers\nagainst crops" in words(figures.asides(table))


def test_every_part_of_the_score_has_its_line() -> None:
    labels = [line.get_label() for line in figures.parts(story()).axes[0].lines]
    assert {"spinal", "foraminal", "subarticular", "any severe spinal"} <= set(labels)


def test_skill_over_the_shift_of_the_landmarks_has_a_line_for_each_model() -> None:
    tables = {
        mm: story().loc[["crops", "+ blend"]].assign(skill=lambda t, mm=mm: t["skill"] - mm / 10) for mm in (0.0, 3.0)
    }
    axis = figures.further_off(tables).axes[0]
    lines = {bars.get_label(): bars.lines[0].get_ydata().tolist() for bars in axis.containers}
    assert {name: np.round(y, 6).tolist() for name, y in lines.items()} == {"crops": [0.7, 0.4], "+ blend": [0.8, 0.5]}
    assert axis.get_xticks().tolist() == [0.0, 3.0]


def test_paired_differences_show_both_intervals_and_leave_out_what_has_no_number() -> None:
    rng = np.random.default_rng(0)
    same, separate = rng.normal(-0.2, 0.02, 500), rng.normal(-0.2, 0.1, 500)
    axis = figures.paired(np.append(same, np.nan), separate, "difference").axes[0]
    widths = {line.get_color(): np.ptp(line.get_xdata()) for line in axis.lines if len(set(line.get_xdata())) > 1}
    assert widths[figures.BLUE] == pytest.approx(np.ptp(np.percentile(same, (2.5, 97.5))))
    assert widths[figures.GREY] > 3 * widths[figures.BLUE]
