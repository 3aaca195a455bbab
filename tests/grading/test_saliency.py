"""Saliency of a grader that is known to look at one corner, and its way back to the patient."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from crop_sets import RECIPE, crop_set
from tilted_stacks import frame_of, landmarks, study_of
from torch import Tensor, nn

from spinekit.anatomy import KINDS
from spinekit.course.profiles import SMOKE
from spinekit.evaluation.saliency import summary
from spinekit.grading.crop_cache import of_study
from spinekit.grading.crops import CropRecipe, study_crops
from spinekit.grading.grader import Grader
from spinekit.grading.models import SequenceGrader, build_classifier
from spinekit.grading.saliency import crop_of, grid_xyz_mm, hidden_px, in_plane_mm, of_token, saliency, untrained
from spinekit.grading.tokens import TOKENS

torch.set_num_threads(1)
SMALL = replace(SMOKE.grader, crops=RECIPE)
CORNER = slice(2, 7), slice(15, 21)  # rows and columns of the crop without its margin


class LooksAtCorner(nn.Module):
    """An encoder that sees nothing but how the pixels of ``CORNER`` differ from each other."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, *CORNER].std((1, 2, 3))[:, None].expand(-1, 16)


def corner_grader(sequence: bool) -> Grader:
    torch.manual_seed(0)
    classifier = build_classifier(SMALL)
    classifier.encoder, classifier.features = LooksAtCorner(), 16
    classifier.head = nn.Linear(16, 4 * 3)
    nn.init.zeros_(classifier.head.bias)
    with torch.no_grad():
        classifier.head.weight.copy_(torch.tensor([-0.1, 0.0, 0.1]).repeat(4)[:, None].expand(-1, 16))
    model = SequenceGrader(classifier, SMALL) if sequence else classifier
    return Grader("sequence" if sequence else "crops", model, SMALL, np.full((25, 3), 1 / 3))


@pytest.mark.parametrize("sequence", [False, True])
def test_a_grader_that_looks_at_a_corner_is_found_to(sequence: bool) -> None:
    crops, _ = crop_set(2)
    crops.present[1, 27] = False
    crops.pixels[:] = np.random.default_rng(2).integers(60, 120, crops.pixels.shape)
    grader = corner_grader(sequence)
    maps = saliency(grader, crops, 0, 2)
    assert [found.token for found in maps] == [2, 27]  # the canal from the side and from above
    assert [found.token for found in saliency(grader, crops, 1, 2)] == [2]
    for found in maps:
        assert found.change.shape == (RECIPE.size_px, RECIPE.size_px)
        y, x = np.unravel_index(found.change.argmin(), found.change.shape)
        assert abs(y - 4) <= 4 and abs(x - 17.5) <= 4
        assert found.share.sum() == pytest.approx(1)
        assert found.share[:12, 10:].sum() > 0.6  # of 0.29 of the crop; hiding also changes how it is standardised
        assert found.change.min() < -0.02  # noise in the corner speaks for Severe here


def test_other_crops_count_for_a_transformer_and_not_for_crops_alone() -> None:
    crops, _ = crop_set(1)
    torch.manual_seed(1)
    alone, together = corner_grader(False), corner_grader(True)
    assert isinstance(together.model, SequenceGrader)
    nn.init.normal_(together.model.residual_head.weight)
    other = [of_token(grader, crops, 0, 0, 9) for grader in (alone, together)]
    own = of_token(together, crops, 0, 0, 0)
    assert np.abs(other[1].change).max() > 1e-4
    assert np.abs(own.change).max() > np.abs(other[1].change).max()


def test_the_probability_is_that_of_the_grader() -> None:
    crops, _ = crop_set(1)
    grader = corner_grader(True)
    maps = [of_token(grader, crops, 0, 4, 4, grade) for grade in range(3)]
    assert sum(found.p for found in maps) == pytest.approx(1, abs=1e-5)
    x = torch.from_numpy(crops.pixels[0])[None, :, 1:4, 4:28, 4:28].float() / 255
    present, positions = torch.from_numpy(crops.present), torch.from_numpy(crops.positions).float()
    with torch.inference_mode():
        expected = grader.model.eval()(x, present, positions)[0].softmax(-1)[0, 4]
    np.testing.assert_allclose([found.p for found in maps], expected, atol=1e-5)


def test_a_model_that_sees_nothing_has_an_empty_map() -> None:
    crops, _ = crop_set(1)
    crops.pixels[:] = 100
    found = of_token(corner_grader(False), crops, 0, 0, 0)
    assert np.abs(found.change).max() < 1e-4 and found.share.sum() <= 1


@pytest.mark.parametrize("unsure", [False, True])
def test_a_map_lies_where_its_pixels_were_taken_in_the_patient(unsure: bool) -> None:
    recipe, places = CropRecipe(size_px=16, margin_px=2), landmarks()
    study = study_of(lambda xyz: 100 + xyz[..., 2] + 0.5 * xyz[..., 1], {kind: frame_of(kind) for kind in KINDS})
    cut = study_crops(study, places, recipe, np.full(25, 14.0 if unsure else 0.0))
    crops = of_study(1, cut)
    assert (crops.crop_scale[0, crops.present[0]] > 1).all() == unsure
    for token in (0, 7, 12, 18, 23, 26):
        found = crop_of(study, crops, 0, token, recipe)
        assert found is not None
        xyz = grid_xyz_mm(found, recipe)
        assert xyz.shape == (16, 16, 3)
        seen, true = cut.pixels[token, 2, 2:18, 2:18].astype(float), xyz[..., 2] + 0.5 * xyz[..., 1]
        slope, offset = np.polyfit(true.ravel(), seen.ravel(), 1)
        inside = (seen > 0) & (seen < 255)
        np.testing.assert_allclose(seen[inside], (slope * true + offset)[inside], atol=1.5)
        off = in_plane_mm(xyz, crops.centres_xyz_mm[0, token], found.frame.normal)
        assert off.min() < 0.8 * found.frame.spacing_rc_mm[0] and off.argmin() // 16 in (7, 8)


def test_the_hidden_square_is_the_same_in_mm() -> None:
    recipe = CropRecipe(size_px=64)
    kinds = [TOKENS[0].kind, TOKENS[15].kind]
    assert [hidden_px(recipe, kind) for kind in kinds] == [13, 15]
    assert hidden_px(recipe, kinds[0], crop_scale=2.0) == 6
    assert hidden_px(CropRecipe(size_px=8), kinds[0]) == 4


def test_fresh_weights_are_fresh_and_repeatable() -> None:
    torch.manual_seed(3)
    grader = Grader("sequence", SequenceGrader(build_classifier(SMALL), SMALL), SMALL, np.full((25, 3), 1 / 3))
    one, again, other = (untrained(grader, seed).model.state_dict() for seed in (0, 0, 1))
    name = next(name for name, values in one.items() if values.ndim == 4)
    assert torch.equal(one[name], again[name]) and not torch.equal(one[name], other[name])
    assert not torch.equal(one[name], grader.model.state_dict()[name])


def test_what_more_lies_near_the_lesion_is_counted_by_study() -> None:
    """Two crops of a study are not two studies."""
    rng = np.random.default_rng(0)
    trained = np.repeat(0.5 + 0.1 * rng.standard_normal(60), 2)
    cases = pd.DataFrame({"study_id": np.repeat(np.arange(60), 2), "trained": trained, "opposite": 0.2})
    cases = cases.assign(untrained=trained - 0.1, blob=0.3, even=0.1)
    found = summary(cases)
    assert found.loc["trained", "share"] == pytest.approx(trained.mean()) and found.loc["trained", "gain"] == 0
    width = found.loc["trained", "share_high"] - found.loc["trained", "share_low"]
    assert width == pytest.approx(2 * 1.96 * trained.std() / np.sqrt(60), rel=0.15)
    np.testing.assert_allclose(found.loc["untrained", ["gain", "gain_low", "gain_high"]].astype(float), 0.1)
    assert list(summary(cases[:0]).columns) == list(found.columns)
