"""How many files, slices and crops the studies of a profile hold, counted on phantoms that are planned and not drawn.

The scans are those that the profile's phantoms get, with the irregularities of real data; slices to train on and the
distinct pictures of crops are counted by the code that cuts them. So no image is drawn or read, and counting takes
milliseconds a study.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spinekit.anatomy import KINDS, TARGETS
from spinekit.course.profiles import Profile
from spinekit.course.setup import TEST_FRACTION
from spinekit.geometry import Floats, transform
from spinekit.grading.crops import CropRecipe, place_crop
from spinekit.grading.tokens import TOKEN_TARGETS, TOKENS, spine_directions, token_centres
from spinekit.io.stacks import PLANE_OF_KIND, Stack
from spinekit.io.study import Study
from spinekit.localization.heatmaps import Slices, encode_targets, plausible_annotations
from spinekit.localization.localizer import LocalizerRecipe
from spinekit.localization.resampling import CanonicalStack, CanonicalStudy
from spinekit.phantom import plan_cohort
from spinekit.phantom.study import Scan, plan_scan, study_rows
from spinekit.phantom.write import study_orders

SAMPLE = 40  # studies that are counted of a larger cohort; a fifth of a second each


@dataclass(frozen=True)
class StudyCounts:
    """What a study holds: ``files``, ``series``, ``pixels`` of all files; ``slices`` by kind in the store of the
    localizers, ``trained_slices`` of them, ``store_bytes`` of all; ``crops``, of which ``graded_crops`` have a grade;
    distinct pictures of crops and of sandwiches."""

    files: float
    series: float
    pixels: float
    slices: Mapping[str, float]
    trained_slices: Mapping[str, float]
    store_bytes: float
    crops: float
    graded_crops: float
    crop_pictures: float
    sandwich_pictures: float


def mean_counts(counts: Sequence[StudyCounts]) -> StudyCounts:
    """The mean study of several."""
    means: dict[str, Any] = {}
    for name in StudyCounts.__dataclass_fields__:
        values = [getattr(one, name) for one in counts]
        by_kind = isinstance(values[0], Mapping)
        means[name] = {k: float(np.mean([v[k] for v in values])) for k in KINDS} if by_kind else float(np.mean(values))
    return StudyCounts(**means)


def count_studies(profile: Profile, studies: int = SAMPLE) -> list[StudyCounts]:
    """The counts of the first ``studies`` phantoms of a profile, in the order in which they are drawn."""
    plan = plan_cohort(studies, profile.seed, profile.acquisition, test_fraction=TEST_FRACTION)
    return [count(plan_scan(order), profile) for order in study_orders(plan)]


def count(scan: Scan, profile: Profile) -> StudyCounts:
    """The counts of one study."""
    rows = study_rows(scan)
    study, points = _study(scan), _annotated(scan, rows["points"])
    slices, trained = _slices(study, points, profile.localizer)
    places = np.where(np.isnan(points), _landmarks(scan), points)
    crops, pictures = _placed(study, places, profile.grader.crops)
    graded = np.asarray(rows["grades"])[TOKEN_TARGETS] >= 0
    grids = profile.localizer.grids()
    return StudyCounts(
        files=sum(len(plan.instances()) for plan in scan.plans),
        series=len(scan.plans),
        pixels=sum(math.prod(plan.frames[i].shape_rc) for plan in scan.plans for i, _ in plan.instances()),
        slices=slices,
        trained_slices=trained,
        store_bytes=sum(slices[kind] * math.prod(grids[kind].shape_rc) for kind in KINDS),
        crops=int(crops.sum()),
        graded_crops=int((crops & graded).sum()),
        crop_pictures=pictures,
        sandwich_pictures=_placed(study, places, profile.grader.sandwiches)[1],
    )


def _study(scan: Scan) -> Study:
    """The stacks as they would be read, without pixels: an array of none that has their shape."""
    stacks = []
    for series, plan in scan:
        for i, frame in enumerate(plan.frames):
            numbers = {k: n for n, (own, k) in reversed([*enumerate(plan.instances(), 1)]) if own == i}
            blank = np.broadcast_to(np.float32(0), (len(frame), *frame.shape_rc))
            instances = tuple(numbers[k] for k in range(len(frame)))
            stacks.append(Stack(str(series), plan.kind, frame, instances, (), blank))
    return Study(str(scan.order.study_id), tuple(stacks))


def _annotated(scan: Scan, rows: Sequence[Sequence[Any]]) -> Floats:
    """(25, 3) the readers' points in patient mm, NaN where there is none: those on the target's own kind of series."""
    points = np.full((len(TARGETS), 3), np.nan)
    plans = dict(scan)
    for _, series, instance, target, x, y in rows:
        plan = plans[series]
        frame, k = plan.instances()[instance - 1]
        if plan.kind == TARGETS[target].kind:
            points[target] = plan.frames[frame].to_patient((x, y), k)
    return points


def _landmarks(scan: Scan) -> Floats:
    """(25, 3) where the landmarks lie in patient mm on a series of their own kind, as a good localizer finds them."""
    motion = {plan.kind: plan.motion for plan in reversed(scan.plans)}
    places = np.asarray(scan.body.landmarks_xyz_mm)
    return np.array([transform(motion.get(t.kind, np.eye(4)), place) for t, place in zip(TARGETS, places, strict=True)])


def _slices(study: Study, points: Floats, recipe: LocalizerRecipe) -> tuple[dict[str, int], dict[str, int]]:
    """Slices of each kind, and how many of them are trained on."""
    annotated = np.isfinite(points).all(1)
    blank = [
        CanonicalStack(stack.series_id, stack.kind, stack.frame, stack.pixels)
        for stack in study.stacks
        if stack.kind is not None and stack.pixels is not None and stack.plane == PLANE_OF_KIND[stack.kind]
    ]
    whole = CanonicalStudy(0, tuple(blank), points_xyz_mm=points[annotated], targets=np.flatnonzero(annotated))
    landmarks = plausible_annotations(whole)
    trained = {
        kind: len(Slices(encode_targets(stack, landmarks, recipe.blur) for stack in whole.of_kind(kind)))
        for kind in KINDS
    }
    return {kind: sum(len(stack.images) for stack in whole.of_kind(kind)) for kind in KINDS}, trained


def _placed(study: Study, landmarks_xyz_mm: Floats, recipe: CropRecipe) -> tuple[NDArray[np.bool_], int]:
    """(30,) which tokens some slice shows, and how many distinct pictures their crops are: a whole slice is one for
    all tokens that it shows."""
    centres, down = token_centres(landmarks_xyz_mm), spine_directions(landmarks_xyz_mm)
    present, pictures = np.zeros(len(TOKENS), dtype=bool), set()
    for i, token in enumerate(TOKENS):
        placement = place_crop(study, token, centres[i], down[token.level], recipe)
        if placement is not None:
            present[i] = True
            owner = -1 if recipe.whole_slice else i
            pictures |= {(placement.stack, int(k), owner) for k in placement.slices}
    return present, len(pictures)
