"""The resampled slices of a cohort on disk: each study is decoded once, for all folds, runs and notebooks.

A file for each study, named after the study and a digest of all that decides what is in it: the study's files (name,
size, time), its rows of the tables, the grids and the code. So a file never changes, two runs may write it at the same
time, a run that was stopped goes on where it was, and what is out of date is written anew under another name. The
folder may be removed at any time.

In memory are only frames, points and findings. Slices are read where a stack's ``images`` are indexed, and worker
processes are sent the name of the file. Kept are the slices of the studies that are trained on, and of others as long
as there is room (``MAX_BYTES``); those of the rest are decoded again, a study at a time.

safetensors, and not zarr or one large array: a dependency already, it reads parts of an array, and refuses a file that
was cut short.
"""

from __future__ import annotations

import json
import logging
import math
import os
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from spinekit.artifacts import atomic, fingerprint, sha256
from spinekit.errors import SpinekitError
from spinekit.geometry import StackFrame
from spinekit.io.cohort import Cohort
from spinekit.io.stacks import Finding
from spinekit.localization import resampling
from spinekit.localization.resampling import CanonicalStack, CanonicalStudy, Grid, read_canonical
from spinekit.parallel import cores, mapper, tracked

log = logging.getLogger(__name__)

MIN_STUDIES_PER_WORKER = 30  # of a process: to read fewer takes less time than to start it
# Slices of studies that nothing is trained on are kept up to this many bytes in all. A cohort as large as the
# competition's has 7 MB a study: its training studies need that much, and a Kaggle machine has 20 GB of disk.
MAX_BYTES = 12_000_000_000
WITH_SLICES, WITHOUT_SLICES = ".safetensors", ".outline.safetensors"


class StoreError(SpinekitError):
    """Stored slices that are gone or damaged, or a study whose files changed while it was in use. Run again: they are
    written anew; free space if the disk is full."""


@dataclass(frozen=True)
class StoredSlices:
    """The slices (n, rows, columns) uint8 of a stack in a file; what is indexed is read, and nothing is held."""

    file: Path
    name: str
    shape: tuple[int, int, int]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> NDArray[np.uint8]:
        """Indexed as an array is.

        Raises: `StoreError` where the file is gone or damaged.
        """
        chosen = np.arange(len(self))[index if not isinstance(index, tuple) else index[0]]
        first, last = (int(chosen.min()), int(chosen.max())) if chosen.size else (0, 0)
        try:
            read = _opened(self.file).get_slice(self.name)[first : last + 1]
        except (OSError, SafetensorError) as error:
            raise StoreError(f"{self.file} cannot be read ({error}): run again, it is then written anew") from error
        return read[(chosen - first, *index[1:])] if isinstance(index, tuple) else read[chosen - first]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[np.uint8]:
        return np.asarray(self[:], dtype=dtype)


@lru_cache(maxsize=512)  # opening takes longer than reading three slices; a file never changes
def _opened(file: Path) -> Any:
    return safe_open(file, "np")


@dataclass(frozen=True, eq=False)  # compared by identity: the stacks of a study share one
class _Source:
    """A study's files, from which its slices are decoded when they are asked for."""

    cohort: Cohort  # of this study alone
    study_id: int
    grids: Mapping[str, Grid]


@dataclass(frozen=True, eq=False)
class DecodedSlices:
    """The slices of a stack that are not stored: indexing decodes its study, and the last study decoded is held."""

    source: _Source
    number: int
    shape: tuple[int, int, int]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> NDArray[np.uint8]:
        """Indexed as an array is.

        Raises: `StoreError` where the study's files are not those that were there before.
        """
        stacks = _decoded(self.source).stacks
        if len(stacks) <= self.number or stacks[self.number].images.shape != self.shape:
            raise StoreError(f"study {self.source.study_id}: its files have changed since they were read: run again")
        return stacks[self.number].images[index]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[np.uint8]:
        return np.asarray(self[:], dtype=dtype)


@lru_cache(maxsize=1)
def _decoded(source: _Source) -> CanonicalStudy:
    return read_canonical(source.cohort, source.study_id, source.grids)


def read_all(
    cohort: Cohort,
    study_ids: Sequence[int],
    grids: Mapping[str, Grid],
    folder: Path,
    first: Collection[int] = (),
    progress: bool = True,
) -> dict[int, CanonicalStudy]:
    """The studies with their points, from the store in ``folder`` or else from their files, by worker processes where
    there are many. The slices of those that are trained on (``first``) are stored, and of others if there is room.

    A study that cannot be read has no stacks, and a finding that says why; it is tried again the next time.

    Raises: `StoreError` where the folder cannot be made; `CannotWrite` where a file cannot be written.
    """
    place = folder / folder_name(cohort, grids)
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{place} cannot be made ({error.strerror}): name a folder that can be written to") from error
    jobs = [_job(cohort, study, grids, place) for study in study_ids]
    kept = kept_within(MAX_BYTES, {job.source.study_id: job.estimate for job in jobs}, first)
    studies = {job.source.study_id: _load(job) for job in jobs}
    needed = {i for i, study in studies.items() if study is None or (i in kept and not _is_stored(study))}
    missing = [replace(job, keep=job.source.study_id in kept) for job in jobs if job.source.study_id in needed]
    with mapper(cores(jobs=len(missing) // MIN_STUDIES_PER_WORKER)) as run:
        read = tracked(run(_store, missing), total=len(missing), desc="slices", unit="study", show=progress)
        studies |= {study.study_id: study for study in read}
    return {study: studies[study] for study in study_ids}  # type: ignore[misc]


def kept_within(limit: int, size_of: Mapping[int, int], first: Collection[int]) -> set[int]:
    """The studies whose slices are stored: all of ``first``, then others in order until the bytes reach the limit."""
    kept = set(first) & set(size_of)
    total = sum(size_of[study] for study in kept)
    for study, size in size_of.items():
        if study not in kept and total + size <= limit:
            kept.add(study)
            total += size
    return kept


@dataclass(frozen=True)
class _Job:
    source: _Source
    place: Path
    key: str
    estimate: int  # bytes of the slices
    keep: bool = False

    def file(self, ending: str) -> Path:
        return self.place / f"{self.source.study_id}-{self.key}{ending}"


def folder_name(cohort: Cohort, grids: Mapping[str, Grid]) -> str:
    """Name of the folder of a cohort's slices on these grids; phantoms of different sizes share the ids of studies."""
    inputs = [str(cohort.folder.resolve()), {kind: asdict(grid) for kind, grid in grids.items()}]
    return f"{cohort.folder.resolve().name}-{sha256(json.dumps(inputs, sort_keys=True).encode())[:8]}"


def _job(cohort: Cohort, study_id: int, grids: Mapping[str, Grid], place: Path) -> _Job:
    alone = cohort.only(study_id)
    files = _files_of(alone.study_folder(study_id))
    tables = [repr(table.to_numpy().tolist()) for table in (alone.series, alone.points)]
    key = fingerprint([resampling, sys.modules[__name__]], files, tables, repr(sorted(grids.items())))
    kinds = alone.kinds_of(study_id).items()
    pixels = {series: math.prod(grids[kind].shape_rc) for series, kind in kinds if kind in grids}
    estimate = sum(pixels.get(Path(name).parent.name, 0) for name, *_ in files)
    return _Job(_Source(alone, study_id, grids), place, key[:16], estimate)


def _files_of(folder: Path) -> list[tuple[str, int, int]]:
    """Name, size and time of each file below a folder."""
    files = []
    for parent, _, names in os.walk(folder):
        for name in names:
            status = os.stat(os.path.join(parent, name))
            files.append((os.path.relpath(os.path.join(parent, name), folder), status.st_size, status.st_mtime_ns))
    return sorted(files)


def _store(job: _Job) -> CanonicalStudy:
    """Decode a study, keep what is to be kept, and give back what needs no memory."""
    study = read_canonical(job.source.cohort, job.source.study_id, job.source.grids, with_points=True)
    if not study.stacks:  # perhaps unreadable just now: not remembered
        return study
    file = job.file(WITH_SLICES if job.keep else WITHOUT_SLICES)
    arrays, about = _packed(study, job.keep)
    try:
        with atomic(file) as part:
            save_file(arrays, part, about)
    except (OSError, SafetensorError) as error:
        raise StoreError(f"{file} cannot be written ({error}): free space there, or name another folder") from error
    for old in set(job.place.glob(f"{job.source.study_id}-*")) - {file}:
        old.unlink(missing_ok=True)
    return _unpacked(file, job)


def _packed(study: CanonicalStudy, slices: bool) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """A study as arrays and text."""
    arrays: dict[str, NDArray[Any]] = {
        "centre": study.centre_xyz_mm,
        "points": study.points_xyz_mm,
        "targets": study.targets.astype(np.int64),
    }
    for i, stack in enumerate(study.stacks):
        arrays |= {f"{i}/{name}": getattr(stack.frame, name) for name in _FRAME}
        if slices:
            arrays[f"{i}/images"] = np.asarray(stack.images)
    about = {
        "stacks": [[stack.series_id, stack.kind, *stack.frame.shape_rc] for stack in study.stacks],
        "findings": [finding.to_dict() for finding in study.findings],
    }
    return {name: np.ascontiguousarray(array) for name, array in arrays.items()}, {"study": json.dumps(about)}


_FRAME = ("origins_xyz_mm", "direction_cosines", "spacing_rc_mm")


def _load(job: _Job) -> CanonicalStudy | None:
    """The stored study, with its slices if they are there; None where neither is stored, or the file is damaged."""
    for ending in (WITH_SLICES, WITHOUT_SLICES):
        file = job.file(ending)
        try:
            if file.is_file():
                return _unpacked(file, job)
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            log.warning("%s is damaged (%s) and is written anew", file, error)
    return None


def _unpacked(file: Path, job: _Job) -> CanonicalStudy:
    with safe_open(file, "np") as stored:
        about = json.loads(stored.metadata()["study"])
        arrays = {name: stored.get_tensor(name) for name in stored.keys() if not name.endswith("/images")}  # noqa: SIM118
    stacks = []
    for i, (series_id, kind, *shape_rc) in enumerate(about["stacks"]):
        origins, directions, spacing = (arrays[f"{i}/{name}"] for name in _FRAME)
        frame = StackFrame(origins, directions, spacing, (shape_rc[0], shape_rc[1]))
        images = StoredSlices(file, f"{i}/images", (len(frame), *frame.shape_rc))
        stacks.append(CanonicalStack(series_id, kind, frame, images))
    if file.name.endswith(WITHOUT_SLICES):
        stacks = [_later(job, i, stack) for i, stack in enumerate(stacks)]
    findings = tuple(Finding(**finding) for finding in about["findings"])
    targets = arrays["targets"].astype(np.intp)
    return CanonicalStudy(job.source.study_id, tuple(stacks), arrays["centre"], arrays["points"], targets, findings)


def _later(job: _Job, number: int, stack: CanonicalStack) -> CanonicalStack:
    """The stack with slices that are decoded when they are asked for."""
    shape = (len(stack.frame), *stack.frame.shape_rc)
    return replace(stack, images=DecodedSlices(job.source, number, shape))


def _is_stored(study: CanonicalStudy) -> bool:
    return all(isinstance(stack.images, StoredSlices) for stack in study.stacks)
