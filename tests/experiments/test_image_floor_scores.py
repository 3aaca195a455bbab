"""The table of `spinekit evaluate image-floor`: bounds hold; an estimate is given where there is one, or the reason."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from taught_run import NAME, Taught
from typer.testing import CliRunner

from spinekit import artifacts
from spinekit.__main__ import app
from spinekit.course.profiles import SMOKE
from spinekit.evaluation import floors
from spinekit.evaluation.expected_scores import ExpectedScores
from spinekit.experiments import image_floor, image_floor_scores
from spinekit.experiments.image_floor import CHANCES, Setting
from spinekit.experiments.image_floor_scores import CROPS, TODAY, WHOLE, NoImageFloor, Report, findings
from spinekit.geometry import Floats
from spinekit.phantom import disease, reader

N = 60
SIZES = (90, 180, 360, 720)


@pytest.fixture(scope="module")
def judge() -> ExpectedScores:
    """Sixty studies of the model."""
    chances = reader.grade_probabilities(disease.sample(np.random.default_rng(0), N).narrowing, 0.45)
    prior = (chances * [1, 2, 4]).sum(0)
    return ExpectedScores(chances, floors.any_severe(chances, True), prior / prior.sum(-1, keepdims=True))


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    """720 training studies."""
    nothing = np.zeros((720, 25), dtype=np.int64)
    return Setting(
        tmp_path, tmp_path, tuple(range(720)), nothing, np.zeros((720, 25, 3)), tuple(range(N)), SMOKE.grader
    )


def mixtures(judge: ExpectedScores, shares: Sequence[float]) -> Floats:
    """(len(shares), n, 25, 3) predictions that hold these shares of the best one, the rest of the prior."""
    oracle = reader.oracle(judge.chances)
    return np.stack([share * oracle + (1 - share) * judge.prior for share in shares])


def predicting(judge: ExpectedScores, monkeypatch: pytest.MonkeyPatch, share_at: dict[int, float]) -> None:
    """Trainings that predict so well at each number of studies; grades cost a fifth of it."""

    def predictions(setting: Setting, targets: str, n: int, seeds: Sequence[int]) -> Floats:
        share = share_at[n] * (1 if targets == CHANCES else 0.8)
        single = mixtures(judge, [share + 0.002 * seed for seed in seeds])
        whole = n == 720 and targets == CHANCES
        return np.stack([single, mixtures(judge, [share + 0.05] * len(seeds))]) if whole else single[None]

    monkeypatch.setattr(image_floor, "predictions", predictions)


def report(setting: Setting, judge: ExpectedScores, seeds: int = 2, today: Floats | None = None) -> Report:
    of_run = {"run": "r", "fold": 0, "cohort": "c", "train_studies": 720, "evaluated": N, "epochs": 6, "minutes": 1.0}
    return Report(**of_run, seeds=seeds, **findings(setting, judge, range(seeds), today))


def printed(made: Report) -> str:
    from rich.console import Console

    console = Console(width=200)
    with console.capture() as capture:
        console.print(made)
    return capture.get()


def test_a_curve_that_bends_gives_an_estimate_between_the_bound_and_the_floor(
    setting: Setting, judge: ExpectedScores, monkeypatch: pytest.MonkeyPatch
) -> None:
    predicting(judge, monkeypatch, {n: 0.6 - 0.1 * (720 / n) ** 0.8 for n in SIZES})
    made = report(setting, judge, today=mixtures(judge, [0.3]))
    rows = made.rows.set_index(["trained_on", "sees", "studies"])
    assert len(rows) == 4 + 1 + 1 + 1 and made.why_none == ""
    assert rows.loc[(CHANCES, CROPS, 90), "skill"] < rows.loc[(CHANCES, CROPS, 720), "skill"]
    assert made.bound["skill"] == rows.loc[(CHANCES, WHOLE, 720), "skill"] == rows["skill"].max()
    assert rows.loc[(TODAY, WHOLE, 720), "skill"] < rows.loc[(CHANCES, CROPS, 720), "skill"]
    crops = rows.loc[(CHANCES, CROPS, 720)]
    assert made.floor < made.limit["score"] < crops["score"] < made.prior
    assert made.limit["skill_low"] < made.limit["skill"] < made.limit["skill_high"] < 1
    assert made.limit["score"] == pytest.approx(made.prior - made.limit["skill"] * (made.prior - made.floor))
    assert made.noise_cost["skill"] == pytest.approx(
        crops["skill"] - rows.loc[("grades of the tables", CROPS, 720), "skill"]
    )
    assert f"with endless studies: {made.limit['score']:.3f}" in printed(
        made
    ) and "a better reader may exist" in printed(made)


@pytest.mark.parametrize(
    ("share_at", "seeds", "reason"),
    [
        ({n: 0.4 * n / 720 for n in SIZES}, 2, "do not bend"),
        ({n: 0.6 - 0.1 * (720 / n) ** 0.8 for n in SIZES}, 1, "--seeds"),
    ],
)
def test_where_nothing_can_be_said_no_number_is_given(
    setting: Setting,
    judge: ExpectedScores,
    monkeypatch: pytest.MonkeyPatch,
    share_at: dict[int, float],
    seeds: int,
    reason: str,
) -> None:
    predicting(judge, monkeypatch, share_at)
    made = report(setting, judge, seeds)
    assert made.limit == {} and reason in made.why_none and TODAY not in set(made.rows["trained_on"])
    assert f"not determined; {made.why_none}" in printed(made) and "image-limited floor: at most" in printed(made)


def test_the_command_trains_on_a_run_and_keeps_what_it_printed(taught: Taught, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_floor, "run", partial(image_floor.run, workers=1))  # a process takes seconds to start
    words = ["evaluate", "image-floor", "--run", NAME, "--seeds", "1", "--no-transformer", "--json"]
    ended = CliRunner().invoke(app, words, catch_exceptions=False)
    made, folder = json.loads(ended.stdout), taught.outputs / NAME / "fold0"
    assert ended.exit_code == 0 and made == artifacts.read_json(folder / "image-floor.json")
    assert made["cohort"] == str(taught.cohort) and made["train_studies"] + made["evaluated"] == 12
    assert made["why_none"] and made["floor"] < made["bound"]["score"]
    studies = [row["studies"] for row in made["rows"] if row["trained_on"] == CHANCES]
    assert studies == sorted(set(studies)) and studies[-1] == made["train_studies"]
    assert [row["sees"] for row in made["rows"] if row["trained_on"] == TODAY] == [WHOLE]
    assert not list((folder / "image-floor").rglob("*.safetensors"))
    longer = image_floor_scores.evaluate_run(NAME, 0, 1, False, epochs=2)
    assert (made["epochs"], longer.epochs) == (1, 2) and (folder / "image-floor-epochs2.json").is_file()
    assert longer.bound != made["bound"] and made == artifacts.read_json(folder / "image-floor.json")


def test_a_run_without_crops_or_truth_is_named(project: Path) -> None:
    with pytest.raises(NoImageFloor, match="run nobody has finished"):
        image_floor_scores.evaluate_run("nobody")
    with pytest.raises(NoImageFloor, match="spinekit run 00 03 04 --fold 2"):
        image_floor_scores.evaluate_run(fold=2)
