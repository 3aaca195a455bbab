"""The 3D network against the 2D one: what each finds on studies it never saw, and what it costs.

Both are trained on the same studies by the same recipe, each in a process of its own, so that neither finds the other's
memory in use. Both are read in the same plain way, without the shape of a spine or another series to help: the highest
peak of a target's channel on the target's side of the body. So the networks are compared, and nothing else.
"""

from __future__ import annotations

import math
import multiprocessing
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from spinekit.anatomy import SAGITTAL_T2, TARGETS
from spinekit.course.scales import Unet3dScale
from spinekit.evaluation.landmarks import OTHER_LEVEL_MM
from spinekit.evaluation.landmarks import annotated as annotated_points
from spinekit.geometry import Floats, transform
from spinekit.learning import devices
from spinekit.learning.encoders import HeatmapUNet, heatmap_unet
from spinekit.learning.training import FitOptions, fit
from spinekit.localization import heatmaps, localizer, unet3d
from spinekit.localization.assembly import channel_of
from spinekit.localization.heatmaps import CHANNELS, SHOWN, HeatmapLoss, Slices
from spinekit.localization.localizer import MAX_PEAKS, LocalizerRecipe, training_targets
from spinekit.localization.peaks import Peaks, Spread, find_peaks, join
from spinekit.localization.resampling import CanonicalStack, CanonicalStudy
from spinekit.localization.unet3d import CPU_PRECISION, HeatmapUNet3d, Network3d
from spinekit.parallel import end_with_parent, tracked
from spinekit.phantom.truth import Truth

KIND = SAGITTAL_T2  # the only kind compared: its slices are few and far apart, and it shows every group of landmarks
AS_LONG = 1.5  # the 2D network shown so many times the slices trains about as long as the 3D one, on a CPU
SHOWN_TARGETS = tuple(sorted(i for channel in SHOWN[KIND] for i in channel))
COLUMNS = ["trial", "study_id", "target", "group", "level", "step_mm", "plane_mm", "across_mm", "slices_off"]
QUANTILES = {"median": 0.5, "p90": 0.9, "p99": 0.99}
COVERED_STEPS = 0.5  # a landmark further from the nearest slice, in slice distances, lies beside the stack
COST = ["parameters", "slices", "training_s", "stack_s", "start_mb", "training_mb"]


@dataclass(frozen=True)
class Trial:
    """One training: ``deep`` of the 3D network; ``budget`` in units of the recipe's slices."""

    name: str
    deep: bool
    budget: float = 1.0


TRIALS = (Trial("2D", False), Trial("3D", True), Trial("2D, as long", False, AS_LONG))


@dataclass(frozen=True)
class Setting:
    """What all trials share: the recipe of both networks, the 3D network, where they write, and the seed."""

    recipe: LocalizerRecipe
    network: Network3d
    folder: Path
    seed: int = 0


@dataclass(frozen=True)
class Outcome:
    """Of a trial: ``peaks`` for each study; ``heights`` (n, channels) of the heat-maps for each study and series, the
    highest of each slice; ``cost``: see ``COST``, seconds of training and of a stack, MB at the start and added by
    training."""

    peaks: dict[int, Peaks]
    heights: dict[tuple[int, str], NDArray[np.float32]]
    cost: dict[str, float]


def budget(recipe: LocalizerRecipe, scale: Unet3dScale, slices: int = 0) -> LocalizerRecipe:
    """The 2D recipe at the scale of this comparison, in an arithmetic that both networks can do; ``slices`` other than
    0 takes the place of the scale's."""
    recipe = replace(localizer.adapted(recipe, slices or scale.slices), sagittal=scale.grid)
    if devices.device().type == "cuda":
        return recipe
    return replace(recipe, train=replace(recipe.train, precision=CPU_PRECISION))


def compare(
    annotated: Iterable[CanonicalStudy], unseen: Iterable[CanonicalStudy], setting: Setting
) -> dict[str, Outcome]:
    """Each of ``TRIALS``: trained on annotated studies, applied to others; one process after the other."""
    training, evaluation = (
        [replace(study, stacks=study.of_kind(KIND)) for study in studies] for studies in (annotated, unseen)
    )
    outcomes = {}
    for trial in tracked(TRIALS, desc="2D and 3D", unit="training"):
        # A fresh process: a forked copy of a notebook's threads may hang, and has the notebook's memory.
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, mp_context=spawn, initializer=end_with_parent) as pool:
            outcomes[trial.name] = pool.submit(run, trial, training, evaluation, setting).result()
    return outcomes


def run(
    trial: Trial, annotated: Sequence[CanonicalStudy], unseen: Sequence[CanonicalStudy], setting: Setting
) -> Outcome:
    """One trial, in a fresh process if its memory is to be its own."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    recipe, seed = setting.recipe, setting.seed
    different = len(Slices(training_targets(annotated, KIND, recipe.blur)))
    shown = round(trial.budget * (recipe.slices or recipe.train.epochs * different))
    recipe = replace(recipe, slices=shown)
    folder = setting.folder / trial.name.replace(", ", "_").replace(" ", "_").lower()
    if trial.deep:
        HeatmapUNet3d(1, (4, 4, 4), 1.0)  # imports MONAI, which is no part of the training
    started, start_mb = time.perf_counter(), _memory_mb("VmRSS")
    model: torch.nn.Module
    if trial.deep:
        model, predict = unet3d.train(annotated, KIND, recipe, setting.network, folder, seed), unet3d.predict
    else:
        model, predict = train_2d(annotated, recipe, folder, seed), heatmaps.predict
    cost = {
        "parameters": sum(weights.numel() for weights in model.parameters()),
        "slices": shown,
        "training_s": time.perf_counter() - started,
        "start_mb": start_mb,
        "training_mb": _memory_mb("VmHWM") - start_mb,
    }
    return _applied(model, predict, unseen, cost)


def _applied(
    model: torch.nn.Module,
    predict: Callable[..., NDArray[np.float32]],
    studies: Sequence[CanonicalStudy],
    cost: dict[str, float],
) -> Outcome:
    spread, seconds = Spread.unknown(CHANNELS[KIND]), 0.0
    peaks: dict[int, Peaks] = {}
    heights: dict[tuple[int, str], NDArray[np.float32]] = {}
    for study in studies:
        proposals = []
        for stack in study.stacks:
            start = time.perf_counter()
            maps = predict(model, stack)
            seconds += time.perf_counter() - start
            proposals.append(find_peaks(stack, maps, MAX_PEAKS[KIND], spread))
            heights[study.study_id, stack.series_id] = maps.max((2, 3))
        if proposals:
            peaks[study.study_id] = join(proposals)
    return Outcome(peaks, heights, cost | {"stack_s": seconds / max(1, len(heights))})


def train_2d(studies: Sequence[CanonicalStudy], recipe: LocalizerRecipe, folder: Path, seed: int) -> HeatmapUNet:
    """The course's 2D network alone, shown exactly ``recipe.slices``; nothing else is fitted or stored."""
    targets = training_targets(studies, KIND, recipe.blur)
    epochs = math.ceil(recipe.slices / len(Slices(targets)))
    torch.manual_seed(seed)
    model = heatmap_unet(recipe.encoder, CHANNELS[KIND], recipe.decoder_channels, recipe.pretrained)
    loss = HeatmapLoss(recipe.grids()[KIND].mm_per_px, recipe.blur, recipe.augmentation)
    training = replace(recipe.train, epochs=epochs)
    fit(model, Slices(targets, limit=recipe.slices // epochs), loss, training, folder, FitOptions(seed))
    return model


def _memory_mb(field: str) -> float:
    """Memory of this process now (``VmRSS``) or at most (``VmHWM``); NaN where only other systems could tell.

    ``resource.getrusage`` would count what the process that started this one had in use.
    """
    status = Path("/proc/self/status")
    if not status.is_file():
        return float("nan")
    return int(re.search(rf"{field}:\s+(\d+) kB", status.read_text())[1]) / 1024  # type: ignore[index]


def costs(outcomes: Mapping[str, Outcome]) -> pd.DataFrame:
    """A row for each trial. Times and memory differ from machine to machine and from run to run."""
    return pd.DataFrame({name: outcome.cost for name, outcome in outcomes.items()}).T[COST]


def places_on_series(studies: Iterable[CanonicalStudy], truth: Truth | None) -> dict[tuple[int, str], Floats]:
    """(25, 3) landmarks for each study and series in that series's mm: the truth, or else the readers' points."""
    places = {}
    for study in studies:
        points = truth.landmarks_xyz_mm(study.study_id) if truth else annotated_points({0: study})[0]
        for stack in study.of_kind(KIND):
            moved = transform(truth.shift(int(stack.series_id)), points) if truth else points
            places[study.study_id, stack.series_id] = moved
    return places


def errors(
    outcomes: Mapping[str, Outcome],
    studies: Mapping[int, CanonicalStudy],
    places: Mapping[tuple[int, str], Floats],
) -> pd.DataFrame:
    """A row for each trial and landmark that a stack of at least three slices covers: how far off the highest peak of
    its channel is, in the plane and across slices, and by how many slices. Without a peak it is infinitely far."""
    rows = []
    for name, outcome in outcomes.items():
        for study_id, study in studies.items():
            for stack in study.of_kind(KIND):
                xyz_mm = places[study_id, stack.series_id]
                for target in (i for i in SHOWN_TARGETS if covers(stack, xyz_mm[i])):
                    peak = _highest(outcome.peaks[study_id], stack, target, study.centre_xyz_mm)
                    rows.append({"trial": name, "study_id": study_id, **_row(stack, target, xyz_mm[target], peak)})
    return pd.DataFrame(rows, columns=COLUMNS)


def covers(stack: CanonicalStack, xyz_mm: Floats) -> bool:
    """Whether a stack of at least three slices reaches over a place (3,)."""
    if len(stack.images) < 3 or not np.isfinite(xyz_mm).all():
        return False
    return bool(abs(stack.frame.nearest_slice(xyz_mm)[1]) <= COVERED_STEPS * stack.frame.step_mm)


def _highest(peaks: Peaks, stack: CanonicalStack, target: int, centre_xyz_mm: Floats) -> Floats | None:
    """The highest peak of a target's channel on a stack; left and right share a channel, and LPS x tells them apart."""
    rows = peaks.of_channel(channel_of(KIND, target))
    rows = rows[peaks.series[rows] == stack.series_id]
    if side := TARGETS[target].side:
        rows = rows[(peaks.xyz_mm[rows, 0] >= centre_xyz_mm[0]) == (side == "left")]
    return peaks.xyz_mm[rows[peaks.height[rows].argmax()]] if len(rows) else None


def _row(stack: CanonicalStack, target: int, true: Floats, peak: Floats | None) -> dict[str, object]:
    about = TARGETS[target]
    row: dict[str, object] = {
        "target": about.name,
        "group": about.group,
        "level": about.level,
        "step_mm": stack.frame.step_mm,
    }
    if peak is None:
        return row | dict.fromkeys(("plane_mm", "across_mm", "slices_off"), np.inf)
    offset_mm = peak - true
    across = float(offset_mm @ stack.frame.normal)
    off_slices = stack.frame.nearest_slice(peak)[0] - stack.frame.nearest_slice(true)[0]
    plane = np.linalg.norm(offset_mm - across * stack.frame.normal)
    return row | {"plane_mm": plane, "across_mm": abs(across), "slices_off": abs(int(off_slices))}


def summary(table: pd.DataFrame, by: str | list[str] = "trial") -> pd.DataFrame:
    """Quantiles in mm in the plane and across slices; shares in percent on the exact slice, within one, on another
    level; number."""
    groups = table.groupby(by, sort=False)
    columns = {
        f"{part}_{name}_mm": groups[f"{part}_mm"].quantile(q, interpolation="higher")
        for part in ("plane", "across")
        for name, q in QUANTILES.items()
    }
    columns |= {
        "exact_%": 100 * groups["slices_off"].apply(lambda slices: (slices == 0).mean()),
        "within_one_%": 100 * groups["slices_off"].apply(lambda slices: (slices <= 1).mean()),
        "other_level_%": 100 * groups["plane_mm"].apply(lambda mm: (mm > OTHER_LEVEL_MM).mean()),
        "landmarks": groups.size(),
    }
    return pd.DataFrame(columns)


def metrics(table: pd.DataFrame) -> dict[str, float]:
    """What a run keeps: no times and no memory, which differ from run to run."""
    kept = summary(table)[["plane_median_mm", "across_median_mm", "exact_%", "other_level_%"]]
    return {f"{trial}: {name}": value for trial, row in kept.iterrows() for name, value in row.items()}
