"""Runs the notebooks through papermill: one or all of them, fold by fold, skipping what is done.

A notebook may also be run by papermill itself, from any folder; what this module adds is the order, the refusal of
unknown parameters, the reuse of finished steps and the estimate of the time that is left.
"""

from __future__ import annotations

import ast
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from spinekit import artifacts
from spinekit.course import runs
from spinekit.errors import SpinekitError

# Seconds a notebook takes on two CPU cores (full: one GPU, one fold); a first guess, corrected by what is measured.
EXPECTED_SECONDS: dict[str, dict[str, float]] = {
    "smoke": {
        "00": 20,
        "01": 9,
        "02": 7,
        "03": 36,
        "04": 14,
        "05": 40,
        "06": 9,
        "07": 60,
        "10": 35,
        "11": 45,
        "12": 40,
        "13": 30,
        "14": 40,
    },
    "demo": {
        "00": 140,
        "01": 10,
        "02": 39,
        "03": 360,
        "04": 160,
        "05": 55,
        "06": 10,
        "07": 4500,
        "10": 60,
        "11": 360,
        "12": 1800,
        "13": 900,
        "14": 900,
    },
    "cpu": {
        "00": 400,
        "01": 10,
        "02": 60,
        "03": 700,
        "04": 500,
        "05": 300,
        "06": 60,
        "07": 4800,
        "10": 60,
        "11": 900,
        "12": 2700,
        "13": 1500,
        "14": 1500,
    },
    "full": {
        "00": 3600,
        "01": 300,
        "02": 300,
        "03": 5400,
        "04": 5400,
        "05": 5400,
        "06": 900,
        "07": 54000,
        "10": 600,
        "11": 5400,
        "12": 21600,
        "13": 21600,
        "14": 10800,
    },
}
UNKNOWN_SECONDS = 30.0  # of a notebook that the table does not name
_TYPES: dict[str, type] = {"str": str, "int": int, "float": float}


class UnknownNotebook(SpinekitError):
    """No notebook, or more than one, has this name."""


class UnknownParameter(SpinekitError):
    """None of the notebooks that are to run has a parameter of this name."""


class NotebookFailed(SpinekitError):
    """A notebook stopped at an error; it is kept up to there."""


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
        return EXPECTED_SECONDS[self.parameters["profile"]].get(self.notebook.step[:2], UNKNOWN_SECONDS)

    def is_done(self) -> bool:
        """Whether running it would give what is there already."""
        sources = runs.sources_of(self.notebook.step, self.parameters)
        return self.executed.is_file() and runs.is_done(self.folder, sources)


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


def notebooks_folder() -> Path:
    """``notebooks/`` of the project."""
    return runs.project_root() / "notebooks"


def find_notebooks(names: Iterable[str] = ()) -> list[Notebook]:
    """Notebooks by number (``03``), name or path, in their order; all numbered ones if none is named."""
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
            known = ", ".join(file.stem for file in files)
            raise UnknownNotebook(
                f"{name!r} names {len(hits) or 'no'} notebooks in {notebooks_folder()}: use one of {known}"
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
    """The jobs in order: neighbouring notebooks that are run by fold are run together, fold after fold."""
    _refuse_unknown(notebooks, options)
    jobs = []
    for folded, group in groupby(notebooks, key=lambda notebook: notebook.folded):
        members = list(group)
        for fold in (options.folds or (0,)) if folded else (None,):
            jobs += [_job(notebook, options, fold) for notebook in members]
    return jobs


def _refuse_unknown(notebooks: Sequence[Notebook], options: Options) -> None:
    known = sorted({name for notebook in notebooks for name in notebook.defaults})
    asked = [*options.extra, *(["weights"] if options.weights else []), *(["fold"] if options.folds else [])]
    for name in asked:
        if name not in known and not (name == "fold" and "folds" in known):
            steps = ", ".join(notebook.step for notebook in notebooks)
            raise UnknownParameter(f"{steps}: no parameter {name!r}; there are {', '.join(known)}")


def _job(notebook: Notebook, options: Options, fold: int | None) -> Job:
    values = options.named() | ({} if fold is None else {"fold": fold})
    values |= {name: _parsed(notebook, name, text) for name, text in options.extra.items() if name in notebook.defaults}
    defaults = notebook.defaults
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


@dataclass
class Estimate:
    """Time left: expected seconds of the jobs, at the pace of those that have been run."""

    jobs: Sequence[Job]
    done_expected: float = 0.0
    run_expected: float = 0.0  # of the jobs that were really run
    run_measured: float = 0.0
    job: Job | None = None  # being run
    share: float = 0.0  # of its cells
    started: float = 0.0  # time.monotonic()

    @property
    def pace(self) -> float:
        """Measured seconds for each expected one."""
        return self.run_measured / self.run_expected if self.run_expected else 1.0

    def start(self, job: Job) -> None:
        """Note that a job begins."""
        self.job, self.share, self.started = job, 0.0, time.monotonic()

    def completed(self) -> float:
        """Expected seconds behind us; within a job by its cells, or by the clock where that says more."""
        if self.job is None:
            return self.done_expected
        expected = self.job.expected_seconds
        by_clock = min(0.95 * expected, (time.monotonic() - self.started) / self.pace)
        return self.done_expected + max(self.share * expected, by_clock)

    @property
    def total(self) -> float:
        """Expected seconds of all jobs."""
        return sum(job.expected_seconds for job in self.jobs)

    def seconds_left(self) -> float:
        """What is left, at the pace measured so far."""
        return self.pace * (self.total - self.completed())

    def finish(self, measured_seconds: float | None) -> None:
        """Count the job that was begun; ``None`` if its result was reused."""
        assert self.job is not None
        expected, self.job = self.job.expected_seconds, None
        self.done_expected += expected
        if measured_seconds is not None:
            self.run_expected += expected
            self.run_measured += measured_seconds


def run_job(job: Job, on_cell: Callable[[float], None] = lambda share: None) -> float:
    """Execute one notebook into its step's folder and return the seconds it took; raises ``NotebookFailed``.

    ``on_cell`` hears the share of code cells that have run.
    """
    import papermill
    from papermill.exceptions import PapermillExecutionError
    from traitlets.config import Config

    job.folder.mkdir(parents=True, exist_ok=True)
    cells = sum(cell["cell_type"] == "code" for cell in artifacts.read_json(job.notebook.file)["cells"])
    ran = 0

    def count(**_: Any) -> None:
        nonlocal ran
        ran += 1
        on_cell(min(1.0, ran / cells))

    started = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="spinekit-") as sockets:
            # No open port; a folder for the sockets of each kernel, so that several runs do not meet in one.
            kernel = {"transport": "ipc", "ip": f"{sockets}/kernel"}
            papermill.execute_notebook(
                str(job.notebook.file),
                str(job.executed),
                parameters=dict(job.changes),
                kernel_name="python3",
                progress_bar=False,
                cwd=str(job.notebook.file.parent),
                on_cell_executed=count,
                extra_arguments=["--log-level=CRITICAL"],  # a kernel that is shut down may log a harmless interrupt
                config=Config({"KernelManager": kernel}),
            )
    except PapermillExecutionError as error:
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
    return time.monotonic() - started


def run_all(jobs: Sequence[Job], force: bool = False) -> list[dict[str, Any]]:
    """Run jobs in order, reuse those that are done, say so on stderr; returns what became of each."""
    estimate, outcomes = Estimate(jobs), []
    with _bar(estimate) as say:
        for number, job in enumerate(jobs, 1):
            estimate.start(job)
            seconds = (
                None if not force and job.is_done() else run_job(job, lambda share: setattr(estimate, "share", share))
            )
            estimate.finish(seconds)
            told = "done before, reused" if seconds is None else f"took {format_duration(seconds)}"
            left = f", about {format_duration(estimate.seconds_left())} left" if seconds and number < len(jobs) else ""
            say(f"[{number}/{len(jobs)}] {job.name}: {told}{left}")
            outcome = {"step": job.notebook.step, "fold": job.parameters.get("fold"), "notebook": str(job.executed)}
            outcomes.append({**outcome, "reused": seconds is None, "seconds": seconds and round(seconds, 1)})
    return outcomes


@contextmanager
def _bar(estimate: Estimate) -> Iterator[Callable[[str], None]]:
    """A progress bar on stderr that moves by itself; yields a function that prints a line above it."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn
    from rich.text import Text

    class Left(ProgressColumn):
        max_refresh = 0.5

        def render(self, task: Task) -> Text:
            task.completed = estimate.completed()
            name = estimate.job.name if estimate.job else ""
            return Text(f"about {format_duration(estimate.seconds_left())} left  {name}")

    console = Console(stderr=True, highlight=False)
    columns = (TextColumn("spinekit"), BarColumn(), TimeElapsedColumn(), Left())
    with Progress(*columns, console=console, transient=True) as progress:
        progress.add_task("", total=estimate.total)
        yield lambda line: progress.console.print(line, markup=False)


def format_duration(seconds: float) -> str:
    """A duration for people: ``40 s``, ``3 min``."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def store_outputs(job: Job) -> int:
    """Copy the outputs of cells tagged ``keep_output`` into the source notebook and strip all others; count them."""
    import nbformat

    source = nbformat.read(job.notebook.file, as_version=4)
    executed = {cell.id: cell for cell in nbformat.read(job.executed, as_version=4).cells}
    kept = 0
    for cell in source.cells:
        if cell.cell_type != "code":
            continue
        keep = "keep_output" in cell.metadata.get("tags", [])
        cell.outputs = executed[cell.id].outputs if keep else []
        # nbval compares only cells that have a count; a fixed one keeps the file the same after every refresh
        cell.execution_count = 1 if keep else None
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = 1
        kept += keep
    with artifacts.atomic(job.notebook.file) as part:
        nbformat.write(source, part)
    return kept
