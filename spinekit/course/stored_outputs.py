"""What git keeps of executed notebooks: printed lines that the tests compare, and figures for those who run nothing.

A cell tagged ``keep_output`` and ``nbval-check-output`` keeps what it prints. One tagged ``keep_output`` alone keeps
its figures: PNG alone, small, with a text in place of the picture for those who cannot see it. They come from a larger
run on phantoms; those of patients are refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from spinekit import artifacts
from spinekit.course import pictures
from spinekit.course.report import finished_steps
from spinekit.errors import SpinekitError

KEPT, COMPARED = "keep_output", "nbval-check-output"
PHANTOM = "truth/phantom.json"  # a table that a cohort of phantoms has, and no other


class NotPhantoms(SpinekitError):
    """The figures of a step may show patients. Name a run on phantoms: no other figures go into git."""


class NoFigures(SpinekitError):
    """A run has no executed notebook to take figures from. Run the notebooks, then store their figures."""


def keeps_figures(cell: Mapping[str, Any]) -> bool:
    """Whether a cell of a notebook keeps its figures in git."""
    tags = cell["metadata"].get("tags", [])
    return cell["cell_type"] == "code" and KEPT in tags and COMPARED not in tags


def store_compared(notebook: Path, executed: Path) -> int:
    """Copy the outputs that are compared into the source notebook and strip all others but figures; count them."""
    import nbformat

    source = nbformat.read(notebook, as_version=4)
    ran = {cell.id: cell for cell in nbformat.read(executed, as_version=4).cells}
    kept = 0
    for cell in source.cells:
        if cell.cell_type != "code" or keeps_figures(cell):
            continue
        keep = COMPARED in cell.metadata.get("tags", [])
        cell.outputs = ran[cell.id].outputs if keep else []
        # nbval compares only cells that have a count; a fixed one keeps the file the same after every refresh
        cell.execution_count = 1 if keep else None
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = 1
        kept += keep
    with artifacts.atomic(notebook) as part:
        nbformat.write(source, part)
    return kept


def executed_phantoms(root: Path) -> dict[str, Path]:
    """The executed notebook of each finished step of a run, of its first fold.

    Raises: `NoFigures` when the run has none, `NotPhantoms` when a step read anything but a cohort of phantoms.
    """
    files: dict[str, Path] = {}
    for folder, manifest in finished_steps(root):
        file = folder / f"{folder.name}.ipynb"
        if not file.is_file() or folder.name in files:
            continue
        if PHANTOM not in manifest["tables"]:
            read = manifest["parameters"].get("data_dir") or "its cohort"
            raise NotPhantoms(f"{folder} read {read}, which holds no {PHANTOM}: only figures of phantoms go into git")
        files[folder.name] = file
    if not files:
        raise NoFigures(f"{root} holds no executed notebook: make one with `spinekit run --profile demo`")
    return files


def store_figures(notebook: Path, executed: Path) -> dict[str, int]:
    """Copy figures from the executed notebook into its source: the number of each cell that keeps them, by its id.

    A cell that drew none has 0, and keeps nothing.

    Raises: `NoFigures` when the executed notebook lacks such a cell, because the source has changed since.
    """
    import nbformat

    source = nbformat.read(notebook, as_version=4)
    outputs = {cell.id: cell.get("outputs", []) for cell in nbformat.read(executed, as_version=4).cells}
    counts = {}
    for cell in filter(keeps_figures, source.cells):
        if cell.id not in outputs:
            raise NoFigures(f"{executed} has no cell {cell.id}, {notebook.name} has: run it again")
        drawn = [output.data["image/png"] for output in outputs[cell.id] if "image/png" in output.get("data", {})]
        alt = cell.metadata.get("alt", "A figure")
        cell.outputs = [
            nbformat.v4.new_output("display_data", {"image/png": pictures.smaller(picture), "text/plain": alt})
            for picture in drawn
        ]
        cell.execution_count = 1 if drawn else None  # nbval takes outputs without a count for a cell that never ran
        counts[cell.id] = len(drawn)
    with artifacts.atomic(notebook) as part:
        nbformat.write(source, part)
    return counts


def store_all(notebooks: Iterable[Path], root: Path) -> list[str]:
    """Store the figures of a run in these notebooks; a line for each that keeps any.

    Raises: `NoFigures` or `NotPhantoms`, as the functions above.
    """
    executed, lines = executed_phantoms(root), []
    for notebook in notebooks:
        cells = artifacts.read_json(notebook)["cells"]
        if not any(map(keeps_figures, cells)):
            continue
        if notebook.stem not in executed:
            lines.append(f"{notebook.name}: {root.name} has not executed it; its figures stay as they are")
            continue
        counts = store_figures(notebook, executed[notebook.stem])
        empty = [name for name, count in counts.items() if not count]
        lines.append(f"{notebook.name}: {sum(counts.values())} figures" + "".join(f"; {c} drew none" for c in empty))
    return lines
