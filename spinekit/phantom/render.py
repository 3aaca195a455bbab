"""From a patient and a stack of slices to the magnitude images that a scanner would deliver.

Anatomy is painted at the samples of two or three sub-slices and averaged: partial volume. Then come, in the order in
which a scanner adds them, coil sensitivity, pulsation ghosts and the cut of k-space, and noise.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.fft
from numpy.typing import ArrayLike, NDArray

from spinekit.geometry import StackFrame, plane_of
from spinekit.phantom.body import Body
from spinekit.phantom.bones import paint_arches, paint_column, paint_joints
from spinekit.phantom.canvas import Array, Canvas, lay_nodes
from spinekit.phantom.metal import paint_metal
from spinekit.phantom.nerves import paint_canal
from spinekit.phantom.soft import outline, paint_outside
from spinekit.phantom.tissue import Sequence, signals

_CHUNK_SAMPLES = 4_000_000  # samples held at once: bounds the memory of large stacks
_SPINE_DEPTH_MM = 96.0  # from the fascia of the back to the front of the vertebral bodies
MASKED_SHARE = 0.4  # of the series, whose scanner clears the air
_MASK_MM = 2.0  # from the skin on
_FINE_MM = 1.0  # pixels below this get three sub-slices


@dataclass(frozen=True)
class Acquisition:
    """How a series is taken: pulse sequence, slice thickness, and where the patient lay.

    ``motion`` (4, 4): the images show ``transform(motion, anatomy)``.
    """

    sequence: Sequence
    slice_thickness_mm: float
    motion: ArrayLike


@dataclass(frozen=True)
class Scanner:
    """What scanner and coil do to the images of one series.

    ``coil_mm`` depth over which the surface coil loses signal, ``coil_power`` how steeply; ``band`` share of
    signal left in front of the spine, from a depth on, by a saturation band against motion; ``bias`` amplitude of a
    slow shading; ``noise`` of the brightest tissue; ``ghost`` share of a line-to-line modulation by pulsation;
    ``cut`` share of k-space kept along the phase direction ``phase_axis`` (1 rows, 2 columns); ``masked``: the air
    behind the back is set to 0.
    """

    coil_mm: float
    coil_power: float
    band: float
    band_depth_mm: float
    bias: float
    bias_phase: NDArray[np.float64]
    noise: float
    ghost: float
    ghost_period: float
    cut: float
    phase_axis: int
    masked: bool


def sample_scanner(rng: np.random.Generator, sequence: Sequence, body: Body) -> Scanner:
    """A scanner of ordinary quality, now and then a poor one; STIR has more noise than the others."""
    return Scanner(
        coil_mm=float(rng.uniform(90, 180)),
        coil_power=float(rng.uniform(0.6, 1.6)),
        band=float(rng.uniform(0.03, 0.3)),
        band_depth_mm=float(rng.uniform(10, 35)) + _SPINE_DEPTH_MM + body.variant.fat_mm,
        bias=float(rng.uniform(0.03, 0.12)),
        bias_phase=rng.uniform(0, 2 * np.pi, 3),
        noise=sample_noise(rng, sequence.name),
        ghost=sample_ghost(rng),
        ghost_period=float(rng.uniform(2.5, 9)),
        cut=float(rng.uniform(0.72, 1.0)),
        phase_axis=int(rng.choice([1, 2])),
        masked=bool(rng.random() < MASKED_SHARE),
    )


def unusual(scanner: Scanner) -> Scanner:
    """The scanner with more noise and ghosts, a steeper coil and less sharpness than ``sample_scanner`` draws."""
    s = scanner
    return replace(
        s, noise=3 * s.noise, ghost=3 * s.ghost, bias=3 * s.bias, coil_power=1.7 * s.coil_power, cut=0.7 * s.cut
    )


def sample_noise(rng: np.random.Generator, sequence: str) -> float:
    """Noise of a series, as a share of the brightest tissue."""
    noisy = {"T1": 1.0, "T2": 1.0, "STIR": 1.5}[sequence]
    return float(np.clip(rng.lognormal(np.log(0.013), 0.35), 0.005, 0.03)) * noisy


def sample_ghost(rng: np.random.Generator) -> float:
    """Share of a line-to-line modulation by pulsation."""
    return float(rng.gamma(1.2, 0.012))


def render_series(
    body: Body,
    frame: StackFrame,
    acquisition: Acquisition,
    *,
    rng: np.random.Generator,
    scanner: Scanner | None = None,
) -> NDArray[np.float32]:
    """Magnitude images (n, rows, columns) of a stack; the brightest tissue is near 1 close to the coil."""
    drawn = sample_scanner(rng, acquisition.sequence, body)
    scanner = drawn if scanner is None else scanner
    if plane_of(frame.direction_cosines) != "sagittal":
        scanner = replace(scanner, band=min(0.35 + 2.5 * scanner.band, 1.0))  # across the vessels a band is weaker
    clean, depth = render_clean(body, frame, acquisition)
    return scan(rng, clean, depth, scanner)


def render_clean(body: Body, frame: StackFrame, acquisition: Acquisition) -> tuple[Array, Array]:
    """Signal without coil, ghosts and noise, and the depth under the skin in mm; both (n, rows, columns)."""
    fine = float(frame.spacing_rc_mm.mean()) < _FINE_MM
    parts = 3 if fine else 2
    offsets = (np.arange(parts) - (parts - 1) / 2) * acquisition.slice_thickness_mm / parts
    to_body = np.linalg.inv(np.asarray(acquisition.motion, dtype=np.float64))
    size = max(_CHUNK_SAMPLES // (parts * frame.shape_rc[0] * frame.shape_rc[1]), 1)
    pieces = []
    for start in range(0, len(frame), size):
        piece = StackFrame(
            frame.origins_xyz_mm[start : start + size], frame.direction_cosines, frame.spacing_rc_mm, frame.shape_rc
        )
        pieces.append(_paint(body, piece, acquisition.sequence, offsets, to_body))
    return np.concatenate([p[0] for p in pieces]), np.concatenate([p[1] for p in pieces])


def _paint(
    body: Body, frame: StackFrame, sequence: Sequence, offsets: NDArray[np.float64], to_body: NDArray[np.float64]
) -> tuple[Array, Array]:
    nodes = lay_nodes(frame, body.curve, offsets.tolist(), to_body)
    edge, tissue = float(frame.spacing_rc_mm.mean()), signals(body.tissues, sequence)
    around = Canvas(nodes.merged(len(offsets)), edge, tissue, body.grain)
    depth = paint_outside(around, body, outline(body))  # soft parts hardly change within a slice: painted once
    canvas = Canvas(nodes, edge, tissue, body.grain)
    canvas.image = np.repeat(around.image, len(offsets), axis=0)
    paint_arches(canvas, body)
    paint_joints(canvas, body)
    paint_canal(canvas, body)
    paint_column(canvas, body)
    paint_metal(canvas, body)
    image = np.abs(canvas.image.reshape(len(frame), len(offsets), *frame.shape_rc).mean(1))
    return image * around.cover(-depth), depth  # deep parts of a small patient must not reach through the skin


def scan(rng: np.random.Generator, clean: Array, depth_mm: Array, scanner: Scanner) -> NDArray[np.float32]:
    """What coil, pulsation, a finite k-space and noise make of the signal."""
    image = clean * _sensitivity(depth_mm, scanner)
    n, rows, columns = image.shape
    space = scipy.fft.fft2(image)
    space *= _ghost_lines(scanner, (rows, columns)) * _window(scanner, (rows, columns))
    image = scipy.fft.ifft2(space)
    sigma = np.float32(scanner.noise)
    image.real += sigma * rng.standard_normal(image.shape, dtype=np.float32)
    image.imag += sigma * rng.standard_normal(image.shape, dtype=np.float32)
    magnitude = np.abs(image).astype(np.float32)
    return magnitude * (depth_mm > -_MASK_MM) if scanner.masked else magnitude


def _sensitivity(depth_mm: Array, scanner: Scanner) -> Array:
    """Falls with the depth under the skin of the back, with a slow shading across the image."""
    fall = (1 + np.maximum(depth_mm - 10, 0) / scanner.coil_mm) ** -scanner.coil_power
    n, rows, columns = depth_mm.shape
    fall *= 1 - (1 - scanner.band) / (1 + np.exp((scanner.band_depth_mm - depth_mm) / 5))
    sizes = zip((n, rows, columns), scanner.bias_phase, strict=True)
    waves = [np.sin(np.linspace(0, 2.5, size) + phase) for size, phase in sizes]
    shade = 1 + scanner.bias * (waves[0][:, None, None] + waves[1][:, None] + waves[2])
    return np.asarray(fall * shade, dtype=np.float32)


def _ghost_lines(scanner: Scanner, shape: tuple[int, int]) -> Array:
    """Pulsation modulates the phase-encoding lines: copies of the picture, faint, along that direction."""
    lines = 1 + scanner.ghost * np.cos(2 * np.pi * np.arange(shape[scanner.phase_axis - 1]) / scanner.ghost_period)
    return np.expand_dims(lines, 2 - scanner.phase_axis).astype(np.float32)


def _window(scanner: Scanner, shape: tuple[int, int]) -> Array:
    """Smooth end of k-space, the phase direction cut shorter: a mild blur with a hint of ringing."""
    ends = [1.0, 1.0]
    ends[scanner.phase_axis - 1] = scanner.cut
    frequency = [np.abs(np.fft.fftfreq(n)) / end for n, end in zip(shape, ends, strict=True)]
    edges = [np.clip((0.5 - f) / 0.06, 0, 1) * np.exp(-1.2 * f**2) for f in frequency]
    return np.asarray(edges[0][:, None] * edges[1], dtype=np.float32)
