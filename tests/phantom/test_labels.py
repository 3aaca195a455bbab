"""Readers' points and the mistakes of tables, each by hand on 25 points that are as they should be."""

from dataclasses import replace

import numpy as np
import pytest
from painted_bodies import body

from spinekit.anatomy import AXIAL_T2, FLIPPED_TARGET, KINDS, LEVELS, SPINAL, TARGETS, targets_of
from spinekit.course.profiles import SMOKE
from spinekit.phantom.labels import Labels, Point, covered, read_study, with_mistakes
from spinekit.phantom.planning import plan_study

LEVEL = np.array([LEVELS.index(t.level) for t in TARGETS])
HONEST = Labels(
    np.arange(25) % 3,
    tuple(Point(i, KINDS.index(t.kind), 10 + i, float(i), 2.0 * i) for i, t in enumerate(TARGETS)),
)


@pytest.fixture(scope="module")
def scan():
    """A patient and the plan of a study without traps."""
    patient = body()
    plans = plan_study(np.random.default_rng(0), patient, SMOKE.acquisition)
    return patient, sorted(plans, key=lambda plan: KINDS.index(plan.kind))


def mistaken(name, scan, seed=0):
    return with_mistakes(np.random.default_rng(seed), HONEST, scan[1], {name})


def places(labels):
    return {p.target: (p.series, p.instance, p.x, p.y) for p in labels.points}


TRUE = places(HONEST)


def test_without_traps_nothing_changes(scan):
    assert with_mistakes(np.random.default_rng(0), HONEST, scan[1], ()) is HONEST


@pytest.mark.parametrize("seed", range(4))
def test_swapped_sides_exchange_grades_and_points_of_one_group(scan, seed):
    wrong = mistaken("swapped_sides", scan, seed)
    moved = {i for i in range(25) if places(wrong)[i] != TRUE[i]}
    (group,) = {TARGETS[i].group for i in moved}
    assert moved == set(targets_of(group)) and group != SPINAL
    assert all(
        places(wrong)[i] == TRUE[FLIPPED_TARGET[i]] and wrong.grades[i] == HONEST.grades[FLIPPED_TARGET[i]]
        for i in moved
    )


def test_swapped_axial_points_leave_the_grades(scan):
    wrong = mistaken("swapped_axial_points", scan)
    axial = [i for i, t in enumerate(TARGETS) if t.kind == AXIAL_T2]
    assert all(places(wrong)[i] == TRUE[FLIPPED_TARGET[i]] for i in axial) and (wrong.grades == HONEST.grades).all()


@pytest.mark.parametrize("seed", range(4))
def test_names_off_by_one_move_grades_with_their_points(scan, seed):
    wrong = mistaken("levels_off_by_one", scan, seed)
    old = {place: i for i, place in TRUE.items()}
    steps = {int(LEVEL[i] - LEVEL[old[place]]) for i, place in places(wrong).items()}
    assert len(wrong.points) == 20 and steps in ({1}, {-1})
    assert all(wrong.grades[i] == HONEST.grades[old[place]] for i, place in places(wrong).items())


@pytest.mark.parametrize("seed", range(4))
def test_level_order_exchanges_neighbours_and_no_grades(scan, seed):
    wrong = mistaken("level_order", scan, seed)
    moved = [i for i in range(25) if places(wrong)[i] != TRUE[i]]
    assert len(moved) in (2, 4) and len({TARGETS[i].group for i in moved}) == 1
    assert sorted({int(LEVEL[i]) for i in moved}) == [min(LEVEL[moved]), min(LEVEL[moved]) + 1]
    assert (wrong.grades == HONEST.grades).all()


def test_points_on_the_wrong_kind_keep_their_pixels(scan):
    wrong = mistaken("points_on_wrong_kind", scan)
    moved = [i for i in range(25) if places(wrong)[i] != TRUE[i]]
    assert len(moved) in (5, 10) and all(places(wrong)[i][2:] == TRUE[i][2:] for i in moved)
    assert all(scan[1][places(wrong)[i][0]].kind != TARGETS[i].kind for i in moved)


def test_placeholders_lie_in_a_row(scan):
    wrong = mistaken("placeholder_points", scan)
    moved = [places(wrong)[i] for i in range(25) if places(wrong)[i] != TRUE[i]]
    assert [place[2] for place in moved] == [10, 15, 20, 25, 30] and {place[1::2] for place in moved} == {
        (moved[0][1], 10.0)
    }


def test_what_is_missing_is_missing_alone(scan):
    assert mistaken("no_coordinates", scan).points == ()
    assert len(mistaken("grade_without_point", scan).points) == 24
    lost = mistaken("point_without_grade", scan)
    assert len(lost.points) == 25 and (lost.grades == -1).sum() == 1
    none = mistaken("condition_without_grades", scan)
    (condition,) = {TARGETS[i].condition for i in np.flatnonzero(none.grades == -1)}
    assert len(none.points) == 20 and condition not in {TARGETS[p.target].condition for p in none.points}


def test_mistakes_of_no_point_are_none(scan):
    empty = replace(HONEST, points=())
    for name in ("grade_without_point", "point_without_grade", "placeholder_points"):
        assert with_mistakes(np.random.default_rng(0), empty, scan[1], {name}).points == ()


def test_a_reader_points_at_what_is_there(scan):
    patient, plans = scan
    labels = read_study(np.random.default_rng(1), plans, patient.landmarks_xyz_mm, HONEST.grades)
    assert (labels.grades == HONEST.grades).all() and len(labels.points) == 25
    for p in labels.points:
        plan = plans[p.series]
        frame, k = plan.instances()[p.instance - 1]
        true_xyz_mm = plan.motion[:3, :3] @ patient.landmarks_xyz_mm[p.target] + plan.motion[:3, 3]
        offset_mm = plan.frames[frame].to_patient([p.x, p.y], k) - true_xyz_mm
        across = abs(offset_mm @ plan.frames[frame].normal)
        limit = 40 if TARGETS[p.target].group == SPINAL else plan.step_mm * 1.5  # one slice may serve the whole canal
        assert plan.kind == TARGETS[p.target].kind and across < limit
        assert np.linalg.norm(offset_mm - (offset_mm @ plan.frames[frame].normal) * plan.frames[frame].normal) < 6


def test_what_no_axial_slice_reaches_is_neither_graded_nor_pointed_at(scan):
    patient, plans = scan
    sagittal = [plan for plan in plans if plan.kind != AXIAL_T2]
    axial = np.array([t.kind == AXIAL_T2 for t in TARGETS])
    assert (covered(sagittal, patient.landmarks_xyz_mm) == ~axial).all()
    labels = read_study(np.random.default_rng(1), sagittal, patient.landmarks_xyz_mm, HONEST.grades)
    assert (labels.grades[axial] == -1).all() and {p.target for p in labels.points} == set(np.flatnonzero(~axial))
