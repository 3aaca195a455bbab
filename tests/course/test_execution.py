"""A notebook is executed beside its place, and appears there whole; what was there before is gone."""

import pytest
from papermill.exceptions import PapermillExecutionError

from spinekit import artifacts
from spinekit.course import execution


def test_a_notebook_that_stops_is_kept_and_what_was_there_is_gone(step, project):
    executed = project / "03_x.ipynb"
    executed.write_text("of an earlier run")
    seen = []
    file = step("03_x", f"from pathlib import Path; print(Path({str(executed)!r}).exists())", "1 / 0")
    with pytest.raises(PapermillExecutionError):
        execution.execute(file, executed, {}, seen.append)
    cells = artifacts.read_json(executed)["cells"]
    printed = ["".join(output.get("text", "")) for cell in cells for output in cell.get("outputs", ())]
    assert "False\n" in printed, "while it runs there is none"
    assert seen == sorted(seen) and seen
    assert [path.name for path in project.glob("*03_x.ipynb")] == ["03_x.ipynb"]


_LATE = """
import time
kernel, delays = get_ipython().kernel, [6]
publish = kernel._publish_status

def publish_late(status, *arguments, **options):
    if status == "idle" and delays:
        kernel.iopub_thread.schedule(lambda: time.sleep(delays.pop()))
    publish(status, *arguments, **options)

kernel._publish_status = publish_late
"""


def test_word_of_a_cell_that_comes_late_on_a_busy_machine_is_waited_for(step, project):
    execution.execute(step("03_x", _LATE, "print('after it')"), project / "03_x.ipynb", {}, lambda share: None)
    cells = artifacts.read_json(project / "03_x.ipynb")["cells"]
    assert ["after it\n"] in [output.get("text") for cell in cells for output in cell.get("outputs", ())]
