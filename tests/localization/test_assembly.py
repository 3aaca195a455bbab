"""From peaks to landmarks: the chain of levels, sides, what is carried, what is dropped, how sure each is."""

from __future__ import annotations

import numpy as np
import pytest
from spines import spines, study_of

from spinekit.anatomy import AXIAL_T2, KINDS, SAGITTAL_T1, SAGITTAL_T2, TARGETS, targets_of
from spinekit.geometry import Floats, rigid_matrix, transform
from spinekit.localization.assembly import CARRIED, FOUND, Landmarks, assemble, chains, channel_of, shown_by
from spinekit.localization.heatmaps import SHOWN
from spinekit.localization.peaks import Peaks
from spinekit.localization.shape_model import ShapeModel, learn_shape

SURE_MM2 = 0.5**2 * np.eye(3)


@pytest.fixture(scope="module")
def shape() -> ShapeModel:
    return learn_shape(spines(60))


@pytest.fixture
def spine() -> Floats:
    return spines(1, seed=11)[0]


def peaks_of(spine: Floats, kind: str, height: float = 0.8) -> Peaks:
    """One peak for each landmark that a kind shows, in no useful order."""
    targets = sorted({i for channel in SHOWN[kind] for i in channel})[::-1]
    channels = np.array([channel_of(kind, i) for i in targets])
    n = len(targets)
    return Peaks(spine[targets], np.full(n, height), channels, np.full(n, kind), np.tile(SURE_MM2, (n, 1, 1)))


def part_of(peaks: Peaks, kept: np.ndarray, xyz_mm: Floats | None = None) -> Peaks:
    xyz = peaks.xyz_mm if xyz_mm is None else xyz_mm
    return Peaks(xyz[kept], peaks.height[kept], peaks.channel[kept], peaks.series[kept], peaks.covariance_mm2[kept])


def with_peak(peaks: Peaks, xyz_mm: Floats, height: float, channel: int) -> Peaks:
    return Peaks(
        np.vstack([peaks.xyz_mm, xyz_mm]),
        np.append(peaks.height, height),
        np.append(peaks.channel, channel),
        np.append(peaks.series, peaks.series[0]),
        np.concatenate([peaks.covariance_mm2, SURE_MM2[None]]),
    )


def everything(spine: Floats) -> dict[str, Peaks]:
    return {kind: peaks_of(spine, kind) for kind in KINDS}


def find(shape: ShapeModel, spine: Floats, proposals: dict[str, Peaks]) -> Landmarks:
    return assemble(proposals, shape, study_of(spine, tuple(proposals), (8, 30, -40)))


def off_mm(found: Landmarks, spine: Floats) -> Floats:
    return np.linalg.norm(found.xyz_mm - spine, axis=1)


def test_chains_go_down_the_spine_on_one_side_those_of_the_kind_first() -> None:
    for kind in KINDS:
        of_kind = chains(kind)
        assert sorted(i for chain in of_kind for i in chain) == sorted({i for channel in SHOWN[kind] for i in channel})
        assert TARGETS[of_kind[0][0]].kind == kind
        assert all(
            [TARGETS[i].level for i in chain] == ["l1_l2", "l2_l3", "l3_l4", "l4_l5", "l5_s1"] for chain in of_kind
        )
        assert all(len({TARGETS[i].condition for i in chain}) == 1 for chain in of_kind)


def test_clear_peaks_become_the_landmarks(shape: ShapeModel, spine: Floats) -> None:
    found = find(shape, spine, everything(spine))
    assert off_mm(found, spine).max() < 0.3  # drawn towards the shape by a little
    assert found.source == (FOUND,) * 25 and (found.confidence == 0.8).all()
    assert found.series[0] == SAGITTAL_T2 and found.series[24] == AXIAL_T2
    assert (found.sd_mm < 1).all() and (found.visible > 0.99).all() and found.level_confidence > 0.99


def test_a_level_is_neither_skipped_nor_doubled(shape: ShapeModel, spine: Floats) -> None:
    """The L4/L5 channel is surest at L5/S1, as if the model had counted wrong once."""
    proposals = everything(spine)
    channel = channel_of(SAGITTAL_T2, 3)
    proposals[SAGITTAL_T2] = with_peak(proposals[SAGITTAL_T2], spine[4], 0.99, channel)
    assert off_mm(find(shape, spine, proposals), spine).max() < 0.3


def test_names_that_fit_one_level_off_as_well_are_not_sure(shape: ShapeModel, spine: Floats) -> None:
    """Every channel has a second peak one level lower: nothing but the shape tells which is meant."""
    proposals = everything(spine)
    step = spine[1] - spine[0]
    for kind in (SAGITTAL_T1, SAGITTAL_T2):
        peaks = proposals[kind]
        for xyz, channel in zip(peaks.xyz_mm, peaks.channel, strict=True):
            proposals[kind] = with_peak(proposals[kind], xyz + step, 0.75, int(channel))
    assert find(shape, spine, proposals).level_confidence < 0.7


def test_one_axial_channel_serves_all_levels_and_false_peaks_are_left(shape: ShapeModel, spine: Floats) -> None:
    between = (spine[15] + spine[16]) / 2
    proposals = everything(spine)
    proposals[AXIAL_T2] = with_peak(proposals[AXIAL_T2], between, 0.99, channel_of(AXIAL_T2, 15))
    assert off_mm(find(shape, spine, proposals), spine).max() < 0.3


@pytest.mark.parametrize("lost", KINDS)
def test_a_missing_kind_is_carried_to_its_place(shape: ShapeModel, spine: Floats, lost: str) -> None:
    proposals = everything(spine)
    del proposals[lost]
    found = find(shape, spine, proposals)
    gone = np.array([t.kind == lost for t in TARGETS])
    assert [s == CARRIED for s in found.source] == gone.tolist()
    assert off_mm(found, spine).max() < 4
    assert (found.confidence[gone] == 0).all() and (found.visible[gone] == 0).all()
    assert all(name == "" for name, it in zip(found.series, gone, strict=True) if it)


def test_one_kind_alone_still_gives_25_and_says_how_unsure(shape: ShapeModel, spine: Floats) -> None:
    proposals = {AXIAL_T2: part_of(peaks_of(spine, AXIAL_T2), np.arange(6))}
    found = find(shape, spine, proposals)
    seen = set(np.flatnonzero([s == FOUND for s in found.source]))
    assert np.isfinite(found.xyz_mm).all() and np.isnan(found.level_confidence)
    assert found.sd_mm[[i for i in range(25) if i not in seen]].min() > found.sd_mm[sorted(seen)].max()


def test_levels_that_the_axial_stack_does_not_reach_are_carried_and_not_visible(
    shape: ShapeModel, spine: Floats
) -> None:
    proposals = everything(spine)
    upper = [i for i in targets_of("subarticular") if TARGETS[i].level in ("l1_l2", "l2_l3")]
    limit = spine[16, 2] - 10  # from L3/L4 down
    proposals[AXIAL_T2] = part_of(proposals[AXIAL_T2], np.flatnonzero(proposals[AXIAL_T2].xyz_mm[:, 2] < limit))
    study = study_of(spine)
    stacks = tuple(s if s.kind != AXIAL_T2 else below(s, limit) for s in study.stacks)
    found = assemble(proposals, shape, type(study)(1, stacks, study.centre_xyz_mm))
    assert [i for i, s in enumerate(found.source) if s == CARRIED] == upper
    assert found.visible[upper].max() < 0.1 and np.delete(found.visible, upper).min() > 0.9
    assert off_mm(found, spine).max() < 1


def below(stack, z_mm):
    kept = stack.frame.origins_xyz_mm[:, 2] < z_mm
    frame = stack.frame
    frame = type(frame)(frame.origins_xyz_mm[kept], frame.direction_cosines, frame.spacing_rc_mm, frame.shape_rc)
    return type(stack)(stack.series_id, stack.kind, frame, stack.images[kept])


def test_visible_is_a_probability_of_slices_near_enough(spine: Floats) -> None:
    stack = study_of(spine).of_kind(AXIAL_T2)[0]
    middle = spine.mean(0)
    top = stack.frame.corners_xyz_mm(len(stack.frame) - 1 if stack.frame.normal[2] > 0 else 0)[0, 2]
    at = [shown_by(stack, [middle[0], middle[1], top + up], 2.0**2 * np.eye(3)) for up in (0, 5, 20)]
    assert at[0] > 0.95 and at[1] == pytest.approx(0.5, abs=0.01) and at[2] < 1e-6
    assert shown_by(stack, middle + [500, 0, 0], np.eye(3)) == 0


def test_landmarks_far_from_all_others_are_dropped(shape: ShapeModel, spine: Floats) -> None:
    """On one series all five foramina of one side lie 30 mm off: in order, but not where the spine is."""
    proposals = {kind: peaks_of(spine, kind) for kind in (SAGITTAL_T1, SAGITTAL_T2)}
    right = [i for i in targets_of("foraminal") if TARGETS[i].side == "right"]
    p = proposals[SAGITTAL_T1]
    wrong = (p.channel < 5) & (p.xyz_mm[:, 0] < spine[:, 0].mean())
    assert wrong.sum() == 5
    proposals[SAGITTAL_T1] = part_of(p, np.arange(len(p.height)), p.xyz_mm + wrong[:, None] * [-30.0, 0, 0])
    found = find(shape, spine, proposals)
    assert [i for i, s in enumerate(found.source) if s == CARRIED and TARGETS[i].kind == SAGITTAL_T1] == right
    assert off_mm(found, spine).max() < 3


def test_places_follow_the_patient_from_series_to_series(shape: ShapeModel, spine: Floats) -> None:
    """The axial series was taken after the patient moved; its landmarks are told in its own millimetres."""
    motion = rigid_matrix([1.0, -1.5, 1.0], [2.0, -3.0, 2.5], spine.mean(0))
    proposals = everything(spine) | {AXIAL_T2: peaks_of(transform(motion, spine), AXIAL_T2)}
    found = find(shape, spine, proposals)
    expected = spine.copy()
    expected[15:] = transform(motion, spine[15:])
    assert off_mm(found, expected).max() < 0.5
    assert np.abs(transform(found.motion[AXIAL_T2], spine) - transform(motion, spine)).max() < 0.5
    assert (found.motion[SAGITTAL_T2] == np.eye(4)).all()


def test_nothing_found_is_still_a_spine_and_nothing_readable_is_nan(shape: ShapeModel, spine: Floats) -> None:
    empty = part_of(peaks_of(spine, SAGITTAL_T2), np.arange(0))
    found = assemble({SAGITTAL_T2: empty}, shape, study_of(spine, (SAGITTAL_T2,)))
    assert np.allclose(found.xyz_mm.mean(0), spine.mean(0)) and set(found.source) == {CARRIED}
    assert (np.diff(found.xyz_mm[:5, 2]) < -20).all() and (found.sd_mm > 50).all()
    nothing = study_of(np.full((25, 3), np.nan), ())
    assert np.isnan(assemble({}, shape, nothing).xyz_mm).all()


def test_table_has_a_row_for_each_target(shape: ShapeModel, spine: Floats) -> None:
    found = find(shape, spine, everything(spine))
    table = found.table(77)
    assert table["target"].tolist() == [t.name for t in TARGETS]
    names = "study_id target x_mm y_mm z_mm sd_mm visible level_confidence confidence source series_id"
    assert list(table) == names.split()
    assert np.allclose(table[["x_mm", "y_mm", "z_mm"]], found.xyz_mm, atol=1e-3)
