"""One process that reads, checks and grades damaged studies, one after the other, with little memory, and tells what
became of each. ``studies.py`` starts it, and ends it where a study holds it.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from crop_sets import RECIPE
from graded_exams import CARD
from marked_headers import EVERYTHING, forms, names_in
from spines import spines
from tiny_scan import MODEL
from torture.memory import limit_memory
from torture.process import Outcome

from spinekit import errors
from spinekit.anatomy import KINDS, TARGETS
from spinekit.course import submission
from spinekit.course.profiles import SMOKE
from spinekit.course.test_half import TrainedModels, grade
from spinekit.errors import OutOfMemory, SpinekitError
from spinekit.exams import batch, kinds
from spinekit.exams.weights import Weights
from spinekit.grading import grader
from spinekit.grading.inference import FoldModels
from spinekit.grading.models import SequenceGrader, build_classifier
from spinekit.grading.predictions import MEMBERS
from spinekit.io import cohort as cohorts
from spinekit.label_audit import folder_report
from spinekit.learning.encoders import heatmap_unet
from spinekit.localization import series_kind
from spinekit.localization.heatmaps import CHANNELS
from spinekit.localization.localizer import Localizer, Localizers
from spinekit.localization.peaks import Spread
from spinekit.localization.shape_model import learn_shape
from spinekit.scoring.ensemble import even

GRADED, REFUSED, TRACEBACK, MEMORY, ROWS, NAMED = "graded", "refused", "traceback", "memory", "rows", "named"
WORST_FIRST = (MEMORY, TRACEBACK, NAMED, ROWS, REFUSED, GRADED)


class Named(AssertionError):
    """What names the patient in the headers stands in what was written or said."""


def untrained() -> TrainedModels:
    """Models that learned nothing: what counts is that whatever they say becomes 25 rows."""
    torch.manual_seed(0)
    localizers = Localizers(
        {kind: Localizer(kind, MODEL, _heatmaps(kind), Spread.unknown(CHANNELS[kind])) for kind in KINDS},
        learn_shape(spines(20)),
    )
    recipe, prior = replace(SMOKE.grader, crops=RECIPE), np.tile([0.6, 0.25, 0.15], (len(TARGETS), 1))
    sequence = SequenceGrader(build_classifier(recipe), recipe).eval()
    single = build_classifier(recipe).eval()
    fold = FoldModels(
        localizers,
        grader.Grader(grader.SEQUENCE, sequence, recipe, prior),
        grader.Grader(grader.CROPS, single, recipe, prior),
    )
    return TrainedModels("untrained", (("untrained", 0),), [fold], even(MEMBERS), "plain mean")


def _heatmaps(kind: str) -> torch.nn.Module:
    return heatmap_unet(MODEL.encoder, CHANNELS[kind], MODEL.decoder_channels).eval()


class Said(logging.Handler):
    """What the package has said since it was last asked."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))

    def taken(self) -> str:
        lines, self.lines = self.lines, []
        return "\n".join(lines)


messages = Said()


def around(text: bytes, keyword: str) -> str:
    """What stands before and after the first mark of a keyword; what lies compressed in a PDF is not shown."""
    place = max(0, *(text.find(form.encode()) for form in forms(EVERYTHING[keyword])))
    return text[max(0, place - 200) : place + 100].decode(errors="replace")


def name_nobody(*texts: str | bytes) -> None:
    """Search texts, and what was said meanwhile, for the marks of the headers."""
    for text in (*texts, messages.taken()):
        data = text if isinstance(text, bytes) else text.encode(errors="replace")
        if names := sorted(names_in(data, EVERYTHING)):
            raise Named(f"names {names}: {around(data, names[0])}")


class Unnamed:
    """Errors that are not spinekit's and that the rule for one bad study among many has caught."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.memory = False
        self._rule = errors.study_failure

    def install(self) -> None:
        """Listen wherever the package applies the rule."""
        for name, module in list(sys.modules.items()):
            if name.startswith("spinekit") and getattr(module, "study_failure", None) is self._rule:
                module.study_failure = self  # type: ignore[attr-defined]

    def __call__(self, study_id: int | str, error: Exception) -> str:
        if not isinstance(error, SpinekitError):
            self.texts.append("".join(traceback.format_exception(error)))
        try:
            return self._rule(study_id, error)
        except OutOfMemory:
            self.memory = True
            raise

    def outcome(self, part: Callable[[], str]) -> Outcome:
        """What became of one part: how it ended, or the traceback of what it met."""
        self.texts, self.memory = [], False
        try:
            ended, said = GRADED, part()
            if said:
                ended = REFUSED
        except OutOfMemory as error:
            ended, said = MEMORY, str(error)
        except SpinekitError as error:
            ended, said = REFUSED, errors.describe(error)
        except MemoryError:
            ended, said = MEMORY, traceback.format_exc()
        except Named as error:
            ended, said = NAMED, str(error)
        except AssertionError:
            ended, said = ROWS, traceback.format_exc()
        except Exception:
            ended, said = TRACEBACK, traceback.format_exc()
        if self.memory:
            return Outcome(MEMORY, said)
        return Outcome(TRACEBACK, self.texts[0]) if self.texts else Outcome(ended, said)


def ready() -> tuple[Unnamed, TrainedModels]:
    """Models in place of those of a run, and the listener."""
    torch.set_num_threads(1)
    series_kind.MIN_HEIGHT, kinds.MIN_HEIGHT = 0.0, 0.01  # untrained models have low peaks
    models, unnamed = untrained(), Unnamed()
    batch.find = lambda source: Weights("untrained", (0,), {}, ())
    batch.card_of = lambda *given, **named: CARD
    batch._models = lambda *given: models
    unnamed.install()
    logging.getLogger("spinekit").addHandler(messages)
    return unnamed, models


def outcome_of(data: Path, out: Path | None, unnamed: Unnamed, models: TrainedModels) -> Outcome:
    """Check, grade and submit the test half of a cohort folder; with ``out``, its reports too."""
    parts = (
        lambda: _check(data),
        lambda: _graded(data / "test_images", out),
        lambda: _submitted(data, models),
    )
    outcomes = [unnamed.outcome(part) for part in parts]
    return min(outcomes, key=lambda one: WORST_FIRST.index(one.outcome))


def _check(data: Path) -> str:
    report = folder_report.check(data / "test_images")
    name_nobody(json.dumps(report.to_json()), report.to_text())
    return ""


def _graded(images: Path, out: Path | None) -> str:
    graded = batch.grade_paths([images], out=out)
    name_nobody(json.dumps(graded.to_json()))
    for file in (file for file in out.rglob("*") if file.is_file() and file.name != "report.dcm") if out else ():
        name_nobody(str(file.relative_to(images.parent.parent)), file.read_bytes())
    for exam in graded.exams:
        assert exam.problem or len(exam.grades) == len(TARGETS), exam
        failed = [finding.message for finding in exam.findings if finding.code == batch.REPORT_FAILED]
        assert not failed, failed
        name_nobody(json.dumps(replace(exam, patient_id="", study_date="").to_json(), allow_nan=False))
    return "; ".join(exam.problem for exam in graded.exams if exam.problem)


def _submitted(data: Path, models: TrainedModels) -> str:
    """25 valid rows for each study, whatever it is like."""
    cohort = cohorts.load(data)
    asked = cohort.studies("test", with_images=False)
    graded = grade(cohort, asked, models)
    table, lacking = submission.submission(cohort, graded.probabilities, models.prior)
    counts = submission.check_submission(table, cohort)
    assert counts == {"rows": len(TARGETS) * len(asked), "studies": len(asked)}, counts
    assert set(lacking) == set(graded.failures), (lacking, graded.failures)
    name_nobody(table.to_csv(), *graded.failures.values())
    return "; ".join(graded.failures.values())


def work(jobs: Connection) -> None:
    """Answer each (data folder, folder of reports or None) that comes with an outcome; ends with None."""
    unnamed, models = ready()
    limit_memory()
    jobs.send("ready")
    while (job := jobs.recv()) is not None:
        jobs.send(outcome_of(*job, unnamed, models))


def as_row(outcome: Outcome) -> dict[str, Any]:
    return {"outcome": outcome.outcome, "said": outcome.said}
