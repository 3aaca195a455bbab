"""Training and using localizers on painted spines: it learns, it is saved and found again, it repeats itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from painted_spines import TINY, painted
from spines import spines

from spinekit.anatomy import AXIAL_T2, SAGITTAL_T1, SAGITTAL_T2, TARGETS
from spinekit.artifacts import from_json
from spinekit.course.profiles import PROFILES, SMOKE
from spinekit.evaluation.landmarks import annotated, calibration, errors_mm, metrics, summary
from spinekit.localization import localizer
from spinekit.localization.localizer import (
    LocalizerError,
    LocalizerRecipe,
    Localizers,
    adapted,
    example,
    find_all,
    load,
    load_recipe,
    places_of,
    train,
)
from spinekit.localization.resampling import CanonicalStudy


@pytest.fixture(scope="module")
def studies() -> dict[int, CanonicalStudy]:
    return {i: painted(i, spine) for i, spine in enumerate(spines(16, seed=3))}


@pytest.fixture(scope="module")
def trained(studies: dict[int, CanonicalStudy], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Localizers]:
    folder = tmp_path_factory.mktemp("localizers")
    return folder, train([studies[i] for i in range(12)], TINY, folder, [SAGITTAL_T2])


def test_finds_landmarks_of_studies_it_never_saw(
    studies: dict[int, CanonicalStudy], trained: tuple[Path, Localizers]
) -> None:
    held_out = {i: studies[i] for i in range(12, 16)}
    table = find_all(held_out, trained[1])
    errors = errors_mm(table, annotated(held_out))
    assert len(table) == 100 and table["x_mm"].notna().all()
    by_source = errors.groupby("source")["error_mm"].median()
    assert by_source["found"] < 4  # pixels of 5 mm, slices of 4 mm
    assert by_source["carried"] < 8  # all foramina and recesses, from the spinal points alone
    assert set(table.loc[table["source"] == "found", "series_id"]) == {"9"}
    assert np.array_equal(places_of(table, 13)[0], table.query("study_id == 13")[["x_mm", "y_mm", "z_mm"]].iloc[0])


def test_several_processes_find_the_same_in_the_same_order(
    studies: dict[int, CanonicalStudy], trained: tuple[Path, Localizers], monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = find_all({i: studies[i] for i in (15, 3, 8, 12)}, trained[1])
    monkeypatch.setattr(localizer, "MIN_STUDIES_PER_WORKER", 4)
    together = find_all({i: studies[i] for i in (15, 3, 8, 12)}, trained[1], workers=2)
    pd.testing.assert_frame_equal(alone, together, rtol=1e-4)
    assert list(dict.fromkeys(together["study_id"])) == [15, 3, 8, 12]


def test_loaded_again_it_says_the_same(studies: dict[int, CanonicalStudy], trained: tuple[Path, Localizers]) -> None:
    folder, localizers = trained
    again = load(folder)
    assert again.models[SAGITTAL_T2].recipe == TINY
    pd.testing.assert_frame_equal(find_all({15: studies[15]}, again), find_all({15: studies[15]}, localizers))


def test_same_seed_same_bytes(studies: dict[int, CanonicalStudy], tmp_path: Path) -> None:
    few, quick = [studies[i] for i in range(4)], replace(TINY, train=replace(TINY.train, epochs=1))
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(few, quick, tmp_path / name, [SAGITTAL_T2], seed=seed)
    a, b, c = ((tmp_path / name / "sagittal_t2_stir" / "model.safetensors").read_bytes() for name in "abc")
    assert a == b != c


def test_nothing_to_learn_from_and_nothing_to_load_are_named(
    studies: dict[int, CanonicalStudy], tmp_path: Path
) -> None:
    with pytest.raises(LocalizerError, match="no annotated slice of kind Axial T2"):
        train(studies.values(), TINY, tmp_path / "a", [AXIAL_T2])
    with pytest.raises(LocalizerError, match="run notebook 03"):
        load(tmp_path)


def test_recipes_go_to_json_and_back_and_refuse_unknown_keys() -> None:
    for recipe in (profile.localizer for profile in PROFILES):
        assert from_json(LocalizerRecipe, recipe.to_json(), LocalizerError) == recipe
        assert recipe.encoder == "resnet18"
        for grid in recipe.grids().values():  # a UNet halves the slice once for each of its stages
            assert all(size % 2 ** len(recipe.decoder_channels) == 0 for size in grid.shape_rc)
    with pytest.raises(LocalizerError, match="encodr"):
        from_json(LocalizerRecipe, TINY.to_json() | {"encodr": "resnet18"}, LocalizerError)
    assert replace(TINY, slices=100).epochs(40) == 2 and TINY.epochs(40) == 12
    assert adapted(SMOKE.localizer) == SMOKE.localizer and adapted(SMOKE.localizer, 7, 0.5).slices == 7
    assert adapted(SMOKE.localizer, 7, 0.5).augmentation.appearance == 0.5


def test_example_prefers_a_held_out_study_with_every_kind(studies: dict[int, CanonicalStudy]) -> None:
    stack = studies[0].stacks[0]
    complete = replace(studies[0], stacks=tuple(replace(stack, kind=k) for k in (SAGITTAL_T1, SAGITTAL_T2, AXIAL_T2)))
    assert example({0: complete, 5: studies[5]}, [5]) is complete
    assert example({4: studies[4], 5: studies[5]}, [5]) is studies[5]
    unreadable = replace(studies[3], stacks=())
    assert example({3: unreadable, 5: studies[5]}, [3]) is studies[5]
    with pytest.raises(LocalizerError, match="none of 1 studies has a series"):
        example({3: unreadable}, [])


def test_without_a_study_there_is_nothing_to_learn_and_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(LocalizerError, match="--weights RUN"):
        train([], TINY, tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_recipe_of_trained_models_is_kept_beside_them(trained: tuple[Path, Localizers]) -> None:
    assert load_recipe(trained[0]) == TINY != SMOKE.localizer


def test_errors_are_summed_up_by_hand() -> None:
    rows = [(1, TARGETS[i].name, 0.0, 0.0, 10.0 * i, 0.5, "found" if i else "carried", "") for i in range(3)]
    columns = ["study_id", "target", "x_mm", "y_mm", "z_mm", "confidence", "source", "series_id"]
    table = pd.DataFrame(rows, columns=columns)
    reference = np.full((25, 3), np.nan)
    reference[:2] = [[0, 3, 4], [0, 0, -5]]  # 5 and 15 mm off; the third has no reference
    errors = errors_mm(table, {1: reference})
    assert errors["error_mm"].tolist() == [5.0, 15.0]
    assert summary(errors).loc["spinal"].to_dict() == pytest.approx(
        {"median_mm": 10.0, "p90_mm": 14.0, "over_10_mm_%": 50.0, "carried_%": 50.0, "landmarks": 2}
    )
    assert metrics(errors, errors.iloc[:0], table)["landmark_error_mm_median"] == 10.0
    assert errors_mm(table, {}).empty


def test_calibration_compares_errors_with_what_was_expected() -> None:
    table = pd.DataFrame(
        {"source": ["found"] * 4 + ["carried"], "sd_mm": [1.0, 1, 1, 2, 8], "error_mm": [0.5, 1.5, 3, 1, 6]}
    )
    found = calibration(table).loc["found"]
    assert found["within_1_sd_%"] == 50 and found["within_2_sd_%"] == 75 and found["landmarks"] == 4
    assert calibration(table).loc["carried", "error_rms_mm"] == 6
