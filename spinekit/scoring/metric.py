"""The competition's score, per part and in total: of arrays, of resampled studies, and as a loss for training.

Arrays: ``labels`` (n, 25) integers 0, 1, 2 with -1 where there is no grade; ``probabilities`` (n, 25, 3). Both follow
``anatomy.TARGETS``. The formula is the organisers': each graded row weighs 1, 2 or 4 by its true grade; spinal,
foraminal and subarticular rows are pooled over levels and sides; ``any_severe_spinal`` has one row a study; the score
is the plain mean of the four (RSNA 2024 Lumbar Spine Degenerative Classification, Kaggle, "Evaluation").
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from spinekit.anatomy import GROUPS, SEVERITIES, SEVERITY_COLUMNS, SEVERITY_WEIGHTS, SPINAL, TARGETS, row_id, targets_of
from spinekit.errors import SpinekitError
from spinekit.geometry import Floats

if TYPE_CHECKING:
    import torch

SUM_TOLERANCE = 1e-6  # float32 softmax rows sum to 1 within this
EPSILON = float(np.finfo(np.float64).eps)  # the organisers' clip
N_TARGETS = len(TARGETS)
Labels = NDArray[np.int64]


class MetricError(SpinekitError):
    """Labels or predictions that cannot be scored. Correct the rows or columns that the message names."""


@dataclass(frozen=True)
class Score:
    """Weighted log losses, lower is better; a part without any graded row is NaN, and so is then the total."""

    spinal: float
    foraminal: float
    subarticular: float
    any_severe_spinal: float

    @property
    def total(self) -> float:
        """Plain mean of the four parts."""
        return float(np.mean(list(asdict(self).values())))

    def as_dict(self) -> dict[str, float]:
        """The four parts and ``total``."""
        return {**asdict(self), "total": self.total}


PARTS = (*GROUPS, "any_severe_spinal")
ROWS = (*PARTS, "total")


def score(labels: NDArray[Any], probabilities: NDArray[Any]) -> Score:
    """Score (n, 25, 3) normalised probabilities against (n, 25) labels.

    A graded row whose three probabilities are all NaN counts as not predicted and is left out; callers who must not
    leave any out check before.

    Raises: `MetricError` for rows that are negative, partly NaN, infinite or do not sum to 1, and for shapes or labels
    that do not fit.
    """
    labels, p = _checked(labels, probabilities)
    losses, weights = _target_losses(labels, p)
    parts = {g: _weighted_mean(losses[:, targets_of(g)], weights[:, targets_of(g)]) for g in GROUPS}
    return Score(**parts, any_severe_spinal=_weighted_mean(*_any_severe_losses(labels, p, weights)))


def target_losses(labels: NDArray[Any], probabilities: NDArray[Any]) -> tuple[Floats, Floats]:
    """(n, 25) log loss of each target, and (n, 25) the weight of its grade; 0 where there is no grade or no prediction.

    Raises: `MetricError` as ``score``.
    """
    return _target_losses(*_checked(labels, probabilities))


def part_sums(labels: NDArray[Any], probabilities: NDArray[Any]) -> tuple[Floats, Floats]:
    """(n, 4) weighted loss of each study in each of ``PARTS``, and (n, 4) its weight there: a score is the sum of the
    one over that of the other, so that studies can be resampled without scoring them again (``scores_of``).

    Raises: `MetricError` as ``score``.
    """
    labels, p = _checked(labels, probabilities)
    losses, weights = _target_losses(labels, p)
    any_losses, any_weights = _any_severe_losses(labels, p, weights)
    groups = [list(targets_of(group)) for group in GROUPS]
    weighted = [(losses * weights)[:, columns].sum(1) for columns in groups]
    sums = [weights[:, columns].sum(1) for columns in groups]
    return np.column_stack([*weighted, any_losses * any_weights]), np.column_stack([*sums, any_weights])


def scores_of(losses: Floats, weights: Floats, counts: Floats) -> Floats:
    """(draws, 5) each of ``ROWS`` of samples in which each study comes ``counts`` (draws, n) times, from the
    ``part_sums`` of a prediction; NaN without a grade."""
    total, weight = counts @ losses, counts @ weights
    parts = np.where(weight > 0, total / np.where(weight > 0, weight, 1.0), np.nan)
    return np.column_stack([parts, parts.mean(1)])


def skill(score: ArrayLike, prior: ArrayLike, floor: ArrayLike) -> Floats:
    """0 for the prior, 1 for the floor; NaN where the prior is not above the floor, as can happen in few studies."""
    room, beaten_by = np.subtract(prior, floor), np.subtract(prior, score)
    return np.where(room > 0, beaten_by / np.where(room > 0, room, 1.0), np.nan)


def grade_weights(labels: NDArray[Any], probabilities: NDArray[Any]) -> Floats:
    """(...) weight, 1, 2 or 4, of each graded and predicted row of labels (...) and probabilities (..., 3); else 0."""
    graded = (labels >= 0) & np.isfinite(probabilities).all(-1)
    return np.where(graded, np.array(SEVERITY_WEIGHTS)[labels], 0.0)


def one_hot_weights(labels: NDArray[Any], probabilities: NDArray[Any]) -> Floats:
    """(..., 3) weight of each graded and predicted row at its grade, zeros elsewhere, with a sum of 1: what
    ``log_loss`` takes while predictions are being fitted."""
    weights = np.eye(3)[np.maximum(labels, 0)] * grade_weights(labels, probabilities)[..., None]
    return weights / max(weights.sum(), 1.0)


def log_loss(log_p: Floats, weights: Floats) -> float:
    """Weighted log loss of log probabilities (..., 3) under ``one_hot_weights``: of the targets of one of ``GROUPS``
    its part of the score, but not clipped, so that it can be differentiated."""
    return float(-(weights * log_p).sum())


def _target_losses(labels: Labels, p: Floats) -> tuple[Floats, Floats]:
    weights = grade_weights(labels, p)
    p_true = np.take_along_axis(p, np.maximum(labels, 0)[..., None], -1)[..., 0]
    return np.where(weights > 0, -np.log(np.clip(p_true, EPSILON, 1 - EPSILON)), 0.0), weights


def _any_severe_losses(labels: Labels, p: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """(n,) loss of the row that each study has in ``any_severe_spinal``, and (n,) its weight."""
    spinal = list(targets_of(SPINAL))
    weight = weights[:, spinal].max(1, initial=0.0)  # the largest of the study's weights; 0 where nothing is graded
    severe = ((labels == 2) & (weights > 0))[:, spinal].any(1)
    predicted = np.where(weights[:, spinal] > 0, p[:, spinal, 2], 0.0).max(1, initial=0.0)
    return -np.log(np.clip(np.where(severe, predicted, 1 - predicted), EPSILON, 1 - EPSILON)), weight


def _weighted_mean(losses: Floats, weights: Floats) -> float:
    total = weights.sum()
    return float((losses * weights).sum() / total) if total else float("nan")


def _checked(labels: NDArray[Any], probabilities: NDArray[Any]) -> tuple[Labels, Floats]:
    labels, p = np.asarray(labels), np.asarray(probabilities, dtype=np.float64)
    if labels.ndim != 2 or labels.shape[1] != N_TARGETS or p.shape != (*labels.shape, 3):
        raise MetricError(
            f"labels must be (n, 25) and probabilities (n, 25, 3); got {labels.shape} and {p.shape}: "
            "order the columns as anatomy.TARGETS"
        )
    if not np.isin(labels, (-1, 0, 1, 2)).all():
        raise MetricError(f"labels must be -1, 0, 1 or 2; got {np.unique(labels).tolist()}")
    given = ~np.isnan(p).all(-1)
    bad = given & ~((p >= 0).all(-1) & (np.abs(p.sum(-1) - 1) <= SUM_TOLERANCE))
    if bad.any():
        study, target = np.argwhere(bad)[0]
        raise MetricError(
            f"{bad.sum()} rows are not probabilities that sum to 1; the first is row {study}, "
            f"{TARGETS[target].name}: {p[study, target].tolist()}. Normalise the rows first"
        )
    return labels.astype(np.int64), p


def labels_array(grades: pd.DataFrame) -> NDArray[np.int64]:
    """(n, 25) labels from a frame with one column for each target, as words (``Severe``), 0, 1, 2 or missing.

    Raises: `MetricError` for a missing column or an unknown grade.
    """
    missing = [target.name for target in TARGETS if target.name not in grades.columns]
    if missing:
        raise MetricError(f"the table of grades lacks the columns {missing}")
    columns = grades[[target.name for target in TARGETS]]
    words = {word: i for i, word in enumerate(SEVERITIES)}
    coded = columns.map(lambda v: words.get(v, v))
    unknown = {v for v in coded.to_numpy(object).ravel() if not (pd.isna(v) or v in (0, 1, 2))}
    if unknown:
        named = sorted(unknown, key=str)[:5]
        raise MetricError(f"unknown grades {named}: use {list(SEVERITIES)} or leave empty")
    return coded.apply(pd.to_numeric).fillna(-1).to_numpy(np.int64)


def submission_frame(study_ids: Any, probabilities: NDArray[Any]) -> pd.DataFrame:
    """Rows of a submission, 25 for each study in ``anatomy.TARGETS`` order, from probabilities (n, 25, 3)."""
    p = np.asarray(probabilities, dtype=np.float64)
    ids = [row_id(study, target) for study in study_ids for target in TARGETS]
    frame = pd.DataFrame(p.reshape(-1, 3), columns=list(SEVERITY_COLUMNS))
    frame.insert(0, "row_id", ids)
    return frame


def submission_array(submission: pd.DataFrame, study_ids: Any) -> NDArray[np.float64]:
    """(n, 25, 3) probabilities of the given studies, every row divided by its sum; NaN where a row is absent.

    Raises: `MetricError` for a missing column, a repeated row, or values that are not finite and non-negative.
    """
    lacking = [c for c in ("row_id", *SEVERITY_COLUMNS) if c not in submission.columns]
    if lacking:
        raise MetricError(f"the submission lacks the columns {lacking}; it has {list(submission.columns)}")
    repeated = submission.row_id[submission.row_id.duplicated()]
    if len(repeated):
        raise MetricError(f"the submission repeats {len(repeated)} row ids; the first is {repeated.iloc[0]}")
    rows = submission.set_index("row_id")[list(SEVERITY_COLUMNS)].apply(pd.to_numeric, errors="coerce")
    values = rows.to_numpy(np.float64)
    bad = ~np.isfinite(values).all(1) | (values < 0).any(1) | (values.sum(1) <= 0)
    if bad.any():
        raise MetricError(
            f"{bad.sum()} rows of the submission are not finite, non-negative numbers; the first: {rows.index[bad][0]}"
        )
    rows = rows.div(rows.sum(axis=1), axis=0)
    ids = [row_id(study, target) for study in study_ids for target in TARGETS]
    return rows.reindex(ids).to_numpy(np.float64).reshape(-1, N_TARGETS, 3)


def score_tables(grades: pd.DataFrame, submission: pd.DataFrame, allow_missing: bool = False) -> Score:
    """Score a submission against a table in the format of ``train.csv`` (``study_id`` and 25 columns of grades).

    ``allow_missing`` leaves out graded rows that the submission lacks.

    Raises: `MetricError` for such rows otherwise, for a study that has grades twice, and as
    ``score``, ``labels_array`` and ``submission_array``.
    """
    if "study_id" not in grades.columns:
        raise MetricError("the table of grades lacks the column study_id")
    if (repeated := grades.study_id[grades.study_id.duplicated()]).size:
        raise MetricError(f"the table of grades repeats {len(repeated)} studies; the first is {repeated.iloc[0]}")
    labels = labels_array(grades)
    p = submission_array(submission, grades.study_id)
    absent = np.argwhere((labels >= 0) & np.isnan(p).all(-1))
    if len(absent) and not allow_missing:
        study, target = absent[0]
        first = row_id(grades.study_id.iloc[study], TARGETS[target])
        raise MetricError(
            f"the submission lacks {len(absent)} graded rows; the first is {first}. One fold predicts only a "
            "part of the studies: --allow-missing scores that part"
        )
    return score(labels, p)


def competition_loss(logits: torch.Tensor, grades: torch.Tensor) -> torch.Tensor:
    """The metric on a batch, differentiable: logits (b, 25, 3) against labels (b, 25), -1 for missing, or against
    ``soft_targets`` (b, 25, 3).

    A part without a graded row in the batch adds nothing. Masked entries get no gradient.
    """
    import torch

    targets = soft_targets(grades) if grades.ndim == 2 else grades
    cost = targets.to(logits) * logits.new_tensor(SEVERITY_WEIGHTS)
    weights = cost.sum(-1)
    log_p = torch.log_softmax(logits, -1)
    losses = -(cost * log_p).sum(-1)
    total = logits.new_zeros(())
    for group in GROUPS:
        columns = list(targets_of(group))
        total = total + losses[:, columns].sum() / weights[:, columns].sum().clamp_min(_tiny(weights))
    spinal = list(targets_of(SPINAL))
    weight, graded = weights[:, spinal].amax(1), weights[:, spinal] > 0
    share = targets[:, spinal].to(logits)
    severe = (share[..., 2] / share.sum(-1).clamp_min(_tiny(weights))).amax(1)
    log_severe = log_p[:, spinal, 2].masked_fill(~graded, -torch.inf).amax(1)
    # Studies without any spinal grade have weight 0; a finite stand-in keeps their gradient finite.
    log_severe = torch.where(weight > 0, log_severe, torch.full_like(log_severe, -1.0))
    eps = torch.finfo(logits.dtype).eps
    log_not = torch.log1p(-log_severe.exp().clamp(max=1 - eps))
    any_severe = -(severe * log_severe + (1 - severe) * log_not)
    total = total + (any_severe * weight).sum() / weight.sum().clamp_min(_tiny(weights))
    return total / len(PARTS)


def weighted_cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of logits (..., 3) against ``soft_targets`` (..., 3), rows weighted by 1, 2 or 4 by their grade."""
    import torch

    logits = logits.float()
    cost = targets.to(logits) * logits.new_tensor(SEVERITY_WEIGHTS)
    return -(cost * torch.log_softmax(logits, -1)).sum() / cost.sum().clamp_min(_tiny(cost))


def soft_targets(labels: torch.Tensor) -> torch.Tensor:
    """(..., 3) of labels (...): one-hot, zeros where a label is -1. A row may be multiplied by the confidence in its
    grade, or be spread over several grades: both losses above accept that."""
    from torch.nn.functional import one_hot

    return one_hot(labels.clamp_min(0), 3).float() * (labels >= 0)[..., None]


def _tiny(like: torch.Tensor) -> float:
    """Smallest normal number of a tensor's type: avoids 0 / 0."""
    import torch

    return torch.finfo(like.dtype).tiny
