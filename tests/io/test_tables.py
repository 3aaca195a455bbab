"""The competition's tables: tidy frames, and a named error with file, line and column for what is wrong."""

import os
import re

import numpy as np
import pandas as pd
import pytest
from cohort_files import change_table
from special_files import at_most

from spinekit.anatomy import AXIAL_T2, SAGITTAL_T1, SAGITTAL_T2, SEVERITY_COLUMNS, TARGETS
from spinekit.io.cohort import load
from spinekit.io.csv_file import BadValue, MissingColumn, MissingTable
from spinekit.io.tables import DuplicateRows, read_grades, read_predictions, read_rows, read_sizes

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
        (GRADES, NAMES[0], "severe"),
        (GRADES, NAMES[0], "None"),
        (GRADES, NAMES[0], "0.6"),
        (GRADES, NAMES[0], 1),
        (GRADES, "study_id", "2.5"),
        (GRADES, "study_id", "-2"),
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
def test_ids_may_be_written_as_decimal_numbers(tables_folder, table):
    expected = load(tables_folder)
    change_table(tables_folder, table, lambda frame: frame.__setitem__("study_id", frame["study_id"] + ".0"))
    for name in ("grades", "points", "series"):
        pd.testing.assert_frame_equal(getattr(load(tables_folder), name), getattr(expected, name))


def test_a_study_is_there_twice_however_its_id_is_written(tables_folder):
    change_table(tables_folder, GRADES, lambda frame: pd.concat([frame, frame.iloc[[1]].assign(study_id="2.0")]))
    with pytest.raises(DuplicateRows, match="study_id 2 in lines 3 and 5"):
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


def rows(*heads, p=(0.5, 0.3, 0.2)):
    values = dict(zip(SEVERITY_COLUMNS, p, strict=True))
    return pd.DataFrame([{"row_id": f"{head}_{NAMES[i % 25]}", **values} for i, head in enumerate(heads)])


def test_predictions_have_integer_ids_and_sum_to_one(tmp_path):
    file = tmp_path / "p.csv"
    rows("11", "4003253.0", "004", p=(0.33, 0.33, 0.33)).to_csv(file, index=False)
    table = read_predictions(file)
    assert table["row_id"].tolist() == [f"11_{NAMES[0]}", f"4003253_{NAMES[1]}", f"4_{NAMES[2]}"]
    np.testing.assert_allclose(table[list(SEVERITY_COLUMNS)], 1 / 3)


def test_rows_to_predict_keep_how_they_are_written(tmp_path):
    file = tmp_path / "sample.csv"
    rows("11", "4003253.0")[["row_id"]].to_csv(file, index=False)
    table = read_rows(file)
    assert table["row_id"].tolist()[1] == f"4003253.0_{NAMES[1]}" and table["study_id"].tolist() == [11, 4003253]
    assert table["target"].tolist() == NAMES[:2]


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("row_id", "two", "line 3: row_id is 'two'. Correct it to STUDY_CONDITION_LEVEL"),
        ("row_id", "2_foo", "2_foo"),
        ("row_id", None, "row_id is empty"),
        ("severe", None, "severe is empty"),
        ("severe", "high", "severe is 'high'"),
        ("severe", "inf", "severe is 'inf'"),
        ("severe", -0.1, "severe is -0.1. Correct it to a probability, 0 to 1"),
        ("severe", 20.0, "severe is 20. Correct it to a probability, 0 to 1"),
        ("severe", 0.4, "the sum of the probabilities is 1.2. Correct it to 1"),
    ],
)
def test_what_is_no_prediction_is_named_with_its_line(tmp_path, column, value, told):
    table = rows("11", "12", "13").astype(object)
    table.loc[1, column] = value
    table.to_csv(tmp_path / "p.csv", index=False)
    with pytest.raises(BadValue, match="p.csv, line 3: ") as raised:
        read_predictions(tmp_path / "p.csv")
    assert told in str(raised.value)


def test_a_row_is_predicted_once_however_its_id_is_written(tmp_path):
    pd.concat([rows("11"), rows("11.0")]).to_csv(tmp_path / "p.csv", index=False)
    with pytest.raises(DuplicateRows, match="study_id 11, target spinal_canal_stenosis_l1_l2 in lines 2 and 3"):
        read_predictions(tmp_path / "p.csv")


def test_sizes_are_numbers(tmp_path):
    (tmp_path / "sizes.csv").write_text("series_id,height,width\n7.0,640,512\n7,640,\n")
    with pytest.raises(BadValue, match="line 3: width is empty"):
        read_sizes(tmp_path / "sizes.csv")
    (tmp_path / "sizes.csv").write_text("series_id,height,width\n7.0,640,512\n")
    assert read_sizes(tmp_path / "sizes.csv").to_numpy().tolist() == [[7, 640, 512]]


def test_tables_without_rows_are_refused_where_they_are_scored(tmp_path):
    labels, predictions = tmp_path / "labels.csv", tmp_path / "predictions.csv"
    labels.write_text(",".join(["study_id", *NAMES]) + "\n")
    predictions.write_text(",".join(["row_id", *SEVERITY_COLUMNS]) + "\n")
    with pytest.raises(BadValue, match="labels.csv: no row below its header"):
        read_grades(labels)
    with pytest.raises(BadValue, match="predictions.csv: no row below its header"):
        read_predictions(predictions)


@pytest.mark.parametrize("grade", ["1", "1.5", "Mild", "severe", "Normal/Mild;Severe"])
def test_a_fractional_or_unknown_grade_is_named_with_its_line(tables_folder, grade):
    change_table(tables_folder, GRADES, lambda frame: frame.__setitem__(NAMES[3], ["Severe", grade, None]))
    with pytest.raises(BadValue, match=f"train.csv, line 3: {NAMES[3]} is '{re.escape(grade)}'"):
        load(tables_folder)


def test_conflicting_grades_of_a_study_are_named_with_both_lines(tables_folder):
    file = tables_folder / GRADES
    lines = file.read_text().splitlines()
    file.write_text("\n".join([*lines, lines[1].replace("Moderate", "Severe").replace("Normal/Mild", "Severe")]) + "\n")
    with pytest.raises(DuplicateRows, match="first study_id 1 in lines 2 and 5"):
        load(tables_folder)


@pytest.mark.parametrize("name", [GRADES, SERIES, POINTS])
def test_a_table_that_is_a_pipe_is_named(tables_folder, name):
    (tables_folder / name).unlink()
    os.mkfifo(tables_folder / name)
    with at_most(20), pytest.raises(BadValue, match=f"{name}: not a readable table but a named pipe"):
        load(tables_folder)
