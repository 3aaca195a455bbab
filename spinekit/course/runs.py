"""Where a step of a run writes, what it read, and when it is done.

A run is a folder ``outputs/<run>/``; each notebook is a step with a folder of its own in it,
``outputs/<run>/<step>/`` or, for the steps that are fitted fold by fold, ``outputs/<run>/fold<k>/<step>/``. A step is
finished when its ``manifest.json`` lies there. The manifest names everything that decides the step's result, so that
the runner can tell whether running it again would change anything (``manifests.is_done``). ``metrics.json`` holds
numbers only, no times and no dates: on the CPU the same step twice gives the same bytes.

Each notebook works alone: a step that it needs and that is missing is taken from an attached folder, or made.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from spinekit.artifacts import remove_leftovers, rounded, write_json
from spinekit.course import finished, locks, making, manifests, mounts, provenance, time_profile
from spinekit.course.folders import (
    MANIFEST,
    METRICS,
    TIME,
    default_data_dir,
    make_folder,
    outputs_root,
    slices_folder,
    step_folder,
)
from spinekit.course.steps import PROFILE_NAMES, Step
from spinekit.course.timing import expectation
from spinekit.errors import SpinekitError

N_FOLDS = 5


class MissingStep(SpinekitError):
    """A step asks for the result of another one that has not finished. Run the command in the message."""


class BadParameter(SpinekitError):
    """A parameter has a value that no step accepts. Give one of the values that the message names."""


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
    sampler: time_profile.Sampler | None = None  # of where the time goes; none where nothing is to be finished

    @property
    def root(self) -> Path:
        """``outputs/<run>/``."""
        return outputs_root() / self.name

    @property
    def slices(self) -> Path:
        """Where resampled slices are kept for all runs."""
        return slices_folder()

    @property
    def data_dir(self) -> Path:
        """The competition-style folder that this run reads; the phantom is written if it is not there.

        Raises: `BadParameter` when the given one is no folder, `MissingStep` or `NotMade` when there is no phantom.
        """
        given = self.parameters["data_dir"]
        folder = Path(given) if given else default_data_dir(self.profile)
        check_data_dir(given)
        if not folder.is_dir():
            if not self._can_make(Step.START):
                raise MissingStep(
                    f"{folder} does not exist: write the phantom with `spinekit run 00 -P {self.profile}`"
                )
            self._make(Step.START, None)
        return folder

    def path(self, name: str) -> Path:
        """A file of this step."""
        return self.folder / name

    def expect(self, what: str, share: float = 1.0) -> None:
        """Say how long something takes, as a share of the time that the whole notebook is expected to take."""
        if text := expectation(self.step, self.profile, share):
            print(f"{what}: {text}")

    def of(self, step: str, fold: int | None = None, run: str = "") -> Path:
        """Folder of a finished step: of this run and fold, or of others; ``run`` is a run's name or any folder.

        A step that is not fitted by fold (00, 01, 02, 06, 10) is found whatever ``fold`` says. One of this run that is
        missing is taken from an attached folder where it fits, or made with this run's parameters.

        Raises: `MissingStep` when it has not finished and cannot be made, `NotMade` when its notebook stopped,
        `AmbiguousWeights` when the folder ``run`` holds several, `DamagedStep` when it cannot be made anew and one of
        its models or tables is missing or changed.
        """
        fold = self.fold if fold is None else fold
        if run and run != self.name:
            folder = finished.lent_step(run, step, fold)
        else:
            folder = finished.step_of(self.root, step, fold) or self._attached(step, fold)
            is_whole = folder is not None and not manifests.damage(folder, manifests.read(folder))
            if not is_whole and self._can_make(step):
                self._make(step, fold)
                folder = finished.step_of(self.root, step, fold)
            elif folder is not None:
                manifests.refuse_damaged(folder)
        if folder is None:
            raise MissingStep(self.missing(step, fold, run))
        self.reads[_name_of(folder)] = manifests.identity(folder)
        return folder

    def missing(self, step: str, fold: int | None, run: str = "") -> str:
        """Which step is missing, and the command that makes it."""
        fold = self.fold if fold is None else fold
        if run and not finished.is_run_name(run):
            place = f"weights {run} " + ("holds no" if finished.lender(run) else "is no folder, so there is no")
            return f"{place} finished {step} of fold {fold}: name a run, or the folder that holds trained models"
        root = outputs_root() / (run or self.name)
        folder = step_folder(root, step, fold if "fold" in manifests.declared_parameters(step) else None)
        others = ", ".join(finished.run_names()) or "none"
        others = "" if root.is_dir() else f" (there is no run {root.name}; runs: {others})"
        command = making.command_line(step, self._options(step, fold, root))
        return f"{folder} holds no finished step{others}: make it with `{command}`"

    def _options(self, step: str, fold: int | None, root: Path) -> dict[str, Any]:
        """The options of ``spinekit run`` that make a step of a run as the run's other steps were made."""
        declared = manifests.declared_parameters(step)
        given = finished.parameters_of(root) | (self.parameters if root == self.root else {})
        options = {"profile": given.get("profile", self.profile), "run": root.name, "data-dir": given.get("data_dir")}
        if "weights" in declared:
            options["weights"] = given.get("weights")
        if declared & {"fold", "folds"}:
            options["fold"] = fold
        return options | {"seed": given.get("seed", 0)}

    def _attached(self, step: str, fold: int | None) -> Path | None:
        """A step that fits, in the outputs of another notebook that are attached to this one."""
        if mounts.kaggle() is None:
            return None
        tables = {"tables": manifests.tables_of(self.parameters)}
        taken = finished.attach(self.root, step, fold, self.parameters | tables)
        if taken is not None:
            print(f"{self.step} needs {step}: taken from {taken}")
        return taken

    def _can_make(self, step: str) -> bool:
        return step != self.step and making.can_make(step)

    def _make(self, step: str, fold: int | None) -> None:
        making.make(step, self._options(step, fold, self.root), self.step)

    def finish(self, metrics: Mapping[str, Any]) -> None:
        """Write ``metrics.json``, ``time.json`` and ``manifest.json``: the step is done."""
        write_json(self.path(METRICS), rounded(metrics))
        if self.sampler:
            time_profile.write(self.folder, self.sampler.stop())
        write_json(
            self.path(MANIFEST),
            {
                **manifests.sources_of(self.step, self.parameters),
                "reads": self.reads,
                "files": manifests.results_in(self.folder),
                "digests": manifests.digests_in(self.folder),
                "commit": provenance.commit(),
                "device": provenance.device(),
                "started": datetime.fromtimestamp(self.started, UTC).isoformat(timespec="seconds"),
                "seconds": round(time.time() - self.started, 1),
            },
        )
        locks.release_step(self.folder)


def check_data_dir(given: str) -> None:
    """Check that a folder that was named as ``data_dir`` is one; empty is the phantom.

    Raises: `BadParameter` when it is no folder.
    """
    if given and not Path(given).is_dir():
        raise BadParameter(f"data_dir {given} is not a folder: give the one that holds train_images/ or test_images/")


def begin(step: str, *, profile: str, **others: Any) -> Run:
    """Start a step (``03_unet_localization``): make its folder, forget its old result, fix the seeds of torch.

    Takes every parameter of the notebook by its name; the manifest holds them all. ``data_dir``, ``run_name`` and
    ``seed`` may be left out.

    Raises: `BadParameter` when a value is one that no step accepts, `NotWritable` when the outputs are read-only,
    `RunHeld` when another process is at this step.
    """
    sampler = time_profile.Sampler()
    parameters = checked_parameters({"run_name": "", "data_dir": "", "seed": 0, **others, "profile": profile})
    name, fold, seed = parameters["run_name"], parameters.get("fold"), parameters["seed"]
    folder = step_folder(outputs_root() / name, step, fold)
    make_folder(folder)
    locks.hold_step(folder)
    remove_leftovers(folder)
    for old in (MANIFEST, TIME):  # a step that stops half-way is not finished
        (folder / old).unlink(missing_ok=True)
    finished.forget_attached(folder)
    _seed_torch(seed)
    run = Run(step, profile, name, fold, seed, folder, parameters, sampler=sampler)
    run.expect("the whole notebook")
    return run


class Reading(Run):
    """The parameters of a run without a step of its own: for notebooks with solutions, which read what others wrote.

    What they write lies in ``outputs/<run>/solutions/``, and is never a finished step.
    """

    def finish(self, metrics: Mapping[str, Any]) -> None:
        """There is nothing to finish.

        Raises: `BadParameter` always.
        """
        raise BadParameter("a notebook that only reads is no step: it has nothing to finish")


def reading(
    step: str, *, profile: str, data_dir: str = "", run_name: str = "", seed: int = 0, fold: int = 0
) -> Reading:
    """What ``begin`` gives for a notebook with the solutions to ``step``: nothing of that step is touched.

    Raises: `BadParameter` when a value is one that no step accepts.
    """
    given = {"profile": profile, "data_dir": data_dir, "run_name": run_name, "seed": seed, "fold": fold}
    parameters = checked_parameters(given)
    name = parameters["run_name"]
    folder = outputs_root() / name / "solutions" / step
    make_folder(folder)
    _seed_torch(seed)
    return Reading(f"solutions to {step}", profile, name, fold, seed, folder, parameters)


def checked_parameters(given: Mapping[str, Any]) -> dict[str, Any]:
    """A notebook's parameters with the run's name and the data folder resolved.

    Raises: `BadParameter` when a value is one that no step accepts.
    """
    parameters = dict(given)
    check_profile(parameters["profile"])
    name = parameters["run_name"] = parameters["run_name"] or parameters["profile"]
    if not finished.is_run_name(name):
        raise BadParameter(f"run name {name!r} cannot be a folder: use letters, digits, '-', '_' and '.'")
    fold = parameters.get("fold", 0)
    if fold not in range(N_FOLDS):
        raise BadParameter(f"fold {fold!r} does not exist: folds are 0 to {N_FOLDS - 1}")
    if not parameters["data_dir"] and (competition := mounts.competition()):
        parameters["data_dir"] = str(competition)
    if "weights" in parameters:
        parameters["weights"] = finished.canonical_weights(parameters["weights"])
    if data_dir := parameters["data_dir"]:
        parameters["data_dir"] = str(Path(data_dir).expanduser().resolve())
    return parameters


def check_profile(name: str) -> None:
    """Refuse what is not the name of a profile.

    Raises: `BadParameter` when it is none.
    """
    if name not in PROFILE_NAMES:
        raise BadParameter(f"profile {name!r} is unknown: use one of {', '.join(PROFILE_NAMES)}")


def _name_of(folder: Path) -> str:
    """A step's folder within the outputs; the whole path of an attached or lent one."""
    root = outputs_root()
    return folder.relative_to(root).as_posix() if folder.is_relative_to(root) else str(folder)


def _seed_torch(seed: int) -> None:
    """Same seed, same numbers, for what torch draws by itself (initial weights, dropout)."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is only deterministic with it
    # Imported here even for the few steps that never use it (1.6 s, 150 MB): one that imports it later, or a cell that
    # somebody adds, would draw other numbers at each run.
    import torch

    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True, warn_only=True)
