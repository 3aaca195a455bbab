"""Tables of out-of-fold predictions: what blending and calibration would gain, and which grades look wrong.

The table of `spinekit blend`. Tables are in the format of a submission. Files that speak of different rows are one
model; files that speak of the same rows are several.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Group
from rich.table import Table
from rich.text import Text

from spinekit import artifacts
from spinekit.anatomy import SEVERITIES, TARGETS
from spinekit.course.report import read_csv
from spinekit.errors import SpinekitError
from spinekit.geometry import Floats
from spinekit.scoring import ensemble, metric, stacking
from spinekit.scoring.calibration import remove_class_weights
from spinekit.scoring.metric import Labels

UNLIKELY = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05)  # probabilities of a reader's grade
SUSPECTS = ["rank", "study_id", "target", "grade", "p", "expected", "by_chance"]
PART_NAMES = ("spinal", "foram.", "subart.", "any")


class NothingToBlend(SpinekitError):
    """Predictions that speak of no graded study."""


@dataclass(frozen=True)
class Report:
    """``worth``: as ``ensemble.gains``; ``surprises``: how many grades are less likely than p, and how many would be by
    chance; ``suspects``: the least likely grades; ``left_out``: graded rows without a prediction."""

    models: tuple[str, ...]
    studies: int
    rows: int
    left_out: int
    worth: pd.DataFrame
    surprises: pd.DataFrame
    suspects: pd.DataFrame

    def to_json(self) -> dict[str, Any]:
        """Everything, as plain values."""
        kept = {name: getattr(self, name) for name in ("studies", "rows", "left_out")}
        tables = {name: getattr(self, name).to_dict("records") for name in ("surprises", "suspects")}
        return artifacts.rounded({**kept, **tables, "models": list(self.models), "worth": self.worth.to_dict("index")})

    def __rich__(self) -> Group:
        head = f"{self.rows} grades of {self.studies} studies, models: {', '.join(self.models)}"
        head += f"; {self.left_out} grades without a prediction left out" if self.left_out else ""
        notes = (
            "Each way scored on studies that it was not fitted on; gain: its total minus that of the first, in "
            "thousandths, below 0 is better, with 95 % intervals over studies.",
            "Surprises: grades whose calibrated out-of-fold probability is at most p; by chance: as many would be were "
            "the probabilities right. What lies above is wrong grades, or a model too sure.",
        )
        tables = (_worth(self.worth), Text(notes[0]), _plain("surprises", self.surprises), Text(notes[1]))
        shown = self.suspects.drop(columns="expected").rename(columns={"rank": "#", "by_chance": "chance"})
        suspects = _plain("the least likely grades; chance: as many as unlikely there would be anyway", shown)
        return Group(Text(head), *(its for part in (*tables, suspects) for its in (Text(), part)))


def _worth(table: pd.DataFrame) -> Table:
    shown = Table("way", *PART_NAMES, "total", "gain (95 %)", box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for column in shown.columns[1:]:  # on a narrow screen the name of the way is wrapped, no number is cut
        column.no_wrap = True
    for way, row in table.iterrows():
        gain, low, high = (1000 * row[name] for name in ("gain", "gain_low", "gain_high"))
        shown.add_row(
            str(way),
            *(f"{value:.3f}" for value in row.iloc[:4]),
            f"{row['total']:.4f}",
            f"{gain:+.1f} ({low:+.1f}, {high:+.1f})",
        )
    return shown


def _plain(title: str, table: pd.DataFrame) -> Group:
    shown = Table(*map(str, table.columns), box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for column in shown.columns:
        column.no_wrap = True
    for row in table.itertuples(index=False):
        shown.add_row(*(f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in row))
    return Group(Text(title, style="italic"), shown)  # a table's own title is wrapped at the width of the table


def report(labels_file: Path, files: Sequence[Path], limit: int = 20, seed: int = 0) -> Report:
    """Judge the predictions in ``files`` by the grades in ``labels_file`` (the format of ``train.csv``)."""
    grades = read_csv(labels_file)
    try:
        labels = metric.labels_array(grades)
        models = read_models(files, grades["study_id"])
    except (metric.MetricError, KeyError) as error:
        raise NothingToBlend(f"{labels_file} and {', '.join(map(str, files))}: {error}") from None
    opinions = np.stack(list(models.values()))
    predicted = np.isfinite(opinions).all(-1).any(0)
    there = ((labels >= 0) & predicted).any(1)
    if not there.any():
        raise NothingToBlend(f"{', '.join(map(str, files))}: no row speaks of a grade in {labels_file}")
    graded = int((labels >= 0).sum())
    labels = np.where(predicted, labels, -1)[there]
    opinions, ids = opinions[:, there], grades["study_id"].to_numpy()[there]
    names = tuple(models)
    final = ensemble.cross_fitted(lambda known, seen: ensemble.fit(known, seen, names).apply, labels, opinions, seed)
    rows = int((labels >= 0).sum())
    return Report(
        models=names,
        studies=len(labels),
        rows=rows,
        left_out=graded - rows,
        worth=strategy_gains(labels, opinions, names, seed),
        surprises=surprises(labels, final),
        suspects=suspects(ids, labels, final, limit),
    )


def read_models(files: Sequence[Path], study_ids: Sequence[int] | pd.Series) -> dict[str, Floats]:
    """(n, 25, 3) predictions of each model by its name, the stem of its first file."""
    tables: dict[str, pd.DataFrame] = {}
    for file in files:
        table = read_csv(file)
        if "row_id" not in table:
            raise NothingToBlend(f"{file}: no column row_id. Give tables in the format of sample_submission.csv")
        rows = set(table["row_id"])
        home = next((name for name, its in tables.items() if not rows & set(its["row_id"])), None)
        if home is None:
            tables[_new_name(file.stem, tables)] = table
        else:
            tables[home] = pd.concat([tables[home], table], ignore_index=True)
    return {name: metric.submission_array(table, study_ids) for name, table in tables.items()}


def _new_name(stem: str, taken: dict[str, pd.DataFrame]) -> str:
    return stem if stem not in taken else _new_name(f"{stem}'", taken)


def strategy_gains(labels: Labels, opinions: Floats, names: Sequence[str], seed: int = 0) -> pd.DataFrame:
    """``ensemble.gains`` of all ways, and of heeding a target's neighbours."""
    ways = ensemble.strategies(names)
    plain = next(way for way in ways if way in ("as given", "mean of all"))

    def heeded(known: Labels, seen: Floats) -> ensemble.Applied:
        first = ensemble.fit_weights(known, seen, names)
        correct = stacking.fit(known, first.pooled(seen))
        return lambda others: correct(first.pooled(others))

    return ensemble.gains(labels, opinions, {**ways, "neighbours heeded": heeded}, plain, seed=seed)


def _likelihoods(labels: Labels, p: Floats) -> tuple[Floats, Floats]:
    """(rows, 3) untilted probabilities of the graded and predicted targets, and (rows,) those of their grades."""
    there = (labels >= 0) & np.isfinite(p).all(-1)
    likely = remove_class_weights(p[there])
    return likely, np.take_along_axis(likely, labels[there][:, None], 1)[:, 0]


def _by_chance(likely: Floats, at_most: Floats) -> Floats:
    """How many grades would be at most as likely, were they drawn from ``likely`` (rows, 3)."""
    every = np.sort(likely.ravel())
    return np.concatenate([[0.0], every.cumsum()])[np.searchsorted(every, at_most, side="right")]


def surprises(labels: Labels, p: Floats) -> pd.DataFrame:
    """How many grades are at most so likely, and how many would be by chance; columns p, found, by_chance."""
    likely, own = _likelihoods(labels, p)
    bounds = np.array(UNLIKELY)
    found = [(own <= bound).sum() for bound in bounds]
    return pd.DataFrame({"p": bounds, "found": found, "by_chance": _by_chance(likely, bounds).round(1)})


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
