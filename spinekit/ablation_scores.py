"""What each step of an ablation is worth: scores and skills with intervals over studies, gains compared pairwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from spinekit import metric
from spinekit.blending import cross_fitted, fit
from spinekit.cohort import Split
from spinekit.evaluation import INTERVAL, ROWS, Labels, skill, truth_of
from spinekit.geometry import Floats
from spinekit.grading import labels_of
from spinekit.prior import fitted_prior

BOOTSTRAPS = 300


@dataclass(frozen=True)
class Judge:
    """Studies to score on: labels (n, 25), the prior (25, 3) to beat, and for phantoms the best prediction (n, 25, 3).

    Intervals come from resampled studies, the same draws for every model, so that differences are paired.
    """

    labels: Labels
    prior: Floats
    oracle: Floats | None = None
    seed: int = 0

    def draws(self) -> list[np.ndarray]:
        """Row numbers: all studies once, then each resample."""
        n, rng = len(self.labels), np.random.default_rng(self.seed)
        return [np.arange(n), *(rng.integers(n, size=n) for _ in range(BOOTSTRAPS))]

    def worth(self, probabilities: Floats) -> Floats:
        """(1 + draws, seeds, 5) of predictions (seeds, n, 25, 3): the skill of each part and in total; where there is
        no oracle, the score by which the prior is beaten."""
        return np.array([[self._worth(p[rows], rows) for p in probabilities] for rows in self.draws()])

    def _worth(self, p: Floats, rows: np.ndarray) -> Floats:
        labels = self.labels[rows]
        own, prior = _values(labels, p), _values(labels, np.broadcast_to(self.prior, p.shape))
        return prior - own if self.oracle is None else skill(own, prior, _values(labels, self.oracle[rows]))

    @property
    def unit(self) -> str:
        """What ``worth`` is: skill needs a floor, which real data does not have."""
        return "score below the prior" if self.oracle is None else "skill"

    def totals(self, probabilities: Floats) -> Floats:
        """(seeds,) worth in total of predictions (seeds, n, 25, 3)."""
        rows = np.arange(len(self.labels))
        return np.array([self._worth(p, rows)[-1] for p in probabilities])

    def scores(self, probabilities: Floats) -> Floats:
        """(seeds,) total scores."""
        return np.array([metric.score(self.labels, p).total for p in probabilities])


def judge_of(data_dir: Path, split: Split, grades: pd.DataFrame) -> tuple[Judge, slice]:
    """Who judges the predictions of ``split.unseen``, and which of these are judged: the test half where its grades are
    known, as on a phantom, else the held-out studies."""
    prior, held = fitted_prior(labels_of(grades, split.train)), len(split.held_out)
    truth = truth_of(data_dir, split.test) if split.test else None
    if truth is None:
        return Judge(labels_of(grades, split.held_out), prior), slice(held)
    return Judge(truth.labels, prior, truth.oracle), slice(held, None)


def blended(models: Sequence[Floats], held_labels: Labels, judged: slice) -> Floats:
    """(seeds, judged, 25, 3) what several models (seeds, n, 25, 3) say together, blended and calibrated by what was
    fitted on the held-out studies, which come first among the ``n``; where these are judged themselves, by what was
    fitted on the others of them."""
    names = [f"model {i}" for i in range(len(models))]
    held, found = slice(len(held_labels)), []
    for opinions in np.stack(models, 1):
        if judged == held:
            found.append(
                cross_fitted(lambda labels, seen: fit(labels, seen, names).apply, held_labels, opinions[:, held])
            )
        else:
            found.append(fit(held_labels, opinions[:, held], names).apply(opinions[:, judged]))
    return np.array(found)


def _values(labels: Labels, p: Floats) -> Floats:
    score = metric.score(labels, p).as_dict()
    return np.array([score[name] for name in ROWS])


def table(judge: Judge, models: Mapping[str, Floats], minutes: Mapping[str, float]) -> pd.DataFrame:
    """A row for each model, in order: score and skill (mean of its seeds, 95 % interval over studies), skill of each
    part, spread of the seeds, the gain over the model before it with its interval, and minutes of one core."""
    rows, before = {}, None
    for name, p in models.items():
        worth = judge.worth(p)
        row = {"score": judge.scores(p).mean(), **summary(worth[..., -1].mean(1), "skill")}
        row |= dict(zip((f"skill_{part}" for part in ROWS[:-1]), worth[0].mean(0), strict=False))
        row |= {"seeds": len(p), "seeds_sd": worth[0, :, -1].std(ddof=1) if len(p) > 1 else np.nan}
        if before is not None:
            row |= summary(worth[..., -1].mean(1) - before, "gain")
        before = worth[..., -1].mean(1)
        rows[name] = row | {"minutes": minutes.get(name, np.nan)}
    return pd.DataFrame(rows).T.astype({"seeds": int})


def compare(judge: Judge, models: Mapping[str, Floats], pairs: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """Gain in skill of the first model of each pair over the second, seed by seed on the same studies, with intervals.
    The second may be ``prior``."""
    worth = {name: judge.worth(p)[..., -1].mean(1) for name, p in models.items()}
    none = np.zeros(BOOTSTRAPS + 1)
    rows = [{"model": a, "against": b, **summary(worth[a] - worth.get(b, none), "gain")} for a, b in pairs]
    return pd.DataFrame(rows).set_index("model")


def summary(draws: Floats, name: str) -> dict[str, float]:
    """The value on all studies, which comes first, and the 95 % interval of the others."""
    low, high = np.nanpercentile(draws[1:], INTERVAL)
    return {name: float(draws[0]), f"{name}_low": float(low), f"{name}_high": float(high)}


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
