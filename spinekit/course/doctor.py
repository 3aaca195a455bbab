"""Whether this machine can do what is asked of it: the page of `spinekit doctor`. Nothing is written or changed.

A line is ok, a warning (it works, but not as well as it could) or a problem (it will stop at an error), and says what
to do. What a run needs is what `spinekit plan` says.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from rich.console import Group
from rich.table import Table
from rich.text import Text

from spinekit.course import timing
from spinekit.course.folders import default_data_dir, outputs_root
from spinekit.course.runs import check_profile
from spinekit.course.steps import PROFILE_NAMES
from spinekit.errors import SpinekitError
from spinekit.io import cohort
from spinekit.io.stacks import Finding

GB = 1e9
OK, WARNING, PROBLEM = "ok", "warning", "problem"
_STYLES = {OK: "green", WARNING: "yellow", PROBLEM: "bold red"}
# What the competition and scanners compress slices with, by its name in pydicom.uid.
_COMPRESSIONS = ("RLELossless", "JPEGLosslessSV1", "JPEGLSLossless", "JPEG2000Lossless", "JPEG2000", "JPEGBaseline8Bit")
# A row for each of PROFILE_NAMES (smoke, demo, cpu, full): what `spinekit plan` says of 00 and 03 to 06, which takes it
# half a minute for all of them; its test holds both together.
_QUANTITIES = ("disk", "memory", "gpu")
_NEEDS_GB = ((0.9, 3.4, 1.9), (2.2, 3.4, 2.0), (3.8, 3.4, 2.0), (55.0, 6.1, 5.4))
_CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


@dataclass(frozen=True)
class Line:
    """One thing that was looked at: ``ok``, a ``warning`` or a ``problem``; what it is like, and what to do."""

    what: str
    state: str
    is_like: str
    to_do: str = ""


@dataclass(frozen=True)
class Page:
    """All lines, in order."""

    profile: str
    lines: tuple[Line, ...]

    def count(self, state: str) -> int:
        """How many lines are in a state."""
        return sum(line.state == state for line in self.lines)

    def to_json(self) -> dict[str, Any]:
        """Everything, as plain values."""
        counts = {"problems": self.count(PROBLEM), "warnings": self.count(WARNING)}
        return {"profile": self.profile, **counts, "lines": [asdict(line) for line in self.lines]}

    def __rich__(self) -> Group:
        table = Table("", "what", "is", "to do", box=None, padding=(0, 2, 0, 0))
        for line in self.lines:
            table.add_row(Text(line.state, _STYLES[line.state]), *map(Text, (line.what, line.is_like, line.to_do)))
        counts = f"problems {self.count(PROBLEM)}, warnings {self.count(WARNING)}, for profile {self.profile}"
        return Group(table, Text(), Text(counts))


Check = Callable[[], Iterable[Line]]


def examine(profile: str = "demo", data_dir: str = "", others: Iterable[tuple[str, Check]] = ()) -> Page:
    """Look at the environment, the processor, memory and disk for a profile, and the data; ``others`` are further
    checks, by what they look at.

    Raises: `BadParameter` where there is no such profile.
    """
    check_profile(profile)
    checks: list[tuple[str, Check]] = [
        ("Python", python),
        ("packages", packages),
        ("torch", torch_and_threads),
        ("decoders", decoders),
        ("GPU", lambda: gpu(profile, needs_gb("gpu")[profile])),
        ("memory", lambda: [memory(profile, needs_gb("memory"))]),
        ("disk", lambda: [disk(profile, needs_gb("disk"))]),
        *others,
        ("data", lambda: data(profile, data_dir)),
    ]
    return Page(profile, tuple(line for what, check in checks for line in _lines(what, check)))


def _lines(what: str, check: Check) -> list[Line]:
    """The lines of a check; an error that a user can act on is one of them."""
    try:
        return list(check())
    except SpinekitError as error:
        return [Line(what, PROBLEM, str(error), f"see {error.code} among the errors of the book")]


def needs_gb(quantity: str) -> dict[str, float]:
    """GB of ``disk``, ``memory`` or ``gpu`` that a run of five folds takes on the phantom of each profile."""
    return {name: row[_QUANTITIES.index(quantity)] for name, row in zip(PROFILE_NAMES, _NEEDS_GB, strict=True)}


def python() -> Iterator[Line]:
    """Whether the package accepts this Python."""
    here, wanted = platform.python_version(), str(importlib.metadata.metadata("spinekit")["Requires-Python"])
    fits = SpecifierSet(wanted).contains(here, prereleases=True)
    yield Line("Python", OK if fits else PROBLEM, here, "" if fits else f"Install Python {wanted}, and spinekit there")


def packages() -> Iterator[Line]:
    """Each package that the installation needs and that is missing or older than its floor, or how many are not."""
    needed = [Requirement(text) for text in importlib.metadata.requires("spinekit") or ()]
    needed = [one for one in needed if one.marker is None or one.marker.evaluate({"extra": ""})]
    unfit = 0
    for one in needed:
        try:
            version = importlib.metadata.version(one.name)
        except importlib.metadata.PackageNotFoundError:
            version = ""
        if not version or not one.specifier.contains(version, prereleases=True):
            unfit += 1
            is_like = f"{version}, not {one.specifier}" if version else "not installed"
            yield Line(one.name, PROBLEM, is_like, f"pip install '{one.name}{one.specifier}'")
    if not unfit:
        yield Line("packages", OK, f"{len(needed)} are there, none older than its floor")


def torch_and_threads() -> Iterator[Line]:
    """Whether torch and torchvision fit together, and how many threads compute."""
    import torch

    from spinekit._compat import import_torchvision
    from spinekit.learning.recipe import autocast_dtype

    try:
        pair = f"torch {torch.__version__}, torchvision {import_torchvision().__version__}"
        yield Line("torch", OK, pair)
    except (ImportError, RuntimeError, OSError) as error:
        reason = " ".join(str(error).split())
        yield Line(
            "torch", PROBLEM, reason, "Install torch and torchvision of one release: constraints/cpu.txt has some"
        )
    cores, threads = usable_cores(), torch.get_num_threads()
    half = autocast_dtype(torch.device("cpu")) is not None
    speed = "with bf16" if half else "without bf16: training takes two to three times as long"
    is_like = f"{threads} threads on {cores} cores, {torch.backends.cpu.get_cpu_capability()}, {speed}"
    crowded = threads > cores
    yield Line("processor", WARNING if crowded else OK, is_like, f"Set OMP_NUM_THREADS={cores}" if crowded else "")


def usable_cores() -> int:
    """Cores that this process may use, where the system says so; else all."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def decoders() -> Iterator[Line]:
    """Whether slices of each usual compression can be decoded."""
    from pydicom import uid
    from pydicom.pixels import get_decoder

    lacking = [name for name in _COMPRESSIONS if not get_decoder(getattr(uid, name)).is_available]
    if lacking:
        to_do = "pip install pylibjpeg-rle pylibjpeg-openjpeg python-gdcm"
        yield Line("decoders", PROBLEM, f"none reads {', '.join(lacking)}", to_do)
    else:
        yield Line("decoders", OK, f"{len(_COMPRESSIONS)} compressions of DICOM can be read")


def gpu(profile: str, need_gb: float) -> Iterator[Line]:
    """The device that models run on, and whether its memory is enough for a profile.

    Raises: `NoDevice` where one is asked for that is not there.
    """
    import torch

    from spinekit.learning import devices

    used = devices.device()
    if used.type == "cuda":
        free, total = (n / GB for n in torch.cuda.mem_get_info(used))
        is_like = (
            f"{torch.cuda.get_device_name(used)}, {free:.1f} of {total:.1f} GB free; {profile} takes {need_gb:.1f}"
        )
        small = free < need_gb
        yield Line("GPU", WARNING if small else OK, is_like, "End what else uses it, or lower batch_size" * small)
        return
    is_like = "Apple's, by mps" if used.type == "mps" else "none: models run on the CPU"
    to_do = ""
    if used.type == "cpu" and devices.chosen() == devices.AUTO and shutil.which("nvidia-smi"):
        is_like = f"an NVIDIA driver is here, but torch {torch.__version__} sees no GPU"
        to_do = "Install the CUDA build of torch: without -c constraints/cpu.txt"
    elif profile in timing.ON_GPU:
        to_do = f"Profile {profile} is made for a GPU from NVIDIA: take a smaller one here"
    yield Line("GPU", WARNING if to_do else OK, is_like, to_do)


def memory(profile: str, needs: dict[str, float]) -> Line:
    """Whether memory is enough for a profile."""
    import psutil

    here = psutil.virtual_memory()
    total_gb = min(here.total, memory_limit()) / GB
    free_gb = min(here.available / GB, total_gb)
    is_like = f"{free_gb:.1f} of {total_gb:.1f} GB free; a run takes {_by_profile(needs)}"
    if needs[profile] > total_gb:
        return Line("memory", PROBLEM, is_like, "Take a smaller profile, or a machine with more memory")
    if needs[profile] > free_gb:
        return Line("memory", WARNING, is_like, "Close other programs")
    return Line("memory", OK, is_like)


def memory_limit(files: Iterable[str] = _CGROUP_LIMITS) -> float:
    """Bytes that a container grants; infinite where there is no limit."""
    texts = (Path(file).read_text().strip() for file in files if Path(file).is_file())
    return min((float(text) for text in texts if text.isdecimal()), default=float("inf"))


def disk(profile: str, needs: dict[str, float]) -> Line:
    """Whether the disk of the outputs may be written to and has room for a run of a profile.

    Raises: `RootNotFound` as `outputs_root` does.
    """
    root = outputs_root()
    place = next(folder for folder in (root, *root.parents) if folder.exists())
    free_gb = shutil.disk_usage(place).free / GB
    is_like = f"{free_gb:.1f} GB free for {root}; a run takes {_by_profile(needs)}"
    if not (place.is_dir() and os.access(place, os.W_OK)):
        return Line("disk", PROBLEM, f"{place} may not be written to", "Set SPINEKIT_OUTPUTS to a folder of yours")
    if needs[profile] > free_gb:
        to_do = "Free some, set SPINEKIT_OUTPUTS to a larger disk, or take a smaller profile"
        return Line("disk", PROBLEM, is_like, to_do)
    return Line("disk", OK, is_like)


def _by_profile(needs: dict[str, float]) -> str:
    """``0.1 GB in smoke, 2.0 in demo``."""
    return ", ".join(f"{need:.1f} GB in {name}" for name, need in needs.items())


def data(profile: str, data_dir: str) -> Iterator[Line]:
    """The tables and studies of a folder, or of the phantom of a profile, and whether the first study can be read.

    Raises: `MissingTable`, `MissingColumn`, `BadValue` and `DuplicateRows` as `cohort.load` does.
    """
    folder = Path(data_dir).expanduser() if data_dir else default_data_dir(profile)
    if not data_dir and not folder.is_dir():
        yield Line(
            "data", OK, f"{folder} is not there yet", f"Notebook 00 draws it: spinekit run 00 --profile {profile}"
        )
        return
    cohort_here = cohort.load(folder)
    listed, with_images = cohort_here.studies(with_images=False), cohort_here.studies()
    graded = int(cohort_here.grades.notna().any(axis=1).sum())
    tables = ", ".join(sorted(file.name for file in folder.glob("*.csv")))
    is_like = f"{folder}: {len(with_images)} of {len(listed)} studies with images, {graded} graded; {tables}"
    if not with_images:
        yield Line("data", PROBLEM, is_like, "Copy train_images/ or test_images/ beside the tables")
        return
    to_do = "" if len(with_images) == len(listed) else "Copy the images of the others, unless they are to be left out"
    yield Line("data", WARNING if to_do else OK, is_like, to_do)
    yield _sample(cohort_here, with_images[0], folder)


def _sample(cohort_here: cohort.Cohort, study_id: int, folder: Path) -> Line:
    study = cohort_here.read(study_id)
    errors: list[Finding] = [finding for finding in study.findings if finding.severity == "error"]
    slices = sum(len(stack.frame) for stack in study.stacks)
    is_like = f"study {study_id}: {slices} slices in {len(study.stacks)} stacks"
    if not errors:
        return Line("a study", OK, f"{is_like}, all read")
    state = WARNING if study.stacks else PROBLEM
    return Line("a study", state, f"{is_like}; {errors[0].message}", f"spinekit check {folder}")
