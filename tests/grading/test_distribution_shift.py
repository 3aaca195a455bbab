"""Features of a training cohort: what is like them, what is not, and what follows for probabilities."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from crop_sets import RECIPE, crop_set

from spinekit.course.profiles import SMOKE
from spinekit.grading import distribution_shift as shift
from spinekit.grading.datasets import GraderError
from spinekit.grading.grader import CROPS, Grader
from spinekit.grading.models import build_classifier
from spinekit.grading.predictions import token_probabilities
from spinekit.grading.tokens import VIEW_INDEX
from spinekit.scoring.baseline import fitted_prior

FEATURES = 6
PRIOR = fitted_prior(np.zeros((4, 25), dtype=int))


def model(start=1.0, width=2.0):
    """Unit variance along two features, a tenth of it along the others; distances are logarithms of mean squares."""
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.normal(size=(FEATURES, FEATURES)))[0][:2]
    return shift.ShiftModel(
        mean=np.zeros((4, FEATURES)),
        components=np.tile(axes, (4, 1, 1)),
        variance=np.ones((4, 2)),
        noise=np.full(4, 0.1),
        middle=np.zeros(4),
        scatter=np.ones(4),
        start=np.array([start]),
        width=np.array([width]),
    )


def test_the_distance_is_the_mahalanobis_distance():
    one = model()
    along, axes = one.components[0], np.random.default_rng(1).normal(size=(3, 30, FEATURES))
    covariance = along.T @ along + 0.1 * (np.eye(FEATURES) - along.T @ along)
    squares = np.einsum("ntf,fg,ntg->nt", axes, np.linalg.inv(covariance), axes)
    present = np.ones((3, 30), dtype=bool)
    present[0, 4] = False
    expected = [squares[0, [t for t in range(30) if VIEW_INDEX[t] == view and t != 4]].mean() for view in range(4)]
    np.testing.assert_allclose(one.log_lengths(axes, present)[0], np.log(expected))
    own = one.distances(axes, present)[0]
    np.testing.assert_allclose(own, np.log(expected)[VIEW_INDEX[:25]])


def test_a_view_without_crops_has_no_distance_and_no_share():
    present = np.ones((1, 30), dtype=bool)
    present[0, np.array(VIEW_INDEX) == 1] = False
    distances = model().distances(np.full((1, 30, FEATURES), 99.0), present)
    views = np.array(VIEW_INDEX[:25])
    assert np.isnan(distances[0, views == 1]).all() and np.isfinite(distances[0, views != 1]).all()
    shares = model().prior_shares(distances)[0]
    assert (shares[views == 1] == 0).all() and (shares[views != 1] == 1).all()


def test_the_canal_goes_by_its_axial_view_where_no_sagittal_slice_shows_it():
    distances = shift.by_target(np.array([[np.nan, 0, 0, 2.0], [0, 0, 0, 2.0], [np.nan, 0, 0, np.nan]]))
    assert distances[:2, 0].tolist() == [2, 0] and np.isnan(distances[2, :5]).all() and not distances[:, 5:].any()
    shares = model().prior_shares(distances)
    assert shares[:, 0].tolist() == [0.5, 0, 0] and not shares[:, 5:].any()


def test_the_share_of_the_prior_grows_with_the_distance():
    shares = [model().prior_shares(np.full((1, 25), d))[0, 0] for d in (-3, 1, 2, 3, 50)]
    assert shares == [0, 0, 0.5, 1, 1]
    p = np.tile([0.8, 0.1, 0.1], (25, 1))
    np.testing.assert_allclose(shift.widened(p, np.full(25, 0.5), PRIOR), (p + PRIOR) / 2)


def test_it_is_read_as_it_was_written(tmp_path):
    assert shift.load_shift(tmp_path) is None
    model().save(tmp_path)
    read = shift.load_shift(tmp_path)
    assert all(np.array_equal(getattr(read, name), value) for name, value in vars(model()).items())
    (tmp_path / shift.SHIFT).write_bytes(b"broken")
    with pytest.raises(GraderError, match="run notebook 04 again"):
        shift.load_shift(tmp_path)


def test_features_and_probabilities_are_those_of_the_classifier():
    torch.manual_seed(0)
    recipe = replace(SMOKE.grader, crops=RECIPE)
    classifier = Grader(CROPS, build_classifier(recipe).eval(), recipe, PRIOR)
    crops, _ = crop_set(3)
    crops.present[1, 7] = False
    features, p = shift.observed(classifier, crops, [1, 2])
    assert features.shape == (2, 30, classifier.model.features) and not features[0, 7].any()
    np.testing.assert_allclose(p[0, 7], PRIOR[7])
    singles = token_probabilities(classifier, crops, [1, 2])[:, :25]  # the same, but averaged with the mirror's
    assert np.nanmax(np.abs(p - singles)) < 0.1
    assert [len(part) for part in shift.observed(classifier, crops, [])] == [0, 0]
