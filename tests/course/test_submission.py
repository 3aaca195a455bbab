"""The submission matches the sample row for row; what the folds predict is gathered, blended and kept on disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cohort_files import write_cohort

from spinekit.anatomy import SEVERITY_COLUMNS, TARGETS
from spinekit.course import submission
from spinekit.course.submission import SubmissionError
from spinekit.evaluation import out_of_fold
from spinekit.grading.predictions import MEMBERS
from spinekit.io import cohort
from spinekit.io.csv_file import BadValue
from spinekit.scoring import metric
from spinekit.scoring.baseline import fitted_prior
from spinekit.scoring.calibration import Calibration
from spinekit.scoring.ensemble import Blender

PRIOR = fitted_prior(np.zeros((4, 25), dtype=int))
WEIGHTS = {"spinal": (0.5, 0.3, 0.2), "foraminal": (0.6, 0.4, 0.0), "subarticular": (0.6, 0.4, 0.0)}
BLENDER = Blender(MEMBERS, WEIGHTS, Calibration(dict.fromkeys(WEIGHTS, 1.5), severe_factor=1.2))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> cohort.Cohort:
    """Two labelled studies, two to grade, no sample submission."""
    return cohort.load(write_cohort(tmp_path_factory.mktemp("cohort"), test=(3, 4)))


def random_p(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet((1, 1, 1), (n, 25))


def test_a_submission_follows_the_sample_row_for_row(data: cohort.Cohort, tmp_path: Path) -> None:
    ids = [4, 3]
    sample = metric.submission_frame(ids, random_p(2)).sample(frac=1.0, random_state=0)  # any order
    sample.to_csv(tmp_path / "sample_submission.csv", index=False)
    asked = replace(data, folder=tmp_path)
    graded = dict(zip(ids, random_p(2, seed=5), strict=True))
    table, by_prior = submission.submission(asked, graded, PRIOR)
    assert table["row_id"].tolist() == sample["row_id"].tolist() and by_prior == []
    np.testing.assert_allclose(metric.submission_array(table, ids), [graded[4], graded[3]], atol=1e-12)
    assert submission.check_submission(table, asked) == {"rows": 50, "studies": 2}
    with pytest.raises(SubmissionError, match="order"):
        submission.check_submission(table.iloc[::-1], asked)
    with pytest.raises(SubmissionError, match="summing to 1"):
        submission.check_submission(table.assign(severe=0.7), asked)


def test_without_a_sample_the_test_half_is_asked_for_and_missing_studies_get_the_prior(data: cohort.Cohort) -> None:
    table, by_prior = submission.submission(data, {3: random_p(1)[0], 4: np.full((25, 3), np.nan)}, PRIOR)
    assert len(table) == 50 and by_prior == [4]
    np.testing.assert_allclose(metric.submission_array(table, [4])[0], PRIOR)


@pytest.mark.parametrize("row", ["seven_spinal_canal_stenosis_l1_l2", "7_spinal_canal_stenosis_l9_l9"])
def test_a_strange_row_in_the_sample_is_named(data: cohort.Cohort, tmp_path: Path, row: str) -> None:
    pd.DataFrame({"row_id": [row], "severe": [1.0]}).to_csv(tmp_path / "sample_submission.csv", index=False)
    with pytest.raises(BadValue, match=row):
        submission.submission(replace(data, folder=tmp_path), {}, PRIOR)


def test_rows_come_back_as_the_sample_writes_them(data: cohort.Cohort, tmp_path: Path) -> None:
    rows = [f"3.0_{target.name}" for target in TARGETS[:2]]
    pd.DataFrame({"row_id": rows}).to_csv(tmp_path / "sample_submission.csv", index=False)
    asked, p = replace(data, folder=tmp_path), random_p(1)
    table, by_prior = submission.submission(asked, {3: p[0]}, PRIOR)
    assert table["row_id"].tolist() == rows and by_prior == [] and submission.rows_to_submit(asked) == ([3], rows)
    np.testing.assert_allclose(table[list(SEVERITY_COLUMNS)], p[0, :2])
    pd.DataFrame({"row_id": []}).to_csv(tmp_path / "sample_submission.csv", index=False)
    with pytest.raises(SubmissionError, match="no row"):
        submission.submission(asked, {}, PRIOR)


def test_predictions_are_gathered_from_the_folds_that_have_a_study() -> None:
    one, two = random_p(2)[None], random_p(2, seed=1)[None]
    mixed = submission.gathered([([1, 2], one), ([2, 3], two)], [1, 2, 3, 9])
    both = np.sqrt(one[0, 1] * two[0, 0])
    np.testing.assert_allclose(mixed[0, :3], [one[0, 0], both / both.sum(-1, keepdims=True), two[0, 1]], atol=1e-6)
    assert np.isnan(mixed[0, 3]).all()


def test_probabilities_on_disk_come_back(tmp_path: Path) -> None:
    p = random_p(3)
    submission.write_probabilities(tmp_path / "p.csv", [30, 10, 20], p)
    studies, again = submission.read_probabilities(tmp_path / "p.csv")
    assert studies == [30, 10, 20]
    np.testing.assert_allclose(again, p, atol=1e-7)


def test_spinekit_blend_reads_tables_of_members_that_predict_some_targets_alone(tmp_path: Path) -> None:
    p = random_p(3)
    p[:, 5:] = np.nan
    submission.write_probabilities(tmp_path / "axial.csv", [30, 10, 20], p)
    again = out_of_fold.read_models([tmp_path / "axial.csv"], [30, 10, 20])
    np.testing.assert_allclose(again["axial"], p, atol=1e-7)


def test_fold_predictions_are_graded_by_study_and_kept_on_disk(tmp_path: Path) -> None:
    p = np.stack([random_p(3, seed) for seed in range(3)])
    p[2, :, 5:] = np.nan
    prior = np.tile(PRIOR, (2, 1, 1))
    predicted = submission.FoldPredictions(
        (("a", 0),), [1, 2], p[:, :2], prior, [3], p[:, 2:], PRIOR, pd.DataFrame(), {}
    )
    graded = predicted.graded(BLENDER)
    assert set(graded) == {1, 2, 3} and graded[3].shape == (len(TARGETS), 3)
    np.testing.assert_allclose([row.sum(-1) for row in graded.values()], 1)
    assert predicted.to_check() == 3
    unread = replace(predicted, blind=frozenset({1, 3}))
    assert set(unread.graded(BLENDER)) == {2} and unread.to_check() == 2
    with pytest.raises(SubmissionError, match="spinekit check"):
        replace(predicted, blind=frozenset({1, 2, 3})).to_check()
    submitted = submission.EnsembleSpec(predicted.members, BLENDER)
    submitted.write(tmp_path / "blend.json")
    assert submission.EnsembleSpec.read(tmp_path / "blend.json") == submitted
    with pytest.raises(SubmissionError, match="notebook 06 first"):
        submission.EnsembleSpec.read(tmp_path / "none.json")
    (tmp_path / "blend.json").write_text('{"members": []}')
    with pytest.raises(SubmissionError, match="06 again"):
        submission.EnsembleSpec.read(tmp_path / "blend.json")


def test_every_study_that_got_the_prior_is_named_once():
    failed = pd.DataFrame({"study_id": [7], "message": ["cut short"]})
    named = submission.named_failures(failed, [7, 9])
    assert (
        named["study_id"].tolist() == [7, 9] and named["message"][0] == "cut short" and "check" in named["message"][1]
    )
    assert len(submission.named_failures(failed.iloc[:0], [])) == 0
