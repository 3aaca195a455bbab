"""How good a registration is: true landmarks carried by it from series to series, and its motions against the truth.

True landmarks are carried, so that registration alone is judged. Only phantoms know where they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.spatial.transform import Rotation

from spinekit.anatomy import TARGETS
from spinekit.geometry import Floats, rigid_matrix, transform
from spinekit.io.study import Study
from spinekit.phantom.truth import Truth
from spinekit.spatial.motion_graph import AROUND_MM
from spinekit.spatial.registration import REFERENCE, Alignment, aligned, middle_of

PLANTED_MM, PLANTED_DEG = 6.0, 4.0
PAIR_COLUMNS = ["study_id", "from_series", "to_series", "kinds", "target", "header_mm", "registered_mm", "accepted"]
_PARAMETERS = ("rotation_x_deg", "rotation_y_deg", "rotation_z_deg", "shift_x_mm", "shift_y_mm", "shift_z_mm")
MOTION_COLUMNS = ["study_id", "series_id", "kind", "accepted", "reason"]
MOTION_COLUMNS += [f"{whose}_{name}" for whose in ("true", "estimated") for name in _PARAMETERS]
MOTION_COLUMNS += ["rotation_error_deg", "shift_error_mm", "header_mm", "registered_mm"]


def carry_errors(truth: Truth, study_id: int, study: Study, alignments: Mapping[str, Alignment]) -> pd.DataFrame:
    """Every true landmark, carried from each series to each other one: mm (3D) from where it truly lay there.

    ``header_mm`` by the headers, ``registered_mm`` by the alignments. ``accepted``: neither series was left
    where the header says for want of a motion.
    """
    xyz_mm = truth.landmarks_xyz_mm(study_id)
    kinds = {stack.series_id: str(stack.kind) for stack in study.stacks}
    tables = []
    for a, b in combinations([name for name in kinds if name in alignments], 2):
        in_a, in_b = (transform(truth.shift(int(name)), xyz_mm) for name in (a, b))
        carried = transform(np.linalg.inv(alignments[b].rigid), transform(alignments[a].rigid, in_a))
        columns = {
            "study_id": study_id,
            "from_series": a,
            "to_series": b,
            "kinds": " - ".join(sorted((kinds[a], kinds[b]))),
            "target": [t.name for t in TARGETS],
            "header_mm": np.linalg.norm(in_a - in_b, axis=1),
            "registered_mm": np.linalg.norm(carried - in_b, axis=1),
            "accepted": alignments[a].accepted and alignments[b].accepted,
        }
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=PAIR_COLUMNS)


def motion_errors(truth: Truth, study_id: int, alignments: Mapping[str, Alignment]) -> pd.DataFrame:
    """One row for each series but the reference: its motion, true and estimated, about the centre of its landmarks.

    ``rotation_error_deg`` and ``shift_error_mm`` are the angle of, and the shift left by, one motion after the inverse
    of the other; ``header_mm`` and ``registered_mm`` the mean distance of the 25 landmarks from the reference's.
    """
    reference = next((name for name, alignment in alignments.items() if alignment.reason == REFERENCE), None)
    if reference is None:
        return pd.DataFrame(columns=MOTION_COLUMNS)
    xyz_mm, rows = truth.landmarks_xyz_mm(study_id), []
    goal = transform(truth.shift(int(reference)), xyz_mm)
    for name, alignment in alignments.items():
        if name == reference:
            continue
        shift = truth.shift(int(name))
        true = truth.shift(int(reference)) @ np.linalg.inv(shift)
        places = transform(shift, xyz_mm)
        centre, estimated = places.mean(0), alignment.rigid
        residual = estimated @ np.linalg.inv(true)
        rotation = np.rad2deg(Rotation.from_matrix(residual[:3, :3]).magnitude())
        offset = np.linalg.norm(transform(estimated, centre) - transform(true, centre))
        distances = [np.linalg.norm(xyz - goal, axis=1).mean() for xyz in (places, transform(estimated, places))]
        parts = [*_parameters(true, centre), *_parameters(estimated, centre)]
        facts = [study_id, name, alignment.kind, alignment.accepted, alignment.reason]
        rows.append([*facts, *parts, rotation, offset, *distances])
    return pd.DataFrame(rows, columns=MOTION_COLUMNS)


def _parameters(rigid: Floats, centre_xyz_mm: Floats) -> list[float]:
    """Rotation vector in degrees, and the shift of a point in mm."""
    rotation = np.rad2deg(Rotation.from_matrix(rigid[:3, :3]).as_rotvec())
    return [*rotation, *(transform(rigid, centre_xyz_mm) - centre_xyz_mm)]


def evaluate_all(
    truth: Truth | None, studies: Mapping[int, Study], alignments: Mapping[int, Mapping[str, Alignment]]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """``carry_errors`` and ``motion_errors`` of many studies, whose headers are enough; empty without truth."""
    if truth is None or not studies:
        return pd.DataFrame(columns=PAIR_COLUMNS), pd.DataFrame(columns=MOTION_COLUMNS)
    carried = [carry_errors(truth, i, study, alignments[i]) for i, study in studies.items()]
    motions = [motion_errors(truth, i, alignments[i]) for i in studies]
    return pd.concat(carried, ignore_index=True), pd.concat(motions, ignore_index=True)


def summary(carried: pd.DataFrame) -> pd.DataFrame:
    """Of each pair of kinds, and of all: median, 90th and 99th percentile in mm by header and registered, how many
    times closer the median is, percent of landmarks on series that were not accepted, pairs of series."""
    groups = [*carried.groupby("kinds"), ("all", carried)] if len(carried) else []
    rows = {}
    for name, pairs in groups:
        row = {
            f"{way} {label}": float(np.percentile(pairs[f"{way}_mm"].astype(float), q))
            for way in ("header", "registered")
            for label, q in (("median", 50), ("p90", 90), ("p99", 99))
        }
        row["gain"] = row["header median"] / row["registered median"] if row["registered median"] else float("nan")
        row["rejected %"] = 100 * float(1 - pairs["accepted"].astype(float).mean())
        row["pairs"] = len(pairs) / len(TARGETS)
        rows[name] = row
    return pd.DataFrame.from_dict(rows, orient="index")


def metrics(carried: pd.DataFrame) -> dict[str, float | None]:
    """Numbers for ``metrics.json``; None without truth."""
    names = {
        "carried_header_median_mm": "header median",
        "carried_registered_median_mm": "registered median",
        "carried_registered_p99_mm": "registered p99",
        "carried_gain": "gain",
    }
    table = summary(carried)
    return {name: float(table.loc["all", column]) if len(table) else None for name, column in names.items()}


def plant(study: Study, alignments: Mapping[str, Alignment], seed: int = 0) -> tuple[Study, dict[str, Floats]]:
    """The study with every series but the reference moved by 6 mm and 4 degrees, each in a direction of its own, and
    the motions (4, 4). Registration must undo them, on a real study too, whose own motion is unknown."""
    rng, middle, motions = np.random.default_rng(seed), middle_of(study, alignments), {}
    for name, alignment in alignments.items():
        axis, direction = (vector / np.linalg.norm(vector) for vector in rng.standard_normal((2, 3)))
        fixed = alignment.reason == REFERENCE
        motions[name] = np.eye(4) if fixed else rigid_matrix(PLANTED_DEG * axis, PLANTED_MM * direction, middle)
    moved = {name: replace(alignment, rigid=motions[name]) for name, alignment in alignments.items()}
    return aligned(study, moved), motions


def planted_errors(
    motions: Mapping[str, Floats],
    before: Mapping[str, Alignment],
    after: Mapping[str, Alignment],
    middle_xyz_mm: Floats,
) -> pd.DataFrame:
    """For each accepted series how far, in mm, points around the spine lie from where they had been registered
    ``before`` a motion was planted: by the header, and as registered ``after`` it. [series_id, kind, accepted,
    header_mm, registered_mm]"""
    points, rows = AROUND_MM + middle_xyz_mm, []
    for name, alignment in before.items():
        if not alignment.accepted or alignment.reason == REFERENCE:
            continue
        goal, planted = transform(alignment.rigid, points), transform(motions[name], points)
        registered = transform(after[name].rigid, planted)
        distances = [np.linalg.norm(xyz - goal, axis=1).mean() for xyz in (planted, registered)]
        rows.append([name, alignment.kind, after[name].accepted, *distances])
    return pd.DataFrame(rows, columns=["series_id", "kind", "accepted", "header_mm", "registered_mm"])
