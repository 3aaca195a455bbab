"""What context is worth: the exact observer of the phantom's model, without any image.

The observer measures the severity of each target with a normal error, as a network on single crops does. The error
grows with what the slices do not show, as the reader's doubt does, and is as large as makes the observer that uses
nothing else as good as single crops are. Given all measurements, and what goes with the narrowing in a patient,
severities are jointly normal: their posterior, and with it the best prediction of each grade, is exact. What the others
gain is the value of context; a cause that is switched off shows its share of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import brentq

from spinekit.anatomy import LEVELS, TARGETS
from spinekit.errors import SpinekitError
from spinekit.geometry import Floats
from spinekit.phantom import disease, reader
from spinekit.phantom.acquisition import Causes
from spinekit.scoring import metric
from spinekit.scoring.baseline import grade_counts, weighted_prior
from spinekit.scoring.bootstrap import resampled, summary

ALONE_SKILL = 0.84  # of single crops on phantoms, profile `cpu`
N_TARGETS = len(TARGETS)
_CHUNK = 500  # studies whose posteriors are solved at once
Groups = Sequence[Sequence[int]]
_OWN: Groups = [[i] for i in range(N_TARGETS)]
_LEVEL: Groups = [[i for i in range(N_TARGETS) if TARGETS[i].level == level] for level in LEVELS]
_ALL: Groups = [list(range(N_TARGETS))]
# Name, which measurements each target is predicted from, and whether the patient's factors are known beside them.
OBSERVERS: Mapping[str, tuple[Groups, bool]] = {
    "own target alone": (_OWN, False),
    "own target, patient factors": (_OWN, True),
    "all of the level": (_LEVEL, False),
    "all 25 targets": (_ALL, False),
    "all 25 targets, patient factors": (_ALL, True),
}
ALONE, WHOLE = "own target alone", "all 25 targets, patient factors"


class ContextError(SpinekitError):
    """An observer that cannot be built as asked. Ask for more studies, or give grades and predictions of one set of
    rows."""


@dataclass(frozen=True)
class Sample:
    """Studies of the model, (n, 25) each but ``factors`` (n, 17): severities, how much larger the reader's error is
    than where a lesion is seen perfectly, its standard deviation and its standard-normal value, white noise of the
    measurements, grades."""

    causes: Causes
    severity: Floats
    factors: Floats
    doubt: Floats
    reader_sd: Floats
    reader_errors: Floats
    noise: Floats
    labels: NDArray[np.int64]

    @property
    def chances(self) -> Floats:
        """(n, 25, 3) P(grade | severity, visibility)."""
        return reader.probabilities_of(self.severity, self.reader_sd)

    @property
    def prior(self) -> Floats:
        """(n, 25, 3) the best constant submission."""
        return np.broadcast_to(weighted_prior(grade_counts(self.labels)), (*self.labels.shape, 3))


def draw(studies: int, seed: int, causes: Causes) -> Sample:
    """Draw studies of the model; how well each target is seen comes from the reference of the prevalence."""
    rng = np.random.default_rng([seed, studies])
    patients = disease.sample(rng, studies, causes)
    doubt = np.stack(
        [rng.choice(reader.reference_doubts(t.group, causes.partial_visibility), studies) for t in TARGETS], -1
    )
    sd = reader.clear_sd() * doubt
    labels = reader.grade(patients.narrowing, sd, patients.reader_errors)
    noise = rng.standard_normal((studies, N_TARGETS))
    severity = reader.severity_of(patients.narrowing)
    return Sample(causes, severity, patients.factors, doubt, sd, patients.reader_errors, noise, labels)


def measurement_sd(sample: Sample, unit_sd: float) -> Floats:
    """(n, 25) standard deviation of the error of a measurement, on the severity scale. It is the part of the reader's
    doubt that comes from the images; the rest, on which readers differ though they see everything, is his alone."""
    return np.asarray(unit_sd * np.sqrt(sample.doubt**2 - 1))


def measure(sample: Sample, unit_sd: float) -> Floats:
    """(n, 25) measured severities."""
    return np.asarray(sample.severity + measurement_sd(sample, unit_sd) * sample.noise)


def predict(sample: Sample, unit_sd: float, groups: Groups, with_factors: bool) -> Floats:
    """(n, 25, 3) the exact submission of an observer who predicts the targets of each group from their measurements."""
    mean, sd = disease.moments(sample.causes)
    error = measurement_sd(sample, unit_sd) / sd
    measured = (measure(sample, unit_sd) - mean) / sd
    root = disease.joint_root(sample.causes)
    covariance = root @ root.T
    expected, prior = np.zeros_like(measured), covariance[:N_TARGETS, :N_TARGETS]
    if with_factors:
        joint, within = covariance[:N_TARGETS, N_TARGETS:], covariance[N_TARGETS:, N_TARGETS:]
        slopes = np.linalg.solve(within, joint.T).T
        expected, prior = sample.factors @ slopes.T, prior - slopes @ joint.T
    posterior, variance = np.empty_like(measured), np.empty_like(measured)
    for group in groups:
        columns = list(group)
        posterior[:, columns], variance[:, columns] = _posterior(
            prior[np.ix_(columns, columns)], expected[:, columns], measured[:, columns], error[:, columns]
        )
    spread = np.sqrt(sample.reader_sd**2 + sd**2 * np.maximum(variance, 0))
    return reader.oracle(reader.probabilities_of(mean + sd * posterior, spread))


def _posterior(prior: Floats, expected: Floats, measured: Floats, error: Floats) -> tuple[Floats, Floats]:
    """Means and variances (n, k) of normal values with covariance ``prior`` (k, k) and means ``expected`` (n, k), after
    measurements (n, k) with independent errors of standard deviation ``error`` (n, k)."""
    means, variances = [], []
    for i in range(0, len(measured), _CHUNK):
        part = slice(i, i + _CHUNK)
        total = prior + np.eye(len(prior)) * np.square(error[part])[:, None, :]
        gain = np.linalg.solve(total, np.broadcast_to(prior, total.shape))  # (chunk, k, k)
        means.append(expected[part] + np.einsum("nij,ni->nj", gain, measured[part] - expected[part]))
        variances.append(np.diag(prior) - np.einsum("ij,nij->nj", prior, gain))
    return np.concatenate(means), np.concatenate(variances)


def skills(sample: Sample, submissions: Mapping[str, Floats], seed: int = 0) -> dict[str, Floats]:
    """(1 + draws,) skill of each submission between the sample's prior and its floor, resampled over studies."""
    counts = resampled(len(sample.labels), seed)

    def totals(p: Floats) -> Floats:
        return metric.scores_of(*metric.part_sums(sample.labels, p), counts)[:, -1]

    low, high = totals(reader.oracle(sample.chances)), totals(sample.prior)
    return {name: metric.skill(totals(p), high, low) for name, p in submissions.items()}


def unit_error(sample: Sample, skill: float) -> float:
    """The ``unit_sd`` with which the observer of single targets has a skill on a sample.

    Raises: `ContextError` for a skill that no error gives.
    """
    low, high = (metric.score(sample.labels, p).total for p in (reader.oracle(sample.chances), sample.prior))

    def above(unit_sd: float) -> float:
        score = metric.score(sample.labels, predict(sample, unit_sd, *OBSERVERS[ALONE])).total
        return (high - score) / (high - low) - skill

    if not 0 < skill < 1 or above(1e-3) < 0 or above(1e2) > 0:
        raise ContextError(
            f"no measurement error gives single targets a skill of {skill}: choose one between 0.1 and 0.95"
        )
    return float(brentq(above, 1e-3, 1e2, xtol=1e-4))


def gains(studies: int, seed: int, causes: Causes, alone_skill: float = ALONE_SKILL) -> pd.DataFrame:
    """Skill of each of OBSERVERS, and its gain on the first, with 95 % intervals over studies: columns skill, gain and
    both ends of each. The error of the measurements is fitted on as many other studies.

    Raises: `ContextError` as ``unit_error``.
    """
    unit_sd = unit_error(draw(studies, seed + 1, causes), alone_skill)
    sample = draw(studies, seed, causes)
    drawn = skills(sample, {name: predict(sample, unit_sd, *how) for name, how in OBSERVERS.items()})
    rows = {name: summary(d, "skill") | summary(d - drawn[ALONE], "gain") for name, d in drawn.items()}
    table = pd.DataFrame.from_dict(rows, orient="index").astype(float)
    table.attrs["unit_sd"] = unit_sd
    return table


def gains_without(studies: int, seed: int, causes: Causes, alone_skill: float = ALONE_SKILL) -> pd.DataFrame:
    """Gain of all targets, and with patient factors too, without each cause that is on: the measurement error is fitted
    anew each time. Columns all_25_targets, with_factors, and both ends of each.

    Raises: `ContextError` as ``unit_error``.
    """
    rows = {}
    for field in fields(causes):
        if getattr(causes, field.name):
            table = gains(studies, seed, replace(causes, **{field.name: False}), alone_skill)
            rows[f"without {field.name.replace('_', ' ')}"] = _whole_gains(table)
    return pd.DataFrame.from_dict(rows, orient="index")


def _whole_gains(table: pd.DataFrame) -> dict[str, float]:
    ends = {"": "gain", "_low": "gain_low", "_high": "gain_high"}
    return {
        f"{name}{end}": float(table.loc[row, column])
        for name, row in (("all_25_targets", "all 25 targets"), ("with_factors", WHOLE))
        for end, column in ends.items()
    }
