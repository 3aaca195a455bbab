"""The curve over the number of studies, and copies among generated crops, on numbers chosen by hand."""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from spinekit.experiments.synthetic import GENERATED, MIXED, PRETRAINED, REAL
from spinekit.experiments.synthetic_scores import copied_share, curve, graded_crops, nearest, some, worth_in_studies
from spinekit.grading.generation import GeneratedItems
from spinekit.grading.tokens import TOKENS

DRAWS = np.array([0.0, *np.linspace(-0.1, 0.1, 100)])
# Stands for a judge: a "prediction" of each seed is its own worth, and resampled studies move all models alike.
JUDGE = SimpleNamespace(
    skill_draws=lambda p: (np.asarray(p)[None] + DRAWS[:, None])[..., None], studies="two studies of the test half"
)


def test_gains_are_paired_by_seed_and_by_study():
    found = {(REAL, 10): [0.1, 0.3], (GENERATED, 10): [0.3, 0.5], (MIXED, 0): [0.4, 0.4]}
    table = curve(JUDGE, found).set_index(["arm", "studies"])
    assert table.loc[(REAL, 10), "skill"] == pytest.approx(0.2) and np.isnan(table.loc[(REAL, 10), "gain"])
    row = table.loc[(GENERATED, 10)]
    np.testing.assert_allclose(row[["gain", "gain_low", "gain_high"]].astype(float), 0.2)
    assert row["skill_high"] - row["skill_low"] > 0.2, "over studies and seeds"
    assert row["by_seed"] == pytest.approx([0.3, 0.5])
    assert np.isnan(table.loc[(MIXED, 0), "gain"]), "no real studies to compare with"


def test_worth_is_read_between_the_points_of_the_curve():
    """Skill of the real studies grows by 0.1 with each doubling; help that adds 0.1 is worth as many again."""
    rows = [(REAL, n, s) for n, s in ((10, 0.1), (20, 0.2), (40, 0.3))]
    rows += [(PRETRAINED, 10, 0.2), (PRETRAINED, 20, 0.25), (GENERATED, 10, 0.05), (GENERATED, 20, 0.31)]
    worth = worth_in_studies(pd.DataFrame(rows, columns=["arm", "studies", "skill"]))
    np.testing.assert_allclose(worth.loc[PRETRAINED], (20, 20 * np.sqrt(2)))
    np.testing.assert_allclose(worth.loc[GENERATED], (0, np.inf))  # worse than the fewest studies; open beyond the last


def items(n, seed=0):
    rng = np.random.default_rng(seed)
    token = rng.integers(0, len(TOKENS), n)
    return GeneratedItems(rng.integers(0, 255, (n, 5, 16, 16), dtype=np.uint8), token, rng.integers(0, 3, n))


@dataclass
class Train:
    """What is read of the crops that a generator learned from."""

    items: list
    pixels: np.ndarray

    def __len__(self):
        return len(self.items)


def test_a_copy_is_found_whatever_its_brightness_but_only_in_its_view():
    pixels = items(20).pixels
    token = np.array([0, 29] * 10)  # the canal from the side, and a recess
    train = Train([(0, i, int(token[i])) for i in range(20)], np.zeros((20, 30, 5, 16, 16), np.uint8))
    train.pixels[np.arange(20), token] = pixels
    copies = GeneratedItems((pixels * 0.5 + 20).astype(np.uint8), token, np.zeros(20, int))
    table = nearest(copies, train, 16)
    assert table["index"].tolist() == list(range(20)) and (table["distance"] < 0.01).all()
    elsewhere = nearest(GeneratedItems(copies.pixels, token[::-1].copy(), copies.grade), train, 16)
    assert (elsewhere["distance"] > 0.3).all()


def test_the_share_of_copies_by_hand():
    unseen = pd.DataFrame({"distance": np.linspace(0.2, 0.6, 401)})
    generated = pd.DataFrame({"distance": [0.01, 0.05, 0.3, 0.5]})
    assert copied_share(generated, unseen) == 0.5 and copied_share(unseen, unseen) == pytest.approx(0.01, abs=0.002)


def test_some_are_drawn_once_each_and_the_same_ones_again():
    crops = items(30)
    few = some(crops, 10, seed=1)
    assert len(few) == 10 and len(np.unique(few.pixels.reshape(10, -1), axis=0)) == 10
    assert (some(crops, 10, seed=1).pixels == few.pixels).all() and len(some(crops, 99)) == 30


def test_graded_crops_are_those_that_are_there_and_have_a_grade():
    crops = SimpleNamespace(present=np.ones((2, 30), bool), pixels=np.zeros((2, 30, 5, 8, 8), np.uint8))
    labels = np.full((1, 25), -1)
    labels[0, 7], crops.present[1, 12] = 2, False
    chosen = graded_crops(crops, np.array([1]), labels)
    assert chosen.token.tolist() == [7] and chosen.grade.tolist() == [2]
