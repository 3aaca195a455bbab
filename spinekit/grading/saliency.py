"""Where a grader looks: how the probability of a grade changes when a part of a crop is hidden.

Occlusion sensitivity (Zeiler and Fergus 2014), by MONAI. It needs only predictions and works for any model; class
activation maps do not fit here, as the encoder's last map of a small crop has two by two cells. A map shows what *this
prediction* depends on, which need not be what a radiologist would look at (Adebayo et al. 2018).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from spinekit.anatomy import GROUPS, LEVELS, SEVERITIES, TARGETS
from spinekit.geometry import Floats, StackFrame
from spinekit.grading.augmentation import centre_views
from spinekit.grading.batches import study_batch
from spinekit.grading.crop_cache import CropSet, Rows
from spinekit.grading.crops import Crop, CropRecipe, cut
from spinekit.grading.grader import SANDWICHES, Grader
from spinekit.grading.models import CropClassifier, SequenceGrader, build_classifier
from spinekit.grading.tokens import TOKEN_TARGETS, TOKENS, spine_directions
from spinekit.io.study import Study

SEVERE = SEVERITIES.index("Severe")
HIDDEN_MM = 9.0  # side of the hidden square: about a foramen, or half a canal
OVERLAP = 0.6  # of neighbouring hidden squares
BATCH = 128  # crops in one forward pass


@dataclass(frozen=True)
class Saliency:
    """What the prediction of one target depends on in one crop.

    ``change`` (size, size): by how much the probability ``p`` of ``grade`` changes when a square around a pixel is
    hidden, mean over the squares that cover the pixel. Below 0: what that square shows supports the grade; above 0: it
    contradicts it, as bright fat in a foramen contradicts Severe. Pixel (0, 0) is the first one inside the margin
    of the token's cached crop.
    """

    token: int
    target: int
    grade: int
    p: float
    change: Floats

    @property
    def share(self) -> Floats:
        """(size, size) share of each pixel in the absolute change; sums to 1, all 0 where nothing changes."""
        size = np.abs(self.change)
        return size / max(size.sum(), np.finfo(float).tiny)


def most_confident(p: Floats, crops: CropSet, rows: Rows, grade: int = SEVERE) -> tuple[int, int]:
    """Row and target with the largest probability of a grade, of those with a crop, among predictions (n, 25, 3) of the
    studies ``rows``."""
    present = crops.present[np.asarray(rows)][:, : p.shape[1]]
    i, target = np.unravel_index(np.where(present, p[..., grade], -1.0).argmax(), present.shape)
    return int(rows[int(i)]), int(target)


def own_tokens(crops: CropSet, row: int, target: int) -> list[int]:
    """The present tokens of a study that show a target: two of the canal, one of any other."""
    return [t for t in np.flatnonzero(target == TOKEN_TARGETS).tolist() if crops.present[row, t]]


def saliency(grader: Grader, crops: CropSet, row: int, target: int, grade: int = SEVERE) -> list[Saliency]:
    """Maps of the target's own crops in the study ``row``; empty where no crop shows it."""
    return [of_token(grader, crops, row, target, token, grade) for token in own_tokens(crops, row, target)]


def of_token(grader: Grader, crops: CropSet, row: int, target: int, token: int, grade: int = SEVERE) -> Saliency:
    """What one crop, of this target or of another, contributes to a target. The study is graded as it is, without
    test-time augmentation."""
    from monai.visualize import OcclusionSensitivity  # takes seconds to import

    recipe = grader.crop_recipe
    model = OneCrop(grader, crops, row, target, token).eval()
    x = centre_views(torch.from_numpy(crops.pixels[row, token][None].copy()), recipe)
    side = hidden_px(recipe, TOKENS[token].kind, float(crops.crop_scale[row, token]))
    occlusion = OcclusionSensitivity(
        model, side, BATCH, verbose=False, mode="mean_img", overlap=OVERLAP, activate=partial(torch.softmax, dim=1)
    )
    with torch.inference_mode(), _quiet():
        p = float(model(x).softmax(1)[0, grade])
        hidden = occlusion(x)[0][0, grade]
    return Saliency(token, target, grade, p, np.asarray(hidden, dtype=np.float64) - p)


def hidden_px(recipe: CropRecipe, kind: str, crop_scale: float = 1.0) -> int:
    """Pixels of ``HIDDEN_MM`` in a crop, at least two and at most half the crop."""
    return int(np.clip(round(HIDDEN_MM / (recipe.mm_per_px(kind) * crop_scale)), 2, recipe.size_px // 2))


@contextmanager
def _quiet() -> Iterator[None]:
    """Without MONAI's warning that torch will read its lists of slices in another way one day; the test would show."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Using a non-tuple sequence for multidimensional indexing")
        yield


class OneCrop(nn.Module):
    """A grader as a function of one crop of a study, all else fixed: (b, window, size, size) to logits (b, 3)."""

    def __init__(self, grader: Grader, crops: CropSet, row: int, target: int, token: int) -> None:
        super().__init__()
        self.model, self.target, self.token = grader.model.cpu().eval(), target, token
        if isinstance(grader.model, SequenceGrader):
            batch = study_batch(crops, [row])
            self.present, self.positions = batch.present, batch.positions
            with torch.inference_mode():
                x = batch.centre_views(grader.crop_recipe)
                self.features, self.alone = grader.model.encode_crops(x, self.present)

    def forward(self, x: Tensor) -> Tensor:
        b, model = len(x), self.model
        token = torch.full((b,), self.token)
        if isinstance(model, CropClassifier):
            return model(x, token)
        assert isinstance(model, SequenceGrader)
        features, alone = (cached.expand(b, -1, -1).clone() for cached in (self.features, self.alone))
        features[:, self.token] = model.classifier.encode(x)
        alone[:, self.token] = model.classifier.grade(features[:, self.token], token)
        logits = model.attend(features, alone, self.present.expand(b, -1), self.positions.expand(b, -1, -1))
        return logits[:, self.target]


def crop_of(study: Study, crops: CropSet, row: int, token: int, recipe: CropRecipe) -> Crop | None:
    """The crop that the cache holds as a token, cut again from the study: its frame places it in the patient."""
    centres = crops.centres_xyz_mm[row]
    down = spine_directions(centres[: TOKEN_TARGETS.max() + 1])[TOKENS[token].level]
    crop = cut(study, TOKENS[token], centres[token], down, recipe)
    if crop is None or crops.crop_scale[row, token] == 1:
        return crop
    return replace(crop, frame=_wider(crop.frame, float(crops.crop_scale[row, token])))


def _wider(frame: StackFrame, times: float) -> StackFrame:
    """A frame about the same centre with larger pixels. Its crop's pixels are then not what the model saw."""
    half = (frame.shape_rc[0] - 1) / 2 * frame.spacing_rc_mm[0] * frame.direction_cosines.sum(0)
    corner = frame.origins_xyz_mm + half * (1 - times)
    return StackFrame(corner, frame.direction_cosines, frame.spacing_rc_mm * times, frame.shape_rc)


def grid_xyz_mm(crop: Crop, recipe: CropRecipe) -> Floats:
    """(size, size, 3) patient mm (LPS) of the pixels of a map on the middle slice of its crop."""
    inner = np.arange(recipe.size_px) + recipe.margin_px
    x, y = np.meshgrid(inner, inner)
    return crop.frame.to_patient(np.stack([x, y], -1).astype(np.float64), len(crop.pixels) // 2)


def in_plane_mm(xyz_mm: Floats, place_xyz_mm: Floats, normal: Floats) -> Floats:
    """(size, size) distance of each pixel from a place, both projected along ``normal``."""
    offset_mm = xyz_mm - place_xyz_mm
    return np.linalg.norm(offset_mm - (offset_mm @ normal)[..., None] * normal, axis=-1)


def untrained(grader: Grader, seed: int = 0) -> Grader:
    """The same grader with random weights, for the randomisation test of its maps (Adebayo et al. 2018)."""
    torch.manual_seed(seed)
    recipe = replace(grader.recipe, pretrained="")
    model: nn.Module = build_classifier(recipe, sandwiches=grader.kind == SANDWICHES)
    if isinstance(grader.model, SequenceGrader):
        assert isinstance(model, CropClassifier)
        model = SequenceGrader(model, recipe)
    return replace(grader, model=model)


ROLES = ("own crops", "other side", "same level, other view", "same view, next level", "all others")


def roles_of(target: int) -> NDArray[np.intp]:
    """(30,) role of each token for a target: index into ``ROLES``."""
    of_target, roles = TARGETS[target], np.full(len(TOKENS), 4)
    for i, token in enumerate(TOKENS):
        group = TARGETS[token.target].group
        levels = abs(token.level - LEVELS.index(of_target.level))
        if token.target == target:
            roles[i] = 0
        elif group == of_target.group and levels == 0:
            roles[i] = 1
        elif levels == 0:
            roles[i] = 2
        elif group == of_target.group and token.side == of_target.side and levels == 1:
            roles[i] = 3
    return roles


@torch.inference_mode()
def influence(grader: Grader, crops: CropSet, rows: Rows) -> pd.DataFrame:
    """How much hiding tokens changes a prediction: mean absolute change of P(Severe), groups by ``ROLES``."""
    assert isinstance(grader.model, SequenceGrader)
    model, batch = grader.model.cpu().eval(), study_batch(crops, rows)
    features, alone = model.encode_crops(batch.centre_views(grader.crop_recipe), batch.present)

    def severe(present: Tensor) -> Tensor:  # (b, 25)
        return model.attend(features, alone, present, batch.positions).softmax(-1)[..., SEVERE]

    whole = severe(batch.present)
    change = np.zeros((len(TARGETS), len(ROLES)))
    for target in range(len(TARGETS)):
        roles = torch.from_numpy(roles_of(target))
        for role in range(len(ROLES)):
            hidden = severe(batch.present & (roles != role))
            change[target, role] = (hidden - whole)[:, target].abs().mean()
    table = pd.DataFrame(change, columns=list(ROLES)).groupby([t.group for t in TARGETS]).mean()
    return table.loc[list(GROUPS)]
