"""Views of cached crops: the centre, or shifted, rotated, on another slice, reversed."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from crop_sets import RECIPE

from spinekit.course.profiles import SMOKE
from spinekit.grading.augmentation import NO_JITTER, Augmentation, Jitter, centre_views, random_views
from spinekit.grading.tokens import REVERSED_COLUMNS, REVERSED_SLICES, TOKENS, VIEWS

STILL = Augmentation(rotation_deg=0.0, log_scale=0.0, log_gamma=0.0, noise=0.0, imputed=0.0)
GRADER = replace(SMOKE.grader, crops=RECIPE)


def pixels(n: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    size = RECIPE.cached_px
    return torch.randint(0, 256, (n, RECIPE.slices, size, size), dtype=torch.uint8, generator=generator)


def sided() -> torch.Tensor:
    """Tokens that have a side: their crops are never reversed."""
    return torch.tensor([i for i, token in enumerate(TOKENS) if token.side])


def moved(mm: float) -> Jitter:
    """Every crop is off by so much in its plane."""
    return replace(NO_JITTER, in_plane_mm=((mm, mm),) * len(VIEWS))


def test_random_views_without_any_change_are_the_centre_views() -> None:
    x = pixels(len(sided()))
    views, weight = random_views(x, sided(), RECIPE, STILL, NO_JITTER)
    torch.testing.assert_close(views, centre_views(x, RECIPE).clamp_min(1e-4), atol=1e-4, rtol=0)
    assert (weight == 1).all()


def test_neighbouring_slices_get_the_imputed_label_with_less_weight() -> None:
    x = torch.arange(5, dtype=torch.uint8)[None, :, None, None] * 50
    x = x.expand(400, -1, RECIPE.cached_px, RECIPE.cached_px)
    torch.manual_seed(0)
    imputing = replace(STILL, imputed=0.5, decay=0.5)
    views, weight = random_views(x, torch.full((400,), 7), RECIPE, imputing, NO_JITTER)
    middle = (views[:, 1, 5, 5] * 255 / 50).round()
    assert set(middle.tolist()) == {1.0, 2.0, 3.0}
    assert (weight == torch.where(middle == 2, 1.0, 0.5)).all()
    assert 0.4 < float((middle == 2).float().mean()) < 0.6


def test_shifts_are_in_millimetres_and_stay_inside_the_margin() -> None:
    x = torch.zeros(300, RECIPE.slices, RECIPE.cached_px, RECIPE.cached_px, dtype=torch.uint8)
    x[..., RECIPE.cached_px // 2, RECIPE.cached_px // 2] = 255
    torch.manual_seed(0)
    views, _ = random_views(x, torch.full((300,), 7), RECIPE, STILL, moved(2.1))
    rows, columns = (views[:, 1].sum(axis).argmax(-1).float() - RECIPE.size_px / 2 for axis in (2, 1))
    away = torch.hypot(rows, columns) * RECIPE.sagittal_mm
    assert float(away.mean()) == pytest.approx(2.1, abs=0.3) and float(away.max()) < 3.0
    assert abs(float(columns.mean())) < 0.4 and abs(float(rows.mean())) < 0.4  # in any direction
    wild, _ = random_views(x + 10, torch.full((300,), 7), RECIPE, STILL, moved(500.0))
    assert float(wild.min()) > 0.03  # never black from outside the cached crop


def test_crops_are_moved_as_often_and_as_far_as_their_view_asks() -> None:
    x = torch.arange(5, dtype=torch.uint8)[None, :, None, None] * 50
    x = x.expand(600, -1, RECIPE.cached_px, RECIPE.cached_px)
    foraminal = VIEWS.index("foraminal")
    shares = tuple((0.6, 0.4) if view == foraminal else (1.0, 0.0) for view in range(len(VIEWS)))
    torch.manual_seed(0)
    for token, off in ((7, 0.4), (1, 0.0)):  # a foramen, a canal
        views, weight = random_views(x, torch.full((600,), token), RECIPE, STILL, replace(NO_JITTER, slices=shares))
        middle = (views[:, 1, 5, 5] * 255 / 50).round()
        assert float((middle != 2).float().mean()) == pytest.approx(off, abs=0.06)
        assert (weight == 1).all()  # moved, not imputed


def test_crops_without_a_side_are_reversed_half_of_the_time_others_never() -> None:
    x = pixels(1).expand(200, -1, -1, -1)
    plain = centre_views(x[:1], RECIPE)[0].clamp_min(1e-4)
    torch.manual_seed(0)
    for token, reversed_axis in ((REVERSED_SLICES[0], 0), (REVERSED_COLUMNS[0], 2), (int(sided()[0]), None)):
        views, _ = random_views(x, torch.full((200,), token), RECIPE, STILL, NO_JITTER)
        kept = torch.tensor([torch.allclose(v, plain, atol=1e-3) for v in views])
        if reversed_axis is None:
            assert kept.all()
        else:
            assert 60 < int(kept.sum()) < 140
            other = views[~kept][0]
            assert torch.allclose(other, plain.flip(reversed_axis), atol=1e-3)
