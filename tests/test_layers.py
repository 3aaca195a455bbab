"""Imports go one way: a module leans only on modules of earlier rows."""

import ast
from pathlib import Path

import pytest

import spinekit

PACKAGE = Path(spinekit.__file__).parent
# One row for each layer. A module may import from the rows above its own; sub-packages are one module here.
ROWS = [
    {"errors", "anatomy", "torchvision_cpu", "workers"},
    {"artifacts"},
    {"geometry", "searching"},
    {"metric", "prior", "bootstrap", "runs"},
    {"slices"},
    {"stacks"},
    {"dicom"},
    {"cohort"},
    {"labels", "phantom", "robust", "label_places", "leakage", "calibration"},
    {"label_hypotheses"},
    {"label_quality"},
    {"check", "start", "matching", "canonical", "shape", "registration"},
    {"models", "training", "belief", "peaks", "appearance"},
    {"heatmaps", "crops"},
    {"spread"},
    {"landmarks", "crop_cache"},
    {"localization", "graders"},
    {"grading_data", "unet3d", "pretraining"},
    {"grading", "generation"},
    {"label_work", "saliency", "uncertainty"},
    {"experiments"},
    {"ablation", "synthetic", "tuning"},
    {"evaluation"},
    {"transfer", "blending", "opinions", "neighbours"},
    {"inference"},
    {"evaluation_truth"},
    {"evaluation_set"},
    {"ablation_scores", "tuning_scores", "synthetic_errors", "transfer_scores"},
    {"readouts", "landmark_errors", "match_errors", "quality_errors", "registration_errors", "stack_errors", "kinds"},
    {"saliency_errors", "uncertainty_errors"},
    {"where", "unet3d_errors", "guards", "grade_errors"},
    {"figures"},
    {"report", "runner"},
    {"out_of_fold"},
    {"__main__"},
]
ROW_OF = {name: row for row, names in enumerate(ROWS) for name in names}
# The phantom's truth is for evaluation alone: nothing that learns or predicts may see it.
MAY_READ_TRUTH = {
    "phantom",
    "evaluation_truth",
    "landmark_errors",
    "match_errors",
    "quality_errors",
    "registration_errors",
    "saliency_errors",
    "unet3d_errors",
    "where",
}
# Who asks for the truth of grades, and hands it to the others.
MAY_ASK_FOR_TRUTH = {"evaluation_set", "grade_errors", "guards"}
# What learns, fits or predicts, and out_of_fold, which fits on tables that may be of any cohort.
FITS = {name for row in ROWS[: ROW_OF["evaluation_truth"]] for name in row} | {"out_of_fold"}
FILES = sorted(PACKAGE.rglob("*.py"))


def module_of(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(tree: ast.AST) -> list[str]:
    """Dotted names below spinekit, lazy imports in functions included."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return [name.removeprefix("spinekit.") for name in names if name.startswith("spinekit.")]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(PACKAGE).as_posix())
def test_imports_go_one_way(file):
    module = module_of(file)
    if module == "__init__":
        assert not imported(ast.parse(file.read_text()))
        return
    assert module in ROW_OF, f"{module} has no row in the table of layers"
    for name in imported(ast.parse(file.read_text())):
        other = name.split(".")[0]
        assert other in ROW_OF or other == "__version__", f"{module} imports {name}, which has no row"
        assert other == module or ROW_OF.get(other, -1) < ROW_OF[module], f"{module} may not import {other}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(PACKAGE).as_posix())
def test_truth_is_read_by_evaluation_alone(file):
    for name in imported(ast.parse(file.read_text())):
        if name.startswith("phantom.truth"):
            assert module_of(file) in MAY_READ_TRUTH


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(PACKAGE).as_posix())
def test_the_truth_of_grades_is_asked_for_by_evaluation_alone(file):
    for name in imported(ast.parse(file.read_text())):
        if name.split(".")[0] == "evaluation_truth":
            assert module_of(file) in MAY_ASK_FOR_TRUTH


def leans_on() -> dict[str, set[str]]:
    """The modules that each module imports."""
    found: dict[str, set[str]] = {}
    for file in FILES:
        names = {name.split(".")[0] for name in imported(ast.parse(file.read_text()))}
        found.setdefault(module_of(file), set()).update(names - {module_of(file)})
    return found


def test_nothing_that_fits_reaches_the_truth_through_others():
    direct = leans_on()
    for module in FITS:
        reached, open_ends = set(), [module]
        while open_ends:
            more = direct.get(open_ends.pop(), set()) - reached
            reached |= more
            open_ends += more
        assert not (reached | {module}) & (MAY_READ_TRUTH | MAY_ASK_FOR_TRUTH) - {"phantom"}, module


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(PACKAGE).as_posix())
def test_no_shortcuts_around_imports(file):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert all(alias.name != "*" for alias in node.names), "star import"
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            assert (node.value.id, node.attr) != ("sys", "path"), "sys.path"
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and module_of(file) not in READS_NOTEBOOKS:
            assert not node.value.endswith(".ipynb"), "a module that reads a notebook"


READS_NOTEBOOKS = {"runs", "runner", "report", "__main__"}  # they run notebooks; none takes code from one


def test_table_names_existing_modules_once():
    listed = [name for names in ROWS for name in names]
    assert len(listed) == len(set(listed))
    assert set(listed) <= {module_of(file) for file in FILES}
