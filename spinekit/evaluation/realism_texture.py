"""Figures of images that need no landmark but the cut-out itself: spectra, noise, edges, and where the body ends."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from spinekit.geometry import Floats

BANDS_PER_MM = ((0.05, 0.1), (0.1, 0.2), (0.2, 0.4), (0.4, 0.8))  # cycles/mm
SMOOTHING_MM, FROM_BODY_MM = 2.5, 6.0  # of the image whose body is outlined; of air to the body
BODY_SHARE = 0.2  # of the brightness of what is brighter than the mean
MIN_AIR_PX, MIN_EDGES = 150, 12
REACH_MM = 15.0  # of an edge to either side
MAX_EDGES = 300  # of a slice
SHARPEST_SHARE = 0.03  # of the edges within the body
_LAPLACIAN = np.array([[1.0, -2.0, 1.0], [-2.0, 4.0, -2.0], [1.0, -2.0, 1.0]])
_LAPLACIAN_GAIN = 6.0  # standard deviation of its answer to white noise of 1


def band_contrast(square: Floats, spacing_rc_mm: Floats) -> Floats:
    """(bands,) root mean square of a cut-out in each of BANDS_PER_MM, against its mean; NaN where its pixels are too
    coarse for a band. A plane is taken off first; a Hann window keeps the borders from counting."""
    rows, columns = np.indices(square.shape)
    plane = np.stack([np.ones(square.size), rows.ravel(), columns.ravel()], 1)
    rest = square.ravel() - plane @ np.linalg.lstsq(plane, square.ravel(), rcond=None)[0]
    window = np.outer(*(np.hanning(n + 2)[1:-1] for n in square.shape))
    power = np.abs(np.fft.fft2(rest.reshape(square.shape) * window)) ** 2 / (square.size * (window**2).sum())
    frequency = np.hypot(
        *np.meshgrid(*(np.fft.fftfreq(n, mm) for n, mm in zip(square.shape, spacing_rc_mm, strict=True)), indexing="ij")
    )
    limit = 0.5 / float(np.max(spacing_rc_mm))
    rms = [np.sqrt(power[(frequency >= a) & (frequency < b)].sum()) if b <= limit else np.nan for a, b in BANDS_PER_MM]
    return np.array(rms) / max(float(square.mean()), 1e-9)


def noise_sd(image: Floats) -> float:
    """Standard deviation of white noise that would explain the second differences of an image (Immerkaer 1996), by
    their median, so that edges count little; NaN for an image of less than three pixels either way."""
    if min(image.shape) < 3:
        return float("nan")
    return float(np.median(np.abs(ndimage.convolve(image, _LAPLACIAN)[1:-1, 1:-1]))) / 0.6745 / _LAPLACIAN_GAIN


def body_and_air(image: Floats, spacing_rc_mm: Floats) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Where the body is, without holes, and air about it, FROM_BODY_MM away; both (rows, columns)."""
    smooth = ndimage.gaussian_filter(image, SMOOTHING_MM / spacing_rc_mm)
    bright = smooth > BODY_SHARE * float(np.median(smooth[smooth >= smooth.mean()]))
    parts, count = ndimage.label(bright)
    if not count:
        return np.zeros(image.shape, bool), np.zeros(image.shape, bool)
    largest = np.argmax(np.bincount(parts.ravel())[1:]) + 1
    body = np.asarray(ndimage.binary_fill_holes(parts == largest))
    from_body_mm = (
        ndimage.distance_transform_edt(~body, sampling=spacing_rc_mm) if not body.all() else np.zeros(image.shape)
    )
    return body, np.asarray(from_body_mm > FROM_BODY_MM)


def air_noise(image: Floats, body: NDArray[np.bool_], air: NDArray[np.bool_]) -> float:
    """Standard deviation in air against the body's median; NaN where the image shows too little air."""
    if air.sum() < MIN_AIR_PX:
        return float("nan")
    return float(image[air].std() / max(np.median(image[body]), 1e-9))


def smooth_noise(image: Floats, body: NDArray[np.bool_], spacing_rc_mm: Floats) -> float:
    """``noise_sd`` where the body is smoothest, against its median: tenth percentile of neighbourhoods of 8 mm."""
    if min(image.shape) < 3 or not body.any():
        return float("nan")
    answers = np.abs(ndimage.convolve(image, _LAPLACIAN)) * np.sqrt(np.pi / 2) / _LAPLACIAN_GAIN
    local = ndimage.uniform_filter(answers, np.maximum(np.rint(8.0 / spacing_rc_mm), 3).astype(int))
    return float(np.percentile(local[body], 10) / max(np.median(image[body]), 1e-9))


def skin_edges(image: Floats, body: NDArray[np.bool_], air: NDArray[np.bool_], spacing_rc_mm: Floats) -> list[float]:
    """Distances in mm over which the signal rises from 10 to 90 % at the body's surface; none without air."""
    if air.sum() < MIN_AIR_PX:
        return []
    border = body ^ ndimage.binary_erosion(body, border_value=1)
    near = ndimage.distance_transform_edt(~border, sampling=spacing_rc_mm) <= 4.0
    return _rises(image, near, spacing_rc_mm, 0.3)


def sharpest_edges(image: Floats, body: NDArray[np.bool_], spacing_rc_mm: Floats) -> list[float]:
    """The same at the steepest edges within the body, SHARPEST_SHARE of all."""
    size = np.maximum(np.rint(5.0 / spacing_rc_mm), 1).astype(int)
    inside = ndimage.binary_erosion(body, np.ones(2 * size + 1, bool))
    return _rises(image, inside, spacing_rc_mm, 1 - SHARPEST_SHARE)


def _rises(image: Floats, region: NDArray[np.bool_], spacing_rc_mm: Floats, quantile: float) -> list[float]:
    """Rises along rows and columns at pixels where the gradient along that axis is greatest nearby, more than twice the
    other one, and above a quantile of such gradients in the region."""
    slopes = np.abs(np.gradient(image, *spacing_rc_mm))
    rises_mm: list[float] = []
    for axis in (0, 1):
        along, across = slopes[axis], slopes[1 - axis]
        peak = (along == ndimage.maximum_filter1d(along, 3, axis=axis)) & (along > 2 * across) & region & (along > 0)
        if not peak.any():
            continue
        steep = peak & (along >= np.quantile(along[peak], quantile))
        places = np.argwhere(steep)
        places = places[:: max(1, len(places) // MAX_EDGES)]
        for row, column in places:
            line, at = (image[:, column], row) if axis == 0 else (image[row], column)
            rises_mm.append(rise_mm(line, int(at), float(spacing_rc_mm[axis])))
    return [value for value in rises_mm if np.isfinite(value)]


def rise_mm(line: Floats, at: int, spacing_mm: float) -> float:
    """Distance in mm from 10 to 90 % of the run of rising (or falling) values about a pixel; NaN where none is."""
    reach = max(2, round(REACH_MM / spacing_mm))
    part = line[max(at - reach, 0) : at + reach + 1].astype(np.float64)
    at = min(at, reach)
    if at + 1 < len(part) and at > 0 and part[at + 1] < part[at - 1]:
        part, at = part[::-1], len(part) - 1 - at
    rising = np.diff(part) > 0
    start = max(np.flatnonzero(~rising[:at]), default=-1) + 1
    end = at + min(np.flatnonzero(~rising[at:]), default=len(rising) - at)
    run = part[start : end + 1]
    if len(run) < 2:
        return float("nan")
    levels = run[0] + np.array([0.1, 0.9]) * (run[-1] - run[0])
    low, high = np.interp(levels, run, np.arange(len(run)))
    return float(high - low) * spacing_mm


def middle(values: Sequence[float], at_least: int = 1) -> float:
    """Median of the finite values; NaN where they are too few."""
    finite = [value for value in values if np.isfinite(value)]
    return float(np.median(finite)) if len(finite) >= at_least else float("nan")
