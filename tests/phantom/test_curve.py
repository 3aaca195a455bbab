"""The axis of the spine: straight where nothing bends it, orthonormal everywhere, bent as it is told."""

import numpy as np
import pytest

from spinekit.phantom.curve import REACH_MM, Bend, bend, sample_ripple

L3 = np.array([3.0, -7, 100])
KNOTS = np.arange(-240.0, 230, 40)


def calm():
    return sample_ripple(np.random.default_rng(0), 0.0)


def curve(tilt_deg=0.0, ripple=None, **changes):
    plain = {"scoliosis_mm": 0.0, "scoliosis_phase": 0.0, "slip_s_mm": 0.0, "slip_mm": 0.0}
    tilt = np.broadcast_to(np.asarray(tilt_deg, dtype=float), KNOTS.shape)
    return bend(Bend(KNOTS, tilt, **(plain | changes)), L3, ripple or calm())


def test_a_straight_spine_is_the_patients_axes():
    straight = curve()
    suv = np.random.default_rng(0).uniform(-30, 30, (50, 3))
    np.testing.assert_allclose(straight.to_patient(suv), L3 + suv[:, [1, 2, 0]], atol=1e-9)  # u left, v back, s up


def test_s_is_millimetres_along_the_curve():
    bent = curve(np.linspace(-40, 30, len(KNOTS)))
    places = bent.to_patient(np.stack([np.arange(-150.0, 150), np.zeros(300), np.zeros(300)], -1))
    np.testing.assert_allclose(np.linalg.norm(np.diff(places, axis=0), axis=1), 1, atol=0.01)


def test_axes_are_orthonormal_and_left_stays_left():
    bent = curve(np.linspace(-40, 30, len(KNOTS)), scoliosis_mm=8.0)
    np.testing.assert_allclose(bent.axes @ np.swapaxes(bent.axes, 1, 2), np.broadcast_to(np.eye(3), bent.axes.shape),
                               atol=1e-9)  # fmt: skip
    assert (bent.axes[:, 0, 0] > 0.9).all() and (np.linalg.det(bent.axes) > 0.99).all()


def test_a_positive_tilt_turns_the_upper_side_backwards():
    up = curve(20.0).frame_at(0.0)[1][2]
    np.testing.assert_allclose(up, (0, np.sin(np.deg2rad(20)), np.cos(np.deg2rad(20))), atol=1e-6)


def test_l3_lies_where_it_is_put():
    bent = curve(np.linspace(-40, 30, len(KNOTS)), scoliosis_mm=8.0, slip_s_mm=-60.0, slip_mm=6.0)
    np.testing.assert_allclose(bent.to_patient([0, 0, 0]), L3, atol=1e-6)


def test_a_slip_moves_what_lies_above_it_forwards():
    slipped, sound = curve(slip_s_mm=-60.0, slip_mm=6.0), curve()
    for s, mm in ((-100.0, 0.0), (0.0, -6.0), (100.0, -6.0)):
        offset_mm = slipped.to_patient([s, 0, 0])[1] - sound.to_patient([s, 0, 0])[1]
        assert offset_mm - slipped.to_patient([-100, 0, 0])[1] + sound.to_patient([-100, 0, 0])[1] == pytest.approx(
            mm, abs=0.01
        )


def test_scoliosis_sways_to_the_side_by_what_it_is_told():
    x = curve(scoliosis_mm=8.0).origins_xyz_mm[:, 0]
    assert np.ptp(x) == pytest.approx(16, rel=0.05)


@pytest.mark.parametrize("seed", range(3))
def test_a_ripple_is_small_smooth_and_undone_exactly(seed):
    rng = np.random.default_rng(seed)
    ripple = sample_ripple(rng, 0.6)
    suv = rng.uniform((-95, -35, -40), (120, 35, 35), (400, 3))
    offset_mm = ripple(suv)
    assert 0.3 < offset_mm.std() < 0.9 and np.abs(offset_mm).max() < 0.6 * 5 * (2 / 5) ** 0.5 + 1e-9
    step = ripple(suv + (0.1, 0, 0)) - offset_mm
    assert np.abs(step).max() < 0.1, "coordinates do not fold"
    bent = curve(np.linspace(-30, 25, len(KNOTS)), ripple)
    np.testing.assert_allclose(bent.to_spine(bent.to_patient(suv)), suv, atol=0.01)


def test_beyond_the_ends_places_stay_finite():
    bent = curve(np.linspace(-40, 30, len(KNOTS)))
    far = bent.to_spine(L3 + np.array([[0, 0, 900.0], [0, 900, 0], [0, 0, -900]]))
    assert np.isfinite(far).all() and (far[:, 0] >= REACH_MM[0]).all() and (far[:, 0] <= REACH_MM[1]).all()
