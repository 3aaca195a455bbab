"""Tables with named errors, points in the patient, folds by study."""

import numpy as np
import pandas as pd
import pytest
from cohort_files import change_table, series_ids, true_xyz_mm, write_cohort, write_images
from hypothesis import given, settings
from hypothesis import strategies as st

from spinekit.anatomy import AXIAL_T2, FLIPPED_TARGET, SAGITTAL_T1, SAGITTAL_T2, TARGET_INDEX, TARGETS
from spinekit.io import cohort as io_cohort
from spinekit.io.cohort import TooFewStudies, UnknownStudy, landmarks_of, load, make_folds, points_xyz_mm
from spinekit.io.csv_file import MissingTable
from spinekit.io.tables import DuplicateRows

NAMES = [target.name for target in TARGETS]
GRADES, POINTS, SERIES = "train.csv", "train_label_coordinates.csv", "train_series_descriptions.csv"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """One train and one test study with images."""
    return write_cohort(tmp_path_factory.mktemp("cohort"), (1,), (3,))


def test_studies_by_split_and_images(tables_folder):
    write_images(tables_folder / "train_images", 5, [SAGITTAL_T2])
    cohort = load(tables_folder)
    assert cohort.studies() == [5]
    assert cohort.studies("train") == [5] and cohort.studies("test") == []
    assert cohort.studies(with_images=False) == [1, 2, 3, 5]
    assert cohort.studies("test", with_images=False) == [3]
    assert cohort.study_folder(3) == tables_folder / "test_images" / "3"
    with pytest.raises(ValueError, match="split"):
        cohort.studies("valid")


@pytest.mark.parametrize("keep", ["train", "test"])
def test_one_half_is_enough(tables_folder, keep):
    for file in tables_folder.glob("*.csv"):
        if not file.name.startswith(keep):
            file.unlink()
    cohort = load(tables_folder)
    assert cohort.studies(with_images=False) == ([1, 2, 5] if keep == "train" else [3])
    assert len(cohort.grades) == (3 if keep == "train" else 0)
    assert len(cohort.points) == (75 if keep == "train" else 0)
    assert list(cohort.grades.columns) == NAMES and "target" in cohort.points


def test_a_study_without_series_is_still_listed(tables_folder):
    change_table(tables_folder, SERIES, lambda frame: frame[frame["study_id"] != "2"])
    assert load(tables_folder).studies("train", with_images=False) == [1, 2, 5]
    assert load(tables_folder).kinds_of(2) == {}


def test_folders_without_tables_are_named(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(MissingTable, match=str(folder)):
            load(folder)


def test_a_study_of_both_halves_is_named(tables_folder):
    change_table(tables_folder, "test_series_descriptions.csv", lambda frame: frame.assign(study_id="2"))
    with pytest.raises(DuplicateRows, match="study 2"):
        load(tables_folder)


def test_unknown_studies_and_missing_images_are_named(tables_folder):
    cohort = load(tables_folder)
    with pytest.raises(UnknownStudy, match="study 77"):
        cohort.read(77)
    with pytest.raises(UnknownStudy, match="train_images/2"):
        cohort.read(2)


def test_points_come_to_lie_where_they_were_drawn(written):
    """Through series numbered against their normal, (x, y) = (column, row), and LPS: a swap of any kind fails."""
    cohort = load(written)
    study = cohort.read(1, pixels=False)
    assert study.findings == ()
    np.testing.assert_allclose(landmarks_of(study, cohort.points), true_xyz_mm(), atol=2.01)
    in_plane = np.array([[t.kind == AXIAL_T2, True, t.kind != AXIAL_T2] for t in TARGETS])
    error = np.abs(landmarks_of(study, cohort.points) - true_xyz_mm())
    assert error[in_plane].max() < 1e-6  # only across slices does a point move, to the slice it was marked on


def test_sides_by_meaning(written):
    """Left is the patient's left (+x), on every kind of series, and a level below is nearer to the feet (-z)."""
    cohort = load(written)
    landmarks = landmarks_of(cohort.read(1, pixels=False), cohort.points)
    for i, target in enumerate(TARGETS):
        if target.side == "left":
            assert landmarks[i, 0] > landmarks[FLIPPED_TARGET[i], 0] + 10
    assert (np.diff(landmarks.reshape(5, 5, 3)[..., 2], axis=1) < -20).all()


def test_points_on_slices_that_are_not_there_are_left_out(written, caplog):
    cohort = load(written)
    study = cohort.read(1, pixels=False)
    points = cohort.points.copy()
    points.loc[0, "instance_number"], points.loc[1, "series_id"] = 99, 12345
    placed = points_xyz_mm(study, points)
    assert len(placed) == 23 and "2 points" in caplog.text
    lost = [TARGET_INDEX[name] for name in points["target"][:2]]
    landmarks = landmarks_of(study, points)
    assert np.isnan(landmarks[lost]).all() and np.isfinite(np.delete(landmarks, lost, axis=0)).all()


def test_no_points_give_no_landmarks(written):
    cohort = load(written)
    study = cohort.read(3, pixels=False)
    added = ["x_mm", "y_mm", "z_mm", "stack", "k"]
    for one in (study, cohort.read(1, pixels=False)):
        placed = points_xyz_mm(one, cohort.points.sample(frac=1, random_state=0))
        assert list(placed) == [*cohort.points, *added] and placed.index.equals(pd.RangeIndex(len(placed)))
    assert np.isnan(landmarks_of(study, cohort.points)).all()


def test_points_of_other_studies_are_not_those_of_this_one(written):
    cohort = load(written)
    study = cohort.read(1, pixels=False)
    others = [cohort.points.assign(study_id=other, x_px=3.0) for other in (0, 2, 11)]
    placed = points_xyz_mm(study, pd.concat([*others, cohort.points]))
    pd.testing.assert_frame_equal(placed, points_xyz_mm(study, cohort.points))


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(
    ("row", "kind"), [(0, AXIAL_T2), (0, SAGITTAL_T1), (5, SAGITTAL_T2), (5, AXIAL_T2), (15, SAGITTAL_T1)]
)
def test_the_point_on_the_own_kind_of_series_counts(written, first, row, kind):
    cohort = load(written)
    study = cohort.read(1, pixels=False)
    stray = cohort.points.iloc[[row]].assign(series_id=series_ids(1)[kind], instance_number=1, x_px=3.0, y_px=3.0)
    points = pd.concat([stray, cohort.points] if first else [cohort.points, stray])
    np.testing.assert_array_equal(landmarks_of(study, points), landmarks_of(study, cohort.points))


def grades_of(seed, n, missing=0.0):
    rng = np.random.default_rng(seed)
    values = rng.choice([0.0, 1.0, 2.0], (n, 25), p=[0.93, 0.05, 0.02])
    values[rng.random((n, 25)) < missing] = np.nan
    return pd.DataFrame(values, columns=NAMES, index=pd.Index(rng.permutation(10 * n)[:n], name="study_id"))


@settings(deadline=None)
@given(st.integers(0, 1000), st.integers(5, 200), st.integers(2, 5))
def test_folds_are_even_by_size_and_worst_grade(seed, n, n_folds):
    grades = grades_of(seed, n, missing=0.05)
    folds = make_folds(grades, n_folds, seed).set_index("study_id")["fold"]
    assert sorted(folds.index) == sorted(grades.index)  # every study once: no study in two folds
    sizes = folds.value_counts()
    assert len(sizes) == n_folds and sizes.max() - sizes.min() <= 1
    worst = grades.max(axis=1)
    for grade in (0, 1, 2):
        counts = folds[worst[worst == grade].index].value_counts().reindex(range(n_folds), fill_value=0)
        assert counts.max() - counts.min() <= 2


@settings(deadline=None)
@given(st.integers(0, 1000), st.integers(30, 200))
def test_no_group_is_on_two_sides_of_a_fold(seed, n):
    grades = grades_of(seed, n)
    ids = np.array(grades.index)
    groups = dict(zip(ids[: n // 3].tolist(), np.repeat(ids[: n // 3 : 3], 3).tolist(), strict=False))  # threes
    folds = make_folds(grades, 5, seed, groups).set_index("study_id")["fold"]
    assert sorted(folds.index) == sorted(ids)
    spread = folds[list(groups)].groupby(groups).agg(["min", "max"])
    assert (spread["min"] == spread["max"]).all()
    sizes = folds.value_counts()
    assert len(sizes) == 5 and sizes.max() - sizes.min() <= 4 + n // 10
    alone = {study: study for study in ids.tolist()}
    pd.testing.assert_frame_equal(make_folds(grades, 5, seed, alone), make_folds(grades, 5, seed))


def test_a_group_is_dealt_by_its_worst_study():
    grades = pd.DataFrame(0.0, columns=NAMES, index=pd.Index(range(20), name="study_id"))
    grades.loc[[1, 3, 5, 7, 9], NAMES[0]] = 2.0  # each in a pair with a study without any finding
    folds = make_folds(grades, 5, 0, {i: i - i % 2 for i in range(20)}).set_index("study_id")["fold"]
    assert sorted(folds[[1, 3, 5, 7, 9]]) == [0, 1, 2, 3, 4] and (folds[[0, 2]].values == folds[[1, 3]].values).all()


def test_folds_depend_on_the_seed_and_not_on_the_order_of_rows():
    grades = grades_of(0, 60)
    folds = make_folds(grades, seed=1)
    pd.testing.assert_frame_equal(make_folds(grades.sample(frac=1, random_state=3), seed=1), folds)
    assert not make_folds(grades, seed=2).equals(folds)


def test_the_same_seed_gives_the_same_folds_in_every_version():
    """Else the weights of an earlier run could judge studies that they were fitted on."""
    grades = pd.DataFrame(0.0, columns=NAMES, index=pd.Index(range(12), name="study_id"))
    grades.loc[[2, 5, 11], NAMES[0]] = 1.0
    grades.loc[[1, 8], NAMES[3]] = 2.0
    grades.loc[[3, 4]] = np.nan
    folds = make_folds(grades)
    assert folds["study_id"].tolist() == list(range(12)) and folds["fold"].nunique() == 5
    assert folds["fold"].tolist() == [1, 2, 2, 4, 0, 1, 2, 3, 4, 0, 4, 3]


def test_too_few_studies_for_folds():
    with pytest.raises(TooFewStudies, match="4 graded studies"):
        make_folds(grades_of(0, 4), 5)
    grades = grades_of(0, 6)
    with pytest.raises(TooFewStudies, match="4 graded studies that do not belong together"):
        make_folds(grades, 5, groups=dict.fromkeys(grades.index[:3].tolist(), int(grades.index[0])))


def test_a_split_keeps_studies_apart_and_weights_never_judge_what_they_were_fitted_on(tmp_path):
    data = io_cohort.load(write_cohort(tmp_path, train=range(1, 8), test=(9,)))
    ids = data.studies("train")
    folds = pd.DataFrame({"study_id": ids[1:], "fold": [i % 2 for i in range(1, len(ids))]})
    split = io_cohort.split_studies(data, folds, 1)
    assert split.held_out == ids[1::2] and split.train == ids[2::2] and split.test == data.studies("test")
    reused = io_cohort.split_studies(data, folds, 1, weights="demo")
    assert reused.train == [] and reused.held_out == [ids[0], *ids[1::2]]
    elsewhere = io_cohort.split_studies(data, folds.assign(study_id=folds["study_id"] + 1000), 1, weights="demo")
    assert elsewhere.held_out == ids and elsewhere.unseen == [*ids, *data.studies("test")]


def test_studies_that_measure_the_landmark_models_are_neither_trained_on_nor_scored():
    split = io_cohort.Split(list(range(45)), [50, 51], [60])
    measured = split.inner_held_out
    assert len(measured) == 4 and sorted([*measured, *split.inner_train]) == split.train
    assert not set(measured) & {*split.inner_train, *split.unseen}
    assert max(measured) - min(measured) >= 30  # spread over the studies
    few = io_cohort.Split(list(range(9)), [9], [])
    assert few.inner_train == list(range(9)) and few.inner_held_out == []
    assert io_cohort.Split(list(range(10)), [], []).inner_held_out == [9]
