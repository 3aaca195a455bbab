"""`spinekit blend`: tables become models, gains are cross-validated, planted mistakes come first."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from graded_studies import graded, spoilt

from spinekit.anatomy import SEVERITIES, TARGETS, targets_of
from spinekit.evaluation import out_of_fold
from spinekit.evaluation.out_of_fold import NothingToBlend, read_models, surprises, suspects
from spinekit.io.csv_file import MissingColumn
from spinekit.scoring import ensemble
from spinekit.scoring.metric import submission_frame

NAMES = [target.name for target in TARGETS]


def write_tables(folder: Path, n: int = 60) -> tuple[Path, list[Path], np.ndarray]:
    """Grades; one model in two files and another one in one; the grades as numbers."""
    labels, p = graded(n)
    table = pd.DataFrame(np.array(SEVERITIES)[labels], columns=NAMES)
    table.insert(0, "study_id", range(100, 100 + n))
    table.to_csv(folder / "train.csv", index=False)
    rows = submission_frame(range(100, 100 + n), spoilt(p, 1.6))
    spinal = rows["row_id"].str.contains("spinal")
    parts = {"spinal": rows[spinal], "others": rows[~spinal], "second": submission_frame(range(100, 100 + n), p)}
    for name, part in parts.items():
        part.to_csv(folder / f"{name}.csv", index=False)
    return folder / "train.csv", [folder / f"{name}.csv" for name in parts], labels


def test_files_of_other_rows_are_one_model_and_files_of_the_same_are_several(tmp_path: Path) -> None:
    _, files, _ = write_tables(tmp_path, 4)
    models = read_models(files, range(100, 104))
    assert list(models) == ["spinal", "second"]
    assert all(np.isfinite(p).all() for p in models.values())
    partial = read_models(files[:1], range(99, 104))["spinal"]
    assert np.isfinite(partial[1:, list(targets_of("spinal"))]).all() and np.isnan(partial[:, 5:]).all()
    assert list(read_models([files[2], files[2]], range(100, 104))) == ["second", "second'"]


def test_the_command_prints_what_calibration_gains_and_lists_suspects(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spinekit import __main__ as commands

    monkeypatch.setattr(ensemble, "REPEATS", 1)
    labels, files, _ = write_tables(tmp_path)
    for extra in (["--json"], []):
        monkeypatch.setattr(
            "sys.argv", ["spinekit", "blend", str(labels), *map(str, files[:2]), "--limit", "3", *extra]
        )
        with pytest.raises(SystemExit) as ended:
            commands.main()
        assert not ended.value.code
    json_text, _, text = capsys.readouterr().out.partition("\n}\n")
    said = json.loads(json_text + "\n}")
    assert said["models"] == ["spinal"] and said["studies"] == 60 and said["rows"] == 1500 and said["left_out"] == 0
    assert said["gains"]["as given"]["gain"] == 0 and said["gains"]["both"]["gain"] < 0
    assert [row["rank"] for row in said["suspects"]] == [1, 2, 3] and "stacking" in text


def test_planted_mistakes_are_the_most_surprising_and_more_than_chance_allows() -> None:
    labels, p = graded(400)
    clean = surprises(labels, p).set_index("p")
    assert clean.loc[0.05, "observed"] == pytest.approx(clean.loc[0.05, "by_chance"], rel=0.25)
    sure = np.argwhere(p[..., 0] > 0.97)[::20]
    wrong = labels.copy()
    wrong[tuple(sure.T)] = 2
    found = suspects(np.arange(400), wrong, p, limit=len(sure))
    planted = {(study, TARGETS[target].name) for study, target in sure}
    hits = [(row.study_id, row.target) in planted for row in found.itertuples()]
    assert np.mean(hits) > 0.6 and found["grade"].iloc[0] == "Severe"
    table = surprises(wrong, p).set_index("p")
    assert table.loc[0.01, "observed"] > 3 * table.loc[0.01, "by_chance"]


def test_what_cannot_be_blended_is_named(tmp_path: Path) -> None:
    labels, files, _ = write_tables(tmp_path, 3)
    submission_frame([7], np.full((1, 25, 3), 1 / 3)).to_csv(tmp_path / "other.csv", index=False)
    with pytest.raises(NothingToBlend, match="no row has a grade"):
        out_of_fold.report(labels, [tmp_path / "other.csv"])
    with pytest.raises(MissingColumn, match="row_id"):
        out_of_fold.report(labels, [labels])
    pd.read_csv(files[2]).drop(columns="severe").to_csv(tmp_path / "lacking.csv", index=False)
    with pytest.raises(MissingColumn, match="severe"):
        out_of_fold.report(labels, [tmp_path / "lacking.csv"])


@pytest.mark.realdata
def test_known_score_and_gains_on_real_predictions() -> None:
    root = Path(os.environ["SPINEKIT_REALDATA"])
    found = out_of_fold.report(root / "rsna2024" / "train.csv", sorted((root / "oof").glob("*.csv")))
    gains = found.gains
    assert found.left_out == 42 and len(found.models) == 1
    assert gains.loc["as given", "total"] == pytest.approx(0.3986, abs=5e-5)
    assert abs(gains.loc["both", "gain"]) < 0.002  # these predictions are calibrated as they are
    assert gains.loc["stacking", "gain_high"] < 0
