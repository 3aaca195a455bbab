"""The judge of stacks sees each way in which a series can be out of order."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from spinekit.course.profiles import SMOKE
from spinekit.evaluation.stacks import order_errors, random_frame, round_trip_error_px
from spinekit.geometry import StackFrame
from spinekit.io import cohort
from spinekit.io.stacks import Stack
from spinekit.io.study import Study
from spinekit.phantom import plan_cohort, render, write_cohort
from spinekit.phantom import truth as truths


def stack(numbers: tuple[int, ...], z_mm: float = 0.0) -> Stack:
    origins = np.array([[0.0, 0.0, z_mm + 4.0 * k] for k in range(len(numbers))])
    frame = StackFrame(origins, np.array([[1.0, 0, 0], [0, 1, 0]]), np.ones(2), (4, 4))
    return Stack("7", "Axial T2", frame, numbers, tuple(Path(f"{n}.dcm") for n in numbers))


TRUE = pd.DataFrame(
    {"study_id": 1, "series_id": 7, "instance_number": range(1, 7), "block": [0, 0, 0, 1, 1, 1], "level": None}
)
RIGHT = (stack((3, 2, 1), 40.0), stack((6, 5, 4)))


def judged(*stacks: Stack) -> pd.Series:
    return order_errors(Study("1", stacks, ()), TRUE).iloc[0]


def test_two_blocks_numbered_from_head_to_feet_are_right() -> None:
    assert judged(*RIGHT)["right"]


def test_repeated_slices_count_as_read() -> None:
    assert judged(RIGHT[0], replace(stack((6, 4)), repeats={5: 0}))["right"]


@pytest.mark.parametrize(
    ("stacks", "fault"),
    [
        ((RIGHT[0], stack((6, 5))), "complete"),
        ((stack((1, 2, 3, 4, 5, 6)),), "blocks_apart"),
        ((stack((3, 1, 2)), RIGHT[1]), "in_order"),
    ],
)
def test_each_fault_is_seen(stacks: tuple[Stack, ...], fault: str) -> None:
    row = judged(*stacks)
    assert not row["right"] and not row[fault]
    assert row[[c for c in ("complete", "blocks_apart", "in_order") if c != fault]].all()


def test_the_way_there_and_back_is_exact_for_both_handednesses() -> None:
    rng = np.random.default_rng(0)
    for left in (False, True):
        frame = random_frame(rng, left)
        while len(frame) < 2:
            frame = random_frame(rng, left)
        assert ((np.diff(frame.positions_mm) < 0) == left).all()
    assert 0 < round_trip_error_px() < 1e-6


TRAPS = ["repeated_slices", "axial_blocks", "reversed_sagittal", "reversed_axial", "mixed_sizes", "slice_location"]


def test_traps_of_order_are_seen_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def grey(body, frame, acquisition, **options):
        return np.ones((len(frame), *frame.shape_rc), dtype=np.float32)

    monkeypatch.setattr(render, "render_series", grey)
    rates = dict.fromkeys(TRAPS, 1.0)
    out = write_cohort(
        tmp_path / "c", plan_cohort(4, 3, replace(SMOKE.acquisition, sagittal_px=(16,)), rates), workers=1
    )
    data, truth = cohort.load(out), truths.read(out)
    studies = [data.read(study) for study in data.studies()]
    assert pd.concat([order_errors(study, truth.slices) for study in studies])["right"].all()
    assert all(any(stack.repeats for stack in study.stacks) for study in studies)
