"""Kinds by headers and pixels: what each says, what happens where they disagree, what is skipped and why."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from stacks_by_hand import frame

from spinekit.anatomy import AXIAL_T2, SAGITTAL_T1, SAGITTAL_T2
from spinekit.exams import kinds
from spinekit.io.stacks import Stack
from spinekit.io.study import Study
from spinekit.localization.series_kind import Guess

NORMALS = {"sagittal": (1, 0, 0), "axial": (0, 0, 1), "coronal": (0, 1, 0)}
NO_TIMES = (float("nan"), float("nan"))


def series(
    name: str = "a", description: str = "", times: tuple[float, float] = NO_TIMES, plane: str = "sagittal", n: int = 9
) -> Stack:
    """A series with a description and echo and repetition time in ms."""
    at = frame((0, 0, 0), NORMALS[plane], n)
    return Stack(
        name,
        None,
        at,
        tuple(range(n)),
        (),
        np.zeros((n, 100, 100), np.float32),
        description,
        echo_time_ms=times[0],
        repetition_time_ms=times[1],
    )


@pytest.mark.parametrize(
    ("description", "times", "contrast"),
    [
        ("t1_tse_sag", NO_TIMES, kinds.T1),
        ("SAG T2", NO_TIMES, kinds.T2),
        ("STIR_sag", NO_TIMES, kinds.T2),
        ("", (10.0, 500.0), kinds.T1),
        ("", (105.0, 3500.0), kinds.T2),
        ("sag stir", (40.0, 4000.0), kinds.T2),
        ("", (20.0, 3000.0), kinds.OTHER),
        ("PD fs sag", NO_TIMES, kinds.OTHER),
        ("", NO_TIMES, ""),
        ("SAG T1", (105.0, 3500.0), ""),  # they contradict each other
        ("t1 and t2", NO_TIMES, ""),
    ],
)
def test_what_headers_say(description: str, times: tuple[float, float], contrast: str) -> None:
    assert kinds.by_headers(series(description=description, times=times)).contrast == contrast


def test_words_and_times_that_agree_are_surer_than_either() -> None:
    both = kinds.by_headers(series(description="T1", times=(10.0, 500.0)))
    assert both.confidence > kinds.by_headers(series(description="T1")).confidence > 0.9


@pytest.mark.parametrize(
    ("description", "skipped"),
    [
        ("localizer", True),
        ("3-pl loc", True),
        ("ep2d_diff_sag", True),
        ("T2 C-SPINE SAG", True),
        ("t2_tse_sag_thoracolumbar", False),
        ("T2 L-SPINE SAG", False),
        ("LWS t2 sag", False),
        ("T2 head first lumbar", False),
        ("T2 sag", False),
    ],
)
def test_what_is_skipped_by_its_description(description: str, skipped: bool) -> None:
    assert bool(kinds.by_headers(series(description=description)).skip) == skipped


def decide(monkeypatch: pytest.MonkeyPatch, heights: dict[str, dict[str, float]], *stacks: Stack) -> Any:
    """Kinds where the models have these peak heights on each series."""

    def guesses(chosen: list[Stack], _: object) -> dict[str, Guess]:
        out = {}
        for stack in chosen:
            peaks = heights.get(stack.series_id, {})
            best = max(peaks, key=lambda kind: peaks[kind], default=None)
            out[stack.series_id] = Guess(stack.series_id, best if best and peaks[best] >= 0.25 else None, peaks)
        return out

    monkeypatch.setattr(kinds, "guess_kinds", guesses)
    study, listed, findings = kinds.kinds_of(Study("7", stacks), SimpleNamespace())  # type: ignore[arg-type]
    return study, {one.series_uid: one for one in listed}, [(f.series_id, f.code) for f in findings]


def test_headers_and_pixels_that_agree_are_surer_than_pixels_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    peaks = {SAGITTAL_T1: 0.2, SAGITTAL_T2: 0.8}
    study, listed, findings = decide(
        monkeypatch, {"a": peaks, "b": peaks}, series("a", "T2 sag"), series("b"), series("c", "T1 sag")
    )
    assert listed["a"].kind_by == "both" and listed["b"].kind_by == "pixels" and listed["c"].kind_by == "headers"
    assert listed["a"].kind_confidence > listed["b"].kind_confidence > 0.8
    assert [stack.kind for stack in study.stacks] == [SAGITTAL_T2, SAGITTAL_T2, SAGITTAL_T1] and not findings


def test_where_they_disagree_a_finding_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    peaks = {SAGITTAL_T1: 0.3, SAGITTAL_T2: 0.4}
    study, listed, findings = decide(monkeypatch, {"a": peaks}, series("a", "T1 sag", (10.0, 500.0)))
    assert findings == [("a", "kind_in_doubt")]
    assert study.stacks[0].kind == SAGITTAL_T1 and listed["a"].kind_by == "headers"
    clear = {SAGITTAL_T1: 0.05, SAGITTAL_T2: 0.9}
    study, listed, findings = decide(monkeypatch, {"a": clear}, series("a", "T1 sag"))
    assert study.stacks[0].kind == SAGITTAL_T2 and findings == [("a", "kind_in_doubt")]


def test_without_a_lumbar_spine_a_series_is_skipped_unless_its_headers_name_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nothing = {SAGITTAL_T1: 0.1, SAGITTAL_T2: 0.1}
    study, listed, findings = decide(
        monkeypatch, {"a": nothing, "b": nothing}, series("a", "T2 sag"), series("b", "T2 L-spine sag")
    )
    assert [stack.series_id for stack in study.stacks] == ["b"]
    assert "no lumbar spine" in listed["a"].note
    assert findings == [("a", "series_skipped"), ("b", "not_lumbar")]


def test_other_planes_contrasts_and_short_series_are_skipped_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    peaks = {AXIAL_T2: 0.9}
    two = {SAGITTAL_T1: 0.1, SAGITTAL_T2: 0.9}
    stacks = [
        series("c", "T2 cor", plane="coronal"),
        series("x", "T1 ax", plane="axial"),
        series("p", "PD sag"),
        series("s", "T2 sag", n=2),
        replace(series("l", "T2 sag"), image_type=("ORIGINAL", "PRIMARY", "LOCALIZER")),
        series("a", "T2 ax", plane="axial"),
    ]
    study, listed, findings = decide(monkeypatch, {"x": peaks, "a": peaks, "s": two, "p": two, "l": two}, *stacks)
    assert [stack.series_id for stack in study.stacks] == ["a"]
    assert {name for name, one in listed.items() if one.note} == {"c", "x", "p", "s", "l"}
    assert findings == [(name, "series_skipped") for name in ("c", "x", "p", "s", "l")]


def test_contrasts_of_one_series_are_judged_each_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    early, late, extra = (
        replace(series("d", "dual", times=(echo, 3000.0)), contrast=f"echo {echo:g} ms")
        for echo in (20.0, 100.0, 120.0)
    )
    peaks = {SAGITTAL_T1: 0.1, SAGITTAL_T2: 0.9}
    heights = {f"d, echo {echo} ms": peaks for echo in (20, 100, 120)}
    study, _, findings = decide(monkeypatch, heights, early, late, replace(extra, main=False))
    assert [stack.echo_time_ms for stack in study.stacks] == [100.0]
    assert findings == [("d", "series_skipped")] * 2
    assert study.stacks[0].series_id == "d"
