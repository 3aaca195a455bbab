"""What a patient has beside the narrowing, and how far both go together: age, canal width, discs, slip.

All are standard normal scores, higher where more is wrong: older, a narrower canal from birth, a disc that has lost
more of its signal or its height, a level more likely to have slipped. Each is a weighted sum of the patient's general
degeneration, of means of the severities, of the scores before it, and of a part of its own that makes its variance 1: a
latent-factor model whose covariance with the 25 severities is known exactly.

The weights are assumed, except that of age. In the Framingham study (Kalichman et al., Spine J 2009;9:545) a canal of
at most 12 mm was found in 20 % of people under 40 and in 47 % of those of 60 to 69, which on a probit scale is a
correlation of about .37 between age and the narrowing of the canal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spinekit.anatomy import FORAMINAL, LEVELS, TARGETS
from spinekit.geometry import Floats

AGE_GENERAL = 0.75  # weight of the patient's general degeneration
CANAL_CENTRAL = 0.50  # of the mean severity of canal and recesses
SIGNAL_AGE, SIGNAL_LEVEL = 0.40, 0.25  # of age, and of the mean severity of the level
HEIGHT_SIGNAL, HEIGHT_LEVEL = 0.45, 0.30
SLIP_AGE, SLIP_LEVEL = 0.15, 0.40
DISC_FACTORS = ("disc_signal_loss", "disc_height_loss", "slip")
NAMES = ("age", "canal_narrowness", *(f"{name}_{level}" for name in DISC_FACTORS for level in LEVELS))


@dataclass(frozen=True)
class PatientFactors:
    """Standard scores of one patient; those of discs (5,) from L1/L2 down."""

    age: float
    canal_narrowness: float
    disc_signal_loss: tuple[float, ...]
    disc_height_loss: tuple[float, ...]
    slip: tuple[float, ...]

    @classmethod
    def from_scores(cls, scores: Floats) -> PatientFactors:
        """From (17,) scores in the order of NAMES."""
        discs = np.asarray(scores)[2:].reshape(len(DISC_FACTORS), len(LEVELS)).tolist()
        return cls(float(scores[0]), float(scores[1]), *(tuple(row) for row in discs))


def joint_root(severities: Floats) -> Floats:
    """(42, 43): white noise to 25 standard severities and the factors of NAMES. ``severities`` (25, 26): the root of
    the severities alone, whose first column is the patient's general degeneration."""
    n, shared = severities.shape
    root = np.zeros((n + len(NAMES), shared + len(NAMES)))
    root[:n, :shared] = severities
    general = np.eye(1, root.shape[1])[0]

    def add(row: int, part: Floats) -> None:
        """A factor with ``part`` of the others in it, and of its own as much as makes its variance 1."""
        root[row] = part
        root[row, shared + row - n] = np.sqrt(1 - part @ part)

    add(n, AGE_GENERAL * general)
    add(n + 1, CANAL_CENTRAL * _mean(root, [i for i in range(n) if TARGETS[i].group != FORAMINAL]))
    for i, level in enumerate(LEVELS):
        mean = _mean(root, [t for t in range(n) if TARGETS[t].level == level])
        signal, height, slip = (n + 2 + k * len(LEVELS) + i for k in range(len(DISC_FACTORS)))
        add(signal, SIGNAL_AGE * root[n] + SIGNAL_LEVEL * mean)
        add(height, HEIGHT_SIGNAL * root[signal] + HEIGHT_LEVEL * mean)
        add(slip, SLIP_AGE * root[n] + SLIP_LEVEL * mean)
    return root


def _mean(root: Floats, rows: list[int]) -> Floats:
    """The standardised mean of some rows."""
    mean = root[rows].mean(0)
    return np.asarray(mean / np.linalg.norm(mean))
