"""Folds side by side on the workers of a cluster: the same results, whatever dies, and a fold that fails is named."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spinekit import __main__ as commands
from spinekit.course import cluster_run, cluster_worker, runner
from spinekit.course.cluster_run import Stage, stages
from spinekit.course.progress import Estimate, RunLog
from spinekit.course.runner import NotebookFailed, Options, find_notebooks, plan
from spinekit.course.steps import Step
from spinekit.parallel import Ended, WorkerKilled

DRAWS = "import torch\nrun.finish({'draw': torch.rand(3)})"
# The first time, fold 1 ends the worker that runs it, which is the parent of its kernel.
KILLS = """
import os, signal
mark = run.root / "killed"
if fold == 1 and not mark.exists():
    mark.touch()
    os.kill(os.getppid(), signal.SIGKILL)
"""


def names(stage: Stage) -> list[list[str]]:
    return [[f"{job.notebook.step}:{job.parameters.get('fold')}" for _, job in chain.jobs] for chain in stage.chains]


def test_folds_are_chains_side_by_side_and_what_spreads_trainings_stays_here(step: Callable[..., Path]) -> None:
    step(Step.START, "")
    for name in (Step.LOCALIZATION, Step.CROPS, Step.ABLATION):
        step(name, "", fold=0)
    step(Step.SUBMISSION, "", folds="0")
    in_order = list(stages(plan(find_notebooks(), Options(folds=(0, 2))), True))
    assert [names(stage) for stage in in_order] == [
        [["00_start:None"]],
        [[f"{Step.LOCALIZATION}:{fold}", f"{Step.CROPS}:{fold}"] for fold in (0, 2)],
        [["06_submission:None"]],
        [[f"{Step.ABLATION}:0"], [f"{Step.ABLATION}:2"]],
    ]
    assert [stage.spreads for stage in in_order] == [False, False, False, True]
    numbers = [number for stage in in_order for chain in stage.chains for number, _ in chain.jobs]
    assert sorted(numbers) == list(range(8)) and all(chain.force for stage in in_order for chain in stage.chains)


def test_notebooks_that_stay_here_find_the_scheduler(
    step: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    step(Step.ABLATION, "", fold=0)
    jobs = plan(find_notebooks(), Options(folds=(0, 1)))
    seen: list[str] = []
    monkeypatch.setattr(
        cluster_run, "run_or_reuse", lambda *given: seen.append(os.environ[cluster_worker.VARIABLE]) or 1.0
    )
    monkeypatch.delenv(cluster_worker.VARIABLE, raising=False)
    (stage,) = stages(jobs, False)
    assert cluster_run._run_here(stage, "tcp://a:1", None) == {0: 1.0, 1: 1.0} and seen == ["tcp://a:1"] * 2  # type: ignore[arg-type]
    assert cluster_worker.VARIABLE not in os.environ


def test_folds_of_which_one_loses_its_worker_come_to_the_same(
    step: Callable[..., Path], project: Path, scheduler: str, capfd: pytest.CaptureFixture[str]
) -> None:
    step("03_locate", KILLS, DRAWS, fold=0)
    notebooks, here = find_notebooks(), project / "outputs" / "here"
    here.mkdir(parents=True)
    (here / "killed").touch()
    runner.run_all(plan(notebooks, Options(run_name="here", folds=(0, 1))))
    jobs = plan(notebooks, Options(folds=(0, 1)))
    capfd.readouterr()
    outcomes = cluster_run.run_all(jobs, False, scheduler)
    assert jobs[0].root.joinpath("killed").is_file()
    assert [(one["step"], one["fold"], one["reused"]) for one in outcomes] == [
        ("03_locate", fold, False) for fold in (0, 1)
    ]
    lines = capfd.readouterr().err
    assert lines.count("[1/2] 03_locate (fold 0): begun") == 1 and lines.count("(fold 1): begun") == 2
    assert lines.count(": took ") == 2
    for job in jobs:
        there = job.folder / "metrics.json"
        assert there.read_bytes() == (here / there.relative_to(job.root)).read_bytes()
    assert all(one["reused"] for one in runner.run_all(jobs))
    assert all(one["reused"] for one in cluster_run.run_all(jobs, False, scheduler))


def test_a_fold_that_fails_is_named_and_the_others_are_done(
    step: Callable[..., Path], scheduler: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    step("03_locate", "1 / fold", DRAWS, fold=0)
    step("06_submit", "run.finish({})", folds="0")
    monkeypatch.setattr(sys, "argv", ["spinekit", "run", "03", "06", "--fold", "0,1", "--scheduler", scheduler])
    with pytest.raises(SystemExit) as ended:
        commands.main()
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert re.search(r"^spinekit: 03_locate \(fold 0\) stopped in cell \[\d+\]: ZeroDivisionError", said, re.MULTILINE)
    assert "06_submit" not in said
    jobs = plan(find_notebooks(["03"]), Options(folds=(0, 1)))
    assert [job.is_done() for job in jobs] == [False, True]


def test_a_worker_that_dies_again_and_again_is_the_failure_of_its_fold(step: Callable[..., Path]) -> None:
    step("03_locate", "", fold=0)
    (stage,) = stages(plan(find_notebooks(), Options(folds=(0, 1))), False)
    lines: list[str] = []

    class Deadly:
        def run(self, function: object, chains: object) -> Iterator[Ended[dict[int, float | None]]]:
            yield Ended(1, error=WorkerKilled("4 workers died"))
            yield Ended(0, {0: 2.0})

    with pytest.raises(NotebookFailed, match=r"^03_locate \(fold 1\): spinekit/worker-killed: 4 workers died$"):
        cluster_run._run_stage(stage, Deadly(), RunLog(Estimate([]), lines.append))  # type: ignore[arg-type]
    assert lines == ["03_locate (fold 1): spinekit/worker-killed: 4 workers died"]
