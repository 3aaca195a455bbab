"""The other population: its patients look alike to another scanner; it is drawn once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from crop_sets import RECIPE, crop_set
from tiny_scan import SCAN

from spinekit.experiments import synthetic_source
from spinekit.grading.tokens import TOKENS


def test_another_scanner_shows_all_patients_alike_and_keeps_what_is_seen() -> None:
    pixels = crop_set(1)[0].pixels[0]
    other = pixels.copy()
    other[[3, 8, 20]] = 7  # a patient who differs in one crop of each kind of series
    first, again, second = (synthetic_source.another_look(p) for p in (pixels, pixels, other))
    assert (first == again).all() and (first != pixels).mean() > 0.9
    same = [i for i in range(len(TOKENS)) if i not in (3, 8, 20)]
    assert (first[same] == second[same]).all() and (first[3] != second[3]).mean() > 0.9
    square, around = first[:, :, 15:17, 15:17].mean(), first[:, :, :4, :4].mean()
    assert square > around + 20
    state = torch.random.get_rng_state()
    synthetic_source.another_look(pixels)
    assert torch.equal(state, torch.random.get_rng_state())


def test_it_is_drawn_once_and_anew_for_another_scan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order = (tmp_path / "source", 2, SCAN, RECIPE, True, 1)
    synthetic_source.draw_source(*order)
    data = synthetic_source.source_data(tmp_path / "source")
    assert data.train.tolist() == [0, 1] and data.train_labels.shape == (2, 25) and (data.train_labels >= 0).any()
    assert data.crops.pixels.shape[:2] == (2, len(TOKENS)) and not data.held_out.size
    drawn = []
    monkeypatch.setattr(
        synthetic_source.phantom, "write_cohort", lambda out, plan, workers: drawn.append(plan.recipe) or 1 / 0
    )
    synthetic_source.draw_source(*order)
    assert not drawn
    other = replace(SCAN, transitional=1.0)
    with pytest.raises(ZeroDivisionError):
        synthetic_source.draw_source(order[0], 2, other, *order[3:])
    assert drawn == [other]
