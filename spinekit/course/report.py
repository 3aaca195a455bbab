"""What a run gives: the closing table, and an HTML index of its executed notebooks."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from spinekit import artifacts
from spinekit.course import manifests, pages, report_pages, runs, time_profile
from spinekit.course.steps import Step
from spinekit.grading import uncertainty_table
from spinekit.io import tables
from spinekit.scoring.metric import PARTS, MetricError, score_tables

log = logging.getLogger(__name__)

COLUMNS = ("score", "prior", "floor", "skill")
_STUDIES = {"oof": "Labelled studies, graded by models that had not seen them", "test": "Test half"}
# Line of the closing report, step, key in its metrics.json, unit.
_FACTS = (
    ("Slice matching, share of landmarks on the right slice", Step.SLICE_MATCHING, "slice_match_accuracy", ""),
    (
        "Landmark error against readers' points, median of held-out studies",
        Step.LOCALIZATION,
        "landmark_error_mm_median",
        " mm",
    ),
    ("Landmark error against the truth, median", Step.LOCALIZATION, "true_error_mm_median", " mm"),
)
NOT_CLINICAL = "Not for clinical use."
GUIDES = ("map", "glossary")  # of notebooks/book, linked from the index
UNCERTAINTY_PAGE, MAX_ROWS = "uncertainty.html", 500


def score_files(labels: Path, submission: Path, allow_missing: bool = False) -> dict[str, float]:
    """The metric, part by part, of two CSV files in the competition's formats; what is not scored is logged.

    Raises: as `io.tables.read_grades` and `read_predictions` for what is wrong with a file; `MetricError` when the
    tables do not fit each other.
    """
    grades, predictions = tables.read_grades(labels), tables.read_predictions(submission)
    graded = row_ids_of(grades)
    lacking, both = graded.difference(predictions["row_id"]), graded.intersection(predictions["row_id"])
    others = predictions["row_id"].map(lambda name: int(name.partition("_")[0]))
    others = others[~others.isin(grades.index)]
    if both.empty:
        raise MetricError(
            f"{labels} and {submission}: no row has a grade and a prediction. Are they of the same studies?"
        )
    if len(lacking) and allow_missing:
        log.warning(
            "%s: %d of %d graded rows have no prediction and are left out", submission, len(lacking), len(graded)
        )
    if len(others):
        missing = (len(others), others.nunique(), labels)
        log.warning("%s: %d rows are of %d studies that are not in %s, and are not scored", submission, *missing)
    try:
        return score_tables(grades.reset_index(), predictions, allow_missing).as_dict()
    except MetricError as error:
        raise MetricError(f"{labels} and {submission}: {error}") from None


def row_ids_of(grades: pd.DataFrame) -> pd.Index:
    """``STUDY_CONDITION_LEVEL`` of each grade in a table of ``tables.read_grades``."""
    graded = grades.melt(ignore_index=False, var_name="target").dropna()
    return pd.Index([f"{study}_{target}" for study, target in graded["target"].items()], dtype=object)


def finished_steps(root: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Folder and manifest of every finished step of a run, in the order of the notebooks."""
    folders = [file.parent for file in (*root.glob(f"*/{runs.MANIFEST}"), *root.glob(f"fold*/*/{runs.MANIFEST}"))]
    for folder in sorted(filter(manifests.is_finished, folders), key=lambda folder: (folder.name, folder.parent.name)):
        yield folder, manifests.read(folder)


def metrics_of(root: Path, step: Step) -> list[dict[str, Any]]:
    """Metrics of the finished folders of a step, one for each fold."""
    return [artifacts.read_json(folder / runs.METRICS) for folder, _ in finished_steps(root) if folder.name == step]


def score_tables_of(root: Path) -> dict[str, list[list[str]]]:
    """Rows of part, score, prior, floor and skill as text, for each set of studies that the submission's step scored.

    Its metrics are ``<studies>_score_<part>`` and so on; empty before it has finished.
    """
    tables = {}
    for metrics in metrics_of(root, Step.SUBMISSION):
        for prefix in (key.removesuffix("score_total") for key in metrics if key.endswith("score_total")):
            name = prefix.strip("_").replace("_", " ") or "held-out studies"
            tables[_STUDIES.get(name, name)] = [
                [part.replace("_", " "), *(_number(metrics.get(f"{prefix}{column}_{part}")) for column in COLUMNS)]
                for part in (*PARTS, "total")
            ]
    return tables


def no_scores(root: Path) -> str:
    """Why a run has no table of scores."""
    if metrics_of(root, Step.SUBMISSION):
        return "No scores: none of its studies has grades that the models were not trained on."
    return "No scores: notebook 06 has not finished."


def facts(root: Path) -> list[tuple[str, str]]:
    """Single numbers worth a line: what they are, and their value in each fold."""
    lines = []
    for name, step, key, unit in _FACTS:
        values = [_number(metrics[key]) for metrics in metrics_of(root, step) if metrics.get(key) is not None]
        if values:
            lines.append((name, ", ".join(values) + unit))
    return lines


def times(root: Path) -> list[dict[str, Any]]:
    """Where the time of each finished step went: its name, seconds, and parts with their seconds and shares."""
    profiled = []
    for folder, manifest in finished_steps(root):
        if parts := time_profile.rows(time_profile.read(folder)):
            fold = manifest["parameters"].get("fold")
            name = folder.name if fold is None else f"{folder.name}, fold {fold}"
            profiled.append({"name": name, "seconds": sum(seconds for _, seconds, _ in parts), "parts": parts})
    return profiled


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def about(root: Path) -> str:
    """One line that says what the numbers of a run were measured on."""
    folders = {manifest["parameters"].get("data_dir", "") for _, manifest in finished_steps(root)}
    data = "phantoms, not on patients" if folders <= {""} else f"the studies in {', '.join(sorted(folders - {''}))}"
    return f"Lower scores are better; skill 0 is the prior, 1 the floor. Measured on {data}. {NOT_CLINICAL}"


def show(root: Path, index: Path) -> None:
    """Print the closing table of a run and where its pages are."""
    from rich.table import Table

    from spinekit.io.plain_text import PlainConsole

    console = PlainConsole(highlight=False)
    tables = score_tables_of(root)
    if not tables and metrics_of(root, Step.SUBMISSION):
        console.print(no_scores(root), soft_wrap=True)
    for name, rows in tables.items():
        table = Table(title=f"{name}, weighted log loss")
        table.add_column("part")
        for column in COLUMNS:
            table.add_column(column, justify="right")
        for row in rows:
            table.add_row(*row)
        console.print(table)
    for name, value in facts(root):
        console.print(f"{name}: {value}", soft_wrap=True)
    console.print(about(root), soft_wrap=True)
    if (page := root / UNCERTAINTY_PAGE).is_file():
        console.print(f"The least certain grades: {page}", soft_wrap=True)
    console.print(f"Executed notebooks: {index}", soft_wrap=True)


def write_index(root: Path) -> Path:
    """Convert the executed notebooks of a run to HTML and write ``index.html``; pages that are current stay."""
    report_pages.write(root)
    write_uncertainty(root)
    index = root / "index.html"
    with artifacts.atomic(index) as part:
        part.write_text(_index_page(root), encoding="utf-8")
    return index


def write_uncertainty(root: Path) -> pd.DataFrame | None:
    """Join the uncertainty of the folds' transformers: ``uncertainty.csv``, and a page of the least certain grades.

    None where no fold has finished notebook 05.
    """
    files = [folder / uncertainty_table.TABLE for folder, _ in finished_steps(root) if folder.name == Step.SEQUENCE]
    tables = [pd.read_csv(file) for file in files if file.is_file()]
    if not tables:
        return None
    rows = uncertainty_table.joined(tables)
    artifacts.write_table(root / uncertainty_table.TABLE, rows)
    with artifacts.atomic(root / UNCERTAINTY_PAGE) as part:
        part.write_text(_uncertainty_page(root, rows), encoding="utf-8")
    return rows


def _uncertainty_page(root: Path, rows: pd.DataFrame) -> str:
    """The first ``MAX_ROWS`` rows, which are the least certain ones."""
    shown = rows.head(MAX_ROWS).assign(p=rows.filter(like="p_").max(axis=1))
    shown["target"] = shown["target"].str.replace("_", " ")
    columns = {"study_id": "study", "target": "target", "grade": "likeliest", "p": "p", "entropy": "entropy"}
    columns |= {"epistemic": "disagreed", "flags": "look again"}
    return pages.render(
        "uncertainty",
        run=root.name,
        grades=len(rows),
        flagged=int((rows["flags"] != "").sum()),
        columns=columns.values(),
        rows=shown[list(columns)].astype(object).to_numpy().tolist(),
        not_clinical=NOT_CLINICAL,
    )


def _index_page(root: Path) -> str:
    given = {name: value for _, manifest in finished_steps(root) for name, value in manifest["parameters"].items()}
    options = {"profile": given.get("profile", ""), "run": root.name, "data-dir": given.get("data_dir", "")}
    return pages.render(
        "index",
        run=root.name,
        about=about(root),
        columns=COLUMNS,
        tables=score_tables_of(root),
        no_scores=no_scores(root),
        facts=facts(root),
        uncertainty_page=UNCERTAINTY_PAGE if (root / UNCERTAINTY_PAGE).is_file() else "",
        times=times(root),
        guides=[name for name in GUIDES if (root / "book" / f"{name}.html").is_file()],
        notebooks=report_pages.cards(root),
        not_run=report_pages.not_run(root),
        options=" ".join(f"--{name} {shlex.quote(value)}" for name, value in options.items() if value),
    )
