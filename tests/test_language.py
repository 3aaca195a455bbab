"""Words that are not used here: the package, its notebooks and its guides use the field's terms instead.

A failure names the place and what to write. A word that comes back in a good sense needs a better pattern, not an
exception.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import measure_house as house
import pytest

ROOT = Path(__file__).parent.parent
# Pattern, and what to write instead. Letters of a pattern stand for both cases, except in names of code.
NAMES = {
    r"_?(LEAST|MOST|FEWEST|WIDEST|FURTHEST)_\w+": "MIN_..., MAX_...",
    r"_?FEW_\w+": "MIN_..., such as MIN_STUDIES_PER_WORKER",
    r"Lessons?|lessons?": "TrainingTargets, FoldData, fold_data",
    r"Said|spoken": "FoldPredictions, predictions",
    r"Doubt|doubts_of": "LabelIssue",
    r"class (Judge|Panel)": "EvaluationSet",
    r"LevelLook|SecondLook": "CrossLevelAttention",
    r"untilted": "remove_class_weights",
    r"taught_maps|taught": "target_heatmaps, target_xyz_mm, trained_on",
    r"teachers?": "training_studies",
    r"nonsense": "permuted",
    r"told_apart": "separability, auc",
    r"where_looked": "saliency_maps",
    r"turn_deg|turns?_\w+_deg": "rotation_deg",
    r"label_mass": "target_weights",
    r"level_sure|unsure_mm": "level_confidence, sd_mm",
    r"in_mirror|TOKEN_MIRROR": "flipped, FLIPPED_TOKEN",
}
PHRASES = {
    r"very (slice|one)\b": "exact slice, exact match",
    r"mm a pixel": "mm/pixel",
    r"mm a slice|mm from slice to slice": "slice spacing (mm)",
    r"dealt out anew": "permuted labels",
    r"(taught|teach) non?sense|teach(es)? nothing": "trained on permuted labels, nothing is learned",
    r"evaluate where\b": "evaluate localization",
    r"evaluate grades\b": "evaluate grading",
    r"believed less": "suspected label errors down-weighted",
    r"(a|the) second look, across|the second look\b": "cross-level attention",
    r"surest first": "by decreasing probability",
    r"least sure": "most uncertain",
    r"level names are unsure|unsure landmark": "uncertain level labels, an uncertain landmark",
    r"(be|are|is|was|were) told apart": "separated, distinguished",
    r"made honest|how honest|honest (score|curve|probabilit\w+)": "calibrated; a score on unseen studies",
    r"phantom's own chances|known chances": "the generating probabilities",
    r"not learned from|learned from them|studies to learn from": "trained on, training studies",
    r"studies teach\b": "training studies",
    r"to judge by|judged (on|by):": "evaluated on",
    r"as the seed had|the seed had": "as in the published pipeline",
    r"highest of the heat-map": "maximum of the heat-map",
    r"the whole way (from|without)": "end to end",
    r"the luck of the draw": "sampling noise",
    r"knobs?\b": "hyperparameter",
    r"stays? / moves": "fixed / moving image",
    r"how severe:": "grading:",
}


@cache
def texts() -> dict[str, str]:
    """Text by place: a module, a cell of a notebook with the output it keeps, a guide."""
    files = [*sorted((ROOT / "spinekit").rglob("*.py")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    by_place = {str(file.relative_to(ROOT)): file.read_text("utf-8") for file in files}
    for file in sorted((ROOT / "notebooks").glob("*.ipynb")):
        by_place |= {f"{file.stem}, cell {i}": text for i, text in enumerate(_cells(file))}
    return by_place


def _cells(file: Path) -> Iterator[str]:
    for cell in json.loads(file.read_text("utf-8"))["cells"]:
        printed = ["".join(output.get("text", [])) for output in cell.get("outputs", [])]
        yield "\n".join(["".join(cell["source"]), *printed])


def places_of(pattern: str, flags: int) -> list[str]:
    """Place, line and words of each match; a phrase may go over the end of a line."""
    spaced = pattern.replace(" ", r"\s+(?:#\s+)?")
    compiled = re.compile(rf"\b(?:{spaced})(?!\w)", flags)
    return [
        f"{place}:{text[: match.start()].count(chr(10)) + 1} {' '.join(match.group().split())}"
        for place, text in texts().items()
        for match in compiled.finditer(text)
    ]


def assert_gone(pattern: str, instead: str, flags: int) -> None:
    places = places_of(pattern, flags)
    assert not places, "\n  ".join([f"write: {instead}. {len(places)} places:", *places])


@pytest.mark.parametrize("pattern", NAMES)
def test_a_name_is_the_fields_own(pattern: str) -> None:
    assert_gone(pattern, NAMES[pattern], 0)


@pytest.mark.parametrize("pattern", PHRASES)
def test_a_phrase_is_plain_english(pattern: str) -> None:
    assert_gone(pattern, PHRASES[pattern], re.IGNORECASE)


def test_names_say_what_they_hold() -> None:
    counts = {name: times for name, (times, _) in house.vague_names(ROOT).items() if times}
    message = f"assignments to {counts}: name what the value is (group_rows, residuals_mm, in_bounds, predictions)"
    assert not counts, message


def test_the_scan_finds_words_in_code_prose_and_across_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    held = {"a.py": "x = 1  # on the very\n# slice\nMOST_MM = 2\nFINE_MOST_MM = 3\n", "b": "Every slice. Lesson"}
    monkeypatch.setitem(globals(), "texts", lambda: held)
    assert places_of("very slice", re.IGNORECASE) == ["a.py:1 very # slice"]
    assert places_of(r"_?MOST_\w+", 0) == ["a.py:3 MOST_MM"]
    assert places_of("Lessons?", 0) == ["b:1 Lesson"]
