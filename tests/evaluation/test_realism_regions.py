"""Regions lie where the chain of points says, on images painted so that a pixel's value names its place."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import stacks_by_hand
from stacks_by_hand import CENTRES, frame

from spinekit.anatomy import AXIAL_T2, SAGITTAL_T2, SPINAL, TARGETS, targets_of
from spinekit.evaluation import realism_regions as regions
from spinekit.io.cohort import load

STRAIGHT = np.array([[0.0, 0.0, z] for z in (70.0, 35.0, 0.0, -35.0, -70.0)])


def painted(normal, value, kind=SAGITTAL_T2, **options):
    """A stack whose pixels are ``value`` of their place (..., 3) in the patient."""
    its_frame = frame((0, 0, 0), normal, n=21, **options)
    rows, columns = np.indices(its_frame.shape_rc)
    places = [
        its_frame.to_patient(np.stack([columns, rows], -1), np.full(rows.shape, k)) for k in range(len(its_frame))
    ]
    return replace(stacks_by_hand.stack(its_frame, kind), pixels=value(np.array(places)).astype(np.float32))


def test_marrow_and_discs_lie_before_the_canal_and_muscle_behind():
    places = regions.places_of(STRAIGHT)
    assert places["marrow"].shape == (12, 3) and places["fat"].shape == (4, len(regions.FAT_BEHIND_MM), 3)
    np.testing.assert_allclose(places["marrow"][:, 1], -24, atol=1e-9)  # LPS: the front is -y
    np.testing.assert_allclose(
        sorted(set(places["marrow"][:, 2].round(6))),
        sorted(round(z - share * 35, 6) for z in (70, 35, 0, -35) for share in regions.ALONG_BODY),
    )
    np.testing.assert_allclose(places["disc"], STRAIGHT - (0, 24, 0), atol=1e-9)
    assert (places["muscle"][:, 1] == 30).all() and set(places["muscle"][:, 0]) == {-20.0, 20.0}
    assert places["fat"][..., 1].min() == 24 and (np.diff(places["fat"][..., 1]) > 0).all()


def test_a_bent_chain_keeps_its_distance():
    places = regions.places_of(CENTRES)
    apart = np.linalg.norm(places["disc"] - CENTRES, axis=1)
    np.testing.assert_allclose(apart, 24)


@pytest.mark.parametrize(("normal", "kind"), [((1, 0, 0), SAGITTAL_T2), ((0, 0, 1), AXIAL_T2)])
def test_signals_are_those_of_the_places(normal, kind):
    stack = painted(normal, lambda xyz: 1000 + xyz[..., 1], kind, step=7.0 if kind == AXIAL_T2 else 4.0)
    values = regions.tissue_values([stack], regions.places_of(STRAIGHT), t1=False)
    np.testing.assert_allclose(values["marrow"], 976, atol=1)
    np.testing.assert_allclose(values["disc"], 976, atol=1)
    np.testing.assert_allclose(values["muscle"], 1030, atol=1)
    np.testing.assert_allclose(values["fat"], 1080, atol=1)  # the brightest place is the farthest
    assert (values["CSF"] > 1002).all() and (values["CSF"] < 1005).all()  # 90th percentile of a disc of 5 mm
    dark = regions.tissue_values([stack], regions.places_of(STRAIGHT), t1=True)["CSF"]
    assert (dark < 1000).all()


def test_what_no_slice_shows_is_left_out():
    stack = painted((1, 0, 0), lambda xyz: 1000 + xyz[..., 1])
    assert regions.shown_at([stack], np.array([500.0, 0, 0])) is None
    assert not len(regions.disc_values([stack], np.array([0.0, 0, 400.0]), 5.0))
    assert len(regions.disc_values([stack], np.array([0.0, 0, 0]), 0.01)) >= 1


def test_squares_are_millimetres_of_marrow():
    stack = painted((1, 0, 0), lambda xyz: 1000 + xyz[..., 1], px=160)
    squares = regions.marrow_squares([stack], regions.places_of(STRAIGHT)["marrow"], 16.0)
    assert len(squares) == 12
    for square, spacing in squares:
        assert square.shape == (13, 13) and spacing[0] == 1.25 and square.mean() == pytest.approx(976, abs=1)
    assert regions.marrow_squares([stack], np.array([[0.0, -98.0, 0]]), 16.0) == []  # cut by the border


def test_the_chain_is_that_of_the_tables_and_mistakes_are_no_chain(truth_cohort):
    data = load(truth_cohort)
    study_id = data.studies("train")[0]
    study, points = data.read(study_id), data.points[data.points["study_id"] == study_id]
    chain = regions.chain_of(study, points)
    assert chain is not None and (np.diff(chain[:, 2]) < -18).all()
    names = {TARGETS[i].name for i in targets_of(SPINAL)}
    other = regions.chain_of(study, points[~points["target"].isin(names)])  # the recesses lie beside the canal
    assert other is not None and np.linalg.norm(other - chain, axis=1).max() < 15
    flipped = points.assign(level=points["level"].map(dict(zip(LEVELS_DOWN, LEVELS_DOWN[::-1], strict=True))))
    flipped["target"] = flipped["condition"] + "_" + flipped["level"]
    assert regions.chain_of(study, flipped) is None
    assert regions.chain_of(study, pd.DataFrame(columns=points.columns)) is None


LEVELS_DOWN = ["l1_l2", "l2_l3", "l3_l4", "l4_l5", "l5_s1"]
