"""What a run gives: the closing table, and an HTML index of its executed notebooks."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from spinekit import runs
from spinekit.errors import SpinekitError
from spinekit.metric import PARTS, MetricError, score_tables

NOT_CLINICAL = "Not for clinical use."
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
    grades, predictions = _read_csv(labels), _read_csv(submission)
    try:
        return score_tables(grades, predictions, allow_missing).as_dict()
    except MetricError as error:
        raise MetricError(f"{labels} and {submission}: {error}") from None


def _read_csv(file: Path) -> pd.DataFrame:
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
        yield folder, runs.read_json(folder / runs.MANIFEST)


def metrics_of(root: Path, step: str) -> list[dict[str, Any]]:
    """Metrics of the finished folders of a step (its number), one for each fold."""
    return [runs.read_json(folder / runs.METRICS) for folder, _ in finished_steps(root) if folder.name[:2] == step]
