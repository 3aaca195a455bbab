"""25 grades of a study: calibrated for reading, each with the slice and the pixel that it was read from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from stacks_by_hand import frame, landmarks, stack, study

from spinekit.anatomy import AXIAL_T2, FORAMINAL, SAGITTAL_T1, SAGITTAL_T2, SPINAL, TARGETS, targets_of
from spinekit.exams import grading
from spinekit.exams.grading import grade_study, image_of
from spinekit.grading.distribution_shift import Unlikeness
from spinekit.io.study import Study
from spinekit.localization.assembly import FOUND, Landmarks
from spinekit.scoring.ensemble import even

PLACES = landmarks()


def series(kind: str, name: str) -> object:
    """Slices through the made-up spine, 4 mm apart, 2 mm/pixel, with names of instances."""
    axial = kind == AXIAL_T2
    made = stack(frame((0, -5, 0), (0, 0, 1) if axial else (1, 0, 0), n=41 if axial else 15, size_mm=200), kind, name)
    n = len(made)
    return replace(
        made,
        pixels=np.zeros((n, 100, 100), np.float32),
        files=tuple(f"{name}/{k}.dcm" for k in range(n)),
        sop_instance_uids=tuple(f"{name}.{k}" for k in range(n)),
        sop_class_uid="1.2.840.10008.5.1.4.1.1.4",
        frame_numbers=(None,) * n,
    )


WHOLE = study(series(SAGITTAL_T1, "t1"), series(SAGITTAL_T2, "t2"), series(AXIAL_T2, "ax"))


@pytest.mark.parametrize("i", range(25))
def test_the_image_shows_the_landmark(i: int) -> None:
    image = image_of(WHOLE, i, PLACES)
    assert image is not None
    shown = next(one for one in WHOLE.stacks if one.series_id == image.series_uid)
    assert shown.kind == TARGETS[i].kind
    k = shown.sop_instance_uids.index(image.sop_instance_uid)
    assert image.file == shown.files[k]
    point = shown.frame.to_patient((image.column_px, image.row_px), k)
    off = point - PLACES[i]
    assert abs(off @ shown.frame.normal) <= 2.0 + 1e-6  # half the distance of two slices
    assert np.linalg.norm(off - (off @ shown.frame.normal) * shown.frame.normal) < 1e-6


def test_the_canal_is_shown_on_an_axial_slice_where_no_sagittal_one_is_there_and_others_are_not() -> None:
    axial_only = study(series(AXIAL_T2, "ax"))
    for i, target in enumerate(TARGETS):
        image = image_of(axial_only, i, PLACES)
        assert (image is not None) == (target.group != "foraminal")


def landmarks_at(xyz: np.ndarray, confidence: float = 0.9) -> Landmarks:
    return Landmarks(
        xyz, np.full(25, 3.0), np.ones(25), np.ones(25), (FOUND,) * 25, ("t2",) * 25, level_confidence=confidence
    )


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> object:
    """Two folds whose landmarks lie 2 mm to either side of the place, and one set of predictions."""
    from types import SimpleNamespace

    folds = [SimpleNamespace(localizers=-2.0), SimpleNamespace(localizers=2.0)]
    monkeypatch.setattr(grading, "kinds_of", lambda one, _: (one, [], []))
    monkeypatch.setattr(
        grading, "find_landmarks", lambda one, shift: landmarks_at(PLACES + (shift, 0, 0), 0.7 if shift > 0 else 0.8)
    )
    weighted = np.tile([0.5, 0.3, 0.2], (25, 1))
    monkeypatch.setattr(grading, "crops_at", lambda one, folds, marks: [])
    monkeypatch.setattr(grading, "unlikeness", lambda folds, crops: Unlikeness(np.full(25, np.nan), np.zeros(25)))
    monkeypatch.setattr(grading, "predictions_at", lambda one, folds, crops: np.tile(weighted, (3, 1, 1, 1)))
    prior = np.tile([0.25, 0.25, 0.5], (25, 1))
    return SimpleNamespace(folds=folds, blender=even(("transformer", "crops", "axial")), prior=prior)


def test_probabilities_are_without_the_weights_of_the_metric_and_folds_share_a_place(models: object) -> None:
    graded = grade_study(replace(WHOLE, study_id="1.2.840.113619.2"), models)  # type: ignore[arg-type]
    assert [grade.target for grade in graded.grades] == [target.name for target in TARGETS]
    first = graded.grades[0]
    expected = np.array([0.5, 0.15, 0.05]) / 0.7  # weights of 1, 2 and 4 taken back
    assert first.probabilities == pytest.approx(tuple(expected)) and first.grade == 0
    assert first.uncertainty == pytest.approx(-(expected * np.log(expected)).sum() / np.log(3))
    assert first.point_xyz_mm == pytest.approx(tuple(PLACES[0]))
    assert first.point_sd_mm == pytest.approx(np.sqrt((9 + 4) / 3)) and first.level_confidence == pytest.approx(0.75)
    assert {grade.side for grade in graded.grades} == {"", "left", "right"}
    assert {graded.grades[i].condition for i in targets_of(SPINAL)} == {"spinal_canal_stenosis"}
    assert [finding.code for finding in graded.findings] == ["levels_uncertain"]


def test_what_looks_unlike_the_training_cohort_is_graded_nearer_to_the_prior_and_named(
    models: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares = np.array([0.4 if target.group == FORAMINAL else 0.0 for target in TARGETS])
    unlike = Unlikeness(np.where(shares > 0, 5.21, 0.3), shares)
    monkeypatch.setattr(grading, "unlikeness", lambda folds, crops: unlike)
    graded = grade_study(replace(WHOLE, study_id="1.2.840.113619.2"), models)  # type: ignore[arg-type]
    mixed = np.array([0.4, 0.28 / 2, 0.32 / 4])  # 0.6 of the prediction and 0.4 of the prior, weights taken back
    foramen, canal = graded.grades[targets_of(FORAMINAL)[0]], graded.grades[0]
    assert foramen.probabilities == pytest.approx(tuple(mixed / mixed.sum()))
    assert canal.probabilities == pytest.approx(tuple(np.array([0.5, 0.15, 0.05]) / 0.7))
    (finding,) = [one for one in graded.findings if one.code == "unlike_training"]
    assert finding.severity == "warning" and "foraminal" in finding.message
    assert "5.2" in finding.message and "40%" in finding.message


def test_a_kind_that_is_missing_and_a_study_with_nothing_are_named(models: object) -> None:
    part = study(series(SAGITTAL_T2, "t2"), series(AXIAL_T2, "ax"))
    codes = [(f.code, SAGITTAL_T1 in f.message) for f in grade_study(part, models).findings]  # type: ignore[arg-type]
    assert ("kind_missing", True) in codes
    nothing = grade_study(Study("7", ()), models)  # type: ignore[arg-type]
    assert nothing.problem and not nothing.grades
