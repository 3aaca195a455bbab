"""95 % intervals over resampled studies, and over resampled trainings of a model where a docstring says so.

The first draw is everything, once: the value itself. Draws depend on the number of studies and a seed alone, so they
are the same for all predictions of the same studies: subtract the draws of two models, then cut the interval, and the
difference is paired.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from spinekit.geometry import Floats

BOOTSTRAPS = 500
INTERVAL = (2.5, 97.5)  # percent


def resampled(studies: int, seed: int = 0) -> Floats:
    """(1 + ``BOOTSTRAPS``, studies) how often each study comes: once in the first draw, then as in samples of as many
    with replacement."""
    picks = np.random.default_rng(seed).integers(max(studies, 1), size=(BOOTSTRAPS, studies))
    drawn = [np.bincount(pick, minlength=studies) for pick in picks]
    return np.vstack([np.ones(studies), *drawn])


def over_seeds(draws: Floats, seed: int = 0) -> Floats:
    """(1 + draws,) means over the trainings of a model, of values (1 + draws, seeds). Each draw but the first draws
    seeds with replacement too: another seed, another result. Of three seeds that is a rough guess."""
    seeds = draws.shape[1]
    picked = np.random.default_rng(seed + 1).integers(seeds, size=draws.shape)  # + 1: not the studies' own numbers
    picked[0] = np.arange(seeds)
    return np.take_along_axis(draws, picked, 1).mean(1)


def interval(draws: Floats) -> Floats:
    """(2, ...) ends of the 95 % interval of resamples (draws, ...), the first draw not among them. Draws that are no
    number are left out; NaN where none is one."""
    draws = np.asarray(draws, dtype=np.float64)
    columns = draws.reshape(len(draws), -1).T
    finite = [column[np.isfinite(column)] for column in columns]
    ends = [np.percentile(column, INTERVAL) if len(column) else (np.nan, np.nan) for column in finite]
    return np.array(ends).T.reshape(2, *draws.shape[1:])


def summary(draws: Floats, name: str) -> dict[str, Any]:
    """The value ``name`` of the first of (1 + draws, ...), and of the others the ends of the interval, named with
    ``_low`` and ``_high`` after it: numbers, or arrays where each draw is one."""
    low, high = interval(draws[1:])
    return {name: draws[0], f"{name}_low": low, f"{name}_high": high}
