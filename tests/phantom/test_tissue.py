"""Signal equations against numbers worked out by hand, and the contrasts that every reader expects."""

import numpy as np
import pytest

from spinekit.phantom.tissue import (
    TISSUES,
    Sequence,
    Tissue,
    sample_sequence,
    sample_tissues,
    signal,
    signals,
    unusual,
)


def test_spin_echo_by_hand():
    # PD 0.8, TR = T1 ln 2 recovers a half, TE = T2 ln 4 leaves a quarter.
    tissue = Tissue(0.8, 1000.0, 50.0)
    sequence = Sequence("T2", te_ms=50 * np.log(4), tr_ms=1000 * np.log(2))
    assert signal(tissue, sequence) == pytest.approx(0.8 * 0.5 * 0.25)


def test_inversion_recovery_by_hand():
    # 1 - 2 exp(-TI/T1) + exp(-TR/T1) with TI = T1 ln 4 and TR = T1 ln 10: 1 - 0.5 + 0.1 = 0.6; inverted at TI = 0.
    tissue = Tissue(1.0, 500.0, 100.0)
    late = Sequence("STIR", te_ms=0.0, tr_ms=500 * np.log(10), ti_ms=500 * np.log(4))
    at_once = Sequence("STIR", te_ms=0.0, tr_ms=500 * np.log(10), ti_ms=0.0)
    assert signal(tissue, late) == pytest.approx(0.6)
    assert signal(tissue, at_once) == pytest.approx(-0.9)


@pytest.mark.parametrize("seed", range(4))
def test_contrasts(seed):
    rng = np.random.default_rng(seed)
    tissues = sample_tissues(rng)
    t1, t2, stir = (
        {name: abs(v) for name, v in signals(tissues, sample_sequence(rng, name)).items()}
        for name in ("T1", "T2", "STIR")
    )
    assert t1["fat"] > t1["marrow"] > t1["muscle"] > t1["csf"]
    assert t2["csf"] > t2["fat"] > t2["marrow"] > t2["muscle"] > t2["ligament"]
    assert t2["nucleus"] > 4 * t2["annulus"]
    assert stir["fat"] < 0.25 * stir["csf"], "inversion is to null fat"
    assert all(values["bone"] < 0.1 for values in (t1, t2, stir))


def test_a_real_study_lies_within_the_range_of_t1_contrasts():
    """Fluid has 0.57 and disc 0.53 of the marrow's signal there; the coil takes 15 % more from marrow than from fluid.
    Muscle and fat lie nearer to the coil: there 0.90 and 2.51 hold what the coil does as well."""
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(400):
        values = signals(sample_tissues(rng), sample_sequence(rng, "T1"))
        share = rng.uniform(0.25, 0.6)  # of fatty marrow
        marrow = (1 - share) * values["marrow"] + share * values["fatty_marrow"]
        drawn.append([values[name] / marrow for name in ("csf", "annulus")])
    low, high = np.percentile(drawn, (2, 98), axis=0)
    assert (low < (0.57 * 0.85, 0.53)).all() and (high > (0.57 * 0.85, 0.53)).all(), (low, high)
    assert (low > 0.15).all() and (high < 0.7).all(), "and fluid and disc stay darker than marrow"


def test_signals_are_scaled_to_the_brightest():
    values = signals(TISSUES, Sequence("T1", 10.0, 600.0))
    assert max(abs(v) for v in values.values()) == pytest.approx(1.0)
    assert values["fat"] == pytest.approx(1.0)


def test_sequences_stay_within_protocols():
    rng = np.random.default_rng(0)
    drawn = [sample_sequence(rng, "STIR") for _ in range(50)]
    assert all(150 <= s.ti_ms <= 170 for s in drawn) and len({s.te_ms for s in drawn}) > 40
    assert sample_sequence(rng, "T1").ti_ms is None


@pytest.mark.parametrize("name", ["T1", "T2", "STIR"])
def test_an_unusual_protocol_has_another_contrast_than_any_usual_one(name):
    rng = np.random.default_rng(0)
    usual = [sample_sequence(rng, name) for _ in range(200)]
    ratios = np.array([_contrasts(sequence) for sequence in usual])
    others = np.array([_contrasts(unusual(sequence)) for sequence in usual])
    assert ((others < ratios.min(0)) | (others > ratios.max(0))).any(1).mean() > 0.9


def _contrasts(sequence):
    values = signals(TISSUES, sequence)
    return [abs(values[tissue]) / abs(values["marrow"]) for tissue in ("csf", "fat", "muscle")]
