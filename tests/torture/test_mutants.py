"""The short version of mutation testing: a few edits of the core are noticed, and each kind of failure is seen."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from torture import edits, mutants
from torture.process import HANG

LIGHT = ["pytest", "hypothesis", "nbval.plugin", "pandas", "pydicom"]
SOURCE = '''
from __future__ import annotations
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    SIZE = 3


@dataclass(frozen=True)
class Half:
    """One of 2 halves."""

    def of(self, x: int | None = None, *, more: tuple[int, 2]) -> int | str:
        y: list[1] = x
        if not x:
            raise ValueError(f"{x}: 1 + {x - 1}")
        return [a / 2 for a, b in zip(x, x, strict=True)]
'''
INSIDE = '''
def inside(x):
    """Whether a number is one of 0, 1, 2; and a loop that an edit makes endless."""
    while x < -9:
        x += 9
    return 0 <= x < 3


def outside(x):
    return x + 7
'''
TEST = "from spinekit.little import inside\n\n\ndef test_inside():\n    assert [inside(x) for x in (-19, -1, 0, 2, 3)]"


def drawn(source: str, n: int = 99, seed: int = 0) -> list[edits.Edit]:
    return edits.draw([edits.sites_of("m.py", source)], {"m.py": source}, n, seed)


def test_edits_change_what_runs_and_no_guards_or_texts() -> None:
    made = drawn(SOURCE)
    lines = Counter((edit.site.within, edit.before) for edit in made)
    halved = "return [a / 2 for a, b in zip(x, x, strict=True)]"
    assert lines == {("Half.of", "if not x:"): 2, ("Half.of", halved): 2}  # sign and logic; number and operator
    assert not edits.changes_something(SOURCE, SOURCE.replace("int | str", "str").replace("2 halves", "3"))
    assert not edits.changes_something("x = 1", "x = ")


def test_a_draw_depends_on_its_seed_and_not_on_other_lines() -> None:
    functions = "".join(f"def f{i}(x):\n    return x + {i} < {i + 3}\n\n\n" for i in range(9))
    first = [edit.key for edit in drawn(functions, 6)]
    assert first == [edit.key for edit in drawn(functions, 6)] != [edit.key for edit in drawn(functions, 6, seed=1)]
    assert first == [edit.key for edit in drawn(f"import os\n\n\n{functions}", 6)]
    parts = [edit for edit in drawn(functions) if edit.site.within == "f4"]
    assert len(parts) == 4 and len({edit.after for edit in parts}) == 4  # two numbers, a sum, a comparison


def test_edits_of_the_core_are_noticed(tmp_path: Path) -> None:
    core = mutants.Core("spinekit/spatial/slice_matching.py", "geometry", (mutants.MATCHING,))
    tried = mutants.torture(tmp_path, 5, 0, [core], LIGHT)
    assert tried.failures == [] and tried.total[mutants.CAUGHT] == 5
    assert tried.percent_noticed() == {"% noticed": 100, "% geometry": 100}


@pytest.fixture
def little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> mutants.Core:
    """A package of one module, of which one function is tested and one is not."""
    for name, text in (
        ("spinekit/__init__.py", ""),
        ("spinekit/little.py", INSIDE),
        ("tests/test_little.py", f"{TEST} == [False, False, True, True, False]\n"),
    ):
        file = tmp_path / "root" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    monkeypatch.setattr(mutants, "ROOT", tmp_path / "root")
    monkeypatch.setattr(mutants, "COPIED", ("spinekit", "tests"))
    monkeypatch.setattr(mutants, "known_edits", dict)
    return mutants.Core("spinekit/little.py", "numbers", ("tests/test_little.py",), ("outside",))


def test_an_edit_that_nothing_notices_is_a_failure_unless_its_reason_is_listed(
    little: mutants.Core, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = mutants.torture(tmp_path / "a", 1, 0, [little], LIGHT)
    assert tried.total == {mutants.SURVIVED: 1} and tried.percent_noticed()["% noticed"] == 0
    (failure,) = tried.failures
    assert "return x + 7  ->" in failure
    listed = edits.keys_at(little.module, INSIDE, ["return x + 7"])
    monkeypatch.setattr(mutants, "known_edits", lambda: dict.fromkeys(listed, "nobody calls it"))
    tried = mutants.torture(tmp_path / "b", 1, 0, [little], LIGHT)
    assert tried.total == {mutants.KNOWN: 1} and tried.failures == []


def test_a_failing_and_a_hanging_test_are_noticed_and_the_source_comes_back(
    little: mutants.Core, tmp_path: Path
) -> None:
    copy = mutants.Copy(tmp_path / "copy", LIGHT)
    assert copy.outcome(little.module, INSIDE + "\n", little.tests).outcome == mutants.SURVIVED
    assert copy.outcome(little.module, INSIDE.replace("x < 3", "x <= 3"), little.tests).outcome == mutants.CAUGHT
    assert copy.outcome(little.module, INSIDE.replace("x += 9", "x -= 9"), little.tests, seconds=2).outcome == HANG
    assert {(root / little.module).read_text() for root in (copy.folder, mutants.ROOT)} == {INSIDE}


def test_tests_that_fail_without_an_edit_end_everything(little: mutants.Core, tmp_path: Path) -> None:
    (mutants.ROOT / little.tests[0]).write_text("def test_inside():\n    raise ValueError('no')\n")
    with pytest.raises(SystemExit, match=r"little\.py: its tests fail before any edit"):
        mutants.torture(tmp_path / "a", 1, 0, [little], LIGHT)


def test_listed_edits_can_still_be_made_and_have_a_reason() -> None:
    known = mutants.known_edits()
    assert mutants.stale(known, {key[0]: (mutants.ROOT / key[0]).read_text() for key in known}) == []
    assert all(len(reason.split()) > 2 for reason in known.values())


def test_a_reason_for_an_edit_that_can_no_longer_be_made_is_a_failure() -> None:
    known = [("m.py", "outside", "return x + 7", after) for after in ("return x - 7", "return x / 9")]
    (failure,) = mutants.stale(known, {"m.py": INSIDE})
    assert "return x / 9" in failure and len(mutants.stale(known, {"m.py": "x = 1"})) == 2
