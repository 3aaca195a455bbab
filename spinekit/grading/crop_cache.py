"""The crops of a whole cohort on disk, cut once by worker processes, read at every epoch.

Training studies are cut around the readers' points, all others around predicted landmarks, as test studies are.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spinekit.anatomy import TARGETS
from spinekit.artifacts import atomic, write_table
from spinekit.errors import SpinekitError, study_failure
from spinekit.geometry import Floats
from spinekit.grading.crop_centres import DOUBTFUL_MM, CropCentres, StudyCentre
from spinekit.grading.crop_pixels import CropPixels, Distinct, ImageFile, Pixels, distinct
from spinekit.grading.crops import CropRecipe, StudyCrops, no_crops, study_crops
from spinekit.grading.tokens import relative_positions
from spinekit.io.cohort import Cohort
from spinekit.io.study import Study
from spinekit.parallel import cores, mapper, tracked

log = logging.getLogger(__name__)

NOTHING_SHOWN = "no slice shows any of its landmarks. `spinekit check` says which series it has"
_PIXELS, _REST, FAILURES = "crops.npy", "crops.npz", "failures.csv"
_ARRAYS = ("study_ids", "present", "centres_xyz_mm", "crop_scale", "doubtful")


Rows = Sequence[int] | NDArray[np.intp]  # of a ``CropSet``: which studies


class CropError(SpinekitError):
    """No crops could be cut, or a folder holds none. Run notebook 04 again; ``spinekit check`` names studies that
    cannot be read."""


@dataclass(frozen=True)
class CropSet:
    """Tokens of ``n`` studies.

    ``pixels`` (n, 30, slices, size, size) uint8, read from disk where they are indexed (``CropPixels``); ``present``
    (n, 30); ``centres_xyz_mm`` (n, 30, 3), NaN where unknown; ``crop_scale`` (n, 30) how many times wider than usual a
    crop is; ``doubtful`` (n, 25) targets whose label or point is doubtful; ``failures`` study_id, message of studies
    that gave no crop.
    """

    study_ids: NDArray[np.int64]
    pixels: Pixels
    present: NDArray[np.bool_]
    centres_xyz_mm: Floats
    crop_scale: Floats
    doubtful: NDArray[np.bool_]
    failures: pd.DataFrame

    def rows(self, study_ids: Iterable[int]) -> NDArray[np.intp]:
        """Row of each study."""
        row_of = {int(study): i for i, study in enumerate(self.study_ids)}
        return np.array([row_of[int(study)] for study in study_ids], dtype=np.intp)

    def sparsest(self) -> int:
        """Row of the study with the fewest crops, among those that have one."""
        count = self.present.sum(1)
        return int(np.where(count > 0, count, np.inf).argmin())

    @property
    def positions(self) -> Floats:
        """(n, 30, 3) relative positions, 0 where unknown."""
        return relative_positions(self.centres_xyz_mm)


@dataclass(frozen=True)
class Cut:
    """One way to cut the crops of a cohort: around which centres, how, and into which folder."""

    folder: Path
    centres: CropCentres
    recipe: CropRecipe


def build(
    cohort: Cohort,
    centres: CropCentres,
    folder: Path,
    recipe: CropRecipe,
    studies: Sequence[int] = (),
    workers: int | None = None,
) -> CropSet:
    """Cut the crops of every study with images, or of ``studies`` alone, in one way.

    A study that cannot be read keeps no token and is named in ``failures.csv``.

    Raises: `CropError` where there is no study, or none that can be cut.
    """
    return build_several(cohort, [Cut(folder, centres, recipe)], studies, workers)[0]


def build_several(
    cohort: Cohort, cuts: Sequence[Cut], studies: Sequence[int] = (), workers: int | None = None
) -> list[CropSet]:
    """Cut the crops of every study in several ways: each study is read and decoded once for all of them.

    Raises: as ``build``.
    """
    study_ids = list(studies) or cohort.studies()
    if not study_ids:
        raise CropError(f"{cohort.folder}: no study has images. Check train_images/ and test_images/")
    jobs = [
        _Job(cohort.only(study), study, tuple((cut.centres.of(study), cut.recipe) for cut in cuts))
        for study in study_ids
    ]
    for cut in cuts:
        cut.folder.mkdir(parents=True, exist_ok=True)
        (cut.folder / _REST).unlink(missing_ok=True)  # it would be the index to other images if this is stopped
    with ExitStack() as stack:
        parts = [stack.enter_context(atomic(cut.folder / _PIXELS)) for cut in cuts]
        streams = [stack.enter_context(part.open("wb")) for part in parts]
        images = [ImageFile(stream, cut.recipe.cached_px) for stream, cut in zip(streams, cuts, strict=True)]
        by_study = list(_fill(images, jobs, workers))
        for image in images:
            image.close()
    for cut, done in zip(cuts, zip(*by_study, strict=True), strict=True):
        _save_failures(cohort, cut.folder, done)
        _save_rest(cut.folder, done)
    return [load(cut.folder) for cut in cuts]


def _save_failures(cohort: Cohort, folder: Path, done: Sequence[_Done]) -> None:
    failures = pd.DataFrame([(d.study_id, d.problem) for d in done if d.problem], columns=["study_id", "message"])
    if len(failures) == len(done):
        raise CropError(f"{cohort.folder}: not one study could be cut. The first: {failures['message'].iloc[0]}")
    for row in failures.itertuples():
        log.warning("study %s: %s", row.study_id, row.message)
    write_table(folder / FAILURES, failures)


def load(folder: Path) -> CropSet:
    """The crops that ``build`` left in a folder.

    Raises: `CropError` where notebook 04 has not run, or the files are damaged or do not belong together.
    """
    if not (folder / _REST).is_file():
        raise CropError(f"{folder / _REST} is missing: run notebook 04 first")
    try:
        with np.load(folder / _REST) as rest:
            arrays = {name: rest[name] for name in _ARRAYS}
            pixels = CropPixels(folder / _PIXELS, rest["image"], rest["flipped"])
        pixels.check()
    except (OSError, KeyError, ValueError, BadZipFile) as error:
        raise CropError(
            f"{folder}: the crops are damaged, or another version wrote them ({error}): run notebook 04 again"
        ) from error
    return CropSet(pixels=pixels, failures=pd.read_csv(folder / FAILURES), **arrays)


def doubts_in_words(crops: CropSet, study_ids: Sequence[int]) -> str:
    """How many points of the training studies contradict the predicted landmarks, as a sentence."""
    if not study_ids:
        return "nothing is trained here: the models of another run are used, every crop lies about a predicted landmark"
    share = crops.doubtful[crops.rows(study_ids)].mean()
    return f"not trained on: {share:.1%} of the points, {DOUBTFUL_MM:g} mm and more from the prediction"


def digest(folder: Path) -> str:
    """Digest of the places and slices that the crops in a folder were cut at.

    Raises: `CropError` where notebook 04 has not run.
    """
    if not (folder / _REST).is_file():
        raise CropError(f"{folder / _REST} is missing: run notebook 04 first")
    return hashlib.sha256((folder / _REST).read_bytes()).hexdigest()


def of_study(study_id: int | str, crops: StudyCrops) -> CropSet:
    """The crops of a single study as a set of one."""
    return CropSet(
        study_ids=np.array([int(study_id)], dtype=np.int64),
        pixels=crops.pixels[None],
        present=crops.present[None],
        centres_xyz_mm=crops.centres_xyz_mm[None],
        crop_scale=crops.crop_scale[None],
        doubtful=np.zeros((1, len(TARGETS)), dtype=bool),
        failures=pd.DataFrame(columns=["study_id", "message"]),
    )


@dataclass(frozen=True)
class _Job:
    cohort: Cohort  # of this study alone
    study_id: int
    cuts: tuple[tuple[StudyCentre, CropRecipe], ...]


@dataclass(frozen=True)
class _Done:
    study_id: int
    crops: StudyCrops  # without their pixels
    pixels: Distinct
    doubtful: NDArray[np.bool_]
    problem: str = ""


def _fill(images: Sequence[ImageFile], jobs: Sequence[_Job], workers: int | None) -> Iterator[list[_Done]]:
    """Run the jobs; the images of each way to cut go to its file, the rest is passed on."""
    with mapper(cores(workers, len(jobs))) as run:
        for of_study in tracked(run(_cut_study, jobs), total=len(jobs), desc="crops", unit="study"):
            yield [_written(file, done) for file, done in zip(images, of_study, strict=True)]


def _written(images: ImageFile, done: _Done) -> _Done:
    image = images.append(done.pixels)
    return replace(done, pixels=replace(done.pixels, images=done.pixels.images[:0].copy(), image=image))


def _cut_study(job: _Job) -> list[_Done]:
    try:
        study = job.cohort.read(job.study_id)
        return [_cut(study, job, *cut) for cut in job.cuts]
    except Exception as error:  # one bad study never stops a run; it is named in failures.csv
        problem, unknown = study_failure(job.study_id, error), np.zeros(len(TARGETS), dtype=bool)
        return [_done(job.study_id, no_crops(recipe), unknown, problem) for _, recipe in job.cuts]


def _cut(study: Study, job: _Job, centre: StudyCentre, recipe: CropRecipe) -> _Done:
    xyz, sd_mm, doubtful = centre.landmarks(study, job.cohort.points)
    crops = study_crops(study, xyz, recipe, sd_mm)
    return _done(job.study_id, crops, doubtful, "" if crops.present.any() else NOTHING_SHOWN)


def _done(study_id: int, crops: StudyCrops, doubtful: NDArray[np.bool_], problem: str) -> _Done:
    pixels = distinct(crops.pixels, crops.present)
    return _Done(study_id, replace(crops, pixels=crops.pixels[:0].copy()), pixels, doubtful, problem)


def _save_rest(folder: Path, done: Sequence[_Done]) -> None:
    with atomic(folder / _REST) as part, part.open("wb") as stream:
        np.savez(
            stream,
            study_ids=np.array([d.study_id for d in done], dtype=np.int64),
            present=np.array([d.crops.present for d in done]),
            centres_xyz_mm=np.array([d.crops.centres_xyz_mm for d in done]),
            crop_scale=np.array([d.crops.crop_scale for d in done]),
            doubtful=np.array([d.doubtful for d in done]),
            image=np.array([d.pixels.image for d in done]),
            flipped=np.array([d.pixels.flipped for d in done]),
        )
