"""Records of two studies to the competition's tables and to those of the truth, cell by cell."""

from dataclasses import replace

import numpy as np
import pytest

from spinekit.anatomy import TARGETS, row_id
from spinekit.course.profiles import SMOKE
from spinekit.phantom.factors import NAMES
from spinekit.phantom.reader import grade_probabilities
from spinekit.phantom.study import StudyOrder
from spinekit.phantom.tables import tables, truth_tables


def record(study, split):
    return {
        "study_id": study,
        "split": split,
        "series": [[study, 9, "Axial T2"], [study, 4, "Sagittal T1"]],
        "grades": [0, 1, 2, -1, *([0] * 21)],
        "true_grades": [0, 1, 2, 2, *([0] * 21)],
        "points": [[study, 9, 17, 19, 1.5, 2.5]],
        "landmarks": [[i, 2.0 * i, 3.0 * i] for i in range(25)],
        "shifts": [[study, 9, *np.eye(4).ravel()], [study, 4, *range(16)]],
        "slices": [[study, 9, 1, 0, "l4_l5", 0.25], [study, 9, 2, 0, None, None]],
        "reading": [[0.25 if i else float("inf"), 0.01, 0.02, 0.5 + 0.01 * i] for i in range(25)],
        "patient": [study, "none", True, 61.5],
        "traps": [[study, 9, "oblong_pixels"], [study, None, "few_tags"]],
    }


RECORDS = [record(1, "train"), record(2, "test")]
ORDERS = [
    StudyOrder(0, i, r["study_id"], r["split"], SMOKE.acquisition, {}, np.full(25, 0.1 * (i + 1)))
    for i, r in enumerate(RECORDS)
]
SD = np.array(RECORDS[0]["reading"])[:, -1]


@pytest.fixture(scope="module")
def written():
    return tables(RECORDS)


@pytest.fixture(scope="module")
def truth():
    return truth_tables(RECORDS, ORDERS)


def test_the_train_half_has_words_and_gaps(written):
    train = written["train"]
    assert train.columns.tolist() == ["study_id", *(t.name for t in TARGETS)] and train["study_id"].tolist() == [1]
    assert train.iloc[0, 1:5].tolist() == ["Normal/Mild", "Moderate", "Severe", None]


def test_points_are_named_as_in_the_competition(written):
    assert TARGETS[19].name == "right_subarticular_stenosis_l5_s1" or TARGETS[19].group == "subarticular"
    (row,) = written["train_label_coordinates"].itertuples(index=False)
    words = TARGETS[19].condition.replace("_", " ").title()
    assert tuple(row) == (1, 9, 17, words, TARGETS[19].level.upper().replace("_", "/"), 1.5, 2.5)


def test_series_are_listed_by_half_in_order_of_their_ids(written):
    assert written["train_series_descriptions"]["series_id"].tolist() == [4, 9]
    assert written["test_series_descriptions"]["study_id"].tolist() == [2, 2]


def test_the_sample_submission_asks_for_the_test_half_in_order_of_names(written):
    sample = written["sample_submission"]
    assert sample["row_id"].tolist() == sorted(row_id(2, t) for t in TARGETS)
    np.testing.assert_allclose(sample.iloc[:, 1:].sum(axis=1), 1)


def test_the_truth_knows_both_halves_and_what_was_said(truth):
    assert truth["truth/grades"]["study_id"].tolist() == [1, 2]
    assert truth["truth/grades"].iloc[0, 4] == "Severe", "the reader said so, though the table has a gap"
    assert truth["truth/narrowing"].iloc[1, 1:].unique().tolist() == [0.2]


def test_long_tables_keep_the_order_of_targets(truth):
    landmarks = truth["truth/landmarks"]
    assert landmarks["target"].tolist() == 2 * [t.name for t in TARGETS]
    assert landmarks.loc[25 + 7, ["study_id", "x_mm", "y_mm", "z_mm"]].tolist() == [2, 7, 14, 21]
    p = truth["truth/probabilities"][["p0", "p1", "p2"]].to_numpy().reshape(2, 25, 3)
    np.testing.assert_allclose(p, grade_probabilities(np.stack([o.narrowing for o in ORDERS]), SD), atol=1e-8)


def test_motions_and_traps_keep_their_series(truth):
    assert truth["truth/shifts"].loc[1, "m00":"m33"].tolist() == list(range(16))
    traps = truth["truth/traps"]
    assert traps["series_id"].tolist()[0] == 9 and traps["series_id"].isna().tolist() == [False, True] * 2
    assert truth["truth/patients"].loc[0].tolist() == [1, "none", True, 61.5]


def test_what_the_reader_sees_and_what_a_patient_has(truth):
    reading = truth["truth/reading"]
    assert reading.columns.tolist() == [
        *("study_id", "target", "lesion_offset_mm", "lesion_extent_slices"),
        *("distance_slices", "noise", "ghost", "reader_sd"),
    ]
    assert np.isnan(reading.loc[25, "distance_slices"]) and reading.loc[26, "reader_sd"] == 0.51
    scores = np.linspace(-1, 1, len(NAMES))
    table = truth_tables(RECORDS, [replace(ORDERS[0], factors=scores), ORDERS[1]])["truth/factors"]
    assert table.columns.tolist() == ["study_id", *NAMES] and table.loc[0, "age"] == -1
    assert table.loc[1, list(NAMES)].isna().all(), "ordered without"
