"""The short version of `make torture`: a dozen damaged studies, pydicom's files, tables; and failures are seen."""

from __future__ import annotations

import os
import shutil
import time
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest
from torture import determinism, files, mutations, studies, tables, worker
from torture.worker import GRADED, MEMORY, REFUSED, ROWS, TRACEBACK, Outcome

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
    process = studies.Worker(waits_for_ever_or_dies, "fork")
    ended = {name: process.outcome(Path(name), None, seconds=0.2) for name in ("waits", "computes", "dies", "good")}
    process.finish()
    assert {name: one.outcome for name, one in ended.items()} == {
        "waits": studies.HANG,
        "computes": studies.HANG,
        "dies": studies.DIED,
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


@pytest.mark.slow
def test_the_same_bytes_in_other_surroundings(tmp_path: Path) -> None:
    assert not any(determinism.torture(tmp_path, determinism.QUICK).values())
