"""The table of `spinekit evaluate context`: the exact observer, and the figures that the model has to keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Group
from rich.text import Text
from scipy.stats import spearmanr

from spinekit import artifacts
from spinekit.anatomy import FLIPPED_TARGET, FORAMINAL, GROUPS, LEVELS, SPINAL, SUBARTICULAR, TARGETS, level_name
from spinekit.evaluation import floors, residuals
from spinekit.evaluation.context import ALONE_SKILL, ContextError, Sample, draw, gains, gains_without
from spinekit.evaluation.out_of_fold import read_models
from spinekit.evaluation.report_table import frame_table, with_intervals
from spinekit.geometry import Floats
from spinekit.io import tables
from spinekit.phantom import disease, reader
from spinekit.phantom.acquisition import Causes
from spinekit.scoring import metric
from spinekit.scoring.metric import Labels

Pair = tuple[tuple[str, str | None], tuple[str, str | None]]
MIN_STUDIES = 50
# Rank correlations of grades within a level, L1/L2 ... L5/S1, of the 1,975 training studies.
PUBLISHED_SPEARMAN: dict[Pair, tuple[float, ...]] = {
    ((FORAMINAL, "left"), (FORAMINAL, "right")): (0.20, 0.28, 0.31, 0.36, 0.40),
    ((SUBARTICULAR, "left"), (SUBARTICULAR, "right")): (0.42, 0.50, 0.57, 0.56, 0.35),
    ((SPINAL, None), (SUBARTICULAR, "left")): (0.48, 0.55, 0.56, 0.58, 0.23),
    ((FORAMINAL, "left"), (SUBARTICULAR, "left")): (0.35, 0.38, 0.34, 0.37, 0.29),
}
PUBLISHED_PRIOR, PUBLISHED_ANY_SEVERE = 0.7897, 0.185  # the weighted prior by condition and level; share of studies
EARLIER_FLOOR = 0.349  # of the phantom whose reader saw every target alike
_COLUMN = {(target.group, target.side, target.level): i for i, target in enumerate(TARGETS)}


def figures(sample: Sample) -> pd.DataFrame:
    """Figures of a sample beside those that they should have: prevalence, rank correlations within a level, any severe
    spinal, prior and floor. Columns figure, model, published."""
    prevalence = np.array([disease.PREVALENCE_PERCENT[t.group][LEVELS.index(t.level)] for t in TARGETS]) / 100
    shares = np.stack([(sample.labels == grade).mean(0) for grade in (1, 2)], -1)
    rows: list[tuple[str, float, float]] = []
    for i, level in enumerate(LEVELS):
        for group in GROUPS:
            columns = [j for j, t in enumerate(TARGETS) if (t.group, t.level) == (group, level)]
            for k, grade in enumerate(("Moderate", "Severe")):
                model, published = (float(table[columns, k].mean()) for table in (shares, prevalence))
                rows.append((f"share {grade}, {group} {level_name(level)}", model, published))
        for pair, values in PUBLISHED_SPEARMAN.items():
            name = " - ".join(" ".join(filter(None, (side, group))) for group, side in pair)
            rows.append((f"Spearman, {name} {level_name(level)}", _spearman(sample.labels, pair, level), values[i]))
    rows.append(("any severe spinal", float((sample.labels[:, :5] == 2).any(1).mean()), PUBLISHED_ANY_SEVERE))
    rows.append(("score of the prior", metric.score(sample.labels, sample.prior).total, PUBLISHED_PRIOR))
    floor = metric.score(sample.labels, reader.oracle(sample.chances)).total
    rows.append(("floor, against the earlier phantom's", floor, EARLIER_FLOOR))
    return pd.DataFrame(rows, columns=["figure", "model", "published"])


def _spearman(labels: NDArray[np.int64], pair: Pair, level: str) -> float:
    """Rank correlation of two columns at a level, mean of both sides of the patient."""
    columns = [_COLUMN[(*one, level)] for one in pair]
    both_sides = (columns, [FLIPPED_TARGET[i] for i in columns])
    return float(np.mean([spearmanr(labels[:, one], labels[:, other]).statistic for one, other in both_sides]))


def latent_correlations(causes: Causes) -> pd.Series:
    """Mean correlation of the reader's standard-normal errors in each of ``residuals.RELATIONS``: higher than that of
    the residuals, since a grade has only three values."""
    root = reader.error_root(causes.reader_offset)
    errors = root @ root.T
    rows = {name: float(np.mean([errors[pair] for pair in pairs])) for name, pairs in residuals.RELATIONS.items()}
    return pd.Series(rows)


def floor_by_formula(sample: Sample) -> dict[str, float]:
    """Score of the oracle as realised and in expectation, and the expected score of the joint optimum."""
    chances = sample.chances
    submission = reader.oracle(chances)
    rows = floors.any_severe(chances, sample.causes.reader_offset)
    return {
        "realised": metric.score(sample.labels, submission).total,
        "expected": floors.expected_score(chances, rows, submission).total,
        "joint_optimum": floors.expected_score(chances, rows, floors.joint_optimum(chances, rows)).total,
    }


@dataclass(frozen=True)
class Report:
    """Everything that `spinekit evaluate context` prints."""

    studies: int
    causes: Causes
    alone_skill: float
    unit_sd: float
    observers: pd.DataFrame
    without: pd.DataFrame
    residual_correlations: pd.DataFrame
    figures: pd.DataFrame
    floor: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """Everything, as plain values."""
        kept = {name: getattr(self, name) for name in ("studies", "alone_skill", "unit_sd", "floor")}
        indexed = {
            name: getattr(self, name).to_dict("index") for name in ("observers", "without", "residual_correlations")
        }
        causes = {field.name: getattr(self.causes, field.name) for field in fields(self.causes)}
        rows = self.figures.to_dict("records")
        return artifacts.rounded({**kept, "causes": causes, **indexed, "figures": rows})

    def __rich__(self) -> Group:
        lost = [field.name.replace("_", " ") for field in fields(self.causes) if not getattr(self.causes, field.name)]
        head = f"{self.studies} studies of the model" + (f", without {', '.join(lost)}" if lost else "")
        head += f"; measurements err so that single targets have a skill of {self.alone_skill:.2f}"
        realised, expected, joint = (self.floor[name] for name in ("realised", "expected", "joint_optimum"))
        floor = f"floor: realised {realised:.4f}, expected {expected:.4f}; "
        floor += f"joint optimum of all four parts {joint:.4f}, lower by {expected - joint:.4f}"
        parts: list[Group | Text] = [
            frame_table(
                "skill of the exact observer, gain on single targets (95 %)", with_intervals(self.observers), ".3f"
            ),
            frame_table("gain where one cause is off", with_intervals(self.without), ".3f"),
            frame_table(
                "correlation of residuals; that the readers are the cause of the real ones is not proven",
                with_intervals(self.residual_correlations),
                ".3f",
            ),
            frame_table("figures of the model", self.figures, ".3f"),
            Text(floor),
        ]
        lines: list[Group | Text] = [line for part in parts for line in (Text(), part)]
        return Group(Text(head), *lines)


def report(
    studies: int,
    seed: int,
    causes: Causes,
    alone_skill: float = ALONE_SKILL,
    labels_file: Path | None = None,
    predictions: Sequence[Path] = (),
) -> Report:
    """The exact observer on ``studies`` of the model, and the figures that the model has to keep.

    ``labels_file`` and ``predictions``, in the formats of `spinekit blend`: residuals of these predictions stand beside
    the model's, too.

    Raises: `ContextError` for too few studies, a skill that cannot be had, or a table of grades without predictions; as
    `io.tables.read_grades` and `read_predictions` for what is wrong with a file.
    """
    if studies < MIN_STUDIES:
        raise ContextError(f"{studies} studies are too few for an observer: ask for at least {MIN_STUDIES}")
    given = given_predictions(labels_file, predictions)
    sample = draw(studies, seed, causes)
    table = residuals.correlations(residuals.of_chances(sample.labels, sample.chances))
    table["latent"] = latent_correlations(causes)
    table["real"] = pd.Series(residuals.REAL)
    if given is not None:  # the same of real predictions
        own = residuals.correlations(residuals.of_predictions(*given))
        table = table.join(own.drop(columns="pairs").rename(columns=lambda name: name.replace("correlation", "given")))
    observers = gains(studies, seed, causes, alone_skill)
    return Report(
        studies=studies,
        causes=causes,
        alone_skill=alone_skill,
        unit_sd=observers.attrs["unit_sd"],
        observers=observers,
        without=gains_without(studies, seed, causes, alone_skill),
        residual_correlations=table,
        figures=figures(sample),
        floor=floor_by_formula(sample),
    )


def given_predictions(labels_file: Path | None, predictions: Sequence[Path]) -> tuple[Labels, Floats] | None:
    """(n, 25) grades and (n, 25, 3) the mean of their predictions, in the formats of `spinekit blend`; studies without
    any pair are left out. None where neither is given.

    Raises: `ContextError` for one without the other, or files that have no grade in common; as `io.tables.read_grades`
    and `read_predictions` for what is wrong with a file.
    """
    if (labels_file is None) != (not predictions):
        raise ContextError("residuals need a table of grades and predictions: give --labels and --predictions together")
    if labels_file is None:
        return None
    grades = tables.read_grades(labels_file)
    mean = np.mean(list(read_models(predictions, grades.index.to_list()).values()), axis=0)
    labels = metric.labels_array(grades)
    usable = ((labels >= 0) & np.isfinite(mean).all(-1)).any(1)
    if not usable.any():
        raise ContextError(f"{labels_file}: no grade has a prediction in {', '.join(map(str, predictions))}")
    return labels[usable], mean[usable]
