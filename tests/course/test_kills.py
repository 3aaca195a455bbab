"""A run that is killed at any moment goes on, and ends with the bytes of one that was not; Ctrl-C is one line."""

import signal
import subprocess
import sys
import time
from functools import partial

import pytest
from torture import kills

WORK = """
import time
import numpy as np, pandas as pd
from spinekit import artifacts
for part in range(6):
    artifacts.write_table(run.path(f"{part}.csv"), pd.DataFrame({"x": np.random.default_rng(part).random(20_000)}))
    with artifacts.atomic(run.path(f"{part}.npy")) as file:
        np.save(file, np.random.default_rng(part).random(300_000))
    time.sleep(0.2)
"""


def test_a_run_that_was_killed_three_times_ends_with_the_same_bytes(step, project):
    step("03_x", WORK, "run.finish({'n': 6})", fold=0)
    step("04_y", 'run.of("03_x")', WORK, "run.finish({'n': 6})", fold=0)
    outcome = kills.torture(["03", "04"], project / "outputs", moments=3, seed=0, root=project)
    assert len(outcome.moments) == 3 and not outcome.differ
    assert "torn" not in outcome.differ and "smoke/fold0/04_y/5.npy" in kills.contents(project / "outputs" / "torn")


def test_what_differs_is_seen(tmp_path):
    for name, text in (("calm", "a"), ("torn", "b")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "table.csv").write_text(text)
        (tmp_path / name / "time.json").write_text(text)
    (tmp_path / "torn" / ".7@host@x.ipynb").write_text("half")
    found = kills.differing(kills.contents(tmp_path / "calm"), kills.contents(tmp_path / "torn"))
    assert found == [".7@host@x.ipynb", "table.csv"]


@pytest.mark.slow
def test_the_first_steps_of_the_course_survive_three_kills(tmp_path):
    from spinekit.course.folders import project_root

    outcome = kills.torture(["00", "02", "-P", "smoke"], tmp_path, moments=3, seed=1, root=project_root())
    assert len(outcome.moments) == 3 and not outcome.differ


def test_ctrl_c_is_one_line_and_leaves_nothing_half_written(step, project):
    step("03_x", "import time; run.path('begun').touch(); time.sleep(600)", "run.finish({})", fold=0)
    command = [sys.executable, "-m", "spinekit", "run", "03"]
    listens = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # tests in the background ignore it
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, text=True, preexec_fn=listens) as process:
        folder = project / "outputs" / "smoke" / "fold0" / "03_x"
        while not (folder / "begun").exists():
            assert process.poll() is None
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        try:
            _, said = process.communicate(timeout=300)  # a busy machine takes a minute for what takes seconds
        finally:
            process.kill()
    assert process.returncode == 130
    assert said.splitlines()[-1] == "spinekit: stopped from the keyboard; what is finished is kept, run it again"
    assert "Traceback" not in said
    assert [file.name for file in folder.iterdir()] == ["begun"]
