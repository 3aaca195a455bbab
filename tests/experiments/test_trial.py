"""A finished training is reused while nothing that decides it has changed, and only then."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from crop_sets import RECIPE, crop_set

from spinekit import artifacts
from spinekit.course.profiles import SMOKE
from spinekit.experiments import ablation, synthetic, transfer, tuning
from spinekit.experiments.trial import (
    PREDICTIONS,
    TrialsFailed,
    is_done,
    keep_result,
    load_minutes,
    load_predictions,
    spread,
    train_missing,
)
from spinekit.grading import pretraining
from spinekit.grading.pretraining import WarmStart
from spinekit.grading.recipes import GraderRecipe
from spinekit.parallel import SeveralProcesses


@dataclass(frozen=True)
class Small:
    """A trial by hand."""

    folder: Path
    value: int = 0

    def fingerprint(self) -> str:
        return str(self.value)


def test_a_result_counts_for_its_fingerprint_alone(tmp_path: Path) -> None:
    trial = Small(tmp_path)
    assert not is_done(trial)
    keep_result(trial, np.full((2, 25, 3), 1 / 3), 90.0)
    assert is_done(trial) and not is_done(Small(tmp_path, 1))
    assert load_predictions([tmp_path, tmp_path]).shape == (2, 2, 25, 3)
    assert load_minutes([tmp_path]).tolist() == [1.5]


def test_a_result_of_another_kind_does_not_count(tmp_path: Path) -> None:
    artifacts.write_json(tmp_path / "result.json", {"seconds": 3})
    assert not is_done(Small(tmp_path))


def test_what_is_done_is_not_trained_again(tmp_path: Path) -> None:
    trials = [Small(tmp_path / str(i), i) for i in range(3)]
    trained: list[int] = []

    def train(trial: Small) -> None:
        trained.append(trial.value)
        trial.folder.mkdir()
        keep_result(trial, np.zeros((1, 25, 3)), 1.0)

    train_missing(train, trials[:1], workers=1)
    train_missing(train, trials, workers=1)
    assert trained == [0, 1, 2] and all((trial.folder / PREDICTIONS).is_file() for trial in trials)


def test_jobs_keep_their_order(tmp_path: Path) -> None:
    assert spread(abs, [-3, 2, -1], "jobs", 2, tmp_path) == [3, 2, 1]


def half(number: int) -> float:
    if number % 2:
        raise ValueError(f"{number} is odd")
    return number / 2


def test_a_training_that_fails_is_named_and_stops_no_other(
    scheduler: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[float] = []

    def counted(number: int) -> float:
        done.append(half(number))
        return done[-1]

    failed = "1 of 3 trainings failed.*1: ValueError: 3 is odd"
    with pytest.raises(TrialsFailed, match=failed) as failure:
        spread(counted, [2, 3, 4], "trainings", 1, tmp_path)
    assert isinstance(failure.value.__cause__, ValueError) and "3 is odd" in caplog.text and done == [1, 2]
    with pytest.raises(TrialsFailed, match=failed):
        spread(half, [2, 3, 4], "trainings", 1, tmp_path, scheduler)
    assert spread(half, [2, 6, 4], "trainings", 1, tmp_path, scheduler) == [1, 3, 2]


def test_launched_processes_do_not_train_the_same_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SeveralProcesses, match="the same trainings"):
        train_missing(print, [Small(tmp_path)])


LABELS = crop_set(6)[1]
GRADER = GraderRecipe(crops=RECIPE)


def _ablation(folder: Path) -> str:
    setting = ablation.Setting(folder, folder, folder, (0, 1), LABELS[:2], (2, 3), GRADER)
    return ablation.Trial(setting, ablation.STORY[1], 0).fingerprint()


def _synthetic(folder: Path) -> str:
    setting = synthetic.Setting(folder, folder, folder, (0, 1), LABELS[:2], (2, 3), GRADER, SMOKE.synthetic)
    return synthetic.Trial(setting, synthetic.REAL, 2, 0).fingerprint()


def _tuning(folder: Path) -> str:
    setting = tuning.Setting(folder, folder, (0, 1), LABELS[:2], (2,), LABELS[2:3], (3,), GRADER, SMOKE.tuning)
    return tuning.Final(setting, tuning.DEFAULT, tuning.default_values(GRADER), 1).fingerprint()


def _transfer(folder: Path) -> str:
    setting = ablation.Setting(folder, folder, folder, (0, 1), LABELS[:2], (2, 3), GRADER)
    return transfer.encoder_trials(setting, SMOKE.transfer, [0], {})[0].fingerprint()


def _warm_start(folder: Path) -> str:
    return pretraining.fingerprint(crop_set(3)[0], np.arange(2), SMOKE.grader, WarmStart(), 0)


Fingerprint = Callable[[Path], str]
EXPERIMENTS: dict[str, tuple[Fingerprint, tuple[str, ...]]] = {
    "ablation": (
        _ablation,
        ("experiments/ablation", "grading/training", "grading/label_noise", "grading/crop_cache", "scoring/metric",
         "learning/intensity_augmentation", "learning/encoders", "grading/recipes"),
    ),
    "synthetic": (
        _synthetic,
        ("experiments/synthetic", "grading/predictions", "grading/generation", "learning/intensity_augmentation",
         "grading/crop_cache", "learning/training"),
    ),
    "tuning": (
        _tuning,
        ("experiments/tuning", "learning/search", "grading/training", "learning/intensity_augmentation",
         "grading/crops", "learning/encoders"),
    ),
    "transfer": (
        _transfer,
        ("experiments/ablation", "grading/training", "grading/models", "learning/encoders", "learning/training"),
    ),
    "warm start": (
        _warm_start,
        ("grading/pretraining", "grading/models", "learning/intensity_augmentation", "learning/encoders",
         "learning/training", "grading/crop_cache"),
    ),
}  # fmt: skip
CASES = [(name, module) for name, (_, modules) in EXPERIMENTS.items() for module in modules]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Crops and a stamp, as far as fingerprints read them."""
    (tmp_path / "crops.npz").write_bytes(b"places")
    artifacts.write_json(tmp_path / synthetic.STAMP, "by hand")
    yield tmp_path
    artifacts._digest_of_names.cache_clear()


@pytest.mark.parametrize(("experiment", "module"), CASES, ids=[" leans on ".join(case) for case in CASES])
def test_an_edit_of_what_an_experiment_leans_on_changes_its_key(
    experiment: str, module: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fingerprint, read = EXPERIMENTS[experiment][0], Path.read_bytes
    artifacts._digest_of_names.cache_clear()
    before = fingerprint(folder)
    assert before == fingerprint(folder)

    def edited(file: Path) -> bytes:
        return read(file) + (b"\n# an edit\n" if file.as_posix().endswith(f"spinekit/{module}.py") else b"")

    monkeypatch.setattr(Path, "read_bytes", edited)
    artifacts._digest_of_names.cache_clear()  # as in a new process
    assert fingerprint(folder) != before
