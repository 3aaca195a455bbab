"""The competition's tables: tidy frames, and a named error with file, line and column for what is wrong."""

import numpy as np
import pandas as pd
import pytest
from cohort_files import change_table

from spinekit.anatomy import AXIAL_T2, SAGITTAL_T1, SAGITTAL_T2, TARGETS
from spinekit.io.cohort import load
from spinekit.io.tables import BadValue, DuplicateRows, MissingColumn, MissingTable

NAMES = [target.name for target in TARGETS]
GRADES, POINTS, SERIES = "train.csv", "train_label_coordinates.csv", "train_series_descriptions.csv"


def test_tables_become_tidy_frames(tables_folder):
    cohort = load(tables_folder)
    assert list(cohort.grades.columns) == NAMES
    assert cohort.grades.index.tolist() == [1, 2, 5]
    words = pd.read_csv(tables_folder / GRADES).set_index("study_id")
    codes = {"Normal/Mild": 0, "Moderate": 1, "Severe": 2}
    assert all(cohort.grades.loc[i, name] == codes[words.loc[i, name]] for i in (1, 2, 5) for name in NAMES)
    assert cohort.series["split"].value_counts().to_dict() == {"train": 9, "test": 3}
    assert cohort.kinds_of(2) == {"21": SAGITTAL_T2, "22": SAGITTAL_T1, "23": AXIAL_T2}
    assert set(cohort.points["target"]) == set(NAMES)
    assert cohort.points["level"].iloc[0] == "l1_l2"


def test_an_empty_grade_is_missing(tables_folder):
    change_table(tables_folder, GRADES, lambda frame: frame.__setitem__(NAMES[3], [None, "Severe", "Moderate"]))
    assert np.isnan(load(tables_folder).grades.loc[1, NAMES[3]])
    assert load(tables_folder).grades[NAMES[3]].tolist()[1:] == [2, 1]


def test_a_column_may_be_all_empty(tables_folder):
    change_table(tables_folder, GRADES, lambda frame: frame.__setitem__(NAMES[3], None))
    assert load(tables_folder).grades[NAMES[3]].isna().all()


def test_columns_may_stand_in_any_order(tables_folder):
    expected = load(tables_folder).grades
    change_table(tables_folder, GRADES, lambda frame: frame[sorted(frame.columns)].assign(remark="x"))
    pd.testing.assert_frame_equal(load(tables_folder).grades, expected)


@pytest.mark.parametrize("table", [GRADES, POINTS, SERIES])
def test_a_missing_table_is_named(tables_folder, table):
    (tables_folder / table).unlink()
    with pytest.raises(MissingTable, match=table):
        load(tables_folder)


@pytest.mark.parametrize(
    ("table", "column"), [(GRADES, NAMES[7]), (GRADES, "study_id"), (POINTS, "x"), (SERIES, "series_description")]
)
def test_a_missing_column_is_named(tables_folder, table, column):
    change_table(tables_folder, table, lambda frame: frame.drop(columns=column))
    with pytest.raises(MissingColumn, match=f"{table}.*{column}"):
        load(tables_folder)


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        (GRADES, NAMES[0], "Mild"),
        (GRADES, "study_id", "two"),
        (GRADES, "study_id", ""),
        (POINTS, "level", "L6/S1"),
        (POINTS, "level", None),
        (POINTS, "condition", "Spinal Stenosis"),
        (POINTS, "instance_number", "1.5"),
        (POINTS, "x", "left"),
        (POINTS, "y", "inf"),
        (SERIES, "series_description", "Coronal T2"),
        (SERIES, "series_description", None),
        (SERIES, "series_id", "-"),
    ],
)
def test_a_value_that_means_nothing_is_named_with_its_line(tables_folder, table, column, value):
    change_table(
        tables_folder, table, lambda frame: frame.__setitem__(column, [frame[column][0], value, *frame[column][2:]])
    )
    with pytest.raises(BadValue, match=f"{table}, line 3: {column}"):
        load(tables_folder)


@pytest.mark.parametrize("table", [GRADES, POINTS, SERIES])
def test_rows_twice_are_named(tables_folder, table):
    change_table(tables_folder, table, lambda frame: pd.concat([frame, frame.iloc[[1]]]))
    with pytest.raises(DuplicateRows, match=table):
        load(tables_folder)


def test_a_table_that_is_no_table_is_named(tables_folder):
    (tables_folder / GRADES).write_bytes(b"\x00\xff\xfe\x81" * 50)
    with pytest.raises((BadValue, MissingColumn), match=GRADES):
        load(tables_folder)
    (tables_folder / GRADES).write_bytes(b"")
    with pytest.raises(BadValue, match=GRADES):
        load(tables_folder)
