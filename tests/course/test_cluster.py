"""Jobs on the workers of a real Dask cluster: same values, whatever dies; and what cannot be used is named."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import clusters
import pytest

from spinekit.course import cluster
from spinekit.course.cluster import Cluster, NoDask, NoScheduler, NoWorker, UnfitWorker
from spinekit.parallel import Processes, WorkerKilled


def test_without_an_address_processes_of_this_machine_do_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(cluster.VARIABLE, raising=False)
    for scheduler in ("", None):
        with cluster.pool(scheduler, 3) as pool:
            assert pool == Processes(3)
    monkeypatch.setenv(cluster.VARIABLE, "tcp://10.0.0.5:8786")
    assert cluster.address_of(None) == "tcp://10.0.0.5:8786" and cluster.address_of("") == ""


def test_jobs_run_in_workers_as_they_would_here(
    scheduler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SPINEKIT_OUTPUTS", "elsewhere")
    monkeypatch.setenv(cluster.VARIABLE, scheduler)
    with cluster.pool(None, 1, tmp_path / "new") as pool:
        assert pool.size == 2
        places = [ended.result() for ended in pool.run(clusters.place, range(6))]
    assert sorted(place["number"] for place in places) == list(range(6))
    assert len({place["process"] for place in places}) == 2 and os.getpid() not in {one["process"] for one in places}
    assert {place["folder"] for place in places} == {str(tmp_path)}
    own = {name: os.environ[name] for name in ("SPINEKIT_ROOT", "SPINEKIT_OUTPUTS")}
    assert all(place["settings"] == own for place in places)  # and no scheduler: a job does not start others there
    assert not list((tmp_path / "new").iterdir())


def test_an_error_is_that_of_its_job_alone(scheduler: str) -> None:
    with cluster.pool(scheduler, 1) as pool:
        by_number = {ended.number: ended for ended in pool.run(clusters.half, [4, 3, 2])}
    assert [by_number[number].value for number in range(3)] == [2, None, 1]
    with pytest.raises(ValueError, match="3 is odd"):
        by_number[1].result()


def test_a_job_whose_worker_is_killed_is_run_by_another(scheduler: str, tmp_path: Path) -> None:
    folders = [tmp_path / str(number) for number in range(3)]
    for folder in folders:
        folder.mkdir()
    (folders[0] / "killed").touch()
    (folders[2] / "killed").touch()
    with cluster.pool(scheduler, 1, tmp_path) as pool:
        ended = list(pool.run(clusters.killed_once, folders))
    assert sorted(one.result() for one in ended) == folders
    assert all((folder / "done").is_file() for folder in folders)


def test_a_job_that_kills_every_worker_has_failed_and_the_others_are_done(scheduler: str) -> None:
    with cluster.pool(scheduler, 1) as pool:
        by_number = {ended.number: ended for ended in pool.run(clusters.killed_always, range(4))}
    assert isinstance(by_number[1].error, WorkerKilled) and "more memory" in str(by_number[1].error)
    assert [by_number[number].result() for number in (0, 2, 3)] == [0, 2, 3]


def test_what_jobs_tell_arrives_in_order_before_they_end(scheduler: str) -> None:
    heard: list[tuple[int, float]] = []
    with cluster.connected(scheduler) as pool:
        pool.listen(lambda message: heard.append((message["number"], message["share"])))
        for ended in pool.run(clusters.told, range(4)):
            assert [share for number, share in heard if number == ended.number] == [0.5, 1.0]
    assert len(heard) == 8


def test_jobs_that_nobody_waits_for_are_not_run(scheduler: str, tmp_path: Path) -> None:
    with cluster.pool(scheduler, 1, tmp_path) as pool:
        for _ in pool.run(clusters.place, range(1000)):
            break
    with cluster.pool(scheduler, 1) as pool:
        assert next(pool.run(clusters.half, [2])).result() == 1


@pytest.fixture(scope="module")
def mixed() -> Iterator[str]:
    """A scheduler with a worker without a GPU, and one that says that it has one: started as the guide says."""
    with clusters.started(clusters.SCHEDULER) as (_, address):
        worker = clusters.worker_of(address)
        with clusters.started(worker), clusters.started(f"{worker} --resources GPU=1"):
            yield address


def test_a_worker_with_a_gpu_takes_one_training_at_a_time_and_others_none(mixed: str) -> None:
    with cluster.pool(mixed, 1, trains=True) as pool:
        assert pool.size == 1
        places = [ended.result() for ended in pool.run(clusters.place, range(4))]
    assert len({place["process"] for place in places}) == 1
    spans = sorted((place["began"], place["ended"]) for place in places)
    assert all(ended <= began for (_, ended), (began, _) in zip(spans, spans[1:], strict=False))
    with cluster.pool(mixed, 1) as pool:  # to grade needs no GPU
        assert pool.size == 2
        assert len({ended.result()["process"] for ended in pool.run(clusters.place, range(4))}) == 2


def test_a_device_that_is_asked_for_goes_to_workers_that_have_one(
    scheduler: str, mixed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "WORKERS_S", 0.5)
    monkeypatch.setenv("SPINEKIT_DEVICE", "")
    cluster.use_device("cuda", mixed)  # not looked for here, where there may be none
    with cluster.pool(mixed, 1) as pool:
        assert pool.size == 1
        assert {e.result()["settings"]["SPINEKIT_DEVICE"] for e in pool.run(clusters.place, [0])} == {"cuda"}
    with pytest.raises(NoWorker, match="--resources GPU=1"), cluster.pool(scheduler, 1):
        pass


def test_workers_that_may_not_start_processes_are_told_how(scheduler: str, mixed: str) -> None:
    with (
        cluster.pool(scheduler, 1) as pool,
        pytest.raises(UnfitWorker, match="start the workers with DASK_DISTRIBUTED__WORKER__DAEMON=False"),
    ):
        list(pool.run(clusters.with_a_process, [0]))
    with cluster.pool(mixed, 1) as pool:
        assert [ended.result() for ended in pool.run(clusters.with_a_process, [5])] == [5]


def test_dask_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(NoDask, match=r"spinekit\[cluster\]"), cluster.pool("tcp://127.0.0.1:1", 1):
        pass


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense://x"])
def test_an_address_without_a_scheduler_is_named(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "CONNECT_S", 0.5)
    with pytest.raises(NoScheduler, match=f"{address}.*`dask scheduler`"), cluster.pool(address, 1):
        pass


def test_a_scheduler_without_workers_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "WORKERS_S", 0.5)
    with (
        clusters.local_cluster(0) as empty,
        pytest.raises(NoWorker, match=f"`dask worker {empty.scheduler_address}"),
        cluster.pool(empty.scheduler_address, 1),
    ):
        pass


def test_workers_with_other_versions_are_named(scheduler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    newer = {**cluster.versions(), "torch": "99"}
    monkeypatch.setattr(cluster, "versions", lambda: newer)
    with pytest.raises(UnfitWorker, match=r"torch .* from torch 99: install.*\(and 1 more"), cluster.pool(scheduler, 1):
        pass


def test_workers_and_schedulers_that_lack_the_package_are_named(tmp_path: Path) -> None:
    (tmp_path / "spinekit").mkdir()
    (tmp_path / "spinekit" / "__init__.py").touch()
    with (
        clusters.local_cluster(0) as local,
        clusters.started(clusters.worker_of(local.scheduler_address), tmp_path),
        pytest.raises(UnfitWorker, match="cannot load spinekit"),
        cluster.pool(local.scheduler_address, 1),
    ):
        pass
    with (
        clusters.started(clusters.SCHEDULER, tmp_path) as (_, address),
        pytest.raises(NoScheduler, match="cannot load spinekit"),
        cluster.pool(address, 1),
    ):
        pass


def test_workers_that_do_not_see_a_path_are_named(scheduler: str, tmp_path: Path) -> None:
    reads = [tmp_path, tmp_path / "gone"]
    with pytest.raises(UnfitWorker, match="cannot read .*gone: use folders"), cluster.pool(scheduler, 1, reads=reads):
        pass


def test_a_worker_that_does_not_see_the_folder_of_results_ends_the_run(scheduler: str, tmp_path: Path) -> None:
    with cluster.pool(scheduler, 1, tmp_path) as pool:
        (token,) = tmp_path.iterdir()
        token.unlink()  # as for a worker on a machine that has another folder at this path
        with pytest.raises(UnfitWorker, match=f"its {tmp_path} is not this machine's"):
            list(pool.run(clusters.half, [2]))


def test_a_scheduler_that_goes_away_ends_the_run() -> None:
    with (
        clusters.started(clusters.SCHEDULER) as (scheduler, address),
        clusters.started(f"{clusters.worker_of(address)} --death-timeout 20"),
        cluster.pool(address, 1) as pool,
    ):
        threading.Timer(0.5, scheduler.kill).start()
        with pytest.raises(NoScheduler, match="what is done is kept"):
            list(pool.run(clusters.slow, [5.0]))


def test_a_run_after_the_scheduler_went_away_ends_at_once() -> None:
    gone = Cluster(SimpleNamespace(status="closed"), "tcp://10.0.0.5:8786", None)  # type: ignore[arg-type]
    with pytest.raises(NoScheduler, match="10.0.0.5:8786 went away"):
        list(gone.run(clusters.half, [2]))


def test_a_run_waits_for_workers_to_come_back(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(cluster, "WATCH_S", 0.1)
    with clusters.local_cluster(1) as local, cluster.pool(local.scheduler_address, 1) as pool:
        jobs = pool.run(clusters.slow, [0.0, 0.1])
        assert next(jobs).result() == 0.0
        local.scale(0)
        deadline = time.monotonic() + 20
        back = threading.Thread(target=lambda: _scale_when_warned(local, caplog, deadline))
        back.start()
        assert next(jobs).result() == 0.1
        back.join()
    assert caplog.text.count("has no worker left") == 1


def _scale_when_warned(local: object, caplog: pytest.LogCaptureFixture, deadline: float) -> None:
    while "has no worker left" not in caplog.text and time.monotonic() < deadline:
        time.sleep(0.05)
    local.scale(1)  # type: ignore[attr-defined]
