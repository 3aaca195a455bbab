"""One notebook executed by papermill in a kernel of its own; what it left appears whole."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from spinekit.artifacts import atomic, read_json
from spinekit.course.folders import kernel_folder

_PATIENCE_S = 600  # for a kernel to start, and for what a cell has printed; a busy machine needs more than 4 s


def execute(file: Path, executed: Path, parameters: Mapping[str, Any], on_cell: Callable[[float], None]) -> None:
    """Execute a notebook; ``on_cell`` is called with the share of its code cells that have run.

    Until it ends there is no file ``executed``: one that was there says nothing of this one. A notebook that stops at
    an error is kept up to there.

    Raises: ``PapermillExecutionError`` where a cell stops at an error; ``RuntimeError`` where the kernel ends.
    """
    from papermill.exceptions import PapermillExecutionError

    executed.unlink(missing_ok=True)
    stopped: Exception | None = None
    with atomic(executed) as part:
        try:
            _papermill(file, part, parameters, on_cell)
        except (PapermillExecutionError, RuntimeError) as error:  # the latter is nbclient's, of a kernel
            if not part.is_file():
                raise
            stopped = error
    if stopped is not None:
        raise stopped


def _papermill(file: Path, part: Path, parameters: Mapping[str, Any], on_cell: Callable[[float], None]) -> None:
    import papermill
    from traitlets.config import Config

    cells, ran = sum(cell["cell_type"] == "code" for cell in read_json(file)["cells"]), itertools.count(1)
    with tempfile.TemporaryDirectory(prefix="spinekit-") as sockets:
        # No open port; a folder for the sockets of each kernel, so that several runs do not meet in one.
        papermill.execute_notebook(
            str(file),
            str(part),
            parameters=dict(parameters),
            kernel_name="python3",
            progress_bar=False,
            start_timeout=_PATIENCE_S,
            iopub_timeout=_PATIENCE_S,
            cwd=str(kernel_folder(file)),
            on_cell_executed=lambda **_: on_cell(min(1.0, next(ran) / cells)),
            extra_arguments=["--log-level=CRITICAL"],  # a kernel that is shut down may log a harmless interrupt
            config=Config({"KernelManager": {"transport": "ipc", "ip": f"{sockets}/kernel"}}),
        )
