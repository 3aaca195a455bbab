"""Curves that grow below the cell while a training runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_training import RECIPE, tiny_data, tiny_loss, tiny_model

from spinekit.figures.training import LiveCurves, live_curves
from spinekit.learning.training import FitOptions, fit
from spinekit.learning.watching import Progress


class Notebook:
    """Stands for the display of a running kernel: keeps what a cell would show."""

    def __init__(self) -> None:
        self.shown: list[object] = []

    def display(self, figure: object, display_id: bool) -> Notebook:
        assert display_id
        self.update(figure)
        return self

    def update(self, figure: object) -> None:
        self.shown.append(figure)


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Notebook:
    here = Notebook()
    monkeypatch.setattr("IPython.get_ipython", lambda: here)
    monkeypatch.setattr("IPython.display.display", here.display)
    return here


def test_the_last_figure_holds_every_report_of_every_training(tmp_path: Path, notebook: Notebook) -> None:
    scored = FitOptions(validate=lambda model: {"held_out_score": 0.3}, progress="first")
    options = [scored, FitOptions(progress="second")]
    with live_curves() as curves:
        for option in options:
            fit(tiny_model(), tiny_data(), tiny_loss, RECIPE, tmp_path / option.progress, option)
    first, second = notebook.shown[-1].axes
    assert (first.get_title(), second.get_title()) == ("first", "second")
    loss, score = first.lines
    assert list(zip(*loss.get_data(), strict=True)) == curves.curves["first"].losses
    assert len(score.get_xdata()) == RECIPE.epochs and set(score.get_ydata()) == {0.3}
    assert len(second.lines) == 1 and second.get_xlim()[1] == loss.get_xdata()[-1]


def test_drawn_again_only_after_a_while(notebook: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    curves = LiveCurves()
    for step, seconds in enumerate((0.0, 0.5, 3.0), 1):
        clock[0] += seconds
        curves(Progress("a", Path("a"), step, 3, 1.0))
    assert len(notebook.shown) == 2


def test_a_training_without_a_notebook_draws_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("IPython.display.display", lambda *args, **kwargs: pytest.fail("nobody looks"))
    with live_curves():
        fit(tiny_model(), tiny_data(), tiny_loss, RECIPE, tmp_path)


def test_a_training_that_fails_leaves_its_curve(notebook: Notebook) -> None:
    with pytest.raises(ZeroDivisionError), live_curves() as curves:
        curves(Progress("a", Path("a"), 1, 3, 1.0))
        raise ZeroDivisionError
    assert len(notebook.shown) == 2  # the first report, and the end


def test_tensorboard_as_well(tmp_path: Path, notebook: Notebook) -> None:
    with live_curves(tmp_path / "logs"):
        fit(tiny_model(), tiny_data(), tiny_loss, RECIPE, tmp_path / "model", FitOptions(progress="a"))
    assert [file.name.startswith("events.") for file in (tmp_path / "logs" / "a").iterdir()] == [True]
