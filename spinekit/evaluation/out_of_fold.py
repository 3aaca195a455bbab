"""Tables of out-of-fold predictions: what blending and calibration would gain, and which grades look wrong.

The table of `spinekit blend`. Tables are in the format of a submission. Files with different rows are one model,
files with the same rows are several.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Group
from rich.text import Text

from spinekit import artifacts
from spinekit.anatomy import SEVERITIES, TARGETS
from spinekit.errors import SpinekitError
from spinekit.evaluation.report_table import frame_table, text_table
from spinekit.geometry import Floats
from spinekit.io import tables
from spinekit.scoring import ensemble, metric, stacking
from spinekit.scoring.calibration import remove_class_weights
from spinekit.scoring.metric import Labels

UNLIKELY = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05)  # probabilities of a reader's grade
SUSPECTS = ["rank", "study_id", "target", "grade", "p", "expected", "by_chance"]
PART_NAMES = ("spinal", "foram.", "subart.", "any")


class NothingToBlend(SpinekitError):
    """Predictions without a graded study. Give the grades and the predictions of the same studies."""


@dataclass(frozen=True)
class Report:
    """``gains``: as ``ensemble.gains``; ``surprises``: how many grades are less likely than p, and how many would be by
    chance; ``suspects``: the least likely grades; ``left_out``: graded rows without a prediction."""

    models: tuple[str, ...]
    studies: int
    rows: int
    left_out: int
    gains: pd.DataFrame
    surprises: pd.DataFrame
    suspects: pd.DataFrame

    def to_json(self) -> dict[str, Any]:
        """Everything, as plain values."""
        kept = {name: getattr(self, name) for name in ("studies", "rows", "left_out")}
        tables = {name: getattr(self, name).to_dict("records") for name in ("surprises", "suspects")}
        return artifacts.rounded({**kept, **tables, "models": list(self.models), "gains": self.gains.to_dict("index")})

    def __rich__(self) -> Group:
        head = f"{self.rows} grades of {self.studies} studies, models: {', '.join(self.models)}"
        head += f"; {self.left_out} grades without a prediction left out" if self.left_out else ""
        notes = (
            "Each strategy scored on studies that it was not fitted on; gain: its total minus that of the first, in "
            "thousandths, below 0 is better, with 95 % intervals over studies.",
            "Surprises: grades whose calibrated out-of-fold probability is at most p; by chance: as many would be were "
            "the probabilities right. What lies above is wrong grades, or an overconfident model.",
        )
        surprising = frame_table("surprises", self.surprises, ".3g")
        tables = (_gains(self.gains), Text(notes[0]), surprising, Text(notes[1]))
        shown = self.suspects.drop(columns="expected").rename(columns={"rank": "#", "by_chance": "chance"})
        title = "the least likely grades; chance: as many as unlikely there would be anyway"
        suspects = frame_table(title, shown, ".3g")
        return Group(Text(head), *(line for part in (*tables, suspects) for line in (Text(), part)))


def _gains(table: pd.DataFrame) -> Group:
    rows = []
    for strategy, row in table.iterrows():
        gain, low, high = (1000 * row[name] for name in ("gain", "gain_low", "gain_high"))
        losses = (*(f"{value:.3f}" for value in row.iloc[:4]), f"{row['total']:.4f}")
        rows.append((str(strategy), *losses, f"{gain:+.1f} ({low:+.1f}, {high:+.1f})"))
    return text_table("scores", ("strategy", *PART_NAMES, "total", "gain (95 %)"), rows)


def report(labels_file: Path, files: Sequence[Path], limit: int = 20, seed: int = 0) -> Report:
    """Score the predictions in ``files`` by the grades in ``labels_file`` (the format of ``train.csv``).

    Raises: as `io.tables.read_grades` and `read_predictions` for what is wrong with a file; `NothingToBlend` for files
    that have no grade in common.
    """
    grades = tables.read_grades(labels_file)
    labels = metric.labels_array(grades)
    models = read_models(files, grades.index.to_list())
    predictions = np.stack(list(models.values()))
    predicted = np.isfinite(predictions).all(-1).any(0)
    usable = ((labels >= 0) & predicted).any(1)
    if not usable.any():
        raise NothingToBlend(f"{', '.join(map(str, files))}: no row has a grade in {labels_file}")
    graded = int((labels >= 0).sum())
    labels = np.where(predicted, labels, -1)[usable]
    predictions, ids = predictions[:, usable], grades.index.to_numpy()[usable]
    names = tuple(models)
    final = ensemble.cross_fitted(lambda y, p: ensemble.fit(y, p, names).apply, labels, predictions, seed)
    rows = int((labels >= 0).sum())
    return Report(
        models=names,
        studies=len(labels),
        rows=rows,
        left_out=graded - rows,
        gains=strategy_gains(labels, predictions, names, seed),
        surprises=surprises(labels, final),
        suspects=suspects(ids, labels, final, limit),
    )


def read_models(files: Sequence[Path], study_ids: Sequence[int]) -> dict[str, Floats]:
    """(n, 25, 3) predictions of each model by its name, the stem of its first file.

    Raises: as `io.tables.read_predictions` for what is wrong with a file.
    """
    models: dict[str, pd.DataFrame] = {}
    for file in files:
        table = tables.read_predictions(file)
        rows = set(table["row_id"])
        home = next((name for name, other in models.items() if not rows & set(other["row_id"])), None)
        if home is None:
            models[_new_name(file.stem, models)] = table
        else:
            models[home] = pd.concat([models[home], table], ignore_index=True)
    return {name: metric.submission_array(table, study_ids) for name, table in models.items()}


def _new_name(stem: str, taken: dict[str, pd.DataFrame]) -> str:
    return stem if stem not in taken else _new_name(f"{stem}'", taken)


def strategy_gains(labels: Labels, predictions: Floats, names: Sequence[str], seed: int = 0) -> pd.DataFrame:
    """``ensemble.gains`` of all strategies, and of stacking."""
    strategies = ensemble.strategies(names)
    plain = next(name for name in strategies if name in ("as given", "mean of all"))

    def stacked(fit_labels: Labels, fit_predictions: Floats) -> ensemble.Applied:
        blender = ensemble.fit_weights(fit_labels, fit_predictions, names)
        correct = stacking.fit(fit_labels, blender.pooled(fit_predictions))
        return lambda others: correct(blender.pooled(others))

    return ensemble.gains(labels, predictions, {**strategies, "stacking": stacked}, plain, seed=seed)


def _likelihoods(labels: Labels, p: Floats) -> tuple[Floats, Floats]:
    """(rows, 3) probabilities of graded and predicted targets, without class weights, and (rows,) of their grades."""
    usable = (labels >= 0) & np.isfinite(p).all(-1)
    likely = remove_class_weights(p[usable])
    return likely, np.take_along_axis(likely, labels[usable][:, None], 1)[:, 0]


def _by_chance(likely: Floats, at_most: Floats) -> Floats:
    """How many grades would be at most as likely, were they drawn from ``likely`` (rows, 3)."""
    every = np.sort(likely.ravel())
    return np.concatenate([[0.0], every.cumsum()])[np.searchsorted(every, at_most, side="right")]


def surprises(labels: Labels, p: Floats) -> pd.DataFrame:
    """How many grades are at most so likely, and how many would be by chance; columns p, observed, by_chance."""
    likely, own = _likelihoods(labels, p)
    bounds = np.array(UNLIKELY)
    observed = [(own <= bound).sum() for bound in bounds]
    return pd.DataFrame({"p": bounds, "observed": observed, "by_chance": _by_chance(likely, bounds).round(1)})


def suspects(study_ids: Sequence[int], labels: Labels, p: Floats, limit: int) -> pd.DataFrame:
    """The ``limit`` least likely grades: ``p`` of the reader's, ``expected`` the likeliest one, ``by_chance`` how many
    as unlikely there would be anyway: compare with ``rank``."""
    likely, own = _likelihoods(labels, p)
    studies, targets = np.nonzero((labels >= 0) & np.isfinite(p).all(-1))
    order = np.argsort(own, kind="stable")[:limit]
    rows = zip(studies[order], targets[order], own[order], likely[order].argmax(1), strict=True)
    chance = _by_chance(likely, own[order])
    return pd.DataFrame(
        [
            (i + 1, int(study_ids[s]), TARGETS[t].name, SEVERITIES[labels[s, t]], float(x), SEVERITIES[best], chance[i])
            for i, (s, t, x, best) in enumerate(rows)
        ],
        columns=SUSPECTS,
    )
