"""A study to its grades; the submission matches the sample; a failing study gets the prior and stops nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from cohort_files import true_xyz_mm, write_cohort
from crop_sets import RECIPE

from spinekit.anatomy import TARGETS
from spinekit.course import submission
from spinekit.course.profiles import SMOKE
from spinekit.course.submission import SubmissionError
from spinekit.grading import crop_cache, inference
from spinekit.grading.grader import Grader
from spinekit.grading.inference import FoldModels
from spinekit.grading.models import SequenceGrader, build_classifier
from spinekit.grading.predictions import MEMBERS, member_predictions
from spinekit.io import cohort
from spinekit.scoring import ensemble, metric
from spinekit.scoring.baseline import fitted_prior
from spinekit.scoring.calibration import Calibration
from spinekit.scoring.ensemble import Blender

GRADER = replace(SMOKE.grader, crops=RECIPE)
PRIOR = fitted_prior(np.zeros((4, 25), dtype=int))
WEIGHTS = {"spinal": (0.5, 0.3, 0.2), "foraminal": (0.6, 0.4, 0.0), "subarticular": (0.6, 0.4, 0.0)}
BLENDER = Blender(MEMBERS, WEIGHTS, Calibration(dict.fromkeys(WEIGHTS, 1.5), severe_factor=1.2))


class Finder:
    """Localizers that know where the landmarks of the test cohort lie."""

    xyz_mm, sd_mm = true_xyz_mm(), np.zeros(25)


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> list[FoldModels]:
    """Two folds with fresh graders and perfect landmarks."""
    monkeypatch.setattr(inference, "find_landmarks", lambda study, localizers: localizers)
    folds = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        classifier = build_classifier(GRADER).eval()
        model = SequenceGrader(build_classifier(GRADER), GRADER).eval()
        graders = (Grader("sequence", model, GRADER, PRIOR), Grader("crops", classifier, GRADER, PRIOR))
        folds.append(FoldModels(Finder(), *graders))  # type: ignore[arg-type]
    return folds


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> cohort.Cohort:
    """Two labelled studies, two to grade, no sample submission."""
    return cohort.load(write_cohort(tmp_path_factory.mktemp("cohort"), test=(3, 4)))


def random_p(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet((1, 1, 1), (n, 25))


def test_a_study_is_graded_as_its_cached_crops_are(
    data: cohort.Cohort, models: list[FoldModels], tmp_path: Path
) -> None:
    crops = crop_cache.build(data, dict.fromkeys((1, 2, 3, 4), true_xyz_mm()), tmp_path, RECIPE, workers=1)
    cached = [member_predictions(fold.grader, fold.classifier, crops, crops.rows([3])) for fold in models]
    blended = BLENDER.apply(ensemble.mean_over(cached))[0]
    np.testing.assert_allclose(inference.grade_study(data.read(3), models, BLENDER), blended, atol=1e-5)
    assert np.abs(cached[0] - cached[1])[0].max() > 1e-4


def test_a_study_that_fails_gets_the_prior_is_named_and_stops_nothing(
    data: cohort.Cohort, models: list[FoldModels], caplog: pytest.LogCaptureFixture
) -> None:
    p, failures = inference.grade_cohort(data, [3, 77, 4], models, BLENDER)
    np.testing.assert_allclose(p[1], PRIOR)
    assert failures["study_id"].tolist() == [77] and "77" in caplog.text
    assert np.isfinite(p).all() and np.abs(p[0] - PRIOR).max() > 0


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
    with pytest.raises(SubmissionError, match=row):
        submission.submission(replace(data, folder=tmp_path), {}, PRIOR)


def test_opinions_are_gathered_from_the_folds_that_saw_a_study() -> None:
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


def test_fold_lists() -> None:
    assert submission.fold_numbers("0, 3,0") == (0, 3)
    with pytest.raises(SubmissionError, match="0;1"):
        submission.fold_numbers("0;1")


def test_what_was_said_is_graded_by_study_and_kept_on_disk(tmp_path: Path) -> None:
    p = np.stack([random_p(3, seed) for seed in range(3)])
    p[2, :, 5:] = np.nan
    prior = np.tile(PRIOR, (2, 1, 1))
    said = submission.FoldPredictions((("a", 0),), [1, 2], p[:, :2], prior, [3], p[:, 2:], PRIOR, pd.DataFrame(), {})
    graded = said.graded(BLENDER)
    assert set(graded) == {1, 2, 3} and graded[3].shape == (len(TARGETS), 3)
    np.testing.assert_allclose([row.sum(-1) for row in graded.values()], 1)
    assert said.to_check() == 3
    unread = replace(said, blind=frozenset({1, 3}))
    assert set(unread.graded(BLENDER)) == {2} and unread.to_check() == 2
    with pytest.raises(SubmissionError, match="spinekit check"):
        replace(said, blind=frozenset({1, 2, 3})).to_check()
    submitted = submission.EnsembleSpec(said.members, BLENDER)
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
