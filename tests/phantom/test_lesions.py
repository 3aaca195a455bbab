"""The forms of lesions: any mixture, each within its bounds, a patient's own at all levels, from the seed alone."""

import numpy as np
import pytest

from spinekit.anatomy import FORAMINAL, LEVELS, SIDES, SPINAL, SUBARTICULAR, TARGETS
from spinekit.phantom.lesions import CYST, ONE_FORM, SLEEVE_CYST, moved, offsets_mm, sample_forms

OFFSET_MM = np.arange(len(TARGETS)) / 10


@pytest.fixture(scope="module")
def patients():
    rng = np.random.default_rng(0)
    return [sample_forms(rng) for _ in range(400)]


def values(patients, get):
    """(patients, levels) of one number of each level."""
    return np.array([[get(form) for form in forms] for forms in patients])


def test_the_same_generator_gives_the_same_forms():
    first, again, other = (sample_forms(np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first == again != other and len(first) == len(LEVELS)


def test_each_lesion_lies_where_its_own_offset_says(patients):
    assert not offsets_mm(patients[0]).any()
    forms = moved(patients[0], OFFSET_MM)
    np.testing.assert_array_equal(offsets_mm(forms), OFFSET_MM)
    assert moved(forms, np.zeros(len(TARGETS))) == patients[0], "nothing else has changed"
    for i, target in enumerate(TARGETS):
        form = forms[LEVELS.index(target.level)]
        if target.group == SPINAL:
            assert form.canal.offset_mm == OFFSET_MM[i]
        if target.group == SUBARTICULAR:
            assert form.recess[target.side].offset_mm == OFFSET_MM[i]
        if target.group == FORAMINAL:
            assert form.foramen[target.side].offset_mm == OFFSET_MM[i]


def test_shares_reach_from_one_cause_to_the_other(patients):
    for get in (
        lambda f: f.canal.front,
        lambda f: f.canal.bright,
        lambda f: f.recess["left"].bright,
        lambda f: f.foramen["right"].height,
        lambda f: f.protrusion,
    ):
        shares = values(patients, get)
        assert shares.min() >= 0 and shares.max() <= 1
        assert np.mean(shares < 0.2) > 0.1 and np.mean(shares > 0.8) > 0.1


def test_sizes_stay_within_human_bounds_about_one(patients):
    for get, low, high in (
        (lambda f: f.sac, 0.7, 1.35),
        (lambda f: f.flavum, 0.5, 2.0),
        (lambda f: f.root, 0.6, 1.7),
        (lambda f: f.foramen["left"].size, 0.7, 1.35),
    ):
        sizes = values(patients, get)
        assert low <= sizes.min() < sizes.max() <= high and np.median(sizes) == pytest.approx(1, abs=0.05)


def test_fluid_and_fat_are_a_patients_own(patients):
    for get in (lambda f: f.fluid, lambda f: f.fat, lambda f: f.foramen["left"].fat, lambda f: f.bundle):
        share = values(patients, get)
        assert share.min() > 0 and np.corrcoef(share[:, 0], share[:, 4])[0, 1] > 0.7


def test_cysts_are_the_exception(patients):
    joints = values(patients, lambda f: np.mean([f.recess[side].cyst for side in SIDES]))
    sleeves = values(patients, lambda f: np.mean([f.foramen[side].cyst_mm > 0 for side in SIDES]))
    assert joints.mean() == pytest.approx(CYST, abs=0.03) and sleeves.mean() == pytest.approx(SLEEVE_CYST, abs=0.02)
    assert not values(patients, lambda f: f.canal.cyst).any()


def test_one_form_is_the_same_at_all_levels():
    assert len(set(map(repr, ONE_FORM))) == 1 and len(ONE_FORM) == len(LEVELS)
