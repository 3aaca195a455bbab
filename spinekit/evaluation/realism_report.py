"""The table of `spinekit evaluate realism`: each figure of real studies beside the range of the phantoms."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Group
from rich.text import Text
from tqdm.auto import tqdm

from spinekit import artifacts
from spinekit.anatomy import KINDS
from spinekit.errors import SpinekitError, study_failure
from spinekit.evaluation import realism, realism_patches
from spinekit.evaluation.realism import NEEDS_LANDMARKS, ONLY_ON, UNITS, StudyFigures
from spinekit.evaluation.realism_patches import Patches, Separation
from spinekit.evaluation.report_table import text_table
from spinekit.io.cohort import Cohort, load
from spinekit.parallel import cores, mapper

log = logging.getLogger(__name__)

MIN_STUDIES_PER_WORKER = 3  # of a process: to measure fewer takes less time than to start it
RANGE_PERCENT = (5, 95)  # of the phantoms
MIN_PHANTOMS = 3  # values that make a range
MANY_PHANTOMS = 20  # fewer leave the range narrower than that of all phantoms
INSIDE, OUTSIDE = "inside", "outside"
NO_LANDMARKS, NOTHING = "not measured: no landmarks", "not measured: nothing to measure it on"
TOO_FEW = "not measured: too few phantoms"
NO_SERIES, COARSE = "not measured: no such series", "not measured: pixels too coarse"
SHOWN = ("kind", "figure", "real", "phantoms 5-95 %", "verdict")


class RealismError(SpinekitError):
    """Folders that cannot be set beside each other. Name a phantom cohort and another folder of studies."""


@dataclass(frozen=True)
class Report:
    """``rows`` of the table: kind, figure, unit, real (median), real_low, real_high, real_n, phantom_low,
    phantom_median, phantom_high, phantom_n, verdict, beyond (by how many widths of the range; 0 inside).
    ``separations`` by kind; ``failed``: why a study was not measured, by folder and id."""

    cohort: str
    real: str
    phantom_studies: int
    real_studies: int
    rows: pd.DataFrame
    separations: dict[str, Separation]
    failed: dict[str, str]

    @property
    def auc(self) -> float:
        """Area under the ROC curve of phantoms against real, mean of the kinds of series; NaN where none has one."""
        return _mean([separation.auc for separation in self.separations.values()])

    @property
    def control_auc(self) -> float:
        """The same of phantoms against phantoms."""
        return _mean([separation.control[1] for separation in self.separations.values()])

    def to_json(self) -> dict[str, Any]:
        """Everything, as plain values; null where nothing was measured."""
        plain = {name: getattr(self, name) for name in ("cohort", "real", "phantom_studies", "real_studies", "failed")}
        parts = {kind: asdict(separation) for kind, separation in self.separations.items()}
        areas = {"auc": self.auc, "control_auc": self.control_auc, "separations": parts}
        return dict(artifacts.rounded({**plain, **areas, "rows": self.rows.to_dict("records")}))

    def __rich__(self) -> Group:
        title = f"{self.phantom_studies} studies of {self.cohort} beside {self.real_studies} of {self.real}"
        texts = [[row["kind"], *_cells(row), row["verdict"]] for row in self.rows.to_dict("records")]
        parts: list[Group | Text] = [text_table(title, SHOWN, texts, (False, False, True, True, False))]
        outside = self.rows[self.rows["verdict"] == OUTSIDE].sort_values("beyond", ascending=False, kind="stable")
        if len(outside):
            ranked = [[r["kind"], *_cells(r), f"{r['beyond']:.1f}"] for r in outside.to_dict("records")]
            head = (*SHOWN[:-1], "widths beyond")
            parts += [Text(), text_table("outside, farthest first", head, ranked, (False, False, True, True, True))]
        parts += [Text(), *(Text(line) for line in self._words())]
        return Group(*parts)

    def _words(self) -> list[str]:
        """How many figures lie outside, what the classifier tells, and which studies failed."""
        measured = self.rows["verdict"].isin([INSIDE, OUTSIDE])
        count = int((self.rows["verdict"] == OUTSIDE).sum())
        lines = [f"outside: {count} of {int(measured.sum())} figures that both sides have"]
        if self.phantom_studies < MANY_PHANTOMS:
            lines.append(
                f"{self.phantom_studies} phantoms leave ranges narrow: look at what lies half a width beyond, or draw "
                f"{MANY_PHANTOMS}"
            )
        failed = [f"not measured: {study}: {why}" for study, why in self.failed.items()]
        return [*lines, *self._areas(), *failed]

    def _areas(self) -> list[str]:
        """What the classifier tells, and what to think of it."""
        lines = []
        for kind, one in self.separations.items():
            low, mean, high = one.control
            control = (
                f"phantoms in their place {mean:.2f} ({low:.2f} to {high:.2f})" if np.isfinite(mean) else "no control"
            )
            lines.append(f"{kind}: AUC {one.auc:.2f} of {one.patches} real patches, by {one.by}; {control}")
        unknown = "not measured, too few patches or phantom studies"
        auc = f"{self.auc:.2f}; 0.50: indistinguishable" if self.separations else unknown
        lines.append(f"AUC of phantoms against real: {auc}")
        if self.real_studies < realism_patches.MIN_STUDIES:
            lines.append(
                f"{self.real_studies} real {'study is' if self.real_studies == 1 else 'studies are'} too few to be "
                "typical: a patient and a scanner are recognised too. Compare with the phantoms in their place"
            )
        return lines


def _mean(values: list[float]) -> float:
    finite = [value for value in values if np.isfinite(value)]
    return float(np.mean(finite)) if finite else float("nan")


def _cells(row: Mapping[str, Any]) -> list[str]:
    """Figure with its unit, real value (with its range where there are several series), the phantoms' range."""
    name = row["figure"] + (f", {row['unit']}" if row["unit"] and row["unit"] != "px" else "")
    real = "-" if np.isnan(row["real"]) else f"{row['real']:.2f}"
    if row["real_n"] > 1:
        real += f" ({row['real_low']:.2f} to {row['real_high']:.2f})"
    usual = f"{row['phantom_low']:z.2f} to {row['phantom_high']:z.2f}" if row["phantom_n"] else "-"
    return [name, real, usual]


def compare(cohort: Path, real_folder: Path, limit: int = 0) -> Report:
    """Measure the first ``limit`` studies (0: all) of both folders, and set one beside the other.

    Raises: `RealismError` for a folder of which no study can be measured, or where both are the same folder; as
    `io.cohort.load` for what is wrong with its tables.
    """
    cohort, real_folder = Path(cohort), Path(real_folder)
    if cohort.resolve() == real_folder.resolve():
        raise RealismError(
            f"{cohort}: both folders are the same. Give a cohort of phantoms, then a folder of real studies"
        )
    chosen = {folder: _studies(folder, limit) for folder in (cohort, real_folder)}
    patch_mm = _coarsest_mm(chosen)
    measured, failed = _measured(chosen, patch_mm)
    sides = []
    for folder in (cohort, real_folder):
        studies = {study: figures for (where, study), figures in measured.items() if where == folder}
        if not studies:
            why = next((why for name, why in failed.items() if name.startswith(f"{folder}: ")), "")
            raise RealismError(f"{folder}: no study could be measured ({why}). See `spinekit check {folder}`")
        sides.append(studies)
    phantoms, reals = sides
    separations = {}
    for kind in patch_mm:
        pair = [_patches(side, kind) for side in (reals, phantoms)]
        if (separation := realism_patches.separation(*pair)) is not None:
            separations[kind] = separation
    rows = table(reals, phantoms)
    return Report(str(cohort), str(real_folder), len(phantoms), len(reals), rows, separations, failed)


def _studies(folder: Path, limit: int) -> list[int]:
    studies = load(folder).studies()[: limit or None]
    if not studies:
        raise RealismError(
            f"{folder}: no study has images here. Give a folder with train_images/STUDY/SERIES/*.dcm, or test_images, "
            "as its tables name them"
        )
    return studies


def _coarsest_mm(chosen: Mapping[Path, list[int]]) -> dict[str, float]:
    """The largest spacing of pixels in mm of any series that is compared, of each kind that both folders have."""
    by_folder: list[dict[str, float]] = []
    for folder, studies in chosen.items():
        data, largest = load(folder), dict[str, float]()
        for study in studies:
            for stack in data.read(study, pixels=False).stacks:
                if stack.kind in KINDS:
                    largest[stack.kind] = max(largest.get(stack.kind, 0.0), float(stack.frame.spacing_rc_mm.max()))
        by_folder.append(largest)
    first, second = by_folder
    return {kind: max(first[kind], second[kind]) for kind in KINDS if kind in first and kind in second}


Job = tuple[Path, int, dict[str, float]]


def _measured(
    chosen: Mapping[Path, list[int]], patch_mm: dict[str, float]
) -> tuple[dict[tuple[Path, int], StudyFigures], dict[str, str]]:
    jobs: list[Job] = [(folder, study, patch_mm) for folder, studies in chosen.items() for study in studies]
    with mapper(cores(jobs=len(jobs) // MIN_STUDIES_PER_WORKER)) as run:
        results = list(tqdm(run(_measure, jobs), total=len(jobs), desc="realism", unit="study"))
    figures = {job[:2]: result for job, result in zip(jobs, results, strict=True) if not isinstance(result, str)}
    failed = {
        f"{job[0]}: {job[1]}": result for job, result in zip(jobs, results, strict=True) if isinstance(result, str)
    }
    return figures, failed


def _measure(job: Job) -> StudyFigures | str:
    """The figures of a study, or why there are none: one bad study does not stop the others."""
    folder, study, patch_mm = job
    try:
        return realism.figures_of(_loaded(folder), study, patch_mm)
    except Exception as error:
        return study_failure(study, error)


@lru_cache(maxsize=2)
def _loaded(folder: Path) -> Cohort:
    return load(folder)


def _patches(side: Mapping[int, StudyFigures], kind: str) -> dict[int, Patches]:
    return {study: figures.patches[kind] for study, figures in side.items() if kind in figures.patches}


def table(reals: Mapping[int, StudyFigures], phantoms: Mapping[int, StudyFigures]) -> pd.DataFrame:
    """``Report.rows`` of two sides, by study id: every kind and figure, measured or not."""
    frames = [pd.concat([one.rows for one in side.values()], ignore_index=True) for side in (reals, phantoms)]
    any_landmarks = [any(one.landmarks for one in side.values()) for side in (reals, phantoms)]
    rows = []
    for kind, (figure, unit) in product(KINDS, UNITS.items()):
        if ONLY_ON.get(figure, kind) != kind:
            continue
        all_values = [frame[(frame["kind"] == kind)] for frame in frames]
        real, phantom = (_finite(values, figure) for values in all_values)
        row = {"kind": kind, "figure": figure, "unit": unit, **_numbers(real, phantom)}
        if len(real) and len(phantom):
            row["verdict"] = TOO_FEW if len(phantom) < MIN_PHANTOMS else OUTSIDE if row["beyond"] else INSIDE
        else:
            side = 1 if len(real) else 0
            row["verdict"] = _why_not(all_values[side], figure, any_landmarks[side]) + ", phantoms" * side
        rows.append(row)
    return pd.DataFrame(rows)


def _finite(values: pd.DataFrame, figure: str) -> np.ndarray:
    return values.loc[(values["figure"] == figure) & np.isfinite(values["value"]), "value"].to_numpy(np.float64)


def _numbers(real: np.ndarray, phantom: np.ndarray) -> dict[str, float]:
    nan = float("nan")
    ends = np.percentile(real, (50, *RANGE_PERCENT)) if len(real) else np.full(3, nan)
    low, middle, high = np.percentile(phantom, (RANGE_PERCENT[0], 50, RANGE_PERCENT[1])) if len(phantom) else [nan] * 3
    beyond = max(low - ends[0], ends[0] - high, 0.0) / max(high - low, 0.02 * abs(middle), 1e-9)
    numbers = {"real": ends[0], "real_low": ends[1], "real_high": ends[2], "real_n": len(real)}
    return numbers | {
        "phantom_low": float(low),
        "phantom_median": float(middle),
        "phantom_high": float(high),
        "phantom_n": len(phantom),
        "beyond": float(beyond if beyond > 1e-6 else 0.0) if len(real) and len(phantom) >= MIN_PHANTOMS else nan,
    }


def _why_not(values: pd.DataFrame, figure: str, landmarks: bool) -> str:
    if values.empty:
        return NO_SERIES
    if figure in NEEDS_LANDMARKS and not landmarks:
        return NO_LANDMARKS
    return COARSE if figure in realism.TEXTURES else NOTHING
