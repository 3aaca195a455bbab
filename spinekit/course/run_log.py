"""The log of a run: ``log.jsonl`` in its folder, a line of JSON for each thing that happened, for machines.

Lines hold names of steps, folds, seconds and names of errors, and no text of an error, a header or a table: nothing of
a patient can stand in it. An error's text is printed, and kept in the executed notebook.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from spinekit.course.folders import is_fold, make_folder
from spinekit.errors import write_failure

FILE = "log.jsonl"
_logger = logging.getLogger(__name__)
_logger.setLevel(logging.INFO)  # whatever --quiet says: that is about what is printed
_logger.propagate = False
_logger.addHandler(logging.NullHandler())  # where no run keeps a log, nothing is to be printed instead


@contextmanager
def kept_in(root: Path) -> Iterator[None]:
    """Write what is noted until the block ends to the log of the run in ``root``; an error that ends it is noted.

    Raises: `NotWritable`, `CannotWrite` where the log cannot be written.
    """
    handler = _Handler(make_folder(root) / FILE, encoding="utf-8", delay=True)
    handler.setFormatter(_Lines())
    _logger.addHandler(handler)
    try:
        note("run begun")
        yield
        note("run ended")
    except BaseException as error:
        note("run stopped", code=code_of(error))
        raise
    finally:
        _logger.removeHandler(handler)
        handler.close()


def note(message: str, folder: Path | None = None, seconds: float | None = None, code: str = "") -> None:
    """Add a line: a fixed phrase, the folder of the step that it is about, what it took, the name of an error.

    Raises: `CannotWrite` where the log cannot be written.
    """
    fold = folder.parent.name.removeprefix("fold") if folder and is_fold(folder.parent) else None
    about = {
        "step": folder.name if folder else None,
        "fold": fold and int(fold),
        "seconds": None if seconds is None else round(seconds, 1),
        "code": code or None,
    }
    _logger.log(logging.ERROR if code else logging.INFO, message, extra={"about": about})


def code_of(error: BaseException) -> str:
    """The name that an error has in logs."""
    return type(error).__name__


class _Lines(logging.Formatter):
    """A record as one line of JSON; what is not known is left out."""

    def format(self, record: logging.LogRecord) -> str:
        """Time in UTC, level, message, and what it is about."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        values = {"time": time, "level": record.levelname.lower(), "message": record.getMessage()}
        values |= {name: value for name, value in vars(record)["about"].items() if value is not None}
        return json.dumps(values)


class _Handler(logging.FileHandler):
    """Appends whole lines; an error of the disk is one of the run."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Raise what `logging` would print with a traceback."""
        import sys

        error = sys.exc_info()[1]
        if isinstance(error, Exception):
            raise write_failure(Path(self.baseFilename), error) or error
