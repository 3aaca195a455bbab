"""Vertebrae and discs: stacked without gaps, sized as told, varied within human bounds, narrow where told."""

from dataclasses import replace

import numpy as np
import pytest

from spinekit.anatomy import LEVELS, TARGETS
from spinekit.phantom.column import L1, L3, NAMES, S1, Variant, make_level, sample_column, sample_variant, with_factors
from spinekit.phantom.factors import PatientFactors
from spinekit.phantom.lesions import LevelForm

PLAIN = Variant()
OPEN_V = (1.2, 15.0, 18.0)  # front and back of an open sac, the flavum behind it


def column(variant=PLAIN, seed=0):
    return sample_column(np.random.default_rng(seed), variant)


@pytest.mark.parametrize("seed", range(4))
def test_bodies_and_discs_touch_from_the_head_down(seed):
    vertebrae, discs = column(seed=seed)
    assert [v.name for v in vertebrae] == list(NAMES) and vertebrae[L3].s == 0
    for upper, disc, lower in zip(vertebrae, discs, vertebrae[1:], strict=False):
        assert upper.s - upper.height / 2 == pytest.approx(disc.s + disc.height / 2)
        assert disc.s - disc.height / 2 == pytest.approx(lower.s + lower.height / 2)


def test_size_scales_bones_and_the_canal_less():
    small, large = column(replace(PLAIN, size=0.9))[0], column(replace(PLAIN, size=1.1))[0]
    for one, other in zip(small, large, strict=True):
        assert other.height / one.height == pytest.approx(1.1 / 0.9)
        assert other.half_canal / one.half_canal == pytest.approx((1.1 / 0.9) ** 0.5)


def test_a_wide_canal_widens_the_canal_alone():
    wide, usual = column(replace(PLAIN, canal=1.1))[0], column()[0]
    assert all(w.half_canal == pytest.approx(1.1 * u.half_canal) for w, u in zip(wide, usual, strict=True))
    assert all((w.height, w.depth, w.s) == (u.height, u.depth, u.s) for w, u in zip(wide, usual, strict=True))


def test_age_dries_discs_and_grows_lips():
    young, old = ([column(replace(PLAIN, age=age), seed) for seed in range(20)] for age in (25.0, 85.0))
    wetness, lips = (
        [np.mean([getattr(x, name) for c in group for x in c[part]]) for group in (young, old)]
        for name, part in (("wetness", 1), ("lip", 0))
    )
    assert wetness[0] - wetness[1] > 0.4 and lips[1] > 1.5 * lips[0]
    assert all(0 <= disc.wetness <= 1 for c in (*young, *old) for disc in c[1])


@pytest.mark.parametrize(("kind", "disc", "height"), [("lumbarised", S1, 4.4), ("sacralised", S1 - 1, 3.4)])
def test_a_transitional_vertebra_changes_one_disc(kind, disc, height):
    discs = column(replace(PLAIN, transitional=kind))[1]
    usual = column()[1]
    changed = [i for i, (a, b) in enumerate(zip(discs, usual, strict=True)) if a.height != pytest.approx(b.height)]
    assert changed == [disc] and 0.7 < discs[disc].height / height < 1.4


def test_a_level_knows_its_own_five_targets():
    narrowing = np.arange(25) / 25
    disc = column()[1][L1 + 2]
    level = make_level(2, disc, narrowing, PLAIN, LevelForm(), OPEN_V)
    own = {(t.group, t.side): narrowing[i] for i, t in enumerate(TARGETS) if t.level == LEVELS[2]}
    assert (*level.sac_v, level.roof_v) == OPEN_V
    assert level.disc is disc and level.narrowing == own and level.of("spinal") == own["spinal", None]


def test_recesses_lie_as_in_the_public_coordinates_and_foramina_further_out_from_level_to_level():
    levels = [make_level(i, column()[1][L1 + i], np.zeros(25), PLAIN, LevelForm(), OPEN_V) for i in range(5)]
    recesses = np.array([level.recess_u for level in levels])
    np.testing.assert_allclose(recesses / recesses.mean(), (1.09, 1.02, 0.97, 0.93, 1.01), atol=0.01)
    assert (np.diff([level.foramen_u for level in levels]) > 0).all()
    assert all(level.foramen_u > level.recess_u + 4 for level in levels)


def test_patients_vary_within_human_bounds():
    rng = np.random.default_rng(0)
    patients = [sample_variant(rng) for _ in range(3000)]
    share = {kind: np.mean([p.transitional == kind for p in patients]) for kind in ("lumbarised", "sacralised")}
    assert share["lumbarised"] == pytest.approx(0.05, abs=0.015) and share["sacralised"] == pytest.approx(
        0.05, abs=0.015
    )
    assert np.mean([p.metal for p in patients]) == pytest.approx(0.02, abs=0.01)
    assert all(18 <= p.age <= 92 and 0.86 <= p.size <= 1.12 and 0.02 <= p.muscle_fat <= 0.7 for p in patients)
    assert all((p.slip_level is None) == (p.slip_mm == 0) for p in patients)
    men, women = ([p.size for p in patients if p.male == male] for male in (True, False))
    assert np.mean(men) / np.mean(women) == pytest.approx(1.02 / 0.945, abs=0.01)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_the_share_of_transitional_vertebrae_can_be_chosen(share):
    rng = np.random.default_rng(0)
    assert {sample_variant(rng, share).transitional != "none" for _ in range(50)} == {bool(share)}


def scored(**scores):
    plain = {"age": 0.0, "canal_narrowness": 0.0}
    discs = dict.fromkeys(("disc_signal_loss", "disc_height_loss", "slip"), (0.0,) * 5)
    return with_factors(PLAIN, PatientFactors(**{**plain, **discs, **scores}))


def test_factors_show_in_the_patient():
    assert scored(age=1.0).age == 72 and scored(age=9.0).age == 92
    assert scored(age=1.0).muscle_fat > scored().muscle_fat
    assert scored(canal_narrowness=2.0).canal < scored().canal == 1
    worn = scored(disc_height_loss=(0, 0, 0, 2.0, 0), disc_signal_loss=(0, 0, 0, 2.0, 0))
    (_, before), (_, after) = column(variant=scored()), column(variant=worn)
    changed = [i for i, (one, other) in enumerate(zip(before, after, strict=True)) if one.height != other.height]
    assert changed == [L1 + 3] and after[L1 + 3].height < before[L1 + 3].height
    assert after[L1 + 3].wetness == 0 and before[L1 + 3].wetness == pytest.approx(0.6)


def test_a_slip_is_where_its_score_is_high_and_grows_with_it():
    assert scored().slip_level is None and scored(slip=(9.0, 9.0, 0, 0, 0)).slip_level is None, "too far up"
    less, more = (scored(slip=(0, 0, 0, score, 0)) for score in (1.6, 3.0))
    assert less.slip_level == more.slip_level == 3 and 2.5 <= less.slip_mm < more.slip_mm <= 7


def test_factors_leave_the_spread_of_patients_as_it_is():
    rng = np.random.default_rng(0)
    scores = rng.standard_normal((4000, 17))
    patients = [with_factors(PLAIN, PatientFactors.from_scores(row)) for row in scores]
    drawn = [sample_variant(rng) for _ in range(4000)]
    for name, tolerance in (("age", 1.0), ("canal", 0.004)):
        values = [[getattr(p, name) for p in group] for group in (patients, drawn)]
        np.testing.assert_allclose(np.mean(values[0]), np.mean(values[1]), atol=tolerance)
        np.testing.assert_allclose(np.std(values[0]), np.std(values[1]), atol=tolerance)
    slips = [np.mean([p.slip_level is not None for p in group]) for group in (patients, drawn)]
    assert slips[0] == pytest.approx(slips[1], abs=0.02)
    assert np.mean([p.slip_mm for p in patients if p.slip_mm]) == pytest.approx(4.75, abs=0.3)
