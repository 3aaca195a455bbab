"""What is known of landmarks and motion: both are recovered from peaks, with an uncertainty that is true."""

from __future__ import annotations

import numpy as np
import pytest
from spines import spines

from spinekit.geometry import Floats, rigid_matrix, transform
from spinekit.localization.posterior import Observation, Posterior
from spinekit.localization.shape_model import ShapeModel, learn_shape

SERIES = ("first", "second")
IN_PLANE_MM, ACROSS_MM = 0.5, 3.0


@pytest.fixture(scope="module")
def shape() -> ShapeModel:
    return learn_shape(spines(60))


def noisy(rng: np.random.Generator, xyz_mm: Floats, series: str, across: int) -> list[Observation]:
    """All 25 places as a series shows them that is precise in its plane, not across it (patient axis ``across``)."""
    sd = np.full(3, IN_PLANE_MM)
    sd[across] = ACROSS_MM
    return [Observation(i, series, p + rng.normal(0, sd), np.diag(sd**2)) for i, p in enumerate(xyz_mm)]


def seen_twice(seed: int) -> tuple[Floats, Floats, list[Observation]]:
    """A spine, the motion between a sagittal and an axial series, and what they show of it."""
    rng = np.random.default_rng(seed)
    spine = spines(1, seed=seed)[0]
    motion = rigid_matrix(rng.normal(0, 1.2, 3), rng.normal(0, 2.0, 3), spine.mean(0))
    return spine, motion, noisy(rng, spine, "first", 0) + noisy(rng, transform(motion, spine), "second", 2)


def believed(shape: ShapeModel, spine: Floats, seen: list[Observation]) -> Posterior:
    belief = Posterior(shape, spine.mean(0) + [5, 30, -30], SERIES)
    belief.add(seen)
    return belief


def test_motion_between_series_is_recovered_from_landmarks_alone(shape: ShapeModel) -> None:
    header, found = [], []
    for seed in range(30):
        spine, motion, seen = seen_twice(seed)
        belief = believed(shape, spine, seen)
        there = transform(motion, spine)
        header.append(np.linalg.norm(there - spine, axis=1))
        found.append(np.linalg.norm(there - transform(belief.motion("second"), spine), axis=1))
    assert np.median(found) < np.median(header) / 2.5
    assert (belief.motion("first") == np.eye(4)).all() and (belief.motion("another") == np.eye(4)).all()


def test_each_series_helps_where_the_other_is_blind(shape: ShapeModel) -> None:
    spine, _, seen = seen_twice(3)
    one, both = (believed(shape, spine, its) for its in (seen[:25], seen))
    off = [np.abs(b.places_xyz_mm() - spine)[:, 0].mean() for b in (one, both)]
    assert off[1] < off[0]
    across = [np.sqrt(np.diag(b.covariance)[0:75:3]).mean() for b in (one, both)]
    assert across[1] < across[0]


def test_uncertainty_is_true(shape: ShapeModel) -> None:
    """Squared errors, measured in the covariance that the belief states, average to the number of coordinates."""
    ratios = []
    for seed in range(100, 140):
        spine, motion, seen = seen_twice(seed)
        belief = believed(shape, spine, seen)
        place, covariance = belief.expect(range(25), "second")
        off = (transform(motion, spine) - place).ravel()
        ratios.append(off @ np.linalg.solve(covariance, off) / len(off))
    assert 0.7 < np.mean(ratios) < 1.3


def test_misfit_is_that_of_leaving_one_out(shape: ShapeModel) -> None:
    spine, _, seen = seen_twice(8)
    seen = [o for i, o in enumerate(seen) if i != 7]  # target 7 is seen once
    number = 31
    bad = Observation(7, "second", seen[number].xyz_mm + [0, 40.0, 0], seen[number].covariance_mm2)
    assert seen[number].target == 7
    seen[number] = bad
    belief = believed(shape, spine, seen)
    away = belief.misfit_sd()
    assert away.argmax() == number and away[number] > 4.5
    belief.remove(number)
    place, covariance = belief.expect([7], "second")
    off = bad.xyz_mm - place[0]
    brute = np.sqrt(off @ np.linalg.solve(covariance + bad.covariance_mm2, off))
    assert away[number] == pytest.approx(brute, rel=0.05)
    assert np.abs(off - [0, 40, 0]).max() < 10


def test_nothing_seen_changes_nothing(shape: ShapeModel) -> None:
    belief = Posterior(shape, np.array([1.0, 2.0, 3.0]), ())
    belief.add([])
    assert belief.places_xyz_mm().mean(0) == pytest.approx([1, 2, 3]) and len(belief.mean) == 75
