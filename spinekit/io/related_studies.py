"""Studies that belong together: of one patient, or with the very same pixels under another id.

Where one of two such studies teaches and the other is scored, the score flatters: the model remembers. Folds are
therefore dealt by group (``cohort.make_folds``). Pixels are compared as decoded: other headers, another order or
numbering of the slices and another compression hide no copy. Two examinations of a patient whose headers do not name
him cannot be recognised.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from spinekit.io.cohort import Cohort
from spinekit.io.dicom_file import DicomError, SliceHeader, read_stored
from spinekit.io.stacks import Finding, SeriesReport
from spinekit.io.study import dicom_files, read_all_headers
from spinekit.parallel import cores, mapper

log = logging.getLogger(__name__)

PATIENT, PIXELS = "patient", "pixels"
COLUMNS = ("study_id", "other_id", "why", "detail")
MAX_OF_ONE_PATIENT = 10  # studies; an id that more of them share, or most of a cohort, stands for nobody
COPIED = 0.5  # of the slices of the smaller series: two series that share more are copies
MIN_STUDIES_PER_WORKER = 100  # of a process: to read fewer takes less time than to start it


@dataclass(frozen=True)
class Traces:
    """What a study can be recognised by: the ids of its patient, and a digest of the middle slice of each series (of
    both middle slices where their number is even)."""

    study_id: int
    patients: frozenset[str]
    middles: Mapping[Path, frozenset[bytes]]


def relations(data: Cohort, progress: bool = True, workers: int | None = None) -> pd.DataFrame:
    """Pairs of studies, of both halves, that belong together: study_id, other_id, why (``patient`` or ``pixels``),
    detail. Every header is read once, and the pixels of one or two slices of each series; where those are known from
    another study, all slices of both series are compared."""
    jobs = [(study, data.study_folder(study)) for study in data.studies()]
    with mapper(cores(workers, len(jobs) // MIN_STUDIES_PER_WORKER)) as run:
        bar = tqdm(run(_traces, jobs), total=len(jobs), desc="who is who", unit="study", disable=not progress)
        found = list(bar)
    pairs = [*_same_patient(found), *_same_pixels(found)]
    return pd.DataFrame(pairs, columns=list(COLUMNS)).sort_values(list(COLUMNS), ignore_index=True)


def nobody() -> pd.DataFrame:
    """``relations`` of studies that have nothing to do with each other."""
    return pd.DataFrame(columns=list(COLUMNS))


def _traces(job: tuple[int, Path]) -> Traces:
    study_id, folder = job
    series = {path: _headers(path) for path in sorted(folder.iterdir()) if path.is_dir()}
    patients = frozenset(header.patient_id for headers in series.values() for header in headers) - {""}
    middles = {path: frozenset(_digests(_middle(headers))) for path, headers in series.items()}
    return Traces(study_id, patients, middles)


def _headers(folder: Path) -> list[SliceHeader]:
    """Of every usable slice; what cannot be used is named by ``spinekit check``."""
    return read_all_headers(dicom_files(folder), SeriesReport(folder.name))


def _middle(headers: Sequence[SliceHeader]) -> list[SliceHeader]:
    """One slice, or two of an even number, in the middle along the patient's axis that the slices follow."""
    if not headers:
        return []
    across = np.abs(np.sum([np.cross(*header.direction_cosines) for header in headers], axis=0)).argmax()
    ordered = sorted(headers, key=lambda h: (h.origin_xyz_mm[across], h.origin_xyz_mm))
    return ordered[(len(ordered) - 1) // 2 : len(ordered) // 2 + 1]


def _digests(headers: Iterable[SliceHeader]) -> Iterator[bytes]:
    """Of the stored pixels of each slice; an empty slice says nothing, nor does one that cannot be decoded."""
    for header in headers:
        try:
            pixels = read_stored(header)
        except DicomError:
            continue
        if np.ptp(pixels):
            values = pixels.astype(np.int64 if pixels.dtype.kind in "iu" else np.float64)
            yield hashlib.sha256(repr(values.shape).encode() + values.tobytes()).digest()


def _same_patient(found: Iterable[Traces]) -> Iterator[tuple[int, int, str, str]]:
    found = list(found)
    for name, studies in _by((name, its.study_id) for its in found for name in its.patients).items():
        if len(studies) > min(MAX_OF_ONE_PATIENT, len(found) / 2):
            log.warning("PatientID %r is in %d studies: it is taken to stand for nobody", name, len(studies))
            continue
        yield from ((one, other, PATIENT, f"PatientID {name}") for one, other in combinations(sorted(studies), 2))


def _same_pixels(found: Iterable[Traces]) -> Iterator[tuple[int, int, str, str]]:
    study_of = {path: its.study_id for its in found for path in its.middles}
    seen = _by((digest, path) for its in found for path, digests in its.middles.items() for digest in digests)
    suspects = {pair for paths in seen.values() for pair in combinations(sorted(paths), 2)}
    suspects = {(a, b) for a, b in suspects if study_of[a] != study_of[b]}
    slices = {path: Counter(_digests(_headers(path))) for path in sorted({path for pair in suspects for path in pair})}
    for a, b in sorted(suspects):
        shared, least = (slices[a] & slices[b]).total(), min(slices[a].total(), slices[b].total())
        if shared > COPIED * least:
            (one, first), (other, second) = sorted([(study_of[a], a.name), (study_of[b], b.name)])
            yield one, other, PIXELS, f"{shared} of {least} slices of series {first} and {second}"


def _by(pairs: Iterable[tuple[Any, Any]]) -> dict[Any, set[Any]]:
    """Everything that goes with a key, where that is more than one thing."""
    found: dict[Any, set[Any]] = {}
    for key, value in pairs:
        found.setdefault(key, set()).add(value)
    return {key: values for key, values in found.items() if len(values) > 1}


def groups(related: pd.DataFrame) -> dict[int, int]:
    """The group of each study that belongs to others, named by its smallest study id; also by way of third ones."""
    group: dict[int, int] = {}
    for one, other in zip(related["study_id"], related["other_id"], strict=True):
        names = {group.get(int(one), int(one)), group.get(int(other), int(other))}
        members = {study for study, name in group.items() if name in names} | {int(one), int(other)}
        group |= dict.fromkeys(members, min(names))
    return group


def across_halves(data: Cohort, related: pd.DataFrame) -> list[Finding]:
    """Each training study that belongs to one of the test half: what is learned from it flatters the score there."""
    test, group = set(data.studies("test")), groups(related)
    there = {group[study]: study for study in sorted(test & set(group), reverse=True)}
    return [
        Finding(str(study), "", "", "error", "train_study_in_test", _advice(study, there[group[study]]))
        for study in sorted(set(group) - test)
        if group[study] in there
    ]


def _advice(study: int, other: int) -> str:
    return f"study {study} belongs to study {other} of the test half: it is left out of the folds. Remove one of them"


def in_words(data: Cohort, related: pd.DataFrame) -> str:
    """What was found, in a line or two."""
    if related.empty:
        return f"{len(data.studies())} studies, no two of one patient, no series in two of them"
    group = groups(related)
    pairs = related.drop_duplicates(["study_id", "other_id", "why"])["why"].value_counts()
    counts = f"pairs of one patient: {pairs.get(PATIENT, 0)}, with the same pixels: {pairs.get(PIXELS, 0)}"
    return (
        f"{len(data.studies())} studies, {len(group)} of them in {len(set(group.values()))} groups; {counts}\n"
        f"training studies that are in the test half too: {len(across_halves(data, related))}"
    )
