"""Runs the notebooks through papermill: one or all of them, fold by fold, skipping what is done.

Papermill alone can run one too; added here are order, refusal of unknown parameters, reuse and the time that is left.
"""

from __future__ import annotations

import ast
import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from spinekit import artifacts
from spinekit.course import execution, finished, locks, manifests, run_log, runs, time_profile
from spinekit.course.folders import MANIFEST, make_folder, notebooks_folder, slices_folder
from spinekit.course.progress import Estimate, Log, RunLog, progress_bar
from spinekit.course.steps import Step
from spinekit.course.timing import expectation, expected_seconds
from spinekit.errors import SpinekitError
from spinekit.parallel import refuse_launched

UNKNOWN_SECONDS = 30.0  # of a notebook that is no step of the course
_TYPES: dict[str, type] = {"str": str, "int": int, "float": float}


class UnknownNotebook(SpinekitError):
    """No notebook, or more than one, has this name. Use one of the names in the message."""


class UnknownParameter(SpinekitError):
    """None of the notebooks that are to run has a parameter of this name. Use one in the message."""


class NotebookFailed(SpinekitError):
    """A notebook stopped at an error; it is kept up to there. Mend what it names and run it again."""


@dataclass(frozen=True)
class Notebook:
    """A notebook and the parameters it declares, with their defaults."""

    file: Path
    defaults: Mapping[str, Any]
    types: Mapping[str, str]

    @property
    def step(self) -> str:
        """Name without the ending, e.g. ``03_unet_localization``."""
        return self.file.stem

    @property
    def folded(self) -> bool:
        """Whether it is run once for each held-out fold."""
        return "fold" in self.defaults


@dataclass(frozen=True)
class Job:
    """One notebook with the values that differ from its defaults."""

    notebook: Notebook
    changes: Mapping[str, Any]

    @property
    def parameters(self) -> dict[str, Any]:
        """All parameters as ``runs.begin`` records them."""
        return runs.checked_parameters({**self.notebook.defaults, **self.changes})

    @property
    def folder(self) -> Path:
        """Where the step writes, and where the executed notebook goes."""
        return runs.step_folder(self.root, self.notebook.step, self.parameters.get("fold"))

    @property
    def root(self) -> Path:
        """Folder of the run."""
        return runs.outputs_root() / self.parameters["run_name"]

    @property
    def executed(self) -> Path:
        """The executed notebook."""
        return self.folder / f"{self.notebook.step}.ipynb"

    @property
    def name(self) -> str:
        """For people: the step, with its fold if it has one."""
        fold = self.parameters.get("fold")
        return self.notebook.step if fold is None else f"{self.notebook.step} (fold {fold})"

    @property
    def expected_seconds(self) -> float:
        """First guess of the time it takes."""
        if self.notebook.step not in set(Step):
            return UNKNOWN_SECONDS
        return expected_seconds(self.parameters["profile"])[Step(self.notebook.step)]

    @property
    def takes(self) -> str:
        """The same in words; empty for what is no step of the course."""
        return expectation(self.notebook.step, self.parameters["profile"])

    def is_done(self) -> bool:
        """Whether running it would give what is there already."""
        return not self.why_undone()

    def why_undone(self) -> str:
        """Why it has to be run, in words; empty where it would give what is there already."""
        reason = manifests.why_undone(self.folder, manifests.sources_of(self.notebook.step, self.parameters))
        return reason or ("" if self.executed.is_file() else f"{self.executed} is missing")


@dataclass(frozen=True)
class Options:
    """What a user may ask of a run; empty values keep the notebooks' defaults."""

    profile: str = ""
    data_dir: str = ""
    run_name: str = ""
    weights: str = ""
    folds: Sequence[int] = ()
    extra: Mapping[str, str] = field(default_factory=dict)  # further parameters, as text

    def named(self) -> dict[str, Any]:
        """The parameters that apply to every notebook which knows them."""
        data_dir = str(Path(self.data_dir).expanduser().resolve()) if self.data_dir else ""
        values = {"profile": self.profile, "data_dir": data_dir, "run_name": self.run_name, "weights": self.weights}
        values["folds"] = ",".join(map(str, self.folds))
        return {name: value for name, value in values.items() if value}


def find_notebooks(names: Iterable[str] = ()) -> list[Notebook]:
    """Notebooks by number (``03``), name or path, in their order; all numbered ones if none is named.

    Raises: `UnknownNotebook` when a name fits none, or more than one.
    """
    files = sorted(notebooks_folder().glob("*.ipynb"))
    if not files:
        raise UnknownNotebook(f"{notebooks_folder()} holds no notebooks: go to the project, or set SPINEKIT_ROOT")
    if not (names := list(names)):
        return [read_notebook(file) for file in files if file.name[:1].isdigit()]
    chosen = set()
    for name in names:
        stem = Path(name).name.removesuffix(".ipynb")
        hits = [file for file in files if file.stem == stem] or [f for f in files if f.stem.startswith(f"{stem}_")]
        if len(hits) != 1:
            stems = ", ".join(file.stem for file in files)
            raise UnknownNotebook(
                f"{name!r} names {len(hits) or 'no'} notebooks in {notebooks_folder()}: use one of {stems}"
            )
        chosen.add(hits[0])
    return [read_notebook(file) for file in sorted(chosen)]


def read_notebook(file: Path) -> Notebook:
    """Read the parameters that a notebook declares in its ``parameters`` cell."""
    import papermill

    declared = papermill.inspect_notebook(str(file))
    defaults = {name: ast.literal_eval(about["default"]) for name, about in declared.items()}
    return Notebook(file, defaults, {name: about["inferred_type_name"] for name, about in declared.items()})


def plan(notebooks: Sequence[Notebook], options: Options) -> list[Job]:
    """The jobs in order: neighbouring notebooks that are run by fold are run together, fold after fold.

    Raises: `UnknownParameter` when no notebook has a parameter of that name, `BadParameter` when a value is refused.
    """
    _refuse_unknown(notebooks, options)
    jobs = []
    for folded, group in itertools.groupby(notebooks, key=lambda notebook: notebook.folded):
        members = list(group)
        for fold in (options.folds or (0,)) if folded else (None,):
            jobs += [_job(notebook, options, fold) for notebook in members]
    return jobs


def _refuse_unknown(notebooks: Sequence[Notebook], options: Options) -> None:
    declared = sorted({name for notebook in notebooks for name in notebook.defaults})
    named = [*options.extra, *(["weights"] if options.weights else []), *(["fold"] if options.folds else [])]
    for name in named:
        if name not in declared and not (name == "fold" and "folds" in declared):
            steps = ", ".join(notebook.step for notebook in notebooks)
            raise UnknownParameter(f"{steps}: no parameter {name!r}; there are {', '.join(declared)}")


def _job(notebook: Notebook, options: Options, fold: int | None) -> Job:
    defaults, values = notebook.defaults, options.named() | ({} if fold is None else {"fold": fold})
    values |= {name: _parsed(notebook, name, text) for name, text in options.extra.items() if name in defaults}
    job = Job(notebook, {n: v for n, v in values.items() if n in defaults and v != defaults[n]})
    _ = job.parameters  # refuses bad values before anything runs
    return job


def _parsed(notebook: Notebook, name: str, text: str) -> Any:
    """A value given as text, as the type that the notebook declares."""
    kind = notebook.types[name]
    try:
        if kind == "bool":
            return {"true": True, "false": False}[text.lower()]
        return _TYPES.get(kind, str)(text)
    except (KeyError, ValueError):
        raise runs.BadParameter(f"{notebook.step}: {name}={text!r} is not a value of type {kind}") from None


def run_job(job: Job, on_cell: Callable[[float], None] = lambda share: None) -> float:
    """Execute one notebook into its step's folder and return the seconds it took.

    ``on_cell`` is called with the share of code cells that have run.

    Raises: `NotebookFailed` when it stops at an error, or its result is not the one that was asked for.
    """
    from papermill.exceptions import PapermillExecutionError

    make_folder(job.folder)
    started = time.monotonic()
    try:
        execution.execute(job.notebook.file, job.executed, job.changes, on_cell)
    except PapermillExecutionError as error:
        (job.folder / MANIFEST).unlink(missing_ok=True)  # it may be later than run.finish
        raise NotebookFailed(
            f"{job.name} stopped in cell [{error.exec_count}]: {error.ename}: {error.evalue}\n"
            f"The notebook is kept up to there: {job.executed}"
        ) from None
    except RuntimeError as error:  # what nbclient raises where a kernel does not start, or dies
        raise NotebookFailed(
            f"{job.name}: its kernel did not answer or was ended ({error}). Is there memory left? Run it again"
        ) from error
    if not job.is_done():
        raise NotebookFailed(
            f"{job.name} ran, but its manifest does not fit its parameters: pass every parameter to runs.begin "
            f"and end the notebook with run.finish ({job.notebook.file})"
        )
    seconds = time.monotonic() - started
    time_profile.add_start(job.folder, seconds)
    return seconds


def refuse_unready(jobs: Iterable[Job]) -> None:
    """Data and models that are not there are an error now, not minutes later in a notebook.

    Raises: `BadParameter` when some are missing, `SeveralProcesses` under a launcher of several processes.
    """
    refuse_launched("the same notebooks")
    for given in (job.parameters for job in jobs):
        runs.check_data_dir(given.get("data_dir", ""))
        if given.get("weights") and finished.lender(given["weights"]) is None:
            names = ", ".join(finished.run_names()) or "none"
            raise runs.BadParameter(f"weights {given['weights']}: no such run and no such folder (runs: {names})")


def run_or_reuse(number: int, job: Job, force: bool, log: Log) -> float | None:
    """Run a job, or reuse what is done; the seconds it took, None for a reused one. One process at a time makes it.

    Raises: `NotebookFailed` as `run_job` does.
    """
    seconds = None
    with locks.making(job.folder, log.line):
        if (reason := job.why_undone()) or force:
            if reason and (job.folder / MANIFEST).is_file():
                log.line(f"{job.name}: finished before, and run again: {reason}")
            log.begun(number)
            seconds = run_job(job, partial(log.ran, number))
    log.ended(number, seconds)
    return seconds


def outcome_of(job: Job, seconds: float | None) -> dict[str, Any]:
    """What became of a job, as plain values."""
    named = {"step": job.notebook.step, "fold": job.parameters.get("fold"), "notebook": str(job.executed)}
    return named | {"reused": seconds is None, "seconds": seconds and round(seconds, 1)}


@contextmanager
def held(jobs: Sequence[Job]) -> Iterator[None]:
    """The folds of jobs, held for this process; what killed writers left is removed, and the run's log is kept.

    Raises: `RunHeld` where another `spinekit run` has one of these folds; as `run_log.kept_in` does.
    """
    folds = [job.folder.parent for job in jobs if job.notebook.folded]
    with locks.holding(folds), run_log.kept_in(jobs[0].root):  # all are of one run
        for folder in (slices_folder(), jobs[0].root):
            artifacts.remove_leftovers(folder)
        yield


def run_all(jobs: Sequence[Job], force: bool = False) -> list[dict[str, Any]]:
    """Run jobs in order, reuse those that are done, report on stderr; returns what became of each.

    Raises: `NotebookFailed` when one stops at an error, and as `refuse_unready` and `held` do.
    """
    refuse_unready(jobs)
    with held(jobs), progress_bar(estimate := Estimate(jobs)) as log_line:
        log = RunLog(estimate, log_line)
        return [outcome_of(job, run_or_reuse(number, job, force, log)) for number, job in enumerate(jobs)]
