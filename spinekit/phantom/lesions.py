"""How lesions look: what narrows a canal, a recess or a foramen, from where, and what looks like one and is none.

The grade depends on how narrow a place is, not on what narrows it. A canal is closed by a disc in front, by flavum and
bone behind, or by epidural fat (lipomatosis), which is as bright as fluid; a recess by a disc or by the facet, now and
then by a cyst of the joint; a foramen loses height or depth, to disc or to bone. Most are mixtures, so each share is
drawn from a continuous law. What lies open differs as much: canals and foramina have sizes of their own, fluid that
flows and crowded roots are darker, a foramen holds more or less fat, thick roots, veins, a cyst of the root's sleeve.

The shares are assumed. They are wide on purpose: with one shape for every lesion, a single number of brightness graded
them (``evaluate shortcuts``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from spinekit.anatomy import FORAMINAL, LEVELS, SIDES, SPINAL, SUBARTICULAR, TARGETS
from spinekit.geometry import Floats


@dataclass(frozen=True)
class Closing:
    """What narrows a canal or a recess.

    ``front``: share that the disc takes; the rest comes from behind. ``bright``: share of that rest which is no
    flavum and no bone but epidural fat, or with ``cyst`` fluid of the facet joint. ``offset_mm``: from the landmark to
    where the lesion is deepest, to the patient's left in the canal, towards the head in the recess.
    """

    front: float = 0.4
    bright: float = 0.0
    cyst: bool = False
    offset_mm: float = 0.0


@dataclass(frozen=True)
class Foramen:
    """What narrows a foramen, and what it holds.

    ``height``: share that its height loses, its depth the rest, and ``behind``: share of the latter that comes from the
    facet. ``bone``: signal of what narrows it, from annulus (0) to marrow (1). ``size`` times its outline, ``fat``
    share of fat in it, ``root`` times the thickness of its root, ``cyst_mm`` radius of a cyst (0: none).
    ``offset_mm``: from the landmark to where it is narrowest, to the patient's left.
    """

    height: float = 0.5
    behind: float = 0.5
    bone: float = 0.0
    size: float = 1.0
    fat: float = 1.0
    root: float = 1.0
    cyst_mm: float = 0.0
    offset_mm: float = 0.0


@dataclass(frozen=True)
class LevelForm:
    """The forms of one level; those of recess and foramen by side."""

    canal: Closing = Closing()
    recess: Mapping[str, Closing] = field(default_factory=lambda: dict.fromkeys(SIDES, Closing(front=0.57)))
    foramen: Mapping[str, Foramen] = field(default_factory=lambda: dict.fromkeys(SIDES, Foramen()))
    sac: float = 1.0  # times the size of the sac
    fluid: float = 1.0  # times the signal of its fluid
    fat: float = 1.0  # share of fat about the sac, between veins
    flavum: float = 1.0  # times its thickness
    protrusion: float = 0.0  # signal of what protrudes behind the bodies, from annulus (0) to a fresh tear (1)
    root: float = 1.0  # times the thickness of the roots in the recesses
    bundle: float = 1.0  # times that of the roots within the sac: some lie in bundles


ONE_FORM = tuple(LevelForm() for _ in LEVELS)  # every lesion of a kind looks alike, and nothing looks like a lesion


def offsets_mm(forms: Sequence[LevelForm]) -> Floats:
    """(25,) from each landmark to where its lesion is deepest, in the order of TARGETS."""
    return np.array([_of(forms[LEVELS.index(t.level)], t.group, t.side).offset_mm for t in TARGETS])


def moved(forms: Sequence[LevelForm], offset_mm: Floats) -> tuple[LevelForm, ...]:
    """The forms with lesions at ``offset_mm`` (25,) from their landmarks."""
    result = []
    for form, level in zip(forms, LEVELS, strict=True):
        own = {(t.group, t.side): float(offset_mm[i]) for i, t in enumerate(TARGETS) if t.level == level}
        parts = {key: replace(_of(form, *key), offset_mm=mm) for key, mm in own.items()}
        recess, foramen = ({s: parts[group, s] for s in SIDES} for group in (SUBARTICULAR, FORAMINAL))
        result.append(replace(form, canal=parts[SPINAL, None], recess=recess, foramen=foramen))
    return tuple(result)


def _of(form: LevelForm, group: str, side: str | None) -> Any:
    return form.canal if group == SPINAL else {SUBARTICULAR: form.recess, FORAMINAL: form.foramen}[group][str(side)]


FRONT = (0.0, 1.0)  # range of the shares that come from the front
BRIGHT = (0.6, 0.4)  # of a beta law: mostly one thing or the other
CYST = 0.3  # share of the recesses into which a cyst may grow
SIZE_SD, SAC_SD, FLAVUM_SD, ROOT_SD = 0.17, 0.15, 0.35, 0.28  # of logarithms
FLUID, FAT = (0.3, 1.0), (0.2, 1.0)  # ranges of a patient's; levels differ less
BUNDLE = (0.7, 2.6)
SLEEVE_CYST, SLEEVE_CYST_MM = 0.12, (2.0, 4.0)  # share of foramina, radius


def sample_forms(rng: np.random.Generator) -> tuple[LevelForm, ...]:
    """The forms of one patient, L1/L2 to L5/S1, with all lesions at their landmarks."""
    fluid, fat, epidural = rng.uniform(*FLUID), rng.uniform(*FAT), rng.uniform(*FAT)
    size, flavum, bundle = rng.lognormal(0, SIZE_SD / 2), rng.lognormal(0, FLAVUM_SD), rng.uniform(*BUNDLE)
    forms = []
    for _ in LEVELS:
        forms.append(
            LevelForm(
                canal=_closing(rng),
                recess={side: _closing(rng, CYST) for side in SIDES},
                foramen={side: _foramen(rng, fat, size) for side in SIDES},
                sac=float(np.clip(rng.lognormal(0, SAC_SD), 0.7, 1.35)),
                fluid=_share(rng, fluid),
                fat=_share(rng, epidural),
                flavum=float(np.clip(flavum * rng.lognormal(0, FLAVUM_SD / 2), 0.5, 2.0)),
                protrusion=float(rng.uniform()),
                root=_thickness(rng),
                bundle=float(bundle * rng.lognormal(0, 0.1)),
            )
        )
    return tuple(forms)


def _share(rng: np.random.Generator, patient: float) -> float:
    return float(min(patient * rng.lognormal(0, 0.12), 1.0))


def _thickness(rng: np.random.Generator) -> float:
    return float(np.clip(rng.lognormal(0, ROOT_SD), 0.6, 1.7))


def _closing(rng: np.random.Generator, cyst: float = 0.0) -> Closing:
    return Closing(float(rng.uniform(*FRONT)), float(rng.beta(*BRIGHT)), bool(rng.random() < cyst))


def _foramen(rng: np.random.Generator, fat: float, size: float) -> Foramen:
    height, behind, bone = (float(share) for share in rng.uniform(size=3))
    return Foramen(
        height=height,
        behind=behind,
        bone=bone,
        size=float(np.clip(size * rng.lognormal(0, SIZE_SD), 0.7, 1.35)),
        fat=_share(rng, fat),
        root=_thickness(rng),
        cyst_mm=float(rng.uniform(*SLEEVE_CYST_MM)) if rng.random() < SLEEVE_CYST else 0.0,
    )
