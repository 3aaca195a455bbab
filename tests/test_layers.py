"""The borders between the wings of the package: imports go one way, and the truth of a phantom stays behind a wall."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import spinekit

PACKAGE = Path(spinekit.__file__).parent
GROUND = {"anatomy", "errors", "geometry", "artifacts", "parallel", "_compat"}
LEARNS = ["io", "learning", "spatial", "scoring", "localization", "grading"]
COURSE = [*LEARNS, "label_audit", "phantom"]
# One border for each wing: what it may import from beside the ground. What is not named here, it may not.
MAY_IMPORT = {
    "io": [],
    "learning": [],
    "scoring": [],
    "spatial": ["io"],
    "label_audit": ["io"],
    "localization": ["io", "learning", "spatial"],
    "grading": ["io", "learning", "spatial", "scoring", "localization"],
    "phantom": ["scoring"],
    "course": COURSE,
    "exams": [*LEARNS, "course", "figures"],
    "evaluation": [*COURSE, "course"],
    "experiments": [*COURSE, "course", "evaluation"],
    "figures": [*COURSE, "course", "evaluation", "experiments"],
    "kaggle": ["course"],
    "__main__": [*COURSE, "course", "evaluation", "experiments", "exams", "kaggle"],
}
# Beside what its wing may import: these commands draw what an evaluation found, or train for it.
ALSO_MAY_IMPORT = {"evaluation/commands.py": {"figures", "experiments"}}
TRUTH = "phantom.truth"
# The phantom's truth is for evaluation alone; one experiment compares two networks by it.
MAY_READ_TRUTH = ("phantom/", "evaluation/", "experiments/unet3d.py")
FILES = sorted(PACKAGE.rglob("*.py"))
NAMES = {file: file.relative_to(PACKAGE).as_posix() for file in FILES}


def wing_of(file: Path) -> str:
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


@pytest.mark.parametrize("file", FILES, ids=NAMES.get)
def test_imports_keep_to_the_borders(file):
    wing = wing_of(file)
    allowed = GROUND | {wing} if wing in GROUND else GROUND | {wing, *MAY_IMPORT.get(wing, ())}
    allowed |= ALSO_MAY_IMPORT.get(NAMES[file], set())
    if wing == "__init__":  # the package itself imports nothing; what it offers is imported when it is called
        return
    for name in imported(ast.parse(file.read_text())):
        assert name == "__version__" or name.split(".")[0] in allowed, f"{NAMES[file]} may not import {name}"


def test_the_package_itself_imports_nothing_before_it_is_called():
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    for node in tree.body:
        if isinstance(node, ast.If):
            assert isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        elif not isinstance(node, ast.FunctionDef):
            assert not imported(node)
    offered = {name for node in tree.body if isinstance(node, ast.FunctionDef) for name in imported(node)}
    assert {name.split(".")[0] for name in offered} <= {"course", "exams"}
    heavy = "{'torch', 'numpy', 'pandas', 'spinekit'}"
    code = f"import sys, spinekit; print(sorted(name for name in sys.modules if name.split('.')[0] in {heavy}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['spinekit']"


def test_every_wing_has_its_border_and_its_map():
    wings = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()}
    assert wings | {"__main__"} == set(MAY_IMPORT)
    assert {path.stem for path in PACKAGE.glob("*.py")} - {"__init__", "__main__"} == GROUND
    for wing in wings:
        text = ast.get_docstring(ast.parse((PACKAGE / wing / "__init__.py").read_text()))
        for file in (PACKAGE / wing).glob("*.py"):
            assert file.stem == "__init__" or re.search(rf"^(\w+, )*{file.stem}\b", text, re.M), f"{wing}: {file.stem}"


def leans_on(name: str) -> set[str]:
    """The files that a module imports, directly or through others, within the package."""
    from spinekit.artifacts import files_behind

    return {file.relative_to(PACKAGE).as_posix() for file in files_behind(f"spinekit.{name}")}


def test_there_is_no_circle():
    modules = {NAMES[file].removesuffix(".py").removesuffix("/__init__").replace("/", "."): file for file in FILES}
    arrows = {}
    for module, file in modules.items():
        names = imported(ast.parse(file.read_text()))
        arrows[module] = {name if name in modules else name.rpartition(".")[0] for name in names} & modules.keys()
    while free := [module for module, others in arrows.items() if not others & arrows.keys()]:
        for module in free:
            del arrows[module]
    assert not arrows, f"these lean on each other: {sorted(arrows)}"


@pytest.mark.parametrize("file", FILES, ids=NAMES.get)
def test_truth_is_read_by_evaluation_alone(file):
    for name in imported(ast.parse(file.read_text())):
        if name == TRUTH or name.startswith(f"{TRUTH}."):
            assert NAMES[file].startswith(MAY_READ_TRUTH)


def test_true_chances_are_given_to_one_experiment_alone():
    """It trains on them, to see what pictures can tell, and keeps no model."""
    reads = [NAMES[file] for file in FILES for name in imported(ast.parse(file.read_text())) if "chances_of" in name]
    assert reads == ["experiments/image_floor_scores.py"]


@pytest.mark.parametrize("wing", LEARNS)
def test_nothing_that_is_fitted_reaches_the_truth_or_an_evaluation(wing):
    for file in (PACKAGE / wing).glob("*.py"):
        reached = leans_on(f"{wing}.{file.stem}" if file.stem != "__init__" else wing)
        assert not [name for name in reached if name.startswith(("evaluation/", "phantom/"))]


@pytest.mark.parametrize("file", FILES, ids=NAMES.get)
def test_no_shortcuts_around_imports(file):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert all(alias.name != "*" for alias in node.names), "star import"
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            assert (node.value.id, node.attr) != ("sys", "path"), "sys.path"
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and wing_of(file) not in RUNS_NOTEBOOKS:
            assert not node.value.endswith(".ipynb"), "a module that reads a notebook"


RUNS_NOTEBOOKS = {"course", "kaggle", "__main__"}  # they run or pack notebooks; none takes code from one
