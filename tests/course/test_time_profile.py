"""Where the time of a step goes: which part a stack belongs to, the sampling thread, the file, rows for people."""

import ast
import gc
import multiprocessing.connection
import selectors
import sys
import time
from concurrent import futures
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
from torch.utils import data as torch_data

import spinekit
from spinekit.course import time_profile
from spinekit.course.time_profile import IN_WORKERS, START, BadTimes, Sampler, part_of

PACKAGE = Path(spinekit.__file__).parent
CELL = ("/tmp/ipykernel_4321/99.py", "<module>")
IMPORT = ("<frozen importlib._bootstrap>", "_find_and_load")
FIT = (PACKAGE / "learning/training.py", "fit")
READ = (PACKAGE / "io/study.py", "read_study")


def called(places, leaf):
    """What ``leaf`` gives when it is called through functions in these (file, function), the outermost first."""
    for file, function in reversed(places):
        name = "at_module_level" if function == "<module>" else function
        names = {"leaf": leaf}
        source = f"def {name}():\n    return leaf()" if function != "<module>" else "result = leaf()"
        code = compile(source, str(file), "exec")
        if function == "<module>":
            leaf = lambda code=code, names=names: exec(code, names) or names["result"]  # noqa: E731
        else:
            exec(code, names)
            leaf = names[name]
    return leaf()


def part(*places):
    return called(places, lambda: part_of(sys._getframe()))


@pytest.mark.parametrize("rule", time_profile._RULES)
def test_every_rule_names_code_that_is_there(rule):
    name, _, function = rule.partition(":")
    place = PACKAGE / name
    assert place.is_dir() if name.endswith("/") else place.is_file()
    if function:
        tree = ast.parse(place.read_text())
        assert function in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_every_rule_can_be_reached():
    rules = list(time_profile._RULES)
    for i, rule in enumerate(rules):
        assert not [first for first in rules[:i] if rule.startswith(first)], f"{rule} is never asked"


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        ([CELL], time_profile.CELLS),
        ([CELL, READ], time_profile.DICOM),
        ([CELL, (PACKAGE / "figures/crops.py", "show"), READ], time_profile.DICOM),  # the innermost one
        ([CELL, FIT, (PACKAGE / "grading/models.py", "forward")], time_profile.TRAINING),
        (
            [CELL, (PACKAGE / "grading/batches.py", "x"), (PACKAGE / "grading/models.py", "forward")],
            time_profile.PREDICTION,
        ),
        ([CELL, (PACKAGE / "localization/heatmaps.py", "predict")], time_profile.PREDICTION),
        ([CELL, FIT, (PACKAGE / "localization/heatmaps.py", "augment")], time_profile.TRAINING),
        ([CELL, (plt.__file__, "plot")], time_profile.FIGURES),
        ([(plt.__file__, "savefig")], time_profile.FIGURES),  # a figure that is shown after its cell has ended
        ([CELL, FIT, (torch_data.__file__, "x")], time_profile.BATCHES),
        (
            [CELL, FIT, (torch_data.__file__, "x"), (PACKAGE / "localization/slice_store.py", "__getitem__")],
            time_profile.BATCHES,
        ),
        ([CELL, READ, IMPORT, ("/lib/pydicom/dataset.py", "<module>")], time_profile.IMPORTS),
        ([CELL, IMPORT, (plt.__file__, "<module>")], time_profile.IMPORTS),
        ([CELL, READ, (futures.__file__, "wait")], time_profile.DICOM + IN_WORKERS),
        (
            [CELL, FIT, (torch_data.__file__, "x"), (multiprocessing.connection.__file__, "wait")],
            time_profile.BATCHES + IN_WORKERS,
        ),
    ],
)
def test_the_part_of_a_stack(places, expected):
    assert part(*places) == expected


def test_a_windows_path_is_read_alike():
    assert time_profile._rule(r"C:\Temp\ipykernel_4321\99.py", "<module>")[1] == time_profile.CELLS


def test_a_kernel_between_cells_does_not_run_a_cell():
    launcher = ("/lib/site-packages/ipykernel_launcher.py", "<module>")
    assert part(launcher) == time_profile.OTHER
    idle = called([launcher, (selectors.__file__, "select")], lambda: sys._getframe(1))
    assert part_of(idle) == time_profile.IDLE
    assert part_of(None) == time_profile.OTHER


def wait_for(sampler, expected):
    """Until the sampler has looked at the part that this waits in."""
    for _ in range(1000):
        if expected in sampler._seconds:
            return
        time.sleep(0.01)
    raise AssertionError(f"never sampled: {expected}")


def test_the_time_between_making_and_stopping_is_counted_once():
    before = time.perf_counter()
    sampler = Sampler()
    called([READ], lambda: wait_for(sampler, time_profile.DICOM))
    called([FIT], lambda: wait_for(sampler, time_profile.TRAINING))
    seconds = sampler.stop()
    assert {time_profile.DICOM, time_profile.TRAINING} <= set(seconds)
    assert 0 < sum(seconds.values()) <= time.perf_counter() - before
    assert not sampler._thread.is_alive()
    assert sampler.stop() == seconds  # a notebook's last cell may be run again


def test_a_sampler_that_is_not_needed_any_more_ends():
    sampler = Sampler()
    thread = sampler._thread
    del sampler
    gc.collect()
    thread.join(20)
    assert not thread.is_alive()


def test_the_file_comes_back_longest_first(tmp_path):
    assert time_profile.read(tmp_path) == {}
    time_profile.write(tmp_path, {"a": 1.23456, "b": 3.0})
    assert list(time_profile.read(tmp_path).items()) == [("b", 3.0), ("a", 1.235)]


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"seconds": 3}', b'{"seconds": {"a": "x"}}', b'{"seconds": {"a": null}}', b"\xff"]
)
def test_a_file_that_is_something_else_is_named(tmp_path, content):
    (tmp_path / "time.json").write_bytes(content)
    with pytest.raises(BadTimes, match=r"time\.json.*remove it"):
        time_profile.read(tmp_path)


def test_what_a_notebook_takes_before_and_after_is_added(tmp_path):
    time_profile.write(tmp_path, {"a": 6.0})
    time_profile.add_start(tmp_path, 10.0)
    assert time_profile.read(tmp_path) == {"a": 6.0, START: 4.0}
    assert time_profile.in_words(tmp_path) == f"a 60 %, {START} 40 %"


def test_small_parts_are_one_row():
    seconds = {"a": 90.0, "b": 9.0, "c": 0.6, "d": 0.4}
    assert time_profile.rows(seconds) == [("a", 90.0, 0.9), ("b", 9.0, 0.09), (time_profile.SMALL, 1.0, 0.01)]
    assert time_profile.rows({"a": 1.0, "b": 1.0}) == [("a", 1.0, 0.5), ("b", 1.0, 0.5)]
    assert time_profile.rows({}) == [] and time_profile.rows({"a": 0.0}) == []
