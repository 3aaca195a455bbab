"""A reader's offset along a column: estimated where it was planted, and never from the target itself."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from spinekit.anatomy import FORAMINAL, GROUPS, TARGETS, targets_of
from spinekit.evaluation import context, reader_offset
from spinekit.evaluation.commands import evaluations
from spinekit.evaluation.context import ContextError
from spinekit.evaluation.reader_offset import OffsetModel
from spinekit.phantom.acquisition import Causes

STUDIES = 300
MODEL = OffsetModel((1.0,) * 3, (0.5,) * 3, (1.0,) * 3)


@pytest.fixture(scope="module")
def sample():
    return context.draw(STUDIES, 0, Causes())


def test_a_shift_moves_the_log_odds():
    p = np.array([0.5, 0.3, 0.2])
    moved = reader_offset.shifted(p, np.array(0.4))
    np.testing.assert_allclose(np.diff(np.log(moved / p)), 0.4)
    assert moved.sum() == pytest.approx(1)
    np.testing.assert_allclose(reader_offset.shifted(p, np.array(0.0)), p)


def test_a_target_has_no_part_in_its_own_shift(sample):
    labels, p = sample.labels, sample.chances
    before = MODEL.shifts(labels, p)
    target = 12
    others = labels.copy()
    others[:, target] = (labels[:, target] + 1) % 3
    after = MODEL.shifts(others, p)
    column = [i for i, t in enumerate(TARGETS) if t.condition == TARGETS[target].condition]
    touched = np.flatnonzero((after != before).any(0))
    assert set(touched) == set(column) - {target}
    nearest = np.abs(after - before).mean(0)
    assert nearest[target + 1] > nearest[target + 2], "what is near counts more"


def test_an_overcalled_column_has_a_positive_shift():
    labels, p = np.zeros((2, 25), dtype=int), np.tile([0.6, 0.3, 0.1], (2, 25, 1))
    labels[1, list(targets_of(FORAMINAL))] = 2
    shifts = MODEL.shifts(labels, p)
    assert (shifts[1, list(targets_of(FORAMINAL))] > 0).all() and (shifts[0] < 0).all()
    labels[:] = -1
    assert (MODEL.shifts(labels, p) == 0).all()


def test_what_was_planted_is_explained_and_nothing_else(sample):
    table = reader_offset.explained(sample.labels, sample.chances)
    assert list(table.index) == [*(f"log loss, {group}" for group in GROUPS), "score"]
    assert table.loc["score", "gain_high"] < -0.01 and table.loc["log loss, foraminal", "gain_high"] < 0
    alone = context.draw(STUDIES, 0, Causes(reader_offset=False))
    nothing = reader_offset.explained(alone.labels, alone.chances)
    assert abs(nothing.loc["score", "gain"]) < 0.01


def test_shifts_go_with_the_true_errors(sample):
    shifts = reader_offset.cross_fitted_shifts(sample.labels, sample.chances)
    values = reader_offset.agreement(sample, shifts)
    assert min(values.values()) > 0.1 and values[FORAMINAL] > 0.25


def test_true_chances_train_better_than_drawn_grades():
    table = reader_offset.taken_out(60, 2, 0)
    assert list(table.index) == ["drawn grades", "shifts beside them", "true chances"]
    assert table.loc["true chances", "gain"] > 0 and table.loc["drawn grades", "gain"] == 0
    assert 0.3 < table.loc["drawn grades", "skill"] < 0.9


def test_the_command_prints_gains_and_graders(monkeypatch):
    monkeypatch.setattr(reader_offset, "_TRAINED", 40)
    for extra in ([], ["--json"]):
        words = ["reader-offset", "--studies", "120", "--repeats", "2", *extra]
        printed = CliRunner().invoke(evaluations, words)
        assert printed.exit_code == 0, printed.output
        if extra:
            assert set(json.loads(printed.output)) == {"studies", "explained", "agreement", "taken_out"}
        else:
            assert "shifts beside them" in printed.output and "true errors of the model's reader" in printed.output


def test_half_of_what_is_needed_has_a_name(tmp_path):
    with pytest.raises(ContextError, match="--labels and --predictions together"):
        reader_offset.report(60, 0, predictions=[tmp_path / "oof.csv"])
