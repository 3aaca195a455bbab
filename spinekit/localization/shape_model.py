"""How the 25 landmarks lie to each other: a Gaussian model of the lumbar spine, learnt from annotated points.

The model is a mean and a covariance of all 75 coordinates (LPS, mm) about the study's own centre, which may lie
anywhere. Conditioning it on some landmarks tells where the others are to be expected and how surely: from level to
level and from side to side. ``belief`` starts from it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spinekit.anatomy import TARGETS
from spinekit.errors import SpinekitError
from spinekit.geometry import Floats

N = len(TARGETS)
MIN_POINTS = 10  # a study with fewer annotated points says little of the shape
MIN_STUDIES = 3
CENTRE_SD_MM = np.array([15.0, 80.0, 80.0])  # of the spine about the centre of a series: it lies near the mid-line
PRIOR_SD_MM = 6.0  # of each coordinate of the shape, before anything is learnt
PRIOR_STUDIES = 8.0  # the prior counts as much as this many studies
_ROUNDS = 8  # of filling gaps and fitting anew


class TooFewLandmarks(SpinekitError):
    """Too few annotated studies to learn the shape of a spine."""


@dataclass(frozen=True)
class ShapeModel:
    """``mean_mm`` (25, 3) about the centre of all 25; ``covariance_mm2`` (75, 75), coordinates in row-major order."""

    mean_mm: Floats
    covariance_mm2: Floats

    def anywhere(self, centre_xyz_mm: Floats) -> tuple[Floats, Floats]:
        """Mean (75,) and covariance (75, 75) while nothing has been found: ``centre_xyz_mm`` (3,), the middle of a
        series, is the only clue to where the spine is."""
        spread = np.kron(np.ones((N, N)), np.diag(CENTRE_SD_MM**2))
        return (self.mean_mm + centre_xyz_mm).ravel(), self.covariance_mm2 + spread

    def expect(self, found_xyz_mm: Floats, sd_mm: Floats, centre_xyz_mm: Floats) -> tuple[Floats, Floats]:
        """All landmarks (25, 3) as expected from those found (25, 3; NaN elsewhere), and their covariance (75, 75).

        ``sd_mm`` (25,): how surely each was found.
        """
        mean, prior = self.anywhere(centre_xyz_mm)
        known = np.isfinite(found_xyz_mm).ravel()
        noise = np.repeat(np.asarray(sd_mm, dtype=np.float64), 3)[known] ** 2
        gain = np.linalg.solve(prior[np.ix_(known, known)] + np.diag(noise), prior[known]).T
        mean = mean + gain @ (np.asarray(found_xyz_mm).ravel()[known] - mean[known])
        return mean.reshape(N, 3), prior - gain @ prior[known]


def learn_shape(landmarks_xyz_mm: Floats) -> ShapeModel:
    """The model of studies (n, 25, 3) in patient mm, NaN where a point is missing.

    Gaps are filled with what the model of the round before expects (expectation-maximisation); the covariance is
    drawn towards independent coordinates, so that few studies give a cautious model.
    """
    studies = np.asarray(landmarks_xyz_mm, dtype=np.float64)
    studies = studies[np.isfinite(studies).all(2).sum(1) >= MIN_POINTS]
    if len(studies) < MIN_STUDIES or np.isnan(studies).all(0).any():
        raise TooFewLandmarks(
            f"{len(studies)} studies with {MIN_POINTS} or more annotated points: the shape of a spine needs at least "
            f"{MIN_STUDIES}, and every target in one of them. Add studies to train_label_coordinates.csv"
        )
    model = _first_guess(studies)
    for _ in range(_ROUNDS):
        model = _fit(*_filled(model, studies))
    return model


def _first_guess(studies: Floats) -> ShapeModel:
    """Means of what is there, each study about its own centre; coordinates independent."""
    centred = studies - np.nanmean(studies, axis=1, keepdims=True)
    mean = np.nanmean(centred, axis=0)
    return ShapeModel(mean - mean.mean(0), np.eye(3 * N) * PRIOR_SD_MM**2)


def _filled(model: ShapeModel, studies: Floats) -> tuple[Floats, Floats]:
    """Studies (n, 75) with their gaps filled, and the covariance (75, 75) that the filling leaves open, summed."""
    filled, open_part = np.empty((len(studies), 3 * N)), np.zeros((3 * N, 3 * N))
    for i, study in enumerate(studies):
        mean, covariance = model.expect(study, np.full(N, 0.1), np.nanmean(study, axis=0))
        missing = np.isnan(study).ravel()
        filled[i] = np.where(missing, mean.ravel(), study.ravel())
        open_part += np.where(np.outer(missing, missing), covariance, 0.0)
    return filled, open_part


def _fit(filled: Floats, open_part: Floats) -> ShapeModel:
    shapes = filled.reshape(-1, N, 3)
    shapes = shapes - shapes.mean(1, keepdims=True)
    mean = shapes.mean(0)
    off = (shapes - mean).reshape(-1, 3 * N)
    prior = np.eye(3 * N) * PRIOR_SD_MM**2 * PRIOR_STUDIES
    return ShapeModel(mean, (off.T @ off + open_part + prior) / (len(filled) + PRIOR_STUDIES))
