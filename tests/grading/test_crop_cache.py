"""The crops of a cohort on disk: who is cut where, what a bad study leaves behind, worker processes."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cohort_files import true_xyz_mm, write_cohort

from spinekit.grading import crop_cache
from spinekit.grading.crop_cache import CropError
from spinekit.grading.crop_centres import CropCentres
from spinekit.grading.crops import CropRecipe, StudyCrops, study_crops
from spinekit.io import cohort
from spinekit.io.study import Study

RECIPE = CropRecipe(size_px=12, margin_px=2, slices=3)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> cohort.Cohort:
    """Two labelled studies and one without labels."""
    return cohort.load(write_cohort(tmp_path_factory.mktemp("cohort")))


def places(shift_mm: float = 0.0) -> dict[int, np.ndarray]:
    return {study: true_xyz_mm() + shift_mm for study in (1, 2, 3)}


def test_annotated_studies_are_cut_at_the_points_and_others_at_the_prediction(
    data: cohort.Cohort, tmp_path: Path
) -> None:
    found = crop_cache.build(data, CropCentres(places(3.0), annotated=[1]), tmp_path, RECIPE, workers=1)
    assert found.pixels.shape == (3, 30, 3, 16, 16) and found.present.all()
    # Axial slices are 4 mm apart: a reader's point lies on the nearest one.
    np.testing.assert_allclose(found.centres_xyz_mm[0, :25], true_xyz_mm(), atol=2.001)
    assert np.abs(found.centres_xyz_mm[0, :15] - true_xyz_mm()[:15]).max() < 1e-6
    np.testing.assert_allclose(found.centres_xyz_mm[1, :25], true_xyz_mm() + 3.0, atol=1e-6)
    expected = study_crops(data.read(2), true_xyz_mm() + 3.0, RECIPE)
    assert (found.pixels[found.rows([2])[0]] == expected.pixels).all()


def test_worker_processes_give_the_same_bytes(data: cohort.Cohort, tmp_path: Path) -> None:
    for workers in (1, 2):
        crop_cache.build(data, CropCentres(places()), tmp_path / str(workers), RECIPE, workers=workers)
    one, two = (tmp_path / name / "crops.npy" for name in ("1", "2"))
    assert one.read_bytes() == two.read_bytes()


def test_two_ways_to_cut_in_one_pass_are_those_of_two_passes(data: cohort.Cohort, tmp_path: Path, monkeypatch) -> None:
    read: list[int] = []
    original = cohort.Cohort.read
    monkeypatch.setattr(cohort.Cohort, "read", lambda self, study: read.append(study) or original(self, study))
    whole = CropRecipe(size_px=24, margin_px=2, slices=3, whole_slice=True)
    cuts = [crop_cache.Cut(tmp_path / name, CropCentres(places()), how) for name, how in (("a", RECIPE), ("b", whole))]
    together = crop_cache.build_several(data, cuts, workers=1)
    assert read == [1, 2, 3]
    for cut, one in zip(cuts, together, strict=True):
        alone = crop_cache.build(data, cut.centres, tmp_path / "alone", cut.recipe, workers=1)
        assert (one.pixels[:] == alone.pixels[:]).all() and one.failures.equals(alone.failures)
        for name in ("crops.npy", "crops.npz"):
            assert (cut.folder / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()


def test_a_point_far_from_the_prediction_is_doubted_and_not_cut_at(data: cohort.Cohort, tmp_path: Path) -> None:
    predicted = places()
    predicted[1][7] += (0, 0, 30.0)  # as if the reader had named the next level
    found = crop_cache.build(data, CropCentres(predicted, annotated=[1]), tmp_path, RECIPE, workers=1)
    assert np.argwhere(found.doubtful).tolist() == [[0, 7]]
    np.testing.assert_allclose(found.centres_xyz_mm[0, 7], predicted[1][7])
    assert "4.0% of the points, 25 mm" in crop_cache.doubts_in_words(found, [1])
    assert "nothing is trained here" in crop_cache.doubts_in_words(found, [])


def test_predicted_places_may_be_unsure_and_readers_points_are_not(data: cohort.Cohort, tmp_path: Path) -> None:
    sd_mm = {study: np.full(25, 9.0) for study in (1, 2, 3)}
    found = crop_cache.build(data, CropCentres(places(), sd_mm, [1]), tmp_path, RECIPE, workers=1)
    assert (found.crop_scale[0, :25] == 1).all() and (found.crop_scale[1:] > 1.2).all()
    assert (crop_cache.load(tmp_path).crop_scale == found.crop_scale).all()


def test_one_bad_study_is_named_and_stops_nothing(data: cohort.Cohort, tmp_path: Path) -> None:
    folder = tmp_path / "cohort"
    shutil.copytree(data.folder, folder)
    for file in (folder / "train_images/2").rglob("*.dcm"):
        file.write_bytes(file.read_bytes()[:200])
    predicted = places()
    del predicted[3]
    found = crop_cache.build(cohort.load(folder), CropCentres(predicted), tmp_path, RECIPE, workers=1)
    assert found.failures["study_id"].tolist() == [2, 3]
    assert found.sparsest() == 0  # the others have no crop at all
    assert found.failures["message"].str.contains("notebook 03")[1]
    assert found.present.any(1).tolist() == [True, False, False]
    assert pd.read_csv(tmp_path / "failures.csv").equals(found.failures)


def test_a_cohort_in_which_every_study_fails_is_an_error(data: cohort.Cohort, tmp_path: Path) -> None:
    with pytest.raises(CropError, match="not one study"):
        crop_cache.build(data, CropCentres({}), tmp_path, RECIPE, workers=1)
    assert not (tmp_path / "crops.npz").exists()


def test_whole_slices_that_tokens_share_are_stored_once(data: cohort.Cohort, tmp_path: Path) -> None:
    recipe = CropRecipe(size_px=24, margin_px=2, slices=3, whole_slice=True)
    found = crop_cache.build(data, CropCentres(places()), tmp_path, recipe, workers=1)
    for row, study in enumerate(data.studies()):
        assert (found.pixels[row] == study_crops(data.read(study), true_xyz_mm(), recipe).pixels).all()
    slices = int(found.present.sum()) * recipe.slices
    # Of nine sagittal T2 slices three are used, of T1 three on each side, at each level three axial ones.
    assert len(np.load(tmp_path / "crops.npy", mmap_mode="r")) == 3 * (3 + 6 + 5 * 3) < slices / 3


def test_a_build_that_is_killed_leaves_nothing_that_looks_finished(
    data: cohort.Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crop_cache.build(data, CropCentres(places()), tmp_path, RECIPE, workers=1)
    cut = crop_cache.study_crops

    def killed(study: Study, *rest: object) -> StudyCrops:
        if study.study_id == "2":
            raise KeyboardInterrupt
        return cut(study, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(crop_cache, "study_crops", killed)
    with pytest.raises(KeyboardInterrupt):
        crop_cache.build(data, CropCentres(places(3.0)), tmp_path, RECIPE, workers=1)
    with pytest.raises(CropError, match="run notebook 04"):
        crop_cache.load(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["crops.npy", "failures.csv"]
    monkeypatch.undo()
    crop_cache.build(data, CropCentres(places(3.0)), tmp_path, RECIPE, workers=1)
    np.testing.assert_allclose(crop_cache.load(tmp_path).centres_xyz_mm[0, :25], true_xyz_mm() + 3.0)


@pytest.mark.parametrize("damage", ["pixels cut short", "pixels gone", "index cut short", "index of an older version"])
def test_damaged_or_foreign_crops_are_refused_by_name(data: cohort.Cohort, tmp_path: Path, damage: str) -> None:
    crop_cache.build(data, CropCentres(places()), tmp_path, RECIPE, workers=1)
    file = tmp_path / ("crops.npy" if damage.startswith("pixels") else "crops.npz")
    if damage.endswith("gone"):
        file.unlink()
    elif damage.endswith("version"):
        np.savez(file, study_ids=np.arange(3))
    else:
        file.write_bytes(file.read_bytes()[:-500])
    with pytest.raises(CropError, match=f"{tmp_path.name}.*run notebook 04 again"):
        crop_cache.load(tmp_path)


def test_absent_crops_say_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(CropError, match="notebook 04"):
        crop_cache.load(tmp_path)
