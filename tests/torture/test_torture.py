"""The short version of `make torture`: a dozen damaged studies, pydicom's files, tables; and failures are seen."""

from __future__ import annotations

import logging
import multiprocessing
import os
import shutil
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest
from torture import determinism, disk, files, mutations, privacy, soak, studies, tables, worker
from torture.process import DIED, HANG, Outcome, Worker
from torture.worker import GRADED, MEMORY, NAMED, REFUSED, ROWS, TRACEBACK

from spinekit.errors import SpinekitError


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return studies.draw(tmp_path_factory.mktemp("phantoms") / "cohort", 0)


def test_twelve_damaged_studies_are_graded_or_refused_by_name(tmp_path: Path) -> None:
    tried = studies.torture(tmp_path, studies=12, seed=0)
    assert not tried.failures
    assert tried.tried == 12 and set(tried.counts) == {GRADED, REFUSED}


def test_the_same_seed_does_the_same_damage_and_each_way_changes_files(phantoms: Path, tmp_path: Path) -> None:
    first, again = ((studies.damage(phantoms, tmp_path / name, 3), tmp_path / name) for name in ("a", "b"))
    assert first[0] == again[0] and determinism.contents(first[1]) == determinism.contents(again[1])
    whole = determinism.contents(phantoms / "train_images")
    study, other = sorted((phantoms / "train_images").iterdir())[:2]
    for name, way in mutations.MUTATIONS.items():
        folder = tmp_path / name
        for attempt in range(5):  # by chance, none of the files may be chosen
            shutil.copytree(study, folder)
            way(folder, other, np.random.default_rng(attempt))
            changed = determinism.contents(folder) != determinism.contents(study)
            shutil.rmtree(folder)
            if changed:
                break
        assert changed, name
    assert determinism.contents(phantoms / "train_images") == whole


def waits_for_ever_or_dies(jobs: Connection) -> None:
    jobs.send("ready")
    data, _ = jobs.recv()
    if data.name == "dies":
        os._exit(9)
    while data.name == "waits":
        time.sleep(60)
    while data.name == "computes":
        pass
    jobs.send(Outcome(GRADED, ""))
    jobs.recv()


def test_a_study_that_holds_or_ends_the_process_is_named_and_the_next_one_answered() -> None:
    process = Worker(waits_for_ever_or_dies, "fork")
    ended = {name: process.outcome((Path(name), None), seconds=0.2) for name in ("waits", "computes", "dies", "good")}
    process.finish()
    assert {name: one.outcome for name, one in ended.items()} == {
        "waits": HANG,
        "computes": HANG,
        "dies": DIED,
        "good": GRADED,
    }
    assert "status 9" in ended["dies"].said


def test_each_kind_of_failure_is_seen() -> None:
    unnamed = worker.Unnamed()

    def caught_on_the_way() -> str:
        unnamed("7", ValueError("mat1"))
        return ""

    def out_of_memory() -> str:
        unnamed("7", MemoryError())
        return ""

    def raises(error: Exception) -> str:
        raise error

    assert unnamed.outcome(lambda: "").outcome == GRADED
    assert unnamed.outcome(lambda: "no series").outcome == REFUSED
    assert unnamed.outcome(lambda: raises(SpinekitError("no"))).outcome == REFUSED
    assert unnamed.outcome(lambda: raises(KeyError("x"))).outcome == TRACEBACK
    assert unnamed.outcome(lambda: raises(AssertionError("24 rows"))).outcome == ROWS
    assert unnamed.outcome(out_of_memory).outcome == MEMORY
    assert "mat1" in unnamed.outcome(caught_on_the_way).said


def test_a_name_that_is_said_is_seen() -> None:
    worker.name_nobody("no series", b"no bytes")
    with pytest.raises(worker.Named, match="PatientName"):
        worker.name_nobody("read", "QNAMEQ is not read")
    worker.messages.emit(logging.LogRecord("spinekit", logging.WARNING, "", 0, "study of %s", ("19030201",), None))
    with pytest.raises(worker.Named, match="PatientBirthDate"):
        worker.name_nobody()
    worker.name_nobody()
    assert worker.Unnamed().outcome(lambda: worker.name_nobody("1907-06-05") or "").outcome == NAMED


def test_files_of_pydicom_are_read_or_refused_by_name() -> None:
    read = files.torture(files.of_pydicom())
    assert not read.failures
    assert read.counts[files.READ] and read.counts[files.REFUSED] and read.counts.total() > 50


def test_changed_tables_are_read_alike_or_refused_with_the_row(tmp_path: Path) -> None:
    assert tables.torture(tmp_path) == {}


def test_a_table_that_is_read_though_it_says_something_else_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tables.Case("other", tables.GRADES, lambda data: data.replace(b"Severe", b"Moderate"), None)
    wrong = tables.Case("wrong", tables.GRADES, lambda data: data, "line 2")
    monkeypatch.setattr(tables, "CASES", [other, wrong])
    assert list(tables.torture(tmp_path)) == ["train.csv: other", "train.csv: wrong"]


WRITES_2_MIB = """
import numpy as np
from spinekit import artifacts
for part in range(2):
    with artifacts.atomic(run.path(f"{part}.npy")) as file:
        np.save(file, np.random.default_rng(part).integers(0, 255, 2**20, dtype=np.uint8))
run.finish({})
"""


def test_a_run_onto_a_full_or_read_only_disk_says_so_and_goes_on_with_room(
    step: Callable[..., Path], project: Path
) -> None:
    if why := disk.why_no_mount(project):
        pytest.skip(why)
    step("03_x", WRITES_2_MIB, fold=0)
    tried = disk.Tried()
    disk.attempt(disk.running(["03"], project), project, (disk.READ_ONLY, 1500), tried)
    assert tried.tried == 2 and not tried.wrong


def test_eight_studies_in_one_process_leave_no_file_open_and_get_the_same_answers_twice(
    phantoms: Path, tmp_path: Path
) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        soaked = pool.apply(soak.torture, (phantoms, tmp_path / "grades", 8))
    assert len(soaked.memory) == 8 and not soaked.wrong
    assert soaked.handles[-1] == soaked.handles[3]


def test_a_leak_is_seen() -> None:
    leaks = soak.Soak([200.0 + number for number in range(100)], [20 + number // 50 for number in range(100)], [])
    assert leaks.failures() == ["memory grows by 59.0 MiB in 100 studies", "1 files are left open"]
    assert soak.Soak([*range(100, 200, 10), *[200.0] * 90], [20] * 100).failures() == []


@pytest.mark.slow
def test_the_same_bytes_in_other_surroundings(tmp_path: Path) -> None:
    assert not any(determinism.torture(tmp_path, determinism.QUICK).values())


def test_the_first_step_of_a_run_writes_no_name_of_the_headers(tmp_path: Path) -> None:
    written = privacy.torture(tmp_path, 8, ("00",))
    assert {"said.txt", "private/00_start/manifest.json", "private/00_start/00_start.ipynb"} <= written.keys()
    assert set.union(*written.values()) == set()


def test_a_name_in_a_file_or_in_its_path_is_seen(tmp_path: Path) -> None:
    (tmp_path / "QHOSPITALQ").mkdir()
    file = tmp_path / "QHOSPITALQ" / "log.jsonl"
    file.write_text('{"said": "read QGIVENQ, 1903-02-01"}')
    assert privacy.found(file, tmp_path) == {"InstitutionName", "PatientName", "PatientBirthDate"}
