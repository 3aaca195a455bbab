"""One study in, 25 grades out, each with its probabilities, its uncertainty, and the image that it was read from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import entr

from spinekit.anatomy import GROUPS, SPINAL, TARGETS, targets_of
from spinekit.course.test_half import TrainedModels
from spinekit.errors import SpinekitError
from spinekit.exams.kinds import kinds_of
from spinekit.exams.measured import measured
from spinekit.exams.result import ImageReference, Measurement, SeriesOfExam, TargetGrade
from spinekit.geometry import Floats
from spinekit.grading.crops import nearest_stack
from spinekit.grading.distribution_shift import Unlikeness, widened
from spinekit.grading.inference import crops_at, predictions_at, unlikeness
from spinekit.grading.tokens import TOKEN_TARGETS, TOKENS, token_centres
from spinekit.io.stacks import Finding
from spinekit.io.study import Study
from spinekit.localization.assembly import MIN_CONFIDENCE, Landmarks
from spinekit.localization.localizer import find_landmarks
from spinekit.scoring.calibration import remove_class_weights


class NotGraded(SpinekitError):
    """A study without any series that can be graded. Export its sagittal and axial series; ``spinekit check`` says what
    is wrong with them."""


@dataclass(frozen=True)
class StudyGrades:
    """The 25 ``grades`` of a study, its ``series``, ``findings`` about them, the ``landmarks`` of each fold, and what
    was measured in mm at their mean.

    ``study``: the stacks that were graded, each with its kind. ``problem``: why there are no grades, else empty.
    """

    study: Study
    series: tuple[SeriesOfExam, ...]
    findings: tuple[Finding, ...]
    grades: tuple[TargetGrade, ...] = ()
    landmarks: tuple[Landmarks, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    problem: str = ""


def grade_study(study: Study, models: TrainedModels) -> StudyGrades:
    """The grades of a study whose kinds of series are unknown.

    Raises: `CropError` where no slice shows a landmark.
    """
    chosen, series, findings = kinds_of(study, models.folds[0].localizers)
    if not chosen.stacks:
        return StudyGrades(chosen, tuple(series), tuple(findings), problem=_nothing_to_grade(series))
    numbered = replace(chosen, study_id="0")  # the models' code numbers studies
    landmarks = tuple(find_landmarks(numbered, fold.localizers) for fold in models.folds)
    crops = crops_at(numbered, models.folds, landmarks)
    predicted = models.blender.apply(predictions_at(numbered.study_id, models.folds, crops))[0]
    unlike = unlikeness(models.folds, crops)
    predicted = widened(predicted, unlike.prior_shares, models.prior)
    findings += _unlike_training(study.study_id, unlike)
    grades = _grades(chosen, remove_class_weights(predicted), landmarks)
    if (sure := grades[0].level_confidence) is not None and sure < MIN_CONFIDENCE:
        text = f"the names of the levels are uncertain (probability {sure:.2f}): count the vertebrae before using them"
        findings.append(Finding(study.study_id, "", "", "warning", "levels_uncertain", text))
    lacking = [kind for kind in dict.fromkeys(t.kind for t in TARGETS) if not chosen.of_kind(kind)]
    for kind in lacking:
        text = f"no series of kind {kind}: what it shows was estimated from the others. Export that series too"
        findings.append(Finding(study.study_id, "", "", "warning", "kind_missing", text))
    lengths = measured(chosen, _mean_landmarks(landmarks)[0])
    return StudyGrades(chosen, tuple(series), tuple(findings), grades, landmarks, lengths)


def _unlike_training(study_id: str, unlike: Unlikeness) -> list[Finding]:
    """A finding for each condition whose probabilities were moved towards the prior."""
    findings = []
    for group in GROUPS:
        first = targets_of(group)[0]  # the targets of a group share a view
        distance, share = unlike.distances[first], unlike.prior_shares[first]
        if share > 0:
            text = (
                f"{group}: the images look unlike those that the models were trained on (distance {distance:.1f}; nine "
                f"of ten studies like those are below 1). Its probabilities were moved by {share:.0%} towards how "
                "often each grade occurs in training: trust them less"
            )
            findings.append(Finding(study_id, "", "", "warning", "unlike_training", text))
    return findings


def _nothing_to_grade(series: Sequence[SeriesOfExam]) -> str:
    if not series:
        return "no series with readable images: the findings say why"
    return "no series is a lumbar MRI that can be graded: " + "; ".join(
        f"{one.description or one.series_uid}: {one.note or 'unknown plane'}" for one in series
    )


def _grades(study: Study, probabilities: Floats, landmarks: Sequence[Landmarks]) -> tuple[TargetGrade, ...]:
    """The 25 grades from probabilities (25, 3), placed at the mean landmark of the folds."""
    xyz, sd = _mean_landmarks(landmarks)
    confidences = [one.level_confidence for one in landmarks]
    level_confidence = _number(float(np.mean(confidences)))
    uncertainty = entr(probabilities).sum(-1) / np.log(3)
    grades = []
    for i, target in enumerate(TARGETS):
        placed = bool(np.isfinite(xyz[i]).all())
        p = probabilities[i]
        grades.append(
            TargetGrade(
                target=target.name,
                condition=target.condition.removeprefix(f"{target.side}_"),
                level=target.level,
                side=target.side or "",
                probabilities=(float(p[0]), float(p[1]), float(p[2])),
                grade=int(p.argmax()),
                uncertainty=float(np.clip(uncertainty[i], 0.0, 1.0)),
                point_xyz_mm=(float(xyz[i, 0]), float(xyz[i, 1]), float(xyz[i, 2])) if placed else None,
                point_sd_mm=_number(sd[i]),
                level_confidence=level_confidence,
                image=image_of(study, i, xyz) if placed else None,
            )
        )
    return tuple(grades)


def _mean_landmarks(landmarks: Sequence[Landmarks]) -> tuple[Floats, Floats]:
    """Mean places (25, 3) in patient mm of the folds' landmarks, and their standard deviation (25,) along one axis."""
    xyz = np.array([one.xyz_mm for one in landmarks])
    within = np.mean([one.sd_mm**2 for one in landmarks], 0)
    return xyz.mean(0), np.sqrt((within + xyz.var(0).sum(-1)) / 3)


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def image_of(study: Study, target: int, landmarks_xyz_mm: Floats) -> ImageReference | None:
    """The pixel that a target was graded around, on the slice of its own kind of series that passes nearest to it; on
    an axial one for the canal where no sagittal slice shows it; None where no slice does.

    ``landmarks_xyz_mm`` (25, 3) in patient mm.
    """
    centres = token_centres(landmarks_xyz_mm)
    tokens = [i for i in np.flatnonzero(target == TOKEN_TARGETS) if i == target or TARGETS[target].group == SPINAL]
    for token in tokens:
        nearest = nearest_stack(study, TOKENS[token].kind, centres[token])
        if nearest is None:
            continue
        stack, k = study.stacks[nearest[0]], nearest[1]
        (column, row), _ = stack.frame.to_pixel(centres[token], k)
        return ImageReference(
            series_uid=stack.series_uid or stack.series_id,
            sop_class_uid=stack.sop_class_uid,
            sop_instance_uid=stack.sop_instance_uids[k] if stack.sop_instance_uids else "",
            frame_number=stack.frame_numbers[k] if stack.frame_numbers else None,
            file=str(stack.files[k]),
            column_px=float(column),
            row_px=float(row),
        )
    return None
