"""Figures of a phantom study: sizes are those of its headers, contrasts those of its tissues."""

import numpy as np
import pytest

from spinekit.anatomy import AXIAL_T2, KINDS, SAGITTAL_T1, SAGITTAL_T2
from spinekit.evaluation import realism
from spinekit.io.cohort import Cohort, load
from spinekit.io.tables import no_points


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    from painted_cohorts import realistic_cohort

    return load(realistic_cohort(tmp_path_factory.mktemp("realism") / "one", 1, seed=5))


@pytest.fixture(scope="module")
def measured(data):
    return realism.figures_of(data, data.studies()[0], dict.fromkeys(KINDS, 3.5))


def value(measured, kind, figure):
    rows = measured.rows
    return rows.loc[(rows["kind"] == kind) & (rows["figure"] == figure), "value"].item()


def test_every_figure_has_its_row(measured):
    assert measured.landmarks
    for kind in KINDS:
        names = set(measured.rows.loc[measured.rows["kind"] == kind, "figure"])
        assert names >= set(realism.UNITS) - set(realism.ONLY_ON) and names <= set(realism.UNITS)
    assert value(measured, SAGITTAL_T1, "disc height") > 0
    assert set(measured.patches) == set(KINDS) and all(len(p.block) > 50 for p in measured.patches.values())


def test_sizes_are_those_of_the_headers(data, measured):
    study = data.read(data.studies()[0], pixels=False)
    for kind in KINDS:
        frames = [stack.frame for stack in study.of_kind(kind)]
        assert value(measured, kind, "pixel spacing") == pytest.approx(frames[0].spacing_rc_mm[0])
        extent = max(frames[0].spacing_rc_mm * frames[0].shape_rc)
        assert value(measured, kind, "field of view") == pytest.approx(extent)
        step, thickness = (value(measured, kind, name) for name in ("slice step", "slice thickness"))
        assert step == pytest.approx(np.median([frame.step_mm for frame in frames]))
        assert 2 < thickness <= step and value(measured, kind, "slice gap") == pytest.approx(step - thickness)
        assert 0.3 < value(measured, kind, "slice correlation") < 1


def test_contrasts_are_those_of_the_tissues(measured):
    assert value(measured, SAGITTAL_T1, "CSF / marrow") < 0.7 < 1 < value(measured, SAGITTAL_T1, "fat / marrow")
    for kind in (SAGITTAL_T2, AXIAL_T2):
        assert value(measured, kind, "CSF / marrow") > 1.3
        assert value(measured, kind, "CSF / marrow") > 1.5 * value(measured, kind, "muscle / marrow")
    assert 7 < value(measured, SAGITTAL_T1, "disc height") < 20


def test_pixels_too_coarse_for_a_band_leave_it_open(measured):
    assert np.isfinite(value(measured, AXIAL_T2, "texture 0.1-0.2 /mm"))
    assert np.isnan(value(measured, AXIAL_T2, "texture 0.4-0.8 /mm"))


def test_without_points_only_what_needs_none_is_measured(data):
    bare = Cohort(data.folder, data.series, data.grades, no_points())
    found = realism.figures_of(bare, data.studies()[0], {})
    finite = set(found.rows.loc[np.isfinite(found.rows["value"]), "figure"])
    assert not found.landmarks and not found.patches
    assert finite == set(realism.UNITS) - set(realism.NEEDS_LANDMARKS)


def test_slices_are_chosen_evenly(data):
    study = data.read(data.studies()[0])
    for kind in KINDS:
        stacks = study.of_kind(kind)
        chosen = realism.chosen_slices(stacks)
        assert 3 <= len(chosen) <= realism.MAX_SLICES
        assert {id(stack) for stack, _ in chosen} == {id(stack) for stack in stacks}
