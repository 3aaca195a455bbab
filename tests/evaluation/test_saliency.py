"""Whether maps follow a lesion: a map that is known to, one that is known not to, and the means of both."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from crop_sets import crop_set
from tilted_stacks import frame_of, landmarks, study_of

from spinekit.anatomy import KINDS
from spinekit.evaluation import saliency as evaluation_saliency
from spinekit.evaluation.saliency import MAPS, PhantomCrops, check, cut_aside, localisation, severe_cases, summary
from spinekit.grading import saliency as grading_saliency
from spinekit.grading.crop_cache import of_study
from spinekit.grading.crops import CropRecipe, study_crops
from spinekit.grading.saliency import Saliency, grid_xyz_mm, in_plane_mm
from spinekit.grading.tokens import TOKEN_TARGETS

RECIPE = CropRecipe(size_px=32, margin_px=4)
CASES = [(0, 7), (0, 12), (0, 26)]


def truth_of(labels):
    return SimpleNamespace(
        labels=lambda ids: labels[list(ids)],
        landmarks_xyz_mm=lambda study_id: landmarks(),
        shift=lambda series_id: np.eye(4),
    )


def test_cases_are_severe_present_and_cut_as_usual():
    crops, labels = crop_set(4)
    crops.present[0, 3], crops.crop_scale[1, 9] = False, 1.5
    cases = severe_cases(truth_of(labels), crops, range(4), 1000)
    expected = {(i, t) for i in range(4) for t in range(30) if labels[i, TOKEN_TARGETS[t]] == 2}
    assert set(cases) == expected - {(0, 3), (1, 9)}
    some = severe_cases(truth_of(labels), crops, range(4), 5, 1)
    assert len(some) == 5 and set(some) < set(cases) and some == sorted(some)


@pytest.fixture
def scanned():
    """A study, its crops and a truth whose lesions lie at the landmarks."""
    study = study_of(lambda xyz: 200 + xyz[..., 2] + 0.5 * xyz[..., 1], {kind: frame_of(kind) for kind in KINDS})
    crops = of_study(1, study_crops(study, landmarks(), RECIPE, np.zeros(25)))
    grader = SimpleNamespace(crop_recipe=RECIPE)
    return grader, PhantomCrops(SimpleNamespace(read=lambda study_id: study), truth_of(np.full((1, 25), 2)), crops)


@pytest.mark.parametrize("offset_mm", [(5.0, 0.0), (0.0, -7.0), (3.0, 4.0)])
def test_a_crop_cut_aside_shows_the_lesion_beside_its_middle(scanned, offset_mm):
    grader, phantom = scanned
    for row, token in CASES:
        aside = cut_aside(grader, phantom, row, token, np.array(offset_mm))
        assert aside is not None and len(aside.crops.pixels) == 1
        xyz = grid_xyz_mm(aside.crop, RECIPE)
        middle = xyz.mean((0, 1))
        offset = (middle - aside.lesion_xyz_mm) @ aside.crop.frame.direction_cosines.T
        np.testing.assert_allclose(np.abs(offset), np.abs(offset_mm), atol=0.5)
        assert (aside.crops.pixels[0, token] != phantom.crops.pixels[row, token]).any()


def test_a_map_of_the_lesion_is_told_from_one_of_the_middle(scanned, monkeypatch):
    grader, phantom = scanned
    fresh = SimpleNamespace(crop_recipe=RECIPE)

    def lesion_map(which, one, row, target, token):
        """The trained grader looks at the lesion, which only it knows; the fresh one everywhere."""
        if which is fresh:
            return Saliency(token, target, 2, 0.3, np.ones((32, 32)))
        near = in_plane_mm(grid_xyz_mm(aside[-1].crop, RECIPE), aside[-1].lesion_xyz_mm, aside[-1].crop.frame.normal)
        return Saliency(token, target, 2, 0.9, -np.exp(-0.5 * (near / 2) ** 2))

    aside = []

    def kept(*arguments):
        aside.append(cut_aside(*arguments))
        return aside[-1]

    monkeypatch.setattr(grading_saliency, "untrained", lambda *_: fresh)
    monkeypatch.setattr(grading_saliency, "of_token", lesion_map)
    monkeypatch.setattr(evaluation_saliency, "cut_aside", kept)
    table = localisation(grader, phantom, CASES, 7.0)
    assert len(table) == 3 and (table["p"] == 0.9).all()
    assert (table["trained"] > 0.95).all() and (table["opposite"] < 0.05).all()
    np.testing.assert_allclose(table["untrained"], table["even"])
    assert (table["even"] < 0.5).all() and (table["blob"] < table["trained"]).all()


def test_means_and_gains_by_hand():
    values = np.array([[0.6, 0.2, 0.3, 0.5, 0.1], [0.8, 0.4, 0.3, 0.5, 0.1]])
    cases = pd.DataFrame(values, columns=list(MAPS)).assign(study_id=[1, 2])
    table = summary(cases)
    np.testing.assert_allclose(table["share"], values.mean(0))
    np.testing.assert_allclose(table["gain"], 0.7 - values.mean(0), atol=1e-12)
    # Resampled, each study comes 0 to 2 times: from 0.6 alone to 0.8 alone. Paired, the gain over `opposite` is fixed.
    assert table.loc["trained", ["share_low", "share_high"]].tolist() == pytest.approx([0.6, 0.8])
    assert table.loc["opposite", ["gain_low", "gain_high"]].tolist() == pytest.approx([0.4, 0.4])
    assert summary(cases.iloc[:0]).empty


def test_real_cohorts_have_no_truth_to_hold_maps_against(tmp_path):
    crops, _ = crop_set(1)
    table = check(SimpleNamespace(), SimpleNamespace(folder=tmp_path), crops, [0], 5)
    assert table.empty and {"trained", "even"} <= set(table)
