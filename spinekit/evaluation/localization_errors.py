"""Slices, landmarks, levels and series of one phantom study against the truth: tables with one row for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from spinekit.anatomy import FLIPPED_TARGET, SPINAL, TARGETS
from spinekit.errors import SpinekitError
from spinekit.evaluation.slice_matching import (
    EXACT,
    HEADER,
    JOINT,
    PREDICTED,
    REGISTERED,
    TRUE,
    Motion,
    at_rest,
    carried_errors,
    carry,
    exact_points,
    level_errors,
    own_series,
    true_motion,
    true_places,
)
from spinekit.evaluation.stacks import order_errors
from spinekit.geometry import Floats, transform
from spinekit.io.study import Study
from spinekit.localization import localizer
from spinekit.localization.assembly import Landmarks
from spinekit.localization.localizer import Localizers
from spinekit.localization.series_kind import guess_kinds
from spinekit.phantom.truth import Truth
from spinekit.spatial import registration

LEVEL_RIGHT_MM = 12.0  # a level further away than this is another one, or none
Tables = dict[str, pd.DataFrame]


class NothingEvaluated(SpinekitError):
    """A study, or a whole cohort, in which nothing can be evaluated. Let ``spinekit check`` say what is wrong with its
    series."""


def evaluate_study(study: Study, localizers: Localizers, truth: Truth, register: bool = True) -> Tables:
    """``carried``: every landmark on every kind of series, by points and motion; ``landmarks``: the 25 predicted on
    their own kind; ``axial``: slices with a level; ``study``: one row; ``series``: whether order and kind are right.

    With ``register`` the series are registered first, and the landmarks predicted on the registered study.

    Raises: `NothingEvaluated` for a study without a readable series.
    """
    if not study.stacks:
        raise NothingEvaluated("; ".join(finding.message for finding in study.findings) or "no readable series")
    predicted, true = localizer.find_landmarks(study, localizers), true_places(study, truth)
    motions: dict[str, Motion] = {HEADER: at_rest(study), TRUE: true_motion(study, truth)}
    if register:
        alignments = registration.align(study, predicted.xyz_mm)
        motions[REGISTERED] = {series: alignment.rigid for series, alignment in alignments.items()}
        predicted = localizer.find_landmarks(registration.aligned(study, alignments), localizers)
    motions[JOINT] = joint_motion(study, predicted, motions.get(REGISTERED, motions[HEADER]))
    predicted = in_headers(predicted, motions.get(REGISTERED, motions[HEADER]))
    marked = own_series(study)
    points = {PREDICTED: (predicted.xyz_mm, predicted.series), EXACT: (exact_points(marked, true), marked)}
    everywhere = carried_errors(study, points, motions, true)
    landmarks = landmark_errors(study, predicted, true, everywhere)
    return {
        "carried": everywhere,
        "landmarks": landmarks,
        "axial": level_errors(study, carry(predicted.xyz_mm, predicted.series, motions[JOINT]), truth),
        "study": study_row(study, landmarks, truth, predicted.level_confidence),
        "series": _series(study, localizers, truth),
    }


def _series(study: Study, localizers: Localizers, truth: Truth) -> pd.DataFrame:
    """Each series: whether its slices are in order, and its kind guessed without the tables."""
    orders = order_errors(study, truth.slices).rename(columns={"right": "order_right"})
    kind_of = {stack.series_id: stack.kind for stack in study.stacks}
    elsewhere = set(truth.traps.loc[truth.traps["trap"] == "not_lumbar", "series_id"].dropna().astype(str))
    guesses = guess_kinds(study.stacks, localizers)
    kinds = [None if series in elsewhere else kind_of.get(series) for series in orders["series_id"]]
    guessed = [guesses[series].kind if series in guesses else None for series in orders["series_id"]]
    read = [series in guesses for series in orders["series_id"]]
    right = [kind == guess and done for kind, guess, done in zip(kinds, guessed, read, strict=True)]
    return orders.assign(kind=kinds, guessed=guessed, kind_right=right)


def joint_motion(study: Study, predicted: Landmarks, before: Motion) -> dict[str, Floats]:
    """The motion that the landmarks of all series agree on, after the motion by which the study had been registered."""
    joint = {series: np.asarray(np.linalg.inv(motion)) for series, motion in predicted.motion.items()}
    return {series: joint.get(series, np.eye(4)) @ before[series] for series in at_rest(study)}


def in_headers(predicted: Landmarks, registered: Motion) -> Landmarks:
    """Landmarks of a registered study in the header's mm of their own series."""
    back = {series: np.linalg.inv(rigid) for series, rigid in registered.items()}
    pairs = zip(predicted.series, predicted.xyz_mm, strict=True)
    xyz = [transform(back[series], p) if series else p for series, p in pairs]
    return replace(predicted, xyz_mm=np.array(xyz))


def landmark_errors(
    study: Study, predicted: Landmarks, true: Mapping[str, Floats], everywhere: pd.DataFrame
) -> pd.DataFrame:
    """The 25 landmarks on the series of their own kind: errors, whether level and side are right."""
    own = everywhere[everywhere["own_kind"] & (everywhere["points"] == PREDICTED) & (everywhere["motion"] == HEADER)]
    table = predicted.table(int(study.study_id)).drop(columns=["study_id", "series_id"])
    name_right, side_right = np.full(len(TARGETS), np.nan), np.full(len(TARGETS), np.nan)
    for i, t in enumerate(TARGETS):
        if not predicted.series[i]:
            continue
        places = true[predicted.series[i]]
        chain = [j for j, other in enumerate(TARGETS) if other.condition == t.condition]
        name_right[i] = chain[_nearest(places[chain], predicted.xyz_mm[i])] == i
        other = FLIPPED_TARGET[i]
        if t.side and predicted.series[other]:
            leftmost = predicted.xyz_mm[i, 0] > predicted.xyz_mm[other, 0]  # LPS: the patient's left has the larger x
            side_right[i] = leftmost == (t.side == "left") and not _nearest(places[[i, other]], predicted.xyz_mm[i])
    table = table.assign(name_right=name_right, side_right=side_right)
    return own.drop(columns=["points", "motion", "own_kind"]).merge(table, on="target")


def _nearest(places_xyz_mm: Floats, xyz_mm: Floats) -> int:
    return int(np.linalg.norm(places_xyz_mm - xyz_mm, axis=1).argmin())


def study_row(study: Study, landmarks: pd.DataFrame, truth: Truth, level_confidence: float) -> pd.DataFrame:
    canal = landmarks[landmarks["group"] == SPINAL]
    patient = truth.patients.set_index("study_id").loc[int(study.study_id)]
    row = {
        "study_id": int(study.study_id),
        "transitional": patient["transitional"],
        "level_confidence": level_confidence,
        "names_right": bool(len(landmarks)) and bool((landmarks["name_right"] == 1).all()),
        "levels_right": bool(len(canal)) and bool((canal["error_mm"] <= LEVEL_RIGHT_MM).all()),
        "worst_level_mm": canal["error_mm"].max(),
    }
    return pd.DataFrame([row])
