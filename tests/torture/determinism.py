"""The same command in other surroundings: another locale, time zone, hash seed and number of threads."""

from __future__ import annotations

import hashlib
from pathlib import Path

from torture.process import run_spinekit

SURROUNDINGS: dict[str, dict[str, str]] = {
    "as it is": {},
    "again": {},
    "another hash seed": {"PYTHONHASHSEED": "4711"},
    "another time zone": {"TZ": "Pacific/Kiritimati"},
    "locale C": {"LC_ALL": "C", "LANG": "C"},
    "2 threads": {"OMP_NUM_THREADS": "2"},
}
QUICK = ("as it is", "another hash seed", "another time zone")


def torture(home: Path, surroundings: tuple[str, ...] = tuple(SURROUNDINGS), studies: int = 1) -> dict[str, list[str]]:
    """The files that differ from those of the first surroundings, by surroundings: of ``spinekit phantom``, and of what
    ``spinekit check --json`` prints of the first phantom."""
    first = {}
    differing = {}
    for number, name in enumerate(surroundings):
        own = home / str(number)
        surrounded = {"OMP_NUM_THREADS": "1"} | SURROUNDINGS[name]
        run_spinekit("phantom", str(own), "--studies", str(studies), "--no-traps", "-q", **surrounded)
        said = run_spinekit("check", str(home / "0"), "--json", "-q", **surrounded).stdout
        digests = {"check --json": hashlib.sha256(said).hexdigest()} | contents(own)
        first = first or digests
        differing[name] = sorted(file for file in first.keys() | digests.keys() if first.get(file) != digests.get(file))
    return differing


def contents(folder: Path) -> dict[str, str]:
    """Digest of each file below a folder, by name."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
