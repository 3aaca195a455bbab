"""Watchers see the losses and scores of a training, and change nothing in it."""

from __future__ import annotations

from pathlib import Path

from tiny_training import RECIPE, tiny_data, tiny_loss, tiny_model

from spinekit.learning import training
from spinekit.learning.training import FitOptions, fit
from spinekit.learning.watching import REPORTS, Progress, watched_by

OPTIONS = FitOptions(validate=lambda model: {"score": 0.25}, progress="halves")


def _fit(folder: Path) -> bytes:
    fit(tiny_model(), tiny_data(), tiny_loss, RECIPE, folder, OPTIONS)
    return (folder / training.MODEL).read_bytes() + (folder / training.HISTORY).read_bytes()


def test_a_watcher_sees_losses_in_order_and_scores_after_each_epoch(tmp_path: Path) -> None:
    reports: list[Progress] = []
    with watched_by(reports.append):
        history = fit(tiny_model(), tiny_data(), tiny_loss, RECIPE, tmp_path, OPTIONS)
    losses = [r for r in reports if not r.scores]
    steps = RECIPE.epochs * (60 // RECIPE.batch_size)
    assert [r.step for r in losses] == sorted({r.step for r in losses})
    assert losses[-1].step == losses[-1].steps == steps
    assert len(losses) <= REPORTS + 1
    assert {(r.name, r.folder) for r in reports} == {("halves", tmp_path)}
    per_epoch = [r.loss for r in losses if r.step <= steps // RECIPE.epochs]
    assert abs(sum(per_epoch) / len(per_epoch) - history["loss"][0]) < 1e-5
    assert [(r.step, dict(r.scores)) for r in reports if r.scores] == [
        (7 * epoch, {"score": 0.25}) for epoch in range(1, RECIPE.epochs + 1)
    ]


def test_watching_changes_no_byte(tmp_path: Path) -> None:
    alone = _fit(tmp_path / "alone")
    with watched_by(lambda progress: None):
        assert _fit(tmp_path / "watched") == alone


def test_nobody_is_told_after_the_block_and_inner_watchers_join_outer_ones(tmp_path: Path) -> None:
    outer: list[Progress] = []
    inner: list[Progress] = []
    with watched_by(outer.append):
        with watched_by(inner.append):
            _fit(tmp_path / "a")
        both = len(outer)
        _fit(tmp_path / "b")
    _fit(tmp_path / "c")
    assert len(inner) == both and len(outer) == 2 * both
