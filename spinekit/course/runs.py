"""Where a step of a run writes, what it read, and when it is done.

A run is a folder ``outputs/<run>/``; each notebook is a step with a folder of its own in it,
``outputs/<run>/<step>/`` or, for the steps that are fitted fold by fold, ``outputs/<run>/fold<k>/<step>/``. A step is
finished when its ``manifest.json`` lies there. The manifest names everything that decides the step's result, so that
the runner can tell whether running it again would change anything (``is_done``). ``metrics.json`` holds numbers only,
no times and no dates: on the CPU the same step twice gives the same bytes.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from spinekit.artifacts import package_digest, read_json, rounded, sha256, write_json
from spinekit.course import provenance
from spinekit.errors import SpinekitError

PROFILE_NAMES = ("smoke", "demo", "cpu", "full")  # of ``course.profiles``, which takes seconds to import
MANIFEST = "manifest.json"
METRICS = "metrics.json"
N_FOLDS = 5
_PACKAGE = Path(__file__).parents[1]


class RootNotFound(SpinekitError):
    """No folder above the current one is the project."""


class MissingStep(SpinekitError):
    """A step asks for the result of another one that has not finished."""


class BadParameter(SpinekitError):
    """A parameter has a value that no step accepts."""


def project_root() -> Path:
    """The project's folder: ``SPINEKIT_ROOT``, or the nearest one upwards that holds the project's pyproject.toml.

    Raises: `RootNotFound` when there is none.
    """
    if named := os.environ.get("SPINEKIT_ROOT"):
        return Path(named).resolve()
    here = Path.cwd()
    for folder in (here, *here.parents, _PACKAGE.parent):
        file = folder / "pyproject.toml"
        if file.is_file() and re.search(r'^name\s*=\s*"spinekit"', file.read_text("utf-8"), re.MULTILINE):
            return folder
    if "KAGGLE_KERNEL_RUN_TYPE" in os.environ:
        return Path("/kaggle/working")
    raise RootNotFound(f"{here} is not inside the spinekit project: go there, or set SPINEKIT_ROOT to its folder")


def outputs_root() -> Path:
    """Folder of all runs and phantom cohorts: ``SPINEKIT_OUTPUTS``, or ``outputs/`` of the project.

    Raises: `RootNotFound` when neither is there.
    """
    named = os.environ.get("SPINEKIT_OUTPUTS")
    return Path(named).resolve() if named else project_root() / "outputs"


def default_data_dir(profile: str) -> Path:
    """Where the phantom cohort of a profile lies; notebook 00 writes it."""
    return outputs_root() / f"cohort-{profile}"


@dataclass
class Run:
    """One step of one run: where it writes, and a record of what it read."""

    step: str
    profile: str
    name: str
    fold: int | None
    seed: int
    folder: Path
    parameters: dict[str, Any]
    reads: dict[str, str] = field(default_factory=dict)  # finished steps it asked for -> their identity
    started: float = field(default_factory=time.time)

    @property
    def root(self) -> Path:
        """``outputs/<run>/``."""
        return outputs_root() / self.name

    @property
    def data_dir(self) -> Path:
        """The competition-style folder that this run reads.

        Raises: `BadParameter` when the given one is no folder, `MissingStep` when the phantom is not written yet.
        """
        given = self.parameters["data_dir"]
        folder = Path(given) if given else default_data_dir(self.profile)
        if given and not folder.is_dir():
            raise BadParameter(
                f"data_dir {folder} is not a folder: give the one that holds train_images/ or test_images/"
            )
        if not folder.is_dir():
            raise MissingStep(f"{folder} does not exist: write the phantom with `spinekit run 00 -P {self.profile}`")
        return folder

    def path(self, name: str) -> Path:
        """A file of this step."""
        return self.folder / name

    def of(self, step: str, fold: int | None = None, run: str = "") -> Path:
        """Folder of a finished step: of this run and fold, or of others.

        A step that is not fitted by fold (00, 01, 02, 06, 10) is found whatever ``fold`` says.

        Raises: `MissingStep` when it has not finished.
        """
        root = outputs_root() / (run or self.name)
        fold = self.fold if fold is None else fold
        for folder in (step_folder(root, step, fold), step_folder(root, step, None)):
            if (folder / MANIFEST).is_file():
                self.reads[_name_of(folder)] = identity(folder)
                return folder
        raise MissingStep(self._missing(step, root, fold))

    def _missing(self, step: str, root: Path, fold: int | None) -> str:
        """Which step is missing, and the command that makes it."""
        declared = _declared(step)
        folder = step_folder(root, step, fold if "fold" in declared else None)
        given = _parameters_of(root) | (self.parameters if root == self.root else {})
        options = {"profile": given.get("profile", self.profile), "run": root.name, "data-dir": given.get("data_dir")}
        if "weights" in declared:
            options["weights"] = given.get("weights")
        if declared & {"fold", "folds"}:
            options["fold"] = fold
        words = [f"--{name} {shlex.quote(str(value))}" for name, value in options.items() if value not in (None, "")]
        others = "" if root.is_dir() else f" (there is no run {root.name}; runs: {', '.join(_run_names()) or 'none'})"
        return f"{folder} holds no finished step{others}: make it with `spinekit run {' '.join([step, *words])}`"

    def finish(self, metrics: Mapping[str, Any]) -> None:
        """Write ``metrics.json`` and ``manifest.json``: the step is done."""
        write_json(self.path(METRICS), rounded(metrics))
        write_json(
            self.path(MANIFEST),
            {
                **sources_of(self.step, self.parameters),
                "reads": self.reads,
                "files": {p.name: p.stat().st_size for p in sorted(self.folder.iterdir()) if _is_result(p)},
                "commit": provenance.commit(),
                "device": provenance.device(),
                "started": datetime.fromtimestamp(self.started, UTC).isoformat(timespec="seconds"),
                "seconds": round(time.time() - self.started, 1),
            },
        )


def begin(step: str, *, profile: str, **others: Any) -> Run:
    """Start a step (``03_unet_localization``): make its folder, forget its old result, fix the seeds of torch.

    Takes every parameter of the notebook by its name; the manifest holds them all. ``data_dir``, ``run_name`` and
    ``seed`` may be left out.

    Raises: `BadParameter` when a value is one that no step accepts.
    """
    parameters = checked_parameters({"run_name": "", "data_dir": "", "seed": 0, **others, "profile": profile})
    name, fold, seed = parameters["run_name"], parameters.get("fold"), parameters["seed"]
    folder = step_folder(outputs_root() / name, step, fold)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)  # a step that stops half-way is not finished
    _seed_torch(seed)
    return Run(step, profile, name, fold, seed, folder, parameters)


def checked_parameters(given: Mapping[str, Any]) -> dict[str, Any]:
    """A notebook's parameters with the run's name and the data folder resolved.

    Raises: `BadParameter` when a value is one that no step accepts.
    """
    parameters = dict(given)
    check_profile(parameters["profile"])
    name = parameters["run_name"] = parameters["run_name"] or parameters["profile"]
    if not re.fullmatch(r"[\w-][\w.-]*", name):
        raise BadParameter(f"run name {name!r} cannot be a folder: use letters, digits, '-', '_' and '.'")
    fold = parameters.get("fold", 0)
    if fold not in range(N_FOLDS):
        raise BadParameter(f"fold {fold!r} does not exist: folds are 0 to {N_FOLDS - 1}")
    if data_dir := parameters["data_dir"]:
        parameters["data_dir"] = str(Path(data_dir).expanduser().resolve())
    return parameters


def check_profile(name: str) -> None:
    """Refuse what is not the name of a profile.

    Raises: `BadParameter` when it is none.
    """
    if name not in PROFILE_NAMES:
        raise BadParameter(f"profile {name!r} is unknown: use one of {', '.join(PROFILE_NAMES)}")


def step_folder(root: Path, step: str, fold: int | None) -> Path:
    """``root/<step>``, or ``root/fold<k>/<step>`` for a step that is fitted fold by fold."""
    return root / step if fold is None else root / f"fold{fold}" / step


def sources_of(step: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Everything but other steps that decides a step's result, as it is now: parameters, code, data, versions."""
    data_dir = Path(parameters["data_dir"] or default_data_dir(parameters["profile"]))
    tables = sorted([*data_dir.glob("*.csv"), *data_dir.glob("truth/phantom.json")])
    return {
        "step": step,
        "parameters": dict(parameters),
        "code": package_digest(),
        "notebook": _notebook_digest(step),
        "tables": {str(t.relative_to(data_dir)): sha256(t.read_bytes()) for t in tables},
        "versions": provenance.versions(),
    }


def is_done(folder: Path, sources: Mapping[str, Any]) -> bool:
    """Whether a step's folder holds the result that these sources, and the steps it read, would give again."""
    if not (folder / MANIFEST).is_file():
        return False
    manifest = read_json(folder / MANIFEST)
    if any(manifest.get(key) != value for key, value in json.loads(json.dumps(sources)).items()):
        return False
    if any(identity(outputs_root() / step) != digest for step, digest in manifest["reads"].items()):
        return False
    return all((folder / f).is_file() and (folder / f).stat().st_size == n for f, n in manifest["files"].items())


def identity(folder: Path) -> str:
    """Digest of a finished step: its sources, what it read and its metrics; empty if it has not finished."""
    if not (folder / MANIFEST).is_file():
        return ""
    manifest = read_json(folder / MANIFEST)
    decisive = {key: manifest.get(key) for key in ("step", "parameters", "code", "notebook", "tables", "reads")}
    return sha256(json.dumps(decisive, sort_keys=True).encode() + (folder / METRICS).read_bytes())


def _parameters_of(root: Path) -> dict[str, Any]:
    """What the finished steps of a run were given, all together; empty where none has finished."""
    given: dict[str, Any] = {}
    for file in sorted([*root.glob(f"*/{MANIFEST}"), *root.glob(f"fold*/*/{MANIFEST}")]):
        given |= {name: value for name, value in read_json(file)["parameters"].items() if value != ""}
    return given


def _run_names() -> list[str]:
    return sorted({file.parent.parent.name for file in outputs_root().glob(f"*/*/{MANIFEST}")})


def _name_of(folder: Path) -> str:
    return folder.relative_to(outputs_root()).as_posix()


def _is_result(path: Path) -> bool:
    return path.is_file() and path.suffix in {".csv", ".json", ".safetensors"} and path.name != MANIFEST


def _notebook_digest(step: str) -> str:
    """Digest of the code in the step's notebook; empty where the notebook is not at hand, as on Kaggle."""
    code = ["".join(cell["source"]) for cell in _code_cells(step)]
    return sha256("\0".join(code).encode()) if code else ""


def _code_cells(step: str) -> list[dict[str, Any]]:
    """The code cells of the step's notebook; none where it is not at hand."""
    file = project_root() / "notebooks" / f"{step}.ipynb"
    if not file.is_file():
        return []
    return [cell for cell in read_json(file)["cells"] if cell["cell_type"] == "code"]


def _declared(step: str) -> set[str]:
    """Names in the ``parameters`` cell of the step's notebook; where that is not at hand, ``fold`` is taken for one."""
    cells = [cell for cell in _code_cells(step) if "parameters" in cell["metadata"].get("tags", ())]
    return set(re.findall(r"^(\w+)\s*:", "".join(cells[0]["source"]), re.MULTILINE)) if cells else {"fold"}


def _seed_torch(seed: int) -> None:
    """Same seed, same numbers, for what torch draws by itself (initial weights, dropout)."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is only deterministic with it
    # Imported here even for the few steps that never use it (1.6 s, 150 MB): one that imports it later, or a cell that
    # somebody adds, would draw other numbers at each run.
    import torch

    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True, warn_only=True)
