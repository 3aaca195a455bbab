"""The sheet of phantoms beside real studies: letters of orientation, both sides, regions, and what is missing."""

import numpy as np
import pytest
from image_letters import letters
from matplotlib.patches import Circle
from painted_cohorts import realistic_cohort

from spinekit.anatomy import KINDS, SAGITTAL_T1
from spinekit.figures import realism
from spinekit.io.cohort import Cohort, load
from spinekit.io.tables import no_points


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return load(realistic_cohort(tmp_path_factory.mktemp("sheet") / "cohort", 2, seed=3))


@pytest.fixture(scope="module")
def bare(data):
    """The same without points and without T1."""
    return Cohort(data.folder, data.series[data.series["kind"] != SAGITTAL_T1], data.grades, no_points())


def test_both_sides_stand_beside_each_other_with_their_directions(data, bare):
    sheet = realism.sheet(data, bare, each=1)
    axes = np.array(sheet.axes).reshape(2 * len(KINDS), 2)
    assert [axis.get_title().split()[0] for axis in axes[0]] == ["phantom", "real"]
    for row, shown in ((0, "APSI"), (2, "APSI"), (4, "RLAP")):
        assert letters(axes[row, 0]) == letters(axes[row + 1, 0])
        assert set(letters(axes[row, 0]).values()) == set(shown)
    assert letters(axes[4, 0])["left"] == "R" and letters(axes[2, 1])["left"] == "A"
    assert "no such series" in [text.get_text() for text in axes[0, 1].texts]


def test_regions_are_drawn_where_there_are_landmarks_alone(data, bare):
    sheet = realism.sheet(data, bare, each=1)
    axes = np.array(sheet.axes).reshape(2 * len(KINDS), 2)
    circles = [[p for p in axis.patches if isinstance(p, Circle)] for axis in (axes[2, 0], axes[2, 1])]
    assert len(circles[0]) > 10 and not circles[1]


def test_the_detail_is_sixty_millimetres_wide(data, bare):
    axis = np.array(realism.sheet(data, bare, each=1).axes).reshape(6, 2)[3, 0]
    study = data.read(int(axis.figure.axes[0].get_title().split()[1]), pixels=False)
    mm = study.of_kind(KINDS[1])[0].frame.spacing_rc_mm[1]
    low, high = axis.get_xlim()
    assert (high - low) * mm == pytest.approx(realism.DETAIL_MM)


def test_the_same_sheet_has_the_same_bytes(data, bare, tmp_path):
    for name in ("a.png", "b.png"):
        realism.save(realism.sheet(data, bare, each=1), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
