"""From peaks to landmarks: the chain of levels, sides, what is carried, what is dropped."""

from __future__ import annotations

import numpy as np
import pytest
from spines import spines

from spinekit.anatomy import AXIAL_T2, KINDS, SAGITTAL_T1, SAGITTAL_T2, TARGETS, targets_of
from spinekit.geometry import Floats
from spinekit.heatmaps import Peaks
from spinekit.landmarks import CARRIED, FOUND, assemble, chains, channel_of
from spinekit.shape import ShapeModel, learn_shape


@pytest.fixture(scope="module")
def shape() -> ShapeModel:
    return learn_shape(spines(60))


@pytest.fixture
def spine() -> Floats:
    return spines(1, seed=11)[0]


def peaks_of(spine: Floats, kind: str, height: float = 0.8) -> Peaks:
    """One peak for each landmark of a kind, in no useful order."""
    targets = [i for i, t in enumerate(TARGETS) if t.kind == kind][::-1]
    channels = np.array([channel_of(i) for i in targets])
    return Peaks(spine[targets], np.full(len(targets), height), channels, np.full(len(targets), kind))


def with_peak(peaks: Peaks, xyz_mm: Floats, height: float, channel: int) -> Peaks:
    return Peaks(
        np.vstack([peaks.xyz_mm, xyz_mm]),
        np.append(peaks.height, height),
        np.append(peaks.channel, channel),
        np.append(peaks.series, "false"),
    )


def everything(spine: Floats) -> dict[str, Peaks]:
    return {kind: peaks_of(spine, kind) for kind in KINDS}


def test_chains_go_down_the_spine_on_one_side() -> None:
    assert [len(chains(kind)) for kind in (SAGITTAL_T2, SAGITTAL_T1, AXIAL_T2)] == [1, 2, 2]
    assert sorted(i for kind in KINDS for chain in chains(kind) for i in chain) == list(range(25))
    names = [TARGETS[i].name for i in chains(AXIAL_T2)[1]]
    assert names[0] == "right_subarticular_stenosis_l1_l2" and names[4] == "right_subarticular_stenosis_l5_s1"


def test_clear_peaks_become_the_landmarks(shape: ShapeModel, spine: Floats) -> None:
    found = assemble(everything(spine), shape, spine.mean(0) + [8, 30, -40])
    assert np.allclose(found.xyz_mm, spine)
    assert found.source == (FOUND,) * 25 and (found.confidence == 0.8).all()
    assert found.series[0] == SAGITTAL_T2 and found.series[24] == AXIAL_T2


def test_a_level_is_neither_skipped_nor_doubled(shape: ShapeModel, spine: Floats) -> None:
    """The L4/L5 channel is surest at L5/S1, as if the model had counted wrong once."""
    proposals = everything(spine)
    proposals[SAGITTAL_T2] = with_peak(proposals[SAGITTAL_T2], spine[4], 0.99, channel=3)
    found = assemble(proposals, shape, spine.mean(0))
    assert np.allclose(found.xyz_mm[:5], spine[:5])


def test_one_axial_channel_serves_all_levels_and_false_peaks_are_left(shape: ShapeModel, spine: Floats) -> None:
    between = (spine[15] + spine[16]) / 2
    proposals = everything(spine)
    proposals[AXIAL_T2] = with_peak(proposals[AXIAL_T2], between, 0.99, channel=0)
    assert np.allclose(assemble(proposals, shape, spine.mean(0)).xyz_mm, spine)


@pytest.mark.parametrize("lost", KINDS)
def test_a_missing_kind_is_carried_to_its_place(shape: ShapeModel, spine: Floats, lost: str) -> None:
    proposals = everything(spine)
    del proposals[lost]
    found = assemble(proposals, shape, spine.mean(0) + [4, 20, 30])
    gone = np.array([t.kind == lost for t in TARGETS])
    assert [s == CARRIED for s in found.source] == gone.tolist()
    assert np.linalg.norm(found.xyz_mm - spine, axis=1).max() < 4
    assert (found.confidence[gone] == 0).all()
    assert all(name == "" for name, it in zip(found.series, gone, strict=True) if it)


def test_levels_that_the_axial_stack_does_not_reach_are_carried(shape: ShapeModel, spine: Floats) -> None:
    proposals = everything(spine)
    kept = np.flatnonzero(proposals[AXIAL_T2].xyz_mm[:, 2] < spine[16, 2] - 5)  # from L3/L4 down
    p = proposals[AXIAL_T2]
    proposals[AXIAL_T2] = Peaks(p.xyz_mm[kept], p.height[kept], p.channel[kept], p.series[kept])
    found = assemble(proposals, shape, spine.mean(0))
    upper = [i for i in targets_of("subarticular") if TARGETS[i].level in ("l1_l2", "l2_l3")]
    assert [i for i, s in enumerate(found.source) if s == CARRIED] == upper
    assert np.linalg.norm(found.xyz_mm - spine, axis=1).max() < 4


def test_a_landmark_far_from_all_others_is_dropped(shape: ShapeModel, spine: Floats) -> None:
    """All five foramina of one side 30 mm off: the chain is in order, but not where the spine is."""
    proposals = everything(spine)
    off = proposals[SAGITTAL_T1].xyz_mm.copy()
    off[proposals[SAGITTAL_T1].xyz_mm[:, 0] < spine[:, 0].mean()] += [-60, 0, 0]
    p = proposals[SAGITTAL_T1]
    proposals[SAGITTAL_T1] = Peaks(off, p.height, p.channel, p.series)
    found = assemble(proposals, shape, spine.mean(0))
    right = [i for i in targets_of("foraminal") if TARGETS[i].side == "right"]
    assert [i for i, s in enumerate(found.source) if s == CARRIED] == right
    assert np.linalg.norm(found.xyz_mm - spine, axis=1).max() < 5


def test_nothing_found_is_still_a_spine_and_nothing_readable_is_nan(shape: ShapeModel) -> None:
    empty = Peaks(np.empty((0, 3)), np.empty(0), np.empty(0, dtype=np.intp), np.empty(0, dtype=str))
    found = assemble({SAGITTAL_T2: empty}, shape, np.array([1.0, 2.0, 3.0]))
    assert np.allclose(found.xyz_mm.mean(0), [1, 2, 3]) and set(found.source) == {CARRIED}
    assert (np.diff(found.xyz_mm[:5, 2]) < -20).all()
    assert np.isnan(assemble({}, shape, np.full(3, np.nan)).xyz_mm).all()


def test_table_has_a_row_for_each_target(shape: ShapeModel, spine: Floats) -> None:
    table = assemble(everything(spine), shape, spine.mean(0)).table(77)
    assert table["target"].tolist() == [t.name for t in TARGETS]
    assert list(table) == ["study_id", "target", "x_mm", "y_mm", "z_mm", "confidence", "source", "series_id"]
    assert np.allclose(table[["x_mm", "y_mm", "z_mm"]], spine, atol=1e-3)
