"""The comparison of 2D and 3D: errors by hand, sides told apart, both trained in small, the figures."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from painted_spines import TINY, painted
from spines import spines, study_of

from spinekit.anatomy import FORAMINAL, SAGITTAL_T2, SPINAL, TARGET_INDEX, TARGETS
from spinekit.course.profiles import DEMO, FULL, SMOKE
from spinekit.experiments.unet3d import (
    COST,
    TRIALS,
    Outcome,
    Setting,
    budget,
    costs,
    covers,
    errors,
    metrics,
    places_on_series,
    run,
    summary,
)
from spinekit.figures import unet3d as figures
from spinekit.geometry import rigid_matrix
from spinekit.localization.assembly import channel_of
from spinekit.localization.heatmaps import CHANNELS
from spinekit.localization.peaks import Peaks
from spinekit.localization.unet3d import Network3d

SPINE = spines(1, seed=4)[0]
STUDY = study_of(SPINE, (SAGITTAL_T2,))
(STACK,) = STUDY.stacks
SECOND = TARGET_INDEX["spinal_canal_stenosis_l2_l3"]
ALONG = np.array([0.0, 3.0, 4.0])  # in the plane of the slices, 5 mm


def peaks_of(xyz_mm: np.ndarray, missing: tuple[int, ...] = ()) -> Peaks:
    """A peak for each target but those missing, and a lower one that is wrong."""
    rows = [i for i in range(25) if i not in missing]
    channel = np.array([channel_of(SAGITTAL_T2, i) for i in rows])
    places = np.concatenate([xyz_mm[rows], xyz_mm[rows] + 50])
    height = np.repeat([0.9, 0.5], len(rows))
    series = np.full(2 * len(rows), STACK.series_id)
    return Peaks(places, height, np.tile(channel, 2), series, np.tile(np.eye(3), (2 * len(rows), 1, 1)))


def outcome(xyz_mm: np.ndarray, missing: tuple[int, ...] = ()) -> Outcome:
    heights = np.full((len(STACK.images), CHANNELS[SAGITTAL_T2]), 0.5, np.float32)
    return Outcome({1: peaks_of(xyz_mm, missing)}, {(1, STACK.series_id): heights}, dict.fromkeys(COST, 1.0))


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    step = STACK.frame.step_mm * STACK.frame.normal
    found = {"2D": outcome(SPINE + ALONG + step), "3D": outcome(SPINE, missing=(SECOND,))}
    return errors(
        found, {1: STUDY}, places_on_series([replace(STUDY, points_xyz_mm=SPINE, targets=np.arange(25))], None)
    )


def test_errors_are_split_into_the_plane_and_slices(table: pd.DataFrame) -> None:
    two = table[table["trial"] == "2D"]
    assert len(two) == 25 and set(two["slices_off"]) == {1.0}
    assert two["plane_mm"].to_numpy() == pytest.approx(5.0) and two["across_mm"].to_numpy() == pytest.approx(4.5)


def test_a_landmark_without_a_peak_is_infinitely_far(table: pd.DataFrame) -> None:
    three = table[table["trial"] == "3D"].set_index("target")
    assert np.isinf(three.loc[TARGETS[SECOND].name, ["plane_mm", "across_mm", "slices_off"]].astype(float)).all()
    rest = three.drop(TARGETS[SECOND].name)
    assert rest["plane_mm"].max() < 1e-6 and set(rest["slices_off"]) == {0.0}  # left and right share a channel


def test_summary_by_hand(table: pd.DataFrame) -> None:
    rows = summary(table)
    assert rows.loc["2D", ["plane_median_mm", "exact_%", "within_one_%", "landmarks"]].tolist() == [5, 0, 100, 25]
    assert rows.loc["3D", ["exact_%", "within_one_%", "other_level_%"]].tolist() == [96, 96, 4]
    assert rows.loc["3D", "plane_p90_mm"] < 1e-6 and np.isinf(rows.loc["3D", "plane_p99_mm"])
    assert metrics(table)["3D: exact_%"] == 96
    assert summary(table, ["trial", "group"]).loc[("3D", SPINAL), "exact_%"] == 80


def test_the_truth_is_where_the_patient_lay_during_the_series() -> None:
    motion = rigid_matrix((0, 0, 0), (1, 2, 3), (0, 0, 0))
    study = replace(STUDY, stacks=(replace(STACK, series_id="77"),))
    truth = SimpleNamespace(landmarks_xyz_mm=lambda study_id: SPINE, shift={77: motion}.__getitem__)
    np.testing.assert_allclose(places_on_series([study], truth)[1, "77"], SPINE + [1, 2, 3])
    assert np.isnan(places_on_series([study], None)[1, "77"]).all()  # and no reader's point is made up


def test_places_beside_a_stack_do_not_count() -> None:
    frame = STACK.frame
    assert covers(STACK, frame.to_patient((50, 50), 0)) and not covers(STACK, np.full(3, np.nan))
    assert not covers(STACK, frame.to_patient((50, 50), 0) - 0.6 * frame.step_mm * frame.normal)
    assert not covers(replace(STACK, images=STACK.images[:2]), frame.to_patient((50, 50), 0))


def test_both_are_trained_and_cost_something(tmp_path) -> None:
    studies = [painted(i, spine) for i, spine in enumerate(spines(4, seed=3))]
    setting = Setting(replace(TINY, slices=32), Network3d((8, 16, 16), 4), tmp_path)
    found = {t.name: run(t, studies[:3], studies[3:], setting) for t in TRIALS[:2]}
    rows = costs(found)
    assert rows["slices"].tolist() == [32, 32] and (rows[["parameters", "training_s", "stack_s"]] > 0).all(axis=None)
    assert found["3D"].heights[3, "9"].shape == (7, CHANNELS[SAGITTAL_T2])
    rows = errors(found, {3: studies[3]}, places_on_series(studies[3:], None))
    assert len(rows) == 2 * 15  # the foramina lie beside the stack


def test_both_are_given_an_arithmetic_that_3d_can_do() -> None:
    smoke, demo, full = (budget(its.localizer, its.unet3d) for its in (SMOKE, DEMO, FULL))
    assert smoke.sagittal == demo.sagittal != full.sagittal
    assert smoke.slices < demo.slices and full.slices == 0 and budget(DEMO.localizer, DEMO.unet3d, 77).slices == 77
    assert demo.train.precision == ("auto" if torch.cuda.is_available() else "no")


def test_the_figures_say_what_they_show(table: pd.DataFrame) -> None:
    figure = figures.errors(table)
    assert [axis.get_title() for axis in figure.axes] == ["in the plane", "across slices", "on the exact slice"]
    assert [bar.get_height() for bar in figure.axes[-1].containers[1]] == [80, 100, 100]
    found = {"2D": outcome(SPINE), "3D": outcome(SPINE)}
    figure = figures.along_slices(found, STUDY, {(1, STACK.series_id): SPINE}, "l4_l5", TINY.blur)
    assert [axis.get_title() for axis in figure.axes] == ["spinal, L4/L5", "foraminal, L4/L5", "subarticular, L4/L5"]
    foramina = figure.axes[1]
    assert len(foramina.lines) == 2
    taught = foramina.collections[0].get_paths()[0].vertices
    top = np.abs(taught[taught[:, 1] > 0.999, 0])
    sides = [SPINE[i] @ STACK.frame.normal for i, t in enumerate(TARGETS) if (t.group, t.level) == (FORAMINAL, "l4_l5")]
    zero = STACK.frame.positions_mm[len(STACK.images) // 2]
    assert all(np.abs(top - abs(side - zero)).min() < 0.2 for side in sides)  # one hill for each side
    assert "Nothing to compare with" in figures.errors(table.iloc[:0]).words
