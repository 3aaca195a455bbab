"""The short version of mutation testing: edits of the geometry are noticed, one that changes nothing is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from torture import edits, mutants
from torture.process import HANG

GEOMETRY = mutants.Core("spinekit/geometry.py", "geometry", ("tests/test_geometry.py",))
LIGHT = ["pytest", "hypothesis", "nbval.plugin"]
SOURCE = '''
from __future__ import annotations
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    SIZE = 3


def half(x: int | None = None, *, more: tuple[int, 2]) -> int | str:
    """One of 2 halves."""
    y: list[1] = x
    return x / 2
'''


def drawn(source: str, n: int = 99, seed: int = 0) -> list[edits.Edit]:
    return edits.draw([edits.sites_of("m.py", source)], {"m.py": source}, n, seed)


def test_edits_change_what_runs_and_nothing_else() -> None:
    made = drawn(SOURCE)
    assert {(edit.site.within, edit.before) for edit in made} == {("half", "return x / 2")}
    assert len(made) == 2  # of the number and of the operator
    assert not edits.changes_something(SOURCE, SOURCE.replace("int | str", "str").replace("2 halves", "3"))
    assert not edits.changes_something("x = 1", "x = ")


def test_a_draw_depends_on_its_seed_and_not_on_other_lines() -> None:
    functions = "".join(f"def f{i}(x):\n    return x + {i} < {i + 3}\n\n\n" for i in range(9))
    first = [edit.key for edit in drawn(functions, 6)]
    assert first == [edit.key for edit in drawn(functions, 6)] != [edit.key for edit in drawn(functions, 6, seed=1)]
    assert first == [edit.key for edit in drawn(f"import os\n\n\n{functions}", 6)]
    parts = [edit for edit in drawn(functions) if edit.site.within == "f4"]
    assert len(parts) == 4 and len({edit.after for edit in parts}) == 4  # two numbers, a sum, a comparison


def test_edits_of_the_geometry_are_noticed(tmp_path: Path) -> None:
    tried = mutants.torture(tmp_path, 3, 0, [GEOMETRY], LIGHT)
    assert (
        tried.failures == []
        and tried.total[mutants.CAUGHT] == 3
        and tried.percent_noticed() == {"% noticed": 100, "% geometry": 100}
    )


def test_what_changes_nothing_is_not_noticed_and_what_hangs_is_ended(tmp_path: Path) -> None:
    copy = mutants.Copy(tmp_path / "copy", LIGHT)
    source = (mutants.ROOT / GEOMETRY.module).read_text()
    same = source.replace("ORTHONORMAL_TOLERANCE = 1e-3", "ORTHONORMAL_TOLERANCE = 2e-3 / 2")
    assert same != source
    assert copy.outcome(GEOMETRY.module, same, GEOMETRY.tests).outcome == mutants.SURVIVED
    hangs = copy.outcome(GEOMETRY.module, source + "\nwhile True:\n    pass\n", GEOMETRY.tests, seconds=3)
    assert hangs.outcome == HANG
    assert (copy.folder / GEOMETRY.module).read_text() == source
    assert (mutants.ROOT / GEOMETRY.module).read_text() == source


def test_an_edit_that_nothing_notices_is_a_failure_unless_its_reason_is_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = mutants.Core(
        "spinekit/geometry.py", "geometry", ("tests/test_anatomy.py",), ("evenly_spread",)
    )  # tests of something else
    source = (mutants.ROOT / words.module).read_text()
    keys = edits.keys_at(words.module, source, [" ".join(source.split())])
    for name, reasons in (("a", {}), ("b", dict.fromkeys(keys, "why"))):
        monkeypatch.setattr(mutants, "known_edits", lambda reasons=reasons: reasons)
        tried = mutants.torture(tmp_path / name, 1, 0, [words], LIGHT)
        assert tried.total == ({mutants.KNOWN: 1} if reasons else {mutants.SURVIVED: 1})
        assert len(tried.failures) == (not reasons) and tried.percent_noticed()["% noticed"] == 0


def test_listed_edits_can_still_be_made_and_have_a_reason() -> None:
    known = mutants.known_edits()
    assert mutants.stale(known, {key[0]: (mutants.ROOT / key[0]).read_text() for key in known}) == []
    assert all(len(reason.split()) > 2 for reason in known.values())


def test_a_reason_for_an_edit_that_can_no_longer_be_made_is_a_failure() -> None:
    known = [("m.py", "half", "return x / 2", after) for after in ("return x * 2", "return x / 7")]
    (failure,) = mutants.stale(known, {"m.py": SOURCE})
    assert "return x / 7" in failure and len(mutants.stale(known, {"m.py": "x = 1"})) == 2
