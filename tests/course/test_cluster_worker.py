"""A job on a worker runs as where it was started, one at a time, or is refused."""

from __future__ import annotations

import os
import pickle
import threading
from dataclasses import replace
from pathlib import Path

import clusters
import pytest

from spinekit.course import cluster_worker
from spinekit.course.cluster_worker import SETTINGS, VARIABLE, Terms, UnfitWorker, do, versions


@pytest.fixture
def terms(tmp_path: Path) -> Terms:
    """What this process fulfils."""
    (tmp_path / "token").write_text("mine")
    return Terms(versions(), str(tmp_path), dict.fromkeys(SETTINGS), (str(tmp_path),), str(tmp_path / "token"), "mine")


def test_the_same_code_versions_and_files_are_fit(terms: Terms) -> None:
    assert terms.violation() == "" and replace(terms, token="").violation() == ""
    assert {"spinekit", "python", "torch"} <= terms.versions.keys()


def test_what_differs_is_named_with_what_to_do(terms: Terms, tmp_path: Path) -> None:
    more = {**terms.versions, "dream": "2"}
    assert "it has dream not at all, and the jobs come from dream 2" in replace(terms, versions=more).violation()
    other = {**terms.versions, "spinekit": "0.0.1, code 123"}
    assert "come from spinekit 0.0.1, code 123" in replace(terms, versions=other).violation()
    assert f"cannot read {tmp_path}/no" in replace(terms, folder=f"{tmp_path}/no").violation()
    for foreign in (replace(terms, text="theirs"), replace(terms, token=f"{tmp_path}/gone")):
        assert f"its {tmp_path} is not this machine's" in foreign.violation()
        with pytest.raises(UnfitWorker, match="a worker cannot be used"):
            do(pickle.dumps((foreign, clusters.half, 2)))


def test_a_job_has_the_settings_of_the_one_that_started_it(terms: Terms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "tcp://10.0.0.5:8786")
    monkeypatch.setenv("SPINEKIT_DEVICE", "cpu")
    before, folder = dict(os.environ), os.getcwd()
    given = replace(terms, settings={**terms.settings, "SPINEKIT_OUTPUTS": "there"})
    place = do(pickle.dumps((given, clusters.place, 7)))
    assert place["settings"] == {"SPINEKIT_OUTPUTS": "there"} and place["folder"] == terms.folder
    assert dict(os.environ) == before and os.getcwd() == folder
    with pytest.raises(ValueError, match="3 is odd"):
        do(pickle.dumps((given, clusters.half, 3)))
    assert dict(os.environ) == before and os.getcwd() == folder


def test_a_worker_of_several_threads_runs_one_job_at_a_time(terms: Terms) -> None:
    places: list[dict[str, float]] = []
    packed = pickle.dumps((terms, clusters.place, 0))
    threads = [threading.Thread(target=lambda: places.append(do(packed))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spans = sorted((place["began"], place["ended"]) for place in places)
    assert len(spans) == 3 and all(end <= began for (_, end), (began, _) in zip(spans, spans[1:], strict=False))


def wrong(_: int) -> None:
    raise AssertionError("2 is not 3")


def test_another_failed_assertion_is_that_of_the_job(terms: Terms) -> None:
    with pytest.raises(AssertionError, match="2 is not 3"):
        do(pickle.dumps((terms, wrong, 0)))


def test_messages_need_a_worker() -> None:
    with pytest.raises(ValueError, match="No worker found"):
        cluster_worker.tell({"share": 0.5})
