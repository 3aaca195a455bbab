"""Kinds without tables: the surest model names the kind, none sure names none."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from spinekit.anatomy import AXIAL_T2, LEVELS, SAGITTAL_T1, SAGITTAL_T2, TARGETS
from spinekit.geometry import StackFrame, rigid_matrix, transform_frame
from spinekit.io.stacks import Stack
from spinekit.localization import localizer, series_kind
from spinekit.localization.heatmaps import CHANNELS, SHOWN
from spinekit.localization.localizer import Localizer
from spinekit.localization.peaks import Spread
from spinekit.localization.resampling import AXES_OF_KIND, CanonicalStack, Grid

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

    looked_at: list[tuple[str, str]] = []

    def predict(model: str, stack: CanonicalStack) -> np.ndarray:
        looked_at.append((model, stack.series_id))
        bright = float((stack.images[:, 8 - 4] > 128).mean())
        height = {SAGITTAL_T1: 0.9 - 0.8 * bright, SAGITTAL_T2: 0.1 + 0.8 * bright, AXIAL_T2: 0.8 * bright}[model]
        return np.full((5, len(SHOWN[model]), 16, 16), height, np.float32)

    monkeypatch.setattr(localizer, "predict", predict)
    recipe = SimpleNamespace(grids=lambda: GRIDS)
    # The sagittal landmarks: levels 30 mm apart about the middle of the axial stacks of ``series``.
    places = np.array([(16.0, 16.0, 68.0 - 30.0 * LEVELS.index(target.level)) for target in TARGETS])
    monkeypatch.setattr(series_kind, "assemble", lambda *_: SimpleNamespace(xyz_mm=places))
    models = {kind: Localizer(kind, recipe, kind, Spread.unknown(CHANNELS[kind])) for kind in SHOWN}  # type: ignore[arg-type]
    return SimpleNamespace(models=models, shape=None, grids=recipe.grids, looked_at=looked_at)


def test_the_surest_model_of_the_plane_names_the_kind(localizers: SimpleNamespace) -> None:
    found = series_kind.guess_kinds(
        [series("a", SAGITTAL_T2, 9.0), series("b", SAGITTAL_T1, 0.0), series("c", AXIAL_T2, 9.0)], localizers
    )
    assert {name: guess.kind for name, guess in found.items()} == {"a": SAGITTAL_T2, "b": SAGITTAL_T1, "c": AXIAL_T2}
    assert set(found["c"].heights) == {AXIAL_T2}


def test_each_model_looks_once_at_a_stack(localizers: SimpleNamespace) -> None:
    stacks = [series("a", SAGITTAL_T2, 9.0), series("c", AXIAL_T2, 9.0)]
    for _ in range(2):  # and once in all, however often the kinds are asked for
        series_kind.guess_kinds(stacks, localizers)  # type: ignore[arg-type]
    assert sorted(localizers.looked_at) == [(AXIAL_T2, "c"), (SAGITTAL_T1, "a"), (SAGITTAL_T2, "a")]
    series_kind.guess_kinds([series("a", SAGITTAL_T2, 0.0)], localizers)  # other pixels under the same name
    assert len(localizers.looked_at) == 3 + 2


def test_a_series_on_which_no_model_sees_a_spine_has_no_kind_and_is_named(localizers: SimpleNamespace) -> None:
    found = series_kind.guess_kinds([series("x", AXIAL_T2, 0.0), series("a", SAGITTAL_T2, 9.0)], localizers)
    assert found["x"].kind is None
    findings = series_kind.kind_findings("1", found, {"x": AXIAL_T2, "a": SAGITTAL_T1})
    assert [(f.series_id, f.code) for f in findings] == [("x", "not_lumbar"), ("a", "kind_in_doubt")]


def test_where_a_model_is_wanting_nothing_is_said_of_the_kind(localizers: SimpleNamespace) -> None:
    del localizers.models[SAGITTAL_T2]  # the other would take every sagittal series for its own
    found = series_kind.guess_kinds([series("a", SAGITTAL_T1, 9.0), series("c", AXIAL_T2, 9.0)], localizers)
    assert found["a"].kind is None and found["c"].kind == AXIAL_T2
    assert [f.code for f in series_kind.kind_findings("1", found, {})] == ["kind_not_judged"]


def test_an_axial_series_above_all_levels_is_not_lumbar_whatever_it_looks_like(localizers: SimpleNamespace) -> None:
    thoracic = series("far", AXIAL_T2, 9.0)
    thoracic = replace(
        thoracic, frame=transform_frame(thoracic.frame, rigid_matrix((0, 0, 0), (0, 0, 200.0), (0, 0, 0)))
    )
    lumbar, sagittal = series("near", AXIAL_T2, 9.0), series("a", SAGITTAL_T2, 9.0)
    found = series_kind.guess_kinds([sagittal, lumbar, thoracic], localizers)  # type: ignore[arg-type]
    assert {name: guess.kind for name, guess in found.items()} == {"a": SAGITTAL_T2, "near": AXIAL_T2, "far": None}
    alone = series_kind.guess_kinds([thoracic], localizers)  # type: ignore[arg-type]
    assert alone["far"].kind == AXIAL_T2  # no other series tells where it lies


def test_judging_a_study_names_what_is_seen_and_what_contradicts(localizers: SimpleNamespace) -> None:
    stacks = [
        series("a", SAGITTAL_T2, 9.0),
        series("x", AXIAL_T2, 0.0),
        replace(series("h", AXIAL_T2, 9.0), pixels=None),
    ]
    seen, findings = series_kind.kinds_by_pixels("7", stacks, localizers)  # type: ignore[arg-type]
    assert seen == {"a": SAGITTAL_T2, "x": ""}  # of "h" only the header was read
    assert [(f.study_id, f.series_id, f.code) for f in findings] == [("7", "x", "not_lumbar")]
