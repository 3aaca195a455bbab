"""Grade degenerative disease of the lumbar spine on MRI. Not for clinical use."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from spinekit.exams.result import GradedExam

__version__ = "0.1.0"


def grade(
    *paths: Path | str,
    weights: str = "",
    out: Path | str | None = None,
    jobs: int = 1,
    device: str = "auto",
    force: bool = False,
    scheduler: str | None = None,
) -> list[GradedExam]:
    """Grade every lumbar MRI study below folders, zips and DICOMDIRs, as ``spinekit grade`` does.

    The models stay loaded between calls. Without ``out`` no file is written. A study that cannot be graded has its
    ``problem``, and 25 ``grades`` otherwise. With ``scheduler``, the address of a Dask scheduler, its workers do it.
    What is returned holds the patient's ID and the study's date; of the files in ``out`` only ``report.dcm`` does.

    Raises: `SpinekitError` where there are no models or no studies.
    """
    from pathlib import Path

    from spinekit.course.cluster import use_device
    from spinekit.exams.batch import Options, grade_paths

    use_device(device, scheduler)
    options = Options(jobs, scheduler, force)
    return grade_paths(paths, weights, Path(out) if out is not None else None, options).exams
