"""Lets others follow a training while it runs: ``training.fit`` tells every watcher of the losses and scores so far.

A watcher only looks: whether there is one or not, a training gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

import torch

REPORTS = 60  # of the loss, at most, spread evenly over a training


@dataclass(frozen=True)
class Progress:
    """A moment of a training: ``step`` of ``steps``; ``loss``, the mean over the steps since the last report;
    ``scores`` on the held-out studies, after an epoch alone. ``name`` and ``folder`` tell one training from another."""

    name: str
    folder: Path
    step: int
    steps: int
    loss: float
    scores: Mapping[str, float] = field(default_factory=dict)


Watcher = Callable[[Progress], None]
_WATCHERS: ContextVar[tuple[Watcher, ...]] = ContextVar("watchers", default=())


@contextmanager
def watched_by(*watchers: Watcher) -> Iterator[None]:
    """Inside, every training reports to these watchers, and to those of an outer ``watched_by``."""
    token = _WATCHERS.set((*_WATCHERS.get(), *watchers))
    try:
        yield
    finally:
        _WATCHERS.reset(token)


class Reports:
    """The reports of one training of ``steps``, of which ``done`` were made before it was stopped and resumed."""

    def __init__(self, name: str, folder: Path, steps: int, done: int = 0) -> None:
        self.name, self.folder, self.steps, self.done = name, folder, steps, done
        self._every = max(1, round(steps / REPORTS))
        self._losses: list[torch.Tensor] = []

    def step(self, loss: torch.Tensor) -> None:
        """After a step: reports the mean loss now and then, as reading a loss makes a GPU wait."""
        self.done += 1
        if not (watchers := _WATCHERS.get()):
            return
        self._losses.append(loss)
        if self.done % self._every == 0:
            self._tell(watchers, float(torch.stack(self._losses).mean()), {})
            self._losses.clear()

    def epoch(self, loss: float, scores: Mapping[str, float]) -> None:
        """After an epoch: reports the scores on the held-out studies, where there are some."""
        if scores:
            self._tell(_WATCHERS.get(), loss, scores)

    def _tell(self, watchers: tuple[Watcher, ...], loss: float, scores: Mapping[str, float]) -> None:
        for watcher in watchers:
            watcher(Progress(self.name, self.folder, self.done, self.steps, loss, scores))
