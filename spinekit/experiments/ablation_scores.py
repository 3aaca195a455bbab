"""The gain of each step of an ablation: scores and skills with intervals over studies, gains compared pairwise.

Only ``blended`` and ``stacked`` fit something, on the held-out studies. They stand beside the scores because what they
are fitted on decides which studies may be scored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from spinekit.evaluation import landmarks as evaluation_landmarks
from spinekit.evaluation.evaluation_set import EvaluationSet
from spinekit.evaluation.slice_matching import read_truth
from spinekit.geometry import Floats
from spinekit.grading.crop_centres import CropCentres
from spinekit.io.cohort import Cohort
from spinekit.scoring import stacking
from spinekit.scoring.bootstrap import summary
from spinekit.scoring.ensemble import Applied, Strategy, cross_fitted, fit
from spinekit.scoring.metric import PARTS, Labels


def blended(models: Sequence[Floats], held_labels: Labels, judged: slice) -> Floats:
    """(seeds, judged, 25, 3) ensemble of several models (seeds, n, 25, 3), or a single one, calibrated. Fits weights
    and calibration on the held-out studies, which come first among the ``n``; where these are scored themselves, by
    cross-fitting among them."""
    names = [f"model {i}" for i in range(len(models))]
    return _fitted(lambda labels, p: fit(labels, p, names).apply, models, held_labels, judged)


def stacked(model: Floats, held_labels: Labels, judged: slice) -> Floats:
    """(seeds, judged, 25, 3) predictions (seeds, n, 25, 3), corrected by those of the other targets of a study
    (``stacking``). Fitted as ``blended`` is."""

    def strategy(labels: Labels, predictions: Floats) -> Applied:
        correct = stacking.fit(labels, predictions[0])
        return lambda others: correct(others[0])

    return _fitted(strategy, [model], held_labels, judged)


def _fitted(strategy: Strategy, models: Sequence[Floats], held_labels: Labels, judged: slice) -> Floats:
    held, by_seed = slice(len(held_labels)), []
    for p in np.stack(models, 1):
        if judged == held:
            by_seed.append(cross_fitted(strategy, held_labels, p[:, held]))
        else:
            by_seed.append(strategy(held_labels, p[:, held])(p[:, judged]))
    return np.array(by_seed)


def true_centres(data: Cohort, landmarks: pd.DataFrame, studies: Sequence[int]) -> CropCentres | None:
    """Where crops of these studies lie if their landmarks are the true ones, moved to where the patient lay during the
    series of the predicted ``landmarks``; None where the truth is unknown."""
    truth = read_truth(data.folder)
    rows = landmarks[landmarks["study_id"].isin(studies)]
    return CropCentres(evaluation_landmarks.true_places(truth, data, rows)) if truth else None


def table(evaluation_set: EvaluationSet, models: Mapping[str, Floats], minutes: Mapping[str, float]) -> pd.DataFrame:
    """A row for each model, in order: score and skill (mean of its seeds, 95 % interval over studies only), skill of
    each part, spread of the seeds, the gain over the model before it with its interval, minutes of one core, and which
    studies it was evaluated on."""
    rows, before = {}, None
    for name, p in models.items():
        draws = evaluation_set.skill_draws(p)
        total = draws[..., -1].mean(1)
        row = {"score": evaluation_set.scores(p).mean(), **summary(total, "skill")}
        row |= dict(zip((f"skill_{part}" for part in PARTS), draws[0].mean(0), strict=False))
        row |= {"seeds": len(p), "seeds_sd": draws[0, :, -1].std(ddof=1) if len(p) > 1 else np.nan}
        if before is not None:
            row |= summary(total - before, "gain")
        before = total
        rows[name] = row | {"minutes": minutes.get(name, np.nan)}
    return pd.DataFrame(rows).T.astype({"seeds": int}).assign(judged_on=evaluation_set.studies)


def compare(
    evaluation_set: EvaluationSet, models: Mapping[str, Floats], pairs: Sequence[tuple[str, str]]
) -> pd.DataFrame:
    """Gain in skill of the first model of each pair over the second, seed by seed on the same studies, with 95 %
    intervals over studies only, and which studies these are. The second may be ``prior``."""
    total = {name: evaluation_set.skill_draws(p)[..., -1].mean(1) for name, p in models.items()}
    rows = [{"model": a, "against": b, **summary(total[a] - total.get(b, 0.0), "gain")} for a, b in pairs]
    return pd.DataFrame(rows).set_index("model").assign(judged_on=evaluation_set.studies)


def suspects_found(suspected: np.ndarray, labels: Labels, true: Labels) -> dict[str, float]:
    """How many of the ``suspected`` (n, 25) training grades are mistakes of the tables: ``labels`` other than the
    ``true`` reader's grades (n, 25)."""
    graded = labels >= 0
    mistaken = graded & (labels != true)
    hits = (suspected & mistaken).sum()
    return {
        "mistakes": int(mistaken.sum()),
        "suspected": int(suspected.sum()),
        "of them mistakes": int(hits),
        "expected by chance": float(suspected.sum() * mistaken.sum() / graded.sum()),
    }
