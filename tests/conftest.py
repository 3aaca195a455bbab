"""Fixtures that several test files share."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from taught_run import Taught


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project: its notebooks/ and outputs/ are where spinekit looks."""
    (tmp_path / "notebooks").mkdir()
    monkeypatch.setenv("SPINEKIT_ROOT", str(tmp_path))
    monkeypatch.setenv("SPINEKIT_OUTPUTS", str(tmp_path / "outputs"))
    return tmp_path


def write_notebook(file: Path, *cells: str | tuple[str, ...]) -> Path:
    """Write a notebook of code cells; a tuple is source and tags."""
    written = []
    for i, cell in enumerate(cells):
        source, *tags = (cell,) if isinstance(cell, str) else cell
        code = {"cell_type": "code", "id": f"c{i}", "source": source, "outputs": [], "execution_count": None}
        written.append({**code, "metadata": {"tags": tags} if tags else {}})
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    file.write_text(json.dumps({"cells": written, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}))
    return file


@pytest.fixture
def step(project: Path) -> Callable[..., Path]:
    """Write a small step's notebook; the keyword arguments are its parameters beside the usual ones."""

    def make(name: str, *cells: str | tuple[str, ...], **parameters: object) -> Path:
        usual = {"profile": "smoke", "data_dir": "", "run_name": "", "seed": 0}
        lines = [f"{key}: {type(value).__name__} = {value!r}" for key, value in (usual | parameters).items()]
        passed = ", ".join(f"{key}={key}" for key in usual | parameters)
        begin = f'run = runs.begin("{name}", {passed})'
        declared = ("\n".join(lines), "parameters")
        return write_notebook(
            project / "notebooks" / f"{name}.ipynb", "from spinekit.course import runs", declared, begin, *cells
        )

    return make


@pytest.fixture(scope="session")
def taught_once(tmp_path_factory: pytest.TempPathFactory) -> Taught:
    """A run with tiny models, trained once for all tests of a worker."""
    from taught_run import teach  # imports torch

    home = tmp_path_factory.mktemp("taught")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPINEKIT_OUTPUTS", str(home / "outputs"))
        return teach(home)


@pytest.fixture
def taught(taught_once: Taught, monkeypatch: pytest.MonkeyPatch) -> Taught:
    """That run, where spinekit looks for runs."""
    monkeypatch.setenv("SPINEKIT_OUTPUTS", str(taught_once.outputs))
    return taught_once


@pytest.fixture(scope="session")
def scheduler() -> Iterator[str]:
    """Address of a Dask scheduler with two workers, each a process of its own."""
    from clusters import local_cluster  # imports Dask

    with local_cluster() as cluster:
        yield cluster.scheduler_address


@pytest.fixture(scope="session")
def truth_cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three tiny studies with their truth, one of them in the test half."""
    from tiny_scan import SCAN

    from spinekit.phantom import plan_cohort, write_cohort

    folder = tmp_path_factory.mktemp("truth") / "cohort"
    return write_cohort(folder, plan_cohort(3, 4, SCAN, traps=False, test_fraction=0.34), workers=1, progress=False)


@pytest.fixture
def write_slice(tmp_path: Path) -> Callable[..., Path]:
    """Write one DICOM slice with changed tags; None leaves a tag out."""
    from dicom_files import IMAGE, dataset, save

    def _write(pixels: Any = IMAGE, name: str = "7.dcm", syntax: Any = None, **tags: Any) -> Path:
        slice_ = dataset(pixels, **tags)
        return save(tmp_path / name, slice_, syntax) if syntax else save(tmp_path / name, slice_)

    return _write


@pytest.fixture
def tables_folder(tmp_path: Path) -> Path:
    """Tables of three train studies and a test study, no images."""
    from cohort_files import write_tables

    write_tables(tmp_path, (1, 2, 5), (3,))
    return tmp_path
