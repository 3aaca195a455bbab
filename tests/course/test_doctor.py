"""`spinekit doctor`: what it says of a machine that lacks something, imitated here, and of one that does not."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import torch
from cohort_files import write_cohort, write_tables
from rich.console import Console

from spinekit import _compat
from spinekit.course import doctor, plan
from spinekit.course.doctor import OK, PROBLEM, WARNING, Line, Page
from spinekit.course.profiles import PROFILES, Profile
from spinekit.course.runs import N_FOLDS, BadParameter
from spinekit.course.setup import TEST_FRACTION
from spinekit.io.csv_file import MissingTable
from spinekit.learning import devices

GB = 1e9
NEEDS = {"smoke": 0.2, "full": 60.0}


def test_a_page_has_a_line_for_each_thing_and_says_how_many_are_wrong(project: Path) -> None:
    page = doctor.examine("smoke", others=[("models", lambda: [Line("models", WARNING, "none", "make some")])])
    names = [line.what for line in page.lines]
    assert names == ["Python", "packages", "torch", "processor", "decoders", "GPU", "memory", "disk", "models", "data"]
    assert page.count(PROBLEM) == 0 and page.count(WARNING) >= 1  # what the tests run on is fit for smoke
    assert all(line.to_do for line in page.lines if line.state != OK)


def test_an_error_that_a_user_can_act_on_is_a_line_of_the_page(project: Path) -> None:
    def gone() -> Iterator[Line]:
        yield Line("models", OK, "so far")
        raise MissingTable("train.csv: no such table")

    (line,) = [line for line in doctor.examine("smoke", "nowhere", [("x", gone)]).lines if line.what == "x"]
    assert line == Line("x", PROBLEM, "train.csv: no such table", "see io/missing-table among the errors of the book")
    data = doctor.examine("smoke", "nowhere").lines[-1]
    assert data.what == "data" and data.state == PROBLEM and "nowhere is not a folder" in data.is_like


def test_an_unknown_profile_is_refused() -> None:
    with pytest.raises(BadParameter, match="huge"):
        doctor.examine("huge")


def test_the_page_as_text_and_as_json() -> None:
    page = Page("demo", (Line("disk", PROBLEM, "[red] 1 GB", "free some"), Line("GPU", OK, "none")))
    console = Console(width=200, record=True)
    console.print(page)
    lines = [line.split() for line in console.export_text().splitlines()]
    assert ["problem", "disk", "[red]", "1", "GB", "free", "some"] in lines and ["ok", "GPU", "none"] in lines
    assert lines[-1] == ["problems", "1,", "warnings", "0,", "for", "profile", "demo"]
    written = json.loads(json.dumps(page.to_json()))
    assert (written["problems"], written["warnings"], len(written["lines"])) == (1, 0, 2)
    assert written["lines"][1] == {"what": "GPU", "state": "ok", "is_like": "none", "to_do": ""}


@pytest.mark.slow
@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_needs_are_those_of_the_plan(profile: Profile) -> None:
    test = round(TEST_FRACTION * profile.studies)
    planned = plan.plan(profile, profile.studies - test, test)
    needs = planned.needs(planned.of_steps(N_FOLDS, plan.TRAINING))
    for quantity in ("disk", "memory", "gpu"):
        assert doctor.needs_gb(quantity)[profile.name] == pytest.approx(needs[f"{quantity}_gb"], rel=0.15)


def test_an_old_python_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [line.state for line in doctor.python()] == [OK]
    monkeypatch.setattr("platform.python_version", lambda: "3.9.1")
    (line,) = doctor.python()
    assert line.state == PROBLEM and line.is_like == "3.9.1" and ">=3.11" in line.to_do


def test_packages_that_are_missing_or_too_old_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    needed = ["numpy>=99", "no-such-package>=1.0", "pandas>=1", "gone>=1; extra == 'dev'", "old; python_version < '3'"]
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: needed)
    numpy, absent = doctor.packages()
    assert numpy.state == absent.state == PROBLEM and "not >=99" in numpy.is_like
    assert absent.is_like == "not installed" and absent.to_do == "pip install 'no-such-package>=1.0'"
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: needed[2:])
    assert list(doctor.packages()) == [Line("packages", OK, "1 are there, none older than its floor")]


def test_torchvision_of_another_release_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise RuntimeError("operator\nis missing")

    monkeypatch.setattr(_compat, "import_torchvision", broken)
    line = next(line for line in doctor.torch_and_threads() if line.what == "torch")
    assert (line.state, line.is_like) == (PROBLEM, "operator is missing")


def test_more_threads_than_cores_are_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "usable_cores", lambda: 2)
    for threads, state, to_do in ((8, WARNING, "Set OMP_NUM_THREADS=2"), (2, OK, "")):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        line = next(line for line in doctor.torch_and_threads() if line.what == "processor")
        assert (line.state, line.to_do) == (state, to_do) and f"{threads} threads on 2 cores" in line.is_like


def test_cores_are_those_that_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0, 3, 4}, raising=False)
    assert doctor.usable_cores() == 3
    monkeypatch.delattr("os.sched_getaffinity")
    monkeypatch.setattr("os.cpu_count", lambda: 7)
    assert doctor.usable_cores() == 7


def test_a_compression_without_a_decoder_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [line.state for line in doctor.decoders()] == [OK]
    monkeypatch.setattr("pydicom.pixels.get_decoder", lambda uid: SimpleNamespace(is_available="90" not in uid))
    (line,) = doctor.decoders()
    assert line.state == PROBLEM and line.is_like == "none reads JPEG2000Lossless"


def test_without_a_gpu_a_driver_or_a_large_profile_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.delenv(devices.VARIABLE, raising=False)
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert list(doctor.gpu("demo", 1.0)) == [Line("GPU", OK, "none: models run on the CPU")]
    (large,) = doctor.gpu("full", 9.0)
    assert large.state == WARNING and "full is made for a GPU" in large.to_do
    monkeypatch.setattr("shutil.which", lambda name: "/usr/bin/nvidia-smi")
    (driver,) = doctor.gpu("demo", 1.0)
    assert driver.state == WARNING and "sees no GPU" in driver.is_like and "CUDA build" in driver.to_do
    monkeypatch.setenv(devices.VARIABLE, "cpu")  # as somebody wants it
    assert [line.state for line in doctor.gpu("demo", 1.0)] == [OK]
    monkeypatch.setenv(devices.VARIABLE, "cuda")
    with pytest.raises(devices.NoDevice):
        list(doctor.gpu("demo", 1.0))


@pytest.mark.parametrize(("need", "state"), [(11.0, WARNING), (9.0, OK)])
def test_the_memory_of_a_gpu_is_held_against_the_need(need: float, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "device", lambda: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (int(10 * GB), int(16 * GB)))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "T4")
    (line,) = doctor.gpu("full", need)
    assert line.state == state and bool(line.to_do) == (state == WARNING)
    assert line.is_like == f"T4, 10.0 of 16.0 GB free; full takes {need}"


@pytest.mark.parametrize(
    ("free", "total", "profile", "state"),
    [(8, 16, "smoke", OK), (0.1, 16, "smoke", WARNING), (16, 32, "full", PROBLEM), (50, 80, "full", WARNING)],
)
def test_memory_is_held_against_the_need(
    free: float, total: float, profile: str, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = SimpleNamespace(available=free * GB, total=total * GB)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: here)
    monkeypatch.setattr(doctor, "memory_limit", lambda: float("inf"))
    line = doctor.memory(profile, NEEDS)
    assert line.state == state and "0.2 GB in smoke, 60.0 GB in full" in line.is_like
    monkeypatch.setattr(doctor, "memory_limit", lambda: 0.1 * GB)  # in a container
    assert doctor.memory(profile, NEEDS).state == PROBLEM


def test_the_limit_of_a_container(tmp_path: Path) -> None:
    newer, older = tmp_path / "memory.max", tmp_path / "memory.limit_in_bytes"
    assert doctor.memory_limit([str(newer), str(older)]) == float("inf")
    newer.write_text("max\n")
    assert doctor.memory_limit([str(newer)]) == float("inf")
    older.write_text("4000\n")
    assert doctor.memory_limit([str(newer), str(older)]) == 4000


@pytest.mark.parametrize(("free", "profile", "state"), [(1, "smoke", OK), (1, "full", PROBLEM), (61, "full", OK)])
def test_the_disk_of_the_outputs_is_held_against_the_need(
    free: float, profile: str, state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    usage = SimpleNamespace(free=free * GB)
    monkeypatch.setattr("shutil.disk_usage", lambda place: asked.append(place) or usage)
    monkeypatch.setenv("SPINEKIT_OUTPUTS", str(tmp_path / "not" / "there"))
    line = doctor.disk(profile, NEEDS)
    assert line.state == state and asked == [tmp_path] and f"{free:.1f} GB free for {tmp_path}" in line.is_like
    assert ("SPINEKIT_OUTPUTS" in line.to_do) == (state == PROBLEM)
    monkeypatch.setattr("os.access", lambda place, mode: False)
    assert doctor.disk(profile, NEEDS).state == PROBLEM and "may not be" in doctor.disk(profile, NEEDS).is_like


def test_a_phantom_that_is_not_drawn_yet_is_no_problem(project: Path) -> None:
    (line,) = doctor.data("smoke", "")
    assert line.state == OK and "cohort-smoke" in line.is_like and "spinekit run 00 --profile smoke" in line.to_do


def test_a_folder_of_studies_is_read(tmp_path: Path) -> None:
    write_cohort(tmp_path, (1, 2), (3,))
    tables, sample = doctor.data("smoke", str(tmp_path))
    assert tables.state == sample.state == OK and "3 of 3 studies with images" in tables.is_like
    assert "train_series_descriptions.csv" in tables.is_like and sample.is_like.startswith("study 1: ")
    files = sorted((tmp_path / "train_images" / "1" / "11").iterdir())
    files[0].write_bytes(b"no DICOM")
    sample = list(doctor.data("smoke", str(tmp_path)))[1]
    assert sample.state == WARNING and str(files[0]) in sample.is_like and f"check {tmp_path}" in sample.to_do
    for file in (tmp_path / "train_images" / "1").glob("*/*"):
        file.write_bytes(b"no DICOM")
    assert list(doctor.data("smoke", str(tmp_path)))[1].state == PROBLEM
    for file in sorted((tmp_path / "test_images").rglob("*"), reverse=True):
        file.unlink() if file.is_file() else file.rmdir()
    assert next(iter(doctor.data("smoke", str(tmp_path)))).state == WARNING


def test_tables_without_images_are_a_problem(tmp_path: Path) -> None:
    write_tables(tmp_path, (11, 12), ())
    (line,) = doctor.data("smoke", str(tmp_path))
    assert line.state == PROBLEM and "0 of 2 studies with images" in line.is_like and "train_images/" in line.to_do
