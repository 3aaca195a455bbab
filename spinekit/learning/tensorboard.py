"""Writes the losses and scores of trainings for TensorBoard, into a local folder: nothing is sent anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spinekit.errors import SpinekitError
from spinekit.learning.watching import Progress, Watcher


class NoTensorBoard(SpinekitError):
    """TensorBoard was asked for and is not installed. Install ``tensorboard``, or leave it off."""


@contextmanager
def tensorboard_writer(folder: Path) -> Iterator[Watcher]:
    """A watcher that writes each training into a folder of its own below ``folder``.

    Look at it with ``tensorboard --logdir FOLDER``.

    Raises: `NoTensorBoard` where it is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter  # takes a second to import
    except ImportError as error:
        raise NoTensorBoard(
            f"TensorBoard is not installed ({error}): pip install tensorboard, or leave it off"
        ) from None
    writers: dict[str, SummaryWriter] = {}

    def write(progress: Progress) -> None:
        name = progress.name.replace("/", "-") or progress.folder.name
        writer = writers.get(name) or writers.setdefault(name, SummaryWriter(str(folder / name)))
        if progress.scores:
            for score, value in progress.scores.items():
                writer.add_scalar(score, value, progress.step)
        else:
            writer.add_scalar("loss", progress.loss, progress.step)

    try:
        yield write
    finally:
        for writer in writers.values():
            writer.close()
