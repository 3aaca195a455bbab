"""What is counted on phantoms that are planned alone is what the same phantoms have once they are drawn and read."""

from dataclasses import replace

import numpy as np
import pytest
from crop_sets import RECIPE
from tiny_scan import MODEL, SCAN

from spinekit.anatomy import KINDS
from spinekit.course.profiles import SMOKE
from spinekit.course.study_counts import count, count_studies, mean_counts
from spinekit.grading import crop_cache, crop_centres
from spinekit.io import cohort
from spinekit.localization import localizer, slice_store
from spinekit.localization.heatmaps import Slices
from spinekit.phantom import plan_cohort, truth
from spinekit.phantom.study import plan_scan
from spinekit.phantom.write import study_orders

PROFILE = replace(SMOKE, acquisition=SCAN, localizer=MODEL, grader=replace(SMOKE.grader, crops=RECIPE))


@pytest.fixture(scope="module")
def counted():
    """The studies of ``taught_once``, planned again."""
    return {
        order.study_id: count(plan_scan(order), PROFILE) for order in study_orders(plan_cohort(12, 3, SCAN, False, 0.4))
    }


def test_files_and_pixels_are_those_that_are_drawn(taught_once, counted):
    data = cohort.load(taught_once.cohort)
    for study in data.studies():
        files = [*data.study_folder(study).rglob("*.dcm")]
        stacks = data.read(study).stacks
        assert counted[study].files == len(files) == sum(map(len, stacks))
        assert counted[study].pixels == sum(stack.pixels.size for stack in stacks)
        assert counted[study].series == len({stack.series_id for stack in stacks})


def test_slices_are_those_of_the_store_and_of_the_training(taught_once, counted, tmp_path):
    data = cohort.load(taught_once.cohort)
    ids = data.studies("train")[:4]
    studies = slice_store.read_all(data, ids, MODEL.grids(), tmp_path, ids, progress=False)
    for kind in KINDS:
        for study in ids:
            assert counted[study].slices[kind] == sum(len(stack.images) for stack in studies[study].of_kind(kind))
        trained = len(Slices(localizer.training_targets(studies.values(), kind, MODEL.blur)))
        assert sum(counted[study].trained_slices[kind] for study in ids) == pytest.approx(trained, rel=0.03)
    stored = sum(file.stat().st_size for file in tmp_path.rglob("*.safetensors"))
    assert sum(counted[study].store_bytes for study in ids) == pytest.approx(stored, rel=0.1)


@pytest.mark.parametrize("name", ["crops", "sandwiches"])
def test_crops_and_their_pictures_are_those_that_are_cut(taught_once, counted, tmp_path, name):
    data, true = cohort.load(taught_once.cohort), truth.read(taught_once.cohort)
    ids = data.studies("train")[:4]
    centres = crop_centres.CropCentres({study: true.landmarks_xyz_mm(study) for study in ids}, annotated=ids)
    cut = crop_cache.build(data, centres, tmp_path, getattr(PROFILE.grader, name), ids, workers=1)
    pictures = {"crops": "crop_pictures", "sandwiches": "sandwich_pictures"}[name]
    images = np.load(tmp_path / "crops.npy", mmap_mode="r")
    assert sum(counted[study].crops for study in ids) == pytest.approx(cut.present.sum(), rel=0.03)
    assert sum(getattr(counted[study], pictures) for study in ids) == pytest.approx(len(images), rel=0.03)


def test_the_first_studies_of_a_profile_are_counted_and_averaged():
    few = count_studies(PROFILE, 3)
    mean = mean_counts(few)
    assert len(few) == 3 and mean.files == pytest.approx(np.mean([one.files for one in few]))
    assert mean.slices[KINDS[0]] == pytest.approx(np.mean([one.slices[KINDS[0]] for one in few]))
    assert all(0 < one.graded_crops <= one.crops <= 30 for one in few)
