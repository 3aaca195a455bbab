"""The terms of the task, each defined once: levels, sides, conditions, severities, kinds of series, 25 targets.

The order of ``TARGETS`` is the column order of the competition's ``train.csv`` and the order of every array in
spinekit whose first axis has 25 entries.
"""

from __future__ import annotations

from dataclasses import dataclass

LEVELS = ("l1_l2", "l2_l3", "l3_l4", "l4_l5", "l5_s1")
SIDES = ("left", "right")  # the patient's own left and right
SEVERITIES = ("Normal/Mild", "Moderate", "Severe")
SEVERITY_COLUMNS = ("normal_mild", "moderate", "severe")  # columns of a submission
SEVERITY_WEIGHTS = (1.0, 2.0, 4.0)  # weight of a row in the metric, by its true grade

SAGITTAL_T1 = "Sagittal T1"
SAGITTAL_T2 = "Sagittal T2/STIR"
AXIAL_T2 = "Axial T2"
KINDS = (SAGITTAL_T1, SAGITTAL_T2, AXIAL_T2)

SPINAL, FORAMINAL, SUBARTICULAR = "spinal", "foraminal", "subarticular"
GROUPS = (SPINAL, FORAMINAL, SUBARTICULAR)
_DISEASE = {
    SPINAL: "spinal_canal_stenosis",
    FORAMINAL: "neural_foraminal_narrowing",
    SUBARTICULAR: "subarticular_stenosis",
}
# The kind of series on which the competition's readers placed the points of each group.
KIND_OF_GROUP = {SPINAL: SAGITTAL_T2, FORAMINAL: SAGITTAL_T1, SUBARTICULAR: AXIAL_T2}


@dataclass(frozen=True)
class Target:
    """One of the 25 things to grade: a condition (with its side, if it has one) at a level."""

    group: str
    level: str
    side: str | None

    @property
    def condition(self) -> str:
        """Condition as in the column names, e.g. ``left_neural_foraminal_narrowing``."""
        disease = _DISEASE[self.group]
        return f"{self.side}_{disease}" if self.side else disease

    @property
    def name(self) -> str:
        """Column of ``train.csv``, e.g. ``left_neural_foraminal_narrowing_l4_l5``."""
        return f"{self.condition}_{self.level}"

    @property
    def kind(self) -> str:
        """The kind of series on which this target is annotated."""
        return KIND_OF_GROUP[self.group]

    @property
    def flipped(self) -> Target:
        """The same target on the other side of the patient (a spinal target is its own flip)."""
        other = {"left": "right", "right": "left", None: None}[self.side]
        return Target(self.group, self.level, other)


TARGETS = tuple(
    Target(group, level, side)
    for group in GROUPS
    for side in ((None,) if group == SPINAL else SIDES)
    for level in LEVELS
)
TARGET_INDEX = {target.name: i for i, target in enumerate(TARGETS)}
CONDITIONS = tuple(dict.fromkeys(target.condition for target in TARGETS))
# TARGETS[FLIPPED_TARGET[i]] is TARGETS[i] of the other side: swap sides whenever an image is flipped left to right.
FLIPPED_TARGET = tuple(TARGET_INDEX[target.flipped.name] for target in TARGETS)


def targets_of(group: str) -> tuple[int, ...]:
    """Indices into ``TARGETS`` of one group (``spinal``, ``foraminal`` or ``subarticular``)."""
    return tuple(i for i, target in enumerate(TARGETS) if target.group == group)


def row_id(study_id: int | str, target: Target) -> str:
    """Row of a submission, ``{study_id}_{condition}_{level}``."""
    return f"{study_id}_{target.name}"


def words_to_name(words: str) -> str:
    """``Left Neural Foraminal Narrowing`` or ``L1/L2``, as the tables write them, to the form used in names."""
    return words.strip().lower().replace(" ", "_").replace("/", "_")


def level_name(level: str) -> str:
    """``l4_l5`` as L4/L5."""
    return level.upper().replace("_", "/")
