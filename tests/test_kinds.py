"""Kinds without tables: the surest model names the kind, none sure names none."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from spinekit import kinds
from spinekit.anatomy import AXIAL_T2, SAGITTAL_T1, SAGITTAL_T2
from spinekit.canonical import AXES_OF_KIND, Grid
from spinekit.dicom import Stack
from spinekit.geometry import StackFrame
from spinekit.heatmaps import SHOWN

GRIDS = {kind: Grid(2.0, (16, 16)) for kind in SHOWN}


def series(name: str, kind: str, brightness: float) -> Stack:
    """A series of even brightness above a dark half, in the plane of a kind; the kind itself is not told."""
    frame = StackFrame(
        np.arange(5)[:, None] * 4.0 * np.cross(*AXES_OF_KIND[kind]), AXES_OF_KIND[kind], np.full(2, 2.0), (16, 16)
    )
    pixels = np.zeros((5, 16, 16), np.float32)
    pixels[:, :8] = brightness
    return Stack(name, None, frame, tuple(range(1, 6)), (), pixels)


@pytest.fixture
def localizers(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Models that know one thing: whether the upper part of an image is bright."""

    def predict(model: str, stack: object) -> np.ndarray:
        bright = float((stack.images[:, 8 - 4] > 128).mean())  # type: ignore[attr-defined]
        height = {SAGITTAL_T1: 0.9 - 0.8 * bright, SAGITTAL_T2: 0.1 + 0.8 * bright, AXIAL_T2: 0.8 * bright}[model]
        return np.full((5, len(SHOWN[model]), 16, 16), height, np.float32)

    monkeypatch.setattr(kinds, "predict", predict)
    recipe = SimpleNamespace(grids=lambda: GRIDS)
    return SimpleNamespace(models={kind: SimpleNamespace(model=kind, recipe=recipe) for kind in SHOWN})


def test_the_surest_model_of_the_plane_names_the_kind(localizers: SimpleNamespace) -> None:
    found = kinds.guess_kinds(
        [series("a", SAGITTAL_T2, 9.0), series("b", SAGITTAL_T1, 0.0), series("c", AXIAL_T2, 9.0)], localizers
    )
    assert {name: guess.kind for name, guess in found.items()} == {"a": SAGITTAL_T2, "b": SAGITTAL_T1, "c": AXIAL_T2}
    assert set(found["c"].heights) == {AXIAL_T2}


def test_a_series_on_which_no_model_sees_a_spine_has_no_kind_and_is_named(localizers: SimpleNamespace) -> None:
    found = kinds.guess_kinds([series("x", AXIAL_T2, 0.0), series("a", SAGITTAL_T2, 9.0)], localizers)
    assert found["x"].kind is None
    findings = kinds.kind_findings("1", found, {"x": AXIAL_T2, "a": SAGITTAL_T1})
    assert [(f.series_id, f.code) for f in findings] == [("x", "not_lumbar"), ("a", "kind_in_doubt")]


def test_judging_a_study_names_what_is_seen_and_what_contradicts(localizers: SimpleNamespace) -> None:
    stacks = [
        series("a", SAGITTAL_T2, 9.0),
        series("x", AXIAL_T2, 0.0),
        replace(series("h", AXIAL_T2, 9.0), pixels=None),
    ]
    seen, findings = kinds.judge("7", stacks, localizers)  # type: ignore[arg-type]
    assert seen == {"a": SAGITTAL_T2, "x": ""}  # of "h" only the header was read
    assert [(f.study_id, f.series_id, f.code) for f in findings] == [("7", "x", "not_lumbar")]
