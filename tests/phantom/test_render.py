"""Pictures against the anatomy: every disease measured in noise-free images, sides, motion, tissues at true points."""

from dataclasses import replace

import numpy as np
import pytest

from spinekit.anatomy import FORAMINAL, LEVELS, SPINAL, SUBARTICULAR, TARGETS, targets_of
from spinekit.geometry import StackFrame, rigid_matrix, transform
from spinekit.phantom.body import Body, Variant, sample_body
from spinekit.phantom.render import MASKED_SHARE, Acquisition, render_clean, render_series, sample_scanner
from spinekit.phantom.tissue import Sequence, signals

T1, T2 = Sequence("T1", 10.0, 600.0), Sequence("T2", 100.0, 3500.0)
STEPS = (0.0, 0.35, 0.65, 1.0)
PLAIN = Variant()


def _body(narrowing=None, seed=1, variant=PLAIN):
    return sample_body(np.random.default_rng(seed), np.zeros(25) if narrowing is None else narrowing, variant)


def _narrow(index, value):
    narrowing = np.zeros(25)
    narrowing[index] = value
    return narrowing


def _index(group, level, side=None):
    return next(i for i, t in enumerate(TARGETS) if (t.group, t.level, t.side) == (group, level, side))


def _frame(centre, directions, size=64, mm=0.7, slices=1, step=4.0):
    directions = np.asarray(directions, dtype=float)
    corner = centre - (size - 1) / 2 * mm * directions.sum(0)
    offsets = (np.arange(slices) - (slices - 1) / 2)[:, None] * step
    return StackFrame(corner + offsets * np.cross(*directions), directions, np.full(2, mm), (size, size))


def _sagittal(centre, **size):
    return _frame(centre, [[0, 1, 0], [0, 0, -1]], **size)


def _axial(body: Body, level, centre, **size):
    normal = body.disc_normals[level]
    across = np.array([1.0, 0, 0]) - normal[0] * normal
    across /= np.linalg.norm(across)
    return _frame(centre, [across, np.cross(normal, across)], **size)


def _clean(body, frame, sequence, motion=None):
    return render_clean(body, frame, Acquisition(sequence, 3.0, np.eye(4) if motion is None else motion))[0]


def _bright_mm2(body, frame, sequence, tissue, share, half_mm):
    """Area about the middle of an image that is at least so bright as a share of a tissue."""
    mm = frame.spacing_rc_mm[0]
    rows, columns = (slice(int(32 - h / mm), int(32 + h / mm) + 1) for h in half_mm)
    image = _clean(body, frame, sequence)[0][rows, columns]
    return float((image > share * abs(signals(body.tissues, sequence)[tissue])).sum()) * mm**2


@pytest.mark.parametrize("level", LEVELS)
def test_stenosis_takes_the_fluid_from_the_sac(level):
    i, k = _index(SPINAL, level), LEVELS.index(level)
    centre = _body().landmarks_xyz_mm[i]
    areas = []
    for n in STEPS:
        body = _body(_narrow(i, n))
        areas.append(_bright_mm2(body, _axial(body, k, centre), T2, "csf", 0.85, (9, 9)))
    assert areas == sorted(areas, reverse=True) and areas[0] > 60 and areas[-1] < 0.15 * areas[0], areas
    assert areas[1] - areas[2] > 0.1 * areas[0], areas


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("level", LEVELS)
def test_foraminal_narrowing_takes_the_fat_from_the_foramen(level, side):
    i = _index(FORAMINAL, level, side)
    centre = _body().landmarks_xyz_mm[i]
    areas = [_bright_mm2(_body(_narrow(i, n)), _sagittal(centre), T1, "fat", 0.7, (11, 6)) for n in STEPS]
    assert areas == sorted(areas, reverse=True), areas
    assert areas[0] > 70 and areas[-1] < 0.45 * areas[0], areas
    assert areas[1] - areas[2] > 0.1 * areas[0], areas


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("level", LEVELS)
def test_subarticular_narrowing_closes_the_recess(level, side):
    i, k = _index(SUBARTICULAR, level, side), LEVELS.index(level)
    centre = _body().landmarks_xyz_mm[i]
    areas = []
    for n in STEPS:
        body = _body(_narrow(i, n))
        areas.append(_bright_mm2(body, _axial(body, k, centre), T2, "fat", 0.55, (5, 4)))
    assert areas == sorted(areas, reverse=True) and areas[-1] < 0.5 * areas[0], areas
    assert areas[1] - areas[2] > 0.1 * areas[0], areas


@pytest.mark.parametrize("group", [FORAMINAL, SUBARTICULAR])
def test_disease_of_one_side_leaves_the_other_alone(group):
    body, ill = _body(), _body(_narrow(_index(group, "l3_l4", "left"), 1.0))
    middle = body.landmarks_xyz_mm[_index(SPINAL, "l3_l4")]
    frame = _axial(body, 2, middle, size=96, mm=1.0, slices=5, step=3.0)
    change = np.abs(_clean(ill, frame, T2) - _clean(body, frame, T2))
    left_of_middle = change[:, :, 48:].sum()  # image right is the patient's left
    assert left_of_middle > 20 and change[:, :, :44].sum() < 0.02 * left_of_middle
    far = _axial(body, 0, body.landmarks_xyz_mm[_index(SPINAL, "l1_l2")], size=96, mm=1.0)
    assert np.abs(_clean(ill, far, T2) - _clean(body, far, T2)).max() < 0.02


@pytest.mark.parametrize("seed", range(4))
def test_true_points_lie_in_their_tissue(seed):
    body = _body(seed=seed, variant=None)
    t1, t2 = signals(body.tissues, T1), signals(body.tissues, T2)
    for group, sequence, tissue in ((SPINAL, T2, "csf"), (FORAMINAL, T1, "fat")):
        for i in targets_of(group):
            image = _clean(body, _sagittal(body.landmarks_xyz_mm[i], size=9, mm=0.7), sequence)[0]
            level = (t2 if sequence is T2 else t1)[tissue]
            assert image[2:7, 2:7].mean() > 0.6 * level, TARGETS[i].name


def test_discs_are_where_the_body_says():
    body = _body()
    for centre, normal in zip(body.disc_centres_xyz_mm, body.disc_normals, strict=True):
        at = [_clean(body, _sagittal(centre + d * normal, size=9, mm=0.7), T1)[0].mean() for d in (-16, 0, 16)]
        assert at[1] < 0.8 * min(at[0], at[2]), "on T1 a disc is darker than the marrow above and below"


def test_motion_moves_the_picture_by_exactly_the_matrix():
    body = _body()
    motion = rigid_matrix((1.5, -2.0, 1.0), (2.0, -1.0, 3.0), body.disc_centres_xyz_mm[2])
    frame = _sagittal(body.disc_centres_xyz_mm[2], size=80, mm=1.5, slices=3)
    moved = StackFrame(
        transform(motion, frame.origins_xyz_mm),
        frame.direction_cosines @ motion[:3, :3].T,
        frame.spacing_rc_mm,
        (80, 80),
    )
    still, along = _clean(body, frame, T2), _clean(body, moved, T2, motion)
    np.testing.assert_allclose(along, still, atol=2e-3)
    assert np.abs(_clean(body, frame, T2, motion) - still).mean() > 0.01


def test_same_seed_same_bytes_and_another_seed_another_noise():
    body = _body(variant=None)
    frame = _axial(body, 3, body.disc_centres_xyz_mm[3], size=48, mm=2.0, slices=2)

    def image(seed):
        rng = np.random.default_rng(seed)
        return render_series(body, frame, Acquisition(T2, 4.0, np.eye(4)), rng=rng)

    assert image(5).tobytes() == image(5).tobytes()
    assert image(5).tobytes() != image(6).tobytes()
    assert image(5).dtype == np.float32 and np.isfinite(image(5)).all() and (image(5) >= 0).all()


def test_air_behind_the_back_is_noise():
    body = _body()
    frame = _sagittal(body.disc_centres_xyz_mm[2] + (0, 60, 0), size=96, mm=2.5, slices=2)
    image = render_series(body, frame, Acquisition(T1, 4.0, np.eye(4)), rng=np.random.default_rng(0))
    assert image[:, :, -12:].mean() < 0.08 * np.percentile(image, 99)


def test_some_scanners_clear_the_air_and_nothing_else():
    body = _body()
    scanners = [sample_scanner(np.random.default_rng(seed), T1, body) for seed in range(300)]
    assert np.mean([scanner.masked for scanner in scanners]) == pytest.approx(MASKED_SHARE, abs=0.08)
    frame = _sagittal(body.disc_centres_xyz_mm[2] + (0, 60, 0), size=96, mm=2.5, slices=2)
    plain, masked = (
        render_series(
            body,
            frame,
            Acquisition(T1, 4.0, np.eye(4)),
            rng=np.random.default_rng(0),
            scanner=replace(scanners[0], masked=masked),
        )
        for masked in (False, True)
    )
    assert (masked[:, :, -12:] == 0).all() and (plain[:, :, -12:] > 0).any()
    np.testing.assert_array_equal(masked[masked > 0], plain[masked > 0])
    assert (masked[:, :, :40] > 0).all(), "the patient stays"


def test_chunks_do_not_show(monkeypatch):
    body = _body()
    frame = _sagittal(body.disc_centres_xyz_mm[2], size=48, mm=3.0, slices=5)
    whole = _clean(body, frame, T2)
    monkeypatch.setattr("spinekit.phantom.render._CHUNK_SAMPLES", 48 * 48 * 2 * 2)
    np.testing.assert_allclose(_clean(body, frame, T2), whole, atol=1e-4)


def _change(variant, centre, sequence, mm=1.0):
    """By how much a variant brightens a sagittal slice through a point, against the same patient without it."""
    body, plain = _body(variant=variant), _body()
    frame = _sagittal(centre(plain), size=96, mm=mm)
    return _clean(body, frame, sequence)[0] - _clean(plain, frame, sequence)[0]


def test_haemangioma_is_bright_on_t1_in_its_vertebra():
    change = _change(Variant(haemangioma=7), lambda b: b.curve.to_patient((0, 0.12 * b.vertebrae[7].width, -18)), T1)
    assert change[40:56, 40:56].max() > 0.15 and np.abs(change[:24]).max() < 1e-3


def test_schmorls_node_breaks_into_the_vertebra_below():
    def node(body):
        disc = body.levels[2].disc
        return body.curve.to_patient((disc.s - disc.height / 2 - 3, 0.12 * disc.width, -0.55 * disc.depth))

    change = _change(Variant(schmorl=2), node, T1)
    assert change[46:50, 46:50].mean() < -0.1


def test_metal_wipes_out_signal_about_the_pedicles():
    def pedicle(body):
        vertebra = body.vertebrae[9]
        return body.curve.to_patient((vertebra.s + 3, vertebra.half_canal + 5, 3))

    assert _change(Variant(metal=True), pedicle, T1)[44:52, 44:52].mean() < -0.2


def test_slip_moves_the_upper_vertebra_forwards():
    plain, slipped = _body(), _body(variant=Variant(slip_level=3, slip_mm=6.0))
    step = [np.diff(b.disc_centres_xyz_mm[[4, 2]], axis=0)[0, 1] for b in (plain, slipped)]
    assert step[1] - step[0] == pytest.approx(-6.0, abs=0.5)


@pytest.mark.parametrize("kind, disc", [("lumbarised", 10), ("sacralised", 9)])
def test_transitional_vertebrae_change_the_disc_at_the_sacrum(kind, disc):
    heights = [_body(variant=v).discs[disc].height for v in (PLAIN, Variant(transitional=kind))]
    assert (heights[1] > 2 * heights[0]) if kind == "lumbarised" else (heights[1] < 0.8 * heights[0])
