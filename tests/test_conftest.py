"""The guard of conftest.py: notebooks run in order in one worker, and comparing nothing is a failure."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

CONFTEST = Path(__file__).parent.parent / "conftest.py"


@pytest.fixture
def suite(tmp_path):
    """Two notebooks, the second of which needs the first, and a unit test; returns a function that runs pytest."""
    shutil.copy(CONFTEST, tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_unit.py").write_text("def test_unit():\n    pass\n")

    def run(second_prints="12", *options):
        write(tmp_path / "01.ipynb", "open('log', 'w').write('1'); print('one')", "one")
        write(tmp_path / "02.ipynb", "print(open('log').read() + '2')", second_prints)
        clean = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_") and k != "SPINEKIT_REALDATA"}
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--nbval-lax", *options]
        return subprocess.run(command, cwd=tmp_path, env=clean, capture_output=True, text=True, check=False)

    return run


def write(file, code, stored, *more):
    cell = nbformat.v4.new_code_cell(code, metadata={"tags": ["nbval-check-output"] if stored else []})
    if stored:
        cell.execution_count = 1
        cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=stored + "\n")]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=[cell, *map(nbformat.v4.new_code_cell, more)], metadata=kernel), file)


def test_notebooks_share_a_worker_and_are_counted(suite):
    done = suite("12", "-n", "2")
    assert done.returncode == 0, done.stdout
    assert "2 notebook cells compared" in done.stdout and "3 passed" in done.stdout.splitlines()[-1]


def test_output_that_differs_fails(suite):
    done = suite("13")
    assert done.returncode == 1 and "Cell outputs differ" in done.stdout


def test_notebook_that_stops_is_one_failure(suite, tmp_path):
    (tmp_path / "test_unit.py").write_text("import pytest\n\n@pytest.mark.realdata\ndef test_unit():\n    1 / 0\n")
    write(tmp_path / "00.ipynb", "1 / 0", "", "print('never')")
    done = suite("12")
    assert "1 failed, 2 passed, 2 skipped" in done.stdout.splitlines()[-1], done.stdout


def test_comparing_nothing_fails(suite):
    done = suite("12", "-k", "test_unit")
    assert done.returncode == 1
    assert "no notebook cell was compared" in done.stdout and "1 passed" in done.stdout.splitlines()[-1]
