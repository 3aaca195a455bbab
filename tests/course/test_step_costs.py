"""The plan against a small run that is measured: FLOP of what torch really did, bytes on disk, decoded files."""

from collections import Counter
from dataclasses import replace

import pytest
from crop_sets import RECIPE
from taught_run import NAME
from tiny_scan import MODEL, SCAN
from torch.utils.flop_counter import FlopCounterMode

from spinekit.course import step_costs
from spinekit.course.cost_parts import CohortSize, StepCost, together
from spinekit.course.model_costs import costs_of
from spinekit.course.profiles import SMOKE
from spinekit.course.step_costs import Costs
from spinekit.course.steps import Step
from spinekit.course.study_counts import count, mean_counts
from spinekit.grading import crop_cache, crop_centres, inference, predictions, training, uncertainty
from spinekit.grading.grader import load_grader
from spinekit.io import cohort, dicom_pixels
from spinekit.learning.recipe import TrainRecipe
from spinekit.localization import decoders, localizer, slice_store
from spinekit.phantom import plan_cohort, truth
from spinekit.phantom.study import plan_scan
from spinekit.phantom.write import study_orders
from spinekit.scoring import ensemble

TOLERANCE = 0.05  # of FLOP; of bytes, which in a run of this size are those of headers and indices too: 0.15
_QUICK = TrainRecipe(epochs=2, batch_size=4, learning_rate=2e-3, precision="no")
PROFILE = replace(
    SMOKE,
    acquisition=SCAN,
    localizer=MODEL,
    grader=replace(SMOKE.grader, crops=RECIPE, crop_training=_QUICK, sequence_training=_QUICK),
)


@pytest.fixture(scope="module")
def data(taught_once):
    return cohort.load(taught_once.cohort)


@pytest.fixture(scope="module")
def split(data):
    train = data.studies("train")
    return cohort.Split(train[1:], train[:1], data.studies("test"))


@pytest.fixture(scope="module")
def costs(data):
    counts = [count(plan_scan(order), PROFILE) for order in study_orders(plan_cohort(12, 3, SCAN, False, 0.4))]
    size = CohortSize(len(data.studies("train")), len(data.studies("test")), len(data.studies("test")))
    return Costs(PROFILE, costs_of(PROFILE), mean_counts(counts), max(one.pixels for one in counts), size)


@pytest.fixture
def decoded(monkeypatch):
    """How often each file is decoded from here on."""
    counts, read = Counter(), dicom_pixels.read_stored
    monkeypatch.setattr(
        dicom_pixels, "read_stored", lambda header, *opened: counts.update([header.file]) or read(header, *opened)
    )
    return counts


def planned(costs, step, *words) -> StepCost:
    """The parts of a step whose settings hold one of the words; nothing is shown for people here."""
    parts = [part for part in costs.parts([0]) if part.step == step]
    return together(part for part in parts if not words or any(word in part.setting for word in words))


def size_of(folder, pattern) -> int:
    return sum(file.stat().st_size for file in folder.rglob(pattern))


def test_the_size_of_a_fold_is_that_of_this_one(costs, split):
    assert costs.size.trained == len(split.train) and costs.size.unseen == len(split.unseen)


def test_localization_takes_what_was_planned(costs, data, split, tmp_path, decoded, monkeypatch):
    monkeypatch.setattr(step_costs, "SHOWN", dict.fromkeys(Step, 0))
    with FlopCounterMode(display=False) as flop:
        place = tmp_path / "slices"
        studies = slice_store.read_all(data, data.studies(), MODEL.grids(), place, split.train, progress=False)
        models = localizer.train([studies[i] for i in split.train], MODEL, tmp_path / "models")
        landmarks = localizer.find_all(studies, models)
        # Models as they were loaded, since those above remember the last stacks: of a few studies that is a good part.
        decoders.compare(localizer.load(tmp_path / "models"), {i: studies[i] for i in split.unseen})
    plan = planned(costs, Step.LOCALIZATION)
    assert flop.get_total_flops() == pytest.approx(plan.flop, rel=TOLERANCE)
    assert sum(decoded.values()) == pytest.approx(plan.decodes)
    assert size_of(place, "*.safetensors") == pytest.approx(plan.slices_bytes, rel=0.15)
    landmarks.to_csv(tmp_path / "models" / "landmarks.csv", index=False)
    written = size_of(tmp_path / "models", "*.*")
    assert written == pytest.approx(plan.disk_bytes - step_costs.PAGES, rel=TOLERANCE)


def test_slices_that_are_not_stored_are_decoded_twice(costs, data, split, tmp_path, decoded, monkeypatch):
    for module in (step_costs, slice_store):
        monkeypatch.setattr(module, "MAX_BYTES", 0)
    monkeypatch.setattr(step_costs, "SHOWN", dict.fromkeys(Step, 0))
    studies = slice_store.read_all(data, data.studies(), MODEL.grids(), tmp_path, split.train, progress=False)
    for study in studies.values():
        assert all(len(stack.images[:]) for stack in study.stacks)  # as where landmarks are located
    plan = planned(costs, Step.LOCALIZATION)
    assert sum(decoded.values()) == pytest.approx(plan.decodes, rel=0.1)  # other studies have other files
    assert set(decoded.values()) == {1, 2}


def test_crops_and_their_graders_take_what_was_planned(costs, data, split, tmp_path, decoded, monkeypatch):
    monkeypatch.setattr(step_costs, "SHOWN", dict.fromkeys(Step, 0))
    true = truth.read(data.folder)
    places = {study: true.landmarks_xyz_mm(study) for study in data.studies()}
    centres, graders = crop_centres.CropCentres(places, annotated=split.train), ("crops", "sandwiches")
    cuts = [crop_cache.Cut(tmp_path / name, centres, getattr(PROFILE.grader, name)) for name in graders]
    with FlopCounterMode(display=False) as flop:
        sets = dict(zip(graders, crop_cache.build_several(data, cuts, workers=1), strict=True))
        for name, train in zip(graders, (training.train_crops, training.train_sandwiches), strict=True):
            grader = train(training.fold_data(sets[name], split, data.grades), PROFILE.grader, tmp_path / name)
            predictions.predict(grader, sets[name], sets[name].rows(split.unseen))
    plan = planned(costs, Step.CROPS)
    assert flop.get_total_flops() == pytest.approx(plan.flop, rel=TOLERANCE)
    assert sum(decoded.values()) == pytest.approx(plan.decodes)
    written = sum(size_of(tmp_path, pattern) for pattern in ("*.np[yz]", "*.safetensors"))
    tables = 2 * costs._table(costs.size.unseen)
    assert written == pytest.approx(plan.disk_bytes - tables - step_costs.PAGES, rel=0.15)


def test_the_transformer_takes_what_was_planned(costs, data, split, tmp_path, taught_once):
    folder = taught_once.outputs / NAME / "fold0" / Step.CROPS / "crops"
    crops, start = crop_cache.load(folder), replace(load_grader(folder), recipe=PROFILE.grader)
    with FlopCounterMode(display=False) as flop:
        grader = training.train_sequence(training.fold_data(crops, split, data.grades), start, tmp_path)
        predictions.predict(grader, crops, crops.rows(split.unseen))
        uncertainty.views_of(grader, crops, crops.rows(split.unseen))
    assert flop.get_total_flops() == pytest.approx(planned(costs, Step.SEQUENCE).flop, rel=TOLERANCE)


def test_grading_the_test_half_takes_what_was_planned(costs, data, split, decoded, taught, monkeypatch):
    monkeypatch.setattr(step_costs, "SHOWN", dict.fromkeys(Step, 0))
    models = [inference.load_fold(*(taught.outputs / NAME / "fold0" / step for step in Step if step[:2] in "03 04 05"))]
    blender = ensemble.even(predictions.MEMBERS)
    with FlopCounterMode(display=False) as flop:
        _, failures = inference.grade_cohort(data, split.test, models, blender)
    plan = planned(costs, Step.KAGGLE)
    assert failures.empty and flop.get_total_flops() == pytest.approx(plan.flop, rel=2 * TOLERANCE)
    assert sum(decoded.values()) == pytest.approx(plan.decodes, rel=0.1)  # the mean study is one of the whole cohort


def test_five_folds_share_the_store_and_nothing_else(costs):
    one, five = (together(costs.parts(range(n))) for n in (1, 5))
    assert one.slices_bytes == five.slices_bytes and 3 * one.disk_bytes < five.disk_bytes < 5 * one.disk_bytes
    assert 4 * one.flop < five.flop <= 5 * one.flop and one.gpu_bytes <= five.gpu_bytes
