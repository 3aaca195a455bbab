"""Figures of notebook 10: grey values where they lie, found against true, shares of carried landmarks."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from tilted_stacks import frame_of, stack_of

from spinekit.anatomy import AXIAL_T2, KINDS, SAGITTAL_T1, SAGITTAL_T2
from spinekit.figures.registration import (
    before_and_after,
    carried,
    motions_found,
    mutual_information,
    sampled,
    worst,
)
from spinekit.io.study import Study
from spinekit.spatial.registration import ACCEPTED, REFERENCE, Alignment


def ramp(xyz):
    return 300 + xyz @ np.array([0.9, -0.5, 0.3])


def message_of(figure):
    return figure.words


@pytest.mark.parametrize("kind", KINDS)
def test_a_place_has_the_grey_value_that_lies_there(kind):
    stack = stack_of(kind, frame_of(kind), ramp)
    places = np.random.default_rng(0).uniform(-20, 20, (50, 3))
    np.testing.assert_allclose(sampled([stack], places), ramp(places), atol=0.1)
    assert np.isnan(sampled([stack], places + 500)).all()


def test_of_stacks_that_overlap_the_first_counts():
    one = stack_of(SAGITTAL_T2, frame_of(SAGITTAL_T2), ramp)
    other = stack_of(SAGITTAL_T2, frame_of(SAGITTAL_T2), lambda xyz: ramp(xyz) + 1000)
    places = np.zeros((1, 3))
    assert sampled([other, one], places)[0] == pytest.approx(1300, abs=0.1)
    assert sampled([one, other], places)[0] == pytest.approx(300, abs=0.1)


def motions():
    rows = {"study_id": [1, 1], "series_id": ["2", "3"], "kind": [SAGITTAL_T1, AXIAL_T2], "accepted": [True, False]}
    for i, name in enumerate(
        f"{what}_{axis}_{unit}" for what, unit in (("shift", "mm"), ("rotation", "deg")) for axis in "xyz"
    ):
        rows |= {f"true_{name}": [i, -i], f"estimated_{name}": [i + 0.5, -i]}
    return pd.DataFrame({**rows, "header_mm": [3.0, 4.0], "registered_mm": [0.5, 4.0]})


def test_found_stands_against_true_and_refused_ones_are_crosses():
    figure = motions_found(motions())
    titles = [axis.get_title() for axis in figure.axes]
    assert titles[:3] == ["shift x, to the left", "shift y, to the back", "shift z, to the head"]
    for i, axis in enumerate(figure.axes[:6]):
        points = {
            line.get_marker(): np.ravel(line.get_xydata()).tolist() for line in axis.lines if len(line.get_xdata()) == 1
        }
        assert points == {"o": [i, i + 0.5], "x": [-i, -i]}
        assert axis.get_xlim() == axis.get_ylim()


def test_shares_of_carried_landmarks_rise_to_all():
    pair = f"{SAGITTAL_T2} - {AXIAL_T2}"
    mm = [0.5, 1.0, 2.0, 4.0]
    table = pd.DataFrame({"kinds": pair, "header_mm": [3 * x for x in mm], "registered_mm": mm})
    same = table.assign(kinds=f"{AXIAL_T2} - {AXIAL_T2}")
    figure = carried(pd.concat([table, same]))
    (axis,) = figure.axes  # within one kind nothing is carried to another plane
    curves = {line.get_label(): line for line in axis.lines if "median" in str(line.get_label())}
    assert list(curves) == ["header, median 4.5 mm", "registered, median 1.5 mm"]
    for line in curves.values():
        assert line.get_ydata().tolist() == [25, 50, 75, 100]


def test_without_a_truth_that_is_said():
    for figure in (
        motions_found(pd.DataFrame()),
        carried(pd.DataFrame()),
        worst(SimpleNamespace(), {}, pd.DataFrame()),
    ):
        assert "truth" in message_of(figure).lower()


def test_titles_say_what_a_series_is_off_from_and_why_it_was_kept():
    stacks = (stack_of(SAGITTAL_T2, frame_of(SAGITTAL_T2), ramp), stack_of(SAGITTAL_T1, frame_of(SAGITTAL_T1), ramp))
    stacks = tuple(replace(stack, series_id=name) for stack, name in zip(stacks, "12", strict=True))
    study = Study("1", stacks)
    aligned = {
        "1": Alignment("1", SAGITTAL_T2, reason=REFERENCE),
        "2": Alignment("2", SAGITTAL_T1, accepted=True, reason=ACCEPTED, shift_mm=3.0, rotation_deg=1.0),
    }
    figure = before_and_after(study, aligned, np.zeros(3), motions())
    assert [axis.get_title().split("\n")[1] for axis in figure.axes] == [
        "3.0 mm from the known position",
        "0.5 mm from the known position",
    ]
    assert figure.axes[1].get_xlabel().startswith(ACCEPTED)
    assert [text.get_text() for text in figure.axes[0].texts] == [*"PAIS", "2 cm"]
    assert [text.get_text() for text in figure.legends[0].get_texts()][0] == SAGITTAL_T2


def test_histograms_and_curves_are_those_given():
    counts = np.arange(12.0).reshape(3, 4)
    curves = pd.DataFrame({"by hand": [0.1, 0.5, 0.2], "SimpleITK": [0.2, 0.6, 0.3]}, index=[-2, 0, 2])
    histogram, curve = mutual_information({"by the headers": counts}, curves).axes
    np.testing.assert_allclose(histogram.images[0].get_array(), np.log1p(counts).T)  # first series across
    assert [line.get_label() for line in curve.lines] == ["by hand", "SimpleITK"]
    assert curve.lines[1].get_xydata().tolist() == [[-2, 0.2], [0, 0.6], [2, 0.3]]
