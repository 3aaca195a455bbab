"""The relative places of the 25 landmarks: a Gaussian model of the lumbar spine, fitted to annotated points.

The model is a mean and a covariance of all 75 coordinates (LPS, mm) about the study's own centre, which may lie
anywhere. Conditioned on some landmarks it predicts the others with their covariance: from level to level and from side
to side. It is the prior of ``posterior``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spinekit.anatomy import TARGETS
from spinekit.errors import SpinekitError
from spinekit.geometry import Floats

N = len(TARGETS)
MIN_POINTS = 10  # a study with fewer annotated points is left out
MIN_STUDIES = 3
CENTRE_SD_MM = np.array([15.0, 80.0, 80.0])  # of the spine about the centre of a series: it lies near the mid-line
PRIOR_SD_MM = 6.0  # of each coordinate of the shape, before any study
PRIOR_STUDIES = 8.0  # the prior counts as much as this many studies
_ROUNDS = 8  # of filling gaps and fitting anew


class TooFewLandmarks(SpinekitError):
    """Too few annotated studies to fit the shape of a spine. Add studies to ``train_label_coordinates.csv``."""


@dataclass(frozen=True)
class ShapeModel:
    """``mean_mm`` (25, 3) about the centre of all 25; ``covariance_mm2`` (75, 75), coordinates in row-major order."""

    mean_mm: Floats
    covariance_mm2: Floats

    def anywhere(self, centre_xyz_mm: Floats) -> tuple[Floats, Floats]:
        """Mean (75,) and covariance (75, 75) before any landmark is located: only ``centre_xyz_mm`` (3,), the middle of
        a series, says where the spine is."""
        spread = np.kron(np.ones((N, N)), np.diag(CENTRE_SD_MM**2))
        return (self.mean_mm + centre_xyz_mm).ravel(), self.covariance_mm2 + spread

    def expect(self, located_xyz_mm: Floats, sd_mm: Floats, centre_xyz_mm: Floats) -> tuple[Floats, Floats]:
        """All landmarks (25, 3) given those located (25, 3; NaN elsewhere), and their covariance (75, 75).

        ``sd_mm`` (25,): standard deviation of each located one.
        """
        mean, prior = self.anywhere(centre_xyz_mm)
        located = np.isfinite(located_xyz_mm).ravel()
        noise = np.repeat(np.asarray(sd_mm, dtype=np.float64), 3)[located] ** 2
        gain = np.linalg.solve(prior[np.ix_(located, located)] + np.diag(noise), prior[located]).T
        mean = mean + gain @ (np.asarray(located_xyz_mm).ravel()[located] - mean[located])
        return mean.reshape(N, 3), prior - gain @ prior[located]


def learn_shape(landmarks_xyz_mm: Floats) -> ShapeModel:
    """The model of studies (n, 25, 3) in patient mm, NaN where a point is missing.

    Gaps are filled with what the model of the round before expects (expectation-maximisation); the covariance is
    shrunk towards independent coordinates, so that few studies give a cautious model.

    Raises: `TooFewLandmarks` where there are too few studies, or a target that none of them has.
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
    """Means of the annotated points, each study about its own centre; coordinates independent."""
    centred = studies - np.nanmean(studies, axis=1, keepdims=True)
    mean = np.nanmean(centred, axis=0)
    return ShapeModel(mean - mean.mean(0), np.eye(3 * N) * PRIOR_SD_MM**2)


def _filled(model: ShapeModel, studies: Floats) -> tuple[Floats, Floats]:
    """Studies (n, 75) with their gaps filled, and the covariance (75, 75) of the filled values, summed."""
    filled, filled_covariance = np.empty((len(studies), 3 * N)), np.zeros((3 * N, 3 * N))
    for i, study in enumerate(studies):
        mean, covariance = model.expect(study, np.full(N, 0.1), np.nanmean(study, axis=0))
        missing = np.isnan(study).ravel()
        filled[i] = np.where(missing, mean.ravel(), study.ravel())
        filled_covariance += np.where(np.outer(missing, missing), covariance, 0.0)
    return filled, filled_covariance


def _fit(filled: Floats, filled_covariance: Floats) -> ShapeModel:
    shapes = filled.reshape(-1, N, 3)
    shapes = shapes - shapes.mean(1, keepdims=True)
    mean = shapes.mean(0)
    deviations = (shapes - mean).reshape(-1, 3 * N)
    prior = np.eye(3 * N) * PRIOR_SD_MM**2 * PRIOR_STUDIES
    return ShapeModel(mean, (deviations.T @ deviations + filled_covariance + prior) / (len(filled) + PRIOR_STUDIES))
