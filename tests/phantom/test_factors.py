"""What goes with the narrowing: scores by name, and their joint distribution with the severities."""

import numpy as np

from spinekit.anatomy import LEVELS
from spinekit.phantom import disease, factors


def test_scores_have_their_names():
    scores = np.arange(len(factors.NAMES), dtype=float)
    patient = factors.PatientFactors.from_scores(scores)
    assert patient.age == 0 and patient.canal_narrowness == 1
    for name in factors.DISC_FACTORS:
        for i, level in enumerate(LEVELS):
            assert getattr(patient, name)[i] == factors.NAMES.index(f"{name}_{level}")


def test_every_score_has_variance_one_and_severities_keep_their_own_correlation():
    severities = disease.severity_root()
    root = factors.joint_root(severities)
    covariance = root @ root.T
    assert np.allclose(np.diag(covariance), 1) and np.linalg.eigvalsh(covariance).min() > 0
    np.testing.assert_allclose(covariance[:25, :25], severities @ severities.T)
    assert (covariance[25:, :25] > 0).all(), "more of each goes with more narrowing"
    assert (root[25:, 26:].diagonal() > 0.3).all(), "each factor has a part of its own"
