"""The project's own files agree with each other."""

import ast
import json
import re
import tomllib
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
import yaml

import spinekit

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
TEXT = (ROOT / "pyproject.toml").read_text()
# Needed without an import statement: pydicom's decoders, what the notebooks run on, what _compat imports.
NOT_IMPORTED = {
    "ipykernel", "jupyterlab", "pyjpegls", "pylibjpeg", "pylibjpeg-openjpeg", "pylibjpeg-rle", "python-gdcm",
    "torchvision",
}  # fmt: skip

# Part of the interface of a dependency, which requires it itself.
COMES_WITH = {
    "huggingface-hub": "timm",
    "ipython": "ipykernel",
    "nbformat": "papermill",
    "pillow": "matplotlib",
    "psutil": "accelerate",
    "pygments": "nbconvert",
    "threadpoolctl": "scikit-learn",
    "traitlets": "nbconvert",
}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def name_of(requirement: str) -> str:
    return canonical(re.match(r"[\w.-]+", requirement)[0])


OPTIONAL = {name_of(requirement) for requirement in PROJECT["optional-dependencies"]["cluster"]}
RUNTIME = {name_of(requirement) for requirement in PROJECT["dependencies"]}
EXTRAS = [requirement for extra in PROJECT["optional-dependencies"].values() for requirement in extra]


def test_conda_installs_the_same():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    *conda, pip = environment["dependencies"]
    # The package itself brings its dependencies, so there is no second list that could differ.
    assert conda == [f"python{PROJECT['requires-python']}", "pip"]
    assert pip == {"pip": ["-e .[dev]"]}
    assert environment["name"] == PROJECT["name"]


def test_binder_takes_a_cpu_build_of_torch_and_installs_the_package_beside_it():
    environment = yaml.safe_load((ROOT / "binder" / "environment.yml").read_text())
    named = {re.match(r"[\w-]+", line)[0] for line in environment["dependencies"]}
    assert named == {"python", "pip", "pytorch-cpu", "torchvision"}
    script = ROOT / "binder" / "postBuild"
    assert script.stat().st_mode & 0o111 and "pip install --no-cache-dir -e '.[dev]'" in script.read_text()


def test_dependencies_have_floors_and_a_reason():
    for requirement in [*PROJECT["dependencies"], *EXTRAS]:
        assert re.fullmatch(r"[\w.-]+>=[\d.]+(; python_version < '3\.\d+')?", requirement), requirement
        assert re.search(rf'^\s*"{re.escape(requirement)}",\s+# \w', TEXT, re.MULTILINE), f"{requirement}: say why"


def test_what_some_pythons_lack_is_never_imported():
    """A dependency with a marker is missing on some machines: only pydicom may ask for it, and has a substitute."""
    marked = {name_of(requirement) for requirement in PROJECT["dependencies"] if ";" in requirement}
    assert marked == {"pyjpegls"} and marked <= NOT_IMPORTED


def third_party_imports() -> set[str]:
    """Top-level modules that the package and the notebooks import."""
    sources = [file.read_text() for file in (ROOT / "spinekit").rglob("*.py")]
    for file in (ROOT / "notebooks").glob("*.ipynb"):
        cells = [cell for cell in json.loads(file.read_text())["cells"] if cell["cell_type"] == "code"]
        sources += ["".join(cell["source"]) for cell in cells[1:]]  # the first has a magic, and imports spinekit alone
    names = set()
    for source in sources:
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.split(".")[0])
    return names


def test_imports_and_dependencies_agree():
    distributions = packages_distributions()
    imported = {canonical(d) for name in third_party_imports() for d in distributions.get(name, [])} - {"spinekit"}
    for name, parent in COMES_WITH.items():
        assert name in {name_of(requirement) for requirement in requires(parent) or ()}
        imported.discard(name)
    assert imported >= OPTIONAL and {name_of(line) for line in PROJECT["optional-dependencies"]["dev"]} >= OPTIONAL
    assert imported - RUNTIME - OPTIONAL == set(), "imported, but not among the dependencies"
    assert RUNTIME - imported - NOT_IMPORTED == set(), "a dependency that nothing imports"


def test_constraints_fit_the_floors():
    pinned = dict(line.split("==") for line in (ROOT / "constraints" / "cpu.txt").read_text().split())
    assert set(pinned) == {"torch", "torchvision"}
    for name, version in pinned.items():
        floor = next(r.split(">=")[1].split(";")[0] for r in PROJECT["dependencies"] if name_of(r) == name)
        assert tuple(map(int, version.split("."))) >= tuple(map(int, floor.split(".")))


def test_the_reference_has_a_line_for_each_wing_and_names_the_ground():
    reference = (ROOT / "notebooks" / "book" / "reference.md").read_text()
    package = reference.split("## Package")[1].split("\n## ")[0]
    wings = {path.parent.name for path in (ROOT / "spinekit").glob("*/__init__.py")}
    assert set(re.findall(r"^\| `(\w+)` \|", package, re.MULTILINE)) == wings
    for file in (ROOT / "spinekit").glob("*.py"):
        assert file.stem in ("__init__", "__main__") or f"`{file.stem}`" in package


def test_readme_says_what_it_is_not_for():
    assert "not for clinical use" in (ROOT / "README.md").read_text().lower()


def test_readme_is_short_and_shows_pictures_and_three_paths():
    readme = (ROOT / "README.md").read_text()
    assert len(readme.split()) <= 1000
    for image in (images := re.findall(r"!\[[^\]]{10,}\]\(([^)]+)\)", readme)):
        assert (ROOT / image).is_file()
    assert len(images) == 2
    for name in ("run", "kaggle", "scanner"):
        assert f"(notebooks/book/howto-{name}.md)" in readme
    for link in re.findall(r"\]\((?!https?:)([^)#]+)", readme):
        assert (ROOT / link).exists(), link


def test_readme_names_every_notebook():
    named = re.findall(r"^\| \[`(\w+)`\]\(notebooks/(\w+)\.ipynb\)", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert [name for name, _ in named] == [link for _, link in named]
    assert {name for name, _ in named} == {file.stem for file in (ROOT / "notebooks").glob("*.ipynb")}


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert citation["version"] == spinekit.__version__ and citation["license"] == PROJECT["license"]


def test_change_log_has_this_version():
    assert f"## {spinekit.__version__}" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("file", ["Makefile", ".ci/run"])
def test_ci_is_make_test(file):
    text = (ROOT / file).read_text()
    if file == ".ci/run":
        assert [line for line in text.splitlines() if line.startswith("make")] == ["make test"]
    else:
        recipe = text.split("\ntest:")[1].split("\n\n")[0]
        assert "lint" in recipe.splitlines()[0] and "--nbval-lax tests notebooks" in recipe
