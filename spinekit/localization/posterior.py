"""The posterior of a study's landmarks given the peaks so far: a Gaussian over places and patient motion.

One state holds the 25 landmarks, in the position in which the patient lay during the first series, and for every other
series the small rigid motion since then: a shift and a rotation about the spine's middle, linearised as rotations are
small. Peaks of any series are observations of both. So landmarks that several series show are averaged by their
precision, series are registered by their landmarks, and every place has an uncertainty in millimetres.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spinekit.anatomy import TARGETS
from spinekit.geometry import Floats, rigid_matrix
from spinekit.localization.shape_model import ShapeModel

N = len(TARGETS)
MOTION = 6  # of a series: shift in mm along x, y, z, then rotation in radians about x, y, z
# Patients move by a millimetre or two between series. No figures for the lumbar spine are published: set so that shifts
# of 6 mm and rotations of 4 degrees are rare, not impossible.
SHIFT_SD_MM, ROTATION_SD_DEG = 2.0, 1.2
_ROUNDS = 2  # a rotation acts on the places: the second round is linearised about those of the first


@dataclass(frozen=True)
class Observation:
    """A peak chosen for a target: its place (3,) in the header's mm of its series, and its covariance (3, 3)."""

    target: int
    series_id: str
    xyz_mm: Floats
    covariance_mm2: Floats


class Posterior:
    """Mean and covariance of landmarks and motions; ``series`` are the ids of all series, the reference first."""

    def __init__(self, shape: ShapeModel, centre_xyz_mm: Floats, series: Sequence[str]) -> None:
        self.series = tuple(series)
        moving = max(len(self.series) - 1, 0)
        places, spread = shape.anywhere(centre_xyz_mm)
        motion = np.tile(np.repeat([SHIFT_SD_MM, np.deg2rad(ROTATION_SD_DEG)], 3) ** 2, moving)
        self.mean = np.concatenate([places, np.zeros(MOTION * moving)])
        self.covariance = np.zeros((len(self.mean), len(self.mean)))
        self.covariance[: 3 * N, : 3 * N] = spread
        self.covariance[3 * N :, 3 * N :] = np.diag(motion)
        self.pivot_xyz_mm = places.reshape(N, 3).mean(0)  # motions rotate about it
        self.observations: tuple[Observation, ...] = ()
        self._start = (self.mean, self.covariance)

    def places_xyz_mm(self) -> Floats:
        """(25, 3) landmarks in the position of the first series."""
        return self.mean[: 3 * N].reshape(N, 3)

    def motion(self, series_id: str) -> Floats:
        """(4, 4) rigid motion of the patient from the first series to another one; identity for other ids."""
        at = self._at(series_id)
        if at is None:
            return np.eye(4)
        shift, rotation = self.mean[at : at + 3], self.mean[at + 3 : at + 6]
        return rigid_matrix(np.rad2deg(rotation), shift, self.pivot_xyz_mm)

    def expect(self, targets: Sequence[int], series_id: str) -> tuple[Floats, Floats]:
        """Places (m, 3) of targets in the mm of a series, and the joint covariance (3m, 3m)."""
        rows = self._rows(targets, series_id)
        return (rows @ self.mean).reshape(-1, 3), rows @ self.covariance @ rows.T

    def add(self, observations: Sequence[Observation]) -> None:
        """Condition on further observations."""
        self.observations = (*self.observations, *observations)
        self._fit()

    def remove(self, number: int) -> None:
        """Remove one of the ``observations``."""
        self.observations = self.observations[:number] + self.observations[number + 1 :]
        self._fit()

    def misfit_sd(self) -> Floats:
        """(m,) distance of each observation from the prediction of all others, in standard deviations."""
        misfit_sd = np.empty(len(self.observations))
        for i, o in enumerate(self.observations):
            place, spread = self.expect([o.target], o.series_id)
            residual_mm = o.xyz_mm - place[0]
            left_out = o.covariance_mm2 - spread + 1e-9 * np.eye(3)
            # Leaving one out of a linear-Gaussian fit: (R - H P H')^-1 weighs its residual.
            misfit_sd[i] = np.sqrt(max(residual_mm @ np.linalg.solve(left_out, residual_mm), 0.0))
        return misfit_sd

    def _fit(self) -> None:
        """Condition the start on all observations."""
        start, spread = self._start
        if not self.observations:
            self.mean, self.covariance = start, spread
            return
        places = np.concatenate([o.xyz_mm for o in self.observations])
        for _ in range(_ROUNDS):
            rows, noise = self._all_rows()
            gain = np.linalg.solve(rows @ spread @ rows.T + noise, rows @ spread).T
            self.mean = start + gain @ (places - rows @ start)
        self.covariance = spread - gain @ rows @ spread

    def _at(self, series_id: str) -> int | None:
        if series_id not in self.series[1:]:
            return None
        return 3 * N + MOTION * (self.series.index(series_id) - 1)

    def _rows(self, targets: Sequence[int], series_id: str) -> Floats:
        """(3m, state) how places of targets on a series depend on the state, linear about the present mean."""
        rows, at = np.zeros((3 * len(targets), len(self.mean))), self._at(series_id)
        for j, target in enumerate(targets):
            block = slice(3 * j, 3 * j + 3)
            rows[block, 3 * target : 3 * target + 3] = np.eye(3)
            if at is not None:
                arm = self.mean[3 * target : 3 * target + 3] - self.pivot_xyz_mm
                rows[block, at : at + 3] = np.eye(3)
                rows[block, at + 3 : at + 6] = -_cross(arm)
        return rows

    def _all_rows(self) -> tuple[Floats, Floats]:
        rows = np.concatenate([self._rows([o.target], o.series_id) for o in self.observations])
        noise = np.zeros((len(rows), len(rows)))
        for j, o in enumerate(self.observations):
            noise[3 * j : 3 * j + 3, 3 * j : 3 * j + 3] = o.covariance_mm2
        return rows, noise


def _cross(vector: Floats) -> Floats:
    """(3, 3) matrix whose product with a vector is the cross product of both."""
    x, y, z = vector
    return np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
