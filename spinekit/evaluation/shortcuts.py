"""Can a phantom be graded without its anatomy? Skill of headers, file sizes and brightness, which should be small.

Skill is (prior - score) / (prior - floor) on studies that were not fitted on: 0 for the weighted prior by condition
and level, 1 for a model that sees the narrowing exactly. A header that scores above 0 beyond noise is a leak of the
phantom. So is a number that says only *how much* of a crop about the true landmark is dark or bright, not *where*, if
its skill is above 0.3: then one number grades what readers grade by its shape.

Such numbers are taken of squares of three sizes, from little more than the lesion to about the crop of a grader. Their
pixels are measured against the ``AROUND_MM`` about the landmark: as multiples of its mean, or as ranks within it, 0 to
1, which keep no contrast but that one pixel is brighter than another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from spinekit.anatomy import GROUPS, KINDS, LEVELS, SEVERITY_WEIGHTS, TARGETS, targets_of
from spinekit.errors import SpinekitError
from spinekit.geometry import Floats, transform
from spinekit.io.cohort import Cohort, load
from spinekit.io.stacks import Stack
from spinekit.io.study import Study
from spinekit.parallel import tracked
from spinekit.phantom import truth
from spinekit.scoring import metric
from spinekit.scoring.baseline import fitted_prior

TIGHT_MM = 12.0  # little more than the lesion
CROPS_MM = (TIGHT_MM, 20.0, 40.0)  # sides of the squares; the last is about the crop of the course's graders
AROUND_MM = 80.0  # side of the square that brightness is measured against
SCALES = ("brightness", "ranks")
DARK = (0.4, 0.1)  # below this multiple of the mean, or this rank, a pixel is dark
BAND_EDGES = ((0.5, 1.0, 1.5), (0.25, 0.5, 0.75))  # of the four bands on either scale
STATISTICS = {"mean": slice(0, 1), "spread": slice(1, 2), "dark share": slice(2, 3), "bands": slice(3, 7)}
N_STATISTICS = 7
FARTHEST_SLICE_MM = 6.0  # a landmark farther from every slice is on none


class ShortcutError(SpinekitError):
    """A cohort whose shortcuts cannot be measured. Draw a larger one with ``spinekit phantom``."""


@dataclass(frozen=True)
class Shortcut:
    """Scores on held-out studies, and ``skill`` between the prior (0) and the floor (1)."""

    score: float
    prior: float
    floor: float

    @property
    def skill(self) -> float:
        return float(metric.skill(self.score, self.prior, self.floor))


def header_features(cohort: Cohort, study_id: int) -> Floats:
    """Of each kind of series, zeros where absent: counts of series, stacks and slices, image size and spacing, slice
    distance, position and tilt of the first stack, size of the files."""
    study = cohort.read(study_id, pixels=False)
    return np.concatenate([_of_kind(study, kind) for kind in KINDS])


def _of_kind(study: Study, kind: str) -> Floats:
    stacks = study.of_kind(kind)
    if not stacks:
        return np.zeros(15)
    frame = stacks[0].frame
    bytes_ = np.array([path.stat().st_size for stack in stacks for path in stack.files])
    per_pixel = bytes_.sum() / sum(len(s.files) * np.prod(s.frame.shape_rc) for s in stacks)
    numbers = [len({s.series_id for s in stacks}), len(stacks), len(bytes_), *frame.shape_rc, *frame.spacing_rc_mm]
    step = frame.step_mm if len(frame) > 1 else 0.0
    return np.array(
        [
            *numbers,
            step,
            *frame.origins_xyz_mm.mean(0),
            frame.direction_cosines[1, 1],
            bytes_.mean(),
            bytes_.std(),
            per_pixel,
        ]
    )


def crop_features(study: Study, landmarks_xyz_mm: Floats, shifts: dict[str, Floats]) -> Floats:
    """(25, 2, 3, 7) on either of SCALES, of each square of CROPS_MM about a true landmark: ``statistics``. NaN where no
    series shows a landmark. ``shifts`` (4, 4) by series_id: where the patient lay."""
    features = np.full((len(TARGETS), len(SCALES), len(CROPS_MM), N_STATISTICS), np.nan)
    for i, target in enumerate(TARGETS):
        best: tuple[float, Stack, int, Floats] | None = None
        for stack in study.of_kind(target.kind):
            place = transform(shifts[stack.series_id], landmarks_xyz_mm[i])
            k, distance = stack.frame.nearest_slice(place)
            xy, _ = stack.frame.to_pixel(place, k)
            if stack.frame.contains(xy) and (best is None or abs(float(distance)) < best[0]):
                best = (abs(float(distance)), stack, int(k), xy)
        if best is not None and best[0] < FARTHEST_SLICE_MM:
            _, nearest, number, place_xy = best
            assert nearest.pixels is not None
            features[i] = square_features(np.asarray(nearest.pixels[number]), place_xy, nearest.frame.spacing_rc_mm)
    return features


def square_features(image: NDArray[np.number], xy: Floats, spacing_rc_mm: Floats) -> Floats:
    """(2, 3, 7) of one slice (rows, columns): ``statistics`` of the squares about the pixel ``xy``; NaN where the
    surroundings hold nothing but zeros."""
    columns, rows = (
        np.abs(np.arange(n) - c) * mm for n, c, mm in zip(image.shape[::-1], xy, spacing_rc_mm[::-1], strict=True)
    )
    apart = np.maximum(rows[:, None], columns)  # mm from the landmark along rows or columns, whichever is farther
    around = apart <= AROUND_MM / 2
    values = image[around].astype(np.float64)
    if not values.any():
        return np.full((len(SCALES), len(CROPS_MM), N_STATISTICS), np.nan)
    scaled = values / values.mean(), (rankdata(values) - 0.5) / len(values)
    inside = [apart[around] <= max(side / 2, apart[around].min()) for side in CROPS_MM]
    return np.array([[statistics(v[part], scale) for part in inside] for scale, v in enumerate(scaled)])


def statistics(values: Floats, scale: int) -> Floats:
    """(7,) of pixels on one of SCALES, by number: mean, standard deviation, share of dark pixels, shares of the four
    bands."""
    bands = np.bincount(np.searchsorted(BAND_EDGES[scale], values, side="right"), minlength=4) / len(values)
    return np.array([values.mean(), values.std(), np.mean(values < DARK[scale]), *bands])


def cross_validated(features: Floats, labels: NDArray[np.int64], oracle: Floats, boosted: bool = False) -> Shortcut:
    """Score features (n, 25, f), or (n, f) of a whole study, on studies not fitted on; five folds, one model for each
    group, sides pooled, rows weighed as the metric does. ``oracle`` (n, 25, 3) is the submission that sets the floor.
    """
    predicted, prior = np.zeros((*labels.shape, 3)), np.zeros((*labels.shape, 3))
    for fit, held in KFold(5, shuffle=True, random_state=0).split(labels):
        prior[held] = fitted_prior(labels[fit])
        for group in GROUPS:
            columns = list(targets_of(group))
            p = _predict_group(features, labels, fit, held, columns, boosted)
            predicted[np.ix_(held, columns)] = np.where(np.isnan(p), prior[np.ix_(held, columns)], p)
    scores = [metric.score(labels, p).total for p in (predicted, prior, oracle)]
    return Shortcut(*scores)


def _predict_group(
    features: Floats,
    labels: NDArray[np.int64],
    fit: NDArray[np.intp],
    held: NDArray[np.intp],
    columns: Sequence[int],
    boosted: bool,
) -> Floats:
    """(held, columns, 3) of a model fitted on the studies ``fit``; NaN without features, or with one grade alone."""
    predicted = np.full((len(held), len(columns), len(SEVERITY_WEIGHTS)), np.nan)
    x = np.concatenate([_with_level(features, i) for i in columns])
    y = np.concatenate([labels[:, i] for i in columns])
    study = np.tile(np.arange(len(labels)), len(columns))
    train = (y >= 0) & np.isfinite(x).all(1) & np.isin(study, fit)
    if len(np.unique(y[train])) < 2:
        return predicted
    model = _boosted() if boosted else _linear(0.003 if features.ndim == 2 else 0.02)
    model.fit(x[train], y[train], model__sample_weight=np.array(SEVERITY_WEIGHTS)[y[train]])
    for n in range(len(columns)):
        rows = slice(n * len(labels), (n + 1) * len(labels))
        test = np.isfinite(x[rows][held]).all(1)
        predicted[test, n] = 0.0
        predicted[np.ix_(test, [n], model.classes_)] = model.predict_proba(x[rows][held[test]])[:, None]
    return predicted


def _linear(c: float) -> Pipeline:
    """Features are regularised (less with a larger ``c``), so that noise changes the score little; levels, ten times as
    large, hardly at all. A study's own features are repeated in each of its rows and need a smaller ``c``."""
    rest = slice(len(LEVELS), None)
    scaled = ColumnTransformer([("features", StandardScaler(), rest)], remainder=FunctionTransformer(_times_ten))
    return Pipeline([("scaled", scaled), ("model", LogisticRegression(C=c, max_iter=1000))])


def _times_ten(levels: Floats) -> Floats:
    return 10 * levels


def _boosted() -> Pipeline:
    trees = HistGradientBoostingClassifier(
        max_iter=15, learning_rate=0.1, max_leaf_nodes=4, min_samples_leaf=60, random_state=0
    )
    return Pipeline([("model", trees)])


def _with_level(features: Floats, target: int) -> Floats:
    """(n, 5 + f, or 5 + 6 f) the level as indicator, then the features; those of a target once more for each level."""
    level = np.zeros((len(features), len(LEVELS)))
    level[:, LEVELS.index(TARGETS[target].level)] = 1
    if features.ndim == 2:
        return np.concatenate([level, features], 1)
    own = features[:, target]
    crossed = (level[:, :, None] * own[:, None]).reshape(len(own), -1)
    return np.concatenate([level, own, crossed], 1)


def measure(folder: Path | str, min_studies: int) -> tuple[dict[str, Shortcut], int]:
    """Each shortcut on the training half of a phantom cohort, and its number of studies: headers and file sizes, linear
    and boosted; then what ``of_crops`` measures.

    Raises: `TruthError` where the cohort has no truth beside it; `ShortcutError` where the training half holds fewer
    than ``min_studies`` graded studies.
    """
    cohort, true = load(folder), truth.read(folder)
    ids = [i for i in cohort.studies("train") if i in cohort.grades.index]
    if len(ids) < min_studies:
        raise ShortcutError(
            f"{folder}: {len(ids)} training studies are too few to tell skill from noise; {min_studies} may do. Draw a "
            "larger cohort with `spinekit phantom`"
        )
    labels, oracle = true.labels(ids), true.oracle(ids)
    headers = np.stack([header_features(cohort, i) for i in ids])
    crops = np.stack([_study_crops(cohort, true, i) for i in tracked(ids, desc="crops", unit="study")])
    skills = {
        "headers": cross_validated(headers, labels, oracle),
        "headers, boosted": cross_validated(headers, labels, oracle, boosted=True),
    }
    return skills | of_crops(crops, labels, oracle), len(ids)


def of_crops(crops: Floats, labels: NDArray[np.int64], oracle: Floats) -> dict[str, Shortcut]:
    """Each of STATISTICS alone, and all together, of ``crops`` (n, 25, 2, 3, 7): both scales, all sizes."""
    parts = STATISTICS | {"all": slice(0, N_STATISTICS)}
    return {
        f"{side:g} mm, {scale}, {name}": cross_validated(crops[:, :, j, k, part], labels, oracle)
        for k, side in enumerate(CROPS_MM)
        for j, scale in enumerate(SCALES)
        for name, part in parts.items()
    }


def _study_crops(cohort: Cohort, true: truth.Truth, study_id: int) -> Floats:
    shifts = {series: true.shift(int(series)) for series in cohort.kinds_of(study_id)}
    return crop_features(cohort.read(study_id), true.landmarks_xyz_mm(study_id), shifts)
