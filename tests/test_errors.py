"""One bad study never stops a run: every net catches whatever it raises, and lets pass what is no study's fault."""

from __future__ import annotations

import ast
import builtins
import importlib
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import errors_page
import measure_house as house
import numpy as np
import pytest
import torch
from crop_sets import RECIPE

import spinekit
from spinekit.errors import OutOfMemory, SpinekitError, code_of, describe, study_failure
from spinekit.evaluation import grading, localization, measurements, realism_report
from spinekit.exams import batch, reports
from spinekit.grading import crop_cache, inference
from spinekit.grading.crop_centres import StudyCentre
from spinekit.io.dicom_errors import NoPixels
from spinekit.label_audit import folder_report
from spinekit.localization import localizer, resampling
from spinekit.spatial import registration

PACKAGE = Path(spinekit.__file__).parent
TORCH = RuntimeError("mat1 and mat2 shapes cannot be multiplied\n(1x2 and 3x4)")
WORDS = "RuntimeError: mat1 and mat2 shapes cannot be multiplied (1x2 and 3x4)"


class Broken:
    """A cohort of which every study raises the same error."""

    folder = Path("cohort")

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def read(self, study_id: int) -> None:
        raise self.error

    def only(self, study_id: int) -> Broken:
        return self


def grade_cohort(data: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    models: Any = [SimpleNamespace(grader=SimpleNamespace(prior=np.full((25, 3), 1 / 3)))]
    blender: Any = None
    return str(inference.grade_cohort(data, [7], models, blender)[1]["message"][0])


def cut_crops(data: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    return crop_cache._cut_study(crop_cache._Job(data, 7, ((StudyCentre(None, None, False), RECIPE),)))[0].problem


def evaluate_grades(data: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(grading, "_models", lambda members: [])
    monkeypatch.setattr(grading, "_cohort", lambda folder: data)
    return str(grading._predictions((data.folder, (), 7)))


def evaluate_where(data: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(localization, "_loaded", lambda folder, weights: (data, None, None))
    return str(localization._evaluate((data.folder, data.folder, 7, True)))


def measure(data: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(measurements, "_loaded", lambda folder, weights: (data, None, None))
    return str(measurements._measure((data.folder, None, 7, 0.0)))


def set_beside(data: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(realism_report, "_loaded", lambda folder: data)
    return str(realism_report._measure((data.folder, 7, {})))


def register(data: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    logged: list[str] = []
    monkeypatch.setattr(registration.log, "warning", lambda text, *values: logged.append(text % values))
    assert registration.align_all(data, [7], progress=False) == {7: {}}
    return logged[0]


def read_canonical(data: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    study = resampling.read_canonical(data, 7, {})
    assert not study.stacks
    return study.findings[0].message


def find_landmarks(data: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    logged: list[str] = []
    monkeypatch.setattr(localizer.log, "warning", lambda text, *values: logged.append(text % values))
    localizers: Any = SimpleNamespace(find=lambda study: data.read(7) if study.stacks else "nothing")
    study = resampling.CanonicalStudy(7, ("a stack",))  # type: ignore[arg-type]
    assert localizer._find(localizers, study) == "nothing"
    return logged[0]


def recognise_kinds(data: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    report = folder_report.Report(Path("cohort"))
    report.add("7", [], lambda study_id, stacks: data.read(7))
    return report.findings[0].message


Net = Callable[[Any, pytest.MonkeyPatch], str]


def grade_exam(data: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    exam: Any = SimpleNamespace(study_uid="7", findings=(), read=lambda: data.read(7))
    models: Any = None
    return batch.grade_or_say_why(exam, models)[1].problem


def write_report(data: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    return reports.write_or_say_why(lambda: data.read(7), "7")


NETS: list[Net] = [
    grade_cohort,
    cut_crops,
    evaluate_grades,
    evaluate_where,
    measure,
    set_beside,
    register,
    read_canonical,
    find_landmarks,
    recognise_kinds,
    grade_exam,
    write_report,
]


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("error", [TORCH, KeyError("x"), AssertionError("x"), NoPixels(Path("1.dcm"), "no image")])
def test_every_net_catches_whatever_a_study_raises_and_says_it_alike(
    net: Net, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert net(Broken(error), monkeypatch).endswith(describe(error))


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
        OutOfMemory("study 7: memory ran out"),
    ],
)
def test_no_net_takes_a_machine_without_memory_for_a_bad_study(
    net: Net, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OutOfMemory, match="study 7: memory ran out"):
        net(Broken(error), monkeypatch)


@pytest.mark.parametrize("net", NETS)
def test_no_net_holds_back_an_interrupt(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyboardInterrupt):
        net(Broken(KeyboardInterrupt()), monkeypatch)


def test_an_error_in_one_line() -> None:
    assert describe(TORCH) == study_failure(7, TORCH) == WORDS
    assert describe(ValueError()) == "ValueError"
    assert describe(SpinekitError("a: b")) == "spinekit/spinekit-error: a: b"
    assert describe(NoPixels(Path("1.dcm"), "a\n b")).startswith("io/no-pixels: 1.dcm: a b. Only grey")
    assert describe(OutOfMemory("")) == "spinekit/out-of-memory"


def test_out_of_memory_comes_back_from_a_worker_process() -> None:
    with pytest.raises(OutOfMemory) as caught:
        study_failure("7", MemoryError("Unable to allocate 9 GiB"))
    again = pickle.loads(pickle.dumps(caught.value))
    assert isinstance(again, OutOfMemory) and str(again) == str(caught.value) and "9 GiB" in str(again)


def _nets_of(file: Path) -> list[tuple[str, bool]]:
    """Handlers of any ``Exception`` that go on after it, and whether they call ``study_failure``."""
    problems = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ExceptHandler) and getattr(node.type, "id", "") == "Exception":
            inside = list(ast.walk(node))
            names = {getattr(call.func, "id", "") for call in inside if isinstance(call, ast.Call)}
            if not any(isinstance(inner, ast.Raise) for inner in inside):
                problems.append((f"{file.name}:{node.lineno}", "study_failure" in names))
    return problems


def test_every_net_of_the_package_follows_the_rule() -> None:
    nets = [net for file in sorted(PACKAGE.rglob("*.py")) for net in _nets_of(file)]
    assert len(nets) == len(NETS) and all(follows for _, follows in nets), nets


ROOT = PACKAGE.parent
OWN = {name: kinds for name, kinds in house.error_classes(ROOT).items() if not hasattr(builtins, name)}


def test_there_are_many_errors_of_the_package() -> None:
    assert "SpinekitError" in OWN and len(OWN) > 30


@pytest.mark.parametrize("entry", errors_page.entries(), ids=lambda entry: entry.code)
def test_each_error_is_a_spinekit_error_and_says_what_has_happened_and_what_to_do(entry: errors_page.Entry) -> None:
    assert entry.meaning.strip("`")[0].isalpha() and entry.meaning.endswith(".") and len(entry.meaning.split()) >= 4
    assert len(entry.advice.split()) >= 3 and entry.advice[0].isupper() and entry.advice.endswith(".")
    module, _, name = entry.name.rpartition(".")
    error = getattr(importlib.import_module(module), name)
    assert issubclass(error, SpinekitError) and error.code == entry.code


def test_no_error_of_the_package_is_left_out() -> None:
    codes = [entry.code for entry in errors_page.entries()]
    assert {entry.name.rpartition(".")[2] for entry in errors_page.entries()} == set(OWN) - {"SpinekitError"}
    assert len(set(codes)) == len(codes) and all(re.fullmatch(r"[a-z_]+/[a-z]+(-[a-z]+)*", code) for code in codes)


def test_a_code_is_the_wing_and_the_name_of_a_class_or_its_old_one() -> None:
    assert code_of("spinekit.io.dicom_errors", "NoPixels") == "io/no-pixels"
    assert code_of("spinekit.parallel", "WorkerKilled") == "spinekit/worker-killed"

    class Moved(NoPixels):
        code = "learning/moved"

    class Below(Moved):
        pass

    assert (NoPixels.code, Moved.code, Below.code.partition("/")[2]) == ("io/no-pixels", "learning/moved", "below")


def test_the_page_of_errors_lists_each_of_them_and_nothing_else() -> None:
    """If not: python tests/errors_page.py"""
    assert errors_page.PAGE.read_text("utf-8") == errors_page.page()


def test_the_page_takes_halves_of_docstrings_and_advice(tmp_path: Path) -> None:
    (tmp_path / "spinekit" / "io").mkdir(parents=True)
    source = "class SpinekitError(Exception): ...\nclass A(SpinekitError):\n    'No ``x``. Do | it. Twice.'\n"
    source += "class B(A):\n    'Gone.'\n    advice = 'Wait'\n    code = 'old/b'\nclass C(Exception): ...\n"
    (tmp_path / "spinekit" / "io" / "x.py").write_text(source)
    a, b = errors_page.entries(tmp_path)
    assert (a.code, a.meaning, a.advice) == ("io/a", "No ``x``.", "Do | it. Twice.")
    assert (b.code, b.meaning, b.advice) == ("old/b", "Gone.", "Wait.")
    rows = [line for line in errors_page.page(tmp_path).splitlines() if line.startswith("| `")]
    assert rows == [r"| `io/a` | No `x`. | Do \| it. Twice. |", "| `old/b` | Gone. | Wait. |"]
