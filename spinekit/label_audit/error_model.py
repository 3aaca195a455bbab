"""Which mistake of a reader or of a table explains where a study's points lie?

A hypothesis' probability is its likelihood times how common its mistake is in this cohort, which is estimated along the
way, over the sum for all hypotheses.

Example: a reader exchanged left and right of the recesses of one study. As labelled, its places have a log likelihood
of -330 under the models of the other studies; with ten points exchanged, -250. One study in 1000 has this mistake, and
nearly all others have none. The odds are exp(-250 + 330) * 0.001, so the exchange is all but certain. It is undone, and
the study is searched again for a second mistake.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from spinekit.anatomy import LEVELS, SUBARTICULAR
from spinekit.geometry import Floats
from spinekit.label_audit.coordinates import GROUP, LEVEL, Places
from spinekit.label_audit.hypotheses import BENIGN, CODES, HYPOTHESES, Hypothesis
from spinekit.label_audit.likelihood import fit_models, folds, log_likelihoods, undone
from spinekit.label_audit.student_t import StudentT

MIN_PROBABILITY = 0.02  # of a mistake that is reported
# Share of studies with a mistake, and with odd blocks, before the cohort is seen; it counts as so many studies.
PRIOR_SHARE, PRIOR_SHARE_BLOCKS, PRIOR_STUDIES = 0.002, 0.01, 20.0
_EM_ROUNDS = 20
_REFITS = 3
_MAX_MISTAKES = 6  # of one study, undone one after the other

_FAMILIES = [(h.code, len(h.targets)) for h in HYPOTHESES]  # mistakes alike in kind and extent are alike in prior
_CODE = np.array([CODES.index(h.code) for h in HYPOTHESES])
_SHIFTS_OF_ALL = {h.level_shift: i for i, h in enumerate(HYPOTHESES) if h.level_shift and h.what == "all points"}


@dataclass(frozen=True)
class LabelErrorPosterior:
    """A mistake of a study: its ``probability``, and the same as ``log_odds`` (base 10), which tell apart those near 1;
    ``residual_mm`` (25, 3) of each place from where the others predict it, NaN where there is none."""

    study_id: int
    hypothesis: Hypothesis
    probability: float
    log_odds: float
    residual_mm: Floats


@dataclass(frozen=True)
class Rates:
    """How common mistakes are: ``share`` (hypotheses,) of studies; ``end_missing`` (2, 2) P(level missing at the first,
    at the last end | names as they should be, names shifted)."""

    share: Floats
    end_missing: Floats


def suspect(places: Places) -> list[LabelErrorPosterior]:
    """Mistakes of all studies, the likeliest first undone before the next is searched for."""
    if not places.ids:
        return []
    mm = places.mm
    for _ in range(_REFITS):  # mistakes bend the models less once they are undone
        suspicions, mm = _suspect(places, fit_models(mm, places.crude))
    return suspicions


def _suspect(places: Places, models: list[list[StudentT]]) -> tuple[list[LabelErrorPosterior], Floats]:
    """Mistakes under given models, and the places (n, 25, 3) without them."""
    fold = folds(len(places.ids))
    mm, log_odds = places.mm.copy(), _reversed_log_odds(places)
    log_likelihood = _by_fold(models, mm, log_odds, fold)
    end_missing = _end_missing(mm)
    rates = _rates(log_likelihood, end_missing)
    suspicions: list[LabelErrorPosterior] = []
    rows = np.arange(len(mm))
    for _ in range(_MAX_MISTAKES):
        posterior = _posterior(log_likelihood, end_missing[rows], rates)
        corrected = []
        for row, p in zip(rows.tolist(), posterior, strict=True):
            likeliest = _likeliest(p)
            if likeliest is None:
                continue
            hypothesis, probability, odds = likeliest
            if hypothesis.code != BENIGN:
                residual = _residual_mm(models[fold[row]], mm[row])
                suspicions.append(LabelErrorPosterior(places.ids[row], hypothesis, probability, odds, residual))
            if probability > 0.5:
                _undo(hypothesis, row, mm, log_odds)
                corrected.append(row)
        rows = np.array(corrected, dtype=int)
        if not len(rows):
            break
        log_likelihood = _by_fold(models, mm[rows], log_odds[rows], fold[rows])
    return suspicions, mm


def _residual_mm(models: list[StudentT], mm: Floats) -> Floats:
    """(25, 3) distance of each of a study's places (25, 3) from where the others predict it."""
    return np.stack([mm[:, a] - model.expected(mm[None, :, a])[0][0] for a, model in enumerate(models)], axis=1)


def _by_fold(models: list[list[StudentT]], mm: Floats, log_odds: Floats, fold: NDArray[np.int64]) -> Floats:
    """(n, hypotheses) log likelihoods, each study under the models that were fitted without its fold."""
    result = np.empty((len(mm), len(HYPOTHESES)))
    for f, of_fold in enumerate(models):
        result[fold == f] = log_likelihoods(of_fold, mm[fold == f], log_odds[fold == f])
    return result


def _reversed_log_odds(places: Places) -> Floats:
    """(n,) log odds that a study's foraminal slices are numbered the other way than its labels say, by the studies of
    the same site; NaN where headers tell sides."""
    direction, log_odds = np.asarray(places.direction), np.full(len(places.ids), -np.inf)
    names, site = np.unique(places.site, return_inverse=True)
    if not places.crude:
        return np.full(len(places.ids), np.nan)
    everywhere = np.array([(direction == -1).sum(), (direction == 1).sum()]) + 1.0
    prior = 2 * everywhere / everywhere.sum()
    for s in range(len(names)):
        here = site == s
        for way in (-1, 1):
            mine = here & (direction == way)
            if not mine.any():
                continue
            agree, disagree = (direction[here] == way).sum() - 1, (direction[here] == -way).sum()
            log_odds[mine] = np.log((disagree + prior[int(way < 0)]) / (agree + prior[int(way > 0)]))
    return log_odds


def _end_missing(mm: Floats) -> Floats:
    """(n, 2) whether all sagittal points of the first, and of the last level are missing though the others exist: what
    a shift of all names by one leaves, as a level falls out at one end."""
    labelled = np.isfinite(mm[..., 2])
    sagittal = [(level == LEVEL) & (GROUP != SUBARTICULAR) for level in range(len(LEVELS))]
    by_level = np.stack([labelled[:, columns].any(1) for columns in sagittal], axis=1)
    return np.stack([~by_level[:, 0] & by_level[:, 1:].all(1), ~by_level[:, 4] & by_level[:, :4].all(1)], axis=1)


def _posterior(log_likelihood: Floats, end_missing: Floats, rates: Rates) -> Floats:
    """(n, hypotheses) probability of each."""
    score = log_likelihood + np.log(rates.share)
    for shift, h in _SHIFTS_OF_ALL.items():
        end = int(shift < 0)
        usual, shifted = rates.end_missing[end]
        score[:, h] += np.where(end_missing[:, end], np.log(shifted / usual), np.log((1 - shifted) / (1 - usual)))
    return softmax(score, axis=1)


def _rates(log_likelihood: Floats, end_missing: Floats) -> Rates:
    """Expectation-maximisation for the shares, from a prior that mistakes are rare."""
    rare = np.array([PRIOR_SHARE_BLOCKS if h.code == BENIGN else PRIOR_SHARE for h in HYPOTHESES])
    pseudo = PRIOR_STUDIES * rare / np.array([_FAMILIES.count(family) for family in _FAMILIES])
    pseudo[0] = PRIOR_STUDIES - pseudo[1:].sum()
    share, lost = pseudo / pseudo.sum(), np.array([[0.001, 0.5], [0.001, 0.5]])
    for _ in range(_EM_ROUNDS):
        posterior = _posterior(log_likelihood, end_missing, Rates(share, lost))
        share = (posterior.sum(0) + pseudo) / (len(posterior) + pseudo.sum())
        for shift, h in _SHIFTS_OF_ALL.items():
            p, end = posterior[:, h], int(shift < 0)
            usual = ((1 - p) @ end_missing[:, end] + 0.5) / ((1 - p).sum() + 500)
            lost[end] = usual, (p @ end_missing[:, end] + 1) / (p.sum() + 2)
    return Rates(share, lost)


def _likeliest(posterior: Floats) -> tuple[Hypothesis, float, float] | None:
    """The likeliest mistake of a study with its probability and log odds, None if it is too improbable to report; the
    hypotheses of a code count together."""
    by_code = np.bincount(_CODE, posterior, len(CODES))
    code = int(by_code[1:].argmax()) + 1
    probability = float(by_code[code])
    if probability < MIN_PROBABILITY:
        return None
    best = int(np.where(code == _CODE, posterior, -1).argmax())
    rest = max(float(posterior[code != _CODE].sum()), 1e-300)
    return HYPOTHESES[best], probability, float(np.log10(probability / rest))


def _undo(hypothesis: Hypothesis, row: int, mm: Floats, log_odds: Floats) -> None:
    """Change the places (n, 25, 3) of one study, or the sign of its log odds (n,), as the hypothesis says."""
    if hypothesis.reverses_numbering and not np.isnan(log_odds[row]):
        log_odds[row] = -log_odds[row]
        return
    axes = list(hypothesis.axes)
    mm[row : row + 1, :, axes] = undone(mm[row : row + 1][..., axes], np.array(hypothesis.source))
