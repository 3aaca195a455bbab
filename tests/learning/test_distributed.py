"""Several processes train one model: the same in each, as one process would, and none waits for another in vain.

The processes are those of a CPU; where each has a GPU the same code runs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import launched_training as launched
import nbformat
import numpy as np
import pandas as pd
import pytest
import torch
from launched_training import PLAIN, UNEVEN, Plain, plain_loss, stop_in_epoch
from nbclient import NotebookClient
from tiny_training import RECIPE, tiny_data, tiny_loss, tiny_model

from spinekit.learning import devices, distributed
from spinekit.learning.distributed import ProcessFailed, SeveralProcesses, launch
from spinekit.learning.stored_weights import load_weights
from spinekit.learning.training import CHECKPOINT, HISTORY, MODEL, FitOptions, fit

TESTS = Path(launched.__file__).parent
SEED = FitOptions(3)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes left that were started with the guide's second command, and what one process had begun."""
    home = tmp_path_factory.mktemp("launched")
    with pytest.raises(launched.Stopped):
        fit(Plain(), tiny_data(), plain_loss, PLAIN, home / "resumed", replace(SEED, validate=stop_in_epoch(2)))
    assert launched.COMMANDS[1].startswith("accelerate-launch ")
    words = [*launched.COMMANDS[1].split()[1:-1], str(launched.__file__), str(home)]
    command = [sys.executable, "-m", "accelerate.commands.launch", *words]
    done = subprocess.run(command, capture_output=True, text=True, env=_environment(), timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return home


@pytest.fixture(scope="module")
def outcomes(home: Path) -> list[dict[str, Any]]:
    """What each process came to, training by training."""
    return [json.loads((home / f"{rank}.json").read_text()) for rank in (0, 1)]


def _environment() -> dict[str, str]:
    paths = [str(TESTS), str(TESTS.parent), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), devices.VARIABLE: "cpu"}


@pytest.mark.parametrize("name", ["tiny", "plain", "uneven", "rare", "half", "resumed"])
def test_all_processes_end_with_the_same_model_and_history(outcomes: list[dict[str, Any]], name: str) -> None:
    first, second = (outcome[name] for outcome in outcomes)
    assert first["digest"] and first == second


@pytest.mark.parametrize(("name", "recipe"), [("plain", PLAIN), ("uneven", UNEVEN), ("resumed", PLAIN)])
def test_two_processes_come_to_what_one_comes_to(
    home: Path, outcomes: list[dict[str, Any]], tmp_path: Path, name: str, recipe: Any
) -> None:
    """Also with a batch that cannot be halved, and where one process had begun."""
    alone = Plain()
    history = fit(alone, tiny_data(), plain_loss, recipe, tmp_path, SEED)
    together = pd.read_csv(home / name / HISTORY)
    np.testing.assert_allclose(together["loss"], history["loss"], rtol=1e-5)
    np.testing.assert_allclose(together["learning_rate"], history["learning_rate"], rtol=1e-7)
    shared = load_weights(Plain(), home / name / MODEL)
    for one, two in zip(alone.parameters(), shared.parameters(), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-4)
    assert not torch.equal(shared.last.weight, Plain().last.weight)


def test_with_batch_statistics_and_random_numbers_the_loss_falls_alike(
    outcomes: list[dict[str, Any]], tmp_path: Path
) -> None:
    alone = fit(tiny_model(), tiny_data(), tiny_loss, RECIPE, tmp_path, SEED)["loss"].to_numpy()
    together = np.array(outcomes[0]["tiny"]["history"]["loss"])
    assert together[-1] < 0.6 * together[0] and np.abs(together - alone).max() < 0.15


def test_running_statistics_are_those_of_all_items(home: Path, tmp_path: Path) -> None:
    """Not those of the first process's half."""
    alone = tiny_model()
    fit(alone, tiny_data(), tiny_loss, replace(RECIPE, learning_rate=1e-9), tmp_path, SEED)
    shared = load_weights(tiny_model(), home / "still" / MODEL)
    torch.testing.assert_close(alone[1].running_mean, shared[1].running_mean, rtol=0, atol=2e-3)
    torch.testing.assert_close(alone[1].running_var, shared[1].running_var, rtol=0.1, atol=0.01)


def test_what_one_process_begins_two_finish_and_the_other_way_round(
    home: Path, outcomes: list[dict[str, Any]], tmp_path: Path
) -> None:
    calls = outcomes[0]["resumed"]["history"]["calls"]
    assert calls == [1.0, 2.0, 1.0, 2.0, 3.0, 4.0]  # two epochs of one process, four of two
    assert (home / "stopped" / CHECKPOINT).is_file()
    table = fit(Plain(), tiny_data(), plain_loss, PLAIN, home / "stopped", replace(SEED, validate=stop_in_epoch(9)))
    assert table["calls"].tolist() == [1.0, 2.0, 3.0, 1.0, 2.0, 3.0]
    whole = fit(Plain(), tiny_data(), plain_loss, PLAIN, tmp_path, SEED)
    np.testing.assert_allclose(table["loss"], whole["loss"], rtol=1e-5)


def test_the_first_process_alone_validates_and_writes(home: Path, outcomes: list[dict[str, Any]]) -> None:
    assert [outcome["validated"] for outcome in outcomes] == [RECIPE.epochs, 0]
    assert outcomes[1]["tiny"]["history"]["score"] == [0.0] * RECIPE.epochs
    assert sorted(file.name for file in (home / "tiny").iterdir()) == [HISTORY, MODEL]


def test_an_overflow_in_one_process_moves_the_weights_in_none(outcomes: list[dict[str, Any]]) -> None:
    half, tiny = (outcomes[0][name]["history"]["learning_rate"] for name in ("half", "tiny"))
    assert half[-1] > tiny[-1]  # a step that is skipped does not count


def test_a_loss_that_is_no_number_in_one_process_stops_all(home: Path, outcomes: list[dict[str, Any]]) -> None:
    assert {outcome["broken"]["error"] for outcome in outcomes} == {"Diverged"}
    assert not (home / "broken" / MODEL).exists()


def test_an_error_of_the_first_process_stops_the_others(outcomes: list[dict[str, Any]]) -> None:
    first, second = (outcome["stopped"] for outcome in outcomes)
    assert first == {"error": "Stopped", "message": "on purpose"}
    assert second == {"error": "ProcessFailed", "message": "the first of 2 processes stopped: Stopped: on purpose"}


@pytest.mark.parametrize(("name", "message"), [("different", "the same seed"), ("too few", "launch at most 1")])
def test_what_cannot_be_shared_is_refused_in_each(outcomes: list[dict[str, Any]], name: str, message: str) -> None:
    for outcome in outcomes:
        assert outcome[name]["error"] == "SeveralProcesses" and message in outcome[name]["message"]


def test_processes_that_cannot_meet_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SeveralProcesses, match="RANK is not set: start the processes with torchrun"):
        fit(tiny_model(), tiny_data(), tiny_loss, RECIPE, tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(("device", "gpus", "message"), [("cuda", 1, "launch 1 of them"), ("cuda:1", 2, "auto")])
def test_a_process_without_a_gpu_of_its_own_is_refused(
    monkeypatch: pytest.MonkeyPatch, device: str, gpus: int, message: str
) -> None:
    names = {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}
    for name, value in names.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(devices, "device", lambda: torch.device(device))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    with pytest.raises(SeveralProcesses, match=message):
        distributed.join()


def test_a_launched_process_that_fails_ends_the_others(tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(ProcessFailed, match="process 2 of 2 stopped: .*Stopped: on purpose"):
        launch(launched.fail, processes=2)
    assert time.monotonic() - started < launched.LONG_S


NOTEBOOK = (
    """
    from pathlib import Path

    from accelerate import notebook_launcher
    from launched_training import *
    from launched_training import train
    from spinekit.learning.distributed import launch

    def train_here(folder):
        train(plain_loss, Path(folder))

    notebook_launcher(train_here, ["copies"], num_processes=2)
    """,
    """
    torch.set_num_threads(2)
    torch.ones(2000, 2000) @ torch.ones(2000, 2000)
    launch(train, plain_loss, Path("fresh"), processes=2)
    """,
    """
    try:
        launch(train_here, "never", processes=2)
    except SpinekitError as error:
        print(error)
    """,
)


def test_a_notebook_trains_with_both_launchers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With copies of its kernel before anything was computed, with fresh processes at any time."""
    for name, value in _environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("PYTEST_CURRENT_TEST")  # with it a kernel does not show what its processes print
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(_plain(cell)) for cell in NOTEBOOK])
    NotebookClient(notebook, timeout=200, kernel_name="python3", resources={"metadata": {"path": tmp_path}}).execute()
    printed = ["".join(output.get("text", "") for output in cell["outputs"]) for cell in notebook["cells"]]
    alone = fit(Plain(), tiny_data(), plain_loss, PLAIN, tmp_path / "alone", SEED)
    for name in ("copies", "fresh"):
        assert [file.name for file in sorted((tmp_path / name).iterdir())] == [HISTORY, MODEL]
        np.testing.assert_allclose(pd.read_csv(tmp_path / name / HISTORY)["loss"], alone["loss"], rtol=1e-5)
    assert "fresh: step 36 of 36, loss 0.1" in printed[1]
    assert "write it to a .py file" in printed[2]


def _plain(cell: str) -> str:
    return "\n".join(line.removeprefix("    ") for line in cell.strip("\n").splitlines())
