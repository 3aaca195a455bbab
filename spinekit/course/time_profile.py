"""Where the time of a step goes, by parts of the work, kept beside its result as ``time.json``.

A thread looks at the stack of the step's thread every 20 ms, from ``runs.begin`` to ``run.finish``, and counts the time
since its last look for the part that the innermost rule of ``_RULES`` names. Time is that of the clock: a part that
waits for worker processes is counted for what they do and is marked as theirs. What a GPU computes shows where the
program waits for it.

Own sampling, because a profiler that is called at each function call slows Python down: reading phantom studies took
1.9 times as long under cProfile and 1.6 times under pyinstrument (every 20 ms), and as long as without any under this.
The thread itself took 0.7 % of the clock's time as processor time.
"""

from __future__ import annotations

import re
import sys
import threading
import time
import weakref
from collections import defaultdict
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import FrameType

from spinekit.artifacts import read_json, rounded, write_json
from spinekit.course.folders import TIME
from spinekit.errors import SpinekitError

PERIOD_SECONDS = 0.02
MIN_SHARE = 0.01  # smaller parts are shown as one
SHOWN_IN_WORDS = 3
DICOM, TABLES, RESAMPLING, CROPS = "reading DICOM", "reading tables", "resampling slices", "cutting crops"
PHANTOMS, MATCHING, REGISTRATION, AUDIT = "drawing phantoms", "matching slices", "registering series", "auditing labels"
TRAINING, BATCHES, PREDICTION = "training", "loading batches", "prediction"
PEAKS, LANDMARKS, MEASURING = "finding peaks", "from peaks to landmarks", "measuring in mm"
SALIENCY, GENERATION, EVALUATION = "saliency", "generating crops", "scores and evaluation"
FIGURES, FILES, MAKING = "figures", "writing and checking results", "making a missing step"
IMPORTS, CELLS, IDLE, OTHER = "imports", "code of the notebook's cells", "between cells", "other"
START = "start of the kernel and first imports"
IN_WORKERS = " in worker processes"
SMALL = f"parts below {100 * MIN_SHARE:.0f} % each"

# File and function from the package's folder on: the first that a frame begins with names its part. What is not here or
# has none (models, losses, augmentation) counts for what called it: a forward pass is training or prediction.
_RULES = {
    "io/csv_file.py": TABLES,
    "io/tables.py": TABLES,
    "io/": DICOM,
    "spatial/slice_matching.py": MATCHING,
    "spatial/": REGISTRATION,
    "label_audit/": AUDIT,
    "localization/resampling.py": RESAMPLING,
    "localization/slice_store.py:__getitem__": "",  # of batches, or of whoever looks at a stack
    "localization/slice_store.py:_opened": "",
    "localization/slice_store.py": RESAMPLING,
    "localization/heatmaps.py:predict": PREDICTION,
    "localization/unet3d.py:predict": PREDICTION,
    "localization/unet3d.py:train": TRAINING,
    "localization/peaks.py": PEAKS,
    "localization/peak_uncertainty.py": PEAKS,
    "localization/localizer.py:train": TRAINING,
    "localization/localizer.py:_train": TRAINING,
    "localization/localizer.py": LANDMARKS,
    "localization/assembly.py": LANDMARKS,
    "localization/posterior.py": LANDMARKS,
    "localization/shape_model.py": LANDMARKS,
    "localization/decoders.py": LANDMARKS,
    "localization/dural_sac.py": MEASURING,
    "localization/edges.py": MEASURING,
    "localization/measurements.py": MEASURING,
    "learning/training.py": TRAINING,
    "learning/distributed.py": TRAINING,
    "learning/search.py": TRAINING,
    "grading/crops.py": CROPS,
    "grading/crop_cache.py": CROPS,
    "grading/training.py": TRAINING,
    "grading/pretraining.py": TRAINING,
    "grading/generation.py:train": TRAINING,
    "grading/generation.py:sample": GENERATION,
    "grading/batches.py": PREDICTION,
    "grading/predictions.py": PREDICTION,
    "grading/inference.py": PREDICTION,
    "grading/saliency.py": SALIENCY,
    "scoring/metric.py:competition_loss": TRAINING,
    "scoring/metric.py:weighted_cross_entropy": TRAINING,
    "scoring/": EVALUATION,
    "evaluation/": EVALUATION,
    "experiments/trial.py": TRAINING,
    "phantom/truth.py": "",
    "phantom/": PHANTOMS,
    "figures/": FIGURES,
    "artifacts.py": FILES,
    "course/digests.py": FILES,
    "course/finished.py": FILES,
    "course/manifests.py": FILES,
    "course/provenance.py": FILES,
    "course/runs.py": FILES,
    "course/time_profile.py": FILES,
    "course/making.py": MAKING,
}
# Folders of libraries: what is called in them counts for them, whoever called it.
_LIBRARIES = {"/torch/utils/data/": BATCHES, "/matplotlib/": FIGURES, "/matplotlib_inline/": FIGURES}
_PROCESSES = ("/concurrent/futures/", "/multiprocessing/")
_CELL = re.compile(r"/ipykernel_\d+/")  # ipykernel names a cell as a file in such a folder
_PACKAGE = Path(__file__).parents[1].as_posix() + "/"


class BadTimes(SpinekitError):
    """A ``time.json`` that does not hold the seconds of a step's parts. Remove it: nothing needs it."""


class Sampler:
    """Samples the thread that makes it, until ``stop``, or until nothing refers to it any more."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = defaultdict(float)
        self._stopped = threading.Event()
        given = (threading.get_ident(), self._seconds, self._stopped)
        self._thread = threading.Thread(target=_sample, args=given, name="spinekit-time", daemon=True)
        self._thread.start()
        weakref.finalize(self, self._stopped.set)  # of a step that stopped half-way

    def stop(self) -> dict[str, float]:
        """Seconds of each part until now, or until it was stopped first."""
        self._stopped.set()
        self._thread.join()
        return dict(self._seconds)


def _sample(watched: int, seconds: dict[str, float], stopped: threading.Event) -> None:
    before = time.perf_counter()
    is_last = False
    while not is_last:
        is_last = stopped.wait(PERIOD_SECONDS)
        frame = sys._current_frames().get(watched)
        # Not a count of looks: the thread has to wait while the other one holds the interpreter's lock.
        now = time.perf_counter()
        seconds[part_of(frame)] += now - before
        before = now


def part_of(frame: FrameType | None) -> str:
    """The part of the work that a stack belongs to, given by its innermost frame; `OTHER` where no frame says it."""
    innermost, library, part, in_workers = frame, "", "", False
    while frame is not None and not part:
        of_library, part, is_process = _rule(frame.f_code.co_filename, frame.f_code.co_name)
        library, in_workers = library or of_library, in_workers or is_process
        frame = frame.f_back
    if library and part != IMPORTS:
        part = library
    if not part:
        is_idle = innermost is not None and innermost.f_code.co_filename.endswith("/selectors.py")
        return IDLE if is_idle else OTHER
    return part + IN_WORKERS if in_workers else part


@cache
def _rule(file: str, function: str) -> tuple[str, str, bool]:
    """Part of a library's frame; part of another one; whether it waits for processes. Empty: another frame says it."""
    file = file.replace("\\", "/")
    if file.startswith("<frozen importlib"):
        return "", IMPORTS, False
    if file.startswith(_PACKAGE):
        place = f"{file.removeprefix(_PACKAGE)}:{function}"
        return "", next((part for start, part in _RULES.items() if place.startswith(start)), ""), False
    if _CELL.search(file):
        return "", CELLS, False
    library = next((part for folder, part in _LIBRARIES.items() if folder in file), "")
    return library, "", any(folder in file for folder in _PROCESSES)


def write(folder: Path, seconds: Mapping[str, float]) -> None:
    """Write ``time.json`` of a step's folder: seconds of each part."""
    write_json(folder / TIME, {"seconds": rounded(seconds, 3)})


def read(folder: Path) -> dict[str, float]:
    """Seconds of each part of the step in ``folder``, the longest first; empty where none were kept.

    Raises: `BadTimes` where its ``time.json`` holds something else.
    """
    file = folder / TIME
    if not file.is_file():
        return {}
    try:
        seconds = {str(part): float(value) for part, value in read_json(file)["seconds"].items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadTimes(f"{file} does not hold seconds of a step's parts: remove it, nothing needs it") from error
    return dict(sorted(seconds.items(), key=lambda item: -item[1]))


def add_start(folder: Path, seconds: float) -> None:
    """Count what a step took in all beyond its parts: the kernel starts and imports before the step begins.

    Raises: `BadTimes` as `read` does.
    """
    parts = read(folder)
    write(folder, parts | {START: max(0.0, seconds - sum(parts.values()))})


def rows(seconds: Mapping[str, float]) -> list[tuple[str, float, float]]:
    """Part, seconds and share 0..1, the longest first; parts below `MIN_SHARE` are one row at the end."""
    total = sum(seconds.values())
    shown = {part: value for part, value in seconds.items() if value >= MIN_SHARE * total > 0}
    if small := sum(value for part, value in seconds.items() if part not in shown):
        shown[SMALL] = small
    return [(part, value, value / total) for part, value in shown.items()]


def in_words(folder: Path) -> str:
    """``training 45 %, figures 20 %, prediction 12 %`` of the step in ``folder``: where most of its time went.

    Raises: `BadTimes` as `read` does.
    """
    longest = rows(read(folder))[:SHOWN_IN_WORDS]
    return ", ".join(f"{part} {100 * share:.0f} %" for part, _, share in longest)
