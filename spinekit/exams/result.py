"""What is kept of a graded study, and how it is written: ``grades.json``, by the schema beside this module.

Coordinates are patient LPS in millimetres; pixels are (column, row), and (0, 0) is the centre of the first pixel.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from spinekit import artifacts
from spinekit.errors import SpinekitError
from spinekit.grading.crops import CropRecipe
from spinekit.io.stacks import Finding

SCHEMA = "spinekit-grades/1"
SCHEMA_FILE = Path(__file__).with_name("grades.schema.json")
PHANTOMS, PATIENTS, UNKNOWN = "phantoms", "patients", "unknown"  # what models were trained on
PHANTOM_WARNING = "TRAINED ON PHANTOMS: THESE GRADES SAY NOTHING ABOUT PATIENTS"
NOT_CLINICAL = "Not for clinical use."


class ResultError(SpinekitError):
    """A ``grades.json`` that cannot be read. Grade the study again with ``--force``."""


@dataclass(frozen=True)
class ImageReference:
    """A pixel of an image: the DICOM instance and, where it is a multi-frame one, its frame (1-based)."""

    series_uid: str
    sop_class_uid: str
    sop_instance_uid: str
    frame_number: int | None
    file: str
    column_px: float
    row_px: float


@dataclass(frozen=True)
class TargetGrade:
    """The grade of one of the 25 targets, and the place that it was read from.

    ``probabilities``: normal or mild, moderate, severe. ``uncertainty``: their entropy, 0 (sure) to 1 (all three are
    equal). ``level_confidence``: probability that the level's name is right. ``point_sd_mm``: standard deviation of the
    landmark along one axis.
    """

    target: str
    condition: str
    level: str
    side: str  # "left", "right" (the patient's), or "" for the spinal canal
    probabilities: tuple[float, float, float]
    grade: int
    uncertainty: float
    point_xyz_mm: tuple[float, float, float] | None = None
    point_sd_mm: float | None = None
    level_confidence: float | None = None
    image: ImageReference | None = None


MEASURES = {
    "disc_height": "disc height",
    "sac_ap_diameter": "anteroposterior diameter of the dural sac",
    "sac_area": "cross-section of the dural sac",
    "foramen_height": "height of the foramen",
    "foramen_width": "width of the foramen",
}


@dataclass(frozen=True)
class Measurement:
    """A length or an area; ``error`` is the median absolute error on phantoms, in the same unit, None if not known."""

    name: str
    level: str
    side: str
    value: float
    unit: str  # "mm" or "mm2"
    error: float | None = None

    @property
    def words(self) -> str:
        """What was measured, for people."""
        return MEASURES.get(self.name, self.name.replace("_", " "))


@dataclass(frozen=True)
class SeriesOfExam:
    """A series, the kind that it was graded as, and who says so: ``headers``, ``pixels``, ``both``, or nobody.

    ``kind_confidence``: 0 to 1, None where there is no kind. ``note``: why the series was skipped; empty if used.
    """

    series_uid: str
    description: str
    kind: str | None
    kind_by: str
    kind_confidence: float | None
    plane: str
    slices: int
    note: str = ""


@dataclass(frozen=True)
class WeightsCard:
    """Which models graded: where they lie, what they were trained on and with, what they scored, what they cannot do.

    ``sha256``: of all model files together. ``made_with``: version and commit. ``scores``: of studies that nothing was
    fitted on (``scored_on``); on phantoms where the models were trained on phantoms. ``studies``: 0 if not recorded.
    ``crops``: what the models see around each landmark.
    """

    source: str
    sha256: str
    trained_on: str
    studies: int
    made_with: tuple[str, str]
    scores: Mapping[str, float] = field(default_factory=dict)
    limits: str = ""
    folds: tuple[int, ...] = ()
    recipe: str = ""
    scored_on: str = ""
    crops: CropRecipe = CropRecipe()

    @property
    def warning(self) -> str:
        """What a reader of grades by these models has to be told in large letters; empty where there is nothing."""
        return PHANTOM_WARNING if self.trained_on == PHANTOMS else ""

    def to_json(self) -> dict[str, Any]:
        return artifacts.rounded(asdict(self)) | {"warning": self.warning}


@dataclass(frozen=True)
class GradedExam:
    """A graded study; ``grades`` has 25 entries in the order of ``anatomy.TARGETS``, or none, and ``problem`` says why.

    ``findings``: what was wrong with the images. ``inputs``: digest of the files that were read. ``seconds``: from
    reading to grades, without the time in which models were loaded.
    """

    study_uid: str
    patient_id: str
    study_date: str
    description: str
    series: tuple[SeriesOfExam, ...]
    grades: tuple[TargetGrade, ...]
    measurements: tuple[Measurement, ...]
    findings: tuple[Finding, ...]
    weights: WeightsCard
    problem: str = ""
    seconds: float = 0.0
    inputs: str = ""

    def to_json(self) -> dict[str, Any]:
        """``grades.json``, as ``grades.schema.json`` describes it."""
        values = artifacts.rounded(json.loads(json.dumps(asdict(self))))
        values["weights"] = self.weights.to_json()
        return {"schema": SCHEMA, "notice": NOT_CLINICAL, "warning": self.weights.warning} | values


def read_result(file: Path) -> GradedExam:
    """A study's result from the ``grades.json`` that was written of it.

    Raises: `ResultError` where the file is damaged or of another version.
    """
    try:
        values = artifacts.read_json(file)
        if values.get("schema") != SCHEMA:
            raise ValueError(f"schema {values.get('schema')!r}, expected {SCHEMA!r}")
        kept = {name: value for name, value in values.items() if name not in ("schema", "notice", "warning")}
        kept["weights"] = {name: value for name, value in kept["weights"].items() if name != "warning"}
        return artifacts.from_json(GradedExam, kept, ResultError)
    except (ResultError, OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise ResultError(f"{file}: not a readable result ({error}). Grade the study again with --force") from error
