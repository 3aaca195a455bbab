"""What a run gives: the closing table, and an HTML index of its executed notebooks."""

from __future__ import annotations

import html
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from spinekit import artifacts
from spinekit.course import runs
from spinekit.course.steps import Step
from spinekit.errors import SpinekitError
from spinekit.scoring.metric import PARTS, MetricError, score_tables

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
UNCERTAINTY_PAGE, MAX_ROWS = "uncertainty.html", 500
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; margin: 1rem 0 2rem; }
th, td { padding: .3rem .9rem; border-bottom: 1px solid #ccc; text-align: left; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
.failed { color: #a00; }
"""


class BadTable(SpinekitError):
    """A file that is not a table of grades or of predictions."""


def score_files(labels: Path, submission: Path, allow_missing: bool = False) -> dict[str, float]:
    """The metric, part by part, of two CSV files in the competition's formats."""
    grades, predictions = read_csv(labels), read_csv(submission)
    try:
        return score_tables(grades, predictions, allow_missing).as_dict()
    except MetricError as error:
        raise MetricError(f"{labels} and {submission}: {error}") from None


def read_csv(file: Path) -> pd.DataFrame:
    """A table that someone else wrote; raises ``BadTable``."""
    try:
        return pd.read_csv(file)
    except FileNotFoundError:
        raise BadTable(f"{file} does not exist: check the path") from None
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise BadTable(f"{file} cannot be read as a CSV table ({error}): export it again as plain CSV") from None


def finished_steps(root: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Folder and manifest of every finished step of a run, in the order of the notebooks."""
    folders = [file.parent for file in (*root.glob(f"*/{runs.MANIFEST}"), *root.glob(f"fold*/*/{runs.MANIFEST}"))]
    for folder in sorted(folders, key=lambda folder: (folder.name, folder.parent.name)):
        yield folder, artifacts.read_json(folder / runs.MANIFEST)


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
        return "No scores: none of its studies has grades that the models had not learned from."
    return "No scores: notebook 06 has not finished."


def facts(root: Path) -> list[tuple[str, str]]:
    """Single numbers worth a line: what they are, and their value in each fold."""
    lines = []
    for name, step, key, unit in _FACTS:
        known = [_number(metrics[key]) for metrics in metrics_of(root, step) if metrics.get(key) is not None]
        if known:
            lines.append((name, ", ".join(known) + unit))
    return lines


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def about(root: Path) -> str:
    """One line that says what the numbers of a run were measured on."""
    given = {manifest["parameters"].get("data_dir", "") for _, manifest in finished_steps(root)}
    data = "phantoms, not on patients" if given <= {""} else f"the studies in {', '.join(sorted(given - {''}))}"
    return f"Lower scores are better; skill 0 is the prior, 1 the floor. Measured on {data}. {NOT_CLINICAL}"


def show(root: Path, index: Path) -> None:
    """Print the closing table of a run and where its pages are."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
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
        console.print(f"{name}: {value}", markup=False, soft_wrap=True)
    console.print(about(root), markup=False, soft_wrap=True)
    if (page := root / UNCERTAINTY_PAGE).is_file():
        console.print(f"Every grade, the least sure first: {page}", markup=False, soft_wrap=True)
    console.print(f"Executed notebooks: {index}", markup=False, soft_wrap=True)


def write_index(root: Path) -> Path:
    """Convert the executed notebooks of a run to HTML and write ``index.html``; pages that are current stay."""
    links = []
    for notebook in sorted(root.rglob("*.ipynb"), key=lambda file: (file.stem, file.parent.parent.name)):
        page = notebook.with_suffix(".html")
        if not page.is_file() or page.stat().st_mtime < notebook.stat().st_mtime:
            with artifacts.atomic(page) as part:
                part.write_text(_as_html(notebook), encoding="utf-8")
        links.append(_link(root, page))
    write_uncertainty(root)
    index = root / "index.html"
    with artifacts.atomic(index) as part:
        part.write_text(_page(root, links), encoding="utf-8")
    return index


def write_uncertainty(root: Path) -> pd.DataFrame | None:
    """Join what the folds' transformers are unsure of: ``uncertainty.csv``, and a page of the least sure targets.

    None where no fold has finished notebook 05.
    """
    from spinekit.grading import uncertainty  # imports torch: not for a table of scores

    files = [folder / uncertainty.TABLE for folder, _ in finished_steps(root) if folder.name == Step.SEQUENCE]
    tables = [pd.read_csv(file) for file in files if file.is_file()]
    if not tables:
        return None
    rows = uncertainty.joined(tables)
    artifacts.write_table(root / uncertainty.TABLE, rows)
    with artifacts.atomic(root / UNCERTAINTY_PAGE) as part:
        part.write_text(_least_sure_page(root, rows), encoding="utf-8")
    return rows


def _least_sure_page(root: Path, rows: pd.DataFrame) -> str:
    shown = rows.head(MAX_ROWS).assign(p=rows.filter(like="p_").max(axis=1))
    shown["target"] = shown["target"].str.replace("_", " ")
    columns = {name: name for name in ("study_id", "target", "grade", "p", "entropy", "epistemic", "flags")}
    columns |= {"study_id": "study", "grade": "likeliest", "epistemic": "disagreed", "flags": "look again"}
    table = shown[list(columns)].rename(columns=columns).to_html(index=False, border=0, float_format="%.2f")
    flagged = int((rows["flags"] != "").sum())
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>spinekit: {html.escape(root.name)}, least sure</title>
<style>{_STYLE}</style></head><body>
<h1>Run {html.escape(root.name)}: the least sure grades first</h1>
<p>The {min(len(rows), MAX_ROWS)} least sure of {len(rows)} grades (<a href="uncertainty.csv">all of them</a>);
{flagged} have a reason to look again. Probabilities are those of the transformers, before blending and calibration and
without the metric's weights. Entropy in nats: 0 is sure, 1.10 knows nothing; <i>disagreed</i> is the part of it that
mirrored and shifted views, and folds, do not agree on. {NOT_CLINICAL}</p>
{table}
</body></html>
"""


def _as_html(notebook: Path) -> str:
    """A page that holds its figures itself; only formulas and sliders ask the network for their scripts."""
    from nbconvert import HTMLExporter  # takes a second to import

    text, _ = HTMLExporter(template_name="lab").from_filename(str(notebook))
    return str(text)


def _link(root: Path, page: Path) -> str:
    """A row of the index: link, fold, time."""
    folder = page.parent
    fold = folder.parent.name.removeprefix("fold") if folder.parent != root else ""
    manifest = folder / runs.MANIFEST
    state = f"{artifacts.read_json(manifest)['seconds']:.0f} s" if manifest.is_file() else "failed"
    link = f'<a href="{html.escape(page.relative_to(root).as_posix())}">{html.escape(page.stem)}</a>'
    return f'<tr><td>{link}</td><td class="number">{fold}</td><td class="number {state[:6]}">{state}</td></tr>'


def _page(root: Path, links: list[str]) -> str:
    scores = "".join(_score_table(name, rows) for name, rows in score_tables_of(root).items())
    lines = "".join(f"<p>{html.escape(name)}: {html.escape(value)}</p>" for name, value in facts(root))
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>spinekit: {html.escape(root.name)}</title>
<style>{_STYLE}</style></head><body>
<h1>Run {html.escape(root.name)}</h1>
<p>{html.escape(about(root))}</p>
{scores or f"<p>{no_scores(root)}</p>"}
{lines}
{_least_sure_link(root)}
<h2>Notebooks</h2>
<table><tr><th>executed notebook</th><th class="number">fold</th><th class="number">time</th></tr>
{"".join(links)}</table>
</body></html>
"""


def _least_sure_link(root: Path) -> str:
    there = (root / UNCERTAINTY_PAGE).is_file()
    return f'<p><a href="{UNCERTAINTY_PAGE}">Every grade, the least sure first</a></p>' if there else ""


def _score_table(name: str, rows: list[list[str]]) -> str:
    head = "".join(f'<th class="number">{column}</th>' for column in COLUMNS)
    cells = [f"<td>{row[0]}</td>" + "".join(f'<td class="number">{value}</td>' for value in row[1:]) for row in rows]
    body = "".join(f"<tr>{row}</tr>" for row in cells)
    return f"<h2>{html.escape(name)}</h2><table><tr><th>weighted log loss</th>{head}</tr>{body}</table>"
