"""True measurements: they follow the patient's own sizes and disease, and writing them changed no image."""

import numpy as np
import pytest

from spinekit.anatomy import LEVELS, SIDES, TARGET_INDEX, TARGETS
from spinekit.phantom import measures
from spinekit.phantom.body import Variant, sample_body
from spinekit.phantom.shapes import body_distance, disc_distance

STRAIGHT = Variant(lordosis=0.0)
OPEN = np.zeros(len(TARGETS))


def values(narrowing=OPEN, variant=STRAIGHT, seed=3):
    body = sample_body(np.random.default_rng(seed), narrowing, variant)
    return {row[:3]: row[3] for row in measures.true_measurements(body)}, body


@pytest.fixture(scope="module")
def healthy():
    return values()


def narrowed(name, amount=0.8):
    narrowing = OPEN.copy()
    narrowing[TARGET_INDEX[name]] = amount
    return values(narrowing)[0]


def test_every_level_has_its_seven(healthy):
    rows, _ = healthy
    sides = {"sac_ap_diameter": ("",), "sac_area": ("",), "disc_height": ("",)}
    sides |= {"foramen_height": SIDES, "foramen_width": SIDES}
    assert set(rows) == {(name, level, side) for name, where in sides.items() for side in where for level in LEVELS}
    assert all(value > 0 for value in rows.values())


def test_a_disc_is_as_high_as_it_was_made(healthy):
    rows, body = healthy
    for i, level in enumerate(LEVELS):
        disc = body.levels[i].disc
        assert disc.height < rows["disc_height", level, ""] < disc.height + sum(disc.hollow) + 0.5


def test_a_sac_that_nothing_narrows_is_the_ellipse_it_was_made_of(healthy):
    rows, body = healthy
    for i, level in enumerate(LEVELS[:3]):  # lower down, front and roof cut the ellipse
        s = np.array([body.levels[i].disc.s], dtype=np.float32)
        u, v = (float(body.canal.at(table, s)[0]) for table in ("sac_u", "sac_v"))
        assert rows["sac_area", level, ""] <= 1.12 * np.pi * u * v
        assert rows["sac_area", level, ""] >= 0.8 * np.pi * u * v
        assert rows["sac_ap_diameter", level, ""] == pytest.approx(2 * v, abs=1.6)


def test_disease_narrows_what_it_touches_and_nothing_else(healthy):
    rows, _ = healthy
    stenosis = narrowed("spinal_canal_stenosis_l3_l4")
    assert stenosis["sac_ap_diameter", "l3_l4", ""] < rows["sac_ap_diameter", "l3_l4", ""] - 3
    assert stenosis["sac_area", "l3_l4", ""] < 0.7 * rows["sac_area", "l3_l4", ""]
    assert stenosis["sac_area", "l1_l2", ""] == pytest.approx(rows["sac_area", "l1_l2", ""], rel=0.01)
    assert stenosis["disc_height", "l3_l4", ""] == pytest.approx(rows["disc_height", "l3_l4", ""], abs=0.05)
    foramen = narrowed("left_neural_foraminal_narrowing_l4_l5", 0.3)
    assert foramen["foramen_width", "l4_l5", "left"] < rows["foramen_width", "l4_l5", "left"] - 0.5
    assert foramen["foramen_width", "l4_l5", "right"] == pytest.approx(
        rows["foramen_width", "l4_l5", "right"], abs=0.05
    )
    assert foramen["sac_area", "l1_l2", ""] == rows["sac_area", "l1_l2", ""]


def test_a_bent_spine_is_measured_in_the_patients_millimetres(healthy):
    """Lordosis opens discs in front: by the angle, the height differs from front to back, the mean hardly."""
    rows, _ = healthy
    bent, _ = values(variant=Variant(lordosis=1.0))
    for level in LEVELS:
        straight, lordotic = rows["disc_height", level, ""], bent["disc_height", level, ""]
        assert 0.95 * straight < lordotic < 1.5 * straight
    assert bent["disc_height", "l4_l5", ""] > rows["disc_height", "l4_l5", ""] + 0.5


def test_distances_are_negative_inside_alone(healthy):
    _, body = healthy
    level, vertebra = body.levels[2], body.vertebrae[7]
    middle = tuple(np.array([x], dtype=np.float32) for x in (level.disc.s, 0.0, -level.disc.depth / 2))
    assert disc_distance(level.disc, level, middle) < 0 < body_distance(vertebra, middle)
    assert disc_distance(level.disc, level, (middle[0], middle[1], middle[2] - level.disc.depth)) > 0
