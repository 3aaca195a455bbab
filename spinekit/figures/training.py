"""Curves of a training, redrawn in the notebook while it runs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from spinekit.figures._base import BLUE, GREY, Picture, grid
from spinekit.learning.tensorboard import tensorboard_writer
from spinekit.learning.watching import Progress, watched_by

SECONDS_BETWEEN = 2.0  # drawing takes about a tenth of a second, and should stay a small part of the training


@contextmanager
def live_curves(tensorboard: Path | None = None) -> Iterator[LiveCurves]:
    """Inside, each training draws its curves below the cell as they grow; after it, the figure stays as it ended.

    ``tensorboard`` names a folder into which the losses and scores are written for TensorBoard as well.

    Raises: `NoTensorBoard` where that is asked for and not installed.
    """
    with ExitStack() as stack:
        curves = LiveCurves()
        writer = [stack.enter_context(tensorboard_writer(tensorboard))] if tensorboard else []
        stack.enter_context(watched_by(curves, *writer))
        try:
            yield curves
        finally:
            curves.show()


@dataclass
class Curve:
    """What is known of one training: (step, loss) and, by name, (step, score) of the held-out studies."""

    steps: int
    losses: list[tuple[int, float]] = field(default_factory=list)
    scores: dict[str, list[tuple[int, float]]] = field(default_factory=dict)


class LiveCurves:
    """A watcher that keeps the curves of each training, a panel for each, and shows them in one figure."""

    def __init__(self) -> None:
        self.curves: dict[str, Curve] = {}
        self._display: object | None = None
        self._shown = 0.0

    def __call__(self, progress: Progress) -> None:
        """Take in a report, and redraw unless that was done a moment ago."""
        curve = self.curves.setdefault(progress.name or progress.folder.name, Curve(progress.steps))
        if progress.scores:
            for name, value in progress.scores.items():
                curve.scores.setdefault(name, []).append((progress.step, value))
        else:
            curve.losses.append((progress.step, progress.loss))
        if time.monotonic() - self._shown > SECONDS_BETWEEN:
            self.show()

    def show(self) -> None:
        """Draw what there is into the output of the cell; nothing where no notebook is running."""
        from IPython import get_ipython  # the kernel is there already, elsewhere it takes a moment
        from IPython.display import display

        if not self.curves or get_ipython() is None:
            return
        if self._display is None:
            self._display = display(self.figure(), display_id=True)
        else:
            self._display.update(self.figure())  # type: ignore[attr-defined]
        self._shown = time.monotonic()

    def figure(self) -> Picture:
        """A panel for each training: the loss, and the scores on held-out studies after each epoch."""
        figure, axes = grid(1, len(self.curves), (4.2 * len(self.curves), 3.0))
        for axis, (name, curve) in zip(axes[0], self.curves.items(), strict=True):
            axis.plot(*zip(*curve.losses, strict=True), color=GREY, label="training loss (augmented)")
            for score, points in curve.scores.items():
                axis.plot(*zip(*points, strict=True), "o-", color=BLUE, label=score.replace("_", " "))
            axis.set(title=name, xlabel=f"step of {curve.steps}", ylabel="loss", xlim=(0, curve.steps))
            axis.set_ylim(bottom=0)
            axis.legend(fontsize=8, frameon=False)
        return figure
