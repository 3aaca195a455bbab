"""Traps by name and rate: what may be asked for, and that one switched off moves no other."""

import numpy as np
import pytest

from spinekit.phantom.traps import HEADER, SCAN, TABLE, TRAPS, UnknownTrap, draw, rates

LAYOUTS = {"short_axial", "long_axial", "axial_blocks"}


def test_every_trap_is_a_probability_at_a_stage_and_says_what_is_met():
    for name, trap in TRAPS.items():
        assert 0 < trap.rate <= 1 and trap.stage in (SCAN, HEADER, TABLE) and trap.meaning, name


def test_rates_by_each_way_of_asking():
    assert rates(True) == {name: trap.rate for name, trap in TRAPS.items()} and rates(False) == {}
    assert rates("oblong_pixels") == {"oblong_pixels": TRAPS["oblong_pixels"].rate}
    assert list(rates(["level_order", "few_tags"])) == ["few_tags", "level_order"], "always in the same order"
    assert rates({"level_order": 1}) == {"level_order": 1.0}


def test_what_does_not_exist_is_refused_by_name():
    with pytest.raises(UnknownTrap, match=r"no such trap: swaped_sides\. Traps: axial_blocks"):
        rates(["swaped_sides"])
    for rate in (-0.1, 1.5):
        with pytest.raises(UnknownTrap, match=r"rate of few_tags must lie in 0\.\.1"):
            rates({"few_tags": rate})


def test_one_trap_switched_off_moves_no_other():
    everything = rates(True)
    for seed in range(50):
        for omitted in ("swapped_sides", "reversed_axial", "few_tags"):
            without = {name: rate for name, rate in everything.items() if name != omitted}
            one, other = (draw(np.random.default_rng(seed), chosen) for chosen in (everything, without))
            assert one - {omitted} == other


def test_a_study_has_one_axial_layout_the_rarest():
    forced = rates(dict.fromkeys(LAYOUTS, 1.0))
    assert draw(np.random.default_rng(0), forced) == {"short_axial"}
    assert draw(np.random.default_rng(0), {name: 1.0 for name in forced if name != "short_axial"}) == {"long_axial"}


def test_traps_come_at_their_rate():
    rng, chosen = np.random.default_rng(0), {"oblong_pixels": 0.3, "few_tags": 1.0}
    drawn = [draw(rng, chosen) for _ in range(2000)]
    assert np.mean(["oblong_pixels" in traps for traps in drawn]) == pytest.approx(0.3, abs=0.03)
    assert all("few_tags" in traps for traps in drawn)
