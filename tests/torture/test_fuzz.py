"""The reader against what a fuzzer found (corpus/TARGET), and the fuzzer's own parts; atheris is needed for none."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pydicom
import pytest
from torture import fuzz, fuzz_changes, fuzz_targets
from torture.fuzz_targets import READ, REFUSED, TARGETS

from spinekit.io import tables

CORPUS = Path(__file__).parent / "corpus"
FOUND = sorted(path for path in CORPUS.rglob("*") if path.is_file())


@pytest.mark.parametrize("file", FOUND, ids=lambda file: f"{file.parent.name}-{file.name}")
def test_what_was_found_once_is_read_or_refused_by_name(file: Path, tmp_path: Path) -> None:
    assert TARGETS[file.parent.name].read(file.read_bytes(), tmp_path) in (READ, REFUSED)


def test_the_corpus_is_small_and_of_these_targets() -> None:
    assert FOUND and {path.parent.name for path in FOUND} <= set(TARGETS)
    assert max(path.stat().st_size for path in FOUND) < 4096


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_are_read_and_a_changed_one_is_another(name: str, tmp_path: Path) -> None:
    rng = random.Random(0)
    for number, data in enumerate(TARGETS[name].seeds(tmp_path)):
        home = tmp_path / f"read{number}"
        home.mkdir()
        only_lists_files = name == "export" and b"STUDY\\IM1" in data
        assert TARGETS[name].read(data, home) == (REFUSED if only_lists_files else READ)
        assert set(_changed(name, data, rng)) - {data}


def _changed(name: str, data: bytes, rng: random.Random) -> Iterator[bytes]:
    for _ in range(8):
        with suppress(Exception):  # what can't be changed in this way is left to the fuzzer
            yield fuzz_changes.CHANGES[name](data, rng, lambda value: value + b"1")


def test_a_changed_element_keeps_the_file_readable() -> None:
    rng, data = random.Random(1), fuzz_targets.image_bytes()
    for _ in range(40):
        changed = fuzz_changes.file(data, rng, lambda value: value[:1])
        assert len(pydicom.dcmread(io.BytesIO(changed), force=True)) > 10


def test_an_error_of_another_kind_is_kept_and_made_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(file: Path) -> None:
        if b"needle" in file.read_bytes():
            raise KeyError("x")

    monkeypatch.setattr(tables, "read_rows", breaks)
    (tmp_path / "scratch").mkdir()
    child = fuzz.Child("table", tmp_path, tmp_path / "scratch")
    for data in (b"row_id\n1,needle in hay\n" * 20, b"needle", b"row_id\n"):
        child(data)
    assert child.counts["raised"] == 2 and child.counts.total() == 3
    (kept,) = [file for file in (tmp_path / "findings").iterdir() if file.suffix != ".txt"]
    assert kept.read_bytes() == b"needle" and "KeyError" in kept.with_suffix(".txt").read_text()


def test_memory_that_runs_out_is_no_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hungry(*given: object, **named: object) -> None:
        raise MemoryError

    monkeypatch.setattr("spinekit.io.dicom_file.open_dataset", hungry)
    with pytest.raises(MemoryError):
        TARGETS["file"].read(fuzz_targets.image_bytes(), tmp_path)


def test_without_atheris_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert not fuzz.installed() and "pip install -e '.[fuzz]'" in fuzz.MISSING


@pytest.mark.skipif(not fuzz.installed(), reason=fuzz.MISSING)
def test_two_hundred_inputs_are_read_or_refused_by_name(tmp_path: Path) -> None:
    fuzzed = fuzz.fuzz("table", tmp_path, runs=200, seed=0)
    assert not fuzzed.findings and fuzzed.runs == 200 and fuzzed.covered > 50
