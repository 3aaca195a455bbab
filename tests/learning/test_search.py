"""Searches shared by processes: budget, pruning, kills, seeds, and what is refused."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import clusters
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState

from spinekit.course import cluster
from spinekit.learning import search, search_results
from spinekit.learning.search import (
    GRID,
    RANDOM,
    TPE,
    Hyperparameter,
    OtherSearch,
    Plan,
    Report,
    SearchError,
    Unusable,
    Values,
)
from spinekit.parallel import SeveralProcesses

SPACE = (
    Hyperparameter("x", FloatDistribution(-2.0, 2.0), (-1.0, 0.0, 1.0)),
    Hyperparameter("rate", FloatDistribution(1e-3, 1.0, log=True), (0.01, 0.1)),
    Hyperparameter("size", CategoricalDistribution((16, 32)), (16, 32)),
)
EPOCHS, BUDGET = 3, 36
# Objectives here do not use torch: a forked process is enough, and starts at once.
FORK = multiprocessing.get_context("fork")


def plan(folder: Path, method: str = TPE, **other: object) -> Plan:
    return replace(Plan(folder, method, SPACE, BUDGET, EPOCHS), **other)


def bowl(values: Values, report: Report) -> float:
    """Falls from epoch to epoch towards x squared."""
    for epoch in range(EPOCHS):
        score = values["x"] ** 2 + 1 / (epoch + 1)
        report(epoch, score)
    return score


def hanging(values: Values, report: Report, after: int, folder: Path) -> float:
    """As ``bowl``, but hangs in the second epoch of the trial that comes after so many others."""
    with (folder / "begun").open("a") as file:
        file.write("x")
    report(0, values["x"] ** 2 + 1)
    if (folder / "begun").stat().st_size > after and not (folder / "let go").exists():
        (folder / "hangs").touch()
        time.sleep(60)
    for epoch in (1, 2):
        score = values["x"] ** 2 + 1 / (epoch + 1)
        report(epoch, score)
    return score


def trials_of(p: Plan) -> list:
    return search.open_study(p).get_trials()


@pytest.mark.parametrize("method", [TPE, GRID, RANDOM])
def test_every_method_spends_the_same_epochs(tmp_path: Path, method: str) -> None:
    study = search.search(plan(tmp_path, method), bowl)
    assert BUDGET - EPOCHS < search.spent(study) <= BUDGET
    counted = search_results.counts({method: study})[method]
    assert counted["epochs"] == search.spent(study) and counted["killed"] == 0
    if method == TPE:
        assert counted["pruned"] > 0 and counted["finished"] + counted["pruned"] > BUDGET // EPOCHS
    else:
        assert (counted["finished"], counted["pruned"]) == (BUDGET // EPOCHS, 0)
    table = search_results.history(study)
    assert table["epochs"].sum() == search.spent(study) and table["best"].is_monotonic_decreasing
    assert table["best"].iloc[-1] == search.best(study).value


def test_a_grid_tries_each_point_once(tmp_path: Path) -> None:
    p = plan(tmp_path, GRID)
    study = search.search(p, bowl)
    tried = [trial.params for trial in study.get_trials()]
    assert len(tried) == 12 and all(point in tried for point in p.points())


@pytest.mark.parametrize("method", [TPE, RANDOM, GRID])
def test_one_process_draws_the_same_trials_twice_even_if_it_is_stopped(tmp_path: Path, method: str) -> None:
    class Stopped(Exception):
        pass

    def stops(values: Values, report: Report, left: list[int]) -> float:
        if not left:
            raise Stopped
        left.pop()
        return bowl(values, report)

    once = search.search(plan(tmp_path / "a", method), bowl)
    whole = [trial.params for trial in once.get_trials()]
    again = plan(tmp_path / "b", method)
    with pytest.raises(Stopped):
        search.search(again, partial(stops, left=[0] * 5))
    search.search(again, bowl)
    kept = [trial.params for trial in trials_of(again) if trial.state != TrialState.FAIL]
    assert len(kept) == len(trials_of(again)) - 1
    assert kept[:5] == whole[:5] and whole[5] in kept
    if method != GRID:
        other = search.search(plan(tmp_path / "c", method, seed=1), bowl)
        assert [trial.params for trial in other.get_trials()] != whole
    assert len({tuple(sorted(params.items())) for params in whole}) == len(whole)  # none is drawn twice


def test_two_processes_share_a_search_and_its_budget(tmp_path: Path) -> None:
    p = plan(tmp_path, RANDOM)
    search.open_study(p)
    workers = [FORK.Process(target=search.work, args=(p, slow)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    trials = trials_of(p)
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert len(trials) == BUDGET // EPOCHS and all(trial.state == TrialState.COMPLETE for trial in trials)
    assert len({trial.params["x"] for trial in trials}) == len(trials)
    assert len((tmp_path / "workers").read_text().split()) == len(trials)
    assert len(set((tmp_path / "workers").read_text().split())) == 2
    assert not list(tmp_path.glob("*.running"))


def slow(values: Values, report: Report) -> float:
    with (Path(os.environ["SEARCH_TEST"]) / "workers").open("a") as file:
        file.write(f"{os.getpid()} ")
    time.sleep(0.05)
    return bowl(values, report)


@pytest.fixture(autouse=True)
def _folder_of_the_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEARCH_TEST", str(tmp_path))


@pytest.mark.parametrize("method", [RANDOM, GRID])
def test_a_worker_killed_in_a_trial_loses_nothing(tmp_path: Path, method: str) -> None:
    p = plan(tmp_path, method)
    search.open_study(p)
    worker = FORK.Process(target=search.work, args=(p, partial(hanging, after=4, folder=tmp_path)))
    worker.start()
    while not (tmp_path / "hangs").exists():
        assert worker.is_alive()
        time.sleep(0.02)
    (victim,) = [trial for trial in trials_of(p) if trial.state == TrialState.RUNNING]
    assert search.enqueue_dead(p, search.open_study(p)) == []  # it hangs, but it lives
    os.kill(worker.pid, signal.SIGKILL)
    worker.join(30)
    (tmp_path / "let go").touch()
    study = search.search(p, partial(hanging, after=4, folder=tmp_path))
    states = [trial.state for trial in study.get_trials()]
    assert states.count(TrialState.COMPLETE) == BUDGET // EPOCHS and states.count(TrialState.FAIL) == 1
    assert TrialState.RUNNING not in states and TrialState.WAITING not in states
    (heir,) = [trial for trial in study.get_trials() if search.AGAIN in trial.user_attrs]
    assert heir.params == victim.params and heir.user_attrs[search.AGAIN] == victim.number
    assert search.spent(study) == BUDGET
    if method == GRID:
        done = [trial.params for trial in study.get_trials(states=(TrialState.COMPLETE,))]
        assert all(point in done for point in p.points())


def test_a_search_whose_worker_is_killed_goes_on_with_another_one(tmp_path: Path, scheduler: str) -> None:
    p = plan(tmp_path, GRID)
    with cluster.pool(scheduler, 1, tmp_path) as pool:
        study = search.search(p, partial(clusters.bowl_that_kills, folder=tmp_path), pool)
    done = [trial for trial in study.get_trials() if trial.state == TrialState.COMPLETE]
    assert len(done) == 12 and all(point in [trial.params for trial in done] for point in p.points())
    assert all(trial.value == trial.params["x"] ** 2 for trial in done) and search.spent(study) == BUDGET
    assert search_results.counts({GRID: study})[GRID]["killed"] == 1


def test_a_grid_point_of_a_trial_that_died_before_it_had_values_is_tried(tmp_path: Path) -> None:
    p = plan(tmp_path, GRID)
    search.open_study(p).ask()  # as if killed between the two steps
    done = search.search(p, bowl).get_trials(states=(TrialState.COMPLETE,))
    assert all(point in [trial.params for trial in done] for point in p.points())


def test_values_that_cannot_be_trained_are_paid_and_do_not_win(tmp_path: Path) -> None:
    def diverges(values: Values, report: Report) -> float:
        if values["x"] > 0:
            raise Unusable("the loss became nan")
        return bowl(values, report)

    study = search.search(plan(tmp_path, RANDOM), diverges)
    diverged = [trial for trial in study.get_trials() if trial.user_attrs.get(search.DIVERGED)]
    assert diverged and all(trial.state == TrialState.PRUNED for trial in diverged)
    assert BUDGET - EPOCHS < search.spent(study) <= BUDGET
    assert search.best(study).params["x"] <= 0
    assert search_results.history(study)["score"].isna().sum() == len(diverged)


def test_what_was_searched_for_something_else_is_refused(tmp_path: Path) -> None:
    search.search(plan(tmp_path, RANDOM, stored_for="one cohort"), bowl)
    with pytest.raises(OtherSearch, match=r"journal\.log.*another search space.*cohort"):
        search.open_study(plan(tmp_path, RANDOM, stored_for="another cohort"))
    narrow = (replace(SPACE[0], distribution=FloatDistribution(-1.0, 1.0)), *SPACE[1:])
    with pytest.raises(OtherSearch):
        search.open_study(plan(tmp_path, RANDOM, stored_for="one cohort", space=narrow))
    search.open_study(plan(tmp_path, TPE, stored_for="another cohort"))  # another search of the same journal


def test_launched_processes_do_not_make_the_same_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SeveralProcesses, match="the same search"):
        search.search(plan(tmp_path), bowl)


def test_impossible_plans_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SearchError, match="unknown"):
        plan(tmp_path, "guess")
    with pytest.raises(SearchError, match="does not cover"):
        plan(tmp_path, TPE, budget=2)
    with pytest.raises(SearchError, match="12 points"):
        plan(tmp_path, GRID, budget=35)
    with pytest.raises(SearchError, match="no trial"):
        search.best(search.open_study(plan(tmp_path)))
