"""The benchmark runs at a tiny size, and counts what it says that it counts. No time is asserted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

HERE = Path(__file__).parent / "benchmarks"
sys.path.append(str(HERE))  # its modules find each other as they do when the folder is run

import clusters  # noqa: E402
import costs  # noqa: E402
import decoding  # noqa: E402
import many_workers  # noqa: E402
import memory  # noqa: E402
import page  # noqa: E402
from rows import Row, medians, share_of_time, times_as_fast  # noqa: E402

from spinekit.course import cluster  # noqa: E402
from spinekit.course.plan import TFLOPS, TRAINING  # noqa: E402
from spinekit.exams.batch import Options  # noqa: E402
from spinekit.io import cohort  # noqa: E402

ROW: dict[str, Any] = Row("to read", 1.0, "the loop", 2.0, "s", 0.5, "<=", 0.8).to_json()


def test_the_benchmark_runs_and_leaves_its_rows_a_plot_and_a_table(tmp_path: Path) -> None:
    command = [sys.executable, str(HERE), "--tiny", "--out", str(tmp_path), "--rows"]
    subprocess.run([*command, "phantoms", "reading", "store", "training"], check=True, capture_output=True)
    report = json.loads((tmp_path / "bench.json").read_text())
    assert report["sizes"] == "tiny" and report["cores"] == os.cpu_count() and report["date"] and report["torch"]
    for words in ("phantoms drawn", "read a study, demo size, RLE", "by two processes", "slices", "notebook 05"):
        assert any(words in row["what"] for row in report["rows"]), words
    assert {"SimpleITK", "MONAI PydicomReader"} <= {row["against"] for row in report["rows"]}
    assert all(row["ours"] > 0 and row["other"] > 0 and row["ratio"] > 0 for row in report["rows"])
    assert (tmp_path / "bench.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "bench.md").read_text() == page.markdown(report)


def test_models_are_needed_to_grade(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, str(HERE), "--rows", "grading"], capture_output=True, text=True)
    assert done.returncode == 2 and "--weights" in done.stderr


def test_ratios_and_what_they_are_to_reach() -> None:
    seconds = {"ours": 1.0, "loop": 4.0}
    assert times_as_fast("x", "loop", seconds, 4.0).reached and not times_as_fast("x", "loop", seconds, 4.1).reached
    assert share_of_time("x", "loop", seconds, 0.25).reached and not share_of_time("x", "loop", seconds, 0.2).reached


def test_the_ways_take_turns_and_the_median_counts() -> None:
    calls: list[str] = []
    ticks = iter([0, 1, 0, 5, 0, 50, 0, 3, 0, 2, 0, 4])  # begin and end of each way, in the order of their turns
    ways = {"one": lambda: calls.append("one"), "two": lambda: calls.append("two")}
    assert medians(ways, 3, lambda: next(ticks)) == {"one": 2, "two": 5}
    assert calls == ["one", "two", "one", "two", "two", "one", "one", "two"]


def test_a_table_has_a_line_for_each_row() -> None:
    lines = page.markdown({"rows": [ROW]}).splitlines()
    assert lines[0].startswith("| what | ours |")
    assert lines[2] == "| to read | 1 s | the loop | 2 s | 0.50 | <= 0.8 | yes |"


def test_each_opening_and_decoding_is_counted_in_child_processes_too(truth_cohort: Path, tmp_path: Path) -> None:
    data = cohort.load(truth_cohort)
    study = data.study_folder(data.studies()[0])
    read = f"from pathlib import Path; from spinekit.io.study import read_study; read_study(Path({str(study)!r}))"
    twice = f"import subprocess, sys; {read}; subprocess.run([sys.executable, '-c', {read!r}], check=True)"
    counts = decoding.counted([sys.executable, "-c", twice], tmp_path)
    files = {str(file) for file in study.rglob("*.dcm")}
    assert counts == {(event, file): 2 for event in ("open", "decode") for file in files}


def test_a_cohort_ten_times_as_large_has_the_same_images(truth_cohort: Path, tmp_path: Path) -> None:
    few, many = cohort.load(truth_cohort), cohort.load(memory.larger(truth_cohort, tmp_path / "many"))
    assert len(many.studies("train")) == memory.TIMES * len(few.studies("train"))
    assert len(many.studies("test")) == memory.TIMES * len(few.studies("test"))
    assert len(many.points) == memory.TIMES * len(few.points)
    first, copy = few.read(few.studies()[0]), many.read(many.studies()[0])
    assert [stack.pixels.shape for stack in copy.stacks] == [stack.pixels.shape for stack in first.stacks]


def test_the_table_of_the_book_is_that_of_the_run_that_lies_beside_it() -> None:
    book = HERE.parents[1] / "notebooks" / "book"
    report, text = json.loads((book / "performance.json").read_text()), (book / "performance.md").read_text()
    assert page.markdown(report) in text
    assert f"{report['date']}, {report['cores']} cores, {report['threads']} thread" in text


def test_two_workers_are_timed_against_one(truth_cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graded: list[tuple[str, int]] = []

    def grade(studies: list[Path], weights: str, out: Path, options: Options) -> SimpleNamespace:
        with cluster.pool(options.scheduler, 1) as pool:
            graded.append((out.name, pool.size))
            assert len(list(pool.run(clusters.slow, [0.3] * len(studies)))) == 3 and options.force and weights == "run"
        return SimpleNamespace(failed=[])

    monkeypatch.setattr(many_workers, "grade_paths", grade)
    (row,) = many_workers.rows(cohort.load(truth_cohort), "run", tmp_path)
    assert set(graded) == {("ours", 2), (many_workers.ONE, 1)}
    assert row.ratio == row.other / (2 * row.ours) and row.reach == 0.85 and "3 studies" in row.what


def test_the_table_of_costs_is_that_of_the_page_and_of_the_plan() -> None:
    assert costs.table() in (costs.MEASURED.parent / "howto-cluster.md").read_text(encoding="utf-8")
    few, many = list(costs.costs(1000)), list(costs.costs(100_000))
    for one, hundred in zip(few, many, strict=True):  # what stays the same, such as a model, counts less
        assert one.work == hundred.work and 40 < hundred.disk_gb / one.disk_gb < 101
        assert hundred.gpu_hours == pytest.approx(100 * one.gpu_hours, rel=0.02)
        assert hundred.core_hours > 90 * one.core_hours
    training, _ = costs.planned()[1000]
    assert few[1].gpu_hours == training.of_steps(1, TRAINING).flop / TFLOPS / 1e12 / 3600
    seconds = costs.measured(*costs.READ_LARGE)["ours"] + costs.REPORT_SECONDS
    assert few[3].core_hours == pytest.approx(1000 * seconds / 3600)
    assert costs.Cost(1000, "x", 12.34, 0.0, 1234.5).cells() == ("1,000", "x", "12", "0", "1.2 TB")


def test_make_runs_it() -> None:
    makefile = (HERE.parents[1] / "Makefile").read_text()
    assert "$(BIN)/python tests/benchmarks" in makefile.split("\nbench:")[1].split("\n\n")[0]
