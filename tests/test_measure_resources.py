"""The measurement of memory and disk: children count, and what is extrapolated is worked out by hand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from measure_resources import GB, Measured, extrapolated, memory_of, size_of, slices_gb, tree

from spinekit.localization import slice_store

ON_LINUX = pytest.mark.skipif(not Path("/proc/self/smaps_rollup").is_file(), reason="reads /proc")
# Holds 50 MB, starts a child that holds 100 MB, and says when both do; a mapped file of 200 MB does not count.
HOLDER = """
import mmap, subprocess, sys
held = bytearray(50_000_000)
with open(sys.argv[1], "rb") as file:
    mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
sum(mapped[:: mmap.PAGESIZE])
child = subprocess.Popen([sys.executable, "-c", "h = bytearray(100_000_000); print(flush=True); input()"],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
child.stdout.readline()
print(flush=True)
input()
child.communicate(b"\\n")
"""


@ON_LINUX
def test_memory_counts_what_children_hold_and_no_mapped_file(tmp_path: Path) -> None:
    file = tmp_path / "mapped"
    file.write_bytes(bytes(200_000_000))
    command = [sys.executable, "-c", HOLDER, str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout and process.stdin
        process.stdout.readline()
        assert len(tree(process.pid)) == 2
        assert 150e6 < memory_of(process.pid) < 200e6
        process.communicate(b"\n")
    assert memory_of(process.pid) == 0


def test_disk_is_what_lies_below_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "crops.npy").write_bytes(bytes(300))
    (tmp_path / "model.safetensors").write_bytes(bytes(20))
    assert size_of(tmp_path) == 320 and size_of(tmp_path, {".safetensors"}) == 20


def test_disk_grows_with_the_studies_models_do_not_and_memory_as_measured() -> None:
    few = Measured("04", 10, memory=2_000_000_000, models=5_000_000, data=40_000_000)
    many = Measured("04", 30, memory=2_020_000_000, models=5_000_000, data=120_000_000)
    alone, both = extrapolated([few], 1000), extrapolated([few, many], 1030)
    assert alone.to_dict() == pytest.approx({"memory_gb": 2.0, "disk_gb": 4.005})
    assert both.to_dict() == pytest.approx({"memory_gb": 3.02, "disk_gb": 4.125})


def test_slices_of_training_studies_are_kept_whatever_their_size_and_others_while_there_is_room() -> None:
    assert slices_gb(1e6, 1000, 500) == pytest.approx(1.5)
    assert slices_gb(7e6, 1975, 722) == pytest.approx(slice_store.MAX_BYTES / GB)
    assert slices_gb(10e6, 2000, 722) == pytest.approx(16.0)
