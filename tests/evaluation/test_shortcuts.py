"""The search for shortcuts finds one that is there, and none in noise; cohorts are searched in a slow test."""

import os

import numpy as np
import pytest

from spinekit.course.profiles import SMOKE
from spinekit.evaluation import shortcuts
from spinekit.phantom import disease, plan_cohort, reader, write_cohort


@pytest.fixture(scope="module")
def patients():
    return disease.sample(np.random.default_rng(0), 300)


def measured(patients, features, **options):
    sd = reader.clear_sd()
    oracle = reader.oracle(reader.grade_probabilities(patients.narrowing, sd))
    grades = reader.grade(patients.narrowing, sd, patients.reader_errors)
    return shortcuts.cross_validated(features, grades, oracle, **options)


@pytest.mark.parametrize("boosted", [False, True])
def test_noise_has_no_skill(patients, boosted):
    noise = np.random.default_rng(1).normal(size=(300, 8))
    assert -0.15 < measured(patients, noise, boosted=boosted).skill < 0.05


def test_a_leak_is_found(patients):
    rng = np.random.default_rng(1)
    leak = patients.narrowing[..., None] + rng.normal(0, 0.05, (300, 25, 1))
    found = measured(patients, leak)
    assert found.skill > 0.6 and found.floor < found.score < found.prior
    burden = patients.narrowing.mean(1)[:, None]  # one number of a study: its file size, say
    assert measured(patients, burden).skill > 0.1 and measured(patients, burden, boosted=True).skill > 0.1


def test_targets_without_a_feature_get_the_prior(patients):
    nothing = np.full((300, 25, 2), np.nan)
    assert measured(patients, nothing).skill == 0
    nothing[:150] = 0.0
    assert abs(measured(patients, nothing).skill) < 0.05


@pytest.mark.slow
def test_a_phantom_cohort_has_no_shortcut(tmp_path):
    plan = plan_cohort(120, 0, SMOKE.acquisition, test_fraction=0)
    cohort = write_cohort(tmp_path / "cohort", plan, workers=os.cpu_count(), progress=False)
    found = shortcuts.measure(cohort)
    assert found["headers"].skill < 0.1 and found["headers, boosted"].skill < 0.1  # 120 studies: noise is some 0.05
    assert found["crop statistics"].skill < 0.3
