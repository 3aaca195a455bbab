"""Studies that belong together: of one patient, or with the same pixels under another id.

Where a model is trained on one of two such studies and scored on the other, the score is too good. Folds are
therefore dealt by group (``cohort.make_folds``). Pixels are compared as decoded: other headers, another order or
numbering of the slices and another compression hide no copy. Two examinations of a patient whose headers lack a
PatientID cannot be recognised.
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

from spinekit.io.cohort import Cohort
from spinekit.io.dicom_errors import DicomError
from spinekit.io.dicom_file import SliceHeader
from spinekit.io.dicom_pixels import read_stored
from spinekit.io.stacks import Finding, SeriesReport
from spinekit.io.study import dicom_files, read_all_headers
from spinekit.parallel import cores, mapper, tracked

log = logging.getLogger(__name__)

PATIENT, PIXELS = "patient", "pixels"
COLUMNS = ("study_id", "other_id", "why", "detail")
MAX_OF_ONE_PATIENT = 10  # studies; an id that more of them share, or half of a cohort, is a placeholder
COPIED = 0.5  # of the slices of the smaller series: two series that share more are copies
MIN_STUDIES_PER_WORKER = 100  # reading fewer takes less time than starting a process


@dataclass(frozen=True)
class Fingerprint:
    """What a study can be recognised by: the ids of its patient, and a digest of the middle slice of each series (of
    both middle slices where their number is even)."""

    study_id: int
    patients: frozenset[str]
    middles: Mapping[Path, frozenset[bytes]]


def relations(data: Cohort, progress: bool = True, workers: int | None = None) -> pd.DataFrame:
    """Pairs of studies, of both halves, that belong together: study_id, other_id, why (``patient`` or ``pixels``),
    detail, without any PatientID. Every header is read once, and the pixels of one or two slices of each series; where
    another study has the same ones, all slices of both series are compared."""
    jobs = [(study, data.study_folder(study)) for study in data.studies()]
    with mapper(cores(workers, len(jobs) // MIN_STUDIES_PER_WORKER)) as run:
        bar = tracked(run(_fingerprint, jobs), total=len(jobs), desc="related studies", unit="study", show=progress)
        fingerprints = list(bar)
    pairs = [*_same_patient(fingerprints), *_same_pixels(fingerprints)]
    return pd.DataFrame(pairs, columns=list(COLUMNS)).sort_values(list(COLUMNS), ignore_index=True)


def nobody() -> pd.DataFrame:
    """``relations`` of unrelated studies: no rows."""
    return pd.DataFrame(columns=list(COLUMNS))


def _fingerprint(job: tuple[int, Path]) -> Fingerprint:
    study_id, folder = job
    series = {path: _headers(path) for path in sorted(folder.iterdir()) if path.is_dir()}
    patients = frozenset(header.patient_id for headers in series.values() for header in headers) - {""}
    middles = {path: frozenset(_digests(_middle(headers))) for path, headers in series.items()}
    return Fingerprint(study_id, patients, middles)


def _headers(folder: Path) -> list[SliceHeader]:
    """Headers of every usable slice; ``spinekit check`` names the others."""
    return read_all_headers(dicom_files(folder), SeriesReport(folder.name))


def _middle(headers: Sequence[SliceHeader]) -> list[SliceHeader]:
    """The middle slice, or both middle slices, along the patient axis nearest to the slices' normal."""
    if not headers:
        return []
    across = np.abs(np.sum([np.cross(*header.direction_cosines) for header in headers], axis=0)).argmax()
    ordered = sorted(headers, key=lambda h: (h.origin_xyz_mm[across], h.origin_xyz_mm))
    return ordered[(len(ordered) - 1) // 2 : len(ordered) // 2 + 1]


def _digests(headers: Iterable[SliceHeader]) -> Iterator[bytes]:
    """Digests of each slice's stored pixels; constant slices and those that cannot be decoded are skipped."""
    for header in headers:
        try:
            pixels = read_stored(header)
        except DicomError:
            continue
        if np.ptp(pixels):
            values = pixels.astype(np.int64 if pixels.dtype.kind in "iu" else np.float64)
            yield hashlib.sha256(repr(values.shape).encode() + values.tobytes()).digest()


def _same_patient(fingerprints: Sequence[Fingerprint]) -> Iterator[tuple[int, int, str, str]]:
    ids = _shared((name, one.study_id) for one in fingerprints for name in one.patients)
    for studies in ids.values():
        if len(studies) > min(MAX_OF_ONE_PATIENT, len(fingerprints) / 2):
            log.warning("one PatientID is in %d studies: it is taken for a placeholder", len(studies))
            continue
        yield from ((one, other, PATIENT, "one PatientID in both") for one, other in combinations(sorted(studies), 2))


def _same_pixels(fingerprints: Sequence[Fingerprint]) -> Iterator[tuple[int, int, str, str]]:
    study_of = {path: one.study_id for one in fingerprints for path in one.middles}
    middles = ((digest, path) for one in fingerprints for path, digests in one.middles.items() for digest in digests)
    candidates = {pair for paths in _shared(middles).values() for pair in combinations(sorted(paths), 2)}
    candidates = {(a, b) for a, b in candidates if study_of[a] != study_of[b]}
    slices = {
        path: Counter(_digests(_headers(path))) for path in sorted({path for pair in candidates for path in pair})
    }
    for a, b in sorted(candidates):
        shared, smaller = (slices[a] & slices[b]).total(), min(slices[a].total(), slices[b].total())
        if shared > COPIED * smaller:
            (one, first), (other, second) = sorted([(study_of[a], a.name), (study_of[b], b.name)])
            yield one, other, PIXELS, f"{shared} of {smaller} slices of series {first} and {second}"


def _shared(pairs: Iterable[tuple[Any, Any]]) -> dict[Any, set[Any]]:
    """All values of each key that has more than one."""
    values_of: dict[Any, set[Any]] = {}
    for key, value in pairs:
        values_of.setdefault(key, set()).add(value)
    return {key: values for key, values in values_of.items() if len(values) > 1}


def groups(related: pd.DataFrame) -> dict[int, int]:
    """The group of each study that belongs to others, named by its smallest study id; relations are transitive."""
    group: dict[int, int] = {}
    for one, other in zip(related["study_id"], related["other_id"], strict=True):
        names = {group.get(int(one), int(one)), group.get(int(other), int(other))}
        members = {study for study, name in group.items() if name in names} | {int(one), int(other)}
        group |= dict.fromkeys(members, min(names))
    return group


def across_halves(data: Cohort, related: pd.DataFrame) -> list[Finding]:
    """A finding for each training study that belongs to one of the test half, where the score would be too good."""
    test, group = set(data.studies("test")), groups(related)
    test_groups = {group[study]: study for study in sorted(test & set(group), reverse=True)}
    return [
        Finding(str(study), "", "", "error", "train_study_in_test", _advice(study, test_groups[group[study]]))
        for study in sorted(set(group) - test)
        if group[study] in test_groups
    ]


def _advice(study: int, other: int) -> str:
    return f"study {study} belongs to study {other} of the test half: it is left out of the folds. Remove one of them"


def in_words(data: Cohort, related: pd.DataFrame) -> str:
    """A summary of the relations, in a line or two."""
    if related.empty:
        return f"{len(data.studies())} studies, no two of one patient, no series in two of them"
    group = groups(related)
    pairs = related.drop_duplicates(["study_id", "other_id", "why"])["why"].value_counts()
    counts = f"pairs of one patient: {pairs.get(PATIENT, 0)}, with the same pixels: {pairs.get(PIXELS, 0)}"
    return (
        f"{len(data.studies())} studies, {len(group)} of them in {len(set(group.values()))} groups; {counts}\n"
        f"training studies that are in the test half too: {len(across_halves(data, related))}"
    )
