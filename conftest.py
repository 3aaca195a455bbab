"""What holds for unit tests and notebooks alike, and the check that notebooks were really compared.

nbval passes a cell whose stored output was stripped, so a green run may have compared nothing. Here the cells that
nbval compared are counted, the number is printed, and a run with notebooks but without any compared cell fails.
"""

from __future__ import annotations

import gc
import os
import shutil
import tempfile

import pytest
from nbval.plugin import IPyNbCell
from xdist.scheduler import LoadScopeScheduling

COMPARED = ("nbval", "compared")


class ComparedCells:
    """Counts the cells whose outputs nbval compared; under xdist it lives in the controlling process."""

    def __init__(self) -> None:
        self.count = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a cell that was compared, whatever came of it."""
        self.count += report.when == "call" and COMPARED in [tuple(pair) for pair in report.user_properties]

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail a run that was asked to compare notebooks and compared nothing."""
        if session.config.option.nbval_lax and not session.config.option.collectonly and self.count == 0:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
        """Say how many."""
        if config.option.nbval_lax:
            terminalreporter.write_line(f"{self.count} notebook cells compared with their stored outputs")
            if self.count == 0:
                terminalreporter.write_line("FAILED: no notebook cell was compared; see `spinekit refresh`", red=True)


def pytest_configure(config: pytest.Config) -> None:
    """Tests start from an empty outputs folder and use one thread each, since two workers share the machine."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("SPINEKIT_ROOT", str(config.rootpath))
    if "SPINEKIT_OUTPUTS" not in os.environ:  # the workers of xdist, and the kernels, inherit it
        folder = os.environ["SPINEKIT_OUTPUTS"] = tempfile.mkdtemp(prefix="spinekit-tests-")
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
        config.add_cleanup(lambda: os.environ.pop("SPINEKIT_OUTPUTS"))
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(ComparedCells())


class NotebooksTogether(LoadScopeScheduling):
    """Gives all notebooks to one worker of xdist, in order, since each reads what others wrote; unit tests by file.

    Marks of the group ``xdist_group`` would say the same, but pytest 9.2 no longer lets xdist 3.8 read them.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::")[0]
        return "notebooks" if file.endswith(".ipynb") else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> NotebooksTogether:
    """Whatever ``--dist`` says."""
    return NotebooksTogether(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Notebooks first, since they take longest; skip what this machine lacks."""
    items.sort(key=lambda item: not isinstance(item, IPyNbCell))
    for item in items:
        if item.get_closest_marker("realdata") and not os.environ.get("SPINEKIT_REALDATA"):
            item.add_marker(pytest.mark.skip(reason="SPINEKIT_REALDATA is not set"))
        if item.get_closest_marker("gpu") and not _has_gpu():
            item.add_marker(pytest.mark.skip(reason="no NVIDIA GPU"))


def pytest_collection_finish() -> None:
    """Garbage is searched no longer among the modules that the tests have imported: a tenth of a worker's time."""
    gc.collect()
    gc.freeze()


def _has_gpu() -> bool:
    import torch  # takes seconds: only where a test asks

    return torch.cuda.is_available()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Note on the report whether nbval is going to compare this cell's outputs."""
    if isinstance(item, IPyNbCell):
        if getattr(item.parent, "stopped", False):
            pytest.skip("an earlier cell of this notebook failed")
        stored = item.cell.execution_count is not None and item.cell.outputs
        if item.options["check"] and stored:
            item.user_properties.append(COMPARED)


def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """One failure for a notebook that stops, as a reader would see it; outputs that differ do not stop it."""
    if isinstance(item, IPyNbCell) and call.when == "call" and call.excinfo is not None:
        item.parent.stopped = "outputs differ" not in str(call.excinfo.value)
